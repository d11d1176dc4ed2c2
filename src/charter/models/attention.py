"""Attention within packed sequences: each token attends to the tokens of its own sequence only."""

from typing import TYPE_CHECKING

from charter.models.packing import Packing

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def attend(
    query: "Tensor",
    key: "Tensor",
    value: "Tensor",
    packing: Packing,
    *,
    dropout: float,
    window: int | None = None,
    causal: bool = False,
) -> "Tensor":
    """Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1) inside each packed sequence.

    query: (tokens, heads, width), or (sequences, heads, width) where only the first token of each asks.
    key, value: (tokens, heads, width).
    dropout: of the attention weights; 0 outside training.
    window: tokens further apart than this don't see each other; None: all do.
    causal: a token sees itself and those before it only.

    Returns the same shape as query.
    """
    if query.is_cuda:
        return _on_cuda(query, key, value, packing, dropout, window, causal)
    return _by_length(query, key, value, packing, dropout, window, causal)


def _by_length(
    query: "Tensor",
    key: "Tensor",
    value: "Tensor",
    packing: Packing,
    dropout: float,
    window: int | None,
    causal: bool = False,
) -> "Tensor":
    """Sequences of one length at a time: neither padding nor a mask, and no weight is drawn for what isn't there."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    each = 1 if len(query) != len(key) else None
    found = []
    parts = zip(packing.split(query, each=each), packing.split(key), packing.split(value), strict=True)
    for part in parts:
        q, k, v = (one.transpose(1, 2) for one in part)
        mask = _band(q.shape[2], k.shape[2], window, q.device)
        out = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=causal)
        found.append(out.transpose(1, 2).flatten(0, 1))
    return torch.cat(found)


def _band(queries: int, keys: int, window: int | None, device: "torch.device") -> "Tensor | None":
    """True where a query sees a key; None where all do."""
    import torch

    if window is None or keys - 1 <= window:
        return None
    apart = torch.arange(queries, device=device)[:, None] - torch.arange(keys, device=device)[None]
    return apart.abs() <= window


def _on_cuda(
    query: "Tensor",
    key: "Tensor",
    value: "Tensor",
    packing: Packing,
    dropout: float,
    window: int | None,
    causal: bool = False,
) -> "Tensor":
    """FlashAttention over sequences of any length where it can (half precision, no dropout), else padded."""
    import torch

    halved = query.dtype in (torch.float16, torch.bfloat16)
    if halved and dropout == 0 and torch.cuda.get_device_capability(query.device)[0] >= 8:
        return _varlen(query, key, value, packing, window, causal)
    return _padded(query, key, value, packing, dropout, window, causal)


def _varlen(
    query: "Tensor", key: "Tensor", value: "Tensor", packing: Packing, window: int | None, causal: bool
) -> "Tensor":
    import torch
    from torch.nn.attention.varlen import varlen_attn

    longest = packing.runs[-1].length
    total = packing.first.new_tensor([len(key)])
    keys = torch.cat([packing.first, total]).int()
    first_only = len(query) != len(key)
    asks = torch.arange(len(query) + 1, device=query.device, dtype=torch.int32) if first_only else keys
    far = -1 if window is None else window
    reach = (far, 0 if causal else far)
    return torch.as_tensor(
        varlen_attn(query, key, value, asks, keys, 1 if first_only else longest, longest, window_size=reach)
    )


def _padded(
    query: "Tensor",
    key: "Tensor",
    value: "Tensor",
    packing: Packing,
    dropout: float,
    window: int | None,
    causal: bool = False,
) -> "Tensor":
    """Padding inside attention only: one call for all sequences."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    first_only = len(query) != len(key)
    real = packing.unpack(torch.ones(len(key), dtype=torch.bool, device=key.device))
    mask = real[:, None, None, :]
    if causal:
        mask = mask & torch.ones(real.shape[1], real.shape[1], dtype=torch.bool, device=key.device).tril()
    q = (packing.in_rows(query).unsqueeze(1) if first_only else packing.unpack(query)).transpose(1, 2)
    k, v = packing.unpack(key).transpose(1, 2), packing.unpack(value).transpose(1, 2)
    if window is not None:
        at = torch.arange(real.shape[1], device=key.device)
        asking = real.int().argmax(dim=1)[:, None] if first_only else at[None]
        mask = mask & ((asking[:, :, None] - at).abs() <= window)[:, None]
        if (
            not first_only
        ):  # padding sees all: a query that sees nothing gives NaN, and NaN gradients to every key
            mask = mask | ~real[:, None, :, None]
    out = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout).transpose(1, 2)
    return out[:, 0].index_select(0, packing.rows) if first_only else packing.pack(out)
