"""The commands that use a bundle: answer, search, verify."""

from pathlib import Path
from typing import Annotated

import typer

from charter.cli.application import app
from charter.errors import EXIT_NOT_VERIFIED, CharterError


@app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="a released bundle")],
    text: Annotated[list[str] | None, typer.Option(help="a text to answer; may be repeated")] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help='NAME=TEXT: an input of a bundle that reads several; one of each. A list of choices or words is JSON: NAME=["a", "b"]',
        ),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            help="rows to answer: a file of any format that charter init reads, or a folder; may be repeated"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="where the answers go: .parquet, .csv or .jsonl")] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="a column of the file to carry along; may be repeated")
    ] = None,
    encoding: Annotated[str, typer.Option(help="the file's text encoding")] = "utf-8",
    key: Annotated[
        Path | None, typer.Option(help="the public key (PEM) that the bundle must be signed by")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print answers as JSON lines")] = False,
    allow_refused: Annotated[
        bool, typer.Option(help="answer with a draft whose limits were not kept")
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(help="which of the released formats answers, such as onnx-int8 (default: the first)"),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="threads to compute with (default: all cores)")
    ] = None,
) -> None:
    """Answer texts, or the rows of a file, with a released bundle."""
    from charter.cli.answering import answer_files, answer_texts, open_bundle, row_of

    if sum(map(bool, (text, inputs, file))) != 1:
        raise CharterError("give one of --text, --input or --file, once or more")
    answerer = open_bundle(bundle, key=key, allow_refused=allow_refused, engine=engine, threads=threads)
    if inputs:
        answer_texts(answerer, [row_of(inputs, answerer)], as_json=as_json)
    elif text:
        answer_texts(answerer, text, as_json=as_json)
    elif file:
        answer_files(answerer, file, out, keep=tuple(keep or ()), encoding=encoding)


@app.command()
def search(
    bundle: Annotated[Path, typer.Argument(help="a released bundle that gives vectors")],
    query: Annotated[list[str] | None, typer.Option(help="what is searched for; may be repeated")] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="texts to search: csv, tsv, jsonl, parquet; may be repeated")
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="the column of the texts (default: the bundle's first input)")
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(help="a folder: with --corpus the index is kept there, without it is read there"),
    ] = None,
    most: Annotated[int, typer.Option("--most", "-k", min=1, help="texts that are shown per query")] = 10,
    engine: Annotated[
        str | None, typer.Option(help="the released format that makes the vectors (default: the first)")
    ] = None,
    encoding: Annotated[str, typer.Option(help="the files' text encoding")] = "utf-8",
    key: Annotated[
        Path | None, typer.Option(help="the public key (PEM) that the bundle must be signed by")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print what is found as JSON lines")] = False,
    allow_refused: Annotated[
        bool, typer.Option(help="search with a draft whose limits were not kept")
    ] = False,
) -> None:
    """Find the texts of a file that are nearest in meaning to a query."""
    from charter.cli.answering import open_bundle
    from charter.cli.searching import search as search_texts

    if not query and (index is None or not corpus):
        raise CharterError("give --query, once or more; or --corpus with --index to make an index only")
    search_texts(
        open_bundle(bundle, key=key, allow_refused=allow_refused, engine=engine, threads=None),
        query or [],
        corpus=corpus or [],
        column=column,
        index=index,
        most=most,
        encoding=encoding,
        as_json=as_json,
    )


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="a bundle")],
    key: Annotated[Path | None, typer.Option(help="the public key (PEM) its signature must be of")] = None,
) -> None:
    """Check a bundle's bytes, its verdicts and its signature (exit code 4 if anything is wrong)."""
    from charter.cli.showing import show_verification
    from charter.release.verification import verify as verify_bundle

    verification = verify_bundle(bundle, key)
    show_verification(verification)
    if not verification.ok:
        raise typer.Exit(EXIT_NOT_VERIFIED)
