"""AdamW for noisy gradients: what the noise adds to the second moment is taken out again.

Under differential privacy the noise of a gradient's entry is as a rule much larger than the entry, so Adam's second moment is
that of the noise, and every entry is divided by about the same number: the method turns into SGD with momentum. The noise's
variance is known, so it can be subtracted (Tang et al. 2024, "DP-AdamBC: Your DP-Adam Is Actually DP-SGD (Unless You Apply
Bias Correction)", algorithm 1). Nothing else of the data is read, so it costs no privacy. torch, Opacus and others have none.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

LEAST = 5e-8
"""What the corrected second moment is at least: gamma' of the paper, section 4."""


class NoisyAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019) whose second moment has the noise's variance taken out.

    noise: the standard deviation of the noise in each entry of a gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        noise: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        least: float = LEAST,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "weight_decay": weight_decay, "noise": noise, "least": least},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            several = [one for one in group["params"] if one.grad is not None]
            if several:
                self._group(group, several)

    def _group(self, group: dict[str, Any], several: list[Any]) -> None:
        for one in several:
            if not self.state[one]:
                self.state[one] = {
                    "step": torch.tensor(0.0),
                    "exp_avg": torch.zeros_like(one),
                    "exp_avg_sq": torch.zeros_like(one),
                }
        (first_rate, second_rate), rate = group["betas"], group["lr"]
        first = [self.state[one]["exp_avg"] for one in several]
        second = [self.state[one]["exp_avg_sq"] for one in several]
        gradients = [one.grad for one in several]
        for one in several:
            self.state[one]["step"] += 1
        step = float(self.state[several[0]]["step"])
        torch._foreach_mul_(several, 1.0 - rate * group["weight_decay"])
        torch._foreach_lerp_(first, gradients, 1.0 - first_rate)
        torch._foreach_mul_(second, second_rate)
        torch._foreach_addcmul_(second, gradients, gradients, 1.0 - second_rate)
        divisors = torch._foreach_div(second, 1.0 - second_rate**step)
        torch._foreach_sub_(divisors, group["noise"] ** 2)
        torch._foreach_clamp_min_(divisors, group["least"])
        torch._foreach_sqrt_(divisors)
        torch._foreach_addcdiv_(several, first, divisors, -rate / (1.0 - first_rate**step))
