"""What a charter names must be where it says: the source and its columns, texts, evaluation sets, the signing key; models in `bases`.

Only what is on this machine is looked at, and of files only their beginnings; nothing is asked of a hub.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from charter import plugins
from charter.errors import CharterError, CharterFileError, MissingExtraError
from charter.spec.agreement import RESERVED, all_roles, published
from charter.spec.bases import MOST_BYTES, TILDE, check_bases
from charter.spec.data import WHERE
from charter.spec.datasheet import read_answers
from charter.spec.document import Path_
from charter.spec.messages import found
from charter.spec.parts import Parts, Say
from charter.spec.use import Use

_SAID = re.compile(r"data\.source(?: '[^']*')?: ")
"""Where a source's own errors say they are; a problem has its path for that."""
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


def check_places(parts: Parts, folder: Path, say: Say) -> None:
    """Say what is not where the charter says; relative paths start from `folder`."""
    _sources(parts, folder, say)
    _texts(parts, folder, say)
    _evaluation_sets(parts, folder, say)
    _datasheet(parts, folder, say)
    check_bases(parts, folder, say)
    key: str | None = parts.one("release", "sign")
    if key is not None:
        because = _why_no_key(folder, key)
        if because:
            say(("release", "sign"), because)


def _sources(parts: Parts, folder: Path, say: Say) -> None:
    files, locations = _room("charter.data.sources.files"), _room("charter.data.sources.locations")
    encoding: str | None = parts.one("data", "encoding")
    if encoding is not None:
        try:
            files.check_encoding(encoding)
        except CharterError as error:
            say(("data", "encoding"), str(error).removeprefix(f"data.encoding '{encoding}' "))
            encoding = None
    joins = parts.each("data", "join")
    for path, location in _locations(parts).items():
        try:
            locations.check_location(location, folder)
            if (
                encoding is not None
                and not parts.stands("data", "join")
                and not locations.is_remote(location, folder)
            ):
                _columns(parts, location, folder, encoding, say)
        except MissingExtraError:
            continue  # a note: a charter is right wherever it is read
        except CharterError as error:
            say(path, _SAID.sub("", str(error)))
            encoding = None if joins else encoding
        except (
            OSError,
            ValueError,
            RuntimeError,
        ) as error:  # a NUL, a name too long, a user that there is not
            say(path, f"{found(location)}, which is no path on this machine ({type(error).__name__})")
            encoding = None if joins else encoding
    if joins and encoding is not None and parts.whole("data", "join"):
        _joins(parts, folder, encoding, say)


def _texts(parts: Parts, folder: Path, say: Say) -> None:
    """The texts to be pre-trained on must be there, and tables must have the text's column."""
    locations, reading = _room("charter.data.sources.locations"), _room("charter.data.reading")
    source: object = parts.one("pretraining", "source")
    places: dict[Path_, object] = {("pretraining", "source"): source}
    if isinstance(source, dict):
        places = {("pretraining", "source", name): place for name, place in source.items()}
    column, encoding = parts.one("pretraining", "text"), parts.one("pretraining", "encoding")
    for path, place in places.items():
        if not isinstance(place, str | Use) or not _is_sound(place):
            continue
        try:
            locations.check_location(place, folder)
            if column is None or encoding is None or locations.is_remote(place, folder):
                continue
            asked = _room("charter.data.columns").Columns({column: "text"})
            for problem in reading.absent_columns(place, folder, asked, encoding).values():
                say(("pretraining", "text"), problem)
        except MissingExtraError:
            continue  # a note: a charter is right wherever it is read
        except CharterError as error:
            say(path, _SAID.sub("", str(error)))
        except (OSError, ValueError, RuntimeError) as error:
            say(path, f"{found(place)}, which is no path on this machine ({type(error).__name__})")


def _locations(parts: Parts) -> dict[Path_, str | Use]:
    """Every place that the charter names, by its path in the file."""
    source: object = parts.one("data", "source")
    joined = {(*path, "source"): join.source for path, join in parts.each("data", "join").items()}
    if isinstance(source, str | Use):
        return {("data", "source"): source, **joined} if _is_sound(source) else joined
    each: dict[str, str | Use] = dict(parts.texts("data", "source"))
    each |= source if isinstance(source, dict) else {}
    named = {("data", "source", name): each[name] for name in published(parts) if each.get(name)}
    return {path: place for path, place in (named | joined).items() if _is_sound(place)}


def evaluation_sets(uses: Mapping[Path_, Use]) -> Iterator[tuple[Path_, Use, str | Use]]:
    """(path in the file, preparation, place) of every set that decontaminate compares with, as far as they are understood."""
    for path, use in uses.items():
        against = use.options.get("against")
        if use.use != "decontaminate" or not isinstance(against, dict):
            continue
        for name, place in against.items():
            told = isinstance(place, dict) and isinstance(place.get("use"), str) and place["use"]
            read = Use.model_validate(place) if told else place
            if read and isinstance(read, str | Use) and _is_sound(read):
                yield (*path, "against", name), use, read


def _evaluation_sets(parts: Parts, folder: Path, say: Say) -> None:
    """The sets must be there, and have the text columns named."""
    locations, table = _room("charter.data.sources.locations"), _room("charter.data.columns")
    reading = _room("charter.data.reading")
    uses = {**parts.each("data", "prepare"), **parts.each("pretraining", "prepare")}
    for path, use, place in evaluation_sets(uses):
        own = next(iter(parts.keys("data", "inputs")), "text")
        own = own if path[0] == "data" else parts.one("pretraining", "text")
        columns, name = use.options.get("columns") or {}, str(path[-1])
        column = columns.get(name, own) if isinstance(columns, dict) else None
        try:
            locations.check_location(place, folder)
            if not isinstance(column, str) or locations.is_remote(place, folder):
                continue
            asked, encoding = table.Columns({column: "text"}), str(use.options.get("encoding") or "utf-8")
            problems = reading.absent_columns(place, folder, asked, encoding)
        except MissingExtraError:
            continue  # a note: a charter is right wherever it is read
        except CharterError as error:
            say(path, _SAID.sub("", str(error)))
            continue
        except (OSError, ValueError, RuntimeError) as error:
            say(path, f"{found(place)}, which is no path on this machine ({type(error).__name__})")
            continue
        for problem in problems.values():
            how = f"name the text column of this set: columns: {{{name}: COLUMN}}"
            say(path, f"{problem.rstrip('.')}; {how}")


def _is_sound(place: str | Use) -> bool:
    """Whether a source with options can be made; what is wrong with them is said of each."""
    if isinstance(place, str):
        return True
    try:
        where = {key: value for key, value in place.options.items() if key in WHERE}
        rest = {key: value for key, value in place.options.items() if key not in WHERE}
        plugins.make("source", place.use, rest)
    except (CharterError, TypeError, ImportError, AttributeError, NameError):
        return False
    return len(where) == 1 and all(isinstance(value, str) and value for value in where.values())


def _joins(parts: Parts, folder: Path, encoding: str, say: Say) -> None:
    """Every key, and every column that has a role, must be in one of the tables."""
    joining, locations, table = map(
        _room, ("charter.data.sources.joining", "charter.data.sources.locations", "charter.data.table")
    )
    places = _locations(parts)
    if any(
        locations.find_location(one, folder).kind == "hf" or locations.is_remote(one, folder)
        for one in places.values()
    ):
        return
    joins = list(parts.each("data", "join").values())
    first = next((place for path, place in places.items() if path[1] == "source"), None)
    if first is None:
        return
    asked = table.Asked(_asked(parts), encoding)
    named = all_roles(parts)
    try:
        problems = joining.join_problems(joins, first, folder, asked)
    except MissingExtraError:
        return
    except CharterError as error:
        say(("data", "join"), str(error))
        return
    for one in problems:
        paths = [path for path, column in named.items() if column == one.column]
        for path in paths or [("data", "join", one.join, "on") if one.join is not None else ("data", "join")]:
            say(path, one.message)


def _columns(parts: Parts, location: str | Use, folder: Path, encoding: str, say: Say) -> None:
    """The columns named must be in the files."""
    reading = _room("charter.data.reading")
    problems = reading.absent_columns(location, folder, _asked(parts), encoding)
    for path, column in all_roles(parts).items():
        if column in problems and column not in RESERVED:
            say(path, problems[column])


def _asked(parts: Parts) -> Any:
    """The roles of columns, as far as they are understood."""
    target = parts.one("data", "target")
    several = target if isinstance(target, tuple) else ()
    return _room("charter.data.columns").Columns(
        dict.fromkeys(parts.keys("data", "inputs") or ("text",), "text"),
        None if several else target,
        tuple(parts.each("data", "groups").values()),
        parts.one("data", "subject"),
        parts.one("data", "split", "time"),
        parts.one("data", "split", "column"),
        indicators=several,
    )


def _datasheet(parts: Parts, folder: Path, say: Say) -> None:
    """The answers must be there, and be answers to the datasheet's questions."""
    path: str | None = parts.one("data", "datasheet")
    if path is None:
        return
    if path.startswith("~"):
        say(("data", "datasheet"), f"{found(path)}; {TILDE}")
        return
    try:
        if not (folder / path).is_file():
            write = f"charter report --open-questions {path}"
            say(
                ("data", "datasheet"),
                f"no such file, looked for {folder / path}; `{write}` writes one after a run",
            )
            return
        read_answers(folder / path)
    except CharterFileError as error:
        for problem in error.problems:
            say(("data", "datasheet"), str(problem))
    except (OSError, ValueError):
        say(("data", "datasheet"), f"{found(path)}, which is no path on this machine")


def _why_no_key(folder: Path, key: str) -> str:
    """Why a bundle can't be signed with a key; empty where it can, as far as this machine can tell."""
    if key.startswith("~"):
        return f"{found(key)}; {TILDE}"
    try:
        path = folder / key
        if not path.is_file():
            return f"no such key file, looked for {path}"
        with path.open("rb") as file:
            content = file.read(MOST_BYTES)
    except (OSError, ValueError) as error:
        return f"the key file can't be read ({getattr(error, 'strerror', None) or 'not a path'})"
    make = "make one with: openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
    kind = _key_kind(content)
    return f"{path} is {kind}, and a bundle is signed with a private EC key (PEM); {make}" if kind else ""


def _key_kind(content: bytes) -> str:
    """What a key file is that can't sign; empty where it is a private EC key, or may be one."""
    header = re.search(rb"-----BEGIN ([A-Z0-9 ]+)-----", content)
    if header is None:
        return "no PEM file"
    words = header[1].decode("ascii")
    if "PRIVATE KEY" not in words or words.startswith("OPENSSH"):
        return f"a file of another kind ({words})"
    if words.startswith("ENCRYPTED") or b"ENCRYPTED" in content[header.end() : header.end() + 200]:
        return "a key with a passphrase"
    if words not in ("EC PRIVATE KEY", "PRIVATE KEY"):
        return f"a key of another kind ({words})"
    return _loaded_kind(content)


def _loaded_kind(content: bytes) -> str:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        return ""
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "damaged or of an unknown kind"
    if not isinstance(key, EllipticCurvePrivateKey):
        return f"a key of another kind ({type(key).__name__.removesuffix('PrivateKey').removeprefix('_')})"
    return (
        ""
        if key.curve.name in _CURVES
        else f"a key on the curve {key.curve.name}, not one of {', '.join(_CURVES)}"
    )


def _room(name: str) -> Any:
    """A room above this one, imported when it is needed, as plug-ins are."""
    return importlib.import_module(name)
