"""Random choices that depend on a seed and a row's number only: the same whatever the order of rows, and in any batches."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import ROW

Keys = NDArray[np.uint64]


def mixed(values: Keys) -> Keys:
    """Each bit of a value spread over all of it (the finaliser of SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def occurrences(frame: pl.DataFrame) -> pl.Series:
    """For each row how many of the same number stand before it: 0, but for rows that a preparation made."""
    return frame.select(pl.int_range(pl.len()).over(ROW).alias("occurrence"))["occurrence"]


def keys_of(frame: pl.DataFrame, seed: int) -> Keys:
    """(n,) a pseudo-random number for each row."""
    rows = frame[ROW].to_numpy().astype(np.uint64)
    copies = occurrences(frame).to_numpy().astype(np.uint64)
    return mixed(mixed(mixed(np.full(len(rows), seed, dtype=np.uint64)) ^ rows) ^ copies)


def order_of(frame: pl.DataFrame, seed: int) -> NDArray[np.int64]:
    """(n,) the places of the rows in a random order."""
    return np.argsort(keys_of(frame, seed), kind="stable")
