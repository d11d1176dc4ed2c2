"""Begin: the base that a run fine-tunes, as it is found, or further pre-trained on texts without labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from charter import plugins
from charter.data.columns import SPLIT
from charter.data.pieces import documents_encoded
from charter.data.preparations.languages import languages_of
from charter.data.similarity.containment import Holding
from charter.data.similarity.overlap import Reference
from charter.data.similarity.shingles import text_keys
from charter.data.split import NothingLeftError
from charter.errors import DataError, MissingExtraError
from charter.models.architectures import is_decoder, new_base
from charter.models.base import Base, find_base, load_base, load_tokenizer, unknown_share
from charter.models.exports import save_model
from charter.models.tokenizers import Tokenization
from charter.models.world import World
from charter.pipeline.ancestry import Ancestor, with_head
from charter.pipeline.judging_bases import AREA, judge_base
from charter.pipeline.learning import train_model
from charter.pipeline.preparing import PreparedData, distributions, prepare_data, resolved
from charter.pipeline.progress import OnProgress
from charter.pipeline.reading import language_examples
from charter.runs.digest import frame_digest
from charter.runs.files import write_table_of
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Stage
from charter.spec.model import Charter
from charter.spec.use import Use

PREPARE, APART, BEGIN, LEARN = "prepare texts", "keep apart", "begin", "pretrain"
VERSION, APART_VERSION = 2, 3


@dataclass(frozen=True)
class Begun:
    """The base that is fine-tuned. findings: how its pre-training went; origin: what it was made from, for the provenance.

    Both are empty where the base is as it was found. examples: what the pre-trained one says, where the report shows it.
    """

    base: Base
    findings: tuple[Finding, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    examples: Mapping[str, Any] | None = None


def begin_base(
    run: Run,
    charter: Charter,
    folder: Path,
    data: PreparedData,
    on_progress: OnProgress,
    world: World,
    *,
    ancestor: Ancestor | None = None,
) -> Begun:
    """Find or make the charter's base, and pre-train it where the charter says so. data: what the task learns from.

    ancestor: the released bundle that the base is, where it is one.

    Raises:
        ModelError, DataError: the base can't be found or loaded; the texts can't be read, or don't fit it.
    """
    if charter.pretraining is None:
        begun = _first_base(run, charter, folder, data)
        return replace(begun, base=with_head(begun.base, charter, ancestor, data))
    inner = pretraining_charter(charter)
    texts = _kept_apart(run, _prepared_texts(run, inner, folder), data, inner.data.split.similarity)
    begun = _first_base(run, charter, folder, texts)
    base = begun.base
    trained = train_model(
        run, inner, base, texts, on_progress, _nobody, settings=inner.training, world=world, name=LEARN
    )
    place = trained.artifact.path / "model"
    learned = replace(
        find_base(str(place), None, folder), reference=f"{base.reference}, pre-trained on {inner.data_id}"
    )
    kind: Literal["new", "found"] = "new" if charter.model.architecture is not None else "found"
    judged = judge_base(run, inner, texts, trained, (base, learned), kind, on_progress)
    curve = Finding(
        AREA,
        "learning_curve",
        float(len(trained.history)),
        unit="entries",
        method="the losses of training and of validation texts by update",
        of=learned.digest,
        attachment={"kind": "curve", "history": [dict(entry) for entry in trained.history]},
    )
    of_texts = [replace(one, area=AREA, slice={**one.slice, "of": "texts"}) for one in texts.findings]
    told = [replace(one, area=AREA) for one in trained.findings]
    source = texts.artifact.record["inputs"]["source"]
    origin = {
        **begun.origin,
        "texts": {
            "source_digest": source,
            "prepared_digest": texts.artifact.digest,
            "test_digest": texts.test_digest,
        },
        "before_digest": base.digest,
        "pretrained_digest": trained.artifact.digest,
        "seed": inner.training.seed,
    }
    examples = None
    if charter.report.examples == "masked":
        rows, length = texts.part("test"), inner.model.max_length
        examples = language_examples(
            place, trained.task, rows, texts.columns, max_length=length, seed=inner.training.seed
        )
    return Begun(learned, (*begun.findings, *of_texts, *told, curve, *judged), origin, examples)


def _first_base(run: Run, charter: Charter, folder: Path, data: PreparedData) -> Begun:
    """The base before any training: as it is found, with words added, or new. data: what its tokenizer learns from."""
    model = charter.model
    found = None if model.base is None else find_base(model.base, model.revision, folder)
    if model.tokenizer is None:
        if found is None:
            raise ValueError("a new model without a tokenizer")
        return Begun(found)
    tokenization: Tokenization = plugins.make("tokenizer", model.tokenizer.use, model.tokenizer.options)
    before = charter.pretraining
    length = max(model.max_length, before.max_length or 0 if before is not None else 0)
    seed = (charter.pretraining or charter.training).seed
    stage = Stage(
        BEGIN,
        VERSION,
        options={
            "tokenizer": resolved((model.tokenizer,), "tokenizer")[0],
            "architecture": None
            if model.architecture is None
            else model.architecture.model_dump(mode="json"),
            "max_length": length,
        },
        inputs={"texts": data.artifact.digest, "base": "" if found is None else found.digest},
        libraries=(
            "charter",
            "tokenizers",
            "torch",
            "transformers",
            *distributions((model.tokenizer,), "tokenizer"),
        ),
        seed=seed,
    )

    def texts() -> Iterator[str]:
        yield from _texts_of(data, tokenization.megabytes, seed)

    def make(files: Path, work: Path) -> None:
        del work
        place = files / "model"
        if found is not None and tokenization.extend is not None:
            base, tokenizer = load_base(found), load_tokenizer(found.folder)
            tokenization.extend(texts(), base, tokenizer)
            save_model(base, tokenizer, place)
        elif model.architecture is not None and tokenization.learn is not None:
            tokenizer = tokenization.learn(texts, is_decoder(model.architecture.use))
            new_base(model.architecture, tokenizer, place, max_length=length, seed=seed)
        findings = tokenizer_findings(load_tokenizer(place), data)
        before = [] if found is None else tokenizer_findings(load_tokenizer(found.folder), data, of="base")
        write_findings(files / "findings.jsonl", [*findings, *before])

    artifact = run.step(stage, make)
    base = replace(find_base(str(artifact.path / "model"), None, folder), reference=model.begins_with)
    findings = tuple(read_findings(artifact.path / "findings.jsonl"))
    return Begun(
        base, findings, {"begun_from": "" if found is None else found.digest, "begun_digest": base.digest}
    )


def _texts_of(data: PreparedData, megabytes: int | None, seed: int) -> Iterator[str]:
    """The training texts; a random sample of about so many megabytes where they are more, the same each time."""
    share = 1.0
    if megabytes is not None:
        size = sum(int(data.columns.texts(chunk).str.len_bytes().sum()) for chunk in data.chunks("train"))
        share = min(megabytes * 1_000_000 / max(size, 1), 1.0)
    random = np.random.default_rng(seed)
    for chunk in data.chunks("train"):
        drawn = pl.Series(random.random(chunk.height) < share)
        yield from data.columns.texts(chunk).filter(drawn)


MOST_JUDGED = 2_000
"""A tokenizer is measured on so many held-out texts at most."""


FEWEST = 5
"""Languages of fewer texts are not told apart."""


def _languages(texts: pl.Series) -> pl.Series:
    """The language of each text; null where it is not known, or where nothing that tells it is installed."""
    try:
        return languages_of(texts)["language"]
    except MissingExtraError:
        return pl.Series("language", [None] * len(texts), dtype=pl.String)


def tokenizer_findings(tokenizer: Any, data: PreparedData, *, of: str = "") -> list[Finding]:
    """Characters per token and the share of tokens unknown, on held-out texts, by language. of: `base` for the base's own."""
    rows = data.scan("test").head(MOST_JUDGED).collect()
    texts = data.columns.texts(rows)
    on = frame_digest(rows)
    found = []
    languages = _languages(texts)
    known = languages.drop_nulls().value_counts().filter(pl.col("count") >= FEWEST)
    for language in (None, *sorted(known[languages.name].to_list())):
        some = texts if language is None else texts.filter((languages == language).fill_null(False))
        tokens = list(documents_encoded(some.to_list(), tokenizer))
        count = sum(map(len, tokens))
        where = {**({"language": language} if language else {}), **({"tokenizer": of} if of else {})}
        common: dict[str, Any] = {"n": len(some), "slice": where, "on": on, "split": "test"}
        if not count:
            continue
        found.append(
            Finding(
                AREA,
                "characters_per_token",
                float(some.str.len_chars().sum()) / count,
                unit="characters",
                method="characters of held-out texts over their tokens",
                **common,
            )
        )
        found.append(
            Finding(
                AREA,
                "unknown_tokens",
                unknown_share(tokenizer, tokens),
                unit="share",
                method="share of held-out texts' tokens",
                **common,
            )
        )
    return found


def pretraining_charter(charter: Charter) -> Charter:
    """The section `pretraining` as a charter of its own: its texts are the data, its objective the task."""
    asked = charter.pretraining
    if asked is None:
        raise ValueError("the charter has no section pretraining")
    return Charter.model_construct(
        **{
            **{name: getattr(charter, name) for name in Charter.model_fields},
            "data": asked.data(f"{charter.data_id}-texts"),
            "model": charter.model.model_copy(
                update={
                    "max_length": asked.max_length or charter.model.max_length,
                    "adapt": Use(use="full"),
                    "tokenizer": None,
                }
            ),
            "pretraining": None,
            "task": asked.objective,
            "training": asked.training,
            "audits": (Use(use="performance"),),
            "limits": (),
        }
    )


def _prepared_texts(run: Run, inner: Charter, folder: Path) -> PreparedData:
    """The texts, prepared and split; what goes wrong with the split is said by the keys of `pretraining`."""
    try:
        return prepare_data(run, inner, folder, name=PREPARE)
    except NothingLeftError as error:
        count, split = sum(error.sizes.values()), inner.data.split
        purpose = "to learn from" if error.missing == "train" else "to be judged on"
        hint = "hold out whole texts (tail: false), or give longer ones"
        if not split.tail:
            hint = (
                "give more texts, a larger held_out, or tail: true, which holds out the end of each text; texts that are alike stay on "
                "one side, and what a text is the source says (lines:, paragraphs:)"
            )
        raise DataError(
            f"pretraining.held_out {2 * (split.test or 0.0):g} of {count:,} texts leaves none {purpose}: {hint}"
        ) from None


HELD_OUT = ("validation", "calibration", "test")


def _kept_apart(run: Run, texts: PreparedData, data: PreparedData, similarity: float) -> PreparedData:
    """The texts without those that are like a row that the task is judged on, or hold one: nothing of these is learned from.

    Raises:
        DataError: no text to learn from is left.
    """
    judged = pl.concat([data.part(split) for split in HELD_OUT])
    source = texts.artifact.record["inputs"]["source"]
    stage = Stage(
        APART,
        APART_VERSION,
        options={"similarity": similarity},
        inputs={"source": source, "texts": texts.artifact.digest, "judged": frame_digest(judged)},
        libraries=("charter", "numpy", "polars", "scipy"),
    )

    def make(files: Path, work: Path) -> None:
        del work
        said = _said(judged, data)
        keys, near, holding = np.unique(text_keys(said)), Reference(said, similarity), Holding(said)
        learned = left_out = 0

        def kept() -> Iterator[pl.DataFrame]:
            nonlocal learned, left_out
            for chunk in texts.chunks():
                own = texts.columns.texts(chunk)
                held_out = chunk[SPLIT] != "train"
                apart = pl.Series(~(np.isin(text_keys(own), keys) | near.like(own) | holding.held_in(own)))
                left_out += int((~(held_out | apart)).sum())
                learned += int((~held_out & apart).sum())
                yield chunk.filter(held_out | apart)

        write_table_of(files / "rows.parquet", kept())
        if left_out and not learned:
            raise DataError(
                f"pretraining.source: each of the {left_out:,} texts to learn from is equal or similar to a row that the task is "
                "judged on, or holds one, so nothing may be learned from them. Where texts are long, read them in parts "
                '(source: "paragraphs:FILE"): only the parts in question are then left out'
            )
        told = Finding(
            "data",
            "texts_kept_apart",
            float(left_out),
            unit="rows",
            method=f"texts not learned from: equal or similar (at least {similarity:g}) to a row that the task is judged on, "
            "or holding one",
            on=texts.artifact.digest,
        )
        write_findings(files / "findings.jsonl", [told])

    artifact = run.step(stage, make)
    told = read_findings(artifact.path / "findings.jsonl")
    left_out = sum(one.value or 0.0 for one in told if one.metric == "texts_kept_apart")
    of_learned = {"split": "train"}
    counted = [
        replace(one, value=(one.value or 0.0) - left_out)
        if one.metric == "rows" and dict(one.slice) == of_learned
        else one
        for one in texts.findings
    ]
    return PreparedData(artifact, texts.columns, (*counted, *told), texts.test_digest)


def _said(rows: pl.DataFrame, data: PreparedData) -> pl.Series:
    """What the rows say: all inputs of a row together, and of several each by itself, as a context stands in an article."""
    whole = data.columns.texts(rows)
    parts = [_cells(rows[name]) for name in data.columns.inputs] if len(data.columns.inputs) > 1 else []
    said = pl.concat([one.rename("text") for one in (whole, *parts)])
    return said.filter(said.str.strip_chars() != "").unique(maintain_order=True)


def _cells(column: pl.Series) -> pl.Series:
    texts = column.list.join(" ") if isinstance(column.dtype, pl.List) else column
    return texts.fill_null("")


def _nobody(entry: Mapping[str, Any]) -> None:
    del entry
