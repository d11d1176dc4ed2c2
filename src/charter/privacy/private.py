"""The private step plan: sampling, clipping, noise and what they cost, as one value.

DP-SGD's update (Abadi et al. 2016, algorithm 1): each unit is drawn by itself with the same probability (Poisson sampling),
its gradient is scaled down to a bounded norm, all are added up, normal noise is added, and the sum is divided by the
expected number of units, which is no secret, not by how many there were. A unit is one example, or all examples of a
document or a person, which are drawn and clipped together (McMahan et al. 2018).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from charter.models.world import ALONE, World
from charter.privacy.accounting import Mechanism, Neighbouring, Sampled, epsilon
from charter.privacy.bounded import Bounded, bounded, check_bounded, learning
from charter.privacy.clipping import Clipping
from charter.privacy.plan import Descent, Losses, Spend, StepPlan
from charter.privacy.stream import COUNTS, DROPOUT, ROWS, SAMPLING, SecretStream

if TYPE_CHECKING:
    from torch import Tensor, nn

Integers = NDArray[np.int64]
AT_ONCE = 64
"""Examples of a pass, where nothing else is asked; an update has as many passes as it needs."""
CHECKED = 3
"""Examples on which the bounded gradients are compared with autograd's before the first update."""


@dataclass(frozen=True)
class Units:
    """of: (examples,) the unit of each example, numbered from 0 without a gap. most: examples of a unit in an update at most."""

    of: Integers
    most: int | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.of.max()) + 1 if len(self.of) else 0


@dataclass(frozen=True)
class Private(StepPlan):
    """batch_size: units of an update on average. micro_batch_size: about so many examples are computed at once.

    noise: the multiplier, the noise's standard deviation over the sensitivity. delta: with which `cost` is told. units: None:
    each example is one. corrected: the optimizer takes the noise's variance out of its second moment.
    neighbouring: how two data sets differ that the cost is told of.
    """

    batch_size: int
    micro_batch_size: int | None
    clipping: Clipping
    noise: float
    delta: float
    stream: SecretStream
    units: Units | None = field(default=None, repr=False)
    corrected: bool = False
    neighbouring: Neighbouring = "add_or_remove"

    def count(self, n: int) -> int:
        """The units of n examples."""
        return n if self.units is None else self.units.count

    def rate(self, n: int) -> float:
        """With what probability a unit is in an update."""
        return min(self.batch_size / max(self.count(n), 1), 1.0)

    def steps_per_epoch(self, n: int) -> int:
        """As many as on average read every unit once."""
        return max(round(self.count(n) / self.batch_size), 1)

    def batches(self, n: int, epoch: int) -> Iterator[Integers]:
        """The examples of each update, each unit drawn by itself; an update may have none."""
        per_epoch, rate = self.steps_per_epoch(n), self.rate(n)
        for update in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            drawn = self.stream.uniform(self.count(n), SAMPLING, update) < rate
            yield np.flatnonzero(drawn) if self.units is None else self._examples(drawn, update)

    def _examples(self, drawn: NDArray[np.bool_], update: int) -> Integers:
        """The examples of the units that were drawn, unit by unit; of one that has too many a random part."""
        assert self.units is not None
        index = np.flatnonzero(drawn[self.units.of])
        unit = self.units.of[index]
        if self.units.most is None:
            return index[np.argsort(unit, kind="stable")]
        order = np.lexsort((self.stream.uniform(len(self.units.of), ROWS, update)[index], unit))
        index, unit = index[order], unit[order]
        begins = np.r_[0, np.flatnonzero(np.diff(unit)) + 1] if len(unit) else np.zeros(0, dtype=np.int64)
        place = np.arange(len(unit)) - np.repeat(begins, np.diff(np.r_[begins, len(unit)]))
        found: Integers = index[place < self.units.most]
        return found

    def generator_seed(self, seed: int, update: int, index: Integers) -> int:
        """What dropout is drawn from: secret, or who knows it could tell from a mask who was in the batch."""
        del seed
        return self.stream.seed(DROPOUT, update, int(index[0]))

    def check(self, model: "nn.Module", index: Integers, losses: Losses) -> None:
        """Refuse a model whose gradients can't be bounded; see `charter.privacy.bounded.check_bounded`."""
        check_bounded(model, index[:CHECKED], losses)

    def gradient(
        self,
        model: "nn.Module",
        index: Integers,
        losses: Losses,
        world: World = ALONE,
        update: int | None = None,
    ) -> Descent:
        """The noisy bounded sum over the expected number of units. No loss is told: it would be a read of the data."""
        if update is None:  # noise that is drawn twice for two updates can be taken out again
            raise ValueError("a private update needs its number")
        parameters = list(learning(model).values())
        self.clipping.groups(list(learning(model)))
        counted = 0.0
        sums: dict[int, Tensor] = {}
        for part in world.share(self._parts(index, world)):
            found = self._bounded(model, part, losses)
            counted += self.clipping.counted(found.squares)
            for key, one in found.sums.items():
                sums[key] = sums[key].add_(one) if key in sums else one
        self._put(parameters, sums, update if world.rank == 0 else None)
        if world.rank == 0 and self.clipping.deviation():
            counted += self.clipping.deviation() * self.stream.normal(COUNTS, update)
        counted = world.add_up(model, counted)
        self.clipping.adapt(counted, self.batch_size)
        return Descent(math.nan, math.nan)

    def _parts(self, index: Integers, world: World) -> list[Integers]:
        """The examples of each pass; no unit is parted."""
        at_once = self.micro_batch_size or AT_ONCE
        if world.size > 1 and self.micro_batch_size is None:
            at_once = max(min(at_once, math.ceil(len(index) / world.size)), 1)
        if self.units is None:
            return [index[start : start + at_once] for start in range(0, len(index), at_once)]
        ends = np.flatnonzero(np.diff(self.units.of[index], append=-1)) + 1
        parts, start = [], 0
        for end, after in zip(ends, [*ends[1:], None], strict=True):
            if after is None or after - start > at_once:
                parts.append(index[start:end])
                start = int(end)
        return parts

    def _bounded(self, model: "nn.Module", part: Integers, losses: Losses) -> Bounded:
        units = None if self.units is None else np.unique(self.units.of[part], return_inverse=True)[1]
        return bounded(model, part, losses, self.clipping, units=units, share=1.0 / self.batch_size)

    def _put(
        self, parameters: "list[nn.Parameter]", sums: "Mapping[int, Tensor]", update: int | None
    ) -> None:
        """Each sum as a gradient, with noise: of every parameter, whether the examples had a gradient of it or not.

        update: which one the noise is drawn for; None: another process adds it.
        """
        import torch

        for place, one in enumerate(parameters):
            total = sums.get(id(one))
            total = torch.zeros_like(one) if total is None else total.view_as(one)
            if update is not None:
                self._add_noise(total, update, place)
            one.grad = total

    def _add_noise(self, total: "Tensor", update: int, place: int) -> None:
        """The noise of an update, to the sum of the parameter at this place."""
        self.stream.add_normal(total, self.deviation, update, first=place)

    @property
    def drawn(self) -> str:
        """How units come into updates, as findings say it."""
        return "Poisson sampling, each unit drawn by itself"

    @property
    def promises(self) -> bool:
        """Yes."""
        return True

    @property
    def deviation(self) -> float:
        """The standard deviation of the noise in each entry of an update's gradient."""
        return self.clipping.noise(self.noise) * self.clipping.sensitivity / self.batch_size

    def cost(self, n: int, steps: int) -> Spend:
        """What so many updates on n examples cost."""
        made = self.mechanism(n, steps)
        return Spend(epsilon(made, self.delta, neighbouring=self.neighbouring), self.delta, (made,))

    def mechanism(self, n: int, steps: int) -> Mechanism:
        """What so many updates on n examples are to an accountant."""
        return Sampled(self.rate(n), self.noise, steps)

    @property
    def correction(self) -> float:
        """The noise's, where it was asked for."""
        return self.deviation if self.corrected else 0.0

    def state(self) -> dict[str, float]:
        """What changed since the plan was made."""
        return self.clipping.state()

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from `state`."""
        self.clipping.restore(state)
