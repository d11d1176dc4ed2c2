"""Padding-free forward passes of the encoders that transformers has, through their own modules.

Every module of the model is called as it is (its weights, a LoRA beside them, a hook on it); only what is computed of a
batch differs: real tokens alone, and in the last layer only those positions that the head reads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from charter.models.attention import attend
from charter.models.ownership import tell
from charter.models.packing import Packing

if TYPE_CHECKING:
    from torch import Tensor

Drop = Callable[[Any, "Tensor"], "Tensor"]
"""(a dropout module, its input) -> its output."""


@dataclass(frozen=True)
class Tokens:
    """Packed tokens, and which of them the head reads.

    ids, types: (tokens,); types None: all 0. padded: (batch, length) the ids as they were.
    read: the packed tokens that the head reads, in order; None: all.
    """

    ids: "Tensor"
    types: "Tensor | None"
    padded: "Tensor"
    packing: Packing
    read: "Tensor | None"

    def of_read(self, hidden: "Tensor") -> "Tensor":
        """(tokens, ...) -> (read, ...): what of the last layer is computed."""
        if self.read is None:
            return hidden
        tell(lambda: self.sequences()[self.read])
        return hidden.index_select(0, self.read)

    def sequences(self) -> "Tensor":
        """(tokens,) the sequence of the batch that each packed token is of."""
        return self.packing.tokens // self.packing.shape[1]

    def asking(self, hidden: "Tensor") -> "Tensor":
        """What attends to the rest in the last layer: the first tokens where they alone are read, else all.

        Attention takes as many queries of each sequence; of any others it is cheap, beside what comes after it.
        """
        return self.of_read(hidden) if self._firsts else hidden

    def of_asking(self, seen: "Tensor") -> "Tensor":
        """What the asking tokens saw -> (read, ...)."""
        return seen if self._firsts else self.of_read(seen)

    @property
    def _firsts(self) -> bool:
        return self.read is self.packing.first

    def counted_from(self, padding: int) -> "Tensor":
        """(tokens,) positions as RoBERTa counts them: those of a row's tokens from `padding` + 1 on, padding tokens apart."""
        real = (self.padded != padding).long()
        return self.packing.pack(real.cumsum(1) * real + padding)


@dataclass(frozen=True)
class Dropping:
    """How dropout is done. drop: of hidden states. attention: whether attention weights are dropped at all.

    attend: what computes attention with them.
    """

    drop: Drop
    attention: bool
    attend: Callable[..., "Tensor"] = attend

    def rate(self, module: Any) -> float:
        """The rate at which attention weights are dropped."""
        return float(module.p) if self.attention and module.training else 0.0


Layer = Callable[..., "Tensor"]
"""(a layer's module, hidden states, tokens, how dropout is done, whether it is the last, ...) -> hidden states."""
Through = Callable[..., "Tensor"]
"""(what a layer does, its arguments ...) -> hidden states: how each layer is gone through, as `at_once` or in another way."""
Encoder = Callable[[Any, Tokens, Dropping, Through], "Tensor"]
"""(base model, tokens, how dropout is done, how layers are gone through) -> hidden states (read positions, width)."""


def at_once(layer: Layer, *given: Any) -> "Tensor":
    """What the layer does, and nothing else."""
    return layer(*given)


def _bert(base: Any, tokens: Tokens, dropping: Dropping, through: Through) -> "Tensor":
    """BERT and what is built like it (RoBERTa, XLM-RoBERTa, ELECTRA ...): post-norm blocks, learned positions."""
    hidden = _bert_embeddings(base, tokens, dropping)
    if hasattr(base, "embeddings_project"):
        hidden = base.embeddings_project(hidden)
    last = len(base.encoder.layer) - 1
    for number, layer in enumerate(base.encoder.layer):
        hidden = through(_bert_layer, layer, hidden, tokens, dropping, number == last)
    return hidden


def _bert_layer(layer: Any, hidden: "Tensor", tokens: Tokens, dropping: Dropping, last: bool) -> "Tensor":
    attention, heads = layer.attention.self, layer.attention.self.num_attention_heads
    asking = tokens.asking(hidden) if last else hidden
    q, k, v = (
        projection.unflatten(-1, (heads, -1))
        for projection in (attention.query(asking), attention.key(hidden), attention.value(hidden))
    )
    seen = dropping.attend(q, k, v, tokens.packing, dropout=dropping.rate(attention.dropout)).flatten(1)
    own = hidden
    if last:
        own, seen = tokens.of_read(hidden), tokens.of_asking(seen)
    after = layer.attention.output
    own = after.LayerNorm(own + dropping.drop(after.dropout, after.dense(seen)))
    out = layer.output
    return out.LayerNorm(own + dropping.drop(out.dropout, out.dense(layer.intermediate(own))))  # type: ignore[no-any-return]


def _bert_embeddings(base: Any, tokens: Tokens, dropping: Dropping) -> "Tensor":
    embeddings = base.embeddings
    padding = getattr(embeddings, "padding_idx", None)  # RoBERTa counts its positions from there on
    positions = tokens.packing.columns if padding is None else tokens.counted_from(padding)
    hidden = embeddings.word_embeddings(tokens.ids) + embeddings.position_embeddings(positions)
    types = embeddings.token_type_embeddings
    given = tokens.ids.new_zeros(len(tokens.ids)) if tokens.types is None else tokens.types
    hidden = hidden + types(given)
    return dropping.drop(embeddings.dropout, embeddings.LayerNorm(hidden))


def _distilbert(base: Any, tokens: Tokens, dropping: Dropping, through: Through) -> "Tensor":
    """DistilBERT: BERT's blocks under other names, no token types."""
    embeddings = base.embeddings
    hidden = embeddings.word_embeddings(tokens.ids) + embeddings.position_embeddings(tokens.packing.columns)
    hidden = dropping.drop(embeddings.dropout, embeddings.LayerNorm(hidden))
    last = len(base.transformer.layer) - 1
    for number, layer in enumerate(base.transformer.layer):
        hidden = through(_distilbert_layer, layer, hidden, tokens, dropping, number == last)
    return hidden


def _distilbert_layer(
    layer: Any, hidden: "Tensor", tokens: Tokens, dropping: Dropping, last: bool
) -> "Tensor":
    attention = layer.attention
    asking = tokens.asking(hidden) if last else hidden
    q, k, v = (
        projection.unflatten(-1, (attention.n_heads, -1))
        for projection in (attention.q_lin(asking), attention.k_lin(hidden), attention.v_lin(hidden))
    )
    seen = dropping.attend(q, k, v, tokens.packing, dropout=dropping.rate(attention.dropout)).flatten(1)
    own = hidden
    if last:
        own, seen = tokens.of_read(hidden), tokens.of_asking(seen)
    own = layer.sa_layer_norm(attention.out_lin(seen) + own)
    ffn = layer.ffn
    fed = dropping.drop(ffn.dropout, ffn.lin2(ffn.activation(ffn.lin1(own))))
    return layer.output_layer_norm(fed + own)  # type: ignore[no-any-return]


def _modernbert(base: Any, tokens: Tokens, dropping: Dropping, through: Through) -> "Tensor":
    """ModernBERT: pre-norm blocks, rotary positions, windows in most layers, gated feed-forward (Warner et al. 2024)."""
    embeddings = base.embeddings
    hidden = dropping.drop(embeddings.drop, embeddings.norm(embeddings.tok_embeddings(tokens.ids)))
    positions = tokens.packing.columns[None]
    turns = {kind: base.rotary_emb(hidden, positions, kind) for kind in set(base.config.layer_types)}
    last = len(base.layers) - 1
    for number, layer in enumerate(base.layers):
        window = None if layer.attn.sliding_window is None else base.config.sliding_window
        turn = turns[layer.attention_type]
        hidden = through(_modernbert_layer, layer, hidden, tokens, dropping, number == last, turn, window)
    normed: Tensor = base.final_norm(hidden)
    return normed


def _modernbert_layer(
    layer: Any,
    hidden: "Tensor",
    tokens: Tokens,
    dropping: Dropping,
    last: bool,
    turn: "tuple[Tensor, Tensor]",
    window: int | None,
) -> "Tensor":
    attention = layer.attn
    cos, sin = (one[0][:, None] for one in turn)
    qkv = attention.Wqkv(layer.attn_norm(hidden)).unflatten(-1, (3, -1, attention.head_dim))
    q, k, v = qkv.unbind(1)
    q, k = _turned(q, cos, sin), _turned(k, cos, sin)
    if last:
        q = tokens.asking(q)
    rate = attention.attention_dropout if dropping.attention and attention.training else 0.0
    seen = dropping.attend(q, k, v, tokens.packing, dropout=rate, window=window).flatten(1)
    if last:
        hidden, seen = tokens.of_read(hidden), tokens.of_asking(seen)
    hidden = hidden + dropping.drop(attention.out_drop, attention.Wo(seen))
    mlp = layer.mlp
    inner, gate = mlp.Wi(layer.mlp_norm(hidden)).chunk(2, dim=-1)
    return hidden + mlp.Wo(dropping.drop(mlp.drop, mlp.act(inner) * gate))  # type: ignore[no-any-return]


def _turned(one: "Tensor", cos: "Tensor", sin: "Tensor") -> "Tensor":
    """Rotary position embedding (Su et al. 2021) of (tokens, heads, width), computed in float32 at least."""
    import torch

    wide = one.to(torch.promote_types(one.dtype, torch.float32))
    left, right = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat((-right, left), dim=-1) * sin).to(one.dtype)


def _gpt2(base: Any, tokens: Tokens, dropping: Dropping, through: Through) -> "Tensor":
    """GPT-2: pre-norm blocks, learned positions, each token sees those before it (Radford et al. 2019)."""
    hidden = dropping.drop(base.drop, base.wte(tokens.ids) + base.wpe(tokens.packing.columns))
    last = len(base.h) - 1
    for number, block in enumerate(base.h):
        hidden = through(_gpt2_block, block, hidden, tokens, dropping, number == last)
    normed: Tensor = base.ln_f(hidden)
    return normed


def _gpt2_block(block: Any, hidden: "Tensor", tokens: Tokens, dropping: Dropping, last: bool) -> "Tensor":
    attention = block.attn
    q, k, v = (
        one.unflatten(-1, (attention.num_heads, -1))
        for one in attention.c_attn(block.ln_1(hidden)).chunk(3, dim=-1)
    )
    rate = dropping.rate(attention.attn_dropout)
    seen = dropping.attend(q, k, v, tokens.packing, dropout=rate, causal=True).flatten(1)
    if last:
        seen, hidden = tokens.of_read(seen), tokens.of_read(hidden)
    hidden = hidden + dropping.drop(attention.resid_dropout, attention.c_proj(seen))
    mlp = block.mlp
    fed = mlp.c_proj(mlp.act(mlp.c_fc(block.ln_2(hidden))))
    return hidden + dropping.drop(mlp.dropout, fed)


ENCODERS: Mapping[str, Encoder] = MappingProxyType(
    {
        "BertModel": _bert,
        "RobertaModel": _bert,
        "XLMRobertaModel": _bert,
        "CamembertModel": _bert,
        "ElectraModel": _bert,
        "DistilBertModel": _distilbert,
        "ModernBertModel": _modernbert,
        "GPT2Model": _gpt2,
    }
)
"""transformers' class of a base model -> its forward pass."""
