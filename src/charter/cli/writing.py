"""`charter predict --prompt` and masks: texts written on as they are made, and words filled in."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.markup import escape

from charter.cli.answering import target_of, write_answers
from charter.cli.showing import bar, console
from charter.data.columns import PLACE, ROW, Columns
from charter.data.reading import read_files
from charter.errors import CharterError, DataError

if TYPE_CHECKING:
    from charter.serving.answers import Answerer
    from charter.serving.filling import Filled
    from charter.serving.generation import Settings, Written

_UNSHOWN = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""What a terminal would obey instead of showing it."""


def settings_of(options: Mapping[str, Any]) -> "Settings":
    """The settings of the options that were given; the others as they are by default.

    Raises:
        OptionError: a value outside what they may be.
    """
    from charter.serving.generation import Settings

    given = {name: value for name, value in options.items() if value is not None and value != ()}
    return Settings(**given)


def check_unused(options: Mapping[str, Any]) -> None:
    """Refuse options of writing where nothing is written.

    Raises:
        CharterError: one is given.
    """
    given = [name for name, value in options.items() if value is not None and value != ()]
    if given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise CharterError(f"{named}: says how a text is written on; give a --prompt or --prompts")


def write_prompts(
    answerer: "Answerer", prompts: Sequence[str], settings: "Settings", *, samples: int, as_json: bool
) -> None:
    """Write on from each prompt, `samples` times with one seed after the other; shown token by token on the terminal.

    Raises:
        CharterError, DataError: as `charter.serving.generation.read_prompt`.
    """
    from charter.serving.generation import read_prompt

    for read in [read_prompt(answerer, prompt) for prompt in prompts]:
        if read.unread:
            console(stderr=True).print(
                f"  the prompt has {len(read.ids)} tokens and the model reads {answerer.max_length} at once: it goes on from "
                "the last of them"
            )
        for one in _seeds(settings, samples):
            if as_json:
                print(json.dumps(_written(answerer, read, one).as_json(), ensure_ascii=False), flush=True)
            else:
                _stream(answerer, read, one)


def _seeds(settings: "Settings", samples: int) -> "list[Settings]":
    from dataclasses import replace

    return [replace(settings, seed=settings.seed + number) for number in range(samples)]


def _written(answerer: "Answerer", prompt: Any, settings: "Settings") -> "Written":
    from charter.serving.generation import whole, write_on

    return whole(prompt, write_on(answerer, prompt, settings), settings.seed)


def _stream(answerer: "Answerer", prompt: Any, settings: "Settings") -> None:
    from charter.serving.generation import write_on

    out = console()
    out.print(escape(prompt.read.translate(_UNSHOWN)), style="dim", end="", soft_wrap=True)
    last = None
    try:
        for last in write_on(answerer, prompt, settings):
            sys.stdout.write(last.text.translate(_UNSHOWN))
            sys.stdout.flush()
    finally:  # also where Ctrl-C ends it
        sys.stdout.write("\n")
        sys.stdout.flush()
    if last is not None:
        said = f"  {last.tokens} tokens, ended by: {last.ended}; seed {settings.seed}"
        console(stderr=True).print(said, style="dim")


def write_files(
    answerer: "Answerer",
    files: Sequence[Path],
    out: Path | None,
    settings: "Settings",
    *,
    samples: int,
    as_json: bool,
    encoding: str,
) -> None:
    """Write on from each prompt of files, in the column of the bundle's input: as JSON lines as they are made, or into a file.

    Raises:
        DataError: a file can't be read or lacks the column, or no prompt could be written on.
        CharterError: the bundle writes no texts; no such kind of output file.
    """
    from charter.serving.generation import check_writes, read_prompt

    check_writes(answerer)
    target = None if as_json else target_of(files, out, "-written")
    columns = Columns(inputs=answerer.columns.inputs, form=answerer.columns.form)
    found = read_files(files, columns, encoding=encoding)
    rows: list[dict[str, Any]] = [
        {"row": row, "place": place, "not_answered": reason}
        for row, place, reason in found.rejects.select(ROW, PLACE, "reason").iter_rows()
    ]
    told = found.frame.select(ROW, PLACE, columns.text)
    with bar("Write on") as tell:
        for done, (row, place, text) in enumerate(told.iter_rows(), start=1):
            head = {"row": row, "place": place}
            try:
                prompt = read_prompt(answerer, text)
            except DataError as error:
                made = [{**head, "not_answered": str(error)}]
            else:
                each = (_written(answerer, prompt, one) for one in _seeds(settings, samples))
                made = [{**head, **one.as_json()} for one in each]
            if as_json:
                for one in made:
                    print(json.dumps(one, ensure_ascii=False), flush=True)
            rows += made
            tell(done, told.height)
    missed = sum("not_answered" in one for one in rows)
    if target is not None:
        write_answers(pl.DataFrame(rows, infer_schema_length=None).sort("row", maintain_order=True), target)
        console().print(f"{len(rows) - missed} texts written → {target}", soft_wrap=True)
    if missed:
        console(stderr=True).print(f"  {missed} prompts could not be read")
    if missed == len(rows):
        raise DataError(f"{', '.join(map(str, files))}: no prompt could be written on")


OTHER_MASKS = ("[MASK]", "<mask>")


def has_masks(answerer: "Answerer", texts: Sequence[str]) -> bool:
    """Whether texts hold this bundle's mask; where they hold another's, its own is told.

    Raises:
        CharterError: some texts hold it and others don't, or it is written in another model's way.
    """
    from charter.serving.filling import mask_of

    mask = mask_of(answerer)
    if mask is None:
        return False
    if not any(mask in text for text in texts):
        other = next((one for one in OTHER_MASKS if any(one in text for text in texts)), None)
        if other is not None:
            raise CharterError(f"this bundle writes a hidden word as {mask}, not {other}")
        return False
    if not all(mask in text for text in texts):
        raise CharterError(f"some texts hold {mask} and others don't: ask for them in two calls")
    return True


def fill_texts(answerer: "Answerer", texts: Sequence[str], *, as_json: bool, most: int) -> None:
    """Print the likeliest tokens for each mask of each text."""
    from charter.serving.filling import fill_in

    for one in fill_in(answerer, texts, most=most):
        if as_json:
            print(json.dumps(one.as_json(), ensure_ascii=False))
        else:
            _show_filled(one, answerer.max_length)


def _show_filled(one: "Filled", max_length: int) -> None:
    out = console()
    out.print(f"[dim]{escape(one.text)}[/]")
    if one.because:
        out.print(f"  [yellow]not answered: {escape(one.because)}[/]")
    for number, guesses in enumerate(one.masks, start=1):
        said = "  ".join(f"[bold]{escape(guess.text)}[/] {guess.probability:.2f}" for guess in guesses)
        out.print(f"  {number}  {said}" if len(one.masks) > 1 else f"  {said}")
    if one.unread:
        said = f"  {one.unread} more stand beyond the {max_length} tokens that the model reads at once"
        console(stderr=True).print(said)
