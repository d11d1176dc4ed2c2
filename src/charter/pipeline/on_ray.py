"""A run whose training is shared by workers of Ray Train, on one machine or a cluster; a worker that is lost costs only time.

Every worker is a process of the same world that torchrun would start: the first one makes the whole run, the others follow.
When one is lost, Ray starts all again, and the run goes on from its last checkpoint in the store.
"""

import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from charter.errors import CharterError, MissingExtraError, TrainingError, WorkerLostError
from charter.models.world import PATIENCE, World, dismissing
from charter.runs.files import write_json
from charter.training.sharing import follow

RESTARTS = 3
"""So often all workers are started again after one was lost."""


def run_on_ray(charter_file: Path, workers: int, **asked: Any) -> dict[str, Any]:
    """Make a run by `workers` of Ray Train; gives its `folder`, `report` and `bundle`. asked: what `charter.pipeline.run` takes.

    The charter, its data and its store have to be at the same place for every worker.

    Raises:
        CharterError: as `on_ray`, or what the run itself raised.
    """
    return on_ray(partial(_run, charter_file.resolve(), asked), workers)


def _run(charter_file: Path, asked: Mapping[str, Any], world: World) -> dict[str, Any]:
    from charter.pipeline.run import run

    result = run(charter_file, world=world, **asked)
    bundle = None if result.bundle is None else str(result.bundle)
    return {"folder": str(result.folder), "report": str(result.report), "bundle": bundle}


def on_ray(make: Callable[[World], dict[str, Any]], workers: int) -> dict[str, Any]:
    """What `make` gives in the first of so many workers of Ray Train, as JSON; the others follow it.

    Where a worker is lost, all start again, and `make` is called again: it has to find what it did already.

    Raises:
        MissingExtraError: Ray is not installed.
        TrainingError: workers were lost more often than `RESTARTS`.
        CharterError: what `make` raised.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its use otherwise
    try:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
    except ImportError:
        raise MissingExtraError("training.engine 'ray'", "ray") from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    gpus = ray.cluster_resources().get("GPU", 0) >= workers
    with tempfile.TemporaryDirectory(prefix="charter-ray-") as folder:
        told = Path(folder) / "told.json"
        trainer = TorchTrainer(
            _work,
            train_loop_config={"make": make, "told": str(told)},
            torch_config=TorchConfig(
                "cpu:gloo,cuda:nccl" if gpus else "gloo", timeout_s=int(PATIENCE.total_seconds())
            ),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
            run_config=RunConfig(storage_path=folder, failure_config=FailureConfig(max_failures=RESTARTS)),
        )
        try:
            trainer.fit()
        except Exception as error:
            # Ray wraps whatever ended a worker in errors of its own, which differ from version to version.
            raise TrainingError(
                f"training.engine ray: workers were lost more than {RESTARTS} times, or could not start "
                f"({type(error).__name__}: {str(error).splitlines()[0][:300]}); start it again, and it goes on from its last "
                "checkpoint"
            ) from None
        found: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    if "error" in found:
        failed = CharterError(found["error"])
        failed.exit_code = found["exit_code"]
        raise failed
    return found


def _work(given: dict[str, Any]) -> None:
    """One worker: the first makes what is asked for, and puts on record how that ended."""
    import torch.distributed as dist

    world = World(dist.get_rank(), dist.get_world_size())
    if world.rank:
        follow(world)
        return
    try:
        with dismissing(world):
            ended = given["make"](world)
    except WorkerLostError:
        raise  # for Ray to start all again
    except CharterError as error:  # Ray would start all again, to the same end
        ended = {"error": str(error), "exit_code": error.exit_code}
    write_json(Path(given["told"]), ended)
