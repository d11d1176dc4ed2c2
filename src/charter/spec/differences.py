"""How charters differ, key by key, with every default filled in: their own and their plug-ins'. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter import plugins
from charter.errors import OptionError
from charter.spec.model import Charter
from charter.spec.use import Use

KINDS: Mapping[str, plugins.Kind] = {
    "data.prepare": "preparation",
    "model.adapt": "adapter",
    "task": "task",
    "audits": "audit",
}
"""Where a charter names plug-ins, and of which kind: there the order and the options are compared."""


@dataclass(frozen=True)
class Change:
    """A key that is not the same in all charters: what each says, as JSON text; None where it has no such key."""

    key: str
    values: tuple[str | None, ...]


def differences(charters: Sequence[Charter]) -> tuple[Change, ...]:
    """The keys that differ between charters, in the order of the file; the name is left out.

    Lists of plug-ins (`data.prepare`) are compared by name, so that one more of them does not make all that follow look
    changed: `data.prepare` itself is their order, `data.prepare[mask_pii].locales` an option. A limit is a key by its text.
    """
    flat = [dict(_flat("", charter.model_dump(mode="json", exclude={"name"}))) for charter in charters]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    found = [Change(key, tuple(one.get(key) for one in flat)) for key in keys]
    order = {key: place for place, key in enumerate(Charter.model_fields)}
    nothing = {
        None,
        "null",
    }  # where one charter has no such section, what the other leaves unset in it is no difference
    changed = [one for one in found if len(set(one.values)) > 1 and not set(one.values) <= nothing]
    return tuple(
        sorted(changed, key=lambda change: order.get(change.key.partition(".")[0].partition("[")[0], 0))
    )


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if path in KINDS:
        uses = value if isinstance(value, list) else [value]
        yield path, _text([use["use"] for use in uses] if isinstance(value, list) else value["use"])
        for use in uses:
            where = f"{path}[{use['use']}]" if isinstance(value, list) else path
            for name, option in _options(KINDS[path], use).items():
                yield f"{where}.{name}", _text(option)
    elif path == "limits":
        for one in value:
            limit = {"limit": one, "judge": "interval"} if isinstance(one, str) else one
            yield f"limits[{limit['limit']}].judge", _text(limit["judge"])
    elif isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _flat(f"{path}.{key}" if path else key, one)
    else:
        yield path, _text(value)


def _options(kind: plugins.Kind, use: Mapping[str, Any]) -> dict[str, Any]:
    """A plug-in's options with its defaults; of one that is not installed here, those that are written."""
    written = {name: option for name, option in use.items() if name != "use"}
    try:
        return plugins.resolve(kind, use["use"], written)
    except (OptionError, ImportError, TypeError, AttributeError):
        return written


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Use) else list(value)
