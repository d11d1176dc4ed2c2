"""Texts without labels, prepared, and without those by which the base would learn what the task is judged on."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import SPLIT
from charter.data.similarity.containment import Holding
from charter.data.similarity.overlap import Reference
from charter.data.similarity.shingles import text_keys
from charter.data.split import NothingLeftError
from charter.errors import DataError
from charter.pipeline.preparing import PreparedData, prepare_data
from charter.runs.digest import frame_digest
from charter.runs.files import write_table_of
from charter.runs.findings import Finding, read_findings, write_findings
from charter.runs.run import Run
from charter.runs.store import Stage
from charter.spec.data import Split
from charter.spec.model import Charter

PREPARE, APART = "prepare texts", "keep apart"
VERSION = 3
HELD_OUT = ("validation", "calibration", "test")
LEFT_OUT = "texts_kept_apart"


def prepared_texts(run: Run, inner: Charter, folder: Path) -> PreparedData:
    """The texts, prepared and split; what goes wrong with the split is said by the keys of `pretraining`.

    Raises:
        DataError: the texts can't be read; none is left to learn from, or to be judged on.
    """
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


def kept_apart(run: Run, texts: PreparedData, data: PreparedData) -> PreparedData:
    """The texts without those that are like a row that the task is judged on, or hold one: nothing of these is learned from.

    data: what the task learns from and is judged on.

    Raises:
        DataError: no text to learn from is left.
    """
    judged = pl.concat([data.part(split) for split in HELD_OUT])
    similarity = Split().similarity
    source = texts.artifact.record["inputs"]["source"]
    stage = Stage(
        APART,
        VERSION,
        options={"similarity": similarity},
        inputs={"source": source, "texts": texts.artifact.digest, "judged": frame_digest(judged)},
        libraries=("charter", "numpy", "polars", "scipy"),
    )

    def make(files: Path, work: Path) -> None:
        del work
        sieve = _Sieve(_said(judged, data), similarity)
        write_table_of(files / "rows.parquet", sieve.kept(texts))
        if sieve.left_out and not sieve.learned:
            raise DataError(
                f"pretraining.source: each of the {sieve.left_out:,} texts to learn from is equal or similar to a row that the task "
                "is judged on, or holds one, so nothing may be learned from them. Where texts are long, read them in parts "
                '(source: "paragraphs:FILE"): only the parts in question are then left out'
            )
        told = Finding(
            "data",
            LEFT_OUT,
            float(sieve.left_out),
            unit="rows",
            method=f"texts not learned from: equal or similar (at least {similarity:g}) to a row that the task is judged on, "
            "or holding one",
            on=texts.artifact.digest,
        )
        write_findings(files / "findings.jsonl", [told])

    artifact = run.step(stage, make)
    told = read_findings(artifact.path / "findings.jsonl")
    findings = (*_counted(texts.findings, told), *told)
    return PreparedData(artifact, texts.columns, findings, texts.test_digest)


class _Sieve:
    """Lets texts through that are not like one of `said`, and hold none; counts those to learn from on both sides."""

    def __init__(self, said: pl.Series, similarity: float) -> None:
        self._keys, self._near, self._holding = (
            np.unique(text_keys(said)),
            Reference(said, similarity),
            Holding(said),
        )
        self.learned = self.left_out = 0

    def kept(self, texts: PreparedData) -> Iterator[pl.DataFrame]:
        """All held-out texts, and of those to learn from the ones that pass."""
        for chunk in texts.chunks():
            train = (chunk[SPLIT] == "train").to_numpy()
            known = self._knows(texts.columns.texts(chunk))
            self.left_out += int((train & known).sum())
            self.learned += int((train & ~known).sum())
            yield chunk.filter(pl.Series(~(train & known)))

    def _knows(self, texts: pl.Series) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.isin(text_keys(texts), self._keys)
        return found | self._near.like(texts) | self._holding.held_in(texts)


def _counted(prepared: Sequence[Finding], told: Sequence[Finding]) -> Iterator[Finding]:
    """What was found when the texts were prepared, with those that are learned from counted as they are now."""
    left_out = sum(one.value or 0.0 for one in told if one.metric == LEFT_OUT)
    for one in prepared:
        learned = one.metric == "rows" and dict(one.slice) == {"split": "train"}
        yield replace(one, value=(one.value or 0.0) - left_out) if learned else one


def _said(rows: pl.DataFrame, data: PreparedData) -> pl.Series:
    """What the rows say: all inputs of a row together, and of several each by itself, as a context stands in an article."""
    whole = data.columns.texts(rows)
    parts = [_cells(rows[name]) for name in data.columns.inputs] if len(data.columns.inputs) > 1 else []
    said = pl.concat([one.rename("text") for one in (whole, *parts)])
    return said.filter(said.str.strip_chars() != "").unique(maintain_order=True)


def _cells(column: pl.Series) -> pl.Series:
    texts = column.list.join(" ") if isinstance(column.dtype, pl.List) else column
    return texts.fill_null("")
