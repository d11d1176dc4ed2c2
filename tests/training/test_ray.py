"""Workers of Ray Train give the weights of torchrun's, and a lost one costs only time; a missing Ray names its command."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import shared_fits
import torch
from safetensors.torch import load_file

from charter.errors import MissingExtraError
from charter.pipeline.on_ray import on_ray

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='needs pip install "charter[ray]"'
)


def started(*what, folder):
    path = os.pathsep.join(map(str, (SOURCE, HERE)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "RAY_AUTH_MODE": "disabled"}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.Popen(
        [sys.executable, *map(str, what)], cwd=folder, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finished(process):
    said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said


def train_workers(session):
    """Process ids of the workers of Ray Train that a process of this session has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            named = (place / "cmdline").read_text()
            ours = (place / "stat").read_text().rsplit(")", 1)[1].split()[3] == str(session)
        except OSError:
            continue
        if ours and named.startswith("ray::") and "TrainWorker" in named:
            found.append(int(place.name))
    return sorted(found)


@pytest.mark.slow
@with_ray
def test_a_lost_worker_costs_only_time_and_the_weights_are_those_of_torchrun(tiny_bert, tmp_path):
    alone, killed = tmp_path / "torchrun", tmp_path / "ray"
    alone.mkdir()
    killed.mkdir()
    finished(started(*TORCHRUN, shared_fits.__file__, tiny_bert, alone, "long", folder=alone))
    process = started(HERE / "ray_fits.py", tiny_bert, killed, "long", folder=killed)
    checkpoint, deadline = killed / "work long" / "checkpoint.pt", time.monotonic() + 300
    while not checkpoint.exists():
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    workers = train_workers(process.pid)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    finished(process)
    (note,) = json.loads((killed / "told.json").read_text())["notes"]
    assert note.startswith("goes on from update ")
    again = load_file(killed / "long.safetensors")
    for key, tensor in load_file(alone / "long.safetensors").items():
        assert torch.equal(again[key], tensor), key


def test_a_missing_ray_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        MissingExtraError, match=r'training.engine .ray. needs .* pip install "charter\[ray\]"'
    ):
        on_ray(dict, 2)
