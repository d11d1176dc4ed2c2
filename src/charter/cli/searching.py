"""`charter search`: the texts of a file that are nearest in meaning to a query."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from rich.markup import escape

from charter.cli.showing import bar, console
from charter.data.columns import PLACE, ROW, Columns
from charter.data.reading import read_files
from charter.errors import CharterError

if TYPE_CHECKING:
    from charter.serving.answers import Answerer
    from charter.serving.search import Found, Index

LONGEST = 300
"""Characters of a text that are shown on a terminal."""


def search(
    answerer: "Answerer",
    queries: list[str],
    *,
    corpus: list[Path],
    column: str | None,
    index: Path | None,
    most: int,
    encoding: str,
    as_json: bool,
) -> None:
    """Find the nearest texts of each query, in an index that is read, or made of files and kept where it is asked for.

    Raises:
        CharterError: neither files nor an index, or both where the index is there already.
    """
    made = _index(answerer, corpus, column, index, encoding)
    found = made.search(answerer, queries, most=most) if queries else []
    out = console()
    for query, texts in zip(queries, found, strict=True):
        if as_json:
            print(json.dumps({"query": query, "found": [asdict(one) for one in texts]}, ensure_ascii=False))
            continue
        out.print(f"[dim]{escape(query)}[/]")
        for one in texts:
            out.print(
                f"  {one.rank:>3}  {one.similarity:.3f}  {escape(_short(one))}  [dim]{escape(one.place)}[/]"
            )


def _short(one: "Found") -> str:
    text = " ".join(one.text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _index(
    answerer: "Answerer", corpus: list[Path], column: str | None, index: Path | None, encoding: str
) -> "Index":
    from charter.serving.search import build_index, one_input, read_index

    if index is not None and not corpus:
        return read_index(index)
    if not corpus:
        raise CharterError("give --corpus FILE, or --index FOLDER of an index that was made before")
    if index is not None and index.exists():
        raise CharterError(
            f"{index} is there already: leave --corpus out to search it, or name another folder"
        )
    name = column or one_input(answerer).text
    read = read_files(corpus, Columns(inputs={name: "text"}), encoding=encoding)
    texts = read.frame.select(ROW, PLACE, pl.col(name).alias("text"))
    with bar("Read the texts") as tell:
        made = build_index(answerer, texts, on_batch=tell)
    show = console(stderr=True)
    left = (
        f", {read.rejects.height + made.skipped} without a text left out"
        if read.rejects.height + made.skipped
        else ""
    )
    show.print(f"{made.texts.height} texts{left}")
    if index is not None:
        made.save(index)
        show.print(f"Index  {index}")
    return made
