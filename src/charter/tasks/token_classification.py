"""Named entities: a tag for each word, scored by whole entities as seqeval counts them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from charter.data.batch import IGNORED, Batch, Examples
from charter.data.columns import ROW, Columns
from charter.data.text import encode_words
from charter.errors import DataError
from charter.models.forward import read_at
from charter.tasks import classwise
from charter.tasks.baselines import Baseline
from charter.tasks.classification import inverse_frequencies
from charter.tasks.entities import Entity, as_iob2, entities, is_tag, shown_entities, split_words
from charter.tasks.scoring import divided, softmax
from charter.tasks.task import Confidences, Head, Masked, Mistakes, Outputs, ScoreName, Task
from charter.tasks.words import majority_tag, word_features

if TYPE_CHECKING:
    from torch import Tensor, nn

ENTITIES = pl.List(
    pl.Struct(
        {"label": pl.String, "start": pl.Int64, "end": pl.Int64, "text": pl.String, "probability": pl.Float64}
    )
)


def token_classification() -> Task:
    """Named entities, from words with tags (CoNLL; IOB, IOBES, BILOU) or from texts with spans."""
    return TokenClassification()


@dataclass(frozen=True)
class TokenClassification(Task):
    """Each word has a tag. Outputs are logits (words, classes); `labels` are O and B-, I- of each type (IOB2)."""

    labels: tuple[str, ...] = ()
    name: str = "token_classification"
    headline: ClassVar[str] = "micro_f1"
    averages: ClassVar[Mapping[str, str]] = {
        "macro_precision": "precision",
        "macro_recall": "recall",
        "macro_f1": "f1",
    }
    reads_words: ClassVar[bool] = True
    extends: ClassVar[bool] = True

    @property
    def head(self) -> Head:
        """A logit for each tag, of each token."""
        return Head("AutoModelForTokenClassification", self.labels)

    @property
    def types(self) -> tuple[str, ...]:
        """The types of entities."""
        return tuple(label[2:] for label in self.labels if label.startswith("B-"))

    def fit(self, rows: pl.DataFrame, columns: Columns) -> Self:
        """The task with the entity types found in `rows`, in sorted order.

        Raises:
            DataError: no lists of tags or spans; tags that are no IOB, IOBES or BILOU tags; no entity at all.
        """
        target = str(columns.target)
        kind = rows.schema[target]
        if len(columns.inputs) > 1:
            raise DataError("task token_classification reads one input; data.inputs names several")
        if not isinstance(kind, pl.List):
            raise DataError(
                f"task token_classification: column '{target}' must hold a list of tags per row, or a list of spans "
                "{start, end, label}; one class per row is task classification"
            )
        if isinstance(kind.inner, pl.Struct):
            found = rows[target].explode().drop_nulls().struct.field("label").unique().drop_nulls().to_list()
        else:
            tags = rows[target].explode().unique().drop_nulls().to_list()
            bad = sum(not is_tag(tag) for tag in tags)
            if bad:
                raise DataError(
                    f"task token_classification: {bad} of {len(tags)} kinds of tags in column '{target}' are neither O "
                    "nor a prefix (B-, I-, E-, S-, L-, U-) with a type, such as B-PER"
                )
            found = list({tag[2:] for tag in tags if tag != "O"})
        if not found:
            raise DataError(f"task token_classification: column '{target}' holds no entity at all")
        types = sorted(found)
        return replace(self, labels=("O", *(f"{prefix}-{one}" for one in types for prefix in "BI")))

    def extended(self, rows: pl.DataFrame, columns: Columns, earlier: Sequence[str]) -> Self:
        """As `fit`, with the tags `earlier` first, as they are."""
        found = self.fit(rows, columns).labels
        return replace(self, labels=(*earlier, *(one for one in found if one not in earlier)))

    def examples(
        self,
        rows: pl.DataFrame,
        columns: Columns,
        tokenizer: Any,
        max_length: int,
        *,
        with_targets: bool = True,
    ) -> Examples:
        """Encode rows for the model, in their order; only a word's first piece carries its tag."""
        words = [one.words for one in sentences_of(rows, columns)]
        encoded = encode_words(words, tokenizer, max_length)
        firsts = tuple(
            _first_pieces(owners, len(one)) for owners, one in zip(encoded.words, words, strict=True)
        )
        targets: tuple[NDArray[np.int64], ...] | None = None
        if with_targets:
            targets = tuple(
                _on_first_pieces(places, truth, len(ids))
                for places, truth, ids in zip(firsts, self.truth(rows, columns), encoded.ids, strict=True)
            )
        return Examples(
            ids=encoded.ids,
            targets=targets,
            rows=rows[ROW].to_numpy(),
            truncated=encoded.truncated,
            pad_id=int(tokenizer.pad_token_id),
            firsts=firsts,
        )

    def loss(self, model: "nn.Module", batch: Batch, class_weights: "Tensor | None" = None) -> "Tensor":
        """Mean cross-entropy over the words of each sentence, shape (batch,)."""
        from torch.nn import functional as F

        logits = read_at(model, batch.inputs, batch.read).logits.float()
        assert batch.targets is not None
        each = F.cross_entropy(
            logits.transpose(1, 2),
            batch.targets,
            weight=class_weights,
            ignore_index=IGNORED,
            reduction="none",
        )
        counted = (batch.targets != IGNORED).sum(dim=1).clamp(min=1)
        return each.sum(dim=1) / counted

    def balance(self, examples: Examples) -> NDArray[np.float32]:
        """(tags,) inverse frequencies of the tags, with mean 1 over the words."""
        tags = np.concatenate([np.asarray(one, dtype=np.int64) for one in examples.targets or ()])
        return inverse_frequencies(tags[tags != IGNORED], len(self.labels))

    def outputs(self, model: "nn.Module", batch: Batch, examples: Examples) -> list[NDArray[np.float32]]:
        """The logits (words, classes) of each sentence, read at each word's first piece."""
        logits = read_at(model, batch.inputs, batch.read).logits.float().cpu().numpy()
        assert examples.firsts is not None
        found = []
        for row, index in enumerate(batch.index.tolist()):
            firsts = examples.firsts[index]
            words = np.full((len(firsts), len(self.labels)), np.nan, dtype=np.float32)
            words[firsts >= 0] = logits[row, firsts[firsts >= 0]]
            found.append(words)
        return found

    def decode(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> pl.DataFrame:
        """`entities` of each row. start and end are characters of a text, or words where the row is a list of words.

        An entity's probability is the mean probability of its words' tags.
        """
        answers = []
        for sentence, output in zip(sentences_of(rows, columns), outputs, strict=True):
            shares = softmax(np.nan_to_num(np.asarray(output, dtype=np.float64))).max(axis=-1)
            answers.append(
                [
                    {
                        "label": one.label,
                        **_place(one, sentence),
                        "probability": float(shares[one.start : one.end].mean()),
                    }
                    for one in self._predicted(output)
                ]
            )
        return pl.DataFrame({"entities": pl.Series(answers, dtype=ENTITIES)})

    def tally(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> NDArray[np.int64]:
        """(n, 3 types + 2): entities rightly found, predicted, true, each per type; right words, words."""
        types = {one: number for number, one in enumerate(self.types)}
        counts = np.zeros((len(outputs), 3 * len(types) + 2), dtype=np.int64)
        for row, (output, truth) in enumerate(zip(outputs, self.truth(rows, columns), strict=True)):
            true = set(entities([self.labels[tag] for tag in truth]))
            predicted = set(self._predicted(output))
            for offset, found in enumerate((true & predicted, predicted, true)):
                for one in found:
                    counts[row, offset * len(types) + types[one.label]] += 1
            counts[row, -2] = (_best(output) == truth).sum()
            counts[row, -1] = len(truth)
        return counts

    def scores(self, totals: NDArray[np.float64]) -> Mapping[ScoreName, NDArray[np.float64]]:
        """Entity precision, recall and F1 per type, micro and macro, and word accuracy, from sums of tallies.

        As seqeval: micro over all entities; macro over the types that occur in truth or prediction, 0 where not defined.
        """
        right, predicted, true = np.split(totals[..., :-2], 3, axis=-1)
        found = classwise.micro_scores(right, predicted, true)
        found["accuracy", ""] = divided(totals[..., -2], totals[..., -1])
        return found | classwise.scores_by_class(self.types, right, predicted, true)

    def evidence(self, tally: NDArray[Any]) -> Mapping[ScoreName, Sequence[NDArray[np.float64]]]:
        """Words for accuracy; of each type and of all the true entities, the predicted ones, or both by half."""
        _, predicted, true = np.split(tally[:, :-2].astype(np.float64), 3, axis=1)
        found = classwise.micro_evidence(predicted, true)
        found["accuracy", ""] = (tally[:, -1].astype(np.float64),)
        return found | classwise.evidence_by_class(self.types, predicted, true)

    def confidences(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Confidences:
        """One decision per word that the model read."""
        truth = self.truth(rows, columns)
        flat = np.concatenate(
            [np.asarray(one, dtype=np.float64).reshape(-1, len(self.labels)) for one in outputs]
        )
        example = np.repeat(np.arange(len(truth)), [len(one) for one in truth]).astype(np.int64)
        read = ~np.isnan(flat[:, 0])
        return Confidences(flat[read], np.concatenate(truth)[read], example[read])

    def support(self, rows: pl.DataFrame, columns: Columns) -> Mapping[str, int]:
        """True entities of each type."""
        found = dict.fromkeys(self.types, 0)
        for truth in self.truth(rows, columns):
            for one in entities([self.labels[tag] for tag in truth]):
                found[one.label] += 1
        return found

    def baselines(
        self,
        train: pl.DataFrame,
        test: pl.DataFrame,
        columns: Columns,
        *,
        others: pl.DataFrame,
        seed: int,
    ) -> Sequence[Baseline]:
        """The commonest tag, and logistic regression on features of words."""
        del others
        truth = np.concatenate(self.truth(train, columns))
        asked = [one.words for one in sentences_of(test, columns)]
        trivial = majority_tag(truth, len(self.labels), asked)
        learned = [one.words for one in sentences_of(train, columns)]
        return [trivial, word_features(learned, truth, len(self.labels), asked, seed)]

    def mistakes(self, outputs: Outputs, rows: pl.DataFrame, columns: Columns) -> Mistakes:
        """Sentences whose entities are not all found, or which hold others; by the surest of their wrong words."""
        true = [entities([self.labels[tag] for tag in one]) for one in self.truth(rows, columns)]
        wrong = [set(one) != set(self._predicted(output)) for one, output in zip(true, outputs, strict=True)]
        told = self.confidences(outputs, rows, columns)
        surest = np.zeros(rows.height)
        np.maximum.at(surest, told.example[~told.came_true], told.stated[~told.came_true])
        return Mistakes(np.asarray(wrong, dtype=bool), surest)

    def shown(
        self, outputs: Outputs, rows: pl.DataFrame, columns: Columns, masked: Masked
    ) -> list[dict[str, Any]]:
        """Words with their true and their found entities."""
        sentences = [list(one.words) for one in sentences_of(rows, columns)]
        frame = pl.DataFrame({ROW: rows[ROW], "words": pl.Series(sentences, dtype=pl.List(pl.String))})
        return [
            shown_entities(
                words, entities([self.labels[tag] for tag in truth]), self._predicted(output), _sure(output)
            )
            for words, truth, output in zip(
                masked(frame, "words"), self.truth(rows, columns), outputs, strict=True
            )
        ]

    def _predicted(self, output: NDArray[np.float32]) -> list[Entity]:
        return entities([self.labels[tag] for tag in _best(output)])

    def truth(self, rows: pl.DataFrame, columns: Columns) -> list[NDArray[np.int64]]:
        """The true tag of each word of each row, as an index into `labels`."""
        index = {label: number for number, label in enumerate(self.labels)}
        target = str(columns.target)
        spans = isinstance(rows.schema[target].inner, pl.Struct)  # type: ignore[attr-defined]
        found = []
        for sentence, given in zip(sentences_of(rows, columns), rows[target].to_list(), strict=True):
            true = _covered(sentence.spans, given) if spans else entities(given)
            tags = as_iob2(true, len(sentence.words))
            try:
                found.append(np.asarray([index[tag] for tag in tags], dtype=np.int64))
            except KeyError:
                raise DataError(
                    f"column '{target}' has an entity type that the task was not fitted on"
                ) from None
        return found


@dataclass(frozen=True)
class Sentence:
    """The words of one row. `text` and `spans` (characters of each word) are empty where the row is a list of words."""

    words: tuple[str, ...]
    text: str
    spans: tuple[tuple[int, int], ...]


def sentences_of(rows: pl.DataFrame, columns: Columns) -> list[Sentence]:
    """The words of every row: as given, or split from its text."""
    values: Sequence[Any] = rows[columns.text].to_list()
    if rows.schema[columns.text] == pl.String:
        found = [(text, split_words(text)) for text in values]
        return [Sentence(words.words, text, words.spans) for text, words in found]
    return [Sentence(tuple(words), "", ()) for words in values]


def _covered(places: Sequence[tuple[int, int]], spans: Sequence[Mapping[str, Any]] | None) -> list[Entity]:
    """Spans of characters as spans of words: a word that a span touches is of it; of overlapping spans the first is kept."""
    found: list[Entity] = []
    taken = 0
    for span in sorted(spans or (), key=lambda one: (one["start"], -one["end"])):
        inside = [
            word for word, (start, end) in enumerate(places) if start < span["end"] and end > span["start"]
        ]
        if inside and inside[0] >= taken:
            found.append(Entity(span["label"], inside[0], inside[-1] + 1))
            taken = inside[-1] + 1
    return found


def _sure(output: NDArray[np.float32]) -> NDArray[np.float64]:
    """(words,) the probability of each word's tag."""
    if not len(output):
        return np.zeros(0)
    top: NDArray[np.float64] = softmax(np.nan_to_num(np.asarray(output, dtype=np.float64))).max(axis=-1)
    return top


def _best(output: NDArray[np.float32]) -> NDArray[np.int64]:
    """The tag of each word; O, the first label, for a word that the model never read."""
    if not len(output):
        return np.zeros(0, dtype=np.int64)
    best: NDArray[np.int64] = np.where(np.isnan(output[:, 0]), 0, np.asarray(output).argmax(axis=1))
    return best


def _place(one: Entity, sentence: Sentence) -> dict[str, Any]:
    if not sentence.spans:
        return {"start": one.start, "end": one.end, "text": " ".join(sentence.words[one.start : one.end])}
    start, end = sentence.spans[one.start][0], sentence.spans[one.end - 1][1]
    return {"start": start, "end": end, "text": sentence.text[start:end]}


def _first_pieces(owners: NDArray[np.int64], words: int) -> NDArray[np.int64]:
    """(words,) the first token of each word, -1 for a word without any; `owners` are the words that tokens belong to."""
    found = np.full(words, -1, dtype=np.int64)
    seen, places = np.unique(owners, return_index=True)
    found[seen[seen >= 0]] = places[seen >= 0]
    return found


def _on_first_pieces(firsts: NDArray[np.int64], truth: NDArray[np.int64], tokens: int) -> NDArray[np.int64]:
    """(tokens,) the tag of each word at its first token."""
    targets = np.full(tokens, IGNORED, dtype=np.int64)
    targets[firsts[firsts >= 0]] = truth[firsts >= 0]
    return targets
