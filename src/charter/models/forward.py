"""The forward pass of a model: padding-free where its architecture is known, transformers' own elsewhere.

A task calls either as it would call the model: `forward(**batch.inputs).logits`. What comes out is the same (up to the
order of floating-point sums), and so are the gradients; only less is computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from charter.errors import ModelError
from charter.models.attention import attend
from charter.models.encoders import ENCODERS, Dropping, Encoder, Through, Tokens, at_once
from charter.models.heads import HEADS, Head
from charter.models.layers import checkpoint_layers, through_of, uncompiled
from charter.models.ownership import listener, tell
from charter.models.packing import Packing
from charter.models.sharded import METHOD, is_sharded, kind_of, through_shards
from charter.models.vocabulary import Words, is_plain

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Output:
    """logits: (batch, classes), or (batch, length, classes) with zeros where there was padding or nothing was read.

    Of a base without a head they are its last hidden states.
    """

    logits: "Tensor"

    @property
    def last_hidden_state(self) -> "Tensor":
        """(batch, length, width): what a base without a head gives."""
        return self.logits

    @property
    def start_logits(self) -> "Tensor":
        """(batch, length): where an answer starts."""
        return self.logits[..., 0]

    @property
    def end_logits(self) -> "Tensor":
        """(batch, length): where it ends."""
        return self.logits[..., 1]


def forward_of(
    model: Any, *, economies: bool = False, checkpointing: bool = False, compiled: bool = False
) -> Any:
    """How to call this model: padding-free where its architecture is known, else the model itself.

    model: a transformers model with a head, or peft's wrapper of one. Its own modules are called, in whatever mode
        (training or not), precision and device they are.
    economies: no dropout of attention weights, and coarser masks for the rest (see `charter.models.dropout`).
    checkpointing, compiled: see `charter.models.layers.through_of`.

    Raises:
        ModelError: the architecture can't be checkpointed, or compiled.
        TrainingError: this machine can't compile.
    """
    from charter.models.dropout import coarse

    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    encoder, head = ENCODERS.get(_known(getattr(plain, "base_model", None))), HEADS.get(_known(plain))
    if encoder is None or head is None or not _is_packable(plain.config, head):
        if compiled:
            raise ModelError(
                f"training.compile: {type(plain).__name__} is not run padding-free (see docs/training.md), and only such "
                "models are compiled; remove it"
            )
        if checkpointing:
            checkpoint_layers(model)
        return model
    drop = coarse if economies else _as_it_is
    through = through_of(checkpointing=checkpointing, compiled=compiled)
    if is_sharded(plain):
        through = through_shards(through)
    attention = uncompiled(attend) if compiled else attend
    return PackedForward(plain, encoder, head, Dropping(drop, not economies, attention), through)


def read_at(forward: Any, inputs: "Mapping[str, Tensor]", read: "Tensor | None") -> Any:
    """What a model, a graph or a forward pass says to inputs, of which only some positions are read.

    read: (batch, length) true where the output is read; None: everywhere. A padding-free pass computes its last layer for
        those alone and gives zeros elsewhere; every other one computes all.
    """
    if read is None or not isinstance(forward, PackedForward):
        return forward(**inputs)
    return forward(**inputs, read=read)


def logits_at(forward: Any, inputs: "Mapping[str, Tensor]", where: "Tensor") -> "Tensor":
    """(positions, outputs) what a model or a forward pass says where `where` (batch, length) is true, row by row.

    A padding-free pass computes its last layer and its head for those positions alone.
    """
    return words_at(forward, inputs, where).logits()


def words_at(forward: Any, inputs: "Mapping[str, Tensor]", where: "Tensor") -> Words:
    """As `logits_at`, before the logits of a language model are computed where its last layer is known."""
    if isinstance(forward, PackedForward):
        return forward.at(where, **inputs)
    return Words(_said(forward(**inputs), "logits", "prediction_logits")[where])


@dataclass(frozen=True)
class PairOutput:
    """What a model with heads for words and for pairs says: of the words at some positions, and (batch, 2) of each pair."""

    words: Words
    pairs: "Tensor"


def pairs_at(forward: Any, inputs: "Mapping[str, Tensor]", where: "Tensor") -> PairOutput:
    """As `words_at`, with what it says of each sequence's pair; the first token of a sequence is never in `where`."""
    if isinstance(forward, PackedForward):
        return forward.with_pairs(where, **inputs)
    told = forward(**inputs)
    pairs = _said(told, "seq_relationship_logits", "sop_logits")
    return PairOutput(Words(_said(told, "prediction_logits")[where]), pairs)


def _said(told: Any, *names: str) -> "Tensor":
    """The output of a model, or of a graph of it, that has one of these names."""
    found: Tensor = next(one for name in names if (one := getattr(told, name, None)) is not None)
    return found


def _known(model: Any) -> str:
    """The name of transformers' own class; nothing for one that only is called so."""
    kind = kind_of(model)
    return kind.__name__ if kind.__module__.startswith("transformers.models.") else ""


_UNUSUAL = ("scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn")
"""What GPT-2's attention may be told to do, and packed attention does not."""


def _is_packable(config: Any, head: Head) -> bool:
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        return False
    if any(getattr(config, name, False) for name in _UNUSUAL) or not getattr(
        config, "scale_attn_weights", True
    ):
        return False
    if head.last and config.pad_token_id is None:
        return False
    known = getattr(config, "classifier_pooling", "cls") in ("cls", "mean")
    return not head.one_each or head.last or (known and getattr(config, "summary_type", "first") == "first")


def _averages(config: Any) -> bool:
    """Whether a head of one output each reads the mean of the hidden states, as ModernBERT's may."""
    return getattr(config, "classifier_pooling", "cls") == "mean"


def _as_it_is(module: Any, hidden: "Tensor") -> "Tensor":
    return module(hidden)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class PackedForward:
    """A model's forward pass without padding, through its own modules."""

    model: Any
    encoder: Encoder
    head: Head
    dropping: Dropping
    through: Through = at_once

    def __call__(
        self,
        *,
        input_ids: "Tensor",
        attention_mask: "Tensor",
        token_type_ids: "Tensor | None" = None,
        read: "Tensor | None" = None,
    ) -> Output:
        """As the model: inputs (batch, length), or (batch, choices, length) of one that chooses. read: see `read_at`."""
        ids, mask = input_ids.flatten(0, -2), attention_mask.flatten(0, -2)
        packing = Packing.of(mask)
        means = self.head.one_each and _averages(self.model.config)
        if self.head.one_each:
            reads = None if means else self._ends(ids, mask, packing) if self.head.last else packing.first
        else:
            reads = None if read is None else packing.pack(read).nonzero().flatten()
        types = None if token_type_ids is None else packing.pack(token_type_ids.flatten(0, -2))
        tokens = Tokens(packing.pack(ids), types, ids, packing, reads)
        hidden = self._encoded(tokens)
        if means:
            hidden = packing.mean(hidden)
            tell(lambda: packing.rows)
        logits = self.head.logits(self.model, hidden)
        if not self.head.one_each:
            return Output(packing.unpack(logits, at=reads))
        in_rows = packing.in_rows(logits)
        return Output(in_rows if input_ids.ndim == 2 else in_rows.view(input_ids.shape[:-1]))

    def _encoded(self, tokens: Tokens) -> "Tensor":
        """(read positions, width) the encoder's last hidden states."""
        tell(tokens.sequences)
        given = (self.model.base_model, tokens, self.dropping, self.through)
        if not is_sharded(self.model):
            return self.encoder(*given)
        # the model's own method, before which torch gathers embeddings and head
        hidden: Tensor = getattr(self.model, METHOD)(self.encoder, *given)
        return hidden

    def _ends(self, ids: "Tensor", mask: "Tensor", packing: Packing) -> "Tensor":
        """(batch,) the last token of each packed sequence that is no padding token; its first where all are."""
        import torch

        rows, there = ids[packing.rows], mask[packing.rows].long()
        real = there * (rows != self.model.config.pad_token_id)
        last = (torch.arange(rows.shape[1], device=rows.device) * real).argmax(dim=1, keepdim=True)
        before = there.cumsum(dim=1).gather(1, last).squeeze(1) - 1
        return packing.first + before.clamp(min=0)

    def at(
        self,
        where: "Tensor",
        *,
        input_ids: "Tensor",
        attention_mask: "Tensor",
        token_type_ids: "Tensor | None" = None,
    ) -> Words:
        """What is said at the places of `where` (batch, length), row by row; see `words_at`."""
        return self._words(self._states(where, input_ids, attention_mask, token_type_ids))

    def with_pairs(
        self,
        where: "Tensor",
        *,
        input_ids: "Tensor",
        attention_mask: "Tensor",
        token_type_ids: "Tensor | None" = None,
    ) -> PairOutput:
        """See `pairs_at`."""
        both = where.clone()
        both[:, 0] = True
        states = self._states(both, input_ids, attention_mask, token_type_ids)
        first = both.nonzero()[:, 1] == 0
        pooled = self.model.base_model.pooler(states[first][:, None])
        return PairOutput(self._words(states[~first]), self.model.cls.seq_relationship(pooled))

    def _states(
        self, where: "Tensor", ids: "Tensor", mask: "Tensor", token_types: "Tensor | None"
    ) -> "Tensor":
        """(positions, width) the encoder's last states where `where` is true, row by row."""
        packing = Packing.of(mask)
        read = packing.pack(where).nonzero().flatten()
        types = None if token_types is None else packing.pack(token_types)
        tokens = Tokens(packing.pack(ids), types, ids, packing, read)
        hidden = self._encoded(tokens)
        by_row = packing.tokens[read].argsort()
        tell(lambda: tokens.sequences()[read][by_row])
        return hidden.index_select(0, by_row)

    def _words(self, states: "Tensor") -> Words:
        """What is said of states (positions, width), before the last layer where that is known and plain."""
        words = None if self.head.words is None else self.head.words(self.model, states)
        if words is None or words.layer is None or not is_plain(words.layer) or listener() is not None:
            return Words(self.head.logits(self.model, states))
        return words
