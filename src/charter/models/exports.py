"""Exporters: the forms a trained model is released in, each opened by an engine of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charter.errors import MissingExtraError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from charter.data.batch import Examples
    from charter.models.base import Base
    from charter.tasks.task import Task


@dataclass(frozen=True)
class Exportable:
    """A trained model as it is handed to an exporter: in torch, on the CPU, not calibrated.

    examples: a seeded sample of the training rows, encoded without targets; real inputs for tracing, for parity checks
    and for an integer form to fit its ranges on. Held-out rows are never among them.
    base, revision, adapter: what it was made from, as the charter names it, and the folder of what was learned beside it; None
    where nothing was.
    """

    model: "PreTrainedModel"
    tokenizer: Any
    task: "Task"
    examples: "Examples"
    max_length: int
    seed: int
    base: "Base | None" = None
    revision: str | None = None
    adapter: Path | None = None


@dataclass(frozen=True)
class Exporter:
    """One form of release.

    export: writes the folder, uncalibrated, and says what it found out about it (JSON, for the provenance).
    open: (folder, task, threads) -> what the task calls as its model; threads None: as many as torch would use.
    fold: (folder, task, temperature) divides by it what the written form answers, in the file itself.
    reads_rows: whether training rows decide what is written (tracing and checking do not).
    libraries, extra: the distributions it needs, and the extra of Charter that brings them.
    open_on: of a form that is no whole model: as `open`, with the places where its base may lie.
    check_base: finds before any training what would keep a base from being one for it; raises ModelError.
    """

    export: Callable[[Exportable, Path], dict[str, Any]]
    open: Callable[[Path, "Task", int | None], Any]
    fold: Callable[[Path, "Task", float], None]
    reads_rows: bool = False
    libraries: tuple[str, ...] = ()
    extra: str = ""
    open_on: "Callable[[Path, Task, int | None, Sequence[Path]], Any] | None" = None
    check_base: "Callable[[Base, Task], None] | None" = None

    def opened(self, folder: Path, task: "Task", threads: int | None, places: Sequence[Path] = ()) -> Any:
        """What the task calls as its model. places: where the base may lie, of a form that needs one."""
        if self.open_on is None:
            return self.open(folder, task, threads)
        return self.open_on(folder, task, threads, places)


def check_installed(name: str, exporter: Exporter) -> None:
    """Check, without importing them, that an exporter's libraries are there.

    Raises:
        MissingExtraError: one is not.
    """
    if any(find_spec(library) is None for library in exporter.libraries):
        raise MissingExtraError(f"format '{name}'", exporter.extra)


def safetensors() -> Exporter:
    """Transformers' own layout, weights in safetensors: computed by torch, opened by plain transformers."""

    def export(given: Exportable, folder: Path) -> dict[str, Any]:
        save_model(given.model, given.tokenizer, folder)
        return {}

    def open_(folder: Path, task: "Task", threads: int | None) -> Any:
        from charter.models.engines.torch import open_torch

        return open_torch(folder, task, threads=threads)

    def fold(folder: Path, task: "Task", temperature: float) -> None:
        from charter.models.base import load_model, quiet
        from charter.models.folding import fold_temperature

        model = load_model(folder, task)
        fold_temperature(model, temperature)
        with quiet():
            _anonymous(model).save_pretrained(folder)

    return Exporter(export, open_, fold)


def save_model(model: "PreTrainedModel", tokenizer: Any, folder: Path) -> None:
    """Write a model in transformers' own layout: config, safetensors weights, tokenizer."""
    from charter.models.base import quiet

    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        _anonymous(model).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def save_settings(model: "PreTrainedModel", tokenizer: Any, folder: Path) -> None:
    """Write what a graph needs beside it: the config with its labels, and the tokenizer. No weights."""
    from charter.models.base import quiet

    folder.mkdir(parents=True, exist_ok=True)
    config = _anonymous(model).config
    config.architectures = [type(model).__name__]
    with quiet():
        config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _anonymous(model: "PreTrainedModel") -> "PreTrainedModel":
    model.config._name_or_path = ""  # where the base lay on this machine is nobody's business
    return model
