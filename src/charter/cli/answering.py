"""`charter predict`: answers to texts on the terminal, or to the rows of a file in another file."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.markup import escape

from charter.cli.showing import bar, console
from charter.data.choices import choice_columns
from charter.data.columns import PLACE, ROW, Columns
from charter.data.reading import read_files
from charter.errors import CharterError, DataError
from charter.release.bundle import read_bundle
from charter.runs.files import machine_errors, write_table

if TYPE_CHECKING:
    from charter.serving.answers import Answerer, Cell, Given

WRITERS = (".parquet", ".csv", ".jsonl")


def open_bundle(
    folder: Path, *, key: Path | None, allow_refused: bool, engine: str | None, threads: int | None
) -> "Answerer":
    """The bundle's answerer; a refused draft only when asked for.

    Raises:
        BundleError: as `read_bundle`.
        OptionError, MissingExtraError: as `open_answerer`.
    """
    bundle = read_bundle(folder, key=key, allow_refused=allow_refused)
    from charter.serving.answers import open_answerer

    return open_answerer(bundle, engine=engine, threads=threads)


def row_of(inputs: Sequence[str], answerer: "Answerer") -> "dict[str, Cell]":
    """One row from `NAME=TEXT` of each input; where the task reads lists, `NAME=["...", "..."]` is one.

    Raises:
        CharterError: one without a name, a name that stands twice, or a list that is none.
    """
    row: dict[str, Cell] = {}
    for one in inputs:
        name, sign, text = one.partition("=")
        if not sign or not name:
            raise CharterError("--input is written NAME=TEXT, once for each input of the bundle")
        if name in row:
            raise CharterError(
                f"--input {name}: stands twice; one row is answered at a time, --file answers many"
            )
        row[name] = _cell(name, text, answerer)
    return row


def _cell(name: str, text: str, answerer: "Answerer") -> "Cell":
    """A text as it stands; where choices or words are read, a JSON list of texts is a list."""
    columns = answerer.columns
    chosen = columns.form.target == "choice" and name in choice_columns(columns)
    if not (chosen or answerer.task.reads_words) or not text.lstrip().startswith("["):
        return text
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, list) and all(isinstance(one, str) for one in found):
        return found
    if chosen:
        raise CharterError(f'--input {name}: no JSON list of texts, such as ["one", "two"]')
    return text


def answer_texts(answerer: "Answerer", texts: "Sequence[Given]", *, as_json: bool) -> None:
    """Print an answer per text (or per row of several inputs), in their order."""
    from charter.serving.answers import text_rows

    answered = answerer.answer(text_rows(texts, answerer.columns))
    out = console()
    for text, answer in zip(texts, answered.frame.iter_rows(named=True), strict=True):
        if as_json:
            print(json.dumps(_public(answer), ensure_ascii=False))
            continue
        out.print(f"[dim]{escape(_shown(text)) or '(an empty text)'}[/]")
        for line in _lines(answer):
            out.print(f"  {line}")
    if answered.truncated:
        console(stderr=True).print(_cut(answered.truncated, answerer))


def answer_files(
    answerer: "Answerer", files: Sequence[Path], out: Path | None, *, keep: tuple[str, ...], encoding: str
) -> None:
    """Answer the rows of files into one other file: one answer per readable row, the rest counted.

    Raises:
        DataError: a file can't be read or lacks the bundle's input column, or no row could be answered.
        CharterError: no such kind of output file, or it is one of those that are read.
    """
    target = target_of(files, out, "-predictions")
    asked = Columns(inputs=answerer.columns.inputs, groups=keep, form=answerer.columns.form)
    read = read_files(files, asked, encoding=encoding)
    with bar("Answer the rows") as tell:
        answered = answerer.answer(read.frame, on_batch=tell)
    rejected = read.rejects.select(ROW, PLACE, pl.col("reason").alias("not_answered"))
    kept = read.frame.select(ROW, *keep)
    answers = answered.frame.join(kept, on=ROW, how="left", maintain_order="left")
    whole = pl.concat([answers, rejected], how="diagonal").sort(ROW)
    write_answers(whole.rename({ROW: "row", PLACE: "place"}), target)
    missed = whole["not_answered"].drop_nulls()
    show = console()
    show.print(f"{whole.height - len(missed)} of {whole.height} rows answered → {target}", soft_wrap=True)
    for reason, count in missed.value_counts(sort=True).iter_rows():
        show.print(f"  {count} not answered: {escape(reason)}")
    if answered.truncated:
        show.print(_cut(answered.truncated, answerer))
    if len(missed) == whole.height:
        raise DataError(f"{', '.join(map(str, files))}: no row could be answered")


def _cut(count: int, answerer: "Answerer") -> str:
    were = "text was" if count == 1 else "texts were"
    return f"  {count} {were} longer than {answerer.max_length} tokens: what stands beyond was not read"


def target_of(files: Sequence[Path], out: Path | None, ending: str) -> Path:
    """Where the answers to files go: beside the first one, its name with an ending, unless told otherwise.

    Raises:
        CharterError: no such kind of file, no such folder, or a file that is read.
    """
    target = out or files[0].with_name(f"{files[0].name.split('.')[0]}{ending}.parquet")
    if target.suffix not in WRITERS:
        raise CharterError(f"{target}: can't write '{target.suffix}' files; there are {', '.join(WRITERS)}")
    if target.resolve() in [file.resolve() for file in files]:
        raise CharterError(f"--out {target} is a file that is read; give another name")
    if not target.parent.is_dir():
        raise CharterError(f"--out {target}: there is no folder {target.parent}")
    return target


def write_answers(answers: pl.DataFrame, target: Path) -> None:
    """Write the answers whole: aside, then renamed over what stood there."""
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with machine_errors(target):
            if target.suffix == ".parquet":
                write_table(aside, answers)
            elif target.suffix == ".jsonl":
                answers.write_ndjson(aside)
            else:
                nested = [name for name, kind in answers.schema.items() if kind.is_nested()]
                encoded = [pl.col(name).map_elements(_as_text, return_dtype=pl.String) for name in nested]
                answers.with_columns(encoded).write_csv(aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _as_text(value: Any) -> str:
    plain = value.to_list() if isinstance(value, pl.Series) else value
    return json.dumps(plain, ensure_ascii=False)


def _public(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if not name.startswith("_") and value is not None}


def _shown(given: "Given") -> str:
    if isinstance(given, Mapping):
        cells = {
            name: cell if isinstance(cell, str) else " / ".join(cell or ()) for name, cell in given.items()
        }
        return " | ".join(f"{name}: {text}" for name, text in cells.items())
    return given or ""


def _lines(answer: dict[str, Any]) -> list[str]:
    if answer.get("not_answered"):
        return [f"[yellow]not answered: {escape(answer['not_answered'])}[/]"]
    if "entities" in answer:
        found = answer["entities"] or []
        return [
            f"[bold]{escape(one['label'])}[/] {escape(one['text'])}  {one['probability']:.2f}"
            for one in found
        ] or ["[dim]no entities[/]"]
    if "embedding" in answer:
        vector = answer["embedding"]
        first = ", ".join(f"{one:.3f}" for one in vector[:4])
        return [f"[bold]{len(vector)} numbers[/]  [dim]{first}, ... (all of them with --json or --file)[/]"]
    if "similarity" in answer:
        return [f"[bold]{answer['similarity']:.3f}[/]"]
    if "perplexity" in answer:
        told = (
            "nothing to judge" if answer["perplexity"] is None else f"perplexity {answer['perplexity']:.4g}"
        )
        return [f"[bold]{told}[/]   [dim]of {answer['tokens']} tokens[/]"]
    if "choice" in answer:
        return [f"[bold]{answer['choice']}[/] {escape(answer['text'])}  {answer['probability']:.2f}"]
    if "answer" in answer:
        place = (
            f"   [dim]characters {answer['start']} to {answer['end']}[/]"
            if answer["answer"] is not None
            else ""
        )
        said = escape(answer["answer"]) if answer["answer"] is not None else "(no answer)"
        return [f"[bold]{said}[/]  {answer['probability']:.2f}{place}"]
    if "predictions" in answer:
        shares = answer["probabilities"] or {}
        return [
            f"[bold]{escape(label)}[/]  {shares[label]:.2f}" for label in answer["predictions"] or []
        ] or ["[dim]no label[/]"]
    if "low" in answer:
        ends = "" if answer["low"] is None else f"   [dim]{answer['low']:.4g} to {answer['high']:.4g}[/]"
        return [f"[bold]{answer['prediction']:.4g}[/]{ends}"]
    shares = dict(answer["probabilities"] or {})
    shares.pop(answer["prediction"], None)
    others = sorted(shares.items(), key=lambda item: -item[1])[:3]
    rest = ", ".join(f"{escape(label)} {share:.2f}" for label, share in others)
    return [f"[bold]{escape(answer['prediction'])}[/]  {answer['probability']:.2f}   [dim]{rest}[/]"]
