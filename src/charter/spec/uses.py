"""Check the plug-ins that a charter names, and their options, wherever it uses one."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from charter import plugins
from charter.errors import OptionError, Problem
from charter.spec.data import WHERE
from charter.spec.document import Document, Path_
from charter.spec.messages import is_ghost, told


def use_problems(document: Document, value: Mapping[str, Any]) -> list[Problem]:
    """Problems of plug-ins' names and options."""
    data, model, before = (_mapping(value.get(name)) for name in ("data", "model", "pretraining"))
    training = _mapping(value.get("training"))
    places: list[tuple[plugins.Kind, Path_, Any]] = [
        *(("source", path, use) for path, use in _sources("data", data)),
        *(("preparation", ("data", "prepare", at), use) for at, use in enumerate(_list(data.get("prepare")))),
        *(("source", path, use) for path, use in _evaluation_sets("data", data)),
        *(("source", path, use) for path, use in _sources("pretraining", before)),
        *(
            ("preparation", ("pretraining", "prepare", at), use)
            for at, use in enumerate(_list(before.get("prepare")))
        ),
        *(("source", path, use) for path, use in _evaluation_sets("pretraining", before)),
        ("task", ("pretraining", "objective"), before.get("objective")),
        ("tokenizer", ("model", "tokenizer"), model.get("tokenizer")),
        ("adapter", ("model", "adapt"), model.get("adapt")),
        ("objective", ("training", "objective"), training.get("objective")),
        ("retention", ("continual", "keep"), _mapping(value.get("continual")).get("keep")),
        ("clipping", ("privacy", "clipping"), _mapping(value.get("privacy")).get("clipping")),
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
    options = _options(kind, use)
    try:
        plugins.check_options(kind, name, options)
        if kind in ("preparation", "audit"):  # quick to make; only it knows which of its options go together
            plugins.make(kind, name, options)
    except ValidationError as error:
        details = [detail for detail in error.errors(include_url=False) if not is_ghost(detail)]
        return [_option_problem(document, kind, path, name, detail) for detail in details]
    except OptionError as error:
        return [document.problem((*path, "use"), str(error))]
    except (TypeError, ImportError, AttributeError, NameError) as error:
        return [document.problem((*path, "use"), f"the plug-in can't be loaded: {error}")]
    where = [key for key in WHERE if key in use]
    if kind == "source" and not (
        len(where) == 1 and where[0] in _says_where(name) and _is_text(use[where[0]])
    ):
        return [document.problem(path, where_needed(name))]
    return []


def _says_where(name: str) -> tuple[str, ...]:
    """The keys of which one says where a source is; a plug-in may take either."""
    if name not in plugins.BUILT_IN["source"]:
        return WHERE
    return ("url",) if name == "sql" else ("path",)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def where_needed(name: str) -> str:
    """What is said of a source with options that doesn't say where it is."""
    example = "url: sqlite:///shop.db" if name == "sql" else "path: LOCATION"
    return f"say where it is, once: {{use: {name}, {example}}}"


def _option_problem(document: Document, kind: plugins.Kind, path: Path_, name: str, detail: Any) -> Problem:
    fields = plugins.options_model(kind, name).model_fields
    option = str(detail["loc"][0]) if detail["loc"] else ""
    where = (*path, *(step for step in detail["loc"] if isinstance(step, int) or step == option))
    return document.problem(where, told(detail, option, fields.get(option), fields, what="option"))


def _sources(section: str, data: Mapping[str, Any]) -> list[tuple[Path_, Any]]:
    """Every source that is written with its options."""
    source = _mapping(data.get("source"))
    places: list[tuple[Path_, Any]] = [((section, "source"), source)]
    if "use" not in source:
        places = [((section, "source", part), place) for part, place in source.items()]
    joins = enumerate(_list(data.get("join")))
    places += [((section, "join", at, "source"), _mapping(join).get("source")) for at, join in joins]
    return [(path, use) for path, use in places if isinstance(use, dict)]


def _evaluation_sets(section: str, data: Mapping[str, Any]) -> list[tuple[Path_, Any]]:
    """Every set of decontaminate that is written with its options."""
    return [
        ((section, "prepare", at, "against", name), place)
        for at, use in enumerate(_list(data.get("prepare")))
        if _mapping(use).get("use") == "decontaminate"
        for name, place in _mapping(use.get("against")).items()
        if isinstance(place, dict)
    ]


def _options(kind: plugins.Kind, use: Mapping[str, Any]) -> dict[str, Any]:
    """What the plug-in's signature checks: all but its name, and where a source is."""
    apart = ("use", *WHERE) if kind == "source" else ("use",)
    return {key: one for key, one in use.items() if key not in apart}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
