"""Training rows that stand in evaluation sets: a score on such a set would measure memory, not skill."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.columns import ROW, Columns
from charter.data.preparation import Outcome, Preparation
from charter.data.roles import checked
from charter.data.similarity.overlap import Reference
from charter.data.similarity.shingles import Hashes, text_keys, word_shingles
from charter.data.sources.locations import Location, find_location
from charter.data.table import Asked
from charter.errors import DataError, OptionError
from charter.runs.digest import value_digest
from charter.spec.data import Place
from charter.spec.use import Use

Names = Annotated[str, Field(min_length=1)]
AT_ONCE = 8_192
"""Rows whose grams are in memory at a time."""


def decontaminate(
    folder: Path = Path(),
    *,
    against: Annotated[
        dict[Names, Place],
        Field(
            min_length=1,
            description="name of an evaluation set -> where it is, as in data.source, such as {sst2: sst2/test.tsv}",
        ),
    ],
    columns: Annotated[
        dict[Names, Names],
        Field(
            description="name of a set -> its text column, where that is not called like the charter's own"
        ),
    ] = {},  # noqa: B006  (never changed)
    encoding: Annotated[str, Field(description="text encoding of the sets' files")] = "utf-8",
    ngram: Annotated[
        int | None,
        Field(
            ge=2, le=100, description="a run of so many words in common is contamination; null: not looked at"
        ),
    ] = 13,
    similarity: Annotated[
        float | None,
        Field(
            gt=0,
            le=1,
            description="Jaccard similarity of character 5-grams from which texts count as the same; null: not looked at",
        ),
    ] = 0.8,
) -> Preparation:
    """Leave out rows whose text is in an evaluation set: equal, similar, or with a run of words in common.

    It acts on all but the test split, on what the model is trained, chosen and calibrated by. Equal is without case,
    spaces and punctuation; runs of 13 words are those of GPT-3 (Brown et al., Language models are few-shot learners,
    2020, appendix C), where each Chinese character is a word. Of the sets only hashes are kept, and no text is stored.

    Raises:
        OptionError: `columns` names what is no set.
        DataError: on use, a set that can't be read or lacks the column.
    """
    if unknown := sorted(columns.keys() - against.keys()):
        raise OptionError(
            f"preparation 'decontaminate': columns names '{unknown[0]}', which is no set of against: {', '.join(against)}"
        )

    def places(own: str) -> list[_Place]:
        return [_Place(name, at, columns.get(name, own), encoding, folder) for name, at in against.items()]

    @cache
    def loaded(own: str) -> tuple[_Set, ...]:  # once, however many batches of rows there are
        return tuple(_Set.of(place, ngram, similarity) for place in places(own))

    def apply(frame: pl.DataFrame, roles: Columns) -> Outcome:
        told = loaded.cache_info().currsize > 0
        reasons = np.full(frame.height, None, dtype=object)
        for one in loaded(roles.text):
            for start in range(0, frame.height, AT_ONCE):
                found = one.found_in(frame[roles.text].slice(start, AT_ONCE))
                _note(reasons[start : start + AT_ONCE], found, one.name)
        counts = {
            f"left: rows of evaluation set '{one.name}' that can't be read": one.unread
            for one in loaded(roles.text)
            if one.unread and not told
        }
        reason = pl.Series("reason", reasons.tolist(), dtype=pl.String)
        dropped = frame.select(ROW, reason).drop_nulls("reason")
        return Outcome(frame.filter(reason.is_null()), dropped, counts)

    def volatile() -> bool:
        return any(find_location(at, folder).source.volatile for at in against.values())

    def digest(roles: Columns) -> str:
        return value_digest({place.name: place.digest() for place in places(roles.text)})

    return Preparation(
        row_wise=False,
        apply=apply,
        splits=("train", "validation", "calibration"),
        digest=digest,
        volatile=volatile,
        reach="row",
    )


@dataclass(frozen=True)
class _Place:
    """Where an evaluation set is, and its text column."""

    name: str
    place: str | Use
    column: str
    encoding: str
    folder: Path

    @property
    def _location(self) -> Location:
        try:
            return find_location(self.place, self.folder)
        except DataError as error:
            raise DataError(f"preparation 'decontaminate', set '{self.name}': {error}") from None

    @property
    def _asked(self) -> Asked:
        return Asked(Columns({self.column: "text"}), self.encoding, needs_target=False)

    def texts(self) -> tuple[pl.Series, int]:
        """Its texts, and how many of its rows can't be read."""
        found = self._location
        try:
            tables = [
                checked(one, self._asked) for one in found.source.read(found.rest, self.folder, self._asked)
            ]
        except DataError as error:
            raise DataError(f"preparation 'decontaminate', set '{self.name}': {error}") from None
        texts = pl.concat([one.frame[self.column] for one in tables])
        if not len(texts):
            raise DataError(
                f"preparation 'decontaminate', set '{self.name}': none of its rows has a text in column '{self.column}'"
            )
        return texts, sum(one.rejects.height for one in tables)

    def digest(self) -> str:
        """What names its bytes."""
        found = self._location
        try:
            return found.source.digest(found.rest, self.folder, self._asked)
        except DataError as error:
            raise DataError(f"preparation 'decontaminate', set '{self.name}': {error}") from None


@dataclass(frozen=True)
class _Set:
    """An evaluation set as it is looked for: hashes of its texts and of their runs of words, and its similar texts.

    unread: how many of its rows can't be read.
    """

    name: str
    unread: int
    keys: Hashes
    ngram: int | None
    runs: Hashes
    near: Reference | None

    @classmethod
    def of(cls, place: _Place, ngram: int | None, similarity: float | None) -> "_Set":
        texts, unread = place.texts()
        no_runs = np.zeros(0, dtype=np.uint64)
        runs = np.unique(word_shingles(texts, ngram).hashes) if ngram is not None else no_runs
        near = Reference(texts, similarity) if similarity is not None else None
        return cls(place.name, unread, np.unique(text_keys(texts)), ngram, runs, near)

    def found_in(self, texts: pl.Series) -> dict[str, NDArray[np.bool_]]:
        """By the reason, in their order, which of some texts are in the set."""
        found = {"equal text": np.isin(text_keys(texts), self.keys)}
        if self.ngram is not None:
            grams = word_shingles(texts, self.ngram)
            shared = np.zeros(len(texts), dtype=bool)
            shared[grams.rows[np.isin(grams.hashes, self.runs)]] = True
            found[f"{self.ngram} words in a row"] = shared
        if self.near is not None:
            found[f"similar text (at least {self.near.similarity:g})"] = self.near.like(texts)
        return found


def _note(reasons: NDArray[np.object_], found: dict[str, NDArray[np.bool_]], name: str) -> None:
    """The first reason that applies to each row that has none yet."""
    for kind, rows in found.items():
        for at in np.flatnonzero(rows):
            if reasons[at] is None:
                reasons[at] = f"in evaluation set '{name}': {kind}"
