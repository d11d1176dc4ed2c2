import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from charter.runs.digest import folder_digest, list_folder
from charter.runs.store import Stage, Store


def stage(**changes):
    return Stage(**{"name": "toy", "version": 1, "options": {"a": 1}, "inputs": {"x": "d"}, **changes})


def put(text):
    def make(files: Path, work: Path) -> None:
        (files / "sub").mkdir()
        (files / "sub" / "out.txt").write_text(text)

    return make


def test_second_call_reuses_what_the_first_made(tmp_path):
    store = Store(tmp_path)
    first, reused_first = store.make(stage(), put("one"))
    second, reused_second = store.make(stage(), put("two"))
    assert (reused_first, reused_second) == (False, True)
    assert (second.path / "sub" / "out.txt").read_text() == "one"
    assert first.digest == second.digest == folder_digest(second.path)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"version": 2},
        {"options": {"a": 2}},
        {"inputs": {"x": "e"}},
        {"seed": 1},
        {"libraries": ("numpy",)},
    ],
)
def test_key_changes_with_everything_the_artefact_is_made_from(change):
    assert stage().key != stage(**change).key


def test_key_does_not_depend_on_the_order_of_options():
    assert stage(options={"a": 1, "b": 2}).key == stage(options={"b": 2, "a": 1}).key


@pytest.mark.parametrize(
    "damage",
    ["byte", "missing", "extra", "link", "pipe", "record", "deep record", "no seconds", "other digest"],
)
def test_damaged_artefact_is_made_again(tmp_path, damage):
    store = Store(tmp_path)
    artifact, _ = store.make(stage(), put("one"))
    file = artifact.path / "sub" / "out.txt"
    if damage == "byte":
        file.write_text("ona")
    elif damage == "missing":
        file.unlink()
    elif damage == "extra":
        (artifact.path / "stray").write_text("?")
    elif damage == "link":
        (artifact.path / "stray").symlink_to("/")
    elif damage == "pipe":
        os.mkfifo(artifact.path / "stray")
    else:
        record = artifact.path.parent / "artefact.json"
        known = json.loads(record.read_text())
        spoiled = {"no seconds": {**known, "seconds": None}, "other digest": {**known, "digest": "0"}}
        texts = {"record": "{", "deep record": "[" * 100_000}
        record.write_text(texts.get(damage) or json.dumps(spoiled[damage]))
    mended, reused = store.make(stage(), put("one"))
    assert not reused
    assert (mended.path / "sub" / "out.txt").read_text() == "one"


def test_failed_make_leaves_no_artefact_but_keeps_its_work(tmp_path):
    store = Store(tmp_path)

    def fails(files: Path, work: Path) -> None:
        (work / "checkpoint").write_text("half")
        (files / "half").write_text("?")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.make(stage(), fails)
    assert store.find(stage().key) is None
    seen = []
    store.make(stage(), lambda _files, work: seen.append((work / "checkpoint").read_text()))
    assert seen == ["half"]
    assert not store.work_folder(stage().key).exists()
    assert list((tmp_path / "tmp").iterdir()) == []


WORKER = textwrap.dedent(
    """
    import sys, time, pathlib
    from charter.runs.store import Stage, Store
    store = Store(pathlib.Path(sys.argv[1]))
    def make(number):
        def inner(files, work):
            counter = work / "count"
            for part in range(20):
                (files / f"part-{part}").write_bytes(bytes([number]) * 20_000)
                counter.write_text(str(part))
        return inner
    print("ready", flush=True)
    for number in range(int(sys.argv[2])):
        store.make(Stage("toy", 1, {"number": number}, {}), make(number))
    """
)


def test_kill_at_any_moment_leaves_a_store_the_next_process_uses(tmp_path):
    rng = random.Random(5)
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), "200"], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.08))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    store = Store(tmp_path)
    for number in range(12):
        artifact, _ = store.make(
            Stage("toy", 1, {"number": number}, {}),
            lambda files, _work, number=number: [
                (files / f"part-{part}").write_bytes(bytes([number]) * 20_000) for part in range(20)
            ],
        )
        sizes = {path.read_bytes() for path in artifact.path.iterdir()}
        assert sizes == {bytes([number]) * 20_000}
        assert len(list(artifact.path.iterdir())) == 20


def test_two_processes_on_one_key_make_it_once(tmp_path):
    code = textwrap.dedent(
        """
        import os, sys, time, pathlib
        from charter.runs.store import Stage, Store
        root = pathlib.Path(sys.argv[1])
        def make(files, work):
            time.sleep(0.5)
            (files / "by").write_text(str(os.getpid()))
            with (root / "made").open("a") as log: log.write("x")
        Store(root).make(Stage("toy", 1, {}, {}), make)
        """
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert (tmp_path / "made").read_text() == "x"


def test_record_tells_what_the_artefact_was_made_from(tmp_path):
    artifact, _ = Store(tmp_path).make(stage(libraries=("numpy", "no-such-thing")), put("one"))
    record = json.loads((artifact.path.parent / "artefact.json").read_text())
    assert record["options"] == {"a": 1}
    assert record["libraries"]["no-such-thing"] == "absent"
    assert set(record["files"]) == {"sub/out.txt"}


def test_listing_a_folder_follows_no_link_and_opens_no_pipe(tmp_path):
    folder = tmp_path / "f"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("1")
    (folder / "empty").mkdir()
    (folder / "up").symlink_to(tmp_path)
    (folder / "away").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    listing = list_folder(folder)
    assert list(listing.files) == ["sub/file"]
    assert listing.others == {
        "away": "a link", "empty": "an empty folder", "pipe": "no regular file", "up": "a link"
    }  # fmt: skip
