"""Mean pooling inside a plain transformers classifier, and a head that starts from descriptions of its classes.

A text's vector is best the mean over its tokens (Reimers and Gurevych 2019, section 3); transformers' classifiers read the
first token. So one more layer of the model's own class is put on the base, with weights that are set and never learn: its
attention is equal on all tokens, its feed-forward part is nothing, and what it writes to the first token drowns what stood
there. The model stays one that transformers, every exporter and every engine know, and it is the one that is trained,
judged and released.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from charter.models.folding import last_layer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

LOUD = 1000.0
"""How much louder the mean over the tokens is than what the first token held: its share that is left is 1 / LOUD."""
SMALL = 0.05
"""The scale at which tanh hardly bends: of a value of 3 standard deviations it takes 0.7 %."""
GATE = 5.0
"""What is added before a GELU or ReLU, in standard deviations: values above -GATE pass as they are."""
SCALE = 20.0
"""Logits of a head that starts from descriptions are cosine similarities times this; a calibrated model is told better."""


@dataclass(frozen=True)
class _Family:
    """Where a model of this kind has its layers, and which linear layer stands between its base and its last layer."""

    layers: Callable[[Any], Any]
    parts: tuple[str, str, str, str, str, str]
    norms: tuple[str, str]
    count: str
    between: Callable[[Any], Any]
    holder: Callable[[Any], Any]
    scale: float
    shift: float


_BERT_PARTS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
_BERT_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")


def _bert_like(
    between: Callable[[Any], Any], holder: Callable[[Any], Any], scale: float, shift: float
) -> _Family:
    return _Family(
        lambda base: base.encoder.layer,
        _BERT_PARTS,
        _BERT_NORMS,
        "num_hidden_layers",
        between,
        holder,
        scale,
        shift,
    )


def _families() -> dict[str, _Family]:
    def dense(model: Any) -> Any:
        return model.classifier.dense

    tanh = _bert_like(dense, dense, SMALL, 0.0)
    return {
        "BertForSequenceClassification": _bert_like(
            lambda model: model.base_model.pooler.dense, lambda model: model.base_model.pooler, SMALL, 0.0
        ),
        **{f"{name}ForSequenceClassification": tanh for name in ("Roberta", "XLMRoberta", "Camembert")},
        "ElectraForSequenceClassification": _bert_like(dense, dense, 1.0, GATE),
        "DistilBertForSequenceClassification": _Family(
            lambda base: base.transformer.layer,
            (
                "attention.q_lin",
                "attention.k_lin",
                "attention.v_lin",
                "attention.out_lin",
                "ffn.lin1",
                "ffn.lin2",
            ),
            ("sa_layer_norm", "output_layer_norm"),
            "n_layers",
            lambda model: model.pre_classifier,
            lambda model: model.pre_classifier,
            1.0,
            GATE,
        ),
    }


FAMILIES: Mapping[str, _Family] = MappingProxyType(_families())
"""transformers' class of a classifier -> how the mean is put into it."""
SET = "_charter_set"
"""The mark of modules whose weights are set and never learn."""


def pools_mean(model: Any) -> bool:
    """Whether the vectors of a model's architecture, or of what peft wraps, can be made means over all tokens."""
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    return type(model).__name__ in FAMILIES or _is_modernbert(model)


def _is_modernbert(model: "PreTrainedModel") -> bool:
    return type(model).__name__ == "ModernBertForSequenceClassification"


def pool_mean(model: "PreTrainedModel") -> None:
    """Make the last layer of a classifier read the mean over a text's tokens, normalised to mean 0 and variance 1.

    Up to a scale (SMALL) and a shift (GATE) of all dimensions, and to about 1 % of it (the bend of tanh, 1 / LOUD of the
    first token). ModernBERT pools by itself; between its base and its last layer stands a GELU in its linear part, which
    bends by about 3 %. A model of another architecture is left as it is: its last layer reads what transformers lets it read.
    """
    import torch

    family = FAMILIES.get(type(model).__name__)
    with torch.no_grad():
        if family is not None:
            _add_layer(model, family)
            _pass_on(family.between(model), family.scale, family.shift)
            setattr(family.holder(model), SET, True)
        elif _is_modernbert(model):
            model.config.classifier_pooling = "mean"
            _pass_on(model.head.dense, SMALL, 0.0)
            setattr(model.head, SET, True)


def _add_layer(model: "PreTrainedModel", family: _Family) -> None:
    layers = family.layers(model.base_model)
    layer = copy.deepcopy(layers[-1])
    query, key, value, out, inner, outer = (layer.get_submodule(name) for name in family.parts)
    for one in (query, key, inner, outer):  # equal attention; a feed-forward part that adds nothing
        _fill(one, 0.0)
    _fill(value, 1.0)
    _fill(out, LOUD)
    for name in family.norms:
        norm = layer.get_submodule(name)
        norm.weight.fill_(1.0)
        norm.bias.zero_()
    for part in layer.modules():
        if type(part).__name__ == "Dropout":
            part.p = 0.0
        if hasattr(part, "layer_idx"):
            part.layer_idx = len(layers)
    setattr(layer, SET, True)
    layers.append(layer)
    setattr(model.config, family.count, len(layers))


def _fill(linear: Any, diagonal: float) -> None:
    linear.weight.zero_()
    if diagonal:
        linear.weight.fill_diagonal_(diagonal)
    linear.bias.zero_()


def _pass_on(linear: Any, scale: float, shift: float) -> None:
    """Let a square linear layer pass on what it is given, scaled and shifted."""
    linear.weight.zero_().fill_diagonal_(scale)
    if linear.bias is not None:
        linear.bias.fill_(shift)


def keep_set(model: Any) -> None:
    """Keep what `pool_mean` set from learning, whatever an adapter has added beside it or copied of it."""
    for module in model.modules():
        if getattr(module, SET, False):
            module.requires_grad_(False)


def vectors_of(features: "Tensor") -> "Tensor":
    """What the last layer reads (n, width) as vectors of mean 0 and length 1, whose inner products are similarities.

    Taking the mean off makes a shift of all dimensions be nothing.
    """
    from torch.nn import functional as F

    return F.normalize(features - features.mean(dim=-1, keepdim=True), dim=-1)


def start_head(model: "PreTrainedModel", features: NDArray[np.float64]) -> None:
    """Let each class's logit be SCALE times the cosine similarity of a text's vector and the class's description's.

    features: (classes, width) what the last layer reads of the descriptions. Where no mean is pooled, the logits are that
    times how long a text's vector is beside theirs, so the nearest description wins all the same.
    """
    import torch

    layer = last_layer(model)
    assert layer is not None  # its features were read
    centred = torch.from_numpy(features - features.mean(axis=1, keepdims=True))
    with torch.no_grad():
        layer.weight.copy_(vectors_of(centred) * SCALE / centred.norm(dim=1).mean())
        if layer.bias is not None:
            layer.bias.zero_()
