"""One JSON document: an array of records, bare or under "data"; articles with paragraphs and questions become rows.

Articles are SQuAD's layout (Rajpurkar et al., EMNLP 2016 and ACL 2018), in which CMRC 2018 and DRCD are published too.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.data.sources.files import UNDECODED, file_source, head
from charter.data.sources.lines import pieces_of
from charter.data.sources.objects import Entry, check_characters, kind_of, tables_of
from charter.data.table import Asked, Header, Reject, Source, Table
from charter.errors import DataError

MOST_CHARACTERS = 1 << 26
"""A record (an article with all its paragraphs) of more is refused: one at a time is held in memory."""
LONGEST_ESCAPE = 12
"""A value may be cut off within so many characters of its end without being broken."""
QUESTION_COLUMNS = ("id", "title", "context", "question", "answers", "is_impossible")
"""The columns that articles become, whatever else they hold."""


def json_array() -> Source:
    """A JSON array of records, bare or under "data"; questions in SQuAD's articles are a row each, with their context."""
    return file_source(_read, _header)


def _read(path: Path, asked: Asked) -> Iterator[Table]:
    yield from tables_of(path, lambda: _entries(path, asked), asked, "record")


def _header(path: Path, asked: Asked) -> Header:
    """The keys of the records at the file's beginning, in the order of their first use."""
    begun = head(path, asked.encoding)
    seen: dict[str, None] = {}
    try:
        for entry in _rows(_Document(path, iter((begun.text,)), whole=begun.whole), asked):
            seen |= dict.fromkeys(entry.object or ())
    except DataError:  # reading says it, with its place
        if not seen:
            raise
    articles = tuple(seen) == QUESTION_COLUMNS
    if not seen and not begun.whole:  # an article that is longer than the beginning
        articles = '"paragraphs"' in begun.text
    columns = QUESTION_COLUMNS if articles else tuple(seen)
    return Header(path.name, columns, whole=articles or (begun.whole and bool(seen)))


def _entries(path: Path, asked: Asked) -> Iterator[Entry]:
    if asked.most_bytes is None:
        document = _Document(path, pieces_of(path, asked.encoding))
    else:
        begun = head(path, asked.encoding, asked.most_bytes)
        document = _Document(path, iter((begun.text,)), whole=begun.whole)
    yield from _rows(document, asked)


class _Document:
    """A JSON text that is read value by value: of it no more is held than the value at hand.

    whole: False where only its beginning is there, whose last value is left out.
    """

    def __init__(self, path: Path, pieces: Iterator[str], *, whole: bool = True) -> None:
        self.path = path
        self.whole = whole
        self._pieces = pieces
        self._text = ""
        self.at = 0
        self.undecoded = self.escaped = False  # of the last value
        self._before = 0
        self._decode = json.JSONDecoder().raw_decode

    def next_sign(self) -> str:
        """The next sign that is no space, which is not taken; empty at the end."""
        while True:
            while self.at < len(self._text) and self._text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self._text):
                return self._text[self.at]
            if not self._more():
                return ""

    def take(self, sign: str) -> bool:
        """Whether the next sign is this one, which is then taken."""
        found = self.next_sign() == sign
        self.at += found
        return found

    def value(self) -> Any:
        """The next value.

        Raises:
            DataError: it is broken, or larger than is held.
            EOFError: only the beginning of the document is there, and it ends here.
        """
        self.next_sign()
        while True:
            try:
                value, end = self._decode(self._text, self.at)
            except RecursionError:
                raise self.broken("nested too deep", self.at) from None
            except json.JSONDecodeError as error:
                at_end = error.msg.startswith("Unterminated") or error.pos > len(self._text) - LONGEST_ESCAPE
                if not at_end:
                    raise self.broken(f"{error.msg[:1].lower()}{error.msg[1:]}", error.pos) from None
                if not self._grown():
                    raise self.ended() from None
                continue
            except ValueError:
                raise self.broken("a number of too many digits", self.at) from None
            number = isinstance(value, int | float)
            if number and end > len(self._text) - len("e+1") and self._grown():  # it may go on
                continue
            if end - self.at > MOST_CHARACTERS:
                raise self.too_large()
            self.undecoded = UNDECODED.search(self._text, self.at, end) is not None
            self.escaped = self._text.find("\\u", self.at, end) >= 0
            self.at = end
            return value

    def broken(self, why: str, at: int) -> DataError:
        """What is said of a document that can't be read on."""
        return DataError(f"{self.path}: not a JSON document: {why} (character {self._before + at + 1:,})")

    def ended(self) -> DataError | EOFError:
        """What is raised where the text goes on as no document does."""
        return self.broken("damaged or cut off", self.at) if self.whole else EOFError()

    def too_large(self) -> DataError:
        """What is said of a record that would not be held."""
        return DataError(
            f"{self.path}: a record of more than {MOST_CHARACTERS >> 20} million characters (from character "
            f"{self._before + self.at + 1:,} on); write it in smaller ones, or as jsonl"
        )

    def _grown(self) -> bool:
        """Double what is held of the value at hand."""
        start = len(self._text) - self.at
        if start > MOST_CHARACTERS:
            raise self.too_large()
        while len(self._text) - self.at < 2 * start + 1:
            if not self._more():
                return len(self._text) - self.at > start
        return True

    def _more(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._before += self.at
        self._text = self._text[self.at :] + piece
        self.at = 0
        return True


def _rows(document: _Document, asked: Asked) -> Iterator[Entry]:
    """Every record, or each question of an article, numbered from 1."""
    answered = asked.needs_target and asked.columns.target == "answers"
    number = 0
    try:
        for place, value in _elements(document):
            unclean = document.undecoded or document.escaped
            for one in _unfolded(value, place):
                number += 1
                problem = one.problem or _problem(one.value, unclean=unclean, answered=answered)
                if problem:
                    reject = Reject(number, problem, kind_of(one.value), len(str(one.value)))
                    yield Entry(number, reject=reject, place=one.place)
                else:
                    yield Entry(number, one.value, place=one.place)
    except EOFError:
        return


def _elements(document: _Document) -> Iterator[tuple[str, Any]]:
    """The elements of the document's array, each with its place in it, such as `data[3]`."""
    if document.take("["):
        yield from _array(document, "")
    elif document.take("{"):
        found = False
        while not document.take("}"):
            key = document.value()
            if not isinstance(key, str) or not document.take(":"):
                raise document.ended()
            if key == "data" and not found and document.take("["):
                found = True
                yield from _array(document, "data")
            else:
                document.value()
            if not document.take(",") and document.next_sign() != "}":
                raise document.ended()
        if not found:
            hint = " It looks like one object per line: name it as jsonl:" if document.next_sign() else ""
            raise DataError(
                f"{document.path}: an array of records is expected, bare or under the key 'data'; it is an object without."
                + (f"{hint}{document.path.name}" if hint else "")
            )
    elif document.next_sign():
        raise document.broken(
            "an array of records is expected, or an object with one under the key 'data'", 0
        )
    if document.next_sign():
        raise document.broken("something follows its end", document.at)


def _array(document: _Document, name: str) -> Iterator[tuple[str, Any]]:
    number = 0
    if document.take("]"):
        return
    while True:
        yield f"{name}[{number}]", document.value()
        number += 1
        if document.take("]"):
            return
        if not document.take(","):
            raise document.ended()


@dataclass(frozen=True)
class _Found:
    """What stands at a place of the document; and what is wrong with it, where that is known already."""

    place: str
    value: Any
    problem: str = ""


def _unfolded(value: Any, place: str) -> Iterator[_Found]:
    """A record as it is; an article as its questions."""
    if not isinstance(value, dict) or "paragraphs" not in value:
        yield _Found(place, value)
        return
    paragraphs = value["paragraphs"]
    if not isinstance(paragraphs, list):
        yield _Found(f"{place}.paragraphs", paragraphs, "no list of paragraphs")
        return
    for at, paragraph in enumerate(paragraphs):
        within = f"{place}.paragraphs[{at}]"
        questions = paragraph.get("qas") if isinstance(paragraph, dict) else None
        if not isinstance(questions, list):
            yield _Found(within, paragraph, "no list of questions (qas)")
            continue
        for number, one in enumerate(questions):
            yield _Found(f"{within}.qas[{number}]", _question(value, paragraph, one))


def _question(article: Mapping[str, Any], paragraph: Mapping[str, Any], one: Any) -> Any:
    if not isinstance(one, dict):
        return one
    found = {**one, "title": article.get("title"), "context": paragraph.get("context")}
    return {name: found.get(name) for name in QUESTION_COLUMNS}


def _problem(record: Any, *, unclean: bool, answered: bool) -> str:
    """Why a record can't be read; empty where it can. answered: whether it must say what its answer is."""
    if not isinstance(record, dict):
        return "not a JSON object"
    if unclean:
        try:
            check_characters(record)
        except UnicodeEncodeError:
            return "wrong encoding"
    return _contradiction(record) if answered and tuple(record) == QUESTION_COLUMNS else ""


def _contradiction(record: Mapping[str, Any]) -> str:
    """Where a question does not say clearly whether it has an answer."""
    impossible, answers = record["is_impossible"], record["answers"]
    if impossible is True and answers:
        return "said to be impossible, but has answers"
    if impossible is not True and answers is None:
        return "no answers, and not said to be impossible"
    if impossible is False and not answers:
        return "no answers, but not said to be impossible"
    return ""
