"""The tokens that a causal model adds to a text, one by one, as a generator: whoever reads it may stop at any of them.

The model is transformers' own with its cache of keys and values, and what shapes its probabilities are transformers' own
warpers, so greedy and sampled tokens are those of `model.generate`.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Generator, Tensor

Warp = Callable[["Tensor"], "Tensor"]
CACHES = ("cache", "past_key_values")
"""What transformers calls the keys and values that are kept: now, and in releases before."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    temperature: what logits are divided by; 0 takes the likeliest token, always. top_p: only the likeliest tokens whose
    probabilities add up to it are drawn from (nucleus sampling, Holtzman et al. 2020, section 3.1); 1: all.
    banned: tokens that are never chosen, since they are no text.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    banned: tuple[int, ...] = ()


def tokens_after(
    model: Any, ids: Sequence[int], *, window: int, sampling: Sampling, seed: int
) -> Iterator[int]:
    """The tokens after `ids`, without end.

    The model reads at most `window` tokens at once. Of longer `ids` it reads the last ones. When the window is full it slides:
    the last half of it is read anew, as the beginning of the next one, and so on.
    seed: what is drawn depends on it and on nothing else.
    """
    import torch

    device = next(model.parameters()).device
    generator = torch.Generator(device=device).manual_seed(seed)
    warp, step = _warp(sampling), _step(model)
    context = list(ids)[-window:]
    unread, cache, held = context, None, 0
    while True:
        with torch.inference_mode():
            told = step(torch.tensor([unread], device=device), cache, held)
            token = _chosen(told.logits[:, -1], warp, sampling, generator)
        yield token
        held += len(unread)
        context.append(token)
        cache = _kept(told)
        if held + 1 > window:
            context = context[-max(window // 2, 1) :]
            cache = None
        if cache is None:  # a new window, or an architecture that keeps nothing
            unread, held = list(context), 0
        else:
            unread = [token]


def _step(model: Any) -> Callable[["Tensor", Any, int], Any]:
    """One pass over new tokens, given what was kept of those before and how many these are; gives the last one's logits."""
    import torch

    known = inspect.signature(type(model).forward).parameters
    last = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
    name = CACHES[0] if CACHES[0] in known else CACHES[1]

    def step(ids: "Tensor", cache: Any, held: int) -> Any:
        kept = {} if cache is None else {name: cache}
        seen = torch.ones(1, held + ids.shape[1], dtype=torch.long, device=ids.device)
        return model(input_ids=ids, attention_mask=seen, use_cache=True, **kept, **last)

    return step


def _kept(told: Any) -> Any:
    """What a pass keeps of what it has read; None of an architecture that keeps nothing."""
    return next((one for name in CACHES if (one := getattr(told, name, None)) is not None), None)


def _warp(sampling: Sampling) -> Warp:
    """What becomes of logits before a token is drawn."""
    import torch
    from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper

    warpers = []
    if sampling.temperature not in (0, 1):
        warpers.append(TemperatureLogitsWarper(float(sampling.temperature)))
    if sampling.temperature and sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(float(sampling.top_p)))
    banned = torch.tensor(sampling.banned, dtype=torch.long)

    def warp(logits: "Tensor") -> "Tensor":
        scores = logits.float().index_fill(1, banned.to(logits.device), float("-inf"))
        for warper in warpers:
            scores = warper(None, scores)
        return scores

    return warp


def _chosen(logits: "Tensor", warp: Warp, sampling: Sampling, generator: "Generator") -> int:
    import torch

    scores = warp(logits)
    if not sampling.temperature:
        return int(scores.argmax(dim=-1))
    return int(torch.multinomial(scores.softmax(dim=-1), 1, generator=generator))
