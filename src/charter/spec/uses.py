"""Check the plug-ins that a charter names, and their options, wherever it uses one."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from charter import plugins
from charter.errors import OptionError, Problem
from charter.spec.document import Document, Path_
from charter.spec.messages import is_ghost, told


def use_problems(document: Document, value: Mapping[str, Any]) -> list[Problem]:
    """Problems of plug-ins' names and options."""
    data, model = _mapping(value.get("data")), _mapping(value.get("model"))
    places: list[tuple[plugins.Kind, Path_, Any]] = [
        *(("preparation", ("data", "prepare", at), use) for at, use in enumerate(_list(data.get("prepare")))),
        ("adapter", ("model", "adapt"), model.get("adapt")),
        ("task", ("task",), value.get("task")),
        *(("audit", ("audits", at), use) for at, use in enumerate(_list(value.get("audits")))),
        *(("tracker", ("tracking", at), use) for at, use in enumerate(_list(value.get("tracking")))),
    ]
    problems: list[Problem] = []
    for kind, path, use in places:
        if isinstance(use, dict) and isinstance(use.get("use"), str) and use["use"]:
            problems += _one_use(document, kind, path, use)
        elif isinstance(use, str) and use and use not in plugins.names(kind):
            problems.append(document.problem(path, plugins.unknown(kind, use)))
    formats = _list(_mapping(value.get("release")).get("formats"))
    names: list[tuple[plugins.Kind, Path_, Any]] = [
        *(("input", ("data", "inputs", column), one) for column, one in _mapping(data.get("inputs")).items()),
        *(("exporter", ("release", "formats", at), one) for at, one in enumerate(formats)),
    ]
    for kind, path, name in names:
        if isinstance(name, str) and name not in plugins.names(kind):
            problems.append(document.problem(path, plugins.unknown(kind, name)))
    return problems


def _one_use(document: Document, kind: plugins.Kind, path: Path_, use: Mapping[str, Any]) -> list[Problem]:
    name = use["use"]
    if name not in plugins.names(kind):
        return [document.problem((*path, "use"), plugins.unknown(kind, name))]
    options = {key: one for key, one in use.items() if key != "use"}
    try:
        plugins.check_options(kind, name, options)
        if kind == "preparation":  # quick to make; only it knows which of its options go together
            plugins.make(kind, name, options)
    except ValidationError as error:
        details = [detail for detail in error.errors(include_url=False) if not is_ghost(detail)]
        return [_option_problem(document, kind, path, name, detail) for detail in details]
    except OptionError as error:
        return [document.problem((*path, "use"), str(error))]
    except (TypeError, ImportError, AttributeError, NameError) as error:
        return [document.problem((*path, "use"), f"the plug-in can't be loaded: {error}")]
    return []


def _option_problem(document: Document, kind: plugins.Kind, path: Path_, name: str, detail: Any) -> Problem:
    fields = plugins.options_model(kind, name).model_fields
    option = str(detail["loc"][0]) if detail["loc"] else ""
    where = (*path, *(step for step in detail["loc"] if isinstance(step, int) or step == option))
    return document.problem(where, told(detail, option, fields.get(option), fields, what="option"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
