"""Ray prepares the same artefact, byte for byte, as this process does; also when a worker is killed."""

import json
import os
import subprocess
import sys

import pytest

from charter.data import engines
from charter.errors import MissingExtraError

CLUSTER = """
import json, os, signal, sys
from pathlib import Path
import polars as pl
import ray
from ray.cluster_utils import Cluster

from charter.data import engines, table
from charter.errors import DataError
from charter.pipeline.preparing import prepare_data
from charter.runs.run import begin_run
from charter.runs.store import Store
from charter.spec.model import Charter

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
for _ in range(2):
    cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
os.environ["RAY_ADDRESS"] = cluster.address
folder, given = Path(sys.argv[1]), json.loads(sys.argv[2])
table.CHUNK_ROWS = 40
told = {}


def prepared(engine):
    given["data"]["engine"] = engine
    with begin_run(Store(folder / engine), "x", "d") as run:
        return prepare_data(run, Charter.model_validate(given), folder).artifact.digest


told["local"], told["ray"] = prepared("local"), prepared("ray")
told["nodes"] = len(ray.nodes())


def killed_once(frame, mark=folder / "killed"):
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid(), frame["a"].to_list()


def refused(frame):
    raise DataError("not these")


frames = [pl.DataFrame({"a": [number, number + 1]}) for number in range(6)]
on_ray = engines.engine_of("ray")
made = list(on_ray.map(killed_once, frames))
told["after a kill"] = [numbers for _, numbers in made]
told["elsewhere"] = os.getpid() not in {worker for worker, _ in made}
try:
    list(on_ray.map(refused, frames))
except DataError as error:
    told["refused"] = str(error)
print(json.dumps(told))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_cluster_of_three_nodes_gives_the_same_artefact_and_outlives_a_killed_worker(tmp_path, reviews_csv):
    pytest.importorskip("ray")
    text = reviews_csv.read_text(encoding="utf-8").replace("today", "today rosa@example.org &amp;")
    (tmp_path / "reviews.csv").write_text(text, encoding="utf-8")
    prepare = [
        {"use": use} for use in ("repair_text", "mask_pii", "drop_exact_duplicates", "drop_near_duplicates")
    ]
    given = {
        "name": "x",
        "data": {"source": "reviews.csv", "inputs": {"text": "text"}, "target": "label", "prepare": prepare},
        "model": {"base": "x"},
        "task": {"use": "classification"},
    }
    done = subprocess.run(
        [sys.executable, "-c", CLUSTER, str(tmp_path), json.dumps(given)],
        capture_output=True,
        text=True,
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["nodes"] == 3
    assert told["ray"] == told["local"]
    assert told["after a kill"] == [[number, number + 1] for number in range(6)]
    assert told["elsewhere"]
    assert told["refused"] == "not these"


def test_without_ray_the_install_command_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"charter\[ray\]"):
        engines.engine_of("ray")


def test_local_work_asks_nobody(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert list(engines.engine_of("local").map(len, [[1], [1, 2]])) == [1, 2]
