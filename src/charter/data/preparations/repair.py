"""Repair damaged text and untidy labels; nothing that was meant is changed."""

import html
import re
from collections.abc import Callable
from typing import Annotated

import polars as pl
from pydantic import Field

from charter.data.columns import Columns
from charter.data.edits import Chain, Edits, aligned, applied, replaced
from charter.data.preparation import Outcome, Preparation, nothing_dropped

# What UTF-8 leaves where it was read as Latin-1 or Windows-1252, as Windows-1251, or as Mac Roman, and GB 2312 read as
# Latin-1. Wide on purpose: it only says which texts are looked at, and what is meant is decided text by text. Å² and Å³
# alone are measures.
_CONTINUED = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_CONTINUED_ANGSTROM = _CONTINUED.replace("\u0080-\u00bf", "\u0080-\u00b1\u00b4-\u00bf")
_CONTINUED_1251 = "ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—™љ›њќћџ\u00a0ЎўЈ¤Ґ¦§©«¬\u00ad®Ї°±Ііґµ¶·№є»јЅѕї"
_GB_PAIR = "[\u00a1-\u00a3\u00b0-\u00d7][\u00a1-\u00fe]"
_MOJIBAKE = f"[\u00c2-\u00c4\u00c6-\u00f4][{_CONTINUED}]|Å[{_CONTINUED_ANGSTROM}]|[РС][{_CONTINUED_1251}]|вЂ|√[±-ø]|‚Ä|(?:{_GB_PAIR}){{2}}"
# Control sequences of terminals (ECMA-48, 1991, 5.4 and 8.3.89): colours, titles.
_TERMINAL = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))"
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u2060\ufeff\ufffe\uffff]"
_ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});"

_ANY = "|".join((_MOJIBAKE, _TERMINAL, _CONTROL, _ENTITY, "\r", "\ufffd"))
"""What any repair looks for: texts without any of it, nearly all, are looked at once."""


def repair_text(
    *,
    html_entities: Annotated[
        bool, Field(description="turn &amp; and the like into what they stand for")
    ] = True,
) -> Preparation:
    """Mend encoding damage (by ftfy), HTML entities, terminal escapes, control characters, and carriage returns."""

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        counts: dict[str, int] = {}
        for column in columns.inputs:
            if isinstance(frame.schema[column], pl.List):
                frame = frame.with_columns(_on_words(frame[column], html_entities, counts).alias(column))
            else:
                if not frame[column].str.contains(_ANY).any():
                    continue
                frame = frame.with_columns(_repaired(frame[column], html_entities, counts).alias(column))
        return Outcome(frame, nothing_dropped(), counts, lambda text: _edits(text, html_entities))

    return Preparation(row_wise=True, apply=apply)


def _edits(text: str, html_entities: bool) -> Chain:
    """What the repairs make of one text: known exactly but for damaged encoding, which is aligned."""
    steps: list[Callable[[str], Edits]] = [_mojibake_edits]
    if html_entities:
        steps += [_entity_edits, _entity_edits]
    steps += [
        lambda now: replaced(re.compile("\r\n?"), lambda _: "\n", now),
        lambda now: replaced(re.compile(_TERMINAL), lambda _: "", now),
        lambda now: replaced(re.compile(_CONTROL), lambda _: "", now),
    ]
    chain: list[Edits] = []
    for step in steps:
        edits = step(text)
        text = applied(edits, text)
        chain += [edits] if edits else []
    return tuple(chain)


def _mojibake_edits(text: str) -> Edits:
    return aligned(text, _decoded_again(text)) if re.search(_MOJIBAKE, text) else ()


def _entity_edits(text: str) -> Edits:
    return replaced(re.compile(_ENTITY), lambda match: html.unescape(match.group()), text)


def _repaired(texts: pl.Series, html_entities: bool, counts: dict[str, int]) -> pl.Series:
    """Repaired texts; `counts` gets how many texts each kind of repair changed."""
    steps: list[tuple[str, str, Callable[[pl.Series], pl.Series]]] = [
        ("mojibake", _MOJIBAKE, _without_mojibake),
        ("html entities", _ENTITY, lambda some: some.map_elements(_unescaped, return_dtype=pl.String)),
        ("carriage returns", "\r", lambda some: some.str.replace_all("\r\n?", "\n")),
        ("terminal escapes", _TERMINAL, lambda some: some.str.replace_all(_TERMINAL, "")),
        ("control characters", _CONTROL, lambda some: some.str.replace_all(_CONTROL, "")),
    ]
    for kind, pattern, mend in steps:
        if kind == "html entities" and not html_entities:
            continue
        flagged = texts.str.contains(pattern).fill_null(False)
        if not flagged.any():
            continue
        mended = mend(texts.filter(flagged))
        changed = int((mended != texts.filter(flagged)).sum())
        if changed:
            counts[kind] = counts.get(kind, 0) + changed
            texts = texts.scatter(flagged.arg_true(), mended)
    undecodable = int(texts.str.contains("\ufffd").fill_null(False).sum())
    if undecodable:
        counts["left: undecodable characters"] = counts.get("left: undecodable characters", 0) + undecodable
    return texts


def _without_mojibake(texts: pl.Series) -> pl.Series:
    return texts.map_elements(_decoded_again, return_dtype=pl.String)


def _decoded_again(text: str) -> str:
    import ftfy

    chinese = _as_gb2312(text)
    if chinese is not None:
        return chinese

    # Only the encoding is mended: full-width signs, quotes and ligatures are as their writers meant them.
    config = ftfy.TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        fix_surrogates=False,
        remove_control_chars=False,
        normalization=None,
        explain=False,
    )
    return str(ftfy.fix_text(text, config))


ENOUGH_HAN = 4
"""From this many characters on, pairs that all decode as common Chinese characters are taken for Chinese."""


def _as_gb2312(text: str) -> str | None:
    """Chinese in GB 2312 that was read as Latin-1; None where it is not that.

    All that is not ASCII must be pairs of signs or level 1 of GB 2312 (3,755 common characters), must not be UTF-8, and
    not be in order, as in a list of accented letters. Fewer than ENOUGH_HAN characters can't be told: they stay.
    """
    runs = re.findall(r"[^\x00-\x7f]+", text)
    if not all(re.fullmatch(f"(?:{_GB_PAIR})+", run) for run in runs) or any(_is_sorted(run) for run in runs):
        return None
    raw = text.encode("latin-1")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        chinese = raw.decode("gb2312", errors="replace")
        han = len(re.findall(r"[\u4e00-\u9fff]", chinese))
        if 2 <= han < ENOUGH_HAN or "\ufffd" in chinese:
            return text
        return chinese if han >= ENOUGH_HAN else None
    return None


def _is_sorted(run: str) -> bool:
    return len(run) > 2 and list(run) == sorted(run)


def _unescaped(text: str) -> str:
    """HTML entities resolved, twice where an ampersand itself was escaped; the text of no tag is touched."""
    once = re.sub(_ENTITY, lambda match: html.unescape(match.group()), text)
    return re.sub(_ENTITY, lambda match: html.unescape(match.group()), once)


def _on_words(lists: pl.Series, html_entities: bool, counts: dict[str, int]) -> pl.Series:
    """The same on each word of lists of words; a word that nothing would be left of stays as it is."""
    words = lists.explode()
    mended = _repaired(words.clone(), html_entities, counts)  # Series.scatter changes a series in place
    blank = (mended.str.strip_chars() == "").fill_null(False)
    kept = mended.zip_with(~blank, words)
    return _regrouped(kept, lists)


def _regrouped(words: pl.Series, like: pl.Series) -> pl.Series:
    """Exploded words as lists of the lengths in `like`, which has no empty and no missing list."""
    owner = pl.Series("owner", range(len(like)), dtype=pl.Int64)
    owners = pl.DataFrame({"owner": owner, "length": like.list.len()}).select(
        pl.col("owner").repeat_by("length").explode(empty_as_null=False, keep_nulls=False)
    )["owner"]
    grouped = (
        pl.DataFrame({"owner": owners, "word": words}).group_by("owner", maintain_order=True).agg("word")
    )
    return grouped["word"].alias(like.name)


_FULL_WIDTH = {chr(sign + 0xFEE0): chr(sign) for sign in range(0x21, 0x7F)}


def normalise_label(
    *,
    fold_case: Annotated[
        bool, Field(description="merge labels that differ in case only, under the commonest spelling")
    ] = True,
) -> Preparation:
    """Tidy labels: spaces trimmed and collapsed, full-width letters made plain, spellings that differ in case merged."""

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        target = columns.target
        several = columns.form.target == "labels" and not columns.indicators
        if target is None or target not in frame.columns:
            return Outcome(frame, nothing_dropped(), {})
        if frame.schema[target] != pl.String and not several:
            return Outcome(frame, nothing_dropped(), {})
        counts: dict[str, int] = {}
        cells = frame[target]
        labels = before = cells.explode(empty_as_null=False, keep_nulls=False) if several else cells
        for kind, tidy in _TIDYING if fold_case else _TIDYING[:-1]:
            new = tidy(labels)
            changed = int((new != labels).sum())
            merged = labels.drop_nulls().n_unique() - new.drop_nulls().n_unique()
            counts |= {f"labels changed: {kind}": changed} if changed else {}
            counts |= {f"labels merged: {kind}": merged} if merged else {}
            labels = new
        changed = int((labels != before).sum())
        counts |= {"labels changed": changed} if changed else {}
        if several:
            labels = _cells_of(labels, cells)
        return Outcome(frame.with_columns(labels.alias(target)), nothing_dropped(), counts)

    return Preparation(row_wise=False, apply=apply, reach="labels")


def _cells_of(labels: pl.Series, cells: pl.Series) -> pl.Series:
    """Tidied labels back in the lists that they came from, each once; rows without any keep an empty list."""
    lengths = cells.list.len().fill_null(0).to_list()
    flat = labels.to_list()
    found, start = [], 0
    for length in lengths:
        found.append(list(dict.fromkeys(flat[start : start + length])))
        start += length
    return pl.Series(cells.name, found, dtype=pl.List(pl.String))


def _plain_width(labels: pl.Series) -> pl.Series:
    """Full-width ASCII made plain, and canonically equal spellings of accents made one; "x²" stays apart from "x2"."""
    return labels.str.normalize("NFC").str.replace_many(list(_FULL_WIDTH), list(_FULL_WIDTH.values()))


def _spaced(labels: pl.Series) -> pl.Series:
    return labels.str.replace_all(r"\s+", " ").str.strip_chars()


def _merged(labels: pl.Series) -> pl.Series:
    """Each label in the commonest spelling of those that are equal but for case; of equally common ones the first."""
    spellings = (
        pl.DataFrame({"label": labels, "folded": labels.str.to_lowercase()})
        .drop_nulls()
        .group_by("folded", "label")
        .len()
        .sort(["folded", "len", "label"], descending=[False, True, False])
    )
    best = spellings.group_by("folded", maintain_order=True).first()
    chosen = dict(zip(best["folded"].to_list(), best["label"].to_list(), strict=True))
    return labels.str.to_lowercase().replace_strict(chosen, default=None, return_dtype=pl.String)


# Each kind of tidying by its name in the counts, in order; that of case is last.
_TIDYING: tuple[tuple[str, Callable[[pl.Series], pl.Series]], ...] = (
    ("full-width signs", _plain_width),
    ("spaces", _spaced),
    ("case", _merged),
)
