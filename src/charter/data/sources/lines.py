"""A text file as a stream of its lines, decoded piece by piece."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from charter.data.sources.files import byte_pieces, check_encoding, decoded
from charter.errors import DataError

MOST_UNTIL_LINE = 1 << 24
"""A file with carriage returns, and no line feed in so many characters, knows no line feeds."""


def lines_of(
    path: Path, encoding: str, most_bytes: int | None = None, *, returns: bool = False
) -> Iterator[str]:
    """The lines of a file, unpacked, without a byte-order mark and without their line feeds; or those of its beginning.

    A byte that is not of the encoding becomes one of UNDECODED, so that only its own line is damaged. returns: lines may end
    in CR LF, or all of them in CR alone.

    Raises:
        DataError: the file can't be read or unpacked, or the encoding is not known.
    """
    pieces = pieces_of(path, encoding) if most_bytes is None else iter((decoded(path, encoding, most_bytes),))
    return _with_returns(pieces) if returns else _split(pieces, "\n")


def lines_in(text: str) -> Iterator[str]:
    """The lines of a text that is there already, which may end in LF, CR LF, or all of them in CR alone."""
    return _with_returns(iter((text,)))


def pieces_of(path: Path, encoding: str) -> Iterator[str]:
    """A file's text piece by piece, unpacked, without a byte-order mark.

    Raises:
        DataError: as `lines_of`.
    """
    check_encoding(encoding)
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
    before = 0
    begun = False
    try:
        for content in byte_pieces(path):
            text = decoder.decode(content)
            before += len(content)
            if text and not begun:
                text = text.removeprefix("\ufeff")
                begun = True
            if text:
                yield text
        text = decoder.decode(b"", final=True)
        if text:
            yield text if begun else text.removeprefix("\ufeff")
    except UnicodeError as error:  # encodings that know no surrogateescape, such as utf-16
        at = f" (byte {before + error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise DataError(f"{path}: not {encoding} text{at}; name its encoding in data.encoding") from None


def _split(pieces: Iterator[str], end: str) -> Iterator[str]:
    """Lines by their end; what follows the last end is a line unless it is empty."""
    rest: list[str] = []
    for piece in pieces:
        lines = piece.split(end)
        if len(lines) == 1:
            rest.append(piece)
            continue
        yield "".join([*rest, lines[0]])
        yield from lines[1:-1]
        rest = [lines[-1]]
    last = "".join(rest)
    if last:
        yield last


def _with_returns(pieces: Iterator[str]) -> Iterator[str]:
    """Lines that end in LF or CR LF; a file that knows only CR is read by those."""
    begun: list[str] = []
    held = 0
    returns = False
    for piece in pieces:
        begun.append(piece)
        held += len(piece)
        returns = returns or "\r" in piece
        if "\n" in piece or (returns and held > MOST_UNTIL_LINE):
            break
    only_returns = returns and not any("\n" in piece for piece in begun)

    def all_of_them() -> Iterator[str]:
        yield from begun
        begun.clear()
        yield from pieces

    if only_returns:
        yield from _split(all_of_them(), "\r")
    else:
        yield from (line.removesuffix("\r") for line in _split(all_of_them(), "\n"))
