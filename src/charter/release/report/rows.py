"""The section on the data: what came in, what went and why, how it was split, what was masked, what leaks. Pure."""

from collections.abc import Iterator, Sequence

from charter.data.columns import SPLITS
from charter.release.record import Record
from charter.release.report.parts import Cell, Facts, Fold, Heading, Pair, Section, Table, Text
from charter.release.report.performance import MOST_ROWS
from charter.release.report.wording import Wording, number
from charter.release.selection import findings_of, first, select
from charter.runs.findings import Finding

CAPTIONS = {"token_classification": "_entities", "multi_label_classification": "_labels"}
"""Task -> which caption fits what is told of the classes in its splits; others have one class per row."""


def data_section(record: Record, say: Wording) -> Section:
    """Everything that is known of the data, in counts."""
    found = [one for one in findings_of(record) if one.area == "data"]
    sizes, *folded = _splits(record, found, say)
    parts: list[object] = [Pair(_flow(found, say), sizes), *folded, *_leakage(found, say)]
    small = [
        *_lengths(found, say),
        *_missing(found, say),
        *_changed(found, say),
        *_doubted(found, say),
        *_masked(record, found, say),
    ]
    small += _groups(record, found, say)
    while len(small) > 1:
        parts.append(Pair(small.pop(0), small.pop(0)))
    parts += small
    return Section("data", say("data"), parts)


def _flow(found: Sequence[Finding], say: Wording) -> Table:
    """Rows from the source to the split: read, rejected, dropped with reasons, used."""
    read = first(found, "data", "rows_read")
    total = max((read.value if read else 0) or 0, 1)
    rows = [_step(say("read"), "", read, total, say)] if read else []
    for one in found:
        if one.metric == "rows_rejected":
            rows.append(_step(say("rejected"), say.said(one.slice.get("reason", "")), one, total, say))
    sampled = [one for one in found if one.metric == "rows_dropped"]
    for one in sorted(sampled, key=lambda each: each.slice.get("preparation") != "max_rows"):
        why = say.said(one.slice.get("reason", ""))
        name = one.slice.get("preparation", "")
        rows.append(_step(say("dropped"), why, one, total, say, note=say("by_preparation", name=name)))
    for one in found:
        if one.metric == "rows_added":
            why, name = say.said(one.slice.get("kind", "")), one.slice.get("preparation", "")
            rows.append(_step(say("added"), why, one, total, say, note=say("by_preparation", name=name)))
    used = first(found, "data", "rows")
    if used is not None:
        rows.append(_step(say("used"), "", used, total, say))
    headings = [Heading(say("step")), Heading(say("reason"))]
    headings += [Heading(say("rows"), number=True), Heading(say("share"), number=True)]
    return Table(say("data_flow"), headings, rows, narrow=True, title=say("data_flow"))


def _step(name: str, why: str, one: Finding, total: float, say: Wording, note: str = "") -> list[Cell]:
    value = one.value or 0
    return [
        Cell(name),
        Cell(why, note),
        Cell(say.count(value), kind="number"),
        Cell(say.share(value / total), kind="number"),
    ]


def _splits(record: Record, found: Sequence[Finding], say: Wording) -> Iterator[object]:
    """The size of each split and the share of each class in it."""
    sizes = {one.slice["split"]: one.value or 0 for one in select(found, "data", "rows", ("split",))}
    splits = [split for split in SPLITS if sizes.get(split)]
    shares = {
        (one.slice["split"], one.slice["class"]): one.value or 0
        for one in select(found, "data", "label_share", ("split", "class"))
    }
    told = {
        (one.slice["split"], one.slice["statistic"]): one.value or 0
        for one in select(found, "data", "target", ("split", "statistic"))
    }
    labels = list(dict.fromkeys(label for _, label in shares))
    of_classes = CAPTIONS.get(record.charter.task.use, "") if labels else "_alone"
    caption = say(f"split_caption{'_numbers' if told else of_classes}")
    labels.sort(key=lambda label: -shares.get(("train", label), 0))
    first_column = "class" if labels else "slice_statistic"
    headings = [
        Heading(say(first_column)),
        *(Heading(say(f"split_{split}"), number=True) for split in splits),
    ]
    counts = [Cell(say("all_rows")), *(Cell(say.count(sizes[split]), kind="number") for split in splits)]
    rows = [
        [
            Cell(label, kind="own"),
            *(Cell(say.share(shares.get((split, label), 0)), kind="number") for split in splits),
        ]
        for label in labels
    ]
    rows += [
        [Cell(say.name(name)), *(Cell(number(told.get((split, name), 0)), kind="number") for split in splits)]
        for name in dict.fromkeys(name for _, name in told)
    ]
    answered = {
        one.slice["split"]: one.value or 0 for one in select(found, "data", "answered_share", ("split",))
    }
    if answered:
        shares_said = [Cell(say.share(answered.get(split, 0)), kind="number") for split in splits]
        rows.append([Cell(say("answered_share")), *shares_said])
    yield Table(caption, headings, [counts, *rows[:MOST_ROWS]], narrow=True, title=caption)
    if len(rows) > MOST_ROWS:
        yield Fold(say("all_of_them", count=len(rows)), [Table(caption, headings, rows, narrow=True)])


def _leakage(found: Sequence[Finding], say: Wording) -> Iterator[object]:
    naive = first(found, "data", "leakage_of_random_split")
    ours = select(found, "data", "leakage", ("kind", "split"))
    measured = [(say("leakage_of_random_split"), naive)] if naive else []
    for one in ours:
        where = {"split": say(f"split_{one.slice['split']}"), "kind": say.name(one.slice["kind"])}
        measured.append((say("leakage_ours", **where), one))
    if not measured:
        return
    headings = [Heading(say("slice")), Heading(say("leaked"), number=True)]
    headings += [Heading(say("of_rows"), number=True), Heading(say("share"), number=True)]
    rows = [
        [
            Cell(name),
            Cell(say.count(one.value or 0), kind="number"),
            Cell(say.count(one.n or 0), kind="number"),
            Cell(say.share((one.value or 0) / max(one.n or 0, 1)), kind="number"),
        ]
        for name, one in measured
    ]
    yield Table(say("leakage_caption"), headings, rows, narrow=True, title=say("leakage_caption"))
    largest = first(found, "data", "largest_component")
    said = [say("method_of", method=say.said(one.method)) for _, one in measured[-1:]]
    if largest is not None:
        said.append(say("largest", count=say.count(largest.value or 0)))
    yield Text(("" if say.language == "zh" else " ").join(said), soft=True)


def _lengths(found: Sequence[Finding], say: Wording) -> Iterator[object]:
    lengths = select(found, "data", "characters", ("quantile",))
    if lengths:
        items = [
            (say.name(one.slice["quantile"]), Cell(say.count(one.value or 0), kind="number"))
            for one in lengths
        ]
        yield Facts(items, title=say("lengths"))


def _missing(found: Sequence[Finding], say: Wording) -> Iterator[object]:
    missing = select(found, "data", "missing_share", ("column",))
    if missing:
        headings = [Heading(say("column")), Heading(say("missing"), number=True)]
        rows = [
            [Cell(one.slice["column"], kind="own"), Cell(say.share(one.value or 0), kind="number")]
            for one in missing
        ]
        yield Table(say("missing_caption"), headings, rows, narrow=True, title=say("missing_caption"))


def _changed(found: Sequence[Finding], say: Wording) -> Iterator[object]:
    changed = [one for one in found if one.metric == "changed"]
    if changed:
        headings = [Heading(say("changed")), Heading(say("rows"), number=True)]
        rows = [
            [
                Cell(
                    say.said(one.slice.get("kind", "")), say("by_preparation", name=one.slice["preparation"])
                ),
                Cell(say.count(one.value or 0), kind="number"),
            ]
            for one in changed
        ]
        yield Table(say("changed_caption"), headings, rows, narrow=True, title=say("changed_caption"))


SHOWN_ROWS = 12
"""Row numbers that stand in the table of doubtful labels; the findings list more."""


def _doubted(found: Sequence[Finding], say: Wording) -> Iterator[object]:
    """Training rows whose label is probably wrong, by class: how many, and the numbers of the most doubtful."""
    doubted = select(found, "data", "label_noise_candidates", ("class",))
    if not doubted:
        return
    headings = [Heading(say("class")), Heading(say("doubtful"), number=True)]
    headings += [Heading(say("share"), number=True), Heading(say("doubtful_rows"))]
    rows = []
    for one in doubted:
        if one.value is None:
            rows.append(
                [Cell(one.slice["class"], kind="own"), Cell("–", kind="number"), Cell("–", kind="number")]
            )
            rows[-1].append(Cell(say.said(one.because)))
            continue
        numbers = [str(number) for number in (one.attachment or {}).get("rows", [])]
        more = " …" if len(numbers) > SHOWN_ROWS else ""
        rows.append(
            [
                Cell(one.slice["class"], kind="own"),
                Cell(say.count(one.value), kind="number"),
                Cell(say.share(one.value / max(one.n or 0, 1)), kind="number"),
                Cell(" ".join(numbers[:SHOWN_ROWS]) + more, kind="code"),
            ]
        )
    caption = say("doubtful_caption")
    share = first(found, "data", "label_noise_share")
    note = ""
    if share is not None and share.value is not None:
        said = say("doubtful_share", share=say.share(share.value))
        note = f"{said} {say('method_of', method=say.said(share.method))}"
    yield Table(caption, headings, rows, narrow=True, title=caption, note=note)


def _masked(record: Record, found: Sequence[Finding], say: Wording) -> Iterator[object]:
    """What was masked, by kind, and what may remain; that nothing remains is never said."""
    uses = [use for use in record.charter.data.prepare if use.use == "mask_pii"]
    masked = {one.slice.get("type", ""): one for one in found if one.metric == "masked"}
    left = {one.slice.get("type", ""): one for one in found if one.metric == "pii_remaining"}
    if not masked and not left:
        yield Text(say("nothing_masked" if uses else "not_masked"), title=say("masked_caption"))
        return
    headings = [Heading(say("kind")), Heading(say("places"), number=True)]
    headings += [Heading(say("may_remain"), say("may_remain_note"), number=True)] if left else []
    rows = []
    for kind in dict.fromkeys((*masked, *left)):
        count = masked[kind].value or 0 if kind in masked else 0
        rows.append([Cell(kind, kind="code"), Cell(say.count(count), kind="number")])
        if left:
            rows[-1].append(_left(left.get(kind), say))
    note = say("remaining_said" if left else "remaining_unknown")
    yield Table(say("masked_caption"), headings, rows, narrow=True, title=say("masked_caption"), note=note)


def _left(one: Finding | None, say: Wording) -> Cell:
    if one is None or one.value is None or one.low is None or one.high is None:
        return Cell(say("dash") if one is None else say.missing(one), kind="number")
    return Cell(
        say.count(round(one.value)), f"{say.count(int(one.low))}–{say.count(int(one.high) + 1)}", "number"
    )


def _groups(record: Record, found: Sequence[Finding], say: Wording) -> Iterator[object]:
    for column in record.charter.data.groups:
        sizes = select(found, "data", "rows", (column,))
        if not sizes:
            continue
        headings = [Heading(say.column(column), own=True), Heading(say("rows"), number=True)]
        headings.append(Heading(say("share"), number=True))
        rows = [
            [
                Cell(say.value(column, one.slice[column]), kind="own"),
                Cell(say.count(one.value or 0), kind="number"),
                Cell(say.share((one.value or 0) / max(one.n or 0, 1)), kind="number"),
            ]
            for one in sizes
        ]
        caption = say("group_sizes", column=column)
        table = Table(caption, headings, rows, narrow=True, title="" if len(rows) > 12 else caption)
        yield Fold(caption, [table]) if len(rows) > 12 else table
