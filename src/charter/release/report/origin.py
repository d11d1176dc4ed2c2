"""The sections on what the model is for, how it learned and where it comes from; the raw evidence; the glossary. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from charter.release.datasheet import fact
from charter.release.record import Record
from charter.release.report import plots
from charter.release.report.lineage import lineage_tables
from charter.release.report.metrics import METRICS, TERMS
from charter.release.report.parts import (
    Cell,
    Facts,
    Figure,
    Fold,
    Glossary,
    Heading,
    Pair,
    Raw,
    Section,
    Table,
)
from charter.release.report.performance import finding_table
from charter.release.report.privacy import private_batch
from charter.release.report.trials import settings_of
from charter.release.report.when import when
from charter.release.report.wording import Wording
from charter.release.selection import findings_of, headline
from charter.runs.findings import Finding
from charter.spec.data import place_text
from charter.spec.metrics import LANGUAGE_MODELS
from charter.spec.training import Learning

DIGEST = 16
"""Digits of a digest that are shown; the whole of it stands in the JSON below."""


def purpose_section(record: Record, say: Wording) -> Section:
    """What the model is for, whom it affects, what is ruled out, the risk; and whose data it learned from."""
    purpose, data = record.charter.purpose, record.charter.data
    items = [
        (say("intended"), _own(purpose.intended_use, say)),
        (say("affected"), _own(purpose.affected, say)),
        (say("not_for"), _own(("、" if say.language == "zh" else ", ").join(purpose.not_for), say)),
        (say("risk"), Cell(say(f"risk_{purpose.risk}"))),
        (say("data_public"), Cell(say("public" if data.public else "not_public"))),
        (say("licence"), _own(data.licence, say)),
    ]
    term, told = fact(record, say.language)
    items.append((term, Cell(told)))
    return Section("purpose", say("purpose"), [Facts(items)])


def _own(text: str | None, say: Wording) -> Cell:
    return Cell(text, kind="own") if text else Cell(say("not_stated"))


def learning_section(record: Record, say: Wording) -> Section:
    """The learning curves, the settings, the time."""
    charter, found = record.charter, findings_of(record)
    told = {one.metric: one for one in found if one.area == "training"}
    value = {name: one.value or 0.0 for name, one in told.items()}
    training = settings_of(record)
    adapt = f"adapt_{charter.model.adapt.use}"
    if not training.epochs:
        adapt = "adapt_nothing" if training.objective is None else "adapt_fitted"
    items = [(say("adapt"), Cell(say(adapt) if say.has(adapt) else charter.model.adapt.use))]
    if value.get("parameters") and training.epochs:
        trainable, every = value.get("trainable_parameters", 0), value["parameters"]
        counts = {
            "trainable": say.count(trainable),
            "all": say.count(every),
            "share": say.share(trainable / every),
        }
        items[0] = (items[0][0], Cell(items[0][1].text, say("parameters_of", **counts)))
    items += _start(record, say)
    items.append((say("epochs"), Cell(say.count(training.epochs))))
    if "steps" in value:
        best = say("updates_best", steps=say.count(value["steps"]), best=say.count(value.get("best_step", 0)))
        items.append((say("updates"), Cell(best)))
    schedule = say(f"schedule_{training.schedule}")
    settings = {
        "batch": private_batch(record, say) or batch_said(training, say),
        "rate": f"{training.learning_rate:g}",
        "schedule": schedule,
    }
    if training.epochs:
        items.append((say("settings"), Cell(say("settings_said", **settings))))
    items += _read(record, told, say)
    if "unknown_tokens" in told:
        unknown = say("unknown_of", share=say.share(value["unknown_tokens"]))
        items.append((say("unknown"), Cell(unknown)))
    items += cost_said(told, say)
    if value.get("classes_not_trained"):
        items.append((say("not_trained"), Cell(say.count(value["classes_not_trained"]))))
    parts = [*_curves(record, say), Facts(items), *_descriptions(record, say), _times(record, say)]
    return Section("learning", say("learning"), parts)


def batch_said(learning: Learning, say: Wording) -> str:
    """How large an update's batch is: in examples, or in tokens."""
    if learning.tokens_per_batch is None:
        return say("batch_examples", count=say.count(learning.batch_size))
    return say("batch_tokens", count=say.count(learning.tokens_per_batch))


def cost_said(told: Mapping[str, Finding], say: Wording) -> Iterator[tuple[str, Cell]]:
    """What learning took: time of the clock and of the processor, and energy where it was measured; it is never guessed."""
    wall, processor = (told.get(name) for name in ("seconds", "processor_seconds"))
    if wall is not None and processor is not None:
        said = say("cost_said", processor=say.duration(processor.value or 0.0))
        yield say("cost"), Cell(said, say("cost_of", wall=say.duration(wall.value or 0.0)))
    energy = told.get("energy_joules")
    if energy is None:
        return
    if energy.value is None:
        yield (
            say("energy"),
            Cell(say("not_measured"), say.said(energy.because.removeprefix("not measured: "))),
        )
    else:
        yield say("energy"), Cell(say.energy(energy.value), say.said(energy.method))


def _read(record: Record, told: Mapping[str, Finding], say: Wording) -> Iterator[tuple[str, Cell]]:
    """What of the texts was read: the pieces of documents, or how many texts were cut; the tokens, and a second's share."""
    length, texts = record.charter.model.max_length, told.get("truncated_texts")
    if texts is not None:
        every = say.count(texts.n or 0)
        if record.charter.task.use in LANGUAGE_MODELS:
            yield say("pieces"), Cell(say("pieces_of", count=every, length=length))
        else:
            cut = say.count(texts.value or 0)
            yield say("truncated"), Cell(say("truncated_of", count=cut, all=every, length=length))
    tokens, speed = told.get("tokens"), told.get("tokens_per_second")
    if tokens is not None and speed is not None and speed.value:
        yield (
            say("tokens"),
            Cell(say.count(tokens.value or 0), say("tokens_speed", speed=say.count(speed.value))),
        )


def _start(record: Record, say: Wording) -> Iterator[tuple[str, Cell]]:
    """What the head starts from and what training makes smaller, where they are not the usual ones."""
    described, objective = descriptions_of(record), record.charter.training.objective
    if described:
        yield say("start"), Cell(say("start_described", count=len(described)))
    if objective is not None:
        key = f"objective_{objective.use}"
        yield say("objective"), Cell(say(key) if say.has(key) else objective.use)


def descriptions_of(record: Record) -> Mapping[str, str]:
    """The descriptions that the head starts from; none where it starts at random."""
    found = record.charter.task.options.get("descriptions")
    return found if record.charter.task.use == "classification" and isinstance(found, Mapping) else {}


def _descriptions(record: Record, say: Wording) -> list[Table]:
    rows = [
        [Cell(label, kind="own"), Cell(text, kind="own")] for label, text in descriptions_of(record).items()
    ]
    headings = [Heading(say("slice_class")), Heading(say("description"))]
    title = say("described")
    return [Table(title, headings, rows, title=title)] if rows else []


def _curves(record: Record, say: Wording) -> list[object]:
    loss = plots.learning(say("loss"), record.history, say("update"))
    caption = say("validation_score", metric=say.metric(headline(record)))
    score = plots.scores(caption, record.history, say("update"))
    drawn = [(loss, say("loss")), (score, caption)]
    by_depth = any("rates" in entry for entry in record.history)
    if by_depth or record.charter.task.use in LANGUAGE_MODELS:
        said = say("learning_rates" if by_depth else "learning_rate")
        drawn.append((plots.rates(said, record.history, say("update")), said))
    figures = [Figure(svg, said) for svg, said in drawn if svg]
    return [Pair(*figures[:2]), *figures[2:]] if len(figures) > 1 else list(figures)


def _times(record: Record, say: Wording) -> Table:
    headings = [Heading(say("stage")), Heading(say("time"), number=True), Heading("")]
    rows = [
        [
            Cell(say.stage(str(stage["name"]))),
            Cell(say.duration(float(stage.get("seconds", 0.0))), kind="number"),
            Cell(say("made_before" if stage.get("reused") else "new")),
        ]
        for stage in record.stages
    ]
    headings[2] = Heading(say("run"))
    return Table(say("time_caption"), headings, rows, narrow=True, title=say("time_caption"))


def provenance_section(record: Record, say: Wording) -> Section:
    """Where the model comes from, and which charters were judged before."""
    origin = record.provenance
    parts: list[object] = [
        Facts(list(_origin(record, say))),
        *lineage_tables(record, say),
        *_earlier(record, say),
    ]
    text = json.dumps(dict(origin), ensure_ascii=False, indent=1)
    parts.append(Fold(say("raw_provenance"), [Raw(say("raw_provenance"), text)]))
    return Section("provenance", say("provenance"), parts)


def _origin(record: Record, say: Wording) -> Iterator[tuple[str, Cell]]:
    origin, charter = record.provenance, record.charter

    def digest(value: object) -> str:
        return say("digest", digest=str(value)[:DIGEST])

    yield say("run"), Cell(record.run_id, kind="code")
    yield (
        say("ended"),
        Cell(when(record.created, seconds=True), kind="own"),
    )
    yield say("charter"), Cell(charter.name, digest(charter.digest), "own")
    data: Mapping[str, Any] = origin.get("data", {})
    source = charter.data.source
    where = (
        ", ".join(f"{part}: {place_text(place)}" for part, place in source.items())
        if isinstance(source, dict)
        else place_text(source)
    )
    where += "".join(f" + {place_text(join.source)}" for join in charter.data.join)
    yield say("dataset"), Cell(charter.data_id, digest(data.get("source_digest", "")), "own")
    yield say("source"), Cell(where, kind="code")
    yield say("test_rows"), Cell(digest(data.get("test_digest", "")))
    base: Mapping[str, Any] = origin.get("base", {})
    about = digest(base.get("digest", ""))
    if base.get("revision"):
        revision = {"revision": base["revision"], "digest": str(base.get("digest", ""))[:DIGEST]}
        about = say("revision", **revision)
    about += f"; {say('head_kept')}" if base.get("head") else ""
    yield say("base"), Cell(charter.model.begins_with, about, "own")
    teacher: Mapping[str, Any] = origin.get("teacher") or {}
    if teacher:
        doubt = [say("teacher_may_know")] if teacher.get("may_have_read_test_rows") else []
        about = " · ".join([digest(teacher["digest"]), *doubt])
        yield say("teacher"), Cell(str(teacher.get("name") or teacher["reference"]), about, "own")
    for name, export in (origin.get("exports") or {}).items():
        said = say("format_said", format=name, digest=str(export["digest"])[:DIGEST])
        size = f"{export['bytes'] / 1e6:.3g} MB" if "bytes" in export else ""
        yield say("released_model"), Cell(said, size)
    seeds: Mapping[str, Any] = origin.get("seeds", {})
    said = say("seeds_said", split=seeds.get("split", ""), training=seeds.get("training", ""))
    yield say("seeds"), Cell(said)
    if not (origin.get("privacy") or {}).get("differential_privacy"):
        yield say("privacy"), Cell(say("privacy_none"))
    machine: Mapping[str, Any] = origin.get("hardware", {})
    known = {key: machine.get(key, "") for key in ("machine", "cores", "system")}
    yield say("hardware"), Cell(say("hardware_said", **known))
    versions = " · ".join(f"{name} {version}" for name, version in (origin.get("versions") or {}).items())
    yield say("versions"), Cell(versions, kind="own")


def _earlier(record: Record, say: Wording) -> Iterator[Table]:
    charters: Sequence[Mapping[str, Any]] = record.judged_before.get("charters", ())
    if not charters:
        return
    headings = [Heading(say(f"earlier_{key}")) for key in ("when", "charter", "run", "outcome", "rows")]
    rows = []
    for one in charters:
        status = f"status_{one.get('status', '')}"
        rows.append(
            [
                Cell(when(str(one["at"]), seconds=True)),
                Cell(str(one["charter"])[:DIGEST], kind="code"),
                Cell(str(one["run"]), kind="code"),
                Cell(say(status if say.has(status) else "status_")),
                Cell(say("same_rows" if one["same_split"] else "other_rows")),
            ]
        )
    yield Table(say("earlier"), headings, rows, title=say("earlier"))


def findings_section(record: Record, say: Wording) -> Section:
    """Every finding, folded away."""
    title = say("findings", count=len(record.findings))
    table = finding_table(record.findings, say, say("findings_caption"))
    return Section("findings", title, [Fold(say("findings_caption"), [table])])


def glossary_section(record: Record, say: Wording) -> Section:
    """Every metric on the page, and a few words more, in plain sentences."""
    used = {one.metric for one in record.findings} & set(METRICS)
    chinese = say.language == "zh"
    items = [
        (name, say.metric(name), name, metric.meaning_zh if chinese else metric.meaning_en)
        for name, metric in METRICS.items()
        if name in used
    ]
    items += [
        ("", zh if chinese else en, "", told_zh if chinese else told_en) for en, zh, told_en, told_zh in TERMS
    ]
    return Section("glossary", say("glossary"), [Glossary(items)])
