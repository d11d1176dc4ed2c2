"""The forward pass of a model: padding-free where its architecture is known, transformers' own elsewhere.

A task calls either as it would call the model: `forward(**batch.inputs).logits`. What comes out is the same (up to the
order of floating-point sums), and so are the gradients; only less is computed.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from charter.models.encoders import ENCODERS, Dropping, Encoder, Tokens
from charter.models.heads import HEADS, Head
from charter.models.packing import Packing

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Output:
    """logits: (batch, classes), or (batch, length, classes) with zeros where there was padding."""

    logits: "Tensor"

    @property
    def start_logits(self) -> "Tensor":
        """(batch, length): where an answer starts."""
        return self.logits[..., 0]

    @property
    def end_logits(self) -> "Tensor":
        """(batch, length): where it ends."""
        return self.logits[..., 1]


def forward_of(model: Any, *, economies: bool = False) -> Any:
    """How to call this model: padding-free where its architecture is known, else the model itself.

    model: a transformers model with a head, or peft's wrapper of one. Its own modules are called, in whatever mode
        (training or not), precision and device they are.
    economies: no dropout of attention weights, and coarser masks for the rest (see `charter.models.dropout`).
    """
    from charter.models.dropout import coarse

    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    encoder, head = ENCODERS.get(_known(getattr(plain, "base_model", None))), HEADS.get(_known(plain))
    if encoder is None or head is None or not _is_packable(plain.config):
        return model
    drop = coarse if economies else _as_it_is
    return partial(_packed, plain, encoder, head, Dropping(drop, attention=not economies))


def _known(model: Any) -> str:
    """The name of transformers' own class; nothing for one that only is called so."""
    kind = type(model)
    return kind.__name__ if kind.__module__.startswith("transformers.models.") else ""


def _is_packable(config: Any) -> bool:
    decoder = getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False)
    pooling = getattr(config, "classifier_pooling", "cls")
    return not decoder and pooling == "cls"


def _as_it_is(module: Any, hidden: "Tensor") -> "Tensor":
    return module(hidden)  # type: ignore[no-any-return]


def _packed(
    model: Any,
    encoder: Encoder,
    head: Head,
    dropping: Dropping,
    *,
    input_ids: "Tensor",
    attention_mask: "Tensor",
    token_type_ids: "Tensor | None" = None,
) -> Output:
    packing = Packing.of(attention_mask)
    tokens = Tokens(
        ids=packing.pack(input_ids),
        types=None if token_type_ids is None else packing.pack(token_type_ids),
        packing=packing,
        first_only=head.first_only,
    )
    logits = head.logits(model, encoder(model.base_model, tokens, dropping))
    return Output(packing.in_rows(logits) if head.first_only else packing.unpack(logits))


def logits_at(model: Any, inputs: Any, where: "Tensor") -> "Tensor":
    """(positions, classes) what a model says at the places where `where` (batch, length) is true, row by row."""
    logits: Tensor = model(**inputs).logits[where]
    return logits
