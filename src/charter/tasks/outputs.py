"""A model's raw outputs as a table, so that they can be an artefact."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.columns import ROW
from charter.tasks.task import Outputs


def to_frame(rows: NDArray[np.int64], outputs: Outputs) -> pl.DataFrame:
    """Outputs as a table {_row, decisions, values}: `decisions` is 0 for logits (classes,), else words of (words, classes)."""
    return pl.DataFrame(
        {
            ROW: pl.Series(rows, dtype=pl.Int64),
            "decisions": pl.Series([0 if one.ndim == 1 else one.shape[0] for one in outputs], dtype=pl.Int64),
            "values": pl.Series([one.ravel() for one in outputs], dtype=pl.List(pl.Float32)),
        }
    )


def from_frame(frame: pl.DataFrame) -> Outputs:
    """The outputs that `to_frame` wrote, exactly."""
    shapes: Sequence[int] = frame["decisions"].to_list()
    values = [np.asarray(one, dtype=np.float32) for one in frame["values"].to_list()]
    return [one if words == 0 else one.reshape(words, -1) for one, words in zip(values, shapes, strict=True)]
