"""Which rows are like texts that earlier models have seen: rows that they learned from, texts that they were pre-trained on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import Columns
from charter.data.similarity.containment import Holding
from charter.data.similarity.overlap import Reference
from charter.data.similarity.shingles import text_keys
from charter.pipeline.ancestry import Ancestor
from charter.pipeline.preparing import PreparedData
from charter.runs.digest import frame_digest
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Artifact, Stage
from charter.spec.model import Charter

COMPARE = "compare texts"
VERSION = 1
AREA = "continual"
LEARNED, PRETRAINED = "learned from by an earlier model", "pre-trained on by an earlier model"
"""Kinds of leakage from an earlier model's data, beside those within the charter's own."""
UNKNOWN = "texts_known"
"""The finding without a value that says why some earlier model's pre-training texts could not be compared."""


@dataclass(frozen=True)
class PriorTexts:
    """The texts that an ancestor was pre-trained on. name: the ancestor's; artifact: None where they are not in this run store."""

    name: str
    columns: Columns
    artifact: Artifact | None


class Texts:
    """Texts that others are compared with; hashes only."""

    def __init__(self, texts: Sequence[pl.Series], similarity: float) -> None:
        all_of_them = (
            pl.concat([one.rename("text") for one in texts])
            if texts
            else pl.Series("text", [], dtype=pl.String)
        )
        there = len(all_of_them) > 0
        self._keys = np.unique(text_keys(all_of_them)) if there else np.empty(0, dtype=np.uint64)
        self._near = Reference(all_of_them, similarity) if there else None

    def like(self, texts: pl.Series) -> NDArray[np.bool_]:
        """(n,) which texts are equal or similar to one of them."""
        if self._near is None or not len(texts):
            return np.zeros(len(texts), dtype=bool)
        return np.isin(text_keys(texts), self._keys) | self._near.like(texts)


def said(columns: Columns, rows: pl.DataFrame) -> pl.Series:
    """What each row says as one text, words that are a list too."""
    texts = columns.texts(rows)
    return texts.list.join(" ") if isinstance(texts.dtype, pl.List) else texts


def given_leakage(
    splits: pl.Series, known: NDArray[np.bool_], given: Sequence[str], how: str
) -> Iterator[Finding]:
    """How many rows of each given held-out split an earlier model has learned from: they stay, since given splits are never changed.

    splits: (n,) of each row; known: (n,) whether it is like a row that was learned from before; how: by what measure, in words.
    """
    for split in given:
        rows = (splits == split).to_numpy()
        yield Finding(
            "data",
            "leakage",
            float((rows & known).sum()),
            n=int(rows.sum()),
            slice={"kind": LEARNED, "split": split},
            method=f"rows of the given split, which stay, {how}",
            unit="rows",
        )


def pretrained_on(
    run: Run, charter: Charter, before: PreparedData, data: PreparedData, ancestor: Ancestor
) -> list[Finding]:
    """Which test rows stand in texts that an earlier model was pre-trained on, or that this can't be known.

    They stay: no label of them was learned, and a corpus may well hold all that there is. before: the rows as prepared, whose test
    split an ancestor may have kept apart from its texts; data: those that are judged on.
    """
    texts = list(_texts(run, before, ancestor))
    if not texts:
        return []
    similarity = charter.data.split.similarity
    test = data.part("test")
    stage = Stage(
        COMPARE,
        VERSION,
        options={"similarity": similarity, "inputs": list(data.columns.inputs)},
        inputs={
            "rows": frame_digest(test),
            **{
                f"texts {at}": one.artifact.digest if one.artifact is not None else f"missing: {one.name}"
                for at, one in enumerate(texts)
            },
        },
        libraries=("charter", "numpy", "polars", "scipy"),
    )

    def make(files: Path, work: Path) -> None:
        del work
        write_findings(files / "findings.jsonl", _compared(test, data.columns, texts, similarity))

    found = read_findings(run.step(stage, make).path / "findings.jsonl")
    for one in found:
        if one.value is None:
            run.note(
                COMPARE,
                f"whether an earlier model was pre-trained on some of the test rows is not known: {one.because}",
            )
    return found


def _texts(run: Run, data: PreparedData, ancestor: Ancestor) -> Iterator[PriorTexts]:
    """What each ancestor was pre-trained on, but for texts that were kept apart from these very test rows."""
    for about in ancestor.lineage:
        read, own = about.get("pretraining"), about["data"]
        apart = (
            own["source_digest"] == data.artifact.record["inputs"]["source"]
            and own["test_digest"] == data.test_digest
        )
        if not read or apart:
            continue
        artifact = run.store.with_digest(str(read["prepared_digest"]))
        yield PriorTexts(str(about["name"]), Columns(dict.fromkeys(read["inputs"], "text")), artifact)


def _compared(
    test: pl.DataFrame, columns: Columns, texts: Sequence[PriorTexts], similarity: float
) -> Iterator[Finding]:
    there = [one for one in texts if one.artifact is not None]
    if there:
        seen = np.zeros(test.height, dtype=bool)
        for form in _forms(test, columns):
            exposed = _Exposed(form, similarity)
            for one in there:
                exposed.read(one)
            seen |= exposed.found
        yield Finding(
            "data",
            "leakage",
            float(seen.sum()),
            n=test.height,
            slice={"kind": PRETRAINED, "split": "test"},
            method=f"rows of the split, which stay, equal or similar (at least {similarity:g}) to a text that an earlier model was "
            "pre-trained on, or inside of one",
            unit="rows",
            on=frame_digest(test),
        )
    missing = next((one.name for one in texts if one.artifact is None), None)
    if missing is not None:
        because = f"the texts that '{missing}' was pre-trained on are not in this run store"
        yield Finding(AREA, UNKNOWN, None, because=because, unit="rows", on=frame_digest(test))


def _forms(test: pl.DataFrame, columns: Columns) -> Iterator[pl.Series]:
    """What the rows say: all inputs of a row together, and of several each by itself, as a context stands in an article."""
    yield said(columns, test)
    if len(columns.inputs) > 1:
        yield from (said(Columns({name: "text"}), test).fill_null("") for name in columns.inputs)


class _Exposed:
    """Which of some fixed texts (n,) have been read: each text that is read is looked at once, and none is held."""

    def __init__(self, fixed: pl.Series, similarity: float) -> None:
        self._fixed, self._similarity = fixed, similarity
        self._like, self._holding = Texts([fixed], similarity), Holding(fixed)
        self.found = np.zeros(len(fixed), dtype=bool)

    def read(self, texts: PriorTexts) -> None:
        """Read what a model learned from."""
        assert texts.artifact is not None
        for chunk in PreparedData(texts.artifact, texts.columns, (), "").chunks("train"):
            read = said(texts.columns, chunk)
            near = read.filter(pl.Series(self._like.like(read)))
            self.found |= Texts([near], self._similarity).like(self._fixed) | self._holding.held_by(read)
