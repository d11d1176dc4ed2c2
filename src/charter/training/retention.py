"""What holds on to an earlier model while new data is learned: elastic weight consolidation, learning without forgetting."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import Batch, Examples
from charter.errors import ModelError
from charter.models.forward import forward_of
from charter.models.inference import on_device, predict_outputs
from charter.tasks.kept import ONE_CLASS, OneClass
from charter.tasks.objective import Objective
from charter.tasks.task import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

ANSWERS = "earlier_answers.npy"


@dataclass(frozen=True)
class Earlier:
    """The earlier model as a fit begins with it.

    model: with its own weights and head, before any update. classes: how many outputs of the head are its own, the first ones.
    fisher: the diagonal of its Fisher information by parameter, where its bundle carries that. work: a folder that lasts
    until the fit has ended.
    """

    model: Any
    task: Task
    examples: Examples
    classes: int
    fisher: "Mapping[str, Tensor] | None"
    work: Path


class Retention(ABC):
    """A way to hold on to an earlier model: it makes a harder objective of the one that is learned."""

    needs_fisher: ClassVar[bool] = False
    """Whether the earlier bundle has to carry its Fisher information."""

    @abstractmethod
    def around(self, objective: Objective, earlier: Earlier) -> Objective:
        """The objective with what holds on added to the loss of each example."""


def ewc(
    *,
    strength: Annotated[float, Field(gt=0, le=1e9, description="lambda, the weight of the penalty")] = 1e5,
    decay: Annotated[
        float,
        Field(
            gt=0, le=1, description="what is left of the earlier tasks' Fisher information at each new one"
        ),
    ] = 1.0,
) -> Retention:
    """EWC: weights that mattered to earlier data are held near their values (Kirkpatrick et al. 2017), online (Schwarz et al. 2018)."""
    return Elastic(strength, decay)


def lwf(
    *,
    temperature: Annotated[
        float, Field(ge=1, le=100, description="logits are divided by it on both sides")
    ] = 2.0,
    weight: Annotated[
        float, Field(gt=0, le=1e6, description="lambda_o, the weight of the earlier answers")
    ] = 1.0,
) -> Retention:
    """LwF: the earlier model's answers on the new rows are kept by distillation (Li and Hoiem 2016); no earlier row is needed."""
    return WithoutForgetting(temperature, weight)


@dataclass(frozen=True)
class Elastic(Retention):
    """Elastic weight consolidation (Kirkpatrick et al. 2017, equation 3), with one penalty for all tasks so far.

    As in online EWC (Schwarz et al. 2018, section 3.2) the penalty is around the weights of the newest earlier model, by the
    sum of the tasks' Fisher information, the older ones faded by `decay`.
    """

    strength: float
    decay: float
    needs_fisher: ClassVar[bool] = True

    def around(self, objective: Objective, earlier: Earlier) -> Objective:
        """The objective plus strength / 2 times the sum of F (theta - theta*)^2 over the weights that learn.

        Raises:
            ModelError: none of the weights that learn is one of the earlier model's.
        """
        assert earlier.fisher is not None
        learning = {name: one for name, one in earlier.model.named_parameters() if one.requires_grad}
        fisher = {
            name: _as_large(one, learning[name], name)
            for name, one in earlier.fisher.items()
            if name in learning
        }
        if not fisher:
            raise ModelError(
                "continual.keep ewc: it holds the earlier model's own weights, and model.adapt lets none of them learn; take lwf "
                "or replay, or model.adapt full"
            )
        start = {name: learning[name].detach().clone() for name in fisher}
        return Held(objective.name, objective, self.strength, fisher, start)


def _as_large(fisher: "Tensor", parameter: "Tensor", name: str) -> "Tensor":
    """Zero for the rows of classes that the earlier model did not have."""
    import torch

    if fisher.ndim != parameter.ndim or any(
        one > other for one, other in zip(fisher.shape, parameter.shape, strict=True)
    ):
        raise ModelError(
            f"continual.keep ewc: the earlier bundle's Fisher information of {name} is of another shape than the weights"
        )
    found = torch.zeros_like(parameter, requires_grad=False)
    found[tuple(slice(size) for size in fisher.shape)] = fisher.to(found.dtype)
    return found


@dataclass(frozen=True)
class Held(Objective):
    """An objective with the penalty of EWC. fisher, start: by parameter, of its shape."""

    name: str
    inner: Objective
    strength: float
    fisher: "Mapping[str, Tensor]"
    start: "Mapping[str, Tensor]"

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """The losses of the examples, each with the whole penalty: so their mean has it once."""
        return self.inner.loss(model, batch, class_weights) + self.penalty(getattr(model, "model", model))

    def penalty(self, model: "nn.Module") -> "Tensor":
        """Half the strength times the sum of F_i (theta_i - theta*_i)^2, in nats, as the loss is."""
        import torch

        total = torch.zeros((), device=next(model.parameters()).device)
        for name, parameter in model.named_parameters():
            if name in self.fisher:
                near = self.start[name].to(parameter.device), self.fisher[name].to(parameter.device)
                total = total + (near[1] * (parameter - near[0]) ** 2).sum()
        return total * (self.strength / 2)

    def balance(self, examples: Examples) -> NDArray[np.float32] | None:
        """As the objective."""
        return self.inner.balance(examples)

    def conclude(self, model: Any, examples: Examples) -> None:
        """As the objective."""
        self.inner.conclude(model, examples)


@dataclass(frozen=True)
class WithoutForgetting(Retention):
    """Learning without forgetting (Li and Hoiem 2016, section 3): the earlier answers are noted before the first update."""

    temperature: float
    weight: float

    def around(self, objective: Objective, earlier: Earlier) -> Objective:
        """The objective plus how far the answers have moved from the earlier ones, on the same rows."""
        place = earlier.work / ANSWERS
        if place.is_file():
            answers = np.load(place, allow_pickle=False)
        else:
            said = predict_outputs(earlier.model, earlier.task, earlier.examples)
            answers = np.asarray(said, dtype=np.float32).reshape(len(earlier.examples), -1)[
                :, : earlier.classes
            ]
            earlier.work.mkdir(parents=True, exist_ok=True)
            aside = place.with_name(f"{ANSWERS}.tmp.npy")
            np.save(aside, answers, allow_pickle=False)
            aside.replace(place)  # whole or not at all: a resumed fit reads it
        return Distilled(objective.name, objective, self.temperature, self.weight, answers, earlier.task.kept)


@dataclass(frozen=True)
class Distilled(Objective):
    """An objective with the distillation of LwF. answers: (n, classes) the earlier model's logits on the examples."""

    name: str
    inner: Objective
    temperature: float
    weight: float
    answers: NDArray[np.float32] = field(repr=False)
    kept: OneClass = ONE_CLASS

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """Each example's loss plus weight times the divergence of its answers from the earlier ones (equations 2 and 3).

        It is the paper's cross-entropy less the entropy of the earlier answers, which no update changes.
        """
        import torch

        heard = _Heard(model)
        losses = self.inner.loss(heard, batch, class_weights)  # type: ignore[arg-type]
        theirs = torch.from_numpy(self.answers[batch.index.numpy()]).to(losses.device)
        moved = self.kept.moved(heard.said.logits.float(), theirs, self.temperature)
        return losses + self.weight * moved

    def balance(self, examples: Examples) -> NDArray[np.float32] | None:
        """As the objective."""
        return self.inner.balance(examples)

    def conclude(self, model: Any, examples: Examples) -> None:
        """As the objective."""
        self.inner.conclude(model, examples)


class _Heard:
    """A model that remembers what it said last, so that one pass serves two losses."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.said: Any = None

    def __call__(self, **inputs: "Tensor") -> Any:
        self.said = self._model(**inputs)
        return self.said


def diagonal_fisher(
    model: Any, examples: Examples, seed: int, kept: OneClass = ONE_CLASS
) -> "dict[str, Tensor]":
    """The diagonal of the Fisher information of a classifier's weights, by parameter, in squared nats.

    It is the mean over the examples of (d log p(y | x) / d theta)^2 with y drawn from the model's own answer (Kirkpatrick et al.
    2017, section 2): the true Fisher information, not the empirical one of the true classes (Kunstner et al. 2019). No example is read for
    its label. kept: what the model's answers are like.
    """
    import torch

    rng = np.random.default_rng(seed)
    device = next(model.parameters()).device
    model.eval()
    forward = forward_of(model)
    learning = {name: one for name, one in model.named_parameters() if one.requires_grad}
    found = {name: torch.zeros_like(one) for name, one in learning.items()}
    for at in range(len(examples)):
        batch = on_device(examples.batch(np.asarray([at], dtype=np.int64)), device)
        likely = kept.drawn(forward(**batch.inputs).logits[0].float(), rng)
        slopes = torch.autograd.grad(likely, list(learning.values()), allow_unused=True)
        for name, slope in zip(learning, slopes, strict=True):
            if slope is not None:
                found[name] += slope.detach() ** 2
    return {name: one / max(len(examples), 1) for name, one in found.items()}
