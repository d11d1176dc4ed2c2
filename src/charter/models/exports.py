"""Exporters: the forms a trained model is released in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Exporter:
    """export: (model, tokenizer, folder) -> None; the folder then opens in transformers."""

    export: Callable[["PreTrainedModel", Any, Path], None]


def safetensors() -> Exporter:
    """A folder in transformers' own layout, weights in safetensors."""

    def export(model: "PreTrainedModel", tokenizer: Any, folder: Path) -> None:
        from charter.models.base import quiet

        folder.mkdir(parents=True, exist_ok=True)
        model.config._name_or_path = ""  # where the base lay on this machine is nobody's business
        with quiet():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)

    return Exporter(export)
