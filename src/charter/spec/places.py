"""What a charter names must be where it says: the source and its columns, the base model, the signing key.

Only what is on this machine is looked at, and of files only their beginnings; nothing is asked of a hub.
"""

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from charter import plugins
from charter.errors import CharterError, CharterFileError, MissingExtraError
from charter.spec.agreement import RESERVED, all_roles, published
from charter.spec.ancestors import ancestor_problems
from charter.spec.data import WHERE
from charter.spec.datasheet import read_answers
from charter.spec.distillation import named_teacher, taught_task
from charter.spec.document import Path_
from charter.spec.messages import found, near
from charter.spec.metrics import SENTENCE_PAIRS
from charter.spec.parts import Parts, Say
from charter.spec.use import Use

_HUB_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.\-]*)?")
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
"""Files of which a fast tokenizer can be made; one of them is enough."""
_TILDE = "~ is not understood here; write the path out"
_MOST_BYTES = 1_000_000
_SAID = re.compile(r"data\.source(?: '[^']*')?: ")
"""Where a source's own errors say they are; a problem has its path for that."""
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


def check_places(parts: Parts, folder: Path, say: Say) -> None:
    """Say what is not where the charter says; relative paths start from `folder`."""
    _sources(parts, folder, say)
    _texts(parts, folder, say)
    _evaluation_sets(parts, folder, say)
    _datasheet(parts, folder, say)
    _base(parts, folder, say)
    _teacher(parts, folder, say)
    _architecture(parts, say)
    _reads_as_asked(parts, folder, say)
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
        say(("data", "datasheet"), f"{found(path)}; {_TILDE}")
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


def _architecture(parts: Parts, say: Say) -> None:
    """A new model must be one that transformers can make; asked of transformers only where a charter describes one."""
    asked: Use | None = parts.one("model", "architecture")
    if asked is None:
        return
    try:
        _room("charter.models.architectures").check_architecture(asked)
    except CharterError as error:
        key = str(error).partition(":")[0].removeprefix("model.architecture.")
        where = (key,) if key in asked.options else ()
        say(("model", "architecture", *where), str(error).partition(": ")[2])


_READS: Mapping[str, bool] = {
    "masked_language_modelling": False,
    "causal_language_modelling": True,
    **dict.fromkeys((*SENTENCE_PAIRS, "replaced_token_detection", "simcse"), False),
}
"""Language modelling -> whether it is for a decoder."""


def _reads_as_asked(parts: Parts, folder: Path, say: Say) -> None:
    """A decoder learns from left to right, an encoder from both sides: said before anything runs, where the type is known."""
    asked = [
        (path, use)
        for path in (("task",), ("pretraining", "objective"))
        if (path[0] == "task" or parts.stands("pretraining"))
        and (use := parts.one(*path)) is not None
        and use.use in _READS
    ]
    if not asked:
        return
    kind = model_type(parts, folder)
    try:
        decoder = _room("charter.models.architectures").is_decoder(kind) if isinstance(kind, str) else None
    except CharterError:
        return
    for path, use in asked:
        if decoder is not None and decoder != _READS[use.use]:
            what, other = ("a decoder", "causal") if decoder else ("an encoder", "masked")
            say(path, f"'{kind}' is {what}, which can't learn by {use.use}; take {other}_language_modelling")


def model_type(parts: Parts, folder: Path) -> str | None:
    """The name that transformers has for the type of the model that a charter begins with; None where it is not known before a run."""
    new: Use | None = parts.one("model", "architecture")
    base: str | None = parts.one("model", "base")
    place = base_folder(base, folder) if base is not None else None
    config = _config(place) if place is not None else {}
    kind = new.use if new is not None else config.get("model_type") if isinstance(config, dict) else None
    return kind if isinstance(kind, str) else None


def _base(parts: Parts, folder: Path, say: Say) -> None:
    base: str | None = parts.one("model", "base")
    if base is None:
        return
    place = base_folder(base, folder)
    problems = list(ancestor_problems(parts, place))
    for path, because in problems:
        say(path, because)
    told = any(path == ("model", "base") for path, _ in problems)
    for because in () if told else _why_no_base(place) if place is not None else _why_no_name(base):
        say(("model", "base"), because)
    if parts.one("model", "revision") is not None and (place is not None or base.startswith("sample:")):
        say(("model", "revision"), f"a revision is of a base on a hub, and '{base}' is none; remove the key")
    length: int | None = parts.one("model", "max_length")
    most = _most_tokens(place) if place is not None else None
    if length is not None and most is not None and length > most:
        say(
            ("model", "max_length"),
            f"found {length}; '{base}' reads at most {most} tokens: write {most} or less",
        )


def _teacher(parts: Parts, folder: Path, say: Say) -> None:
    """A teacher must be a folder, of a model of the same task."""
    name = named_teacher(parts)
    if name is None:
        return
    where, use = ("training", "objective", "teacher"), parts.one("task")
    place = None if name.startswith("sample:") else base_folder(name, folder)
    told = taught_task(place) if place is not None else None
    if place is None:
        needed = (
            "a released bundle or a transformers folder is needed (relative ones start beside the charter)"
        )
        say(where, f"{found(name)}; {needed}")
    elif told is not None and use is not None and told != use.use:
        say(
            where,
            f"'{name}' was taught task {told[:40]}, not {use.use}; name a teacher of the same task",
        )
    elif told is None:
        for because in _why_no_base(place):
            say(where, because)


def base_folder(base: str, folder: Path) -> Path | None:
    """The base's folder where it is on this machine."""
    if base.startswith("sample:"):
        samples = _room("charter.models.base").SAMPLES
        distribution, inside = samples.get(base.removeprefix("sample:"), ("", ""))
        try:
            return (
                Path(str(metadata.distribution(distribution).locate_file(inside))) if distribution else None
            )
        except metadata.PackageNotFoundError:
            return None
    try:
        local = folder / base
        return local if local.is_dir() else None
    except (OSError, ValueError):  # as for a source
        return None


def _why_no_name(base: str) -> list[str]:
    """Why a base that is no folder can't be anything else."""
    samples = _room("charter.models.base").SAMPLES
    if base.startswith("sample:"):
        name = base.removeprefix("sample:")
        known = ", ".join(f"sample:{one}" for one in samples)
        return [] if name in samples else [f"no sample '{name[:60]}'.{near(name, samples)} There is {known}"]
    if base.startswith("~"):
        return [f"{found(base)}; {_TILDE}"]
    if base.startswith((".", "/")):
        return [f"{found(base)}; there is no such folder (relative ones start beside the charter)"]
    if _HUB_ID.fullmatch(base) and len(base) <= 96:
        return []
    hint = near(base, [f"sample:{name}" for name in samples])
    return [f"{found(base)}, which is no folder, no sample and no hub id (OWNER/NAME).{hint}"]


def _why_no_base(place: Path) -> list[str]:
    """Why no model can be made of a folder."""
    problems = []
    if not isinstance(_config(place), dict):
        problems.append(
            f"{place} has no config.json that is a JSON object; name a folder that save_pretrained wrote"
        )
    if not any(place.glob("*.safetensors")):
        problems.append(
            f"{place} has no safetensors weights, and pickled ones are never loaded; convert it once with transformers: "
            "model.save_pretrained(folder)"
        )
    if not any(next(place.glob(pattern), None) for pattern in _TOKENIZERS):
        problems.append(
            f"{place} has no tokenizer.json; put the base's tokenizer there (tokenizer.save_pretrained)"
        )
    return problems


def _config(place: Path) -> Any:
    try:
        with (place / "config.json").open("rb") as file:
            return json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None


def _most_tokens(place: Path) -> int | None:
    config = _config(place)
    if not isinstance(config, dict):
        return None
    most, padding = config.get("max_position_embeddings"), config.get("pad_token_id")
    if "roberta" in str(config.get("model_type")) and isinstance(most, int) and isinstance(padding, int):
        most -= padding + 1  # models of RoBERTa's kind count positions from their padding index on
    return most if isinstance(most, int) and most > 0 else None


def _why_no_key(folder: Path, key: str) -> str:
    """Why a bundle can't be signed with a key; empty where it can, as far as this machine can tell."""
    if key.startswith("~"):
        return f"{found(key)}; {_TILDE}"
    try:
        path = folder / key
        if not path.is_file():
            return f"no such key file, looked for {path}"
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
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
