"""Write a charter as YAML: whole with its defaults, or commented for people to edit."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from charter.spec.model import Charter


class _Dumper(yaml.SafeDumper):
    """Quotes every text that some YAML reader would take for something else; no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        del indentless
        return super().increase_indent(flow, False)


_PLAIN = re.compile(r"[^\W\d_][\w ./\-]*\w|[^\W\d_]")
_SPECIAL = re.compile(r"(?i)(y|n|yes|no|on|off|true|false|null|nan|inf|[-+.0-9].*|.*:$)")


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    plain = _PLAIN.fullmatch(value) and not _SPECIAL.fullmatch(value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


def _number(dumper: yaml.SafeDumper, value: float) -> yaml.Node:
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")  # so that YAML 1.1 readers take it for a number too
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)


def written(charter: Charter) -> str:
    """The charter with every default filled in, as YAML that reads back to an equal charter."""
    return _yaml(charter.model_dump(mode="json"))


def commented(charter: Charter, notes: Mapping[str, str]) -> str:
    """The charter as people would write it: what matters to most, a comment on each key, defaults left out elsewhere.

    `notes` maps a key's path (`data.target`) to a further comment above it. It reads back to an equal charter.
    """
    lines = [
        "# A charter: what the model is for, whose data it learns from, how it learns, the limits it must keep.",
        "# `charter check` says every problem; `charter check --defaults` shows what is left out here.",
    ]
    for key, value in _chosen(charter.model_dump(mode="json")).items():
        lines += ["", *_told(Charter.model_fields, key, value, "", notes)]
    return "\n".join(lines) + "\n"


def _told(
    fields: Mapping[str, FieldInfo], path: str, value: Any, indent: str, notes: Mapping[str, str]
) -> Iterator[str]:
    """The lines of one key: its notes, what it means, its value; of a section, those of its keys below it."""
    name = path.rpartition(".")[2]
    yield from (f"{indent}{line}" for line in _comments(notes.get(path, "")))
    inner = _model_fields(fields[name].annotation)
    about = fields[name].description or ""
    if inner and isinstance(value, dict) and value:
        yield from _beside(f"{name}:", about, indent)
        for key, one in value.items():
            yield from _told(inner, f"{path}.{key}", one, indent + "  ", notes)
    else:
        yield from _beside(_yaml({name: value}), about, indent)


def _comments(text: str) -> list[str]:
    """A text as comments, without the characters that YAML allows nowhere."""
    allowed = (
        "".join(sign if sign.isprintable() else "\ufffd" for sign in line) for line in text.splitlines()
    )
    return [f"# {line}".rstrip() for line in allowed]


WIDEST = 130
"""No line gets a comment beside it that makes it wider."""
SHOWN: Mapping[str, tuple[str, ...]] = {
    "purpose": ("intended_use", "affected", "not_for", "risk"),
    "data": ("source", "inputs", "target", "groups", "subject", "encoding", "prepare", "split", "licence"),
    "model": ("base", "adapt", "max_length"),
    "training": ("epochs", "batch_size", "learning_rate", "seed"),
}


def _chosen(whole: dict[str, Any]) -> dict[str, Any]:
    """The keys that `init` writes: those of SHOWN, and every other one that is not at its default."""
    chosen: dict[str, Any] = {}
    for key, value in whole.items():
        field = Charter.model_fields[key]
        inner = _model_fields(field.annotation)
        default = field.get_default(call_default_factory=True)
        if inner and isinstance(value, dict):
            kept = {
                name: _without_defaults(inner[name], one)
                for name, one in value.items()
                if name in SHOWN.get(key, ()) or not _at_default(inner[name], one)
            }
            if kept:
                chosen[key] = kept
        elif key in ("name", "task", "audits", "limits") or value != default:
            chosen[key] = value
    return {key: value for key, value in chosen.items() if value is not None}


def _without_defaults(field: Any, value: Any) -> Any:
    """A part of a part, such as data.split, without its keys that are at their defaults."""
    inner = _model_fields(field.annotation)
    if not inner or not isinstance(value, dict):
        return value
    return {name: one for name, one in value.items() if not _at_default(inner[name], one)}


def _at_default(field: Any, value: Any) -> bool:
    default = field.get_default(call_default_factory=True)
    if hasattr(default, "model_dump"):
        default = default.model_dump(mode="json")
    if isinstance(default, tuple):
        default = [one.model_dump(mode="json") if hasattr(one, "model_dump") else one for one in default]
    return bool(value == default)


def _model_fields(annotation: Any) -> Mapping[str, Any]:
    fields = getattr(annotation, "model_fields", {})
    return fields if isinstance(fields, dict) and "use" not in fields else {}


def _beside(text: str, comment: str, indent: str) -> list[str]:
    """A key's lines with a comment: at the end of the line where both are short, else above."""
    lines = [indent + line for line in text.rstrip("\n").split("\n")]
    if not comment:
        return lines
    beside = f"{lines[0]:<43} # {comment}"
    if len(lines) == 1 and len(beside) <= WIDEST:
        return [beside]
    return [*(indent + line for line in _comments(comment)), *lines]


def _yaml(value: Any) -> str:
    flat = {key: _flow(one) for key, one in value.items()}
    text: str = yaml.dump(flat, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1_000_000)
    return text


class _Flow(dict):  # type: ignore[type-arg]
    """A mapping written on one line."""


_Dumper.add_representer(
    _Flow,
    lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True),
)


def _flow(value: Any, depth: int = 0) -> Any:
    """Uses and small mappings on one line."""
    if isinstance(value, dict):
        if depth > 0 and all(not isinstance(one, dict) for one in value.values()) and len(value) <= 4:
            return _Flow(value)
        return {key: _flow(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list):
        return [_flow(one, depth + 1) for one in value]
    return value
