"""Compare judged runs: find each with its record, and what its model said on every test row, if the store still has it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from charter.audits.pairing import Answered, paired, why_unpaired
from charter.audits.resampling import Resampling
from charter.data.columns import ROW, SPLIT, Columns
from charter.errors import CharterError, StoreError
from charter.release.bundle import read_bundle
from charter.release.comparison import Compared, Comparison, Pair, adjusted, labels
from charter.release.manifest import MANIFEST
from charter.release.record import RECORD, Record, newest_judged, read_record
from charter.runs.run import PastRun, find_run, list_runs, run_name
from charter.runs.store import Artifact, Store
from charter.spec.document import read_document
from charter.tasks import restore
from charter.tasks.outputs import from_frame

CONFIDENCE, RESAMPLES = 0.95, 2000


@dataclass(frozen=True)
class Found:
    """A judged run: its record, the store that may hold its answers, its bundle's model where it was found as a bundle."""

    record: Record
    store: Store
    bundle: Path | None = None


def compare(
    runs: Sequence[str | Path],
    *,
    store: Path,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare judged runs with the first of them.

    runs: each a run's id or the beginning of it, a charter's name (its newest judged run), a run's folder, a bundle, a
    charter file or its folder. `store` is where ids and names are looked up. confidence: of intervals, and 1 - it the level of the tests.

    Raises:
        CharterError: fewer than two runs, one named twice, one that is not found or was never judged, a changed bundle.
    """
    if len(runs) < 2:
        raise CharterError(f"compare takes two runs or more, found {len(runs)}")
    found = [find_judged(one, Store(store)) for one in runs]
    ids = [one.record.run_id for one in found]
    twice = next((ids[place] for place in range(len(ids)) if ids[place] in ids[:place]), None)
    if twice is not None:
        raise CharterError(f"run {twice} is named twice; name different runs")
    how = Resampling(resamples, confidence, found[0].record.charter.training.seed)
    answered = [answers_of(one) for one in found]
    pairs = [_pair(place, found, answered, how) for place in range(1, len(found))]
    names = labels([one.record for one in found])
    compared = [Compared(name, one.record, _size(one)) for name, one in zip(names, found, strict=True)]
    whole = Comparison(tuple(compared), tuple(pairs))
    return Comparison(whole.runs, adjusted([whole.meaningful(pair) for pair in pairs]))


def find_judged(reference: str | Path, store: Store) -> Found:
    """The judged run that a reference means.

    Raises:
        StoreError: nothing is called so, or it was never judged.
        BundleError: a bundle that was changed.
    """
    path = Path(reference)
    if (path / MANIFEST).is_file():
        bundle = read_bundle(path, allow_refused=True)
        record = read_record(path / "charter" / RECORD)
        return Found(record, _store_of_bundle(path, record, store), bundle.folder)
    if (path / "run.json").is_file():
        return Found(_judged_record(path, path.name), Store(path.absolute().parent))
    if (path / "charter.yaml").is_file():
        path = path / "charter.yaml"
    if path.is_file():
        name = read_document(path).value.get("name")
        beside = Store(path.absolute().parent / "runs")
        return Found(read_record(newest_judged(beside, str(name)).folder / RECORD), beside)
    text = str(reference)
    past = _by_id(store, text) or newest_judged(store, text)
    return Found(_judged_record(past.folder, past.id), store)


def _by_id(store: Store, text: str) -> PastRun | None:
    """The run whose id begins so, unless the text is exactly a charter's name."""
    runs = list_runs(store)
    if any(run.name == run_name(text) for run in runs) or not any(run.id.startswith(text) for run in runs):
        return None
    return find_run(store, text)


def _judged_record(folder: Path, run_id: str) -> Record:
    if not (folder / RECORD).exists():
        raise StoreError(f"run {run_id} ended before it was judged: it has no scores to compare")
    return read_record(folder / RECORD)


def _store_of_bundle(bundle: Path, record: Record, store: Store) -> Store:
    """Where a bundle's run may still be on record: the store at hand, or `runs` beside its `release` folder."""
    beside = Store(bundle.absolute().parent.parent / "runs")
    return next((one for one in (store, beside) if (one.root / record.run_id).is_dir()), store)


def _artifacts(found: Found, stage: str) -> list[Artifact]:
    """The artefacts of a run's stages of this kind that are still whole in the store."""
    keys = [one["key"] for one in found.record.stages if str(one["name"]).partition(" ")[0] == stage]
    kept = [found.store.find(key) for key in dict.fromkeys(keys)]
    return [one for one in kept if one is not None]


def answers_of(found: Found) -> Answered | str:
    """What the released model said on the test rows; or why that is not known any more."""
    exports = found.record.provenance.get("exports") or {}
    digest = next((one["digest"] for one in exports.values()), None)
    answers = [one for one in _artifacts(found, "answer") if one.record["inputs"].get("model") == digest]
    judged_on = found.record.provenance["data"]["prepared_digest"]
    each = [
        *_artifacts(found, "prepare"),
        *_artifacts(found, "go"),
    ]  # rows that an earlier model knew are left out by "go on"
    prepared = [one for one in each if one.digest == judged_on]
    released = [
        one
        for one in _artifacts(found, "export")
        if one.record["options"]["format"] == next(iter(exports), None)
    ]
    if not (answers and prepared and released):
        return f"what run {found.record.run_id} answered on each row is no longer in the store"
    task = restore(json.loads((released[0].path / "task.json").read_text(encoding="utf-8")))
    rows = pl.read_parquet(prepared[0].path / "rows.parquet").filter(pl.col(SPLIT) == "test")
    told = pl.read_parquet(answers[0].path / "test.parquet")
    if not told[ROW].equals(rows[ROW]):
        raise StoreError(
            f"{answers[0].path}: the answers are not those of the test rows; run the charter again"
        )
    return Answered(task, Columns.of(found.record.charter.data, task.form), rows, from_frame(told))


def _pair(place: int, found: Sequence[Found], answered: Sequence[Answered | str], how: Resampling) -> Pair:
    one, other = found[0].record, found[place].record
    ours, theirs = answered[0], answered[place]
    if one.charter.task.use != other.charter.task.use:
        return Pair(place, None, "their tasks differ")
    data = [record.provenance.get("data", {}) for record in (one, other)]
    shared = None
    if (
        data[0].get("source_digest") == data[1].get("source_digest")
        and not isinstance(ours, str)
        and not isinstance(theirs, str)
    ):
        shared = int(ours.rows[ROW].is_in(theirs.rows[ROW].to_list()).sum())
    if data[0].get("test_digest") != data[1].get("test_digest"):
        return Pair(place, None, "they were judged on different test rows", shared)
    for side in (ours, theirs):
        if isinstance(side, str):
            return Pair(place, None, side)
    assert isinstance(ours, Answered) and isinstance(theirs, Answered)
    because = why_unpaired(ours, theirs)
    return Pair(place, None if because else paired(ours, theirs, how), because, shared)


def _size(found: Found) -> int | None:
    """The bytes of the released model's own files; None where they are not at hand."""
    if found.bundle is not None:
        own = [
            path
            for path in found.bundle.iterdir()
            if path.is_file() and path.name not in ("README.md", "charter.yaml")
        ]
        return sum(path.stat().st_size for path in own)
    exports = _artifacts(found, "export")
    folder = next((one.path / "model" for one in exports if (one.path / "model").is_dir()), None)
    return (
        None if folder is None else sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    )
