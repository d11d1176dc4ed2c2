"""One charter at several values of one of its keys: `privacy.epsilon=1,3,8,inf`, read and checked before anything is run."""

import copy
import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charter.errors import CharterError, CharterFileError
from charter.spec.check import check
from charter.spec.document import Path_, parse_document, read_document
from charter.spec.model import Charter

EPSILON = "privacy.epsilon"
WITHOUT = "inf"
"""The value of `privacy.epsilon` that stands for a charter without its section `privacy`."""
NOT_SWEPT = ("name", "data.id", "data.public", "data.privacy_budget")
"""Keys that say whose rows these are and what they may cost, or what the model is called: nothing to be tried out."""
LONGEST = 40
_KEY = re.compile(r"[^.\[\]\s]+(?:\.[^.\[\]\s]+|\[[0-9]+\])*")
_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")


@dataclass(frozen=True)
class SweepPoint:
    """One value of a sweep. said: as people read it; charter: with that value, under a name of its own, its data under their own id."""

    said: str
    value: Any
    charter: Charter

    @property
    def number(self) -> float | None:
        """The value as a number, infinite for no privacy; None where it is none."""
        if self.value == WITHOUT and self.charter.privacy is None:
            return math.inf
        known = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        return float(self.value) if known else None


@dataclass(frozen=True)
class Sweep:
    """A charter's key and its values, in the order in which they were asked for. name: the charter's own."""

    name: str
    key: str
    points: tuple[SweepPoint, ...]


def read_sweep(path: Path, asked: str) -> Sweep:
    """Read `KEY=VALUE,VALUE,...` for a charter file, and check the charter that each value makes.

    Values are written as in a charter; `privacy.epsilon=inf` leaves the section `privacy` out. What is wrong is said of the value, not
    of a line: a swept value stands on none.

    Raises:
        CharterFileError: the file itself has problems, each with its line.
        CharterError: no such key, a value that is wrong there, a value twice, fewer than two values.
    """
    key, mark, text = asked.partition("=")
    key = key.strip()
    if not mark or not _KEY.fullmatch(key):
        raise CharterError(
            f"--sweep {asked}: write a charter's key and its values, such as {EPSILON}=1,3,8,{WITHOUT}"
        )
    if any(key == one or key.startswith(f"{one}.") for one in NOT_SWEPT):
        raise CharterError(
            f"--sweep {key}: this key says whose rows these are and what they may cost, or what the model is called; it is no setting to "
            f"try out"
        )
    document = read_document(path)
    own = check(document)
    values = _values(key, text)
    steps = tuple(name if name else int(number) for name, number in _STEP.findall(key))
    points = []
    for value in values:
        said = _said(value)
        changed = copy.deepcopy(document.value)
        _put(changed, steps, value, f"--sweep {key}={said}")
        try:
            checked = check(replace(document, value=changed))
        except CharterFileError as error:
            told = (
                f"--sweep {key}={said}: {one.path + ': ' if one.path else ''}{one.message}"
                for one in error.problems
            )
            raise CharterError("\n".join(dict.fromkeys(told))) from None
        points.append(SweepPoint(said, value, checked))
    _check_different(key, points)
    return Sweep(
        own.name,
        key,
        tuple(replace(one, charter=_renamed(own, key, place, points)) for place, one in enumerate(points)),
    )


def _values(key: str, text: str) -> list[Any]:
    try:
        values = parse_document(f"values: [{text}\n]", Path("--sweep")).value["values"]
    except CharterFileError as error:
        raise CharterError(f"--sweep {key}={text}: {error.problems[0].message}") from None
    if not isinstance(values, list) or not values:
        raise CharterError(f"--sweep {key}=: names no value; write two or more, separated by commas")
    if len(values) < 2:
        raise CharterError(
            f"--sweep {key}={text}: a sweep compares two values or more; to run one, write it in the charter"
        )
    return values


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.10g}"
    return json.dumps(value, ensure_ascii=False)


def _put(whole: dict[str, Any], steps: Path_, value: Any, where: str) -> None:
    """Put a value at a path of a charter; sections on the way that the file leaves out are begun."""
    if list(steps) == EPSILON.split(".") and value == WITHOUT:
        whole["privacy"] = None
        return
    part: Any = whole
    for step, following in zip(steps, (*steps[1:], None), strict=True):
        last = following is None
        if isinstance(step, int):
            if not isinstance(part, list) or step >= len(part):
                count = len(part) if isinstance(part, list) else 0
                raise CharterError(f"{where}: the charter's list has {count} items there, counted from 0")
        elif not isinstance(part, dict):
            raise CharterError(f"{where}: the charter has no keys at the place of '{step}'")
        if last:
            part[step] = value
            return
        inner = part[step] if isinstance(step, int) else part.get(step)
        part[step] = {} if inner is None else inner
        part = part[step]


def _check_different(key: str, points: list[SweepPoint]) -> None:
    known: dict[str, str] = {}
    for one in points:
        earlier = known.setdefault(one.charter.digest, one.said)
        if earlier is not one.said or [two.said for two in points].count(one.said) > 1:
            raise CharterError(
                f"--sweep {key}: {earlier} and {one.said} make the same charter; give each value once"
            )


def _renamed(own: Charter, key: str, place: int, points: list[SweepPoint]) -> Charter:
    """A point's charter under its own name, so that nobody takes its runs for the charter's; its data keep their id."""
    names = [_slug(f"{key.rpartition('.')[2]}-{one.said}") for one in points]
    name = names[place] if names.count(names[place]) == 1 else f"{names[place]}-{place + 1}"
    charter = points[place].charter
    data = charter.data.model_copy(update={"id": own.data_id})
    return charter.model_copy(update={"name": f"{own.name[: 79 - LONGEST - 10]}-sweep-{name}", "data": data})


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-.")[:LONGEST] or "point"
