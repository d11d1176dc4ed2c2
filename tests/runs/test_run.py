import subprocess
import sys
import textwrap
import time

import pytest

from charter.errors import StoreError
from charter.runs.gc import clean
from charter.runs.run import begin_run, find_run, judged_before, list_runs, note_judged, run_name
from charter.runs.store import Stage, Store


def write_one(files, work):
    (files / "out").write_text("1")


def a_run(store, name="opinion", number=1, status="released"):
    with begin_run(store, name, "digest") as run:
        artifact = run.step(Stage("toy", 1, {"number": number}, {}), write_one)
        run.finish(status)
    return run.id, artifact


def test_run_record_holds_the_lineage(tmp_path):
    run_id, artifact = a_run(Store(tmp_path))
    past = find_run(Store(tmp_path), run_id)
    assert past.status == "released"
    assert past.record["stages"][0]["digest"] == artifact.digest
    assert past.keys == (artifact.key,)


def test_events_tell_reuse(tmp_path):
    store = Store(tmp_path)
    kinds = []
    for _ in range(2):
        with begin_run(store, "n", "d", lambda event: kinds.append(event.kind)) as run:
            run.step(Stage("toy", 1, {}, {}), write_one)
    assert kinds == ["started", "made", "reused"]


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")], ids=["ctrl-c", "error"]
)
def test_ended_run_says_how(tmp_path, error, status):
    with pytest.raises(error), begin_run(Store(tmp_path), "n", "d"):
        raise error
    assert list_runs(Store(tmp_path))[0].status == status


def test_killed_run_is_listed_as_killed(tmp_path):
    code = textwrap.dedent(
        """
        import sys, time, pathlib
        from charter.runs.run import begin_run
        from charter.runs.store import Store
        with begin_run(Store(pathlib.Path(sys.argv[1])), "n", "d"):
            print("ready", flush=True)
            time.sleep(60)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert [run.status for run in list_runs(Store(tmp_path))] == ["running"]
    with pytest.raises(StoreError, match="in progress"):
        clean(Store(tmp_path))
    process.kill()
    process.wait()
    process.stdout.close()
    assert [run.status for run in list_runs(Store(tmp_path))] == ["killed"]
    clean(Store(tmp_path))


@pytest.mark.parametrize(
    "content",
    ["{", "", "[]", "5", "{}", "[" * 100_000, '{"name": "n", "status": "released", "created": "", "stages": [{}]}'],
    ids=["cut", "empty", "list", "number", "object", "deep", "stage"],
)  # fmt: skip
def test_unreadable_run_record_is_listed_and_nothing_is_cleaned(tmp_path, content):
    store = Store(tmp_path)
    run_id, artifact = a_run(store)
    (tmp_path / run_id / "run.json").write_text(content)
    assert [(run.id, run.status) for run in list_runs(store)] == [(run_id, "unreadable")]
    with pytest.raises(StoreError, match=run_id):
        clean(store, keep=1)
    assert store.find(artifact.key) is not None


def test_a_folder_that_no_run_has_marked_is_never_cleaned(tmp_path):
    for name in ("tmp", "work", "artefacts", "locks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("1")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match="no run store"):
        clean(Store(tmp_path))
    with pytest.raises(StoreError, match="no run store"):
        clean(Store(tmp_path / "nosuch"))
    assert sorted(tmp_path.rglob("*")) == before


def test_cleaning_a_store_leaves_what_does_not_bear_a_name_of_its_own_form(tmp_path):
    store = Store(tmp_path)
    a_run(store)
    for name in ("tmp", "work", "artefacts", "locks"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "mine").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "run.json").write_text("[]")
    (tmp_path / "work" / ("0" * 64)).mkdir()
    (tmp_path / "work" / ("1" * 64)).symlink_to(tmp_path / "notes")
    assert clean(store).leftovers == 1
    assert {path.parent.name for path in tmp_path.glob("*/mine")} == {"tmp", "work", "artefacts", "locks"}
    assert (tmp_path / "notes" / "run.json").exists()
    assert (tmp_path / "work" / ("1" * 64)).is_symlink()


def test_what_could_not_be_removed_is_not_said_to_be_removed(tmp_path, monkeypatch):
    store = Store(tmp_path)
    a_run(store)
    (tmp_path / "work" / ("0" * 64)).mkdir()

    def refuses(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("charter.runs.gc.shutil.rmtree", refuses)
    done = clean(store)
    assert done.leftovers == 0
    assert done.freed_bytes == 0
    assert "Permission denied" in done.failed[0]


def test_clean_keeps_what_kept_runs_used(tmp_path):
    store = Store(tmp_path)
    _, old = a_run(store, number=1)
    time.sleep(1.1)  # run ids and creation times are by the second
    _, new = a_run(store, number=2)
    plan = clean(store, keep=1, dry_run=True)
    assert plan.artefacts == (old.key,)
    assert store.find(old.key) is not None
    done = clean(store, keep=1)
    assert done == plan
    assert store.find(old.key) is None
    assert store.find(new.key) is not None
    assert len(list_runs(store)) == 1


def test_clean_keeps_the_checkpoints_of_an_interrupted_run(tmp_path):
    store = Store(tmp_path)

    def interrupted(files, work):
        (work / "checkpoint").write_text("1")
        raise KeyboardInterrupt

    toy = Stage("toy", 1, {}, {})
    with pytest.raises(KeyboardInterrupt), begin_run(store, "n", "d") as run:
        run.step(toy, interrupted)
    orphan = store.work_folder("0" * 64)
    orphan.mkdir()
    clean(store)
    assert store.work_folder(toy.key).exists()
    assert not orphan.exists()


def test_find_run_by_a_beginning_that_only_one_has(tmp_path):
    run_id, _ = a_run(Store(tmp_path))
    assert find_run(Store(tmp_path), run_id[:12]).id == run_id
    with pytest.raises(StoreError, match="no run"):
        find_run(Store(tmp_path), "nope")
    with pytest.raises(StoreError, match="charter run"):
        find_run(Store(tmp_path), name="other")
    with pytest.raises(StoreError, match=str(tmp_path)):
        find_run(Store(tmp_path), "nope")


def test_judged_counts_other_charters_once_each(tmp_path):
    store = Store(tmp_path)
    for charter, test in [("a", "t1"), ("a", "t1"), ("b", "t1"), ("c", "t2"), ("me", "t1")]:
        note_judged(store, charter_digest=charter, test_digest=test, data_id="d", run_id="r")
    assert judged_before(store, charter_digest="me", test_digest="t1", data_id="d") == {
        "this_split": 2,
        "this_data": 3,
    }


def test_charters_of_the_same_test_rows_are_of_the_same_data_whatever_it_is_called(tmp_path):
    store = Store(tmp_path)
    note_judged(store, charter_digest="a", test_digest="t1", data_id="named otherwise", run_id="r")
    found = judged_before(store, charter_digest="me", test_digest="t1", data_id="d")
    assert found == {"this_split": 1, "this_data": 1}


def test_torn_journal_line_counts_and_spoils_no_other(tmp_path):
    store = Store(tmp_path)
    note_judged(store, charter_digest="a", test_digest="t", data_id="d", run_id="r")
    with (tmp_path / "judged.jsonl").open("a") as journal:
        journal.write('{"charter": "b", "te')
    note_judged(store, charter_digest="c", test_digest="t", data_id="d", run_id="r")
    assert judged_before(store, charter_digest="me", test_digest="t", data_id="d")["this_split"] == 3


def test_run_name_is_safe_as_a_file_name():
    assert run_name("客户 意见/x") == "客户-意见-x"
