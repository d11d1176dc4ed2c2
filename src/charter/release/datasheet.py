"""A datasheet for the data of a run (Gebru et al. 2021): filled from what is known, open where only a person can answer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.release.datasheet_words import CHINESE, ENGLISH, SECTIONS
from charter.release.datasheet_words import QUESTIONS as WORDED
from charter.release.record import Record
from charter.release.report.wording import Wording
from charter.release.report.words import Language
from charter.release.selection import findings_of, select
from charter.runs.findings import Finding
from charter.spec.datasheet import COMMENTS, QUESTIONS

MOST_VALUES = 12
DIGEST = 16
LIBRARIES = ("polars", "pyarrow", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Known:
    """A sentence that Charter fills in. source: measured, or stated (in the charter)."""

    text: str
    source: str = "measured"


@dataclass(frozen=True)
class Entry:
    """One question. known: what Charter fills in; settled: whether that answers it; answer: a person's, "" where none was given."""

    section: str
    question: str
    known: tuple[Known, ...]
    settled: bool
    answer: str = ""

    @property
    def open(self) -> bool:
        """Whether a person must still answer it."""
        return not (self.settled or self.answer)


@dataclass(frozen=True)
class Sheet:
    """A filled datasheet: its questions in order, and further comments of a person by section."""

    entries: tuple[Entry, ...]
    comments: Mapping[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """How many questions there are (`all`), how many of them are `answered` and how many are `open`."""
        unanswered = sum(one.open for one in self.entries)
        return {"all": len(self.entries), "answered": len(self.entries) - unanswered, "open": unanswered}


def datasheet(record: Record, *, language: Language | None = None) -> Sheet:
    """The datasheet of a run's data, in the charter's language unless told otherwise. Pure; it holds no row."""
    facts = _Facts(record, language or record.charter.report.language)
    answers = (record.datasheet or {}).get("answers", {})
    entries = []
    for section, questions in QUESTIONS.items():
        for question in questions:
            known, settled = facts.of(f"{section}.{question}")
            answer = answers.get(section, {}).get(question, "")
            entries.append(Entry(section, question, tuple(known), settled, answer))
    comments = {section: said[COMMENTS] for section, said in answers.items() if said.get(COMMENTS)}
    return Sheet(tuple(entries), comments)


def datasheet_markdown(record: Record, *, language: Language | None = None) -> str:
    """The datasheet as Markdown: every question with what is known, what a person said, or that it is open."""
    chosen = language or record.charter.report.language
    sheet, words = datasheet(record, language=chosen), _words(chosen)
    file = (record.datasheet or {}).get("file")
    lead = words["lead" if file else "lead_alone"].format(run=record.run_id, file=file)
    lines = [f"# {words['title'].format(data=_plain(record.charter.data_id))}", "", lead, ""]
    lines += [words["count"].format(**sheet.counts), ""]
    for section, headings in SECTIONS.items():
        lines += [f"## {headings[chosen == 'zh']}", ""]
        for entry in sheet.entries:
            if entry.section == section:
                lines += _entry(entry, words, chosen)
        if section in sheet.comments:
            lines += [f"### {words['comments']}", "", *_quoted(sheet.comments[section]), ""]
    return "\n".join(lines)


def fact(record: Record, language: Language) -> tuple[str, str]:
    """What the report says of the datasheet: its name, and how much of it is answered."""
    words = _words(language)
    return words["fact"], words["fact_said"].format(**datasheet(record, language=language).counts)


def open_questions(record: Record, language: Language) -> str:
    """A YAML file to answer what is open: every open question with its words above it, and the rest as comments."""
    sheet, chinese = datasheet(record, language=language), language == "zh"
    lines = []
    for section, headings in SECTIONS.items():
        wanted = [one for one in sheet.entries if one.section == section and (one.open or one.answer)]
        if not wanted:
            continue
        lines += [f"# {headings[chinese]}", f"{section}:"]
        for one in wanted:
            lines.append(f"  # {WORDED[f'{section}.{one.question}'][chinese]}")
            lines += [f"  #   {known.text}" for known in one.known]
            lines += _yaml_answer(one)
        lines.append("")
    return "\n".join(lines)


def _yaml_answer(entry: Entry) -> list[str]:
    if not entry.answer:
        return [f"  {entry.question}:"]
    return [f"  {entry.question}: |", *(f"    {line}".rstrip() for line in entry.answer.splitlines())]


def _words(language: Language) -> Mapping[str, str]:
    return CHINESE if language == "zh" else ENGLISH


def _entry(entry: Entry, words: Mapping[str, str], language: Language) -> Iterator[str]:
    yield f"### {WORDED[f'{entry.section}.{entry.question}'][language == 'zh']}"
    yield ""
    for known in entry.known:
        yield f"- {_plain(known.text)} *({words[known.source]})*"
    if entry.known:
        yield ""
    if entry.answer:
        yield from (*_quoted(entry.answer), "")
    if entry.open:
        yield from (f"**{words['open']}**", "")


def _quoted(text: str) -> list[str]:
    """A person's words as a quotation, so that they make no heading or tag of their own."""
    return [f"> {line}".rstrip() for line in text.replace("<", "&lt;").splitlines()]


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")


class _Facts:
    """What is known of a record's data, question by question."""

    def __init__(self, record: Record, language: Language) -> None:
        self.record = record
        self.charter = record.charter
        self.words = _words(language)
        self.wording = Wording(language)
        self.found = [one for one in findings_of(record) if one.area == "data"]

    def of(self, question: str) -> tuple[list[Known], bool]:
        """The sentences that are known for a question, and whether they answer it."""
        fill: Callable[[], tuple[list[Known], bool]] | None = getattr(
            self, f"_{question.replace('.', '_')}", None
        )
        return ([], False) if fill is None else fill()

    def _say(self, key: str, source: str = "measured", **values: Any) -> Known:
        return Known(self.words[key].format(**values), source)

    def _list(self, items: Sequence[str]) -> str:
        comma = "、" if self.wording.language == "zh" else ", "
        if len(items) > MOST_VALUES:
            more = self.wording("and_more", count=len(items) - MOST_VALUES)
            items = [*items[:MOST_VALUES], more]
        return comma.join(items) or self.words["none"]

    def _counted(self, found: Sequence[Finding], *names: str) -> str:
        """`similar text 12, equal text 3`: values of slices with their counts."""
        said = []
        for one in found:
            told = " / ".join(self.wording.said(one.slice[name]) for name in names if name in one.slice)
            said.append(f"{told} {self.wording.count(one.value or 0)}")
        return self._list(said)

    def _splits(self) -> str:
        sizes = select(self.found, "data", "rows", ("split",))
        return self._list(
            [
                f"{self.wording.value('split', one.slice['split'])} {self.wording.count(one.value or 0)}"
                for one in sizes
            ]
        )

    def _metric(self, name: str) -> list[Finding]:
        return [one for one in self.found if one.metric == name]

    def _motivation_purpose(self) -> tuple[list[Known], bool]:
        use = self.charter.purpose.intended_use
        return ([self._say("used_here", "stated", text=use)] if use else []), False

    def _composition_instances(self) -> tuple[list[Known], bool]:
        columns = self._list(
            [f"`{name}`" for name in (*self.charter.data.inputs, *self.charter.data.targets)]
        )
        return [self._say("rows_of", "stated", columns=columns, task=self.charter.task.use)], False

    def _composition_count(self) -> tuple[list[Known], bool]:
        read = next((one.value or 0 for one in self._metric("rows_read")), 0)
        used = next((one.value or 0 for one in self._metric("rows") if not one.slice), 0)
        counts = {"read": self.wording.count(read), "used": self.wording.count(used)}
        return [self._say("counts", splits=self._splits(), **counts)], True

    def _composition_sampling(self) -> tuple[list[Known], bool]:
        left = [one for one in self._metric("rows_dropped") if one.slice.get("preparation") == "max_rows"]
        seed = self.charter.data.split.seed
        return [
            self._say("sampled", count=self.wording.count(one.value or 0), seed=seed) for one in left
        ], False

    _collection_sampling_strategy = _composition_sampling

    def _composition_features(self) -> tuple[list[Known], bool]:
        data = self.charter.data
        inputs = self._list([f"`{name}` ({kind})" for name, kind in data.inputs.items()])
        groups = self._list([f"`{name}`" for name in data.groups])
        targets = self._list([f"`{name}`" for name in data.targets])
        known = [self._say("columns", "stated", inputs=inputs, target=targets, groups=groups)]
        return known + ([self._say("subject", "stated")] if data.subject else []), True

    def _composition_labels(self) -> tuple[list[Known], bool]:
        shares = select(self.found, "data", "label_share", ("split", "class"))
        train = sorted(
            (one for one in shares if one.slice["split"] == "train"), key=lambda one: -(one.value or 0)
        )
        classes = self._list([f"{one.slice['class']} {self.wording.share(one.value or 0)}" for one in train])
        targets = self._list(self.charter.data.targets)
        return [self._say("classes", target=targets, classes=classes)] if train else [], True

    def _composition_missing(self) -> tuple[list[Known], bool]:
        lacking = [one for one in self._metric("missing_share") if one.value]
        said = self._list(
            [f"`{one.slice['column']}` {self.wording.share(one.value or 0)}" for one in lacking]
        )
        known = [self._say("missing", columns=said) if lacking else self._say("missing_none")]
        left = [one for one in self._metric("rows_dropped") if one.slice.get("reason", "").startswith("no ")]
        left += [
            one for one in self._metric("rows_rejected") if one.slice.get("reason", "").startswith("no ")
        ]
        return known + ([self._say("left_out", reasons=self._counted(left, "reason"))] if left else []), True

    def _composition_relationships(self) -> tuple[list[Known], bool]:
        largest = self._metric("largest_component")
        return [self._say("related", count=self.wording.count(one.value or 0)) for one in largest], bool(
            largest
        )

    def _composition_splits(self) -> tuple[list[Known], bool]:
        split, splits = self.charter.data.split, self._splits()
        if split.time is not None:
            known = [self._say("splits_time", column=split.time, splits=splits)]
        elif split.column is not None or isinstance(self.charter.data.source, dict):
            known = [self._say("splits_given", splits=splits)]
        else:
            stratify = self._say("yes" if split.stratify else "no")
            known = [self._say("splits_random", seed=split.seed, stratify=stratify, splits=splits)]
        for one in select(self.found, "data", "leakage", ("kind", "split")):
            where = {
                "split": self.wording.value("split", one.slice["split"]),
                "kind": self.wording.name(one.slice["kind"]),
            }
            counts = {"count": self.wording.count(one.value or 0), "all": self.wording.count(one.n or 0)}
            known.append(self._say("leaked", **where, **counts))
        return known, True

    def _composition_errors(self) -> tuple[list[Known], bool]:
        changed, dropped = self._metric("changed"), self._metric("rows_dropped")
        dropped = [one for one in dropped if one.slice.get("preparation") != "max_rows"]
        known = [self._say("repaired", what=self._counted(changed, "kind"))] if changed else []
        known += [self._say("dropped", what=self._counted(dropped, "reason"))] if dropped else []
        for one in self._metric("rows_rejected"):
            reason = self.wording.said(one.slice.get("reason", ""))
            known.append(self._say("rejected", count=self.wording.count(one.value or 0), reason=reason))
        return known or [self._say("clean")], True

    def _composition_confidential(self) -> tuple[list[Known], bool]:
        return [self._say("public" if self.charter.data.public else "not_public", "stated")], False

    def _composition_subpopulations(self) -> tuple[list[Known], bool]:
        known = []
        for column in self.charter.data.groups:
            sizes = select(self.found, "data", "rows", (column,))
            values = [
                f"{self.wording.value(column, one.slice[column])} {self.wording.count(one.value or 0)}"
                for one in sizes
            ]
            known.append(self._say("groups", column=column, values=self._list(values)))
        return known, bool(known)

    def _composition_identifiable(self) -> tuple[list[Known], bool]:
        masked = self._metric("masked")
        if masked:
            return [self._say("masked", kinds=self._counted(masked, "type"))], False
        uses = [use.use for use in self.charter.data.prepare]
        return [self._say("masked_none" if "mask_pii" in uses else "not_looked")], False

    def _preprocessing_done(self) -> tuple[list[Known], bool]:
        steps = self._list([f"`{use.use}`" for use in self.charter.data.prepare])
        return [self._say("steps", "stated", steps=steps), *self._composition_errors()[0]], True

    def _preprocessing_raw(self) -> tuple[list[Known], bool]:
        digest = str(self.record.provenance.get("data", {}).get("source_digest", ""))[:DIGEST]
        return [self._say("raw", digest=digest)], True

    def _preprocessing_software(self) -> tuple[list[Known], bool]:
        versions: Mapping[str, str] = self.record.provenance.get("versions") or {}
        libraries = self._list([f"{name} {versions[name]}" for name in LIBRARIES if name in versions])
        return [self._say("software", charter=versions.get("charter", ""), libraries=libraries)], True

    def _uses_used_for(self) -> tuple[list[Known], bool]:
        before = self.record.judged_before.get("this_data", 0)
        told = {"task": self.charter.task.use, "run": self.record.run_id, "count": before}
        return [self._say("used_for", **told)], True

    def _uses_risks(self) -> tuple[list[Known], bool]:
        shares = select(self.found, "data", "label_share", ("split", "class"))
        train = [one.value or 0 for one in shares if one.slice["split"] == "train"]
        return ([self._say("smallest", share=self.wording.share(min(train)))] if train else []), False

    def _uses_not_for(self) -> tuple[list[Known], bool]:
        uses = self.charter.purpose.not_for
        return ([self._say("not_for", "stated", uses=self._list(uses))] if uses else []), bool(uses)

    def _distribution_third_parties(self) -> tuple[list[Known], bool]:
        return [self._say("no_rows" if self.record.examples is None else "some_rows")], False

    def _distribution_licence(self) -> tuple[list[Known], bool]:
        licence = self.charter.data.licence
        return ([self._say("licence", "stated", licence=licence)] if licence else []), bool(licence)

    def _maintenance_versions(self) -> tuple[list[Known], bool]:
        digest = str(self.record.provenance.get("data", {}).get("prepared_digest", ""))[:DIGEST]
        return [self._say("version", id=self.charter.data_id, digest=digest)], False
