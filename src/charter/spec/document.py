"""A charter file's text as plain values, each with the line it stands on. No input ends in anything but a value or problems.

YAML 1.2's core rules for plain scalars: only true and false are truth values (`NO` and `on` are text), 1e-5 is a number,
12:30 is text, dates are text. Equal keys, keys that are no text, tags, several documents and endless aliases are refused.
"""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from charter.errors import CharterError, CharterFileError, Problem

MOST_BYTES = 1_000_000
MOST_NODES = 20_000
DEEPEST = 40

Path_ = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_HALF = re.compile("[\ud800-\udfff]")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass(frozen=True)
class Document:
    """A charter file's value, and the lines (from 1) of the keys and items on each path."""

    file: str
    folder: Path
    value: dict[str, Any]
    lines: Mapping[Path_, int]

    def line(self, path: Path_) -> int:
        """The line of a path, or of the nearest thing around it that is in the file."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: Path_, message: str) -> Problem:
        """A problem at a path."""
        return Problem(self.file, self.line(path), written_path(path), message)


def written_path(path: Path_) -> str:
    """A path as people write it: `audits[0].confidence`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def read_document(path: Path) -> Document:
    """Read a charter file.

    Raises:
        CharterFileError: it can't be read, is no YAML, or its top is no mapping.
    """
    try:
        if path.is_dir():
            raise _refused(
                path, 1, f"is a folder; name the charter file in it, such as {path / 'charter.yaml'}"
            )
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise _refused(path, 1, f"has {size:,} bytes; a charter has at most {MOST_BYTES:,}")
        content = path.read_bytes()
    except FileNotFoundError:
        raise _refused(path, 1, "no such file; `charter init DATA` writes one") from None
    except (OSError, ValueError) as error:
        raise _refused(
            path, 1, f"can't be read ({getattr(error, 'strerror', None) or 'not a path'})"
        ) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _refused(path, line, "is not UTF-8 text; save it as UTF-8") from None
    return parse_document(text, path)


@contextmanager
def at_its_line(path: Path) -> Iterator[None]:
    """An error about a key of this charter file, which arises while the charter is followed, is said with the key's line."""
    try:
        yield
    except CharterError as error:
        if error.key and not error.place:
            with suppress(CharterFileError):  # the file was changed meanwhile
                document = read_document(path)
                error.place = f"{document.file}:{document.line(error.key)}"
        raise


def parse_document(
    text: str, path: Path, *, what: str = "a charter", form: str = "name: ..., data: ..."
) -> Document:
    """Read a charter's text; `path` is what problems name, `what` and `form` what the file is and how it looks.

    Raises:
        CharterFileError: it is no YAML, or its top is no mapping.
    """
    node = _compose(text, path)
    if node is None:
        raise _refused(path, 1, "the file is empty; `charter init DATA` writes a charter")
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise _refused(path, node.start_mark.line + 1, f"{what} is a mapping ({form}), this is {kind}")
    walk = _Walk(path)
    value = walk.value(node, (), 0)
    if walk.problems:
        raise CharterFileError(walk.problems)
    return Document(str(path), path.absolute().parent, value, walk.lines)


def _compose(text: str, path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise _refused(
            path, line, f"holds a character that YAML does not allow (U+{_code(error):04X})"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = error.problem or error.context or "it can't be read"
        line = mark.line + 1 if mark else 1
        if "expected a single document" in (error.context or ""):
            said = "a second document begins here (---); a charter is one"
        elif "\\t" in said or "'\\t'" in repr(said):
            said = "a tab; YAML is indented with spaces"
        raise _refused(path, line, f"not YAML: {said}") from None
    except (RecursionError, ValueError, yaml.YAMLError):
        raise _refused(
            path, 1, "not YAML that a charter may be: it is nested too deeply or malformed"
        ) from None


def _code(error: yaml.reader.ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(str(error.character)[:1] or "?")


def _refused(path: Path, line: int, message: str) -> CharterFileError:
    return CharterFileError([Problem(str(path), line, "", message)])


class _Walk:
    """One walk through composed nodes: values, the line of each path, and every problem."""

    def __init__(self, path: Path) -> None:
        self.file = str(path)
        self.lines: dict[Path_, int] = {}
        self.problems: list[Problem] = []
        self.nodes = 0
        self.open: set[int] = set()

    def value(self, node: yaml.Node, path: Path_, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MOST_NODES or depth > DEEPEST:
            if self.nodes == MOST_NODES + 1 or depth == DEEPEST + 1:
                self._say(
                    node,
                    path,
                    f"more than {MOST_NODES:,} values or {DEEPEST} levels; a charter needs no such thing",
                )
            self.nodes = max(self.nodes, MOST_NODES + 2)
            return None
        self.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self.open:
            self._say(node, path, "an alias (*) that stands inside what it names")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        core = "tag:yaml.org,2002:map" if isinstance(node, yaml.MappingNode) else "tag:yaml.org,2002:seq"
        if node.tag != core:
            self._say(node, path, f"the tag {node.tag[:40]!r} is not understood; leave it out")
            return None
        self.open.add(id(node))
        found: Any = None
        if isinstance(node, yaml.MappingNode):
            found = self._mapping(node, path, depth)
        elif isinstance(node, yaml.SequenceNode):
            found = self._list(node, path, depth)
        self.open.discard(id(node))
        return found

    def _mapping(self, node: yaml.MappingNode, path: Path_, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._say(key_node, path, "a key is a word, not a list or mapping")
                continue
            key = key_node.value
            if _HALF.search(key):
                self._say(key_node, path, "a key holds half a character (\\ud800 to \\udfff)")
                continue
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._say(key_node, path, "merge keys (<<) are not understood; write the keys out")
                continue
            if key in first:
                self._say(
                    key_node, (*path, key), f"the key stands twice (first on line {first[key]}); keep one"
                )
                continue
            first[key] = line
            self.lines[(*path, key)] = line
            found[key] = self.value(value_node, (*path, key), depth + 1)
        return found

    def _list(self, node: yaml.SequenceNode, path: Path_, depth: int) -> list[Any]:
        return [self.value(item, (*path, place), depth + 1) for place, item in enumerate(node.value)]

    def _scalar(self, node: yaml.ScalarNode, path: Path_) -> Any:
        text = node.value
        if _HALF.search(text):
            self._say(node, path, "half a character (\\ud800 to \\udfff); write the character itself")
            return None
        # An explicit !!tag differs from what the resolver would have given; of those only !!str is understood.
        implicit = (node.style is None, node.style is not None)
        plain = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, implicit)  # type: ignore[no-untyped-call]
        if node.tag != plain:
            if node.tag == "tag:yaml.org,2002:str":
                return text
            self._say(node, path, f"the tag {node.tag[:40]!r} is not understood; leave it out")
            return None
        if node.style is not None:
            return text
        if text in ("", "~", "null", "Null", "NULL"):
            return None
        if text in ("true", "True", "TRUE"):
            return True
        if text in ("false", "False", "FALSE"):
            return False
        if _NOT_FINITE.fullmatch(text):
            self._say(node, path, "infinity and not-a-number are no values of a charter")
            return None
        return self._number(node, path, text)

    def _number(self, node: yaml.ScalarNode, path: Path_, text: str) -> Any:
        for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
            if pattern.fullmatch(text):
                if len(text) > 300:
                    self._say(node, path, f"a number of {len(text)} digits")
                    return None
                return int(text[2:] if base != 10 else text, base)
        if _FLOAT.fullmatch(text):
            value = float(text)
            if not math.isfinite(value):
                self._say(node, path, "the number is too large")
                return None
            return value
        return text

    def _say(self, node: yaml.Node, path: Path_, message: str) -> None:
        self.problems.append(Problem(self.file, node.start_mark.line + 1, written_path(path), message))
