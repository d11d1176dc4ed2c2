"""Verify a bundle: its bytes, its verdicts derived anew from its findings, and its signature."""

import json
from dataclasses import dataclass
from pathlib import Path

from charter import spec
from charter.errors import BundleError, CharterError
from charter.release.bundle import SIGNATURE, changed_files, model_digest, read_manifest
from charter.release.judge import judge, released
from charter.release.signing import check_signature
from charter.runs.findings import read_findings
from charter.spec.model import Charter


@dataclass(frozen=True)
class Line:
    """One thing that was checked."""

    ok: bool
    text: str


@dataclass(frozen=True)
class Verification:
    """What was found. signature: unsigned, unknown (signed, and no key given), valid, or invalid."""

    lines: tuple[Line, ...]
    signature: str

    @property
    def ok(self) -> bool:
        """Whether everything that was checked holds."""
        return all(line.ok for line in self.lines)


def verify(folder: Path, key: Path | None) -> Verification:
    """Check a bundle. With a public key it must be signed by it.

    Raises:
        BundleError: the folder is no bundle at all.
    """
    manifest = read_manifest(folder)
    changed = changed_files(folder, manifest)
    lines = [Line(False, text) for text in changed] or [
        Line(True, f"every byte of its {len(manifest['files'])} files")
    ]
    lines += _verdicts(folder, str(manifest.get("status")), model_digest(manifest))
    state, line = _signature(folder, key)
    return Verification((*lines, line), state)


def _verdicts(folder: Path, status: str, model: str) -> list[Line]:
    """The verdicts, judged again from the charter and the findings in the bundle, which must be of its very model."""
    try:
        record = json.loads((folder / "charter" / "record.json").read_text(encoding="utf-8"))
        charter = Charter.model_validate(record["charter"])
        findings = read_findings(folder / "charter" / "findings.jsonl")
        again = judge(charter, findings)
        kept = json.loads((folder / "charter" / "verdicts.json").read_text(encoding="utf-8"))
        written = (folder / "charter.yaml").read_text(encoding="utf-8") == spec.written(charter)
    except (OSError, ValueError, KeyError, TypeError, CharterError) as error:
        return [Line(False, f"its charter, findings or verdicts can't be read ({type(error).__name__})")]
    lines = []
    if not written:
        lines.append(Line(False, "charter.yaml is not the charter that was judged"))
    measured = {one.of for one in findings if one.split == "test" and one.of}
    ties = measured == {model} if measured else not kept
    lines.append(
        Line(ties, f"the evidence is {'' if ties else 'not '}of these very weights and tokenizer files")
    )
    same = [one.as_json() for one in again] == kept
    lines.append(
        Line(
            same,
            "the verdicts follow from the findings"
            if same
            else "the verdicts do not follow from the findings",
        )
    )
    fits = released(again) == (status == "released")
    lines.append(
        Line(fits, f"its status '{status}' {'follows' if fits else 'does not follow'} from the verdicts")
    )
    return lines


def _signature(folder: Path, key: Path | None) -> tuple[str, Line]:
    signature = folder / SIGNATURE
    if not signature.exists():
        said = "it is not signed" + (", so it can't be of this key" if key else "; anyone could have made it")
        return "unsigned", Line(key is None, said)
    if key is None:
        return "unknown", Line(
            True, "it is signed, by a key that was not checked; give --key PUBLIC.pem to check it"
        )
    try:
        check_signature(folder, signature, key)
    except BundleError as error:
        return "invalid", Line(False, str(error))
    return "valid", Line(True, f"signed by the key {key.name}")
