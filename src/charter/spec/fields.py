"""The kinds of values that keys of a charter hold.

Strict: the file is YAML 1.2, so `yes` and "2000" are text, never a truth value or a number.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Truth = Annotated[bool, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Whole = Annotated[int, Field(strict=True), BeforeValidator(_whole)]
"""A whole number; 1e3 is one, as it is for JSON Schema."""
Count = Annotated[int, Field(strict=True, ge=1), BeforeValidator(_whole)]
Fraction = Annotated[float, Field(strict=True, gt=0, lt=1)]


Name = Annotated[
    str, Field(pattern=r"^[\w][\w.\-]{0,79}$", description="letters of any script, digits, and . _ - inside")
]


class Section(BaseModel):
    """A part of the charter: frozen, no unknown key, every key told."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
