"""Begin: the base that a run fine-tunes, as it is found, or further pre-trained on texts without labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from charter import plugins
from charter.data.pieces import documents_encoded
from charter.data.preparations.languages import languages_of
from charter.errors import MissingExtraError
from charter.models.architectures import is_decoder, new_base
from charter.models.base import Base, find_base, load_base, load_tokenizer, unknown_share
from charter.models.exports import save_model
from charter.models.tokenizers import Tokenization
from charter.models.world import World
from charter.pipeline.ancestry import Ancestor, with_head
from charter.pipeline.judging_bases import AREA, judge_base
from charter.pipeline.learning import train_model
from charter.pipeline.preparing import PreparedData, distributions, resolved
from charter.pipeline.progress import OnProgress
from charter.pipeline.reading import language_examples
from charter.pipeline.spending import check_plain
from charter.pipeline.unlabelled import kept_apart, prepared_texts
from charter.runs.digest import frame_digest
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Stage
from charter.spec.model import Charter
from charter.spec.use import Use

BEGIN, LEARN = "begin", "pretrain"
VERSION = 2


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
    texts = kept_apart(run, prepared_texts(run, inner, folder), data)
    if not charter.pretraining.public:
        check_plain(run, charter, folder, texts, stage=LEARN)
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
            "privacy": None,  # of the task's rows; under one the texts are public
            "task": asked.objective,
            "training": asked.training,
            "audits": (Use(use="performance"),),
            "limits": (),
        }
    )


def _nobody(entry: Mapping[str, Any]) -> None:
    del entry
