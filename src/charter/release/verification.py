"""Verify a bundle: its bytes, its verdicts derived anew from its findings, and its signature."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from charter.errors import BundleError
from charter.release.evidence import Line, check_evidence
from charter.release.manifest import SIGNATURE, Content, Manifest, changed_files, read_content, read_manifest
from charter.release.signing import check_signature, read_signature, unsigned_changes

Signature = Literal["unsigned", "unknown", "valid", "invalid"]


@dataclass(frozen=True)
class Verification:
    """What was found.

    signature: unsigned; unknown (signed, of these files, by a key that was not given); valid (by the key given);
    invalid. refused: it is a draft whose limits were not kept.
    """

    lines: tuple[Line, ...]
    signature: Signature
    refused: bool

    @property
    def ok(self) -> bool:
        """Whether everything that was checked holds. Who made the bundle is only known where `signature` is valid."""
        return all(line.ok for line in self.lines)

    @property
    def conclusion(self) -> str:
        """What it comes to, in a sentence."""
        if not self.ok:
            return "Not verified."
        if self.signature == "valid":
            return "Verified: consistent, and signed by this key."
        return "Consistent, not authenticated: " + (
            "nobody signed it, so anyone could have made it."
            if self.signature == "unsigned"
            else "it is signed, but by whom was not checked; give --key PUBLIC.pem."
        )


def verify(folder: Path, key: Path | None) -> Verification:
    """Check a bundle. With a public key it must be signed by it.

    Raises:
        BundleError: the folder is no bundle at all.
        CharterError: the key can't be read.
    """
    return inspect(folder, read_manifest(folder), key)


def inspect(folder: Path, manifest: Manifest, key: Path | None, *, words: bool = True) -> Verification:
    """Check a bundle whose manifest was read; `words` as in `check_evidence`."""
    content = read_content(folder)
    changed = changed_files(content, manifest)
    lines = [Line(False, text) for text in changed] or [
        Line(True, f"every byte of its {len(manifest.files)} files")
    ]
    lines += check_evidence(folder, manifest, words=words)
    state, line = _signature(folder, content, key)
    return Verification((*lines, line), state, manifest.status != "released")


def _signature(folder: Path, content: Content, key: Path | None) -> tuple[Signature, Line]:
    path = folder / SIGNATURE
    if not path.is_file() or path.is_symlink():
        said = "it is not signed" + (", so it can't be of this key" if key else "; anyone could have made it")
        return "unsigned", Line(key is None, said)
    try:
        changes = unsigned_changes(read_signature(path), content.digests)
        if changes:
            more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
            raise BundleError(f"its signature is not of these files: {changes[0]}{more}")
        if key is None:
            return "unknown", Line(True, "its signature is of these very files; whose it is was not checked")
        check_signature(folder, path, key)
    except BundleError as error:
        return "invalid", Line(False, str(error))
    return "valid", Line(True, f"signed by the key {key.name}")
