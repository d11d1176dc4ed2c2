"""Exporter of LoRA as peft's own folder: what was learned beside a base, without the base's weights.

    adapter_model.safetensors     the added matrices, and the head (`modules_to_save`)
    adapter_config.json           peft's own, with the base's reference
    config.json, tokenizer ...    as transformers has them; no weights
    charter_base.json             the base's reference, revision and digest, and where the head's last layer is

It opens by `PeftModel.from_pretrained` on the plain base, and answers as the merged model. Charter opens it on the very base
that it was learned on, told by its digest: on another one the same numbers mean something else.
"""

import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from charter.errors import MissingExtraError, ModelError
from charter.models.exports import Exportable, Exporter, save_settings
from charter.models.folders import loading
from charter.runs.files import read_json, write_json

if TYPE_CHECKING:
    from charter.models.base import Base
    from charter.tasks.task import Task

WEIGHTS, CONFIG, BASE = "adapter_model.safetensors", "adapter_config.json", "charter_base.json"
_INSIDE = "base_model.model."
"""What peft puts before the names of the model that it wraps."""


class _Standing(BaseModel):
    """What an adapter stands on. last_layer: the name of the head's last layer, where it is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: Annotated[str, Field(min_length=1)]
    revision: str | None
    digest: Annotated[str, Field(min_length=1)]
    last_layer: str | None


def peft() -> Exporter:
    """LoRA's matrices and the head, as a peft adapter beside its base: a hundredth of the size; computed by torch."""

    def export(given: Exportable, folder: Path) -> dict[str, Any]:
        from charter.models.parity import check_parity, named_outputs

        if given.adapter is None or given.base is None:
            raise ModelError(
                "format 'peft' is what model.adapt lora adds to a base; write model: {adapt: {use: lora}}, or take it out"
            )
        save_settings(given.model, given.tokenizer, folder)
        (folder / WEIGHTS).write_bytes((given.adapter / WEIGHTS).read_bytes())
        standing = _Standing(
            reference=given.base.reference,
            revision=given.revision,
            digest=given.base.digest,
            last_layer=_last_layer_name(given.model),
        )
        write_json(folder / BASE, standing.model_dump())
        config = read_json(given.adapter / CONFIG)
        write_json(
            folder / CONFIG,
            {**config, "base_model_name_or_path": standing.reference, "revision": standing.revision},
        )
        model = _opened(folder, given.task, [given.base.folder])
        parity = check_parity(
            lambda **inputs: SimpleNamespace(**named_outputs(model, inputs)), given, what="an adapter"
        )
        return {
            "parity": parity.as_json(),
            "base": standing.model_dump(include={"reference", "revision", "digest"}),
        }

    def open_(folder: Path, task: "Task", threads: int | None) -> Any:
        return open_on(folder, task, threads, ())

    def open_on(folder: Path, task: "Task", threads: int | None, places: Sequence[Path]) -> Any:
        import torch

        from charter.models.engines.torch import readied

        if threads is not None:
            torch.set_num_threads(threads)
        return readied(_opened(folder, task, places))

    return Exporter(export, open_, _fold, libraries=("peft",), open_on=open_on, check_base=_check_base)


def _check_base(base: "Base", task: "Task") -> None:
    """A part of the base that is new, because its files lack it, would be neither in the base nor in the adapter.

    Raises:
        ModelError: there is such a part, as the pooler of a BERT that was pre-trained without one.
    """
    import transformers

    from charter.models.base import quiet

    with quiet(), loading(f"model.base '{base.reference}'"):
        model, info = getattr(transformers, task.head.auto_model).from_pretrained(
            base.folder,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    lacking = sorted(one for one in info["missing_keys"] if one.startswith(f"{model.base_model_prefix}."))
    if lacking:
        raise ModelError(
            f"format 'peft': the files of the base '{base.reference}' lack {lacking[0]}, which a {type(model).__name__} reads; it is "
            "made new, and an adapter does not hold it. Take this format out of release.formats"
        )


def _opened(folder: Path, task: "Task", places: Sequence[Path]) -> Any:
    """The adapter on its base, merged: a transformers model that is ready to answer.

    Raises:
        ModelError: its files can't be read, its base is not found, or is another one.
    """
    import peft as library

    from charter.models.base import attach, check_labels, quiet

    check_labels(folder, task)
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder} has no {WEIGHTS}")
    base = _base_of(_standing(folder), places)
    model = attach(base, task, seed=0, max_length=1)
    with quiet(), loading(f"the adapter in {folder}"), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
        model = library.PeftModel.from_pretrained(model, folder).merge_and_unload()
    return model.eval()


def _standing(folder: Path) -> _Standing:
    try:
        return _Standing.model_validate(read_json(folder / BASE))
    except (OSError, ValueError, ValidationError):
        raise ModelError(f"{folder / BASE} can't be read: it was changed or cut off") from None


def _base_of(standing: _Standing, places: Sequence[Path]) -> "Base":
    """The base that an adapter stands on: in one of the places, or where its reference leads from them.

    Raises:
        ModelError: it is not found, or every one that is found is another.
    """
    others, reasons = False, [""]
    for base in _candidates(standing, places, reasons):
        if base.digest == standing.digest:
            return base
        others = True
    said = f"format 'peft' stands on the base '{standing.reference}'"
    if others:
        raise ModelError(
            f"{said}, and what is found there is another one (its files have another digest than {standing.digest[:16]}): an "
            "adapter on another base gives other answers. Get the base as it was, or take another of the bundle's formats"
        )
    because = f" ({reasons[-1]})" if reasons[-1] else ""
    raise ModelError(
        f"{said}, which is not found here{because}. Put it there, or take another of the bundle's formats"
    )


def _candidates(standing: _Standing, places: Sequence[Path], reasons: list[str]) -> "Iterator[Base]":
    """Bases that may be the one, the nearest first; `reasons` gets why there is none at a place."""
    from charter.models.base import find_base

    asked: list[tuple[str, str | None, Path]]
    asked = [(str(place), None, place) for place in places if (place / "config.json").is_file()]
    asked += [(standing.reference, standing.revision, place) for place in (*places, Path())]
    for reference, revision, place in asked:
        try:
            yield find_base(reference, revision, place)
        except (ModelError, MissingExtraError) as error:
            reasons.append(str(error).splitlines()[0])


def _last_layer_name(model: Any) -> str | None:
    """The name of the layer that gives the logits, where dividing it is seen to divide them."""
    from charter.models.folding import fold_scale, last_layer

    layer = last_layer(model)
    if layer is None or not fold_scale(model, 0.5, 0.0):
        return None
    fold_scale(model, 2.0, 0.0)  # halves and doubles are exact
    return next((str(name) for name, module in model.named_modules() if module is layer), None)


def _fold(folder: Path, task: "Task", temperature: float) -> None:
    """Divide the head's last layer by a temperature, in the file."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    del task
    if temperature == 1.0:
        return
    name = _standing(folder).last_layer
    tensors = load_file(folder / WEIGHTS)
    own = [f"{_INSIDE}{name}.{part}" for part in ("weight", "bias") if f"{_INSIDE}{name}.{part}" in tensors]
    if name is None or not own:
        raise ModelError(
            "format 'peft': the head's last layer is not a linear one that is known, so its logits can't be calibrated; leave "
            "the calibration audit out, or this format"
        )
    for one in own:
        tensors[one] = tensors[one] / temperature
    with safe_open(folder / WEIGHTS, framework="pt") as kept:
        metadata = kept.metadata()
    save_file(tensors, folder / WEIGHTS, metadata=metadata)


def save_adapter(model: Any, folder: Path) -> None:
    """Write what peft added to a model: the same bytes for the same weights, and nothing of where its base lay."""
    with loading("the adapter"):
        model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    for key, value in config.items():  # sets, in the order of their hashes
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            config[key] = sorted(value)
    write_json(folder / CONFIG, {**config, "base_model_name_or_path": ""})
