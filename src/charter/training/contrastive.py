"""Contrastive learning of a classifier's encoder, for few examples, and the logistic head that is fitted on its vectors."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from charter.data.batch import NO_ROW, Batch, Examples
from charter.models.features import features_of
from charter.models.folding import last_layer
from charter.models.pooling import vectors_of
from charter.tasks.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

NEVER = -20.0
"""The logit of a class without any example."""
STRENGTH = 1.0
"""The inverse strength of the logistic head's penalty, for vectors whose mean length is 1."""
MOST_ROWS = 16
"""The head counts a description as much as all rows of a class, on average, but at most as much as so many.

With 4 to 16 rows per class that was 1 to 7 points better than counting it as one (docs/few-examples.md).
"""


def contrastive(
    *,
    temperature: Annotated[
        float, Field(gt=0, le=1, description="similarities are divided by it; 0.1 is usual")
    ] = 0.1,
) -> Objective:
    """For few examples: texts of one class are drawn together, others apart; then a logistic head is fitted (as SetFit)."""
    return Contrastive(temperature=temperature)


@dataclass(frozen=True)
class Contrastive(Objective):
    """Supervised contrastive learning (Khosla et al. 2020, equation 2), then a logistic regression on the vectors.

    The two steps of SetFit (Tunstall et al. 2022, section 3), with all pairs of a batch at once instead of drawn ones.
    """

    temperature: float = 0.1
    name: str = "contrastive"
    mixes: ClassVar[bool] = True
    on_features: ClassVar[bool] = True
    fits_head: ClassVar[bool] = True

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """How likely each text finds the others of its class among those of its batch, as cross-entropy, shape (batch,).

        A text that is alone of its class there has no loss; the others' are scaled up, so that their mean is the batch's.
        """
        import torch

        del class_weights
        assert batch.targets is not None
        vectors = vectors_of(model(**batch.inputs).logits.float())
        own = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        logits = (vectors @ vectors.T / self.temperature).masked_fill(own, -torch.inf)
        likely = torch.log_softmax(logits, dim=1).masked_fill(own, 0.0)
        same = (batch.targets[:, None] == batch.targets[None]) & ~own
        partners = same.sum(dim=1)
        found = -(likely * same).sum(dim=1) / partners.clamp(min=1)
        return found * (len(found) / (partners > 0).sum().clamp(min=1))

    def conclude(self, model: Any, examples: Examples) -> None:
        """Put a logistic regression on the examples' vectors, as they are now, into the model's last layer.

        A class with neither row nor description is answered never.
        """
        import torch

        layer = last_layer(model)
        assert layer is not None and layer.bias is not None
        targets, described = np.asarray(examples.targets, dtype=np.int64), examples.rows == NO_ROW
        rows = np.count_nonzero(~described) / layer.out_features
        weights, bias = _logistic(
            features_of(model, examples),
            targets,
            counted=np.where(described, np.clip(rows, 1, MOST_ROWS), 1.0),
            classes=layer.out_features,
        )
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights))
            layer.bias.copy_(torch.from_numpy(bias))


def _logistic(
    features: NDArray[np.float64],
    targets: NDArray[np.int64],
    *,
    counted: NDArray[np.float64],
    classes: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (classes, width) and bias (classes,) of a logistic regression on features (n, width), each counted so much."""
    from sklearn.linear_model import LogisticRegression

    weights, bias = np.zeros((classes, features.shape[1])), np.full(classes, NEVER)
    found = np.unique(targets)
    if len(found) == 1:
        bias[found] = 0.0
        return weights, bias
    centre = features.mean(axis=0)
    length = np.linalg.norm(features - centre, axis=1).mean() or 1.0
    model = LogisticRegression(C=STRENGTH, max_iter=1000)
    model.fit((features - centre) / length, targets, sample_weight=counted)
    each, start = model.coef_ / length, model.intercept_
    if len(found) == 2:  # scikit-learn has one row of weights, for the second class against the first
        each, start = np.concatenate([-each, each]) / 2, np.concatenate([-start, start]) / 2
    weights[found], bias[found] = each, start - each @ centre
    return weights, bias
