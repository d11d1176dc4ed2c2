"""The private step plan whose noise hangs together over updates, for data that can't be sampled, or whose sampling can't be kept secret."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from charter.privacy.accounting import Gaussian, Mechanism
from charter.privacy.factorisation import Factorisation
from charter.privacy.private import Integers, Private
from charter.privacy.stream import SAMPLING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Correlated(Private):
    """As `Private`, but each unit is in one update of every epoch, always at the same place, and the noise is `factorised`.

    In which one is drawn once for each unit by itself, so that one unit more or less moves no other; it need not be secret. noise: the
    standard deviation over the sensitivity of all updates together. planned: the updates that this is of.
    """

    factorised: Factorisation
    planned: int

    def rate(self, n: int) -> float:
        """The share of the units that an update has on average."""
        return 1.0 / self.steps_per_epoch(n)

    def batches(self, n: int, epoch: int) -> Iterator[Integers]:
        """The examples of each update, every unit in one of them; an update may have none."""
        per_epoch = self.steps_per_epoch(n)
        place = (self.stream.uniform(self.count(n), SAMPLING, 0) * per_epoch).astype(np.int64)
        for update in range(per_epoch):
            drawn = place == update
            yield (
                np.flatnonzero(drawn)
                if self.units is None
                else self._examples(drawn, epoch * per_epoch + update)
            )

    def _add_noise(self, total: "Tensor", update: int, place: int) -> None:
        """Draws of this update and of those before it, which the key gives again: nothing is stored of them."""
        for back, tap in enumerate(self.factorised.taps[: update + 1]):
            self.stream.add_normal(total, tap * self._each, update - back, first=place)

    @property
    def _each(self) -> float:
        """The standard deviation of the independent draws that noise is made of."""
        return super().deviation * self.factorised.sensitivity

    @property
    def deviation(self) -> float:
        """The standard deviation of the noise in each entry of an update's gradient, once every band is in it."""
        return self._each * self.factorised.spread

    @property
    def drawn(self) -> str:
        """How units come into updates, as findings say it."""
        return "no sampling, each unit in one update of every epoch"

    def mechanism(self, n: int, steps: int) -> Mechanism:
        """One release of all updates together.

        Raises:
            ValueError: more updates than it was made for.
        """
        del n
        if steps > self.planned:
            raise ValueError(f"the noise was made for {self.planned} updates, not for {steps}")
        return Gaussian(self.noise, min(steps, 1))
