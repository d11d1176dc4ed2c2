"""The space that hyper-parameters are searched in: `training.search`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Discriminator, Field, Tag

from charter.spec.fields import Count, Number, Section, Whole

Value = TypeVar("Value")
LOGARITHMIC = ("learning_rate", "weight_decay")
"""Keys whose ranges are searched by order of magnitude."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones only where both ends are whole numbers (int)."""

    low: float
    high: float
    logarithmic: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return isinstance(self.low, int)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


def _different(some: tuple[Any, ...]) -> tuple[Any, ...]:
    twice = [one for at, one in enumerate(some) if one in some[:at]]
    if twice:
        raise ValueError(f"the choice {twice[0]} stands twice; keep one")
    return some


class Choices(Section, Generic[Value]):
    """Values to choose from, in no order."""

    choices: Annotated[tuple[Value, ...], Field(min_length=1), AfterValidator(_different)]


class NumberChoices(Choices[Number]):
    """Numbers to choose from."""


class NumberOrNoneChoices(Choices[Number | None]):
    """Numbers to choose from; null is none."""


class WholeChoices(Choices[Whole]):
    """Whole numbers to choose from."""


class ScheduleChoices(Choices[Literal["linear", "cosine", "constant"]]):
    """Schedules to choose from."""


class WeightChoices(Choices[Literal["balanced"] | None]):
    """Class weights to choose from; null is none."""


def _two(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        count = f"a list of {len(value)}" if isinstance(value, list | tuple) else f"{str(value)[:40]}"
        raise ValueError(f"found {count}; accepted: [low, high], or {{choices: [...]}}")
    return value


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    if low >= high:
        raise ValueError(f"from {low:g} to {high:g} is no range: the low end stands first and is less")
    return ends


def _positive(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] <= 0:
        raise ValueError(
            f"it is searched by order of magnitude, so its low end is above 0, not {ends[0]:g}; "
            "write [1.0e-4, 0.1], or {choices: [0, 0.01]}"
        )
    return ends


def _only_choices(value: Any) -> Any:
    if not isinstance(value, dict | BaseModel):
        raise ValueError("it is no number that lies in a range; write {choices: [...]}")
    return value


def _kind(value: Any) -> str:
    return "[choices]" if isinstance(value, dict | Choices) else "[range]"


Between = Annotated[tuple[Number, Number], AfterValidator(_rising), BeforeValidator(_two)]
Magnitudes = Annotated[Between, AfterValidator(_positive)]
Wholes = Annotated[tuple[Whole, Whole], AfterValidator(_rising), BeforeValidator(_two)]
IsRange, IsChoices, Kind = Tag("[range]"), Tag("[choices]"), Discriminator(_kind)

OfMagnitude = Annotated[Annotated[Magnitudes, IsRange] | Annotated[NumberChoices, IsChoices], Kind]
OfNumbers = Annotated[Annotated[Between, IsRange] | Annotated[NumberChoices, IsChoices], Kind]
OfNumbersOrNone = Annotated[Annotated[Between, IsRange] | Annotated[NumberOrNoneChoices, IsChoices], Kind]
OfWholes = Annotated[Annotated[Wholes, IsRange] | Annotated[WholeChoices, IsChoices], Kind]
OfSchedules = Annotated[ScheduleChoices, BeforeValidator(_only_choices)]
OfWeights = Annotated[WeightChoices, BeforeValidator(_only_choices)]


class Search(Section):
    """Which training settings are searched, and how long.

    `[low, high]` is a range, both ends included (of learning_rate and weight_decay by order of magnitude);
    `{choices: [...]}` lists values. Only keys of `training` can be searched. The charter's own values are tried first
    where they lie in the space. Each trial learns from the training rows and is scored on the validation rows;
    no trial sees a calibration or a test row. Under a privacy budget the number of trials and the settings of each are drawn at
    random and in secret, and only the best trial is told of.
    """

    trials: Count = Field(
        12, description="how many settings are tried at most; under a privacy budget: on average"
    )
    prune: Literal["median", "successive_halving"] | None = Field(
        "median",
        description="stop a trial early that does worse than those before it; null, as always under a privacy budget: never",
    )
    distribution: Literal["poisson", "geometric", "logarithmic"] | None = Field(
        None,
        description="under a privacy budget: of the number of trials, which is never 0; null: poisson, whose numbers lie closest to "
        "their mean",
    )
    learning_rate: OfMagnitude | None = Field(None, description="[low, high] or {choices: [...]}")
    weight_decay: OfMagnitude | None = Field(None, description="[low, high] or {choices: [...]}")
    warmup: OfNumbers | None = Field(None, description="[low, high] or {choices: [...]}")
    max_grad_norm: OfNumbersOrNone | None = Field(
        None, description="[low, high] or {choices: [...]}, where null is none"
    )
    epochs: OfWholes | None = Field(None, description="[low, high] or {choices: [...]}")
    batch_size: OfWholes | None = Field(None, description="[low, high] or {choices: [...]}")
    schedule: OfSchedules | None = Field(None, description="{choices: [...]}")
    class_weights: OfWeights | None = Field(None, description="{choices: [balanced, null]}")

    @property
    def space(self) -> Mapping[str, Range | tuple[Any, ...]]:
        """What is searched: key -> its range, or the tuple of its choices."""
        found: dict[str, Range | tuple[Any, ...]] = {}
        for key in KEYS:
            said = getattr(self, key)
            if isinstance(said, Choices):
                found[key] = said.choices
            elif said is not None:
                low, high = said
                found[key] = Range(low, high, key in LOGARITHMIC)
        return found


HOW = ("trials", "prune", "distribution")
"""How it is searched."""
KEYS = tuple(name for name in Search.model_fields if name not in HOW)
"""The keys of `training` that can be searched."""
