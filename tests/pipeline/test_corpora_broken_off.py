"""Pre-training that is killed, has no room on the disk, or is started twice: a clear end, and the same model afterwards."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys

import pytest

from charter.pipeline import run

WORDS = "the was very and today again we found it so my with room crew flight meal great rude cold".split()  # noqa: SIM905
CHARTER = """\
name: reviews
data: {source: reviews.jsonl, inputs: {text: text}, target: label, split: {test: 0.3, validation: 0.1, calibration: 0.1}}
model:
  architecture: {use: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32}
  tokenizer: {use: wordpiece, size: 300}
  max_length: 32
pretraining: {source: texts.jsonl, batch_size: 16, held_out: 0.3, learning_rate: 1.0e-3}
task: {use: classification}
training: {epochs: 1, batch_size: 16}
audits: [{use: performance, resamples: 100}]
limits: [accuracy >= 0.1]
"""
KILLED = {
    "the tokenizer is learned": """
from charter.models import tokenizers
told = tokenizers._told
def dies(texts, at_once=1000):
    yield from told(texts, 20)
    os.kill(os.getpid(), signal.SIGKILL)
tokenizers._told = dies
""",
    "the new model is written": """
from charter.pipeline import pretraining
def dies(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
pretraining.write_findings = dies
""",
    "pieces are written": """
from charter.data import pieces
encoded = pieces.documents_encoded
def dies(texts, tokenizer):
    for number, ids in enumerate(encoded(texts, tokenizer)):
        if number == 60:
            os.kill(os.getpid(), signal.SIGKILL)
        yield ids
pieces.documents_encoded = dies
""",
}
RUN = """
from pathlib import Path
from charter.pipeline import run
run(Path("charter.yaml"))
"""
FULL = """
import errno, json, os, signal, subprocess, sys
from pathlib import Path
from charter.pipeline import run
disk = Path("disk")
def size(kibibytes):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"remount,size={kibibytes}k", "tmpfs", disk], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk], check=True)
def fill(event):
    if event.kind == "started" and event.stage == sys.argv[1]:
        state = os.statvfs(disk)
        size((state.f_blocks - state.f_bfree) * state.f_frsize // 1024 + int(sys.argv[2]))
told = {}
try:
    run(Path("charter.yaml"), store=disk / "runs", on_event=fill)
except OSError as error:
    told = {"errno": error.errno == errno.ENOSPC, "file": str(error.filename)}
told["left"] = [str(one) for one in (disk / "runs" / "tmp").glob("*/**/*") if one.is_file()]
size(40_000)
run(Path("charter.yaml"), store=disk / "runs")
told["weights"] = {
    json.loads(one.read_text())["stage"]: json.loads(one.read_text())["files"]
    for one in (disk / "runs").glob("artefacts/*/artefact.json")
}
print(json.dumps(told))
"""


def sentence(dice):
    return " ".join(dice.choices(WORDS, k=dice.randint(4, 30)))


@pytest.fixture
def folder(tmp_path):
    dice = random.Random(3)
    rows = [{"text": sentence(dice), "label": "ab"[at % 2]} for at in range(120)]
    (tmp_path / "reviews.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    texts = [{"text": sentence(dice)} for _ in range(200)]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)), encoding="utf-8")
    (tmp_path / "charter.yaml").write_text(CHARTER, encoding="utf-8")
    return tmp_path


def weights(files):
    """By stage, the digests of weights and tokenizers."""
    ends = (".safetensors", "tokenizer.json")
    told = {
        stage: {name: digest for name, digest in one.items() if name.endswith(ends)}
        for stage, one in files.items()
    }
    return {stage: told[stage] for stage in ("begin", "pretrain", "train")}


def made(store):
    records = [json.loads(one.read_text()) for one in store.glob("artefacts/*/artefact.json")]
    return weights({one["stage"]: one["files"] for one in records})


FIRST, *OTHERS = KILLED
OTHERS = [pytest.param(one, marks=pytest.mark.slow) for one in OTHERS]


@pytest.mark.parametrize("when", [FIRST, *OTHERS])
def test_a_run_killed_while_something_is_made_ends_as_an_undisturbed_one(folder, when):
    script = f"import os, signal\n{KILLED[when]}{RUN}"
    killed = subprocess.run([sys.executable, "-c", script], cwd=folder)
    assert killed.returncode == -signal.SIGKILL
    assert run(folder / "charter.yaml").released
    run(folder / "charter.yaml", store=folder / "whole")
    assert made(folder / "runs") == made(folder / "whole")


@pytest.fixture
def apart():
    """How to run a command where it may mount a disk of its own."""
    command = [shutil.which("unshare") or "unshare", "--user", "--map-root-user", "--mount"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody mount a disk of their own (unshare)")
    return command


LATER = [pytest.param(*one, marks=pytest.mark.slow) for one in (("begin", 16), ("pretrain", 8))]


@pytest.mark.parametrize(("stage", "room"), [("begin", 0), ("pretrain", 0), *LATER])
def test_a_disk_that_is_full_ends_it_with_the_file_and_a_later_run_ends_as_an_undisturbed_one(
    folder, apart, stage, room
):
    (folder / "disk").mkdir()
    done = subprocess.run(
        [*apart, sys.executable, "-c", FULL, stage, str(room)], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["errno"] and "/disk/runs" in told["file"]
    assert told["left"] == []
    run(folder / "charter.yaml", store=folder / "whole")
    assert weights(told["weights"]) == made(folder / "whole")


def test_two_runs_at_once_in_one_store_pre_train_once(folder):
    other = (
        (folder / "charter.yaml")
        .read_text()
        .replace("name: reviews", "name: reviews\nreport: {language: zh}")
    )
    (folder / "other.yaml").write_text(
        other.replace("training: {epochs: 1", "training: {epochs: 2"), encoding="utf-8"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "charter", "run", name, "--release-to", f"release {name}"],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name in ("charter.yaml", "other.yaml")
    ]  # fmt: skip
    said = [one.communicate()[0] for one in runs]
    assert [one.returncode for one in runs] == [0, 0], said
    stages = [
        (stage["name"], stage["reused"])
        for record in folder.glob("runs/*/run.json")
        for stage in json.loads(record.read_text())["stages"]
    ]
    for name in ("prepare texts", "keep apart", "begin", "pretrain"):
        assert sorted(stages.count((name, reused)) for reused in (False, True)) == [1, 1], stages
