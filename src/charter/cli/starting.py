"""`charter init`: look at the data, say what each column is taken for and why, ask or guess, write a commented charter."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import typer
from pydantic import ValidationError

from charter.cli.showing import console
from charter.data.columns import PLACE, ROW, Columns
from charter.data.reading import find_location
from charter.data.table import Asked
from charter.errors import CharterError, DataError
from charter.runs.files import write_text
from charter.spec.model import Charter
from charter.spec.writing import commented

TARGETS = (
    "label",
    "target",
    "class",
    "category",
    "sentiment",
    "rating",
    "tags",
    "ner_tags",
    "labels",
    "intent",
    "y",
    "标签",
    "类别",
    "情感",
)


@dataclass(frozen=True)
class Wishes:
    """What the user said on the command line; None where nothing was said."""

    name: str | None
    text: str | None
    target: str | None
    task: str | None
    base: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """The data as `init` sees it: all its columns, and the text encoding that reads it."""

    frame: pl.DataFrame
    encoding: str


def start(data: Path, out: Path, wishes: Wishes, *, ask: bool, force: bool) -> None:
    """Write a charter for a file of data.

    Raises:
        CharterError: the charter is there already, the data can't be read, or a column can't be guessed.
    """
    if out.exists() and not force:
        raise CharterError(f"{out} is there already; --force writes over it, --out names another")
    look = _look(data)
    asks = ask and sys.stdin.isatty()
    columns = [name for name in look.frame.columns if name not in (ROW, PLACE)]
    text = _choose("text", wishes.text, _guess_text(look.frame, columns), columns, asks)
    target = _choose(
        "target",
        wishes.target,
        _guess_target(look.frame, [one for one in columns if one != text]),
        columns,
        asks,
    )
    listed = isinstance(look.frame.schema[target], pl.List)
    task = wishes.task or ("token_classification" if listed else "classification")
    uses: list[dict[str, object]] = [{"use": "repair_text"}, {"use": "mask_pii"}]
    uses += [] if listed else [{"use": "normalise_label"}]
    uses += [{"use": "drop_exact_duplicates"}, {"use": "drop_near_duplicates"}]
    name = wishes.name or re.sub(r"[^\w.\-]", "-", data.name.split(".")[0]).lstrip(".-") or "model"
    try:
        charter = Charter.model_validate(
            {
                "name": name,
                "purpose": {
                    "intended_use": "TO SAY: what the model is for.",
                    "affected": "TO SAY: who is affected.",
                },
                "data": {
                    "source": os.path.relpath(data, out.resolve().parent),
                    "inputs": {text: "text"},
                    "target": target,
                    "groups": list(wishes.groups),
                    "encoding": look.encoding,
                    "prepare": uses,
                },
                "model": {"base": wishes.base},
                "task": {"use": task},
                "limits": [
                    ("micro_f1" if listed else "macro_f1") + " >= 0.7",
                    "expected_calibration_error <= 0.1",
                ],
            }
        )
    except ValidationError as error:
        raise CharterError(f"no charter can be made of this: {error.errors()[0]['msg']}") from None
    others = [one for one in columns if one not in (text, target)]
    notes = {
        "data.target": f"columns of the file: {', '.join(columns)}",
        "data.groups": f"say which of these tell groups of people apart: {', '.join(others) or 'no other column'}",
        "limits": "a first guess: say what the model must keep to be of use",
    }
    write_text(out, commented(charter, notes))
    show = console()
    show.print(
        f"text    {text}\ntarget  {target}\ntask    {task}\nWrote {out}. Read it, then: charter check {out}",
        markup=False,
    )


def _look(data: Path) -> Look:
    """Read every column of the file, in UTF-8 or else GB 18030."""
    found = find_location(str(data))
    for encoding in ("utf-8", "gb18030"):
        header = _header(data, found.kind, encoding)
        asked = Asked(Columns(inputs=dict.fromkeys(header, "text")), encoding, needs_target=False)
        if found.kind == "conll":
            asked = Asked(Columns(inputs={"tokens": "text"}, target="tags"), encoding)
        table = found.source.read(found.rest, Path(), asked)[0]
        damaged = table.rejects.filter(pl.col("reason") == "wrong encoding").height
        if damaged * 50 <= max(table.records, 1) and table.frame.height:
            return Look(table.frame, encoding)
    raise DataError(f"{data}: neither UTF-8 nor GB 18030 text, or no row that can be read")


def _header(data: Path, kind: str, encoding: str) -> list[str]:
    import csv
    import json

    from charter.data.files import decoded

    if not data.is_file():
        raise DataError(f"{data}: no such file")
    if kind == "parquet":
        try:
            return list(pl.read_parquet_schema(data))
        except pl.exceptions.PolarsError:
            raise DataError(f"{data}: not a parquet file, or cut off") from None
    text = decoded(data, encoding)
    first = next((line for line in text.split("\n") if line.strip()), "")
    if kind == "jsonl":
        try:
            value = json.loads(first)
        except ValueError:
            raise DataError(f"{data}: its first line is no JSON object") from None
        return list(value) if isinstance(value, dict) else []
    if kind == "tsv":
        return [name.strip() for name in first.rstrip("\r").split("\t")]
    return [name.strip() for name in next(csv.reader([first]), [])]


def _guess_text(frame: pl.DataFrame, columns: list[str]) -> str | None:
    """The column with the longest texts, or the one of lists of words."""
    listed = [
        one for one in columns if frame.schema[one] == pl.List(pl.String) and one.lower() not in TARGETS
    ]
    if listed:
        return listed[0]
    texts = {
        one: frame[one].str.len_chars().mean() or 0.0 for one in columns if frame.schema[one] == pl.String
    }
    return max(texts, key=lambda one: float(str(texts[one]))) if texts else None


def _guess_target(frame: pl.DataFrame, columns: list[str]) -> str | None:
    """A column with a name that targets have, or else the one with the fewest values, from 2 to 50."""
    named = [one for one in columns if one.lower() in TARGETS]
    if named:
        return named[0]
    few = {one: frame[one].n_unique() for one in columns if not frame.schema[one].is_nested()}
    few = {one: count for one, count in few.items() if 2 <= count <= min(50, frame.height // 2)}
    return min(few, key=lambda one: few[one]) if few else None


def _choose(role: str, wish: str | None, guess: str | None, columns: list[str], asks: bool) -> str:
    if wish is None and asks:
        wish = typer.prompt(f"Which column is the {role}? ({', '.join(columns)})", default=guess)
    chosen = wish or guess
    if chosen is None:
        raise CharterError(
            f"which column is the {role} can't be guessed; say --{role} with one of: {', '.join(columns)}"
        )
    if chosen not in columns:
        raise CharterError(f"--{role} {chosen}: no such column; there are {', '.join(columns)}")
    return chosen
