"""The bundle: one folder with the model in transformers' own layout, and everything that shows what it does."""

import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charter.errors import BundleError
from charter.release.card import card
from charter.release.croissant import croissant
from charter.release.datasheet import datasheet_markdown
from charter.release.manifest import (
    CROISSANT,
    DATASHEET,
    FORMAT,
    MANIFEST,
    SIGNATURE,
    Manifest,
    Preparation,
    form_folder,
    read_manifest,
    read_preparation,
)
from charter.release.record import Record
from charter.release.signing import sign
from charter.release.verification import inspect
from charter.runs.digest import file_digest, files_digest, folder_digest, folder_files
from charter.runs.files import exchange, sync_folder, sync_tree, write_json, write_text
from charter.runs.findings import write_findings
from charter.runs.locks import locked


@dataclass(frozen=True)
class Contents:
    """What goes into a bundle. report: the page's HTML; sign_with: a private EC key (PEM) or None.

    forms: the folder of each released form, the default one first. preparation: what new rows go through; its digest
    stands in the record's provenance. beside: further files by their names in the bundle, below `charter/`.
    """

    record: Record
    forms: Mapping[str, Path]
    preparation: Mapping[str, Any]
    charter_text: str
    report: str
    sign_with: Path | None
    beside: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A bundle that is what its manifest says. status: released or refused, as its evidence has it."""

    folder: Path
    status: str
    name: str
    preparation: Preparation
    manifest: Manifest

    @property
    def forms(self) -> Mapping[str, Path]:
        """The folder of each released form of the model, the default one first."""
        return {form: form_folder(self.folder, form) for form in self.manifest.released_forms}


def pack(contents: Contents, destination: Path) -> Path:
    """Write a bundle: aside, whole, then in place of the one before, in one step where the system can.

    Packers of one folder take turns. What a killed one left is swept away, and the bundle it had moved aside put back.

    Raises:
        BundleError: what stands at the destination is no bundle, so it is not replaced.
        CharterError: the key can't sign.
        MissingExtraError: it is to be signed and the library for it is not installed.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with locked(destination.parent):
        _mend(destination)
        check_destination(destination)
        aside = destination.with_name(f".{destination.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            _copy_forms(contents.forms, aside)
            _write(contents, aside)
            if contents.sign_with is not None:
                sign(aside, aside / SIGNATURE, contents.sign_with)
            sync_tree(aside)
            _put(aside, destination)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return destination


def _copy_forms(forms: Mapping[str, Path], aside: Path) -> None:
    aside.mkdir()
    for form, source in forms.items():
        shutil.copytree(source, form_folder(aside, form), dirs_exist_ok=True)


def check_destination(destination: Path) -> None:
    """Check that a bundle may be written there: nothing is there yet, or a bundle.

    Raises:
        BundleError: something else is.
    """
    if not os.path.lexists(destination):
        return
    if destination.is_symlink() or not (destination / MANIFEST).is_file():
        what = "a link" if destination.is_symlink() else "there already and is no bundle"
        raise BundleError(f"{destination} is {what}; move it away, or name another --release-to")


def _mend(destination: Path) -> None:
    """Put back or sweep away what a killed packer left; the lock is held, so no other one lives."""
    form = re.compile(rf"\.{re.escape(destination.name)}\.\d+-[0-9a-f]{{8}}\.tmp(\.old)?")
    left = sorted(path for path in destination.parent.iterdir() if form.fullmatch(path.name))
    for path in left:
        if path.name.endswith(".old") and not os.path.lexists(destination):
            path.rename(destination)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _put(aside: Path, destination: Path) -> None:
    if not destination.exists():
        aside.rename(destination)
    elif not exchange(aside, destination):
        old = aside.with_name(f"{aside.name}.old")
        destination.rename(old)  # killed here, the next packer puts it back
        aside.rename(destination)
        shutil.rmtree(old, ignore_errors=True)
    sync_folder(destination.parent)


def _write(contents: Contents, folder: Path) -> None:
    record = contents.record
    proof = folder / "charter"
    proof.mkdir()
    write_text(folder / "README.md", card(record, contents.preparation))
    write_text(folder / "charter.yaml", contents.charter_text)
    write_findings(proof / "findings.jsonl", record.findings)
    write_json(proof / "verdicts.json", [verdict.as_json() for verdict in record.verdicts])
    write_json(proof / "provenance.json", dict(record.provenance))
    write_json(proof / "record.json", record.as_json())
    write_json(proof / "preparation.json", dict(contents.preparation))
    write_text(proof / "report.html", contents.report)
    write_text(folder / DATASHEET, datasheet_markdown(record))
    write_json(folder / CROISSANT, croissant(record))
    for name, source in contents.beside.items():
        shutil.copyfile(source, folder / name)
    files = {name: file_digest(path) for name, path in folder_files(folder).items()}
    manifest = Manifest(
        format=FORMAT,
        forms={form: folder_digest(source) for form, source in contents.forms.items()},
        name=record.charter.name,
        status="released" if record.status == "released" else "refused",
        run=record.run_id,
        charter_digest=record.charter.digest,
        digest=files_digest(files),
        files=files,
    )
    write_json(folder / MANIFEST, manifest.model_dump())


def read_bundle(folder: Path, *, key: Path | None = None, allow_refused: bool = False) -> Bundle:
    """Open a bundle after checking every byte of it, that its status follows from its evidence, and its signature.

    key: the public key (PEM) that it must be signed by. allow_refused: open a draft whose limits were not kept, too.

    Raises:
        BundleError: no bundle, one that was changed since it was packed, one that is not signed by the key, or a draft.
        CharterError: the key can't be read.
    """
    manifest = read_manifest(folder)
    found = inspect(folder, manifest, key, words=False)
    wrong = [line.text for line in found.lines if not line.ok]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise BundleError(
            f"{folder} is not what was packed: {'; '.join(wrong[:3])}{more}. `charter verify` says all"
        )
    if found.refused and not allow_refused:
        raise BundleError(
            f"{folder} is a draft whose limits were not kept; it was not released. "
            "To look at its answers all the same, add --allow-refused (in Python: allow_refused=True)"
        )
    return Bundle(folder, manifest.status, manifest.name, read_preparation(folder), manifest)
