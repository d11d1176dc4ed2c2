"""The models that a charter names: its base, its teacher, a new architecture; each must be there, and of the kind that is asked for.

Only what is on this machine is looked at, and of files only their beginnings; nothing is asked of a hub.
"""

import importlib
import json
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from charter.errors import CharterError
from charter.spec.ancestors import ancestor_problems
from charter.spec.distillation import named_teacher, taught_task
from charter.spec.messages import found, near
from charter.spec.metrics import SENTENCE_PAIRS
from charter.spec.parts import Parts, Say
from charter.spec.use import Use

_HUB_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.\-]*)?")
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
"""Files of which a fast tokenizer can be made; one of them is enough."""
TILDE = "~ is not understood here; write the path out"
MOST_BYTES = 1_000_000
"""So much is read of a file that a charter names."""


def check_bases(parts: Parts, folder: Path, say: Say) -> None:
    """Say what can't be of the models that the charter names; relative paths start from `folder`."""
    _base(parts, folder, say)
    _teacher(parts, folder, say)
    _architecture(parts, say)
    _reads_as_asked(parts, folder, say)


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
        return [f"{found(base)}; {TILDE}"]
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
            return json.loads(file.read(MOST_BYTES))
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


def _room(name: str) -> Any:
    """A room above this one, imported when it is needed, as plug-ins are."""
    return importlib.import_module(name)
