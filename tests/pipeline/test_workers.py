"""Workers that the charter asks for give the model of torchrun's; a process that can't start is told, not waited for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from charter.errors import TrainingError
from charter.spec.training import Training
from charter.training.starting import together

SOURCE = Path(__file__).parents[2] / "src"
CHARTER = """\
name: shared
data: {{source: {source}, inputs: {{text: text}}, target: label}}
model: {{base: {base}, max_length: 32}}
task: {{use: classification}}
training: {{epochs: 1, batch_size: 16, learning_rate: 2.0e-3{more}}}
audits: [{{use: performance}}]
limits: [macro_f1 >= {least}]
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture
def run(tmp_path, reviews_csv, tiny_bert):
    """A run in a folder of its own; its exit code and the folder."""

    def made(name, *, by=(), more="", least=0.1):
        folder = tmp_path / name
        folder.mkdir()
        text = CHARTER.format(source=reviews_csv, base=tiny_bert, more=more, least=least)
        (folder / "charter.yaml").write_text(text)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SOURCE)}
        command = [sys.executable, *by, "-m", "charter", "run", "charter.yaml"]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True), folder

    return made


def test_workers_give_the_model_of_torchrun_and_the_exit_code_of_the_run(run):
    done, ours = run("workers", more=", workers: 2")
    assert done.returncode == 0, done.stderr
    _, theirs = run("torchrun", by=TORCHRUN)
    found = [load_file(one / "release" / "shared" / "model.safetensors") for one in (ours, theirs)]
    assert all(torch.equal(found[0][name], tensor) for name, tensor in found[1].items())
    refused, _ = run("refused", more=", workers: 2", least=1.01)
    assert refused.returncode == 2  # a limit that can't be kept is told before any process is started
    assert "macro_f1" in refused.stderr


def test_a_worker_that_cannot_start_is_told(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(TrainingError, match=r"training.workers: a process could not start"), together(2):
        pass
    assert "MASTER_PORT" not in os.environ


def test_one_worker_on_ray_is_refused():
    with pytest.raises(ValueError, match="engine: ray shares the training over several workers"):
        Training(engine="ray")
