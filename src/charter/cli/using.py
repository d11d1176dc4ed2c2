"""The commands that use a bundle: answer, search, verify."""

from pathlib import Path
from typing import Annotated

import typer

from charter.cli.application import app
from charter.errors import EXIT_NOT_VERIFIED, CharterError

Prompt = Annotated[
    list[str] | None,
    typer.Option(help="the beginning of a text that a causal language model writes on; may be repeated"),
]
Prompts = Annotated[
    list[Path] | None,
    typer.Option(help="prompts: a file of any format that --file reads, in the column of the bundle's input"),
]
MaxTokens = Annotated[int | None, typer.Option(help="tokens that are written at most (default: 200)")]
Temperature = Annotated[
    float | None, typer.Option(help="0: always the likeliest token; higher: more varied (default: 0.8)")
]
TopP = Annotated[
    float | None,
    typer.Option(help="draw from the likeliest tokens that have this probability together (default: 0.95)"),
]
Stop = Annotated[
    list[str] | None, typer.Option(help="a word at which the text ends, left out of it; may be repeated")
]
Seed = Annotated[int | None, typer.Option(help="what is drawn depends on it (default: 7)")]
Samples = Annotated[
    int | None, typer.Option(min=1, help="texts per prompt, each with the next seed (default: 1)")
]


MOST = 5


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
    most: Annotated[
        int | None,
        typer.Option("--most", "-k", min=1, help="tokens that are told for a mask in a text (default: 5)"),
    ] = None,
    prompt: Prompt = None,
    prompts: Prompts = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    stop: Stop = None,
    seed: Seed = None,
    samples: Samples = None,
) -> None:
    """Answer texts, or the rows of a file, with a released bundle; write texts on; fill in masked words."""
    from charter.cli import writing
    from charter.cli.answering import answer_files, answer_texts, open_bundle, row_of

    if sum(given is not None and given != [] for given in (text, inputs, file, prompt, prompts)) != 1:
        raise CharterError(
            "give one of --text, --input or --file, or for a model that writes texts --prompt or --prompts; once or more"
        )
    drawing = {
        "max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "stop": tuple(stop or ()), "seed": seed,
    }  # fmt: skip
    settings = writing.settings_of(drawing)
    if prompt is None and not prompts:
        writing.check_unused({**drawing, "samples": samples})
    if out is not None and not (file or prompts):
        raise CharterError(
            "--out is where the answers to --file or --prompts go; with one text they are shown here"
        )
    answerer = open_bundle(bundle, key=key, allow_refused=allow_refused, engine=engine, threads=threads)
    if inputs:
        answer_texts(answerer, [row_of(inputs, answerer)], as_json=as_json)
    elif text and writing.has_masks(answerer, text):
        writing.fill_texts(answerer, text, as_json=as_json, most=most or MOST)
    elif text:
        answer_texts(answerer, text, as_json=as_json)
    elif file:
        answer_files(answerer, file, out, keep=tuple(keep or ()), encoding=encoding)
    elif prompts:
        writing.write_files(
            answerer, prompts, out, settings, samples=samples or 1, as_json=as_json, encoding=encoding
        )
    elif prompt:
        writing.write_prompts(answerer, prompt, settings, samples=samples or 1, as_json=as_json)


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
    lang: Annotated[
        str | None, typer.Option(help="the language: en or zh (default: that of the bundle's charter)")
    ] = None,
) -> None:
    """Check a bundle's bytes, its verdicts and its signature (exit code 4 if anything is wrong)."""
    from charter.cli.reporting import language_of, language_of_bundle
    from charter.cli.showing import show_verification
    from charter.release.verification import verify as verify_bundle

    wish = language_of(lang)
    verification = verify_bundle(bundle, key)
    show_verification(verification, wish or language_of_bundle(bundle))
    if not verification.ok:
        raise typer.Exit(EXIT_NOT_VERIFIED)


@app.command("pseudonym-key")
def pseudonym_key(
    path: Annotated[Path, typer.Argument(help="the file to write; nothing is ever written over")],
) -> None:
    """Make a key for `{use: mask_pii, replace: pseudonym, key: PATH}`, which its owner alone may read."""
    from charter.data.preparations.pseudonyms import make_key

    typer.echo(
        f"{make_key(path)} written. Keep it out of the project and the store, and apart from the data: whoever has both can find "
        "out who is meant. Without it new rows can't be linked to old ones."
    )
