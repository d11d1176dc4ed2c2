"""The groups whose treatment is compared: those of each declared column, and of several columns together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.spec.fairness import MOST_TOGETHER

MISSING = "(missing)"
"""The group of the rows that name none."""


@dataclass(frozen=True)
class Grouping:
    """One way to group rows. columns: by whose values. groups: of each group its values, in sorted order; number: (n,) each row's."""

    columns: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    number: NDArray[np.int64]

    @property
    def name(self) -> str:
        """As limits say it: `sex`, or `sex & race`."""
        return " & ".join(self.columns)

    def where(self, group: int) -> Mapping[str, str]:
        """A group as a slice of a finding."""
        return dict(zip(self.columns, self.groups[group], strict=True))

    def said(self, group: int) -> str:
        """A group in words: `Female`, or `Female & Black`."""
        return " & ".join(self.groups[group])


def groupings(rows: pl.DataFrame, columns: Sequence[str], *, together: bool) -> Iterator[Grouping]:
    """The groups of each column and, if asked, of each two and three columns together; rows without a value are a group of their own."""
    named = {column: rows[column].cast(pl.String).fill_null(MISSING).to_numpy() for column in columns}
    for size in range(1, (min(len(columns), MOST_TOGETHER) if together else 1) + 1):
        for chosen in combinations(columns, size):
            table = np.stack([named[column] for column in chosen], axis=1).astype(str)
            found, number = np.unique(table, axis=0, return_inverse=True)
            yield Grouping(chosen, tuple(map(tuple, found.tolist())), number.reshape(-1).astype(np.int64))
