"""Findings: what was measured, with its uncertainty, and of what. Evidence, never an opinion."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

from charter.errors import StoreError
from charter.runs.files import parse_json


@dataclass(frozen=True)
class Finding:
    """One measured number.

    `value`, `low` and `high` are None together when there is no evidence; `because` then says why (such as
    "insufficient evidence: 12 rows, at least 30 are needed"). `slice` names the part measured: `{"class": "negative"}`,
    `{"topic": "airlines"}`; empty for the whole. `of` is the digest of what was measured (a model, a data set), `on`
    the digest of the rows it was measured on, `split` their split. `attachment` is a small JSON value with its
    `kind` (`matrix`, `curve`, `table`) that a page can draw; it holds counts and rates, never a row's text.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    area: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    n: int | None = None
    slice: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    unit: str = ""
    of: str = ""
    on: str = ""
    split: str = ""
    party: str = ""
    because: str = ""
    attachment: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for number in (self.value, self.low, self.high):
            if number is not None and not math.isfinite(number):
                raise ValueError(f"finding {self.metric}: {number} is no measurement; use None and say why")
        if self.value is None and not self.because:
            raise ValueError(f"finding {self.metric}: without a value it must say why (because)")

    @property
    def exact(self) -> bool:
        """Whether it was counted, not estimated: both ends are its value, with no confidence, so that limits can be judged on it."""
        return self.confidence is None and self.value is not None and self.low == self.value == self.high

    def as_json(self) -> dict[str, Any]:
        """A JSON object with every field that is set."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", {})}


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Write findings as JSON lines, in the order given."""
    lines = [json.dumps(finding.as_json(), ensure_ascii=False, sort_keys=True) for finding in findings]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


_FIELDS = TypeAdapter(Finding)


def read_finding(value: Any) -> Finding:
    """A finding from its JSON.

    Raises:
        TypeError, ValueError: it is none: not an object, an unknown field, a field of another type.
    """
    return _FIELDS.validate_json(json.dumps({"value": None, **value}, allow_nan=False), strict=True)


def read_findings(path: Path) -> list[Finding]:
    """Read findings written by `write_findings`.

    Raises:
        StoreError: a line that is not a finding, with the file and line.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line:
            continue
        try:
            found.append(read_finding(parse_json(line)))
        except (TypeError, ValueError) as error:
            raise StoreError(
                f"{path}:{number}  not a finding ({error}); the file was changed or cut off"
            ) from None
    return found
