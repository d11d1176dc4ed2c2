"""Fold a temperature into a model's last layer, so that its own softmax gives the calibrated probabilities."""

from typing import TYPE_CHECKING

from charter.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def fold_temperature(model: "PreTrainedModel", temperature: float) -> None:
    """Divide the logits by `temperature` by dividing the weights of the layer that gives them.

    Raises:
        ModelError: the last layer of this architecture is not known, so nothing was changed.
    """
    import torch
    from torch import nn

    if temperature == 1.0:
        return
    wanted = model.config.num_labels
    layers = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and module.out_features == wanted
        and not name.startswith(f"{model.base_model_prefix}.")
    ]
    if not layers:
        raise ModelError(
            f"{type(model).__name__}: its last layer is not a linear one; its logits can't be calibrated"
        )
    with torch.no_grad():
        layers[-1].weight.div_(temperature)
        if layers[-1].bias is not None:
            layers[-1].bias.div_(temperature)
