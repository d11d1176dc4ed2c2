"""More training texts from those there are: words left out or swapped, and typing errors.

Easy data augmentation (Wei and Zou, EDA: easy data augmentation techniques for boosting performance on text classification
tasks, EMNLP 2019) without its synonyms, and noise as in Belinkov and Bisk, Synthetic and natural noise both break neural
machine translation, ICLR 2018. Synonyms and translations change what a text says, and need data of their own.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field

from charter.data.columns import PLACE, ROW, Columns
from charter.data.draws import occurrences
from charter.data.preparation import Outcome, Preparation, nothing_dropped
from charter.data.preparations.sampling import SeedField
from charter.errors import DataError

Method = Literal["delete", "swap", "typos"]
TRIES = 5
"""Draws for one variant that differs from its text and from the others, before there is none."""

# Pieces: what is never touched (placeholders of masking, links, handles), a Han character, a word, spaces, a sign.
_PIECE = re.compile(
    r"\[[A-Z_]+\]|https?://\S+|www\.\S+|[@＠#]\w+|[\u3400-\u4dbf\u4e00-\u9fff]"
    r"|[^\W\u3400-\u4dbf\u4e00-\u9fff]+(?:['’][^\W\u3400-\u4dbf\u4e00-\u9fff]+)*|\s+|."
)
_FIXED = re.compile(r"\[[A-Z_]+\]|https?://|www\.|[@＠#]\w")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_WORD = re.compile(r"\w")
# Without one of these a text says the opposite: they are neither left out nor mistyped.
_NEGATION = re.compile(
    r"(?:not?|never|none|nothing|nobody|nowhere|neither|nor|without|cannot|cant|dont|\w+n['’]t)$|[不没沒无無未非别別勿莫]",
    re.IGNORECASE,
)
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def augment(
    *,
    methods: Annotated[
        tuple[Method, ...],
        Field(
            min_length=1,
            description="delete: words left out; swap: two words change places; typos: slips of the keyboard",
        ),
    ] = ("delete", "swap", "typos"),
    copies: Annotated[int, Field(ge=1, le=20, description="new rows for each row, the methods in turn")] = 1,
    share: Annotated[
        float, Field(gt=0, le=0.5, description="share of a text's words that are changed, at least one")
    ] = 0.1,
    classes: Annotated[
        tuple[str, ...], Field(description="labels whose rows are augmented, such as rare ones; none: all")
    ] = (),
    seed: SeedField = 7,
) -> Preparation:
    """Add changed copies of training rows, under the same label; they never reach what a model is judged on.

    In Chinese each character is a word, and only neighbours are swapped. Of several inputs a copy has one changed. It keeps
    its row's number and unit. Texts of one word have none. Negations (not, never, don't, 不, 没) are neither left out nor
    mistyped. Whether it helps is for validation to show.

    Raises:
        DataError: on use, where the target names words or places in the text, which the changes would move.
    """
    turns = tuple(dict.fromkeys(methods))

    def apply(frame: pl.DataFrame, columns: Columns) -> Outcome:
        _check_texts(frame, columns)
        chosen = np.ones(frame.height, dtype=bool)
        if classes:
            chosen = frame[str(columns.target)].is_in(list(classes)).to_numpy()
        made: list[tuple[int, _Change]] = []
        texts = {one: frame[one].to_list() for one in columns.inputs}
        rows, copy_of = frame[ROW].to_list(), occurrences(frame).to_list()
        for at in np.flatnonzero(chosen).tolist():
            cells = {one: texts[one][at] for one in texts}
            made += [
                (at, one) for one in _changes(cells, turns, copies, share, f"{seed} {rows[at]} {copy_of[at]}")
            ]
        none = int(chosen.sum()) * copies - len(made)
        counts = {"left: texts too short to be changed": none} if none else {}
        kinds = Counter(change.method for _, change in made)
        added = {f"augmented: {method}": count for method, count in sorted(kinds.items())}
        whole = pl.concat([frame, _changed(frame, made)]).sort(ROW, maintain_order=True)
        return Outcome(whole, nothing_dropped(), counts, added=added)

    def check(frame: pl.DataFrame, columns: Columns) -> None:
        _check_classes(frame, columns, classes)

    return Preparation(row_wise=False, apply=apply, splits=("train",), reach="row", check=check)


@dataclass(frozen=True)
class _Change:
    """A new text for one input column, and how it was made."""

    column: str
    text: str
    method: Method


def _changes(
    cells: Mapping[str, str | None], methods: tuple[Method, ...], copies: int, share: float, seed: str
) -> Iterator[_Change]:
    """So many changes of a row, each of one of its inputs, these in turn."""
    first = random.Random(seed).randrange(len(cells))
    columns = [*cells][first:] + [*cells][:first]
    for place, column in enumerate(columns):
        number = copies // len(columns) + (place < copies % len(columns))
        for text, method in variants(cells[column] or "", methods, number, share, f"{seed} {column}").items():
            yield _Change(column, text, method)


def _changed(frame: pl.DataFrame, made: Sequence[tuple[int, _Change]]) -> pl.DataFrame:
    """The rows that changes are made of, with the new texts."""
    new = frame[[at for at, _ in made]]
    for column in {change.column for _, change in made}:
        texts = [change.text if change.column == column else None for _, change in made]
        new = new.with_columns(pl.coalesce(pl.Series(column, texts, dtype=pl.String), column).alias(column))
    methods = pl.Series([change.method for _, change in made], dtype=pl.String)
    return new.with_columns((pl.col(PLACE) + ", augmented by " + methods).alias(PLACE))


def _check_texts(frame: pl.DataFrame, columns: Columns) -> None:
    kind = frame.schema.get(columns.target or "")
    spans = isinstance(kind, pl.List) and isinstance(kind.inner, pl.Struct)
    if any(frame.schema[one] != pl.String for one in columns.inputs) or spans:
        raise DataError(
            f"preparation 'augment' changes words of {', '.join(columns.inputs)}, and data.target '{columns.target}' names words or "
            "places in them, which would no longer fit; leave it out"
        )


def _check_classes(frame: pl.DataFrame, columns: Columns, classes: tuple[str, ...]) -> None:
    """Refuse classes that no row is of. frame: all rows, without their texts."""
    if classes and frame.schema.get(columns.target or "") != pl.String:
        raise DataError(
            f"preparation 'augment': option 'classes' names labels, and data.target '{columns.target}' holds no single class "
            "per row; leave the option out"
        )
    present = set(frame[str(columns.target)].unique()) if classes else set()
    unknown = [label for label in classes if label not in present]
    if unknown:
        raise DataError(
            f"preparation 'augment': {len(unknown)} of the labels in option 'classes' are of no training row: "
            f"{', '.join(unknown)}"
        )


def variants(
    text: str, methods: tuple[Method, ...], copies: int, share: float, seed: str
) -> Mapping[str, Method]:
    """Changed forms of a text, up to so many, all different from it and from each other, each with its method."""
    draw = random.Random(seed)
    pieces = [match.group() for match in _PIECE.finditer(text.replace("\n", " ").strip())]
    start = draw.randrange(len(methods))
    found: dict[str, Method] = {}
    for number in range(copies):
        method = methods[(start + number) % len(methods)]
        for _ in range(TRIES):
            made = "".join(_METHODS[method](list(pieces), share, draw)).strip()
            if made and made != text.strip() and made not in found:
                found[made] = method
                break
    return found


def _words(pieces: list[str]) -> list[int]:
    """The places of the pieces that may change."""
    return [at for at, piece in enumerate(pieces) if _WORD.match(piece) and not _FIXED.match(piece)]


def _deleted(pieces: list[str], share: float, draw: random.Random) -> list[str]:
    """Some words left out, and the space before each; one stays always."""
    words = _words(pieces)
    free = [at for at in words if not _NEGATION.match(pieces[at])]
    most = min(len(free), len(words) - 1)
    gone = draw.sample(free, min(_number(len(words), share), most)) if most > 0 else []
    for at in gone:
        pieces[at] = ""
        if at and pieces[at - 1].isspace():
            pieces[at - 1] = ""
    return pieces


def _swapped(pieces: list[str], share: float, draw: random.Random) -> list[str]:
    """Words that change places: any two of a text with spaces, neighbours only among Han characters."""
    for _ in range(_number(len(_words(pieces)), share)):
        words = _words(pieces)
        if len(words) < 2:
            break
        one = draw.choice(words)
        if _HAN.match(pieces[one]):
            near = [at for at in (one - 1, one + 1) if 0 <= at < len(pieces) and _HAN.match(pieces[at])]
        else:
            near = [at for at in words if at != one and not _HAN.match(pieces[at])]
        if near:
            other = draw.choice(near)
            pieces[one], pieces[other] = pieces[other], pieces[one]
    return pieces


def _mistyped(pieces: list[str], share: float, draw: random.Random) -> list[str]:
    """Slips: a letter left out, doubled, swapped with the next or taken for its neighbour on the keyboard."""
    words = [
        at
        for at in _words(pieces)
        if (len(pieces[at]) > 2 or _HAN.match(pieces[at])) and not _NEGATION.match(pieces[at])
    ]
    for at in draw.sample(words, min(_number(len(words), share), len(words))):
        word = pieces[at]
        if _HAN.match(word):
            pieces[at] = draw.choice(["", word * 2])
            continue
        place = draw.randrange(len(word) - 1)
        kept, letter, follows = word[:place], word[place], word[place + 1 :]
        slips = [kept + follows, kept + letter * 2 + follows, kept + follows[0] + letter + follows[1:]]
        near = _neighbours(letter)
        slips += [kept + draw.choice(near) + follows] if near else []
        pieces[at] = draw.choice(slips)
    return pieces


def _number(words: int, share: float) -> int:
    return max(1, round(share * words))


def _neighbours(letter: str) -> list[str]:
    """The keys beside a letter's on a QWERTY keyboard, in the letter's case."""
    for row in _KEYBOARD:
        at = row.find(letter.lower())
        if at >= 0 and letter.isascii():
            near = [row[one] for one in (at - 1, at + 1) if 0 <= one < len(row)]
            return [one.upper() if letter.isupper() else one for one in near]
    return []


_METHODS: Mapping[Method, Callable[[list[str], float, random.Random], list[str]]] = {
    "delete": _deleted,
    "swap": _swapped,
    "typos": _mistyped,
}
