"""Short texts: how long a text is, counted alike in scripts with and without spaces."""

from typing import Annotated

import polars as pl
from pydantic import Field

from charter.data.columns import ROW, Columns
from charter.data.preparation import Outcome, Preparation
from charter.data.words import characters_of, words_of
from charter.errors import OptionError


def drop_short(
    *,
    words: Annotated[
        int | None,
        Field(ge=1, description="fewest words; each Chinese character counts as one, as in UAX 29"),
    ] = None,
    characters: Annotated[int | None, Field(ge=1, description="fewest characters that are no spaces")] = None,
) -> Preparation:
    """Leave out texts of fewer words or characters than these; `charter predict` answers such a text with the reason.

    Thai, Lao, Khmer and Burmese have no spaces and are counted by runs of letters: give `characters` for them.

    Raises:
        OptionError: neither is given.
    """
    if words is None and characters is None:
        raise OptionError("preparation 'drop_short': give words, such as 3, or characters, such as 10")
    measures = [
        (least, f"fewer than {least} {unit}", count)
        for least, unit, count in ((words, "words", words_of), (characters, "characters", characters_of))
        if least is not None
    ]

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        reason = pl.Series("reason", [None] * frame.height, dtype=pl.String)
        for least, said, count in reversed(measures):
            short = count(columns.texts(frame)) < least
            reason = pl.select(pl.when(short).then(pl.lit(said)).otherwise(reason)).to_series()
        dropped = frame.select(ROW, reason.alias("reason")).drop_nulls("reason")
        return Outcome(frame.filter(reason.is_null()), dropped, {})

    return Preparation(row_wise=True, apply=apply)
