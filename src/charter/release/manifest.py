"""A bundle's manifest and preparation, as they are read: from folders that anybody may have made."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from charter.errors import BundleError
from charter.runs.digest import file_digest, files_digest, list_folder
from charter.runs.files import read_json
from charter.spec.use import Use

MANIFEST = "charter/manifest.json"
SIGNATURE = "charter/signature.sigstore"
PREPARATION = "charter/preparation.json"
DATASHEET = "charter/datasheet.md"
CROISSANT = "charter/croissant.json"
MEMORY = "charter/memory.parquet"
"""Training rows that a bundle carries for the models after it, where its charter says so."""
FISHER = "charter/fisher.safetensors"
"""The diagonal of the Fisher information of its weights, likewise."""
FORMAT: Literal[2] = 2
ROOT_FORM = "safetensors"
"""The form that lies in the bundle's own folder, so that plain transformers opens the bundle; others have one of theirs."""
OWN = ("README.md", "charter.yaml", "charter/")
"""What a bundle holds besides its model's forms."""

Text = Annotated[str, Field(min_length=1)]
Form = Annotated[str, Field(pattern=r"^\w[\w\-]{0,79}$")]
"""The name of a released form, and of its folder."""


class Manifest(BaseModel):
    """What a bundle says it is: its name, status and run, its model's forms, and the SHA-256 of each of its files.

    `digest` is of `files`; the manifest itself and the signature are in neither. status: released, or refused (a draft
    that was packed all the same). forms: each released form and the digest of its own files, the default one first; bundles
    of format 1 hold one form, in their own folder, and don't name it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1, 2]
    name: Text
    status: Literal["released", "refused"]
    run: Text
    charter_digest: Text
    digest: Text
    forms: dict[Form, Text] = {}
    files: dict[str, str]

    @property
    def released_forms(self) -> tuple[str, ...]:
        """The names of the released forms, the default one first."""
        return tuple(self.forms) if self.format > 1 else (ROOT_FORM,)


class TaskState(BaseModel):
    """What a task is rebuilt from."""

    model_config = ConfigDict(frozen=True)

    use: Text
    options: dict[str, Any]
    labels: tuple[str, ...]
    fitted: dict[str, Any] = {}


class Preparation(BaseModel):
    """What new rows go through: the input columns, the row-wise preparations, the length texts are cut at, the task.

    settled: of several released forms, what each one's task fitted on its own answers (thresholds, intervals).
    """

    model_config = ConfigDict(frozen=True)

    inputs: Annotated[dict[Text, str], Field(min_length=1)]
    target: str | None
    prepare: tuple[Use, ...]
    max_length: Annotated[int, Field(ge=8, le=8192, strict=True)]
    task: TaskState
    settled: dict[Form, dict[str, Any]] = {}


@dataclass(frozen=True)
class Content:
    """What really lies in a bundle's folder.

    digests: of every regular file but the signature, by name. others: links, pipes, empty folders, and what each is.
    """

    digests: Mapping[str, str]
    others: Mapping[str, str]


def read_manifest(folder: Path) -> Manifest:
    """A bundle's manifest.

    Raises:
        BundleError: there is none, or it can't be read, or is of another format.
    """
    path = folder / MANIFEST
    try:
        if not path.is_file():
            raise BundleError(f"{folder} is no bundle: it has no {MANIFEST}")
        value = read_json(path)
        found = value.get("format") if isinstance(value, dict) else None
        if isinstance(found, int) and found > FORMAT:
            raise BundleError(f"{folder} is a bundle of format {found}; this Charter reads {FORMAT}")
        return Manifest.model_validate(value)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} can't be read: it was changed or cut off{_where(error)}") from None


def read_preparation(folder: Path) -> Preparation:
    """What a bundle's new rows go through.

    Raises:
        BundleError: the file can't be read, or lacks what is needed.
    """
    path = folder / PREPARATION
    try:
        return Preparation.model_validate(read_json(path))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} can't be read: it was changed or cut off{_where(error)}") from None


def _where(error: Exception) -> str:
    """The first place that is wrong, and what about it; never the value."""
    if not isinstance(error, ValidationError):
        return ""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(step)[:40] for step in first["loc"])
    return f" ({place or 'the whole'}: {first['msg']})"


def read_content(folder: Path) -> Content:
    """The digest of every file in a folder; no link is followed, no pipe is opened.

    Raises:
        BundleError: a file can't be read.
    """
    listing = list_folder(folder)
    try:
        digests = {name: file_digest(path) for name, path in listing.files.items() if name != SIGNATURE}
    except OSError as error:
        raise BundleError(f"{error.filename} can't be read: {error.strerror}") from None
    return Content(digests, listing.others)


def changed_files(content: Content, manifest: Manifest) -> list[str]:
    """What differs from the manifest: `NAME was changed`, `is missing`, `was added`, `is a link`."""
    kept = manifest.files
    here = {name: digest for name, digest in content.digests.items() if name != MANIFEST}
    found = [f"{name} is {what}, which no bundle holds" for name, what in content.others.items()]
    found += [f"{name} is missing" for name in sorted(set(kept) - set(here) - set(content.others))]
    found += [f"{name} was added" for name in sorted(set(here) - set(kept))]
    found += [f"{name} was changed" for name in sorted(set(kept) & set(here)) if here[name] != kept[name]]
    if not found and files_digest(kept) != manifest.digest:
        found.append("the manifest's own digest does not fit its files")
    return found


def form_folder(folder: Path, form: str) -> Path:
    """Where a form's files lie in a bundle."""
    return folder if form == ROOT_FORM else folder / form


def form_digests(manifest: Manifest) -> dict[str, str]:
    """The digest of each form's own files, by what the manifest says of the files: what its findings must be of.

    Files that belong to no form are of the form that lies in the bundle's own folder; where there is none, of a form
    without a name, which no evidence is of.
    """
    owned: dict[str, dict[str, str]] = {form: {} for form in manifest.released_forms}
    for name, digest in manifest.files.items():
        if name.startswith(OWN[-1]) or name in OWN[:-1]:
            continue
        first, _, rest = name.partition("/")
        if rest and first in owned and first != ROOT_FORM:
            owned[first][rest] = digest
        else:
            owned.setdefault(ROOT_FORM if ROOT_FORM in owned else "", {})[name] = digest
    return {form: files_digest(files) for form, files in owned.items()}
