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
from transformers import ElectraConfig, ElectraForPreTraining

from charter.errors import TrainingError
from charter.pipeline import run
from charter.spec.training import Training
from charter.tasks.replaced_token_detection import replaced_token_detection
from charter.training.contrastive import contrastive
from charter.training.shards import check_splits

SOURCE = Path(__file__).parents[2] / "src"
WHOLE = [one for one in shared_fits.FITS if one not in shared_fits.REFUSED]
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
    finished(started(shared_fits.__file__, tiny_bert, folder, *WHOLE, folder=folder))
    return folder


@pytest.mark.parametrize("name", [one for one in WHOLE if "long" not in one])
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


@pytest.mark.parametrize("name", ["long", pytest.param("split and long", marks=pytest.mark.slow)])
def test_killed_processes_cost_nothing_but_time(together, tiny_bert, tmp_path, name):
    """First the one that keeps everything, then the one that follows; each time all start again and go on."""
    process = started(shared_fits.__file__, tiny_bert, tmp_path, name, folder=tmp_path, restarts=2)
    checkpoint = tmp_path / f"work {name}" / "checkpoint.pt"
    for rank in (0, 1):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        once(lambda before=before: checkpoint.exists() and checkpoint.stat().st_mtime_ns > before)
        os.kill(children(process)[rank], signal.SIGKILL)
    finished(process)
    alone, again = load_file(together / f"{name}.safetensors"), load_file(tmp_path / f"{name}.safetensors")
    assert all(torch.equal(again[key], tensor) for key, tensor in alone.items())


def test_a_split_fit_goes_on_in_one_process(together, tiny_bert, tmp_path):
    """A checkpoint holds everything whole, whoever wrote it."""
    process = started(shared_fits.__file__, tiny_bert, tmp_path, "split and long", folder=tmp_path)
    checkpoint = tmp_path / "work split and long" / "checkpoint.pt"
    once(checkpoint.exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    notes = []
    found = shared_fits.fitted("split and long", tiny_bert, checkpoint.parent, on_note=notes.append)
    (told,) = notes
    assert told.startswith("goes on from update ")
    for key, tensor in load_file(together / "split and long.safetensors").items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-3, atol=2e-4, msg=key)


def test_each_process_of_a_split_fit_holds_half_of_weights_gradients_and_moments(tiny_bert, tmp_path):
    said = finished(started(Path(__file__).with_name("split_bytes.py"), tiny_bert, folder=tmp_path))
    held = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert len(held) == 2
    for one in held:
        assert one["whole"]["moments"] == 2 * one["whole"]["weights"] == 2 * one["whole"]["gradients"]
        for what, bytes_ in one["whole"].items():
            assert 0.49 < one["split"][what] / bytes_ < 0.51, what


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (
            "split where only the head learns",
            "TrainingError: training.sharding: only the head of this model learns",
        ),
        pytest.param(
            "split where layers rest",
            "TrainingError: training.sharding: layers that rest",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_cannot_be_split_is_refused(tiny_bert, tmp_path, name, why):
    process = started(shared_fits.__file__, tiny_bert, tmp_path, name, folder=tmp_path)
    said, _ = process.communicate(timeout=300)
    assert process.returncode and why in said


def test_what_reads_more_of_the_model_than_its_passes_is_not_split():
    config = ElectraConfig(
        vocab_size=20, hidden_size=16, num_attention_heads=2, num_hidden_layers=1, intermediate_size=8
    )
    model, task = ElectraForPreTraining(config), replaced_token_detection()
    for one, learned in ((model, contrastive()), (task.begun(model, 0), task)):
        with pytest.raises(TrainingError, match="only whole models allow"):
            check_splits(one, learned, None)


def test_a_split_model_has_no_rows_of_its_own_to_be_lazy_with():
    with pytest.raises(ValueError, match="sharding: full and economies don't go together"):
        Training(sharding="full", economies=True)


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
