"""What a page is made of, before it has a form. All of it is frozen and plain text; the template escapes every word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Cell:
    """One cell: its text, a smaller line below it, and its kind.

    kind: "" words; "number" aligned to the right; "own" words of the charter or the data, never translated; "code" an
    identifier; "kept", "broken" or "none" an outcome. drawing: an SVG that stands in the cell; link: the place on the
    page that explains its text. bar: (done, total) of a bar that stands before the text, which says the same in numbers.
    """

    text: str
    note: str = ""
    kind: str = ""
    drawing: str = ""
    link: str = ""
    bar: tuple[float, float] | None = None


@dataclass(frozen=True)
class Heading:
    """The head of a column. own: it is a word of the charter or the data.

    again: said once more before each of its cells where rows are stacked, as that of a number always is: they mean nothing without it.
    """

    text: str
    note: str = ""
    number: bool = False
    own: bool = False
    again: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first cell of each row names it. stacked: on a phone each row becomes a block of its own.

    note: a paragraph beneath it, which stays with it.
    """

    kind: ClassVar[str] = "table"
    caption: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[Cell]]
    stacked: bool = False
    narrow: bool = False
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption. wide: it keeps its size and is scrolled sideways where it does not fit."""

    kind: ClassVar[str] = "figure"
    svg: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Pair:
    """Two parts side by side where there is room."""

    kind: ClassVar[str] = "pair"
    first: Any
    second: Any


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str
    soft: bool = False
    title: str = ""


@dataclass(frozen=True)
class Facts:
    """Terms and what is said of each."""

    kind: ClassVar[str] = "facts"
    items: Sequence[tuple[str, Cell]]
    title: str = ""


@dataclass(frozen=True)
class Glossary:
    """Terms explained: (anchor, name, identifier or "", meaning)."""

    kind: ClassVar[str] = "glossary"
    items: Sequence[tuple[str, str, str, str]]


@dataclass(frozen=True)
class Fold:
    """Parts that are shown when asked for."""

    kind: ClassVar[str] = "fold"
    title: str
    parts: Sequence[Any]


@dataclass(frozen=True)
class Raw:
    """Text that a machine wrote, as it stands."""

    kind: ClassVar[str] = "raw"
    label: str
    text: str


@dataclass(frozen=True)
class Misjudged:
    """Misjudged rows with their masked text; each item as `charter.release.report.misjudged` made it."""

    kind: ClassVar[str] = "misjudged"
    items: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Section:
    """A section with its anchor."""

    id: str
    title: str
    parts: Sequence[Any] = field(default_factory=tuple)
