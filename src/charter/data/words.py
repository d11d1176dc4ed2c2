"""Texts as words, counted alike in scripts with and without spaces."""

import polars as pl

IDEOGRAPHS = r"\p{Han}\p{Hiragana}"
WORD = (
    rf"[{IDEOGRAPHS}]|[\p{{L}}\p{{M}}\p{{N}}--{IDEOGRAPHS}]+(?:['’][\p{{L}}\p{{M}}\p{{N}}--{IDEOGRAPHS}]+)*"
)
"""A word as Unicode bounds it (UAX 29): a run of letters and digits, and each Han or Hiragana character by itself."""


def words_of(texts: pl.Series) -> pl.Series:
    """How many words each text has; of lists of words, how many they hold."""
    if isinstance(texts.dtype, pl.List):
        return texts.list.len()
    return texts.str.count_matches(WORD)


def characters_of(texts: pl.Series) -> pl.Series:
    """How many characters each text has that are no spaces."""
    if isinstance(texts.dtype, pl.List):
        texts = texts.list.join("")
    return texts.str.count_matches(r"\S")


def folded(texts: pl.Series) -> pl.Series:
    """Texts (or lists of words, joined) in lower case, spaces collapsed: what is compared when texts are called equal or alike."""
    if isinstance(texts.dtype, pl.List):
        texts = texts.list.join(" ")
    return texts.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
