"""Processes started by torchrun train one model together: the weights of one process, and a killed one costs nothing."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import shared_fits
import torch
from safetensors.torch import load_file

from charter.pipeline import run

SOURCE = Path(__file__).parents[2] / "src"
CHARTER = """\
name: shared
data:
  source: {source}
  inputs: {{text: text}}
  target: label
model: {{base: {base}, max_length: 32}}
task: {{use: classification}}
training: {{epochs: 12, batch_size: 16, learning_rate: 2.0e-3}}
audits: [{{use: performance}}]
limits: [macro_f1 >= 0.1]
"""


def started(*what, folder, restarts=0):
    """Two processes of torchrun, in a process group of their own."""
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *together, "--max-restarts", str(restarts), *map(str, what)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SOURCE), "WANDB_MODE": "offline"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finished(process):
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def once(what, *, seconds=120.0):
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came to this"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def together(tiny_bert, tmp_path_factory):
    """The folder of every fit as two processes make it undisturbed."""
    folder = tmp_path_factory.mktemp("together")
    finished(started(shared_fits.__file__, tiny_bert, folder, *shared_fits.FITS, folder=folder))
    return folder


@pytest.mark.parametrize("name", [one for one in shared_fits.FITS if one != "long"])
def test_two_processes_give_the_weights_of_one(together, tiny_bert, tmp_path, name):
    """Dropout is on: what is drawn belongs to the examples, not to the process."""
    shared = load_file(together / f"{name}.safetensors")
    for key, tensor in shared_fits.fitted(name, tiny_bert, tmp_path).items():
        torch.testing.assert_close(shared[key], tensor, rtol=1e-3, atol=2e-5, msg=key)


def children(process):
    """The processes that train, by their rank."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            inside = dict(
                one.split("=", 1) for one in (place / "environ").read_text().split("\0") if "=" in one
            )
            parent = (place / "stat").read_text().rsplit(")", 1)[1].split()[1]
        except (OSError, UnicodeDecodeError):
            continue
        if parent == str(process.pid) and "RANK" in inside:
            found[int(inside["RANK"])] = int(place.name)
    return found


def test_killed_processes_cost_nothing_but_time(together, tiny_bert, tmp_path):
    """First the one that keeps everything, then the one that follows; each time all start again and go on."""
    process = started(shared_fits.__file__, tiny_bert, tmp_path, "long", folder=tmp_path, restarts=2)
    checkpoint = tmp_path / "work long" / "checkpoint.pt"
    for rank in (0, 1):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        once(lambda before=before: checkpoint.exists() and checkpoint.stat().st_mtime_ns > before)
        os.kill(children(process)[rank], signal.SIGKILL)
    finished(process)
    alone, again = load_file(together / "long.safetensors"), load_file(tmp_path / "long.safetensors")
    assert all(torch.equal(again[name], tensor) for name, tensor in alone.items())


def test_a_run_whose_processes_are_all_told_to_end_keeps_its_updates_and_goes_on(
    tmp_path, reviews_csv, tiny_bert
):
    """As a batch system ends a job: every process gets the signal, and torchrun passes it on once more."""
    (tmp_path / "charter.yaml").write_text(CHARTER.format(source=reviews_csv, base=tiny_bert))
    process = started("-m", "charter", "run", "charter.yaml", folder=tmp_path)
    once(lambda: list(tmp_path.glob("runs/*/tensorboard/*")))
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert "Interrupted. What was done is kept" in said
    assert list(tmp_path.glob("runs/work/*/checkpoint.pt"))
    assert not list(tmp_path.glob("release/*"))
    assert "goes on from update" in finished(started("-m", "charter", "run", "charter.yaml", folder=tmp_path))
    assert (tmp_path / "release" / "shared" / "model.safetensors").exists()
    assert len(list((tmp_path / "runs").glob("*/run.json"))) == 2


TEXTS = """\
name: shared
data: {source: reviews.jsonl, inputs: {text: text}, target: label}
model:
  architecture: {use: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32}
  tokenizer: {use: wordpiece, size: 300}
  max_length: 32
pretraining: {source: texts.jsonl, batch_size: 16, micro_batch_size: 8, held_out: 0.2, learning_rate: 1.0e-3}
task: {use: classification}
training: {epochs: 1, batch_size: 16}
audits: [{use: performance, minimum_n: 2}]
limits: [accuracy >= 0.1]
"""


def test_two_processes_read_the_same_pieces_and_pre_train_the_weights_of_one(tmp_path):
    dice = random.Random(4)
    words = [f"word{at}" for at in range(60)]
    rows = [
        {"text": " ".join(dice.choices(words, k=dice.randint(3, 30))), "label": "ab"[at % 2]}
        for at in range(260)
    ]
    (tmp_path / "reviews.jsonl").write_text("\n".join(map(json.dumps, rows[:80])), encoding="utf-8")
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows[80:])), encoding="utf-8")
    (tmp_path / "charter.yaml").write_text(TEXTS, encoding="utf-8")
    finished(started("-m", "charter", "run", "charter.yaml", "--store", "two", folder=tmp_path))
    run(tmp_path / "charter.yaml", store=tmp_path / "one")
    alone, shared = (pretrained(tmp_path / name) for name in ("one", "two"))
    assert alone.keys() == shared.keys()
    for key, tensor in alone.items():
        torch.testing.assert_close(shared[key], tensor, rtol=1e-3, atol=2e-5, msg=key)


def pretrained(store):
    records = [
        json.loads(one.read_text()) | {"folder": one.parent}
        for one in store.glob("artefacts/*/artefact.json")
    ]
    place = next(one["folder"] for one in records if one["stage"] == "pretrain")
    return load_file(place / "files" / "model" / "model.safetensors")
