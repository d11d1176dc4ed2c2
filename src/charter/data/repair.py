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

# UTF-8 read as Latin-1 or Windows-1252 leaves these pairs; only such texts are given to ftfy.
_MOJIBAKE = r"[ÂÃâäåæçèéêëìíîïðñòóôõöøùúûüð][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u2060\ufeff\ufffe\uffff]"
_ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});"


def repair_text(
    *,
    html_entities: Annotated[
        bool, Field(description="turn &amp; and the like into what they stand for")
    ] = True,
) -> Preparation:
    """Mend encoding damage (by ftfy), HTML entities, control characters, and carriage returns."""

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        counts: dict[str, int] = {}
        for column in columns.inputs:
            if isinstance(frame.schema[column], pl.List):
                frame = frame.with_columns(_on_words(frame[column], html_entities, counts).alias(column))
            else:
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


def _unescaped(text: str) -> str:
    """HTML entities resolved, twice where an ampersand itself was escaped; the text of no tag is touched."""
    once = re.sub(_ENTITY, lambda match: html.unescape(match.group()), text)
    return re.sub(_ENTITY, lambda match: html.unescape(match.group()), once)


def _on_words(lists: pl.Series, html_entities: bool, counts: dict[str, int]) -> pl.Series:
    """The same on each word of lists of words; a word that nothing would be left of stays as it is."""
    words = lists.explode()
    mended = _repaired(words, html_entities, counts)
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


def normalise_label(
    *,
    fold_case: Annotated[
        bool, Field(description="merge labels that differ in case only, under the commonest spelling")
    ] = True,
) -> Preparation:
    """Tidy labels: spaces trimmed and collapsed, full-width letters made plain, spellings that differ in case merged."""

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        target = columns.target
        if target is None or target not in frame.columns or frame.schema[target] != pl.String:
            return Outcome(frame, nothing_dropped(), {})
        before = frame[target]
        tidy = before.str.normalize("NFKC").str.replace_all(r"\s+", " ").str.strip_chars()
        if fold_case:
            tidy = _merged(tidy)
        changed = int((tidy != before).sum())
        counts = {"labels changed": changed} if changed else {}
        return Outcome(frame.with_columns(tidy.alias(target)), nothing_dropped(), counts)

    return Preparation(row_wise=False, apply=apply)


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
