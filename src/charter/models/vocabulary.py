"""What a language model says of its whole vocabulary, and how surprised it is by the truth, without holding all of it at once.

The logits of 2,048 tokens over 50,000 words are 400 MB, and a loss holds three of such: logits, log-probabilities and their
gradient. Here they are made for some positions at a time, and each such part is done with (its gradient too) before the next.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

AT_ONCE = 2**24
"""So many logits are held at once (64 MB in float32) ..."""
FEWEST = 128
"""... but not of fewer positions than these: the matrix products of a part would be slow."""
ALIKE = 8
"""Upstream gradients that differ by no more than so many roundings from what was foretold are what was foretold."""


@dataclass(frozen=True)
class Surprise:
    """nats: (positions,) negative log-likelihood of the truth, float32 at least. found: (positions,) whether it is the likeliest."""

    nats: "Tensor"
    found: "Tensor"


@dataclass(frozen=True)
class Words:
    """What a language model says at some positions.

    features: (positions, width) what its last layer reads. layer: that layer; None: `features` are the logits.
    """

    features: "Tensor"
    layer: "nn.Linear | None" = None

    def logits(self) -> "Tensor":
        """(positions, vocabulary)."""
        return self.features if self.layer is None else self.layer(self.features)

    def surprise(self, truth: "Tensor", share: "Tensor | None" = None) -> Surprise:
        """How surprised the model is by `truth` (positions,).

        share: (positions,) the share that each position will have in the loss, up to a factor common to all; None: equal
            shares. The gradient of the layer's weights is computed by it while the logits are there. Where the loss turns out
            to be another, the gradients are right all the same, but the logits are computed a second time.
        """
        import torch
        from torch.nn import functional as F

        if self.layer is None:
            wide = _wide(self.features)
            return Surprise(
                F.cross_entropy(wide, truth, reduction="none"), wide.detach().argmax(dim=-1) == truth
            )
        given: tuple[Any, ...] = (self.features, self.layer.weight, self.layer.bias)
        if not torch.is_grad_enabled():  # a function of autograd can't see that
            given = tuple(None if one is None else one.detach() for one in given)
        return Surprise(*_function().apply(*given, truth, share))


def is_plain(layer: Any) -> bool:
    """Whether a layer is its weights and nothing else: no adapter's wrapper, no hook, no weight that is made of others."""
    from torch import nn
    from torch.nn.utils.parametrize import is_parametrized

    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return type(layer) is nn.Linear and not any(hooks) and not is_parametrized(layer)


def _wide(logits: "Tensor") -> "Tensor":
    """Float32 at least: a sum over a vocabulary needs it."""
    import torch

    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def at_once(vocabulary: int) -> int:
    """The positions whose logits are held at once."""
    return max(AT_ONCE // vocabulary, FEWEST)


@dataclass
class _Sums:
    """The gradients of the layer, added up part by part, in float32 at least; None where it does not learn."""

    weight: "Tensor | None"
    bias: "Tensor | None"

    @classmethod
    def of(cls, weight: "Tensor | None", bias: "Tensor | None") -> "_Sums":
        """Zeros for what learns."""
        import torch

        return cls(*(None if one is None else torch.zeros_like(_wide(one)) for one in (weight, bias)))

    def add(self, gradient: "Tensor", features: "Tensor") -> None:
        """One part more: gradient (positions, vocabulary) of its logits, features (positions, width)."""
        if self.weight is not None:
            turned = gradient.t().to(features.dtype)
            if features.dtype == self.weight.dtype:
                self.weight.addmm_(turned, features)
            else:
                self.weight.add_(turned @ features)
        if self.bias is not None:
            self.bias.add_(gradient.sum(dim=0))


@dataclass(frozen=True)
class _Layer:
    """The last layer in the precision that products are computed in."""

    weight: "Tensor"
    bias: "Tensor | None"

    @classmethod
    def of(cls, weight: "Tensor", bias: "Tensor | None", dtype: "torch.dtype") -> "_Layer":
        return cls(weight.to(dtype), None if bias is None else bias.to(dtype))

    def odds(self, features: "Tensor", truth: "Tensor") -> "_Odds":
        """What the layer makes of one part."""
        import torch
        from torch.nn import functional as F

        logits = _wide(F.linear(features, self.weight, self.bias))
        most = logits.amax(dim=1, keepdim=True)
        of_truth = logits.gather(1, truth[:, None])
        found = (of_truth == most)[:, 0]
        near = found.nonzero()[:, 0]  # of equal logits the first one is the answer
        found[near] = logits[near].argmax(dim=1) == truth[near]
        odds = torch.exp(logits.sub_(most), out=logits)
        total = odds.sum(dim=1, keepdim=True)
        return _Odds(odds.div_(total), (total.log() + most - of_truth)[:, 0], found)


@dataclass(frozen=True)
class _Odds:
    """Of one part: probabilities (positions, vocabulary), nats and whether the truth is the likeliest (positions,)."""

    odds: "Tensor"
    nats: "Tensor"
    found: "Tensor"

    def backward(self, truth: "Tensor") -> "Tensor":
        """The gradient of the nats by the logits, in the place of the probabilities: those, less 1 at the truth."""
        return self.odds.scatter_add_(1, truth[:, None], self.odds.new_full((len(truth), 1), -1.0))


def _parts(positions: int, vocabulary: int) -> list[slice]:
    each = at_once(vocabulary)
    return [slice(start, start + each) for start in range(0, positions, each)]


def _common(upstream: "Tensor", share: "Tensor | None") -> "Tensor | None":
    """The factor by which upstream gradients are the shares that were foretold; None where they are not."""
    import torch

    if not len(upstream):
        return upstream.new_ones(())
    foretold = torch.ones_like(upstream) if share is None else share.to(upstream.dtype)
    at = foretold.abs().argmax()
    factor = upstream[at] / foretold[at]
    apart = (upstream - factor * foretold).abs()
    near = ALIKE * torch.finfo(upstream.dtype).eps * (factor * foretold).abs()
    return factor if bool((apart <= near).all()) else None


@cache
def _function() -> Any:
    import torch

    class Surprised(torch.autograd.Function):
        """Cross-entropy of a linear layer by parts; its gradients are made on the way forward (as Liger-Kernel does on GPUs)."""

        @staticmethod
        def forward(
            ctx: Any,
            features: "Tensor",
            weight: "Tensor",
            bias: "Tensor | None",
            truth: "Tensor",
            share: "Tensor | None",
        ) -> tuple["Tensor", "Tensor"]:
            kind = features.device.type
            ctx.dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else features.dtype
            by_features, by_weight, by_bias = ctx.needs_input_grad[:3]
            nats = _wide(features.new_zeros(len(features)))
            found = torch.zeros_like(truth, dtype=torch.bool)
            back = torch.empty_like(features) if by_features else None
            sums = _Sums.of(weight if by_weight else None, bias if by_bias else None)
            with torch.autocast(kind, enabled=False):
                read, layer = features.to(ctx.dtype), _Layer.of(weight, bias, ctx.dtype)
                for part in _parts(len(features), len(weight)):
                    told = layer.odds(read[part], truth[part])
                    nats[part], found[part] = told.nats, told.found
                    if not any((by_features, by_weight, by_bias)):
                        continue
                    gradient = told.backward(truth[part])
                    if back is not None:
                        back[part] = gradient.to(ctx.dtype) @ layer.weight
                    sums.add(gradient if share is None else gradient.mul_(share[part, None]), read[part])
            ctx.save_for_backward(features, weight, bias, truth, share, back, sums.weight, sums.bias)
            ctx.mark_non_differentiable(found)
            return nats, found

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, upstream: "Tensor", _: Any) -> tuple[Any, ...]:
            features, weight, bias, truth, share, back, by_weight, by_bias = ctx.saved_tensors
            if back is not None:
                back = back * upstream[:, None].to(back.dtype)
            factor = _common(upstream, share)
            if factor is None:
                sums = _Sums.of(None if by_weight is None else weight, None if by_bias is None else bias)
                read, layer = features.to(ctx.dtype), _Layer.of(weight, bias, ctx.dtype)
                for part in _parts(len(features), len(weight)):
                    gradient = layer.odds(read[part], truth[part]).backward(truth[part])
                    sums.add(gradient.mul_(upstream[part, None]), read[part])
                by_weight, by_bias, factor = sums.weight, sums.bias, upstream.new_ones(())
            theirs = [
                None if one is None else (one * factor).to(like.dtype)
                for one, like in ((by_weight, weight), (by_bias, bias))
            ]
            return back, *theirs, None, None

    return Surprised
