"""Whether what a bundle says of itself is one story: manifest, record, evidence, verdicts, card, labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from charter import spec
from charter.errors import CharterError, OptionError
from charter.release.card import card
from charter.release.croissant import croissant
from charter.release.datasheet import datasheet_markdown
from charter.release.judge import Verdict, judge, released
from charter.release.manifest import (
    CROISSANT,
    DATASHEET,
    PREPARATION,
    Manifest,
    form_digests,
    form_folder,
    read_preparation,
)
from charter.release.record import Record, read_record
from charter.release.report.ledger import ledger_told
from charter.release.report.lineage import lineage_told
from charter.runs.digest import value_digest
from charter.runs.files import read_json
from charter.runs.findings import Finding, read_findings
from charter.tasks import restore


@dataclass(frozen=True)
class Line:
    """One thing that was checked."""

    ok: bool
    text: str


@dataclass(frozen=True)
class _Story:
    """What a bundle's files say, each read."""

    record: Record
    findings: list[Finding]
    verdicts: list[Any]
    provenance: Any
    preparation: Mapping[str, Any]
    labels: Mapping[str, list[Any]]
    charter_text: str
    card: str
    datasheet: str
    croissant: Any


def check_evidence(folder: Path, manifest: Manifest, *, words: bool = True) -> list[Line]:
    """The verdicts judged again from the findings, which must be of this very model; and every file compared with the others.

    words: compare also the card and the layout of charter.yaml. Like the reasons of verdicts, they are compared only in a
    bundle of this very version of Charter, since the next one may word them anew.
    """
    try:
        story = _read(folder, manifest)
        own = _made_by_this_version(story.record)
        lines = [*_identity(story, manifest, own), *_verdicts(story, manifest, own), *_files(story)]
        lines += [Line(True, told) for told in lineage_told(story.provenance)]
        lines += [Line(True, told) for told in ledger_told(story.provenance)]
        if words and own:
            lines += _words(story)
        elif words:
            version = _version(story.record)[:20]
            lines.append(Line(True, f"its card is not compared: it was written by Charter {version or '?'}"))
        return lines
    except (OSError, ValueError, KeyError, TypeError, AttributeError, CharterError) as error:
        said = str(error).partition(";")[0] if isinstance(error, CharterError) else type(error).__name__
        return [Line(False, f"its record, findings or verdicts can't be read ({said})")]


def _read(folder: Path, manifest: Manifest) -> _Story:
    proof = folder / "charter"
    read_preparation(folder)
    return _Story(
        record=read_record(proof / "record.json"),
        findings=read_findings(proof / "findings.jsonl"),
        verdicts=read_json(proof / "verdicts.json"),
        provenance=read_json(proof / "provenance.json"),
        preparation=read_json(folder / PREPARATION),
        labels={form: _labels(form_folder(folder, form)) for form in manifest.released_forms},
        charter_text=(folder / "charter.yaml").read_text(encoding="utf-8"),
        card=(folder / "README.md").read_text(encoding="utf-8"),
        datasheet=(folder / DATASHEET).read_text(encoding="utf-8"),
        croissant=read_json(folder / CROISSANT),
    )


def _labels(folder: Path) -> list[Any]:
    named = read_json(folder / "config.json").get(
        "id2label", {"0": "LABEL_0", "1": "LABEL_1"}
    )  # transformers leaves out its own default
    return [named[str(number)] for number in range(len(named))]


def _version(record: Record) -> str:
    return str(record.provenance["versions"]["charter"])


def _made_by_this_version(record: Record) -> bool:
    return _version(record) == metadata.version("charter")


def _identity(story: _Story, manifest: Manifest, own: bool) -> Iterator[Line]:
    """The manifest's own words against the record."""
    record = story.record
    packed = "released" if record.status == "released" else "refused"
    digest = record.charter.digest if own else record.provenance["charter_digest"]
    pairs = {
        "name": (manifest.name, record.charter.name),
        "status": (manifest.status, packed),
        "run": (manifest.run, record.run_id),
        "charter_digest": (manifest.charter_digest, digest),
    }
    wrong = [name for name, (said, kept) in pairs.items() if said != kept]
    same = record.provenance["charter_digest"] == digest and record.provenance["run"] == record.run_id
    if wrong:
        yield Line(False, f"the manifest's {' and '.join(wrong)} is not that of the record")
    elif not same:
        yield Line(False, "the provenance is of another run or charter than the record")
    else:
        yield Line(True, f"it is '{manifest.name}' of run {manifest.run}")


def _verdicts(story: _Story, manifest: Manifest, own: bool) -> Iterator[Line]:
    digests = form_digests(manifest)
    again = judge(story.record.charter, story.findings, digests)
    yield from _ties(story, manifest, digests, judged=bool(again))
    kept = [_judged(one.as_json(), own) for one in story.record.verdicts]
    filed = [_judged(one, own) for one in story.verdicts]
    follows = [_judged(one.as_json(), own) for one in again] == kept == filed
    yield Line(follows, f"the verdicts {'follow' if follows else 'do not follow'} from the findings")
    fits = _status(again) == manifest.status
    yield Line(
        fits, f"its status '{manifest.status}' {'follows' if fits else 'does not follow'} from the verdicts"
    )


def _ties(story: _Story, manifest: Manifest, digests: Mapping[str, str], *, judged: bool) -> Iterator[Line]:
    """Whether there is evidence of every form, and of nothing else but the base that they were made from, as it was and is."""
    bases = {
        (story.provenance.get("base") or {}).get("digest"),
        (story.provenance.get("pretraining") or {}).get("before_digest"),
    }
    measured = {one.of for one in story.findings if one.split == "test" and one.of} - bases
    if manifest.format > 1 and dict(manifest.forms) != digests:
        yield Line(False, "the digests of the manifest's forms are not those of its files")
    if tuple(digests) != story.record.charter.release.formats:
        yield Line(False, "its forms are not those of its charter's release.formats")
    told = {name: one["digest"] for name, one in story.provenance["exports"].items()}
    if measured and told != digests:
        yield Line(False, "the provenance's exports are not its forms")
    if len(digests) == 1:
        ties = measured == set(digests.values()) if measured else not judged
        yield Line(ties, f"the evidence is {'' if ties else 'not '}of these very weights and tokenizer files")
        return
    for form, digest in digests.items():
        ties = digest in measured
        yield Line(ties, f"there is {'' if ties else 'no '}evidence of the very files of '{form}'")
    if measured - set(digests.values()):
        yield Line(False, "there is evidence of a model that is not in it")


def _judged(verdict: Mapping[str, Any], own: bool) -> dict[str, Any]:
    return {name: value for name, value in verdict.items() if own or name != "because"}


def _status(verdicts: list[Verdict]) -> str:
    return "released" if released(verdicts) else "refused"


def _files(story: _Story) -> Iterator[Line]:
    """The separate files against the record."""
    record = story.record
    differ = [
        name
        for name, same in {
            "charter/findings.jsonl": tuple(story.findings) == record.findings,
            "charter/verdicts.json": story.verdicts == [one.as_json() for one in record.verdicts],
            "charter/provenance.json": story.provenance == dict(record.provenance),
            PREPARATION: value_digest(story.preparation) == record.provenance.get("preparation_digest"),
        }.items()
        if not same
    ]
    for name in differ:
        yield Line(False, f"{name} is not what the record says")
    named = _named(story.preparation["task"])
    if any(labels != named for labels in story.labels.values()):
        yield Line(False, "the labels of config.json are not those of the task")
    elif not differ:
        yield Line(True, "findings, verdicts, provenance, preparation and labels agree with the record")


def _named(task: Mapping[str, Any]) -> list[str]:
    """What a task names its head's outputs; of a plug-in that is not installed its labels."""
    try:
        return list(restore(task).head.outputs)
    except OptionError:
        return list(task["labels"])


def _words(story: _Story) -> Iterator[Line]:
    """The charter as it is written out, and the card, against the record."""
    record = story.record
    if story.charter_text != spec.written(record.charter):
        yield Line(False, "charter.yaml is not the charter that was judged")
    same = story.card == card(record, story.preparation)
    yield Line(same, f"the card README.md {'follows' if same else 'does not follow'} from the record")
    if story.datasheet != datasheet_markdown(record):
        yield Line(False, f"the datasheet {DATASHEET} does not follow from the record")
    if story.croissant != croissant(record):
        yield Line(False, f"the metadata {CROISSANT} do not follow from the record")
