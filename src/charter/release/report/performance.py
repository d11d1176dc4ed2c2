"""The sections on how well the model does: scores, classes, groups, baselines, calibration, misjudged rows. Pure."""

from collections.abc import Iterator, Sequence

from charter.release.record import Record
from charter.release.report import plots
from charter.release.report.beside import compares, gain_said, is_multiple, metric_of
from charter.release.report.parts import Cell, Figure, Fold, Heading, Misjudged, Pair, Section, Table, Text
from charter.release.report.wording import Wording, confidence, interval, number
from charter.release.selection import (
    findings_of,
    first,
    headline,
    main_scores,
    metrics_in_order,
    select,
    weakest_first,
)
from charter.runs.findings import Finding
from charter.spec.metrics import LANGUAGE_MODELS

MOST_ROWS = 25
"""With more classes or groups than this the weakest stand first, and the whole table is folded away."""
BY_GROUP = ("accuracy", "subset_accuracy", "mae", "expected_calibration_error", "interval_coverage")
"""What stands beside the main score of each group, where it is measured."""
OFF = ("r2",)
"""Main scores of tasks whose answers are not right or wrong, but more or less far off."""
MOST_CURVES = 6
"""So many labels have their reliability drawn."""
KNOWN_AREAS = (
    "performance",
    "baseline",
    "calibration",
    "data",
    "training",
    "export",
    "pretraining",
    "continual",
    "privacy",
    "reidentification",
    "privacy_audit",
    "fairness",
)


def performance_sections(record: Record, say: Wording) -> Iterator[Section]:
    """All sections on performance, in order."""
    found = findings_of(record)
    yield _scores(record, found, say)
    yield from _classes(record, found, say)
    yield _groups(record, found, say)
    yield from _baselines(record, found, say)
    yield from _calibration(found, say)
    for area in sorted({one.area for one in found} - set(KNOWN_AREAS)):
        name = say(f"area_{area}") if say.has(f"area_{area}") else say.said(area)
        table = finding_table([one for one in found if one.area == area], say, area)
        yield Section(f"area-{area}", say("other_area", area=name), [table])
    yield from _misjudged(record, say)


def value_cell(one: Finding | None, say: Wording) -> Cell:
    """A value with its interval below; a part without evidence says so."""
    if one is None:
        return Cell(say("dash"), kind="number")
    if one.value is None:
        return Cell(say.missing(one), kind="number")
    return Cell(number(one.value), interval(one), "number")


def _scores(record: Record, found: Sequence[Finding], say: Wording) -> Section:
    chosen = main_scores(record)
    headings = [
        Heading(say("metric")),
        Heading(say("value"), number=True),
        Heading(say("interval"), number=True),
    ]
    rows = [
        [
            Cell(say.metric(one.metric), kind="metric", link=one.metric),
            Cell(number(one.value) if one.value is not None else say.missing(one), kind="number"),
            Cell(interval(one) or say("dash"), kind="number"),
        ]
        for one in chosen
    ]
    table = Table(say("scores_caption"), headings, rows, narrow=True)
    rows_tested = next((one.n for one in chosen if one.n), 0)
    share = next((confidence(one) for one in chosen if one.confidence), "95%")
    lead = Text(say("scores_lead", n=say.count(rows_tested or 0), confidence=share))
    matrix = next((one for one in found if one.metric == "confusion" and one.attachment), None)
    spread = next((one.attachment for one in found if one.metric == "agreement" and one.attachment), None)
    if spread is not None:
        drawn = plots.density(
            say("density"), spread["edges"], spread["counts"], say("answer_axis"), say("truth_axis")
        )
        parts: list[object] = [lead, Pair(table, Figure(drawn, say("density")))]
        return Section("performance", say("scores"), parts)
    if matrix is None or matrix.attachment is None:
        return Section("performance", say("scores"), [lead, table])
    labels, counts = list(matrix.attachment["labels"]), matrix.attachment["counts"]
    if len(labels) > plots.MOST_CLASSES:
        omitted = Text(say("confusion_omitted", count=len(labels)))
        return Section("performance", say("scores"), [lead, table, omitted, _confusions(labels, counts, say)])
    figure = Figure(plots.confusion(say("confusion"), labels, counts), say("confusion"), len(labels) > 5)
    parts = [lead, table, figure] if figure.wide else [lead, Pair(table, figure)]
    return Section("performance", say("scores"), parts)


def _confusions(labels: Sequence[str], counts: Sequence[Sequence[int]], say: Wording) -> Table:
    """The ten commonest mistakes."""
    mistakes = sorted(
        (
            (count, truth, answer)
            for truth, row in enumerate(counts)
            for answer, count in enumerate(row)
            if truth != answer and count
        ),
        key=lambda one: (-one[0], one[1], one[2]),
    )[:10]
    headings = [
        Heading(say("truth")),
        Heading(say("answer")),
        Heading(say("times"), number=True),
        Heading(say("share_of_truth"), number=True),
    ]
    rows = [
        [
            Cell(labels[truth], kind="own"),
            Cell(labels[answer], kind="own"),
            Cell(say.count(count), kind="number"),
            Cell(say.share(count / max(sum(counts[truth]), 1)), kind="number"),
        ]
        for count, truth, answer in mistakes
    ]
    return Table(say("confusions"), headings, rows, narrow=True, title=say("confusions"))


def _pivot(
    caption: str,
    column: str,
    keys: Sequence[Finding],
    metrics: Sequence[str],
    found: Sequence[Finding],
    say: Wording,
    *,
    counted: str = "",
) -> Table:
    """A row for each value of a column, a column for each metric."""
    name = say("class") if column == "class" else column
    counted = counted or say("occurrences" if column == "class" else "rows")
    headings = [Heading(name, own=column != "class"), Heading(counted, number=True)]
    headings += [Heading(say.metric(metric), number=True) for metric in metrics]
    by_place = {(one.metric, one.slice[column]): one for one in found if set(one.slice) == {column}}
    rows = []
    for key in keys:
        value = key.slice[column]
        cells = [value_cell(by_place.get((metric, value)), say) for metric in metrics]
        # an F1 rests on the predicted ones too; how often a class truly occurs is what its recall rests on
        truly = by_place.get(("recall", value), key).n or 0
        rows.append(
            [Cell(say.value(column, value), kind="own"), Cell(say.count(truly), kind="number"), *cells]
        )
    return Table(caption, headings, rows)


def _classes(record: Record, found: Sequence[Finding], say: Wording) -> Iterator[Section]:
    scored = select(found, "performance", names=("class",))
    if not scored:
        return
    metrics = metrics_in_order(scored)
    lead = "f1" if "f1" in metrics else metrics[0]
    keys = weakest_first([one for one in scored if one.metric == lead])
    few = keys[:MOST_ROWS]
    whole = first(found, "performance", headline(record))
    parts: list[object] = list(_forest("class", keys, whole if lead == "f1" else None, say))
    if len(keys) > MOST_ROWS:
        caption = say("classes_weakest", shown=len(few), all=len(keys))
        everything = _pivot(say("classes"), "class", keys, metrics, scored, say)
        parts.append(_pivot(caption, "class", few, metrics, scored, say))
        parts.append(Fold(say("all_of_them", count=len(keys)), [everything]))
    else:
        parts.append(_pivot(say("classes_caption"), "class", keys, metrics, scored, say))
    yield Section("classes", say("classes"), parts)


def _forest(column: str, keys: Sequence[Finding], whole: Finding | None, say: Wording) -> Iterator[Figure]:
    if len(keys) < 2 or not any(one.value is not None for one in keys):
        return
    shown = keys[:MOST_ROWS]
    metric = say.metric(keys[0].metric)
    caption = say("forest", metric=metric)
    if len(keys) > MOST_ROWS:
        caption = say("forest_weakest", metric=metric, shown=len(shown), all=len(keys))
    level = None if whole is None else whole.value
    yield Figure(plots.forest(caption, column, shown, level, say("too_few")), caption)


def _groups(record: Record, found: Sequence[Finding], say: Wording) -> Section:
    columns = record.charter.data.groups
    if not columns:
        return Section("groups", say("groups"), [Text(say("no_groups"))])
    parts: list[object] = [Text(say("groups_lead"))]
    main = headline(record)
    for column in columns:
        scored = [
            one for one in found if set(one.slice) == {column} and one.area in ("performance", "calibration")
        ]
        keys = weakest_first([one for one in scored if one.metric == main])
        if not keys:
            continue
        wanted = list(dict.fromkeys((main, *BY_GROUP)))
        metrics = [metric for metric in wanted if any(one.metric == metric for one in scored)]
        parts += _forest(column, keys, first(found, "performance", main), say)
        few = keys[:MOST_ROWS]
        if len(keys) > MOST_ROWS:
            caption = say("groups_weakest", shown=len(few), all=len(keys), column=column)
            everything = _pivot(say("groups"), column, keys, metrics, scored, say)
            parts += [
                _pivot(caption, column, few, metrics, scored, say),
                Fold(say("all_of_them", count=len(keys)), [everything]),
            ]
        else:
            parts.append(_pivot(say("groups_caption", column=column), column, keys, metrics, scored, say))
    return Section("groups", say("groups"), parts)


def _baselines(record: Record, found: Sequence[Finding], say: Wording) -> Iterator[Section]:
    beside = [one for one in found if one.area == "baseline"]
    if not beside:
        return
    names = list(dict.fromkeys(one.slice["baseline"] for one in beside if "baseline" in one.slice))[::-1]
    parts: list[object] = [Text(say("baselines_lead"))]
    for one in beside:
        name = say.name(one.slice.get("baseline", ""))
        if one.value is None and one.metric == headline(record):
            because = say.said(one.because.removeprefix("insufficient evidence: "))
            said = say("no_baseline_of", baseline=name, because=because)
            parts.append(Text(said[:1].upper() + said[1:]))
        elif compares(one):
            metric = say.metric(metric_of(one, headline(record)))
            key = "over" if is_multiple(one) else "gain"
            parts.append(Text(say(key, baseline=name, metric=metric, gain=gain_said(one, say))))
    metrics = [
        one.metric for one in main_scores(record) if any(other.metric == one.metric for other in beside)
    ]
    headings = [Heading(say("metric")), Heading(say("model"), number=True)]
    headings += [Heading(say.name(name), number=True) for name in names]
    rows = [
        [
            Cell(say.metric(metric), link=metric, kind="metric"),
            value_cell(first(found, "performance", metric), say),
            *(value_cell(first(beside, "baseline", metric, baseline=name), say) for name in names),
        ]
        for metric in metrics
    ]
    if rows:
        parts.append(Table(say("baselines_caption"), headings, rows, narrow=True))
    yield Section("baselines", say("baselines"), parts)


def _calibration(found: Sequence[Finding], say: Wording) -> Iterator[Section]:
    after = [one for one in select(found, "calibration") if one.metric != "temperature"]
    if not after:
        return
    before = {one.metric: one for one in select(found, "calibration", names=("temperature",))}
    temperature = first(found, "calibration", "temperature")
    space = "" if say.language == "zh" else " "
    said = say("calibration_lead") + space + say("temperature_none")
    intervals = first(found, "calibration", "interval_coverage")
    if intervals is not None:
        how = intervals.method.partition("; ")[0]
        said = say("intervals_lead") + (space + say("method_of", method=say.said(how)) if how else "")
    if temperature is not None and temperature.value is not None:
        how = say("temperature_said", value=f"{temperature.value:.3g}", how=say.said(temperature.method))
        said = say("calibration_lead") + space + how
    headings = [Heading(say("metric"))]
    headings += [Heading(say("before"), number=True)] * bool(before)
    headings.append(Heading(say("after") if before else say("value"), number=True))
    rows = []
    for one in after:
        cells = [Cell(say.metric(one.metric), kind="metric", link=one.metric)]
        cells += [value_cell(before.get(one.metric), say)] * bool(before)
        rows.append([*cells, value_cell(one, say)])
    table = Table(say("calibration_caption" if before else "calibration_one"), headings, rows, narrow=True)
    curve = next((one.attachment for one in after if one.attachment), None)
    parts: list[object] = [Text(said)]
    if curve is None:
        parts.append(table)
    else:
        of_labels = bool(select(found, "calibration", names=("class",)))
        came_true = say("came_true_labels" if of_labels else "right")
        drawn = plots.reliability(say("reliability"), curve, say("stated"), came_true)
        parts.append(Pair(table, Figure(drawn, say("reliability"))))
    yield Section("calibration", say("calibration"), [*parts, *_calibration_of_classes(found, say)])


def _calibration_of_classes(found: Sequence[Finding], say: Wording) -> Iterator[object]:
    """The calibration of each label on its own, the worst first, and the curves of the worst."""
    scored = select(found, "calibration", names=("class",))
    if not scored:
        return
    errors = [one for one in scored if one.metric == "expected_calibration_error"]
    keys = sorted(errors, key=lambda one: (one.value is None, -(one.value or 0.0)))
    metrics = metrics_in_order(scored)
    caption = say("calibration_classes")
    table = _pivot(caption, "class", keys, metrics, scored, say, counted=say("rows"))
    curves = []
    for one in keys[:MOST_CURVES]:
        if one.attachment is not None:
            named = say("reliability_of", label=one.slice["class"])
            drawn = plots.reliability(named, one.attachment, say("stated"), say("came_true"))
            curves.append(Figure(drawn, named))
    for left, right in zip(curves[::2], curves[1::2], strict=False):
        yield Pair(left, right)
    if len(curves) % 2:
        yield curves[-1]
    yield Fold(say("all_of_them", count=len(keys)), [table]) if len(keys) > MOST_ROWS else table


def _misjudged(record: Record, say: Wording) -> Iterator[Section]:
    told = record.examples
    if told is None or record.charter.task.use in LANGUAGE_MODELS:  # these have no answers to be wrong
        return
    parts: list[object] = []
    if told["shown"] is None:
        parts.append(Text(say("misjudged_unable", task=record.charter.task.use)))
    elif not told["shown"]:
        parts.append(Text(say("misjudged_none", rows=say.count(told["rows"]))))
    else:
        key = "misjudged_rule" if told["random"] else "misjudged_all"
        if headline(record) in OFF:
            key = "misjudged_off" if told["random"] else "misjudged_off_all"
        counts = {name: say.count(told[name]) for name in ("rows", "wrong", "confident", "random")}
        parts += [Text(say(key, seed=told["seed"], **counts)), Text(say("misjudged_masked"), soft=True)]
        space = "" if say.language == "zh" else " "
        keys = ["entities_key"] if any("words" in one for one in told["shown"]) else []
        keys += [] if headline(record) in OFF else ["misjudged_numbers"]
        if keys:
            parts.append(Text(space.join(say(key) for key in keys), soft=True))
        parts.append(Misjudged(told["shown"]))
    yield Section("misjudged", say("misjudged"), parts)


def finding_table(found: Sequence[Finding], say: Wording, caption: str) -> Table:
    """Findings one by one, with their method."""
    headings = [Heading(say("metric")), Heading(say("slice")), Heading(say("value"), number=True)]
    headings += [Heading(say("rows"), number=True), Heading(say("method"))]
    rows = [
        [
            Cell(one.metric, kind="code"),
            Cell(say.slice(one.slice), kind="own" if one.slice else ""),
            _raw_value(one, say),
            Cell("" if one.n is None else say.count(one.n), kind="number"),
            Cell(say.said(one.method or one.because)),
        ]
        for one in found
    ]
    return Table(caption, headings, rows)


def _raw_value(one: Finding, say: Wording) -> Cell:
    if one.value is None:
        return Cell(say("too_few") if one.because.startswith("insufficient") else say("dash"), kind="number")
    if one.low is None and float(one.value).is_integer():
        return Cell(say.count(one.value), say.said(one.unit) if one.unit else "", "number")
    return Cell(number(one.value), interval(one) or (say.said(one.unit) if one.unit else ""), "number")
