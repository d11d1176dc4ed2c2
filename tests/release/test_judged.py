"""Which charters were judged before on the same data: each once, with how its run ended."""

from charter.runs.run import begin_run, charters_judged, note_judged
from charter.runs.store import Store


def judged(store, charter, test, data, status="refused"):
    with begin_run(store, "a", charter) as run:
        note_judged(store, charter_digest=charter, test_digest=test, data_id=data, run_id=run.id)
        run.finish(status)


def test_other_charters_are_listed_once_with_their_outcome(tmp_path):
    store = Store(tmp_path)
    judged(store, "one", "t1", "d", "released")
    judged(store, "two", "t2", "d")
    judged(store, "two", "t2", "d")
    judged(store, "me", "t1", "d")
    judged(store, "elsewhere", "t9", "other")
    with (tmp_path / "judged.jsonl").open("a") as journal:
        journal.write("torn {\n")
    note_judged(store, charter_digest="gone", test_digest="t1", data_id="x", run_id="no-such-run")
    found = charters_judged(store, charter_digest="me", test_digest="t1", data_id="d")
    told = {one["charter"]: (one["status"], one["same_split"]) for one in found}
    assert told == {"one": ("released", True), "two": ("refused", False), "gone": ("", True)}
    assert len(found) == 3
