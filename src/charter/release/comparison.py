"""A comparison of judged runs: what each scored, whether they differ on the same rows, what they cost, what their charters say."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from charter import plugins
from charter.audits.pairing import Difference, Pairing, holm
from charter.errors import OptionError
from charter.release.judge import Outcome
from charter.release.record import Record
from charter.release.selection import findings_of, first, headline, main_scores
from charter.runs.findings import Finding
from charter.spec.differences import Change, differences
from charter.spec.metrics import ERRORS, OF_TOKENS
from charter.spec.use import Use

Conclusion = Literal["better", "worse", "not shown", "apart", "overlapping", "not comparable"]
COSTS = (
    "training_seconds",
    "pretraining_seconds",
    "teaching_seconds",
    "learning_seconds",
    "run_seconds",
    "answer_milliseconds",
    "energy_joules",
    "training_tokens",
    "pretraining_tokens",
    "trainable_parameters",
    "parameters",
    "size_bytes",
)
BESIDE = ("pretraining_seconds", "teaching_seconds", "learning_seconds", "pretraining_tokens")
"""Costs of what only some runs do before they learn their task: told where any of them does."""
BITS = "bits_per_byte"
"""The score of language models that compares across tokenizers."""


@dataclass(frozen=True)
class Compared:
    """One of the runs. label: short and unlike the others'; size_bytes: of the released model's files, None if not at hand."""

    label: str
    record: Record
    size_bytes: int | None = None


@dataclass(frozen=True)
class Pair:
    """A run beside the first one. pairing: on the same rows; None where they can't be paired, and `because` says why.

    shared_rows: how many test rows both were judged on, where that is known.
    """

    place: int
    pairing: Pairing | None
    because: str = ""
    shared_rows: int | None = None


@dataclass(frozen=True)
class Score:
    """A score on one slice: each run's finding, None where the run has none.

    apart: why each run's can't be put beside the first one's, "" where it can.
    """

    metric: str
    slice: Mapping[str, str]
    findings: tuple[Finding | None, ...]
    apart: tuple[str, ...] = ()

    def beside(self, place: int) -> Finding | None:
        """A run's finding, None where it can't be put beside the first one's."""
        return None if self.apart and self.apart[place] else self.findings[place]

    @property
    def common(self) -> bool:
        """Whether every run measured it."""
        return all(one is not None for one in self.findings)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Runs beside each other; the first is what the others are compared with. All that it says follows from these values."""

    runs: tuple[Compared, ...]
    pairs: tuple[Pair, ...]

    @property
    def headline(self) -> str:
        """The score that the conclusion reads: the first run's headline.

        Of causal language models that count other tokens it is the bits per byte, which they share.
        """
        own = headline(self.runs[0].record)
        others = range(1, len(self.runs))
        if any(self.why_apart(place, own) for place in others) and not any(
            self.why_apart(place, BITS)
            or first(main_scores(self.runs[place].record), "performance", BITS) is None
            for place in (0, *others)
        ):
            return BITS
        return own

    def why_apart(self, place: int, metric: str) -> str:
        """Why a run's score says nothing beside the first one's, whatever their values; empty where it does.

        Perplexity and what else counts tokens is of one tokenizer and one way of hiding; bits per byte are of any tokenizer.
        """
        if metric not in OF_TOKENS and metric != BITS:
            return ""
        ours, theirs = self.runs[0].record, self.runs[place].record
        if ours.charter.task.use != theirs.charter.task.use:
            return "their tasks differ"
        if _filled(ours.charter.task) != _filled(theirs.charter.task):
            return "they hide tokens in different ways"
        if metric != BITS and not _one_tokenizer(ours, theirs):
            return "it counts tokens, and theirs are those of different tokenizers"
        return ""

    def scores(self) -> tuple[Score, ...]:
        """The scores over all test rows, the headline first, then those that only some runs have."""
        each = [{one.metric: one for one in main_scores(run.record)} for run in self.runs]
        names = list(dict.fromkeys(metric for one in each for metric in one))
        places = range(len(self.runs))
        found = [
            Score(
                name,
                {},
                tuple(one.get(name) for one in each),
                tuple(self.why_apart(place, name) if name in each[place] else "" for place in places),
            )
            for name in names
        ]
        return tuple(sorted(found, key=lambda score: (score.metric != self.headline, not score.common)))

    def slices(self) -> tuple[Score, ...]:
        """The scores of classes and groups: F1 by class, the headline by group."""
        each = []
        for run in self.runs:
            groups = run.record.charter.data.groups
            each.append(
                {
                    (one.metric, tuple(one.slice.items())): one
                    for one in findings_of(run.record)
                    if one.area == "performance"
                    and len(one.slice) == 1
                    and (
                        (one.metric == "f1" and "class" in one.slice)
                        or (one.metric == self.headline and next(iter(one.slice)) in groups)
                    )
                }
            )
        keys = list(dict.fromkeys(key for one in each for key in one))
        return tuple(
            Score(
                key[0],
                dict(key[1]),
                tuple(one.get(key) for one in each),
                tuple(self.why_apart(place, key[0]) for place in range(len(each))),
            )
            for key in keys
        )

    def costs(self) -> Mapping[str, tuple[float | None, ...]]:
        """What each run cost, by those names in COSTS that any run tells; None where another does not."""
        each = [_costs(run) for run in self.runs]
        told = {name: tuple(one[name] for one in each) for name in COSTS}
        shared = told["learning_seconds"] != told["training_seconds"]
        return {
            name: values
            for name, values in told.items()
            if any(one is not None for one in values)
            and (name not in BESIDE or (shared if name == "learning_seconds" else any(values)))
        }

    def limits(self) -> Mapping[str, tuple[Outcome | None, ...]]:
        """Each limit that any charter states and how it came out for each run; None where the run's charter has it not."""
        each = [{one.limit: one.outcome for one in run.record.verdicts} for run in self.runs]
        names = list(dict.fromkeys(limit for one in each for limit in one))
        return {name: tuple(one.get(name) for one in each) for name in names}

    def changes(self) -> tuple[Change, ...]:
        """How the charters differ, key by key."""
        return differences([run.record.charter for run in self.runs])

    def difference(self, pair: Pair, metric: str) -> Difference | None:
        """The paired difference of a score, if there is one that says something."""
        if self.why_apart(pair.place, metric):
            return None
        known = pair.pairing.differences if pair.pairing is not None else ()
        return next((one for one in known if one.metric == metric), None)

    def meaningful(self, pair: Pair) -> Pair:
        """A pair with those differences alone that say something."""
        if pair.pairing is None:
            return pair
        kept = [one for one in pair.pairing.differences if not self.why_apart(pair.place, one.metric)]
        return replace(pair, pairing=replace(pair.pairing, differences=tuple(kept)))

    def conclusion(self, pair: Pair, metric: str | None = None) -> Conclusion:
        """What the evidence says of a run beside the first one, by a score (the headline if none is named).

        Paired: better or worse where the adjusted p-value is at most 1 - confidence. Not paired: only whether the intervals
        are apart.
        """
        name = metric or self.headline
        if self.why_apart(pair.place, name):
            return "not comparable"
        found = self.difference(pair, name)
        if found is not None:
            return _concluded(found)
        ours, theirs = (self._finding(place, name) for place in (0, pair.place))
        if ours is None or theirs is None or None in (ours.low, ours.high, theirs.low, theirs.high):
            return "not comparable"
        over = (ours.low or 0) <= (theirs.high or 0) and (theirs.low or 0) <= (ours.high or 0)
        return "overlapping" if over else "apart"

    def _finding(self, place: int, metric: str) -> Finding | None:
        return first(main_scores(self.runs[place].record), "performance", metric) or first(
            main_scores(self.runs[place].record), "calibration", metric
        )

    def as_json(self) -> dict[str, Any]:
        """The whole comparison as JSON."""
        return {
            "format": 1,
            "runs": [_run_json(run) for run in self.runs],
            "headline": self.headline,
            "scores": [_score_json(one) for one in (*self.scores(), *self.slices())],
            "pairs": [self._pair_json(pair) for pair in self.pairs],
            "costs": {name: list(values) for name, values in self.costs().items()},
            "limits": {name: list(outcomes) for name, outcomes in self.limits().items()},
            "charters": {change.key: list(change.values) for change in self.changes()},
        }

    def _pair_json(self, pair: Pair) -> dict[str, Any]:
        known = {
            "first": self.runs[0].record.run_id,
            "second": self.runs[pair.place].record.run_id,
            "conclusion": self.conclusion(pair),
            "paired": pair.pairing is not None,
            "because": pair.because or self.why_apart(pair.place, self.headline) or None,
            "shared_rows": pair.shared_rows,
        }
        told = {} if pair.pairing is None else asdict(pair.pairing)
        return {**{name: one for name, one in known.items() if one is not None}, **told}

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(run.label for run in self.runs)}>"

    def _repr_html_(self) -> str:
        from charter.release.report.notebook import comparison_html

        return comparison_html(self)


def began(record: Record) -> dict[str, Any]:
    """What a run's model began from: base or new model, what it learned before, its ancestors, its teacher, what learned.

    Keys whose answer is nothing are left out.
    """
    model, before, origin = record.charter.model, record.charter.pretraining, record.provenance
    texts = first(record.findings, "pretraining", "rows", split="train", of="texts")
    teacher = origin.get("teacher") or {}
    said = {
        "base": model.base,
        "architecture": None if model.architecture is None else model.architecture.use,
        "pretraining": None if before is None else before.objective.use,
        "pretraining_texts": None if texts is None or texts.value is None else int(texts.value),
        "ancestors": [str(one.get("name", "")) for one in origin.get("ancestors") or ()],
        "teacher": teacher.get("name") or teacher.get("reference"),
        "adapt": model.adapt.use,
    }
    return {name: one for name, one in said.items() if one}


def adjusted(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Pairs whose p-values are adjusted by Holm's method over all comparisons of the same score (Holm 1979)."""
    tables = [
        {} if pair.pairing is None else {one.metric: one for one in pair.pairing.differences}
        for pair in pairs
    ]
    for metric in dict.fromkeys(metric for table in tables for metric in table):
        known = [table.get(metric) for table in tables]
        after = holm([None if one is None else one.p_value for one in known])
        for table, one, p in zip(tables, known, after, strict=True):
            if one is not None:
                table[metric] = replace(one, p_adjusted=p)
    return tuple(
        pair
        if pair.pairing is None
        else replace(pair, pairing=replace(pair.pairing, differences=tuple(table.values())))
        for pair, table in zip(pairs, tables, strict=True)
    )


def labels(records: Sequence[Record]) -> tuple[str, ...]:
    """A short name for each run, no two alike: the charter's, with the end of the run's id where names repeat."""
    names = [record.charter.name for record in records]
    return tuple(
        name if names.count(name) == 1 else f"{name} {record.run_id.rpartition('-')[2]}"
        for name, record in zip(names, records, strict=True)
    )


def _concluded(found: Difference) -> Conclusion:
    p = found.p_value if found.p_adjusted is None else found.p_adjusted
    if p > 1 - found.confidence + 1e-12 or found.value == 0:
        return "not shown"
    return "better" if (found.value > 0) != (found.metric in ERRORS) else "worse"


def _costs(run: Compared) -> dict[str, float | None]:
    record = run.record
    told = {one.metric: one.value for one in record.findings if one.area == "training"}
    before = {one.metric: one for one in record.findings if one.area == "pretraining" and not one.slice}
    read = {name: one.value for name, one in before.items()}
    stages = [(str(stage["name"]), float(stage.get("seconds", 0.0))) for stage in record.stages]
    answer = next((seconds for name, seconds in stages if name.partition(" ")[0] == "answer"), None)
    held_out = sum(
        one.value or 0
        for one in record.findings
        if one.area == "data"
        and one.metric == "rows"
        and one.slice.get("split") in ("validation", "calibration", "test")
        and len(one.slice) == 1
    )
    taught = sum(seconds for name, seconds in stages if name == "teach")
    training, pretraining = told.get("seconds"), read.get("seconds") or 0.0
    curve = before.get("learning_curve")
    history = curve.attachment["history"] if curve is not None and curve.attachment is not None else ()
    return {
        "training_seconds": training,
        "pretraining_seconds": pretraining,
        "teaching_seconds": taught,
        "learning_seconds": None if training is None else training + pretraining + taught,
        "training_tokens": _tokens_read(told.get("tokens"), record.history),
        "pretraining_tokens": _tokens_read(read.get("tokens"), history)
        if record.charter.pretraining
        else 0.0,
        "run_seconds": sum(seconds for _, seconds in stages) if stages else None,
        "answer_milliseconds": 1000 * answer / held_out if answer is not None and held_out else None,
        "energy_joules": _both(
            told.get("energy_joules"), read.get("energy_joules"), before=bool(record.charter.pretraining)
        ),
        "trainable_parameters": told.get("trainable_parameters"),
        "parameters": told.get("parameters"),
        "size_bytes": run.size_bytes,
    }


def _both(training: float | None, pretraining: float | None, *, before: bool) -> float | None:
    """The energy of all that was learned; None where a part of it was not measured."""
    if not before:
        return training
    return None if training is None or pretraining is None else training + pretraining


def _tokens_read(tokens: float | None, history: Sequence[Mapping[str, Any]]) -> float | None:
    """The tokens that training read: those of an epoch as often as they were read; None where that is not known."""
    if tokens is None:
        return None
    return tokens * max((float(entry["epoch"]) for entry in history if "epoch" in entry), default=0.0)


def _filled(task: Use) -> Mapping[str, Any]:
    """A task's options with its defaults; as they are written where the plug-in is not installed."""
    try:
        return plugins.resolve("task", task.use, task.options)
    except OptionError:
        return task.options


def _one_tokenizer(ours: Record, theirs: Record) -> bool:
    """Whether two runs surely have one tokenizer: the same file, or one base that brings it."""
    files = [one.provenance.get("tokenizer") for one in (ours, theirs)]
    if None not in files:
        return files[0] == files[1]
    bases = [(one.provenance.get("base") or {}).get("digest") for one in (ours, theirs)]
    return bases[0] is not None and bases[0] == bases[1]


def _run_json(run: Compared) -> dict[str, Any]:
    return {
        "run": run.record.run_id,
        "label": run.label,
        "charter": run.record.charter.name,
        "charter_digest": run.record.charter.digest,
        "began": began(run.record),
        "status": run.record.status,
        "created": run.record.created,
        "test_digest": run.record.provenance.get("data", {}).get("test_digest"),
        "hardware": run.record.provenance.get("hardware"),
    }


def _score_json(score: Score) -> dict[str, Any]:
    kept = ("value", "low", "high", "confidence", "n", "because")
    values = [
        None
        if one is None
        else {name: getattr(one, name) for name in kept if getattr(one, name) not in (None, "")}
        for one in score.findings
    ]
    told = {"metric": score.metric, "slice": dict(score.slice), "common": score.common, "values": values}
    return {**told, "apart": list(score.apart)} if any(score.apart) else told
