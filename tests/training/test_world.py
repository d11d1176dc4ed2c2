"""Processes started by torchrun train one model together: the weights of one process, and a killed one costs nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SOURCE = Path(__file__).parents[2] / "src"
CHARTER = """\
name: shared
data:
  source: {source}
  inputs: {{text: text}}
  target: label
model: {{base: {base}, max_length: 32}}
task: {{use: classification}}
training: {{epochs: {epochs}, batch_size: 16, micro_batch_size: {micro}, learning_rate: 2.0e-3{more}}}
audits: [{{use: performance}}]
limits: [macro_f1 >= 0.1]
"""


def started(folder, *, processes, restarts=0):
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    together += ["--max-restarts", str(restarts)]
    command = [sys.executable, *(together if processes > 1 else []), "-m", "charter", "run", "charter.yaml"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SOURCE), "WANDB_MODE": "offline"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def written(folder, reviews_csv, tiny_bert, *, epochs=2, micro=8, more=""):
    folder.mkdir()
    text = CHARTER.format(source=reviews_csv, base=tiny_bert, epochs=epochs, micro=micro, more=more)
    (folder / "charter.yaml").write_text(text)
    return folder


def weights(folder):
    return load_file(folder / "release" / "shared" / "model.safetensors")


def finished(process):
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


@pytest.mark.parametrize("more", ["", ", economies: true", ", objective: {use: contrastive}"])
def test_two_processes_give_the_weights_of_one(tmp_path, reviews_csv, tiny_bert, more):
    """Dropout is on: what is drawn belongs to the examples, not to the process."""
    one = written(tmp_path / "one", reviews_csv, tiny_bert, more=more)
    two = written(tmp_path / "two", reviews_csv, tiny_bert, more=more)
    finished(started(one, processes=1))
    finished(started(two, processes=2))
    alone, together = weights(one), weights(two)
    assert alone.keys() == together.keys()
    head = (
        1e-2 if "contrastive" in more else 0.0
    )  # it is fitted until it hardly moves, which leaves a little room
    for name, tensor in alone.items():
        apart = max(2e-5, head * ("classifier" in name))
        torch.testing.assert_close(together[name], tensor, rtol=1e-3, atol=apart, msg=name)
    assert len(list((two / "runs").glob("*/run.json"))) == 1


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


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_costs_nothing_but_time(tmp_path, reviews_csv, tiny_bert, rank):
    whole = written(tmp_path / "whole", reviews_csv, tiny_bert, epochs=12)
    broken = written(tmp_path / "broken", reviews_csv, tiny_bert, epochs=12)
    finished(started(whole, processes=2))
    process = started(broken, processes=2, restarts=2)
    deadline = time.monotonic() + 120
    while not list(broken.glob("runs/*/tensorboard/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(children(process)[rank], signal.SIGKILL)
    finished(process)
    alone, again = weights(whole), weights(broken)
    assert all(torch.equal(again[name], tensor) for name, tensor in alone.items())
