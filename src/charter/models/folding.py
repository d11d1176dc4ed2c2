"""Fold a temperature into a model's last layer, so that its own softmax gives the calibrated probabilities."""

from typing import TYPE_CHECKING

from charter.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def fold_temperature(model: "PreTrainedModel", temperature: float) -> None:
    """Divide the logits by `temperature` by dividing the weights of the layer that gives them.

    The model is asked before and after: what it answers must really be divided.

    Raises:
        ModelError: the last layer of this architecture is not known, so its logits can't be calibrated.
    """
    import torch
    from torch import nn

    if temperature == 1.0:
        return
    layers = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and module.out_features == model.config.num_labels
        and not name.startswith(f"{model.base_model_prefix}.")
    ]
    before = _logits(model)
    with torch.no_grad():
        for layer in layers[-1:]:
            layer.weight.div_(temperature)
            if layer.bias is not None:
                layer.bias.div_(temperature)
    if not torch.allclose(_logits(model) * temperature, before, rtol=1e-3, atol=1e-5):
        raise ModelError(
            f"{type(model).__name__}: its last layer is not a linear one that is known; its logits can't be "
            "calibrated. Leave the calibration audit out, or use another base"
        )


def _logits(model: "PreTrainedModel") -> "Tensor":
    """What the model says to three tokens."""
    import torch

    learning = model.training
    with torch.inference_mode():
        logits = model.eval()(input_ids=torch.tensor([[1, 2, 3]], device=model.device)).logits.float().clone()
    model.train(learning)
    return torch.Tensor(logits)
