"""Check a charter file: every problem at once, each with its line and what to do about it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from charter.errors import CharterFileError, Problem
from charter.spec.agreement import check_agreement
from charter.spec.document import Document, Path_
from charter.spec.learning import check_learning
from charter.spec.messages import is_ghost, told
from charter.spec.model import APART, Charter
from charter.spec.notes import notes
from charter.spec.parts import Parts, field_at, section_at
from charter.spec.places import check_places
from charter.spec.privacy import problems as privacy_problems
from charter.spec.uses import use_problems

NOT_BUILT = "understood, but not built yet in this version of Charter: remove it, or set it to null"
PLANNED_KEYS: Mapping[tuple[str, ...], frozenset[str]] = {
    (): frozenset({"serving", "oversight", "explanations"}),
}
"""Keys of later rooms: refused with a message that says so, never ignored and never taken for a typing error."""


@dataclass(frozen=True)
class Checked:
    """A charter without a problem. notes: what keeps its model from being released, or is still to be said."""

    charter: Charter
    notes: tuple[Problem, ...]


def check(document: Document) -> Charter:
    """The charter that a document holds.

    Raises:
        CharterFileError: every problem of the document.
    """
    problems: list[Problem] = []
    value = _without_planned(document, problems)
    charter: Charter | None = None
    try:
        charter = Charter.model_validate(value, context=APART)
    except ValidationError as error:
        problems += _told(document, error)
    problems += _hidden(document, value)
    problems += use_problems(document, value)

    def say(path: Path_, message: str) -> None:
        problems.append(document.problem(path, message))

    parts = Parts(value)
    check_agreement(parts, say)
    check_places(parts, document.folder, say)
    check_learning(parts, document.folder, say)
    for path, message in privacy_problems(value):
        say(path, message)
    if problems or charter is None:
        raise CharterFileError(list(dict.fromkeys(problems)))
    return charter


def check_with_notes(document: Document) -> Checked:
    """As `check`, with the notes on a charter that is right.

    Raises:
        CharterFileError: every problem of the document.
    """
    charter = check(document)
    return Checked(charter, tuple(notes(document, charter)))


def _without_planned(document: Document, problems: list[Problem]) -> dict[str, Any]:
    """The document's value without keys of rooms that are not built; each of those that is set is a problem."""
    value = dict(document.value)
    for where, keys in PLANNED_KEYS.items():
        part = value if not where else value.get(where[0])
        if not isinstance(part, dict):
            continue
        kept = {key: one for key, one in part.items() if key not in keys}
        for key in part.keys() & keys:
            if part[key] is not None:
                problems.append(document.problem((*where, key), NOT_BUILT))
        if where:
            value[where[0]] = kept
        else:
            value = kept
    if value.get("federation") is not None:
        problems.append(document.problem(("federation",), NOT_BUILT))
        value = {**value, "federation": None}
    return value


def _told(document: Document, error: ValidationError, within: Path_ = ()) -> Iterator[Problem]:
    """Pydantic's errors in plain words, at their places in the file."""
    for detail in error.errors(include_url=False):
        path = _file_path(document.value, (*within, *detail["loc"]))
        if is_ghost(detail):
            continue
        keys = tuple(step for step in path if isinstance(step, str))
        section = section_at(keys[:-1])
        known = list(section.model_fields) if section is not None else []
        field = field_at(keys) if keys and keys[-1] in known else None
        yield document.problem(path, told(detail, ".".join(keys), field, known))


def _hidden(document: Document, value: Mapping[str, Any]) -> Iterator[Problem]:
    """What a section's own rules say once its wrong keys are left out: pydantic asks them only when all else is right."""
    for path in (("data", "split"), ("training",), ("pretraining",)):
        section, raw = section_at(path), Parts(value).at(*path)
        if section is not None and isinstance(raw, dict):
            wrong = {detail["loc"][0] for detail in _errors(section, raw) if detail["loc"]}
            rest = {key: one for key, one in raw.items() if key not in wrong}
            try:
                section.model_validate(rest)
            except ValidationError as error:
                yield from _told(document, error, path)


def _errors(section: type[BaseModel], raw: Mapping[str, Any]) -> list[Any]:
    try:
        section.model_validate(raw)
    except ValidationError as error:
        return list(error.errors(include_url=False))
    return []


def _file_path(value: Any, loc: Iterable[str | int]) -> Path_:
    """The part of a pydantic location that is a path in the file (it names union members and models too)."""
    path: list[str | int] = []
    steps = list(loc)
    for place, step in enumerate(steps):
        last = place == len(steps) - 1
        if isinstance(value, dict) and isinstance(step, str) and step != "[key]":
            if step in value:
                value = value[step]
            elif not last or (step.startswith("[") and step.endswith("]")):
                continue  # a union member's name, such as `[parts]`
            path.append(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
            path.append(step)
    return tuple(path)
