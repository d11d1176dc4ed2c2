"""The section on pre-training: what the base learned from texts without labels, before it learned the task. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from charter.release.record import Record
from charter.release.report import plots
from charter.release.report.beside import gain_said
from charter.release.report.origin import batch_said, cost_said
from charter.release.report.parts import Cell, Facts, Figure, Heading, Pair, Section, Table
from charter.release.report.wording import Wording, interval, number
from charter.release.selection import first
from charter.runs.findings import Finding

AREA = "pretraining"
JUDGED = (
    "perplexity",
    "bits_per_byte",
    "token_accuracy",
    "pair_accuracy",
    "detection_f1",
    "detection_accuracy",
    "generator_perplexity",
    "generator_token_accuracy",
    "ndcg_at_10",
    "recall_at_1",
    "alignment",
    "uniformity",
)
"""What is told of held-out texts, as far as it was measured."""


MOST_TOLD = 2
"""So many scores on held-out texts are told in the terminal; the page tells all."""


@dataclass(frozen=True)
class PretrainingLines:
    """What the terminal shows of pre-training. rows: what, its value, a note."""

    title: str
    rows: tuple[tuple[str, str, str], ...]


def pretraining_sections(record: Record, say: Wording) -> Iterator[Section]:
    """The section, where the base was pre-trained or its tokenizer learned."""
    found = [one for one in record.findings if one.area == AREA]
    if not found:
        return
    parts = [*_curves(found, say), Facts(list(_facts(record, found, say))), *_tokenizers(found, say)]
    yield Section("pretraining", say(_title(record)), parts)


def pretraining_lines(record: Record, say: Wording) -> PretrainingLines | None:
    """The section in a few lines, for the terminal: what was learned, how much was read, how well; what the tokenizer makes of it."""
    found = [one for one in record.findings if one.area == AREA]
    if not found:
        return None
    asked = record.charter.pretraining
    rows = [(name, cell.text, cell.note) for name, cell in _objective(record, say)]
    if asked is not None:
        rows = [(name, text, say("epochs_said", count=asked.epochs)) for name, text, _ in rows]
    told = [*_tokens(found, say), *[*_judged(found, say)][:MOST_TOLD], *_before(found, say)]
    rows += [(name, cell.text, cell.note) for name, cell in told]
    characters, unknown = (first(found, AREA, name) for name in ("characters_per_token", "unknown_tokens"))
    if characters is not None and characters.value is not None:
        lost = "" if unknown is None else f"{say('unknown')}: {say.share(unknown.value or 0.0)}"
        value = f"{say.metric('characters_per_token')}: {characters.value:.2f}"
        rows.append((say("tokenizer"), value, lost))
    return PretrainingLines(say(_title(record)), tuple(rows))


def _title(record: Record) -> str:
    """What the section is about: pre-training, or where there was none, the new model or the base's longer tokenizer."""
    if record.charter.pretraining is not None:
        return "pretraining"
    return "beginning_new" if record.charter.model.architecture is not None else "beginning_extended"


def _facts(record: Record, found: Sequence[Finding], say: Wording) -> Iterator[tuple[str, Cell]]:
    asked = record.charter.pretraining
    yield from _objective(record, say)
    new = record.charter.model.architecture
    began = record.charter.model.begins_with if new is None else say("new_model", kind=new.use)
    yield say("begins_with"), Cell(began, kind="own" if new is None else "")
    texts = {
        split: one.value or 0.0
        for split in ("train", "test")
        if (one := first(found, AREA, "rows", split=split, of="texts")) is not None
    }
    if texts:
        counts = {name: say.count(value) for name, value in texts.items()}
        told = "texts_tails" if asked is not None and asked.tail else "texts_said"
        yield say("texts"), Cell(say(told, **{"train": "0", "test": "0", **counts}))
    apart = first(found, AREA, "texts_kept_apart", of="texts")
    if apart is not None and apart.value:
        yield say("texts_apart"), Cell(say("texts_apart_said", count=say.count(apart.value)))
    yield from _tokens(found, say)
    yield from cost_said({one.metric: one for one in found if not one.slice}, say)
    if asked is not None:
        schedule = say(f"schedule_{asked.schedule}")
        told = say(
            "settings_said", batch=batch_said(asked, say), rate=f"{asked.learning_rate:g}", schedule=schedule
        )
        yield say("settings"), Cell(told, say("epochs_said", count=asked.epochs))
    alone = first(found, AREA, "pieces_without_pair")
    if alone is not None and alone.value:
        yield say("without_pair"), Cell(say("without_pair_said", count=say.count(alone.value)))
    judged = "" if asked is None else f"judged_by_{asked.objective.use}"
    if say.has(judged):
        yield say("judged_by"), Cell(say(judged))
    yield from _judged(found, say)
    yield from _before(found, say)


def _objective(record: Record, say: Wording) -> Iterator[tuple[str, Cell]]:
    asked = record.charter.pretraining
    if asked is not None:
        kind = f"objective_{asked.objective.use}"
        yield say("objective"), Cell(say(kind) if say.has(kind) else asked.objective.use)


def _tokens(found: Sequence[Finding], say: Wording) -> Iterator[tuple[str, Cell]]:
    tokens = first(found, AREA, "tokens")
    if tokens is not None and tokens.value is not None:
        speed = first(found, AREA, "tokens_per_second")
        said = (
            "" if speed is None or speed.value is None else say("tokens_speed", speed=say.count(speed.value))
        )
        yield say("tokens"), Cell(say.count(tokens.value), said)


def _judged(found: Sequence[Finding], say: Wording) -> Iterator[tuple[str, Cell]]:
    """The scores on held-out texts."""
    for metric in JUDGED:
        one = first(found, AREA, metric)
        if one is not None:
            value = say.missing(one) if one.value is None else number(one.value)
            yield say("on_held_out", metric=say.metric(metric)), Cell(value, interval(one))


def _before(found: Sequence[Finding], say: Wording) -> Iterator[tuple[str, Cell]]:
    """The perplexity of the base as it was, or why that was not measured, and of token frequencies; how much pre-training changed it."""
    before = first(found, AREA, "perplexity", base="before")
    if before is not None:
        told = Cell(say("not_measured"), say.said(before.because))
        if before.value is not None:
            told = Cell(number(before.value), interval(before))
        yield say("perplexity_before"), told
    for one in found:
        if one.metric == "perplexity" and "baseline" in one.slice and one.value is not None:
            beside = first(found, AREA, "perplexity_over_baseline", **one.slice)
            note = "" if beside is None else say("over_short", times=gain_said(beside, say))
            yield say("perplexity_of", name=say.name(one.slice["baseline"])), Cell(number(one.value), note)
    ratio = first(found, AREA, "perplexity_ratio")
    if ratio is not None:
        value = say.missing(ratio) if ratio.value is None else number(ratio.value)
        yield say.metric("perplexity_ratio"), Cell(value, interval(ratio))


def _curves(found: Sequence[Finding], say: Wording) -> list[Any]:
    told = first(found, AREA, "learning_curve")
    history = [] if told is None or told.attachment is None else told.attachment["history"]
    loss = plots.learning(say("loss"), history, say("update"))
    rate = plots.rates(say("learning_rate"), history, say("update"))
    figures = [Figure(svg, said) for svg, said in ((loss, say("loss")), (rate, say("learning_rate"))) if svg]
    return [Pair(*figures)] if len(figures) == 2 else list(figures)


def _tokenizers(found: Sequence[Finding], say: Wording) -> Iterator[Table]:
    """Characters per token and unknown tokens of the tokenizer, by language, beside the base's own where there is one."""
    each = [one for one in found if one.metric == "characters_per_token"]
    if not each:
        return
    if (
        len({one.slice.get("language") for one in each}) <= 2
    ):  # all texts are of one language, as far as is known
        each = [one for one in each if "language" not in one.slice]
    headings = [
        Heading(say("tokenizer")),
        Heading(say("language")),
        Heading(say("texts"), number=True),
        Heading(say.metric("characters_per_token"), number=True),
        Heading(say("unknown"), number=True),
    ]
    rows = []
    for one in each:
        unknown = first(found, AREA, "unknown_tokens", **one.slice)
        name = "tokenizer_base" if one.slice.get("tokenizer") == "base" else "tokenizer_own"
        rows.append(
            [
                Cell(say(name)),
                Cell(one.slice.get("language") or say("all_languages")),
                Cell(say.count(one.n or 0), kind="number"),
                Cell(f"{one.value or 0.0:.2f}", kind="number"),
                Cell(say.share(unknown.value or 0.0) if unknown is not None else say("dash"), kind="number"),
            ]
        )
    yield Table(say("tokenizer_caption"), headings, rows, narrow=True, title=say("tokenizer_caption"))
