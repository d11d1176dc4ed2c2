"""What holds on to an earlier model in training, as the charter asks and as its bundle allows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from charter import plugins
from charter.errors import ModelError
from charter.models.base import Base
from charter.models.folders import loading
from charter.pipeline.preparing import resolved
from charter.release.manifest import FISHER
from charter.runs.digest import file_digest
from charter.spec.model import Charter
from charter.spec.use import Use
from charter.tasks.objective import Objective
from charter.training.retention import Earlier, Retention


def held(charter: Charter, base: Base, objective: Objective | None, earlier: Earlier) -> Objective | None:
    """The objective (None: the task's own loss) with what holds on to the earlier model, where the charter names something.

    Raises:
        ModelError: the earlier bundle does not carry what that needs, or none of its weights learns.
    """
    keep = None if charter.continual is None else charter.continual.keep
    if keep is None:
        return objective
    retention: Retention = plugins.make("retention", keep.use, keep.options)
    check_fisher(keep, base.folder)
    if retention.needs_fisher:
        from safetensors.torch import load_file

        with loading(str(base.folder / FISHER)):
            earlier = replace(earlier, fisher=load_file(base.folder / FISHER))
    return retention.around(objective or earlier.task, earlier)


def check_fisher(keep: Use, bundle: Path) -> None:
    """Raise a ModelError where what holds on needs the Fisher information and the bundle does not carry it."""
    retention: Retention = plugins.make("retention", keep.use, keep.options)
    if retention.needs_fisher and not (bundle / FISHER).is_file():
        raise ModelError(
            f"continual.keep {keep.use}: the earlier bundle does not carry its Fisher information; its charter has to ask for "
            "it (continual: {fisher: 500}). Take keep: {use: lwf}, or replay, which need none"
        )


def held_options(charter: Charter, base: Base) -> dict[str, Any]:
    """What of an earlier model goes on and what holds on to it, as a trained model's key has it; nothing where none does."""
    if not base.head:
        return {}
    keep = None if charter.continual is None else charter.continual.keep
    options = resolved((keep,), "retention")[0] if keep is not None else None
    fisher = _fisher(base) if options is not None and options["use"] == "ewc" else None
    return {
        "head": list(base.head),
        "keep": options,
        "fisher": "" if fisher is None else file_digest(fisher),
    }


def _fisher(base: Base) -> Path | None:
    """The Fisher information that the bundle which a base is carries; None where it carries none."""
    place = base.folder / FISHER
    return place if place.is_file() else None
