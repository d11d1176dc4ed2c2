"""Extractive question answering: the words of a text that answer a question about it, or that there are none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from charter.data.answers import PLACES
from charter.data.batch import IGNORED, Batch, Examples
from charter.data.columns import ROW, SPLIT, Columns, Form, SplitName
from charter.data.windows import encode_windows
from charter.errors import DataError
from charter.tasks import classwise
from charter.tasks.answer_scoring import Scoring, is_chinese, rightness
from charter.tasks.baselines import Baseline
from charter.tasks.passages import Passages
from charter.tasks.scoring import divided, softmax
from charter.tasks.spans import best_spans, merged, targets_in_windows
from charter.tasks.task import Confidences, Head, HeldOut, Masked, Mistakes, Outputs, ScoreName, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

CANDIDATES = 20
"""Spans that are kept of each text, as SQuAD's scripts do: among them the probability of the answer is shared out."""
FEWEST_OF_EACH = 10
"""With fewer questions with (or without) an answer no threshold is fitted."""
NEVER = -1e9
FORM = Form("answers", every_input=True)


def question_answering(
    *,
    stride: Annotated[
        int, Field(ge=0, description="tokens that neighbouring windows of a long text share")
    ] = 128,
    max_answer_tokens: Annotated[int, Field(ge=1, description="the longest answer, in tokens")] = 30,
    scoring: Annotated[
        Literal["auto", "squad", "cmrc2018"],
        Field(description="whose exact match and F1; auto: cmrc2018 for Chinese texts, else squad"),
    ] = "auto",
) -> Task:
    """The words of a text that answer a question: inputs are the question and the text, in that order."""
    return QuestionAnswering(stride=stride, max_answer_tokens=max_answer_tokens, scoring=scoring)


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """Outputs are candidates (1 + spans, 3): start and end in characters, and a logit; the first says "no answer".

    unanswerable: whether training rows without an answer were seen; else one is always given. threshold: how much likelier
    than the best span "no answer" must be, in logits, to be the answer. fitted_scoring: whose metrics, once texts are known.
    """

    stride: int = 128
    max_answer_tokens: int = 30
    scoring: str = "auto"
    labels: tuple[str, ...] = ()
    name: str = "question_answering"
    unanswerable: bool = False
    threshold: float = 0.0
    fitted_scoring: Scoring = "squad"
    headline: ClassVar[str] = "answer_f1"
    extends: ClassVar[bool] = True

    @property
    def form(self) -> Form:
        """Answers as places in the text; question and text must both be there."""
        return FORM

    @property
    def head(self) -> Head:
        """A logit of the start and one of the end, of each token."""
        return Head("AutoModelForQuestionAnswering", ("start", "end"))

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task, told by the training rows whether questions may be without an answer, and by the texts whose metrics.

        Raises:
            DataError: not two inputs of texts; no answers; no training row has one.
        """
        if len(columns.inputs) != 2:
            raise DataError(
                f"task {self.name}: data.inputs names {len(columns.inputs)} column(s); the question and the text are two"
            )
        target = str(columns.target)
        if rows.schema[target] != PLACES:
            raise DataError(f"task {self.name}: column '{target}' holds no answers")
        train = rows.filter(pl.col(SPLIT) == "train") if SPLIT in rows.columns else rows
        counts = train[target].list.len()
        if not (counts > 0).any():
            raise DataError(f"task {self.name}: no training row has an answer in column '{target}'")
        chinese = is_chinese(rows[columns.spanned].head(2000).to_list())
        found: Scoring = "cmrc2018" if chinese else "squad"
        if self.scoring != "auto":
            found = "squad" if self.scoring == "squad" else "cmrc2018"
        return replace(self, unanswerable=bool((counts == 0).any()), fitted_scoring=found)

    def extended(self, rows: pl.DataFrame, columns: Columns, earlier: Sequence[str]) -> Self:
        """As `fit`: its head is the same for all data."""
        del earlier
        return self.fit(rows, columns)

    def examples(
        self,
        rows: pl.DataFrame,
        columns: Columns,
        tokenizer: Any,
        max_length: int,
        *,
        with_targets: bool = True,
    ) -> Examples:
        """Encode rows, each as one sequence or as several windows; nothing of a text is cut, only overlong questions."""
        question, text = columns.inputs
        encoded = encode_windows(
            rows[question].to_list(), rows[text].to_list(), tokenizer, max_length, self.stride
        )
        targets = targets_in_windows(rows[str(columns.target)].to_list(), encoded) if with_targets else None
        return Examples(
            ids=encoded.ids,
            targets=targets,
            rows=rows[ROW].to_numpy(),
            truncated=encoded.truncated,
            pad_id=int(tokenizer.pad_token_id),
            types=encoded.types,
            sizes=encoded.sizes,
            places=encoded.places,
            nothing=encoded.nothing,
        )

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """Cross-entropy of start and end, their mean, then the mean over a text's windows, shape (batch,).

        A window that does not hold the whole answer points at the token that stands for none (Devlin et al. 2019).
        """
        import torch
        from torch.nn import functional as F

        del class_weights
        told = model(**batch.inputs)
        assert batch.targets is not None and batch.sizes is not None
        pairs = batch.targets[batch.targets != IGNORED].reshape(-1, 2)
        each = sum(
            F.cross_entropy(logits.float().masked_fill(batch.inputs["attention_mask"] == 0, NEVER), pairs[:, side],
                            reduction="none")
            for side, logits in enumerate((told.start_logits, told.end_logits))
        ) / 2  # fmt: skip
        sizes = batch.sizes.to(pairs.device)
        owner = torch.repeat_interleave(torch.arange(len(sizes), device=pairs.device), sizes)
        return torch.zeros(len(sizes), device=pairs.device).index_add(0, owner, torch.as_tensor(each)) / sizes

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The likeliest spans (1 + spans, 3) of each text over all its windows."""
        told = model(**batch.inputs)
        start, end = (one.float().cpu().numpy() for one in (told.start_logits, told.end_logits))
        assert examples.places is not None and examples.nothing is not None and examples.sizes is not None
        sequences = list(examples.sequences(batch.index.numpy()))
        found: list[NDArray[np.float32]] = []
        at = 0
        for index in batch.index.tolist():
            parts, none = [], np.inf
            for row in range(at, at + int(examples.sizes[index])):
                places, nothing = examples.places[sequences[row]], examples.nothing[sequences[row]]
                parts.append(best_spans(start[row], end[row], places, self.max_answer_tokens, CANDIDATES))
                none = min(none, float(start[row, nothing] + end[row, nothing]))
            at += int(examples.sizes[index])
            found.append(merged(none, parts, CANDIDATES))
        return found

    def tempered(self, outputs: Outputs, temperature: float) -> Outputs:
        """The same with logits divided by `temperature`; places stay."""
        divisor = np.asarray([1, 1, temperature], dtype=np.float32)
        return [np.asarray(one, dtype=np.float32) / divisor for one in outputs]

    def settle(self, held_out: Callable[[SplitName], HeldOut], columns: Columns) -> Self:
        """The same task with the threshold of "no answer" at which F1 is highest on the calibration rows.

        With too few of either kind there, the validation rows are taken too; with too few still it stays where the model
        says "no answer" likelier than any span. As in SQuAD's script, but half way to the next row instead of at a row.
        """
        if not self.unanswerable:
            return self
        for splits in (("calibration",), ("calibration", "validation")):
            parts = [held_out(split) for split in splits]  # type: ignore[arg-type]
            rows = pl.concat([one.rows for one in parts])
            answered = rows[str(columns.target)].list.len().to_numpy() > 0
            if min(answered.sum(), (~answered).sum()) >= FEWEST_OF_EACH:
                outputs = [output for one in parts for output in one.outputs]
                return replace(self, threshold=self._best_threshold(outputs, rows, columns))
        return self

    def _best_threshold(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> float:
        """Rows in the order in which they would be answered as the threshold rises; the sum of F1 is highest where?"""
        said = [self._text(text, one[1:2]) for text, one in zip(rows[columns.spanned], outputs, strict=True)]
        gain = np.asarray(
            [
                rightness(answer, truths, self.fitted_scoring).f1 - float(not truths)
                for answer, truths in zip(said, self._truths(rows, columns), strict=True)
            ]
        )
        margin = np.asarray([_margin(one) for one in outputs])
        order = np.argsort(margin, kind="stable")
        ordered = margin[order]
        total = np.cumsum(gain[order])
        ends = np.flatnonzero(np.r_[np.diff(ordered) > 0, True])  # rows of one margin are answered together
        best = ends[total[ends].argmax()]
        if total[best] <= 0:
            return float(ordered[0]) - 1.0
        after = ordered[best + 1] if best + 1 < len(ordered) else ordered[best] + 1.0
        return float(ordered[best] + after) / 2

    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """`answer` (null: there is none), its `start` and `end` in the text, and its `probability`."""
        chosen = self._chosen(outputs)
        shares = self._shares(outputs)
        texts = rows[columns.spanned].to_list()
        answers: list[dict[str, Any]] = []
        for row, (one, place) in enumerate(zip(outputs, chosen, strict=True)):
            start, end = (int(side) for side in one[place, :2])
            known = place > 0
            answers.append(
                {
                    "answer": texts[row][start:end] if known else None,
                    "start": start if known else None,
                    "end": end if known else None,
                    "probability": float(shares[row, place]),
                }
            )
        schema = {"answer": pl.String, "start": pl.Int64, "end": pl.Int64, "probability": pl.Float64}
        return pl.DataFrame(answers, schema=schema)

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.float64]:
        """(n, 6): 1, exact, F1; and of questions that have an answer 1, exact, F1."""
        found = np.zeros((len(outputs), 6))
        truths = self._truths(rows, columns)
        for row, (answer, known) in enumerate(
            zip(self._answers(outputs, rows, columns), truths, strict=True)
        ):
            right = rightness(answer, known, self.fitted_scoring)
            found[row, :3] = 1.0, right.exact, right.f1
            if known:
                found[row, 3:] = found[row, :3]
        return found

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Exact match and F1; where questions may be without an answer, also of those with one, and how many without are told."""
        n, exact, f1, known, known_exact, known_f1 = np.moveaxis(totals, -1, 0)
        found = {("answer_f1", ""): divided(f1, n), ("exact_match", ""): divided(exact, n)}
        if not self.unanswerable:
            return found
        return found | {
            ("has_answer_f1", ""): divided(known_f1, known),
            ("has_answer_exact_match", ""): divided(known_exact, known),
            ("no_answer_accuracy", ""): divided(exact - known_exact, n - known),
        }

    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """The questions that each score is the mean over."""
        rows, known = tally[:, 0], tally[:, 3]
        return {
            ("answer_f1", ""): (rows,),
            ("exact_match", ""): (rows,),
            ("has_answer_f1", ""): (known,),
            ("has_answer_exact_match", ""): (known,),
            ("no_answer_accuracy", ""): (rows - known,),
        }

    def confidences(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Confidences:
        """One decision per question: that the answer given is exactly right."""
        chosen = self._chosen(outputs)

        def link(logits: NDArray[np.float64]) -> NDArray[np.float64]:
            sure = softmax(logits)[np.arange(len(chosen)), chosen]
            return np.stack([1 - sure, sure], axis=1)

        right = self.tally(outputs, rows, columns)[:, 1].astype(np.int64)
        each = np.arange(len(outputs), dtype=np.int64)
        ones = np.ones(len(outputs), dtype=np.int64)
        return Confidences(self._logits(outputs), right, each, link=link, answer=ones)

    def baselines(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        columns: Columns,
        *,
        others: pl.DataFrame,
        seed: int,
    ) -> Sequence[Baseline]:
        """No answer at all; and the rarest words of the sentence that shares most with the question."""
        del others, seed
        learned = Passages.of(train[columns.spanned].to_list())
        question, text = columns.inputs
        asked, read = test[question].to_list(), test[text].to_list()
        cheap = [learned.answer(one, other) for one, other in zip(asked, read, strict=True)]
        nothing = merged(0.0, [], 0)
        return [
            Baseline("no_answer", [nothing] * test.height),
            Baseline("lexical_overlap", [merged(-1e6, [one[None]], 1) for one in cheap]),
        ]

    def mistakes(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mistakes:
        """Questions whose answer is not exactly right, by the probability of what was answered."""
        told = self.confidences(outputs, rows, columns)
        return Mistakes(told.truth == 0, told.stated)

    def shown(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, masked: Masked
    ) -> list[dict[str, Any]]:
        """Questions and texts with the right answer and the one given; "" where there is none."""
        truths = [next(iter(one), "") for one in self._truths(rows, columns)]
        frame = rows.select(ROW).with_columns(
            pl.Series("truth", truths, dtype=pl.String),
            pl.Series("answer", self._answers(outputs, rows, columns), dtype=pl.String),
        )
        sides = zip(*(masked(frame, side) for side in ("truth", "answer")), strict=True)
        shares = self._shares(outputs)[np.arange(len(outputs)), self._chosen(outputs)]
        texts = classwise.shown_texts(rows, columns, masked)
        return [
            {
                "text": text,
                "truth": truth or "",
                "answer": answer or "",
                "probability": round(float(share), 4),
            }
            for text, (truth, answer), share in zip(texts, sides, shares, strict=True)
        ]

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that the task was made with."""
        return {"stride": self.stride, "max_answer_tokens": self.max_answer_tokens, "scoring": self.scoring}

    @property
    def fitted(self) -> Mapping[str, Any]:
        """Whether there may be no answer, from when on that is said, and whose metrics are counted."""
        return {
            "unanswerable": self.unanswerable,
            "threshold": self.threshold,
            "scoring": self.fitted_scoring,
        }

    def with_fitted(self, fitted: Mapping[str, Any]) -> Self:
        """The same task with what `fitted` told."""
        return replace(
            self,
            unanswerable=bool(fitted["unanswerable"]),
            threshold=float(fitted["threshold"]),
            fitted_scoring=fitted["scoring"],
        )

    def _logits(self, outputs: Outputs) -> NDArray[np.float64]:
        """(n, 1 + CANDIDATES) the logit of each candidate; "no answer" can't be where none was seen without."""
        found = np.full((len(outputs), 1 + CANDIDATES), NEVER)
        for row, one in enumerate(outputs):
            found[row, : len(one)] = one[:, 2]
            if not self.unanswerable and len(one) > 1:
                found[row, 0] = NEVER
        return found

    def _shares(self, outputs: Outputs) -> NDArray[np.float64]:
        return softmax(self._logits(outputs))

    def _chosen(self, outputs: Outputs) -> NDArray[np.int64]:
        """(n,) the candidate that is answered: 0 for none, 1 for the best span."""
        bound = self.threshold if self.unanswerable else np.inf
        return np.asarray(
            [len(one) > 1 and (not self.unanswerable or _margin(one) <= bound) for one in outputs],
            dtype=np.int64,
        )

    def _answers(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> list[str]:
        """The answers in words, "" for none."""
        chosen = self._chosen(outputs)
        texts = rows[columns.spanned].to_list()
        return [
            self._text(text, one[1:2] if place else one[:0])
            for text, one, place in zip(texts, outputs, chosen, strict=True)
        ]

    @staticmethod
    def _text(text: str, span: NDArray[np.float32]) -> str:
        return text[int(span[0, 0]) : int(span[0, 1])] if len(span) else ""

    @staticmethod
    def _truths(rows: pl.DataFrame, columns: Columns) -> list[list[str]]:
        """The right answers of each question, in words; none where it has none."""
        pairs = zip(rows[columns.spanned].to_list(), rows[str(columns.target)].to_list(), strict=True)
        return [[text[one["start"] : one["end"]] for one in places] for text, places in pairs]


def _margin(one: NDArray[np.float32]) -> float:
    """How much likelier "no answer" is than the best span, in logits."""
    return float(one[0, 2]) - float(one[1, 2]) if len(one) > 1 else float("inf")
