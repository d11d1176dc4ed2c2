"""Text regression: a number for each text, or for each pair of texts (how alike they are)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from charter.data.batch import Batch, Examples
from charter.data.columns import SPLIT, Columns, Form, SplitName
from charter.errors import DataError
from charter.tasks import baselines, classwise
from charter.tasks.classification import check_texts, text_examples
from charter.tasks.ranking import rank_correlation
from charter.tasks.scoring import divided
from charter.tasks.task import Head, HeldOut, Intervals, Masked, Mistakes, Outputs, ScoreName, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

BINS = 24
"""Bins of the truth and of the prediction in the picture of both."""


def _ordered(value: tuple[float, float] | None) -> tuple[float, float] | None:
    if value is not None and not value[0] < value[1]:
        raise ValueError("no number lies between the two: give [lowest, highest]")
    return value


def regression(
    *,
    coverage: Annotated[
        float,
        Field(gt=0.5, lt=1, description="share of true numbers that the interval of an answer should hold"),
    ] = 0.9,
    bounds: Annotated[
        tuple[float, float] | None,
        AfterValidator(_ordered),
        Field(
            description="[lowest, highest] number that is to be expected, known without looking at the rows: the target is standardised by "
            "them instead of by the training rows; needed under a privacy budget",
        ),
    ] = None,
) -> Task:
    """A number for each text, or pair of texts, with an interval."""
    return Regression(coverage=coverage, bounds=bounds)


@dataclass(frozen=True)
class Regression(Task):
    """Each text has a number. Outputs are that number (1,), in the target's own units.

    mean, scale: of the training rows' targets while the model learns a standardised target; 0 and 1 once they are folded
    into the released weights, so that plain transformers answers in the target's units too. bounds: by which they are set instead, where
    the charter says them: their middle, and a quarter of their distance.
    centre, spread: the same, kept. half_width: of the conformal interval, None until it is settled.
    """

    labels: tuple[str, ...] = ()
    target: str = "number"
    coverage: float = 0.9
    bounds: tuple[float, float] | None = None
    mean: float = 0.0
    scale: float = 1.0
    centre: float = 0.0
    spread: float = 1.0
    half_width: float | None = None
    settled_on: str = ""
    name: str = "regression"
    headline: ClassVar[str] = "r2"

    @property
    def form(self) -> Form:
        """Numbers."""
        return Form("number")

    @property
    def head(self) -> Head:
        """One number."""
        return Head("AutoModelForSequenceClassification", (self.target,), "regression")

    @property
    def options(self) -> Mapping[str, Any]:
        """The coverage and the bounds asked for."""
        return {"coverage": self.coverage, **({} if self.bounds is None else {"bounds": list(self.bounds)})}

    @property
    def fitted(self) -> Mapping[str, Any]:
        """The target's name, its scale, and the interval."""
        kept = ("target", "mean", "scale", "centre", "spread", "half_width", "settled_on")
        return {name: getattr(self, name) for name in kept}

    def with_fitted(self, fitted: Mapping[str, Any]) -> Self:
        """The same task with this scale and interval."""
        return replace(self, **dict(fitted))

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task with the mean and the standard deviation of the training rows' numbers, or those that its bounds say.

        Raises:
            DataError: lists instead of texts; no numbers; training rows that all have the same number.
        """
        check_texts(self.name, rows, columns)
        target = str(columns.target)
        if not rows.schema[target].is_numeric():
            raise DataError(f"task regression: column '{target}' holds no numbers")
        if self.bounds is not None:
            low, high = self.bounds
            return self._scaled(target, (low + high) / 2, (high - low) / 4)
        train = rows.filter(pl.col(SPLIT) == "train") if SPLIT in rows.columns else rows
        numbers = train[target].cast(pl.Float64).to_numpy()
        centre, spread = (float(numbers.mean()), float(numbers.std())) if len(numbers) else (0.0, 0.0)
        if not spread > 0:
            raise DataError(
                f"task regression: the {len(numbers)} training rows all have one number in column '{target}'; "
                "there is nothing to learn"
            )
        return self._scaled(target, centre, spread)

    def _scaled(self, target: str, centre: float, spread: float) -> Self:
        return replace(self, target=target, mean=centre, scale=spread, centre=centre, spread=spread)

    def examples(
        self,
        rows: pl.DataFrame,
        columns: Columns,
        tokenizer: Any,
        max_length: int,
        *,
        with_targets: bool = True,
    ) -> Examples:
        """Encode rows for the model, in their order; targets are standardised."""
        targets = None
        if with_targets:
            targets = ((self._truth(rows, columns) - self.mean) / self.scale).astype(np.float32)
        return text_examples(rows, columns, tokenizer, max_length, targets)

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """Squared error of each text's standardised number, shape (batch,)."""
        del class_weights
        from torch.nn import functional as F

        assert batch.targets is not None
        answers = model(**batch.inputs).logits.float().squeeze(-1)
        return F.mse_loss(answers, batch.targets, reduction="none")

    def mean_loss(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> float:
        """The mean squared error of the standardised numbers."""
        wrong = (self._numbers(outputs) - self._truth(rows, columns)) / self.spread
        return float((wrong**2).mean())

    def finished(self, model: "nn.Module") -> Self:
        """Fold the target's scale into the last layer; where it has no such layer the task goes on applying it."""
        from charter.models.folding import fold_scale

        if fold_scale(model, self.scale, self.mean):
            return replace(self, mean=0.0, scale=1.0)
        return self

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The number (1,) of each text, in the target's units."""
        del examples
        numbers = model(**batch.inputs).logits.double().cpu().numpy() * self.scale + self.mean
        return list(numbers.astype(np.float32))

    def settle(self, held_out: Callable[[SplitName], HeldOut], columns: Columns) -> Self:
        """The same task with the interval of an answer, by split conformal prediction (Lei et al. 2018, section 2.2).

        Its half width is the ceil((n + 1) coverage)-th smallest absolute error on the n calibration rows. With too few of
        them the validation rows, by which the checkpoint was chosen, are taken too; with too few still there is none.
        """
        for splits in (("calibration",), ("calibration", "validation")):
            parts = [held_out(split) for split in splits]  # type: ignore[arg-type]
            errors = np.concatenate(
                [np.abs(self._numbers(one.outputs) - self._truth(one.rows, columns)) for one in parts]
            )
            place = int(np.ceil((len(errors) + 1) * self.coverage))
            if place <= len(errors):
                said = f"the {' and '.join(splits)} split{'s' if len(splits) > 1 else ''}, {len(errors)} rows"
                return replace(self, half_width=float(np.sort(errors)[place - 1]), settled_on=said)
        return replace(self, half_width=None, settled_on="")

    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """`prediction`, and `low` and `high` of its interval (null where none could be fitted)."""
        del rows, columns
        numbers = self._numbers(outputs)
        half = self.half_width
        ends = [None if half is None else numbers + sign * half for sign in (-1, 1)]
        return pl.DataFrame(
            {"prediction": numbers}
            | {
                name: pl.Series([None] * len(numbers) if end is None else end, dtype=pl.Float64)
                for name, end in zip(("low", "high"), ends, strict=True)
            }
        )

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.float64]:
        """(n, 8): 1, absolute and squared error, and of the truth y and the answer p: y, p, y², p², yp."""
        y, p = self._truth(rows, columns), self._numbers(outputs)
        wrong = np.abs(p - y)
        return np.stack([np.ones(len(y)), wrong, wrong**2, y, p, y * y, p * p, y * p], axis=1)

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """MAE and RMSE in the target's units, R² and Pearson's correlation, as scikit-learn and scipy have them."""
        n, absolute, squared, y, p, yy, pp, yp = np.moveaxis(totals, -1, 0)
        around, told = yy - divided(y * y, n), pp - divided(p * p, n)
        shared = yp - divided(y * p, n)
        varies, moves = around > 1e-12 * yy, told > 1e-12 * pp  # less is rounding
        both = np.where(varies & moves, around * told, 0.0)
        return {
            ("r2", ""): 1 - divided(squared, np.where(varies, around, 0.0)),
            ("mae", ""): divided(absolute, n),
            ("rmse", ""): np.sqrt(divided(squared, n)),
            ("pearson", ""): divided(shared, np.sqrt(both)),
        }

    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """None of its scores is a share; all rest on all rows."""
        del tally
        return {}

    def ranking_scores(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, weights: NDArray[np.float64]
    ) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Spearman's rank correlation, ties at their mean rank."""
        found = rank_correlation(self._numbers(outputs), self._truth(rows, columns), weights)
        return {("spearman", ""): found}

    def intervals(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Intervals | None:
        """The conformal interval of each answer; None where too few rows were there to fit it."""
        if self.half_width is None:
            return None
        numbers = self._numbers(outputs)
        said = f"split conformal intervals (Lei et al. 2018), fitted on {self.settled_on}, to hold {self.coverage:g}"
        return Intervals(
            numbers - self.half_width,
            numbers + self.half_width,
            self._truth(rows, columns),
            self.coverage,
            said,
        )

    def picture(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mapping[str, Any]:
        """How many rows lie where, truth by prediction: counts in bins, no row's own number."""
        truth, told = self._truth(rows, columns), self._numbers(outputs)
        low, high = (float(end) for end in np.quantile(np.r_[truth, told], [0.005, 0.995]))
        if not high > low:
            low, high = low - self.spread, high + self.spread
        edges = np.linspace(low, high, BINS + 1)
        inside = np.clip(truth, low, high), np.clip(told, low, high)
        counts, _, _ = np.histogram2d(*inside, bins=(edges, edges))
        return {"kind": "density", "edges": edges.tolist(), "counts": counts.astype(int).tolist()}

    def baselines(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        columns: Columns,
        *,
        others: pl.DataFrame,
        seed: int,
    ) -> Sequence[baselines.Baseline]:
        """The training rows' mean, and ridge regression on TF-IDF."""
        del others
        truth = self._truth(train, columns)
        mean = np.asarray([truth.mean()], dtype=np.float32)

        def outputs() -> Outputs:
            told = baselines.tfidf_numbers(train, test, columns, truth, seed)
            return list(told.astype(np.float32)[:, None])

        trivial = baselines.Baseline("training_mean", [mean] * test.height)
        return [trivial, baselines.made(baselines.Cheap("tfidf_ridge", outputs))]

    def mistakes(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mistakes:
        """Texts whose number lies outside its interval (or, without one, over a standard deviation off), the furthest first."""
        wrong = np.abs(self._numbers(outputs) - self._truth(rows, columns))
        return Mistakes(wrong > (self.half_width or self.spread), wrong)

    def shown(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, masked: Masked
    ) -> list[dict[str, Any]]:
        """Texts with the true number and the answer."""
        texts = classwise.shown_texts(rows, columns, masked)
        numbers = zip(texts, self._truth(rows, columns), self._numbers(outputs), strict=True)
        return [
            {"text": text, "truth": f"{truth:.4g}", "answer": f"{told:.4g}"} for text, truth, told in numbers
        ]

    def _numbers(self, outputs: Outputs) -> NDArray[np.float64]:
        return np.asarray(outputs, dtype=np.float64).reshape(-1)

    def _truth(self, rows: pl.DataFrame, columns: Columns) -> NDArray[np.float64]:
        return np.asarray(rows[str(columns.target)].cast(pl.Float64).to_numpy(), dtype=np.float64)
