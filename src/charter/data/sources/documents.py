"""Documents as texts: plain text, Markdown, HTML, PDF and Word. A document is read whole or not at all."""

import html.parser
import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from charter.data.sources.compression import check_archive
from charter.data.sources.files import decoded, file_bytes, is_undecoded
from charter.errors import DataError, MissingExtraError

MOST_BYTES = 64 << 20
"""A larger file is no document that a model reads."""


@dataclass(frozen=True)
class Document:
    """A document's text, or what keeps it from being read. length: of its bytes."""

    text: str = ""
    problem: str = ""
    length: int = 0


def read_document(path: Path, ending: str, encoding: str) -> Document:
    """A document's text by the ending of its name.

    Raises:
        DataError: the file can't be opened, or the encoding is not known.
        MissingExtraError: the library that reads it is not installed.
    """
    extra_of(ending)
    try:
        length = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from None
    if length > MOST_BYTES:
        return Document(problem=f"a document larger than {MOST_BYTES >> 20} MiB", length=length)
    try:
        text = READERS[ending](path, encoding)
    except _Unreadable as error:
        return Document(problem=str(error), length=length)
    if is_undecoded(text):
        return Document(problem="wrong encoding", length=length)
    return Document(text, length=length)


class _Unreadable(Exception):  # noqa: N818  (never leaves this file)
    """What is wrong with one document; never its words."""


def _plain(path: Path, encoding: str) -> str:
    return decoded(path, encoding)


def _html(path: Path, encoding: str) -> str:
    page = _Page()
    page.feed(decoded(path, encoding))
    page.close()
    return page.text


_BLOCKS = frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote br caption dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 "
        "header hr li main nav ol option p pre section table tbody td tfoot th thead title tr ul",
    )
)
_SILENT = frozenset({"script", "style", "template", "noscript", "svg"})


class _Page(html.parser.HTMLParser):
    """The text of a page as it is read: blocks on lines of their own, no script, no style."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        self._silent += tag in _SILENT
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in _SILENT))
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._pieces.append(re.sub(r"\s+", " ", data))

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._pieces.append("\n")

    @property
    def text(self) -> str:
        lines = (re.sub(r" +", " ", line).strip() for line in "".join(self._pieces).split("\n"))
        return "\n".join(line for line in lines if line)


def _pdf(path: Path, encoding: str) -> str:
    """The text of every page that has some; a scan has none."""
    del encoding
    import io

    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    with _quiet("pypdf"):
        try:
            reader = PdfReader(io.BytesIO(file_bytes(path)))
            if reader.is_encrypted and not reader.decrypt(""):
                raise _Unreadable("a document with a password")
            pages = [page.extract_text() for page in reader.pages]
        except _Unreadable:
            raise
        except (PyPdfError, *_BROKEN):
            raise _Unreadable("an unreadable document") from None
    return "\n\n".join(page for page in pages if page.strip())


def _docx(path: Path, encoding: str) -> str:
    """Paragraphs and the cells of tables, in their order."""
    del encoding
    import docx
    from docx.opc.exceptions import OpcError
    from lxml.etree import LxmlError

    try:
        check_archive(path)
        content = docx.Document(str(path)).iter_inner_content()
        lines = [line for part in content for line in _lines(part)]
    except DataError as error:
        bomb = "decompression bomb" in str(error)
        raise _Unreadable("a decompression bomb" if bomb else "an unreadable document") from None
    except (OpcError, LxmlError, *_BROKEN):
        raise _Unreadable("an unreadable document") from None
    return "\n".join(lines)


def _lines(part: object) -> list[str]:
    rows = getattr(part, "rows", None)
    if rows is None:
        return [str(getattr(part, "text", ""))]
    return ["\t".join(cell.text for cell in row.cells) for row in rows]


_BROKEN = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, ArithmeticError, NotImplementedError,
    RecursionError, OSError, EOFError, LookupError, MemoryError,
)  # fmt: skip
"""What libraries for such files raise on damaged ones."""


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """A library's log, off: it quotes documents."""
    log = logging.getLogger(name)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


READERS: Mapping[str, Callable[[Path, str], str]] = {
    ".txt": _plain,
    ".md": _plain,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _docx,
}
"""How a document is read, by its name's ending."""
_LIBRARIES = {".pdf": ("pypdf", "pypdf"), ".docx": ("docx", "python-docx")}
"""By ending, the module and the distribution that it needs beyond the core."""


def extra_of(ending: str) -> None:
    """Refuse an ending whose library is not installed.

    Raises:
        MissingExtraError: with the command that installs it.
    """
    module, _ = _LIBRARIES.get(ending, ("", ""))
    if module and find_spec(module) is None:
        raise MissingExtraError(f"reading {ending} files", "documents")


def distributions_of(endings: Collection[str]) -> dict[str, str]:
    """The versions of the libraries that read these endings."""
    needed = {_LIBRARIES[ending][1] for ending in endings if ending in _LIBRARIES}
    return {name: metadata.version(name) for name in sorted(needed)}
