"""The bundle: one folder with the model in transformers' own layout, and everything that shows what it does."""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import BundleError
from charter.release.card import card
from charter.release.record import Record
from charter.release.signing import sign
from charter.runs.digest import file_digest, files_digest, folder_files
from charter.runs.files import sync_tree, write_json, write_text
from charter.runs.findings import write_findings

MANIFEST = "charter/manifest.json"
SIGNATURE = "charter/signature.sigstore"
FORMAT = 1


@dataclass(frozen=True)
class Contents:
    """What goes into a bundle. preparation: what new rows go through; sign_with: a private EC key (PEM) or None."""

    record: Record
    model_folder: Path
    preparation: Mapping[str, Any]
    charter_text: str
    report: Path
    sign_with: Path | None


@dataclass(frozen=True)
class Bundle:
    """A bundle whose bytes are what its manifest says. status: released or refused."""

    folder: Path
    status: str
    name: str
    preparation: Mapping[str, Any]
    manifest: Mapping[str, Any]


def pack(contents: Contents, destination: Path) -> Path:
    """Write a bundle: aside, whole, then renamed over the one before.

    Raises:
        BundleError: what stands at the destination is no bundle, so it is not replaced.
        MissingExtraError: it is to be signed and the library for it is not installed.
    """
    if destination.exists() and not (destination / MANIFEST).exists():
        raise BundleError(
            f"{destination} is there already and is no bundle; move it away, or name another --release-to"
        )
    aside = destination.with_name(f".{destination.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        shutil.copytree(contents.model_folder, aside)
        _write(contents, aside)
        if contents.sign_with is not None:
            sign(aside, aside / SIGNATURE, contents.sign_with)
        sync_tree(aside)
        old = destination.with_name(f"{aside.name}.old")
        if destination.exists():
            destination.rename(old)
        aside.rename(destination)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return destination


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
    shutil.copyfile(contents.report, proof / "report.html")
    files = {name: file_digest(path) for name, path in folder_files(folder).items()}
    manifest = {
        "format": FORMAT,
        "name": record.charter.name,
        "status": "released" if record.status == "released" else "refused",
        "run": record.run_id,
        "charter_digest": record.charter.digest,
        "digest": files_digest(files),
        "files": files,
    }
    write_json(folder / MANIFEST, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """A bundle's manifest.

    Raises:
        BundleError: there is none, or it can't be read.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or not isinstance(manifest["files"], dict):
            raise ValueError
        if manifest["format"] != FORMAT:
            raise BundleError(
                f"{folder} is a bundle of format {manifest['format']}; this Charter reads {FORMAT}"
            )
    except FileNotFoundError:
        raise BundleError(f"{folder} is no bundle: it has no {MANIFEST}") from None
    except (OSError, ValueError, KeyError):
        raise BundleError(f"{folder / MANIFEST} can't be read: it was changed or cut off") from None
    return manifest


def changed_files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """What differs from the manifest: `NAME was changed`, `is missing`, `was added`; links are not followed blindly."""
    kept = set(manifest["files"])
    here = {name: path for name, path in folder_files(folder).items() if name not in (MANIFEST, SIGNATURE)}
    found = [f"{name} is missing" for name in sorted(kept - set(here))]
    found += [f"{name} was added" for name in sorted(set(here) - kept)]
    found += [
        f"{name} was changed"
        for name in sorted(kept & set(here))
        if here[name].is_symlink() or file_digest(here[name]) != manifest["files"][name]
    ]
    if not found and files_digest(manifest["files"]) != manifest.get("digest"):
        found.append("the manifest's own digest does not fit its files")
    return found


def model_digest(manifest: Mapping[str, Any]) -> str:
    """The digest of the model's own files in a bundle: what its findings must be of."""
    own = {
        name: digest
        for name, digest in manifest["files"].items()
        if name not in ("README.md", "charter.yaml") and not name.startswith("charter/")
    }
    return files_digest(own)


def read_bundle(folder: Path) -> Bundle:
    """Open a bundle after checking every byte of it.

    Raises:
        BundleError: no bundle, or one that was changed since it was packed.
    """
    manifest = read_manifest(folder)
    changed = changed_files(folder, manifest)
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise BundleError(
            f"{folder} is not what was packed: {'; '.join(changed[:3])}{more}. `charter verify` says all"
        )
    preparation = json.loads((folder / "charter" / "preparation.json").read_text(encoding="utf-8"))
    return Bundle(folder, str(manifest["status"]), str(manifest["name"]), preparation, manifest)
