"""What is wrong with one value, in plain words: what was found, what is accepted, what to write instead."""

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from charter.spec.use import Use

EXAMPLES: Mapping[str, str] = {
    "name": "name: reviews",
    "data": "data: {source: reviews.csv, inputs: {text: text}, target: label}",
    "data.source": "source: reviews.csv",
    "data.join": "join: [{source: texts.csv, on: id}]",
    "data.join.source": "source: texts.csv",
    "data.join.on": "on: id, or on: {author: user_id}",
    "data.inputs": "inputs: {text: text} (column: modality)",
    "data.target": "target: label",
    "data.split": "split: {test: 0.15}",
    "model": 'model: {base: "sample:minilm"}',
    "model.base": 'base: "sample:minilm"',
    "task": "task: {use: classification}",
    "training": "training: {epochs: 3}",
    "training.search": "search: {learning_rate: [1.0e-5, 1.0e-4], trials: 12}",
    "purpose": "purpose: {intended_use: TEXT}",
    "release": "release: {formats: [safetensors]}",
    "report": "report: {language: en}",
}
"""Key -> how it may be written; said where a key is missing or is not of the right form."""
_NUMBERS = {
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "{le:g} or less",
}
_TRUTH = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_MAPPINGS = ("model_type", "model_attributes_type", "dict_type")
_LISTS = ("tuple_type", "list_type", "set_type", "frozen_set_type")


def told(
    detail: Mapping[str, Any], key: str, field: FieldInfo | None, known: Iterable[str], *, what: str = "key"
) -> str:
    """One error of pydantic in plain words.

    Args:
        detail: one of `ValidationError.errors()`.
        key: the key it is about, as written with dots and without the numbers of items: `data.groups`.
        field: the field of that key, where there is one.
        known: the keys or options that may stand beside it.
        what: what it is called: key or option.
    """
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind == "extra_forbidden":
        word, names = str(detail["loc"][-1]), list(known)
        return f"unknown {what}.{near(word, names)} Known: {', '.join(names) or 'none'}."
    if kind == "missing":
        return _missing(key, field)
    if kind == "value_error":
        return str(context.get("error", detail["msg"]))
    if kind == "literal_error":
        words = [one.strip("'") for one in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return f"{found(value)}; accepted: {', '.join(words)}.{near(str(value), words)}"
    if kind == "string_pattern_mismatch":
        return f"{found(value)}; {_pattern(str(context['pattern']))}"
    accepted = _accepted(kind, value, context, key, field) or detail["msg"]
    optional = (
        ", or leave the key out for its default" if field is not None and not field.is_required() else ""
    )
    return f"{found(value)}; accepted: {accepted}{optional if value is None else ''}"


def found(value: Any) -> str:
    """What stands in the file, shortened."""
    if value is None:
        return "there is nothing here"
    if value == "":
        return "found empty text"
    if isinstance(value, str):
        return f"found the text {json.dumps(value[:60], ensure_ascii=False)}" + (
            "..." if len(value) > 60 else ""
        )
    if isinstance(value, bool):
        return f"found {str(value).lower()}"
    if isinstance(value, dict | list | tuple):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"found {'a' if value else 'an empty'} {kind}"
    return f"found {str(value)[:40]}"


def near(word: str, known: Iterable[str]) -> str:
    """The nearest known word as a question, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def is_ghost(detail: Mapping[str, Any]) -> bool:
    """Whether an error only follows from others: a list is "too short" because its items are wrong."""
    return detail["type"] == "too_short" and bool(detail.get("input"))


def _missing(key: str, field: FieldInfo | None) -> str:
    if key.endswith(".use") or key == "use":
        return "is missing: a plug-in is named by {use: NAME}"
    about = f" ({field.description})" if field is not None and field.description else ""
    example = f"; write it, such as {EXAMPLES[key]}" if key in EXAMPLES else "; write it"
    return f"is missing and has no default{about}{example}"


def _pattern(pattern: str) -> str:
    if pattern.startswith("^_?"):
        return "accepted: a column's name on one line that does not begin with two underscores; rename the column"
    return "accepted: letters of any script, digits, and . _ - (not first), up to 80, without spaces"


def _accepted(kind: str, value: Any, context: Mapping[str, Any], key: str, field: FieldInfo | None) -> str:
    """What is accepted for an error of this kind; empty where pydantic's own words must do."""
    if kind in _NUMBERS:
        return _NUMBERS[kind].format(**context)
    if kind.startswith("bool"):
        write = _TRUTH.get(str(value).lower(), str(value).lower())
        return "true or false" + (f": write {write}" if write in ("true", "false") else "")
    if kind.startswith("int"):
        return "a whole number" + _out_of_quotes(value)
    if kind.startswith("float"):
        return "a number" + _out_of_quotes(value)
    if kind == "string_too_short":
        return "text of at least one character"
    if kind.startswith("string"):
        plain = isinstance(value, bool | int | float)
        text = str(value).lower() if isinstance(value, bool) else str(value)[:40]
        return "text" + (f': write it in quotes, "{text}"' if plain else "")
    if kind == "too_short":
        return f"at least {context.get('min_length', 1)}"
    if kind == "too_long":
        return f"at most {context.get('max_length', 1)}"
    if kind in _LISTS:
        return "a list" + _listed(value, field)
    if kind in _MAPPINGS:
        return _mapping(value, key, context)
    return ""


def _out_of_quotes(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    try:
        finite = math.isfinite(float(value))
    except ValueError:
        return ""
    if not finite:
        return ", not an infinite one"
    return f": write {value.strip()[:40]} without quotes"


def _listed(value: Any, field: FieldInfo | None) -> str:
    if not isinstance(value, str):
        return ""
    of_uses = field is not None and _holds_uses(field.annotation)
    return f": write {_use(value) if of_uses else ''}" if of_uses else f": write [{value[:60]}]"


def _holds_uses(annotation: Any) -> bool:
    return annotation is Use or (get_origin(annotation) is tuple and Use in get_args(annotation))


def _use(name: str) -> str:
    return f"[{{use: {name[:60]}}}]"


def _mapping(value: Any, key: str, context: Mapping[str, Any]) -> str:
    if context.get("class_name") == "Use":
        name = value[:60] if isinstance(value, str) and value else "NAME"
        return f"a plug-in by its name: write {{use: {name}}}"
    return "keys with values" + (f", such as {EXAMPLES[key]}" if key in EXAMPLES else "")
