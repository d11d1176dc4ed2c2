"""Fold a temperature or a scale into a model's last layer, so that its own outputs need nothing more."""

from typing import TYPE_CHECKING, Any

from charter.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


def fold_temperature(model: "PreTrainedModel", temperature: float) -> None:
    """Divide the logits by `temperature` by dividing the weights of the layer that gives them.

    The model is asked before and after: what it answers must really be divided.

    Raises:
        ModelError: the last layer of this architecture is not known, so its logits can't be calibrated.
    """
    if temperature != 1.0 and not _fold(model, 1 / temperature, 0.0):
        raise ModelError(
            f"{type(model).__name__}: its last layer is not a linear one that is known; its logits can't be "
            "calibrated. Leave the calibration audit out, or use another base"
        )


def fold_scale(model: "PreTrainedModel", scale: float, shift: float) -> bool:
    """Make the model answer `scale` times what it answered, plus `shift`; False, and nothing changed, where it can't be."""
    return _fold(model, scale, shift)


def _fold(model: "PreTrainedModel", factor: float, shift: float) -> bool:
    """Change the last layer; where the model's answers don't follow, it is put back as it was."""
    import torch

    layer = last_layer(model)
    if layer is None or (shift and layer.bias is None):
        return False
    before = _logits(model)
    kept = {name: one.detach().clone() for name, one in layer.named_parameters()}
    with torch.no_grad():
        layer.weight.mul_(factor)
        if layer.bias is not None:
            layer.bias.mul_(factor).add_(shift)
    wanted = before * factor + shift
    if torch.allclose(_logits(model), wanted, rtol=1e-3, atol=1e-5 * max(1.0, abs(factor), abs(shift))):
        return True
    with torch.no_grad():
        for name, one in layer.named_parameters():
            one.copy_(kept[name])
    return False


def last_layer(model: Any) -> "nn.Linear | None":
    """The linear layer that gives the outputs of a model, or of peft's wrapper of one; None where it is not known."""
    from torch import nn

    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    layers = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and module.out_features == model.config.num_labels
        and not name.startswith(f"{model.base_model_prefix}.")
    ]
    return layers[-1] if layers else None


def _logits(model: "PreTrainedModel") -> "Tensor":
    """What the model says to three tokens."""
    import torch

    learning = model.training
    with torch.inference_mode():
        said = model.eval()(**_three_tokens(model))
        spans = "start_logits" in said
        logits = torch.stack([said.start_logits, said.end_logits]) if spans else said.logits
    model.train(learning)
    return logits.float().clone()


def _three_tokens(model: "PreTrainedModel") -> "dict[str, Tensor]":
    """Three tokens, or a choice of two such texts for a model that chooses."""
    import torch

    ids = torch.tensor([[1, 2, 3]], device=model.device)
    if type(model).__name__.endswith("ForMultipleChoice"):
        return {"input_ids": torch.stack([ids[0], ids[0].flip(0)])[None]}
    return {"input_ids": ids}
