"""Dropout with coarse masks: one random byte for each number instead of a word or more."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = 256


def coarse(module: Any, hidden: "Tensor") -> "Tensor":
    """Dropout as `module` does it, at the nearest rate that a byte can tell: 26/256 = 0.1016 for 0.1.

    What is kept is divided by the true share that is kept, so the expectation is exact.
    """
    rate = round(getattr(module, "p", 0.0) * LEVELS)
    if rate == 0 or not module.training:
        return module(hidden)  # type: ignore[no-any-return]
    return _function().apply(hidden, rate)  # type: ignore[no-any-return]


@cache
def _function() -> Any:
    import torch

    class CoarseDropout(torch.autograd.Function):
        """Keeps its mask as bytes."""

        @staticmethod
        def forward(ctx: Any, hidden: "Tensor", rate: int) -> "Tensor":
            count = hidden.numel()
            words = torch.empty(-(-count // 8), dtype=torch.int64, device=hidden.device)
            # from the lowest int64 to the highest: every byte is uniform
            drawn = words.random_(-(2**63), None).view(torch.uint8)[:count].view(hidden.shape)
            kept = drawn >= rate
            ctx.scale = LEVELS / (LEVELS - rate)
            ctx.save_for_backward(kept)
            return (hidden * kept).mul_(ctx.scale)

        @staticmethod
        def backward(ctx: Any, gradient: "Tensor") -> tuple["Tensor", None]:
            (kept,) = ctx.saved_tensors
            return (gradient * kept).mul_(ctx.scale), None

    return CoarseDropout
