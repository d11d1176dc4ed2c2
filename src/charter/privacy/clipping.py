"""How much one unit of privacy can move an update: its gradient is scaled down to a bounded norm.

A unit is what a privacy budget protects: a row, a document, or all rows of a person. All examples of a unit are clipped
jointly. Each kind of clipping says what the norm of a unit's part of the sum can be at most, its sensitivity.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from torch import Tensor

Norm = Annotated[float, Field(gt=0, le=1e6, description="the largest norm of a unit's gradient")]
TINY = 1e-12


class Clipping(ABC):
    """Groups of parameters, and by what factor a unit's gradient of each group is multiplied."""

    @abstractmethod
    def groups(self, names: Sequence[str]) -> Mapping[str, int]:
        """The group of each parameter that learns, numbered from 0."""

    @abstractmethod
    def factors(self, squares: "Tensor") -> "Tensor":
        """(units, groups) squared norms -> (units, groups) factors between 0 and 1."""

    @property
    @abstractmethod
    def sensitivity(self) -> float:
        """The largest norm of a unit's part of the sum, over all groups together."""

    def counted(self, squares: "Tensor") -> float:
        """What else is asked of the data, as a sum over units of numbers between -1/2 and 1/2; most ask nothing."""
        del squares
        return 0.0

    def noise(self, noise: float) -> float:
        """The noise multiplier of the sum, so that it and what else is asked cost together what `noise` costs."""
        return noise

    def deviation(self) -> float:
        """The standard deviation of the noise that `counted` gets; 0 where nothing is asked."""
        return 0.0

    def adapt(self, counted: float, batch_size: int) -> None:
        """Go on from the noisy count of an update of so many units on average."""
        del counted, batch_size

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps of it."""
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from `state`."""
        del state


@dataclass
class Flat(Clipping):
    """The whole gradient of a unit has a norm of at most `norm` (Abadi et al. 2016, algorithm 1)."""

    norm: float

    def groups(self, names: Sequence[str]) -> Mapping[str, int]:
        """All in one."""
        return dict.fromkeys(names, 0)

    def factors(self, squares: "Tensor") -> "Tensor":
        """min(1, norm / a unit's norm)."""
        return _factors(squares, self.norm)

    @property
    def sensitivity(self) -> float:
        """The norm."""
        return self.norm


@dataclass
class PerLayer(Clipping):
    """Each layer's gradient of a unit has a norm of at most norm / sqrt(layers), so that all together have `norm`.

    McMahan et al. 2018, "Learning Differentially Private Recurrent Language Models", section 3. A layer is a module with
    parameters that learn; its sensitivity is sqrt(sum of the layers' squared norms).
    """

    norm: float
    layers: int = 0

    def groups(self, names: Sequence[str]) -> Mapping[str, int]:
        """One for each module."""
        modules = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
        self.layers = len(modules)
        return {name: modules.index(name.rpartition(".")[0]) for name in names}

    @property
    def each(self) -> float:
        """The norm of a layer."""
        return self.norm / math.sqrt(max(self.layers, 1))

    def factors(self, squares: "Tensor") -> "Tensor":
        """min(1, a layer's share / its norm)."""
        return _factors(squares, self.each)

    @property
    def sensitivity(self) -> float:
        """sqrt(layers * each^2)."""
        return math.sqrt(max(self.layers, 1)) * self.each


@dataclass
class Adaptive(Flat):
    """As flat, at a norm that follows a quantile of the units' norms (Andrew et al. 2021, algorithm 1).

    After each update a count of the units within the norm is told with noise of standard deviation `noise_of_count`, and the
    norm is multiplied by exp(-rate * (share - quantile)). What the count costs is taken from the noise of the sum
    (theorem 1), so that both together cost what the plan's noise costs.
    """

    quantile: float
    rate: float
    noise_of_count: float

    def counted(self, squares: "Tensor") -> float:
        """1/2 for each unit within the norm, -1/2 for each beyond."""
        within = squares.sum(1).sqrt() <= self.norm
        return float(within.double().sum()) - 0.5 * len(squares)

    def noise(self, noise: float) -> float:
        """(noise^-2 - (2 noise_of_count)^-2)^(-1/2): more than `noise`.

        Raises:
            ValueError: the count alone would cost more.
        """
        left = noise**-2 - (2.0 * self.noise_of_count) ** -2
        if left <= 0:
            raise ValueError(
                f"the noise of the count, {self.noise_of_count:g}, is too little beside the noise {noise:g} of the budget: "
                f"give privacy.clipping.noise_of_count above {noise / 2:g}"
            )
        return float(left**-0.5)

    def deviation(self) -> float:
        """Of the count, whose sensitivity is 1/2."""
        return self.noise_of_count

    def adapt(self, counted: float, batch_size: int) -> None:
        """The next norm."""
        share = min(max(counted / batch_size + 0.5, 0.0), 1.0)
        self.norm *= math.exp(-self.rate * (share - self.quantile))

    def state(self) -> dict[str, float]:
        """The norm."""
        return {"norm": self.norm}

    def restore(self, state: Mapping[str, float]) -> None:
        """The norm."""
        self.norm = float(state["norm"])


def flat(*, norm: Norm = 1.0) -> Clipping:
    """One norm over all parameters."""
    return Flat(norm)


def per_layer(*, norm: Norm = 1.0) -> Clipping:
    """A norm for each layer, all together `norm`."""
    return PerLayer(norm)


def adaptive(
    *,
    norm: Annotated[float, Field(gt=0, le=1e6, description="the norm that it starts at")] = 0.1,
    quantile: Annotated[
        float, Field(gt=0, lt=1, description="share of units whose gradient the norm should hold")
    ] = 0.5,
    rate: Annotated[float, Field(gt=0, le=1, description="how fast the norm follows")] = 0.2,
    noise_of_count: Annotated[
        float,
        Field(gt=0, description="standard deviation of the noise of the count of units within the norm"),
    ] = 10.0,
) -> Clipping:
    """A norm that starts at `norm` and follows a quantile of the gradients' norms."""
    return Adaptive(norm, quantile, rate, noise_of_count)


def _factors(squares: "Tensor", norm: float) -> "Tensor":
    return (norm / squares.sqrt().clamp(min=TINY)).clamp(max=1.0)
