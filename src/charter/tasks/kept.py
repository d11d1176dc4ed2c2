"""How far a model's answers have moved from an earlier one's, and how likely an answer of its own is: what holding on needs to know."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


class OneClass:
    """One of several classes: a softmax over the logits (n, classes)."""

    def moved(self, ours: "Tensor", theirs: "Tensor", temperature: float) -> "Tensor":
        """(n,) the Kullback-Leibler divergence of our answers from theirs in nats, all logits divided by the temperature.

        ours: (n, outputs), perhaps with more outputs after theirs, which are left out.
        """
        from torch.nn import functional as F

        own = F.log_softmax(ours[:, : theirs.shape[1]] / temperature, dim=1)
        return F.kl_div(
            own, F.log_softmax(theirs / temperature, dim=1), reduction="none", log_target=True
        ).sum(dim=1)

    def drawn(self, logits: "Tensor", rng: np.random.Generator) -> "Tensor":
        """The log-likelihood, in nats, of an answer that is drawn from the model's own: logits (outputs,) of one example."""
        import torch

        likely = torch.log_softmax(logits, dim=0)
        shares = likely.detach().exp().double().cpu().numpy()
        return likely[int(rng.choice(len(shares), p=shares / shares.sum()))]


ONE_CLASS = OneClass()


class EachLabel(OneClass):
    """Labels, each by itself: a sigmoid of each logit. As the task's own loss, both are the mean over labels, or their sum."""

    def moved(self, ours: "Tensor", theirs: "Tensor", temperature: float) -> "Tensor":
        """(n,) the mean over the earlier labels of the divergence of each label's presence."""
        return divergences(ours[:, : theirs.shape[1]] / temperature, theirs / temperature).mean(dim=1)

    def drawn(self, logits: "Tensor", rng: np.random.Generator) -> "Tensor":
        """Of a set of labels, each drawn by itself."""
        return _likely(logits, _coins(logits, rng)).sum()


class Steps(OneClass):
    """Ordered classes, learned as steps: the k-th logit is of "above class k, given at least class k" (CORN)."""

    def moved(self, ours: "Tensor", theirs: "Tensor", temperature: float) -> "Tensor":
        """(n,) the divergence of the distribution over classes: of each step, by how likely it is reached."""
        import torch

        ours, theirs = ours / temperature, theirs / temperature
        above = torch.sigmoid(theirs).cumprod(dim=1)
        reached = torch.cat([torch.ones_like(above[:, :1]), above[:, :-1]], dim=1)
        return (reached * divergences(ours, theirs)).sum(dim=1)

    def drawn(self, logits: "Tensor", rng: np.random.Generator) -> "Tensor":
        """Of a class: the steps up to the first that is not taken."""
        taken = _coins(logits, rng)
        ends = np.flatnonzero(~taken)
        seen = int(ends[0]) + 1 if len(ends) else len(taken)
        return _likely(logits[:seen], taken[:seen]).sum()


def divergences(ours: "Tensor", theirs: "Tensor") -> "Tensor":
    """The divergence of each yes-or-no answer from the earlier one, both as logits."""
    from torch.nn import functional as F

    yes = theirs.sigmoid()
    there = yes * (F.logsigmoid(theirs) - F.logsigmoid(ours))
    return there + (1 - yes) * (F.logsigmoid(-theirs) - F.logsigmoid(-ours))


def _coins(logits: "Tensor", rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    shares = logits.detach().sigmoid().double().cpu().numpy()
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = rng.random(len(shares)) < shares
    return found


def _likely(logits: "Tensor", yes: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> "Tensor":
    import torch
    from torch.nn import functional as F

    sign = torch.as_tensor(np.where(yes, 1.0, -1.0), dtype=logits.dtype, device=logits.device)
    return F.logsigmoid(sign * logits)
