"""Knowledge distillation: a model learns what a teacher says to the training rows, and perhaps what it thinks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import Batch, Examples
from charter.models.forward import PackedForward
from charter.tasks.objective import Objective
from charter.tasks.task import Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

PROJECTION = "distillation_projection"
"""The student's module, while it learns, that widens its hidden states to the teacher's."""


@dataclass(frozen=True)
class Teaching:
    """What a teacher says to the training rows, in their order.

    answers: (n, outputs) its logits for the student's outputs, in their order; of a number, (n, 1) in the target's units.
    model, examples: the teacher itself, and the rows encoded for it, where its hidden states are learned too.
    """

    answers: NDArray[np.float32]
    model: Any = None
    examples: Examples | None = None


def distillation(
    task: Task,
    teaching: Teaching,
    *,
    teacher: Annotated[
        str,
        Field(
            min_length=1,
            description="a released bundle, or a transformers folder whose head has the same classes",
        ),
    ],
    temperature: Annotated[
        float,
        Field(ge=1, le=100, description="both models' logits are divided by it before they are compared"),
    ] = 2.0,
    weight: Annotated[
        float, Field(ge=0, le=1, description="of the teacher's answers; the labels weigh the rest")
    ] = 0.5,
    hidden: Annotated[
        float,
        Field(ge=0, le=1000, description="weight of the distance between hidden states; 0: not compared"),
    ] = 0.0,
) -> Objective:
    """What a larger model answers, and perhaps its hidden states, are learned beside the labels (Hinton et al. 2015)."""
    del teacher  # was opened already: what it says is in `teaching`
    return Distillation(task, teaching, temperature, weight, hidden)


@dataclass(frozen=True)
class Distillation(Objective):
    """(1 - weight) times the task's own loss, plus weight times T² times the divergence from the teacher's soft answers.

    Hinton et al. 2015, section 2: the soft answers are the logits divided by the temperature T, and T² keeps the size of
    their gradients. The divergence is Kullback and Leibler's, which is their cross-entropy less a constant, and 0 where
    both agree: of the classes; of labels, the mean over each one's presence. A number has no soft answers, so it is the
    squared error between both, in the target's standard deviations.

    hidden: to that is added so many times the mean squared difference between hidden states, of the embeddings and of every
    layer of the student with the teacher's layer at the same part of its depth, over the tokens of each text (Jiao et al.
    2020, equations 7 to 9, uniform mapping). Where the widths differ, a linear map that is learned alike for all layers
    widens the student's; it is not released.
    """

    task: Task
    teaching: Teaching
    temperature: float
    weight: float
    hidden: float = 0.0
    name: str = "distillation"

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """The loss of each text, shape (batch,). class_weights: of the task's own loss."""
        import torch

        asking = self.hidden > 0
        own: Any = _plain(model) if asking else model
        said = own(**batch.inputs, output_hidden_states=True) if asking else own(**batch.inputs)

        def once(**_: Any) -> Any:
            return said

        logits = said.logits.float()
        answers = torch.from_numpy(self.teaching.answers[batch.index.numpy()]).to(logits.device)
        total = self.weight * self._divergence(logits, answers)
        if self.weight < 1:
            total = total + (1 - self.weight) * self.task.loss(once, batch, class_weights)  # type: ignore[arg-type]
        if asking:
            total = total + self.hidden * self._apart(own, said.hidden_states, batch)
        return total

    def _divergence(self, logits: "Tensor", answers: "Tensor") -> "Tensor":
        """(batch,) how far the student's logits are from the teacher's, both (batch, outputs)."""
        from torch.nn import functional as F

        kind = self.task.head.problem_type
        if kind == "regression":
            scaled = (answers - self.task.fitted["mean"]) / self.task.fitted["scale"]
            return F.mse_loss(logits, scaled, reduction="none").mean(dim=1)
        ours, theirs = logits / self.temperature, answers / self.temperature
        if kind == "multi_label_classification":
            present = theirs.sigmoid()
            crossed = F.binary_cross_entropy_with_logits(ours, present, reduction="none")
            least = F.binary_cross_entropy_with_logits(theirs, present, reduction="none")
            return self.temperature**2 * (crossed - least).mean(dim=1)
        each = F.kl_div(ours.log_softmax(dim=1), theirs.log_softmax(dim=1), reduction="none", log_target=True)
        return self.temperature**2 * each.sum(dim=1)

    def _apart(self, student: Any, states: "tuple[Tensor, ...]", batch: Batch) -> "Tensor":
        """(batch,) the mean squared difference of hidden states (layers + 1 times (batch, length, width))."""
        import torch

        theirs = self._thoughts(batch, states[0].device)
        widened = getattr(student, PROJECTION, None)
        mask = batch.inputs["attention_mask"].float()
        layers, total = len(states) - 1, torch.zeros(len(mask), device=mask.device)
        for at, ours in enumerate(states):
            same = theirs[round(at * (len(theirs) - 1) / layers)]
            far = ((ours if widened is None else widened(ours)) - same).float().square().mean(dim=2)
            total = total + (far * mask).sum(dim=1) / mask.sum(dim=1)
        return total / len(states)

    def _thoughts(self, batch: Batch, device: "torch.device") -> "tuple[Tensor, ...]":
        """The teacher's hidden states of a batch, without dropout."""
        import torch

        assert self.teaching.examples is not None
        inputs = self.teaching.examples.batch(batch.index.numpy()).inputs
        teacher = self.teaching.model.to(device).eval()
        with torch.no_grad():
            said = teacher(
                **{name: one.to(device) for name, one in inputs.items()}, output_hidden_states=True
            )
        return tuple(said.hidden_states)

    def balance(self, examples: Examples) -> NDArray[np.float32] | None:
        """As the task's own loss."""
        return self.task.balance(examples)

    def begin(self, model: Any, *, seed: int) -> None:
        """Put the map between widths beside the student's weights, where it is needed; it is drawn by `seed`."""
        import torch

        student, teacher = _plain(model), self.teaching.model
        if not self.hidden or student.config.hidden_size == teacher.config.hidden_size:
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = torch.nn.Linear(student.config.hidden_size, teacher.config.hidden_size, bias=False)
        setattr(student, PROJECTION, made.to(student.device))

    def end(self, model: Any) -> None:
        """Take it away again."""
        student = _plain(model)
        if hasattr(student, PROJECTION):
            delattr(student, PROJECTION)


def _plain(model: Any) -> Any:
    """Transformers' own model inside a padding-free pass, or inside peft's wrapper."""
    inner = model.model if isinstance(model, PackedForward) else model
    return inner.get_base_model() if hasattr(inner, "get_base_model") else inner
