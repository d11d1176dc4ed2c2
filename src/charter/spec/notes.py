"""Notes: what is no mistake in a charter, but keeps its model from being released, or its limits from proving anything."""

import importlib
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from charter import plugins
from charter.errors import MissingExtraError, Problem
from charter.spec.agreement import lacks_validation
from charter.spec.bases import base_folder
from charter.spec.datasheet import TO_SAY
from charter.spec.document import Document, Path_
from charter.spec.metrics import CONTINUAL, HEADLINES, SENTENCE_PAIRS, keeps_anything
from charter.spec.model import Charter
from charter.spec.parts import Parts
from charter.spec.places import evaluation_sets
from charter.spec.use import Use

SUGGESTED = {
    "causal_language_modelling": "bits_per_byte",
    **dict.fromkeys(("masked_language_modelling", *SENTENCE_PAIRS), "perplexity"),
}
"""Task -> the score that a limit is best on, where it is not the headline."""
SURPRISES = {"bits_per_byte": "2.0", "perplexity": "50"}
"""Scores that are better the lower they are, and a value to begin with."""


def notes(document: Document, charter: Charter) -> list[Problem]:
    """Notes on a charter that is right, each with its line, in the order of lines."""
    said = [
        *_placeholders(document),
        *_release(charter),
        *_training(document),
        *_budget(charter),
        *_continual(document, charter),
        *_balanced_twice(charter),
        *_installed(document, charter),
    ]
    return sorted(document.problem(path, message) for path, message in said)


def _placeholders(document: Document) -> list[tuple[Path_, str]]:
    found: list[tuple[Path_, str]] = []

    def walk(value: Any, path: Path_) -> None:
        if isinstance(value, str) and value.strip().startswith(TO_SAY):
            found.append(
                (
                    path,
                    f"still to be said ({TO_SAY}); write it in your own words, it stands on the model card",
                )
            )
        for step, one in value.items() if isinstance(value, dict) else enumerate(_items(value)):
            walk(one, (*path, step))

    walk(document.value, ())
    return found


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _release(charter: Charter) -> list[tuple[Path_, str]]:
    """Why the judge will never release a model of this charter. A plug-in's audit may give what built-in ones don't."""
    said: list[tuple[Path_, str]] = []
    if not charter.limits:
        said.append(
            (
                ("limits",),
                "no limit is stated, so nothing is proven and the model is never released (`charter run --draft` packs a "
                f"draft); write one, such as {_example(charter.task.use)}",
            )
        )
    said += [
        (("limits", at), f"'{limit}' is kept by every model, so it proves nothing; say what yours must keep")
        for at, limit in enumerate(charter.limits)
        if keeps_anything(limit)
    ]
    demanded = importlib.import_module("charter.release.judge").DEMANDED[charter.purpose.risk]
    missing = [area for area in demanded if area not in [use.use for use in charter.audits]]
    if missing:
        said.append((("purpose", "risk"), _undemonstrated(charter.purpose.risk, missing)))
    return said


def _example(task: str) -> str:
    """A limit that a model of this task could be held to."""
    metric = SUGGESTED.get(task, HEADLINES.get(task, HEADLINES["classification"]))
    return f"{metric} <= {SURPRISES[metric]}" if metric in SURPRISES else f"{metric} >= 0.6"


def _undemonstrated(risk: str, missing: list[str]) -> str:
    built = plugins.names("audit")
    to_add = [area for area in missing if area in built]
    absent = [area for area in missing if area not in built]
    said = f"risk {risk} demands evidence of {', '.join(missing)}"
    if absent:
        return (
            f"{said}, and this version of Charter has no audit of {', '.join(absent)}: the model is never released "
            "(`charter run --draft` packs a draft marked as refused), unless an audit of a plug-in measures it"
        )
    return f"{said}, so the model is not released; add {', '.join('{use: ' + area + '}' for area in to_add)} to audits"


def _training(document: Document) -> list[tuple[Path_, str]]:
    parts = Parts(document.value)
    asked = parts.stands("training", "keep") and parts.one("training", "keep") == "best"
    if asked and parts.stands("privacy"):
        return [
            (
                ("training", "keep"),
                "under a privacy budget the last checkpoint is kept, whatever stands here: choosing the best would read validation rows "
                "outside the budget; write last, or remove the key",
            )
        ]
    if asked and lacks_validation(parts):
        return [
            (
                ("training", "keep"),
                "there are no validation rows to choose the best by; the last checkpoint is kept",
            )
        ]
    return []


def _budget(charter: Charter) -> Iterator[tuple[Path_, str]]:
    """Data whose account goes by a charter's name; a training that alone costs more than all trainings on its data may."""
    asked, limit = charter.privacy, charter.data.privacy_budget
    if limit is not None and charter.data.id is None:
        yield (
            ("data", "privacy_budget"),
            f"the data have no id, so their account in the ledger goes by the charter's name, {charter.data_id}: a charter of another "
            "name begins another one unless its rows are recognised; name the data, such as data: {id: support-tweets}",
        )
    if asked is None or limit is None or limit.epsilon is None or asked.delta < limit.delta:
        return
    if asked.epsilon > limit.epsilon:
        yield (
            ("privacy", "epsilon"),
            f"{asked.epsilon:g} at delta {asked.delta:g} is more than data.privacy_budget lets all trainings together cost, "
            f"{limit.epsilon:g} at delta {limit.delta:g}: the run will be refused before it learns; lower it, or have the budget raised",
        )


def _continual(document: Document, charter: Charter) -> Iterator[tuple[Path_, str]]:
    """A section that does nothing, and limits without evidence, unless the run is told what it goes on from."""
    place = None if charter.model.base is None else base_folder(charter.model.base, document.folder)
    manifest = importlib.import_module("charter.release.manifest").MANIFEST
    if charter.continual is None or (place is not None and (place / manifest).is_file()):
        return
    if not charter.continual.leaves:
        yield (
            ("continual",),
            f"'{charter.model.begins_with}' is no released bundle, so this section does nothing, unless a run goes on from one: "
            "`charter run --continue BUNDLE`, or the bundle as model.base",
        )
    for at, text in enumerate(charter.limits):
        if text.metric in CONTINUAL:
            yield (
                ("limits", at),
                f"there is evidence for '{text}' only in a run that goes on from a bundle (`charter run --continue BUNDLE`); any other "
                "is not released",
            )


def _balanced_twice(charter: Charter) -> list[tuple[Path_, str]]:
    balances = any(
        use.use == "balance" and use.options.get("by", [charter.data.target]) == [charter.data.target]
        for use in charter.data.prepare
    )
    if balances and charter.training.class_weights is not None:
        said = "data.prepare balances the classes already (balance), so they are weighed twice; keep one of the two"
        return [(("training", "class_weights"), said)]
    return []


def _places(charter: Charter) -> dict[Path_, str | Use]:
    source = charter.data.source
    places: dict[Path_, str | Use] = {}
    if isinstance(source, dict):
        places |= {("data", "source", name): place for name, place in source.items()}
    else:
        places[("data", "source")] = source
    places |= {("data", "join", at, "source"): join.source for at, join in enumerate(charter.data.join)}
    prepare: dict[Path_, Use] = {("data", "prepare", at): use for at, use in enumerate(charter.data.prepare)}
    return places | {path: place for path, _, place in evaluation_sets(prepare)}


def _unset(url: str) -> list[str]:
    """The environment variables of a database's URL that are not set here."""
    names = importlib.import_module("charter.data.sources.database").variables(url)
    return [
        f"the environment variable {name} is not set here; a run reads it"
        for name in names
        if name not in os.environ
    ]


def _installed(document: Document, charter: Charter) -> list[tuple[Path_, str]]:
    """What this machine still lacks for a run."""
    said: list[tuple[Path_, str]] = []
    base = charter.model.base
    if base is not None and base.startswith("sample:") and base_folder(base, document.folder) is None:
        said.append((("model", "base"), str(MissingExtraError(f"'{base}'", "samples"))))
    for path, place in _places(charter).items():
        try:
            locations = importlib.import_module("charter.data.sources.locations")
            locations.check_location(place, document.folder)
            found = locations.find_location(place, document.folder)
            if found.kind == "sample":
                found.source.digest(found.rest, document.folder, None)
            if found.kind == "sql":
                said += [(path, one) for one in _unset(found.rest)]
        except MissingExtraError as error:
            said.append((path, str(error)))
    for at, use in enumerate(charter.data.prepare):
        if use.use == "keep_languages" and find_spec("fasttext") is None:
            said.append((("data", "prepare", at), str(MissingExtraError("keep_languages", "languages"))))
    said += _of_masking(document, charter)
    said += _segmenters(charter)
    if charter.data.engine == "ray" and find_spec("ray") is None:
        said.append((("data", "engine"), str(MissingExtraError("data.engine 'ray'", "ray"))))
    if charter.training.engine == "ray" and find_spec("ray") is None:
        said.append((("training", "engine"), str(MissingExtraError("training.engine 'ray'", "ray"))))
    said += _formats(charter)
    if charter.release.sign is not None and find_spec("model_signing") is None:
        said.append((("release", "sign"), str(MissingExtraError("signing", "sign"))))
    if charter.privacy is not None and not (find_spec("dp_accounting") and find_spec("cryptography")):
        said.append((("privacy",), str(MissingExtraError("the section privacy", "privacy"))))
    if charter.training.search is not None and charter.privacy is None and find_spec("optuna") is None:
        said.append((("training", "search"), str(MissingExtraError("training.search", "search"))))
    for at, use in enumerate(charter.tracking):
        try:
            plugins.make("tracker", use.use, use.options)
        except MissingExtraError as error:
            said.append((("tracking", at), str(error)))
    return said


def _of_masking(document: Document, charter: Charter) -> Iterator[tuple[Path_, str]]:
    """A key, or a model that finds names, that is not where the charter says."""
    for at, use in enumerate(charter.data.prepare):
        if use.use != "mask_pii":
            continue
        for option, exists in (("key", Path.is_file), ("model", Path.is_dir)):
            named = use.options.get(option)
            if not isinstance(named, str):
                continue
            given = Path(named).expanduser()
            places = (document.folder,) if option == "key" else (document.folder, Path.cwd())
            if not any(exists(place / given) for place in places):
                how = "charter pseudonym-key makes one" if option == "key" else "charter run makes one"
                yield ("data", "prepare", at, option), f"nothing at {document.folder / given} yet; {how}"


def _segmenters(charter: Charter) -> Iterator[tuple[Path_, str]]:
    """Libraries that find sentences and words, where what is learned needs them."""
    asked: dict[Path_, Use] = {("task",): charter.task}
    if charter.pretraining is not None:
        asked["pretraining", "objective"] = charter.pretraining.objective
    for path, use in asked.items():
        if use.use in SENTENCE_PAIRS and find_spec("sentencex") is None:
            yield path, str(MissingExtraError(use.use, "languages"))
        if use.options.get("whole_words") == "chinese" and find_spec("rjieba") is None:
            yield (*path, "whole_words"), str(MissingExtraError("whole_words: chinese", "languages"))


def _formats(charter: Charter) -> list[tuple[Path_, str]]:
    """Formats whose libraries this machine lacks; they are looked for, not imported."""
    check_installed = importlib.import_module("charter.models.exports").check_installed
    said: list[tuple[Path_, str]] = []
    for at, name in enumerate(charter.release.formats):
        try:
            check_installed(name, plugins.make("exporter", name, {}))
        except MissingExtraError as error:
            said.append((("release", "formats", at), str(error)))
    return said
