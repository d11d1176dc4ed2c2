"""The parts of a charter file that can be understood, whatever is wrong with the others.

Checks across keys read these, so that one mistyped number hides no other problem.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from charter.spec.document import Path_
from charter.spec.model import Charter

Say = Callable[[Path_, str], None]
"""Notes a problem at a path of the file."""


class Parts:
    """A charter file's value, read key by key."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self._value = value

    def one(self, *path: str) -> Any:
        """The value of a key, checked by itself; its default where the file has none; None where it is wrong or missing."""
        field = field_at(path)
        if not self.stands(*path):
            return None if field.is_required() else field.get_default(call_default_factory=True)
        return _read(_adapter(path), self.at(*path))

    def each(self, *path: str) -> dict[Path_, Any]:
        """The items of a list by their paths, each checked by itself; those that are wrong are left out."""
        if not self.stands(*path):
            return dict(_placed(path, field_at(path).get_default() or ()))
        raw = self.at(*path)
        read = [_read(_item(path), one) for one in raw] if isinstance(raw, list) else []
        items = dict(_placed(path, read))
        return {place: item for place, item in items.items() if item is not None}

    def whole(self, *path: str) -> bool:
        """Whether every item of a list is understood."""
        raw = self.at(*path) if self.stands(*path) else []
        return isinstance(raw, list) and (not raw or len(self.each(*path)) == len(raw))

    def stands(self, *path: str) -> bool:
        """Whether the file says something at a key."""
        return self.at(*path) is not None

    def keys(self, *path: str) -> tuple[str, ...]:
        """The keys of a mapping, in order; nothing where there is none."""
        raw = self.at(*path)
        return tuple(raw) if isinstance(raw, dict) else ()

    def texts(self, *path: str) -> dict[str, str]:
        """The entries of a mapping whose values are texts."""
        raw = self.at(*path)
        return {key: one for key, one in raw.items() if isinstance(one, str)} if isinstance(raw, dict) else {}

    def at(self, *path: str) -> Any:
        """What stands in the file at a key, unchecked; None where nothing does."""
        value: Any = self._value
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value


def _placed(path: Path_, items: Iterable[Any]) -> Iterator[tuple[Path_, Any]]:
    for at, item in enumerate(items):
        yield (*path, at), item


def field_at(path: tuple[str, ...]) -> FieldInfo:
    """The model's field of a key."""
    model: Any = Charter
    for step in path[:-1]:
        model = section_of(model.model_fields[step].annotation)
    found: FieldInfo = model.model_fields[path[-1]]
    return found


def section_at(path: Path_) -> type[BaseModel] | None:
    """The model of the section at a path; None where a path leads elsewhere."""
    model: Any = Charter
    for step in path:
        field = model.model_fields.get(step) if isinstance(step, str) else None
        model = section_of(field.annotation) if field is not None else None
        if model is None:
            return None
    found: type[BaseModel] = model
    return found


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field's type holds, that null may stand for, or that a list's items are; None where it holds another."""
    held = _of_items(annotation)
    several = get_args(held) if get_origin(held) in (Union, UnionType) else (held,)
    sections = [one for one in several if isinstance(one, type) and issubclass(one, BaseModel)]
    return sections[0] if len(sections) == 1 and set(several) <= {*sections, NoneType} else None


def _of_items(annotation: Any) -> Any:
    """The model of a list's items, for a list of sections; else the annotation itself."""
    return get_args(annotation)[0] if get_origin(annotation) is tuple else annotation


def _read(adapter: TypeAdapter[Any], value: Any) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None


@cache
def _adapter(path: tuple[str, ...]) -> TypeAdapter[Any]:
    return TypeAdapter(field_at(path).rebuild_annotation())


@cache
def _item(path: tuple[str, ...]) -> TypeAdapter[Any]:
    annotation = field_at(path).annotation
    if get_origin(annotation) is not tuple:
        raise TypeError(f"{'.'.join(path)} is no list")
    return TypeAdapter(get_args(annotation)[0])
