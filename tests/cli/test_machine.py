"""The command line on a machine that is not as it should be: its terminal, its files, its user's patience."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charter.cli import run_command
from charter.runs.run import begin_run
from charter.runs.store import Store

CHARTER = """\
name: reviews
data: {{source: reviews.csv, inputs: {{text: text}}, target: label, split: {{test: 0.3, validation: 0.1, calibration: 0.1}}}}
model: {{base: "{base}", max_length: 16}}
task: {{use: classification}}
training: {{epochs: 400, batch_size: 16}}
limits: [accuracy >= 0.1]
"""


def charter(*arguments, **environment):
    """The command as its own process, on a terminal without UTF-8 unless told otherwise."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("LANG", "LC_ALL", "PYTHONUTF8")
    }
    plain = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    return subprocess.run(
        [sys.executable, "-m", "charter", *arguments],
        capture_output=True,
        env={**inherited, **plain, **environment},
    )


@pytest.fixture
def two_stores(tmp_path, monkeypatch):
    """A folder r1 with a charter and one run, and another folder to stand in."""
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / "charter.yaml").write_text("name: opinion\n")
    with begin_run(Store(tmp_path / "r1" / "runs"), "opinion", "d") as run:
        run.finish("refused")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return run.id


@pytest.mark.parametrize("charter_file", ["../r1/charter.yaml", "../r1"])
def test_runs_are_found_by_their_charter_from_anywhere(two_stores, charter_file, capsys):
    assert run_command(["runs", "--json", "--charter", charter_file]) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == [two_stores]
    assert run_command(["gc", "--charter", charter_file]) == 0
    assert run_command(["report", "--charter", charter_file]) == 2
    assert "before it was judged" in capsys.readouterr().err


def test_who_looks_in_the_wrong_place_is_told_where(two_stores, tmp_path, capsys):
    assert run_command(["report"]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "elsewhere" / "runs") in said
    assert "--charter" in said
    assert run_command(["runs"]) == 0
    assert str(tmp_path / "elsewhere" / "runs") in capsys.readouterr().out.replace("\n", "")
    assert run_command(["gc"]) == 2
    assert run_command(["runs", "--charter", "nosuch/charter.yaml"]) == 2
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_gc_says_what_it_could_not_remove(two_stores, tmp_path, monkeypatch, capsys):
    (tmp_path / "r1" / "runs" / "tmp" / "0123456789abcdef-12-01234567").mkdir(parents=True)

    def refuses(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("charter.runs.gc.shutil.rmtree", refuses)
    assert run_command(["gc", "--charter", "../r1"]) == 2
    said = capsys.readouterr()
    assert "0 leftovers" in said.out
    assert "Permission denied" in said.err


def test_a_terminal_without_check_marks_gets_words_not_a_traceback(silent_draft):
    done = charter("verify", str(silent_draft))
    assert done.returncode == 0
    assert b"? every byte" in done.stdout
    assert b"REFUSED" in done.stdout
    done = charter(
        "predict",
        str(silent_draft),
        "--allow-refused",
        "--text",
        b"a room \xff\xfe".decode("utf-8", "surrogateescape"),
    )
    assert done.returncode == 2
    assert b"no valid text" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["runs", "report", "gc", "run"])
@pytest.mark.parametrize("store", ["a" * 300, "loop", "file/inside"])
def test_a_store_that_cannot_be_is_said_in_a_line(tmp_path, tiny_bert, monkeypatch, command, store, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    (tmp_path / "charter.yaml").write_text(CHARTER.format(base=tiny_bert))
    (tmp_path / "reviews.csv").write_text("text,label\na,b\n")
    code = run_command([command, "--store", store])
    said = capsys.readouterr()
    assert code == (0 if command == "runs" and "No runs" in said.out else 2)
    assert "Traceback" not in said.err
    assert "half-written" not in said.err


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
@pytest.mark.parametrize("command", ["run", "gc"])
def test_a_file_system_without_locks_is_said_with_what_to_do(two_stores, monkeypatch, capsys, code, command):
    def no_locks(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("charter.runs.locks.fcntl.flock", no_locks)
    Path("charter.yaml").write_text(CHARTER.format(base="sample:minilm"))
    Path("reviews.csv").write_text("text,label\na,b\n")
    assert run_command([command, "--store", "../r1/runs"]) == 2
    said = capsys.readouterr().err
    assert os.strerror(code) in said
    assert "--store DIR" in said
    assert "runs/locks/store.lock" in said


def test_a_full_disk_says_that_nothing_half_written_was_kept(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device", "x.json")

    monkeypatch.setattr("charter.runs.files.write_text", full)
    assert run_command(["schema", "--out", str(tmp_path / "x.json")]) == 2
    assert (
        capsys.readouterr().err == "Error: No space left on device: x.json. Nothing half-written was kept.\n"
    )


def test_a_run_that_is_interrupted_says_how_to_go_on_and_the_next_one_from_where(tiny_bert, reviews_csv):
    folder = reviews_csv.parent
    (folder / "charter.yaml").write_text(CHARTER.format(base=tiny_bert), encoding="utf-8")
    command = [sys.executable, "-m", "charter", "run", "charter.yaml"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for expected in (b"", b"goes on from update "):
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE)
        logs = time.monotonic() + 90
        while time.monotonic() < logs and not list(folder.glob("runs/*/tensorboard/*")):
            time.sleep(0.1)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
        assert process.returncode == 130
        assert b"Interrupted. What was done is kept: run the same command again to go on." in said
        assert b"Traceback" not in said
        assert expected in said
        for logs_of in folder.glob("runs/*/tensorboard"):
            shutil.rmtree(logs_of)


@pytest.fixture(scope="module")
def silent_draft(tiny_bert, tmp_path_factory):
    """A refused draft."""
    folder = tmp_path_factory.mktemp("draft")
    rows = [
        f"{'great' if n % 2 else 'awful'} {n * 7919} {n * 104729},{'good' if n % 2 else 'bad'}"
        for n in range(160)
    ]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    text = CHARTER.format(base=tiny_bert).replace("epochs: 400", "epochs: 1").replace(">= 0.1", ">= 0.9999")
    (folder / "charter.yaml").write_text(text.replace("16}\ntask", "16, adapt: {use: head}}\ntask"))
    assert run_command(["run", str(folder / "charter.yaml"), "--draft"]) == 3
    return folder / "release" / "reviews-REFUSED"
