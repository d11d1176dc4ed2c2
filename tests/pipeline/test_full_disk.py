"""A disk that fills up while rows are prepared: a sentence, a store that is as it was, and a later run that works."""

import json
import re
import shutil
import subprocess
import sys

import pytest

RUN = """
import io, json, subprocess, sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from charter.cli import run_command
from charter.data import aside, table
from charter.pipeline.preparing import prepare_data
from charter.runs.run import begin_run
from charter.runs.store import Store
from charter.spec import read
aside.MEMORY_BYTES = 2_000
table.CHUNK_ROWS = 64
disk = Path("disk")
store = disk / "runs"
def room(kibibytes):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"remount,size={kibibytes}k", "tmpfs", disk], check=True)
def prepared(store):
    with begin_run(store, "x", "d") as run:
        return prepare_data(run, read(Path("charter.yaml")), Path()).artifact.digest
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
told = []
for size in json.loads(sys.argv[1]):
    room(size)
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(said):
        code = run_command(["run", "charter.yaml", "--store", str(store)])
    left = [path.name for where in ("tmp", "work") for path in (store / where).glob("*/**/*") if path.is_file()]
    told.append({"size": size, "code": code, "said": said.getvalue(), "left": left})
room(8_000)
print(json.dumps({"told": told, "later": prepared(Store(store)), "elsewhere": prepared(Store(Path("ample")))}))
"""
SIZES = (4, 20, 40, 56, 80, 110, 140)


@pytest.fixture
def apart():
    """How to run a command where it may mount a disk of its own."""
    command = [shutil.which("unshare") or "unshare", "--user", "--map-root-user", "--mount"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody mount a disk of their own (unshare)")
    return command


def test_a_disk_that_fills_up_at_any_point_ends_the_run_in_a_sentence_and_harms_nothing(
    tmp_path, tiny_bert, apart
):
    rows = [
        {
            "text": f"the room number {n} was {n * 7919} and {n * 104729} {'x' * (n % 40)}",
            "label": "ab"[n % 2],
        }
        for n in range(900)
    ]
    lines = [json.dumps(one) for one in rows] + ["{broken"] * 9
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    prepare = [{"use": "repair_text"}, {"use": "mask_pii"}, {"use": "drop_near_duplicates"}]
    data = {
        "source": "rows.jsonl",
        "inputs": {"text": "text"},
        "target": "label",
        "prepare": prepare,
        "max_bad_rows": 0.1,
    }
    model = {"base": str(tiny_bert), "max_length": 16}
    charter = {"name": "x", "data": data, "model": model, "task": {"use": "classification"}}
    (tmp_path / "charter.yaml").write_text(json.dumps(charter), encoding="utf-8")
    (tmp_path / "disk").mkdir()
    done = subprocess.run(
        [*apart, sys.executable, "-c", RUN, json.dumps(SIZES)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for one in found["told"]:
        assert (one["code"], one["left"]) == (2, []), one
        assert re.search("No space left on device: .*disk/runs", one["said"])
        assert "--store DIR" in one["said"]
        assert "Traceback" not in one["said"]
    assert found["later"] == found["elsewhere"]
