"""Check a charter file: every problem at once, each with its line and what to do about it."""

import difflib
import importlib
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from charter import plugins
from charter.errors import CharterError, CharterFileError, OptionError, Problem
from charter.spec import metrics
from charter.spec.document import Document, Path_
from charter.spec.limits import Limit
from charter.spec.model import Charter, Data

NOT_BUILT = "understood, but not built yet in this version of Charter: remove it, or set it to null"
PLANNED_KEYS: Mapping[tuple[str, ...], frozenset[str]] = {
    (): frozenset({"serving", "oversight", "explanations", "tracking"}),
    ("data",): frozenset({"engine", "join"}),
    ("training",): frozenset({"search", "economies", "tokens_per_batch", "precision"}),
}
"""Keys of later rooms: refused with a message that says so, never ignored and never taken for a typing error."""
Say = Callable[[Path_, str], None]
"""Notes a problem at a path of the file."""
RESERVED = ("_row", "_place", "_split")


def check(document: Document) -> Charter:
    """The charter that a document holds.

    Raises:
        CharterFileError: every problem of the document.
    """
    problems: list[Problem] = []
    value = _without_planned(document, problems)
    charter: Charter | None = None
    try:
        charter = Charter.model_validate(value)
    except ValidationError as error:
        problems += [_said(document, detail) for detail in error.errors(include_url=False)]
    problems += _plugins(document, value)
    if charter is not None:
        problems += _across(document, charter)
    if problems or charter is None:
        raise CharterFileError(list(dict.fromkeys(problems)))
    return charter


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
    for key in ("pretraining", "federation", "privacy"):
        if value.get(key) is not None:
            problems.append(document.problem((key,), NOT_BUILT))
            value = {**value, key: None}
    return value


def _said(document: Document, detail: Any) -> Problem:
    """One pydantic error in plain words, at its place in the file."""
    path = _file_path(document.value, detail["loc"])
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = _known_keys(path[:-1])
        return document.problem(path, f"unknown key.{_near(str(path[-1]), known)} Known: {', '.join(known)}.")
    if kind == "missing":
        return document.problem(path, "is missing; it has no default")
    found = _found(detail.get("input"))
    context = detail.get("ctx", {})
    if kind == "literal_error":
        near = _near(
            str(detail.get("input")),
            [one.strip("'") for one in context["expected"].replace(" or ", ", ").split(", ")],
        )
        return document.problem(path, f"{found}; accepted are {context['expected']}.{near}")
    if kind == "value_error":
        return document.problem(path, str(context.get("error", detail["msg"])))
    if kind == "string_pattern_mismatch":
        return document.problem(
            path, f"{found}; accepted are letters of any script, digits, and . _ - (not first), up to 80"
        )
    said = detail["msg"].replace("Input should be", "it should be").replace("valid dictionary", "mapping")
    return document.problem(path, f"{found}; {said[0].lower()}{said[1:]}")


def _file_path(value: Any, loc: Iterable[str | int]) -> Path_:
    """The part of a pydantic location that is a path in the file (it names union members and models too)."""
    path: list[str | int] = []
    steps = list(loc)
    for place, step in enumerate(steps):
        last = place == len(steps) - 1
        if isinstance(value, dict) and isinstance(step, str) and step != "[key]":
            if step in value:
                value = value[step]
            elif not last:
                continue  # a union member's name, such as `dict[...]`
            elif "[" in step or step in ("str", "int", "float", "bool"):
                continue
            path.append(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
            path.append(step)
    return tuple(path)


def _known_keys(path: Path_) -> list[str]:
    model: Any = Charter
    for step in path:
        if isinstance(step, int):
            continue
        field = (
            model.model_fields.get(step) if isinstance(model, type) and issubclass(model, BaseModel) else None
        )
        model = _model_in(field.annotation) if field is not None else None
        if model is None:
            return []
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, tuple):
        return next((found for one in get_args(annotation) if (found := _model_in(one)) is not None), None)
    return None


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def _found(value: Any) -> str:
    if value is None:
        return "there is nothing here"
    if isinstance(value, str):
        return f"found {value[:60]!r}" + ("..." if len(value) > 60 else "")
    if isinstance(value, bool):
        return f"found {str(value).lower()}"
    if isinstance(value, dict | list):
        return "found a mapping" if isinstance(value, dict) else "found a list"
    return f"found {str(value)[:40]}"


def _plugins(document: Document, value: Mapping[str, Any]) -> list[Problem]:
    """Problems of plug-ins' names and options, wherever the file uses one."""
    data, model = _mapping(value.get("data")), _mapping(value.get("model"))
    places: list[tuple[plugins.Kind, Path_, Any]] = [
        *(("preparation", ("data", "prepare", at), use) for at, use in enumerate(_list(data.get("prepare")))),
        ("adapter", ("model", "adapt"), model.get("adapt")),
        ("task", ("task",), value.get("task")),
        *(("audit", ("audits", at), use) for at, use in enumerate(_list(value.get("audits")))),
    ]
    problems: list[Problem] = []
    for kind, path, use in places:
        if isinstance(use, dict) and isinstance(use.get("use"), str):
            problems += _one_use(document, kind, path, use)
    names: list[tuple[plugins.Kind, Path_, Any]] = [
        *(("input", ("data", "inputs", column), one) for column, one in _mapping(data.get("inputs")).items()),
        *(
            ("exporter", ("release", "formats", at), one)
            for at, one in enumerate(_list(_mapping(value.get("release")).get("formats")))
        ),
    ]
    for kind, path, name in names:
        if isinstance(name, str) and name not in plugins.names(kind):
            problems.append(document.problem(path, plugins.unknown(kind, name)))
    return problems


def _one_use(document: Document, kind: plugins.Kind, path: Path_, use: Mapping[str, Any]) -> list[Problem]:
    name = use["use"]
    if name not in plugins.names(kind):
        return [document.problem((*path, "use"), plugins.unknown(kind, name))]
    try:
        model = plugins.options_model(kind, name)
    except (TypeError, ImportError, AttributeError, OptionError) as error:
        return [document.problem((*path, "use"), f"the plug-in can't be loaded: {error}")]
    options = {key: one for key, one in use.items() if key != "use"}
    try:
        model.model_validate(options)
    except ValidationError as error:
        return [
            _option_problem(document, path, list(model.model_fields), detail)
            for detail in error.errors(include_url=False)
        ]
    return []


def _option_problem(document: Document, path: Path_, known: list[str], detail: Any) -> Problem:
    where = (*path, str(detail["loc"][0])) if detail["loc"] else path
    if detail["type"] == "extra_forbidden":
        option = str(detail["loc"][0])
        return document.problem(
            where, f"unknown option.{_near(option, known)} Known: {', '.join(known) or 'none'}."
        )
    said = detail["msg"].replace("Input should be", "it should be")
    return document.problem(where, f"{_found(detail.get('input'))}; {said[0].lower()}{said[1:]}")


def _across(document: Document, charter: Charter) -> list[Problem]:
    """What can be seen only when the keys are looked at together, and beside the file."""
    data = charter.data
    problems: list[Problem] = []

    def say(path: Path_, message: str) -> None:
        problems.append(document.problem(path, message))

    if len(data.inputs) > 1:
        say(
            ("data", "inputs"),
            f"{len(data.inputs)} inputs: several input columns are {NOT_BUILT.split(':')[0]}; name one",
        )
    roles = _roles(data)
    for path, column in roles:
        if column is not None and column in data.inputs:
            say(path, f"'{column}' is an input too; a model must not read it")
        if column is not None and path[1] != "target" and column == data.target:
            say(path, f"'{column}' is the target too")
    for path, column in _all_roles(data):
        if column in RESERVED:
            say(path, f"'{column}' is a name that Charter uses itself; rename the column")
        elif column == "*" or (column.startswith("^") and column.endswith("$")):
            say(path, f"'{column}' is named like a pattern, not like one column; rename the column")
    if data.subject is not None and data.subject in (data.split.column, data.split.time):
        say(("data", "subject"), f"'{data.subject}' says how rows are split too; a subject is read as a code")
    if len(set(data.groups)) < len(data.groups):
        say(("data", "groups"), "a group column stands twice")
    _limits(charter, say)
    _places(document, charter, say)
    return problems


def _roles(data: Data) -> list[tuple[Path_, str]]:
    """Where the file names a column that is no input, and the column."""
    named: list[tuple[Path_, str | None]] = [
        (("data", "target"), data.target),
        *((("data", "groups", at), column) for at, column in enumerate(data.groups)),
        (("data", "subject"), data.subject),
        (("data", "split", "column"), data.split.column),
        (("data", "split", "time"), data.split.time),
    ]
    return [(path, column) for path, column in named if column is not None]


def _all_roles(data: Data) -> list[tuple[Path_, str]]:
    return [*((("data", "inputs", name), name) for name in data.inputs), *_roles(data)]


def _limits(charter: Charter, say: Say) -> None:
    named = tuple(use.use for use in charter.audits)
    for at, audit_name in enumerate(named):
        if audit_name in named[:at]:
            say(("audits", at), f"audit '{audit_name}' stands twice")
    for at, limit in enumerate(charter.limits):
        if limit in charter.limits[:at]:
            say(("limits", at), f"'{limit}' stands twice")
        if set(named) <= set(metrics.OVERALL) and charter.task.use in metrics.PER_CLASS:
            because = _never_measured(charter, limit, named)
            if because:
                say(("limits", at), because)


def _never_measured(charter: Charter, limit: Limit, named: tuple[str, ...]) -> str:
    """Why no audit of the charter can ever measure a limit, where all of them and the task are built in."""
    task = charter.task.use
    audit = metrics.audit_of(limit.metric)
    known = metrics.measured_by(named, task)
    if audit is not None and audit not in named:
        return f"{limit.metric} is measured by the audit '{audit}', which the charter does not name"
    if limit.metric not in known:
        other = f" for task {task}" if audit else ""
        return f"no audit measures '{limit.metric}'{other}.{_near(limit.metric, known)} Measured: {', '.join(known)}."
    names = tuple(name for name, _ in limit.slices)
    return metrics.why_never(limit.metric, names, task, charter.data.groups)


def _places(document: Document, charter: Charter, say: Say) -> None:
    """Sources, the base and the key must be where the charter says (what is not on this machine is not asked for)."""
    reading = importlib.import_module("charter.data.reading")  # a room above: loaded as plug-ins are
    source = charter.data.source
    parts: dict[Path_, str] = {("data", "source"): source} if isinstance(source, str) else {}
    if isinstance(source, dict):
        parts = {("data", "source", str(split)): place for split, place in source.items()}
        if "train" not in source:
            say(("data", "source"), "named parts need 'train'")
    for path, location in parts.items():
        try:
            reading.check_location(location, document.folder)
            _columns(charter.data, location, document.folder, say)
        except CharterError as error:
            at = ("data", "encoding") if str(error).startswith("data.encoding") else path
            said = str(error).removeprefix(f"data.source '{location}': ")
            say(at, said.removeprefix(f"data.encoding '{charter.data.encoding}' "))
    base = charter.model.base
    if base.startswith("sample:"):
        samples = importlib.import_module("charter.models.base").SAMPLES
        name = base.removeprefix("sample:")
        if name not in samples:
            say(("model", "base"), f"no sample '{name}'; there is {', '.join(samples)}")
    elif base.startswith((".", "/", "~")) and not (document.folder / Path(base).expanduser()).is_dir():
        say(("model", "base"), f"no such folder, looked for {document.folder / Path(base).expanduser()}")
    key = charter.release.sign
    if key is not None and not (document.folder / Path(key).expanduser()).is_file():
        say(("release", "sign"), f"no such key file, looked for {document.folder / Path(key).expanduser()}")


def _columns(data: Data, location: str, folder: Path, say: Say) -> None:
    """The columns named must be in the files; only the beginnings of files on this machine are read."""
    reading = importlib.import_module("charter.data.reading")
    roles = importlib.import_module("charter.data.columns").Columns.of(data)
    problems = reading.absent_columns(location, folder, roles, data.encoding)
    for path, column in _all_roles(data):
        if column in problems and column not in RESERVED:
            say(path, problems[column])


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
