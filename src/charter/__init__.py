"""Charter: adapt foundation models under a written charter, and ship a model only with its proof.

    import charter
    charter.read("charter.yaml")              # -> Charter, or CharterFileError with every problem and its line
    result = charter.run("charter.yaml")      # -> Result: status, record, report, bundle
    bundle = charter.open_bundle("release/x") # -> Bundle
    charter.answer(bundle, ["a text"])        # -> a Polars table of answers
    ready = charter.open_answerer(bundle, engine="onnx-int8")   # kept loaded: ready.answer_texts(["a text"])
    for part in charter.generate("release/gpt", "Once upon a time"): print(part.text, end="")
    charter.fill_in("release/bert", ["Paris is the [MASK] of France."])   # -> the likeliest tokens for each mask
    charter.verify("release/x", key=None)     # -> Verification
    charter.compare(["a", "b"])               # -> Comparison: scores, paired tests, costs, limits, differing keys

Importing the package loads nothing heavy; each name is loaded when it is first used.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

# oneDNN, below torch, keeps what it made for each of the last 1,024 shapes: for a GELU as much memory as its input has. Batches
# without padding differ in shape at every update, so that gigabytes pile up and are never used again (docs/log.md).
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from charter.pipeline.result import Result
    from charter.release.bundle import Bundle
    from charter.release.comparison import Comparison
    from charter.release.verification import Verification
    from charter.serving.answers import Answerer, Cell, Given
    from charter.serving.filling import Filled
    from charter.serving.generation import Part
    from charter.spec.model import Charter

__all__ = [
    "answer",
    "compare",
    "fill_in",
    "generate",
    "open_answerer",
    "open_bundle",
    "read",
    "run",
    "verify",
]


def read(path: str | Path) -> "Charter":
    """Read a charter file.

    Raises:
        charter.errors.CharterFileError: with every problem of the file, each with its line.
    """
    from charter import spec

    return spec.read(Path(path))


def run(path: str | Path, *, progress: bool | None = None, **options: Any) -> "Result":
    """Run a charter from its data to its verdict; options as `charter.pipeline.run`.

    progress: show the run as it goes, in a notebook's output or on standard error. None: in a notebook only, unless
    `on_event` or `on_progress` is given.
    """
    from charter.cli.watching import watched

    return watched(Path(path), progress, options)


def open_bundle(
    folder: str | Path, *, key: str | Path | None = None, allow_refused: bool = False
) -> "Bundle":
    """Open a released bundle.

    key: the public key (PEM) that it must be signed by. allow_refused: open a draft whose limits were not kept, too.

    Raises:
        charter.errors.BundleError: the folder is no bundle, was changed, is not signed by the key, or is a refused draft.
    """
    from charter.release.bundle import read_bundle

    return read_bundle(Path(folder), key=None if key is None else Path(key), allow_refused=allow_refused)


def answer(
    bundle: "Bundle | str | Path",
    texts: "str | Mapping[str, Cell] | Sequence[Given]",
    *,
    engine: str | None = None,
    threads: int | None = None,
) -> "pl.DataFrame":
    """What a bundle's model answers to texts (or one text), prepared as its training rows were; a row each, in order.

    For a bundle of several inputs each row is a mapping, input -> text.

    It loads the model for each call; whoever answers more than once keeps an `open_answerer`.
    """
    return open_answerer(bundle, engine=engine, threads=threads).answer_texts(texts)


def open_answerer(
    bundle: "Bundle | str | Path", *, engine: str | None = None, threads: int | None = None
) -> "Answerer":
    """The model of a bundle, or of the bundle in a folder, loaded and ready: `.answer_texts(texts)`.

    engine: one of the released formats, such as `onnx-int8`; None: the first. threads: None: all cores.

    Raises:
        charter.errors.BundleError: as `open_bundle`.
        charter.errors.OptionError: the bundle holds no such format.
        charter.errors.MissingExtraError: the format needs libraries that are not installed.
    """
    from charter.serving import answers

    opened = open_bundle(bundle) if isinstance(bundle, str | Path) else bundle
    return answers.open_answerer(opened, engine=engine, threads=threads)


def generate(
    bundle: "Answerer | Bundle | str | Path", prompt: str, *, engine: str | None = None, **settings: Any
) -> "Iterator[Part]":
    """What a bundle's causal language model writes on to a prompt, piece by piece as it is made.

    settings: `max_tokens`, `temperature`, `top_p`, `stop`, `seed`, as `charter.serving.generation.Settings` has them.
    An `open_answerer` in place of the bundle stays loaded.

    Raises:
        charter.errors.CharterError: the bundle's model, or this form of it, writes no texts; a setting is out of its range.
        charter.errors.DataError: the prompt is no valid text.
        charter.errors.BundleError, charter.errors.MissingExtraError: as `open_answerer`.
    """
    from charter.serving.generation import Settings, read_prompt, write_on

    told = Settings(**settings)
    answerer = _opened(bundle, engine)
    return write_on(answerer, read_prompt(answerer, prompt), told)


def fill_in(
    bundle: "Answerer | Bundle | str | Path",
    texts: "str | Sequence[str]",
    *,
    most: int = 5,
    engine: str | None = None,
) -> "list[Filled]":
    """The `most` likeliest tokens for each mask of each text, by a bundle's masked language model.

    Raises:
        charter.errors.CharterError: the bundle's model fills in nothing.
        charter.errors.DataError, charter.errors.BundleError, charter.errors.MissingExtraError: as `generate`.
    """
    from charter.serving.filling import fill_in as fill

    return fill(_opened(bundle, engine), [texts] if isinstance(texts, str) else texts, most=most)


def _opened(bundle: "Answerer | Bundle | str | Path", engine: str | None) -> "Answerer":
    from charter.serving.answers import Answerer

    return bundle if isinstance(bundle, Answerer) else open_answerer(bundle, engine=engine)


def verify(folder: str | Path, key: str | Path | None = None) -> "Verification":
    """Check a bundle's bytes, its verdicts and, given a public key, its signature."""
    from charter.release.verification import verify as check

    return check(Path(folder), None if key is None else Path(key))


def compare(runs: "Sequence[str | Path]", *, store: str | Path = "runs", **options: Any) -> "Comparison":
    """Compare judged runs with the first of them; options as `charter.pipeline.comparing.compare`.

    runs: each a run's id or its beginning, a charter's name (its newest run), a run's folder, a bundle, or a charter file.
    """
    from charter.pipeline.comparing import compare as compare_runs

    return compare_runs(runs, store=Path(store).absolute(), **options)
