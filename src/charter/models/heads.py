"""Heads on packed hidden states: what transformers' models compute after their encoder, through their own modules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from charter.models.encoders import ENCODERS

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Head:
    """one_each: it reads one state of each sequence, that of its first token or the mean; else those of any tokens.

    last: of each sequence it reads the last token that is no padding token, as decoders do.
    logits: (model, hidden (positions, width)) -> (positions, classes).
    """

    one_each: bool
    logits: Callable[[Any, "Tensor"], "Tensor"]
    last: bool = False


def _bert(model: Any, hidden: "Tensor") -> "Tensor":
    return model.classifier(model.dropout(model.base_model.pooler(hidden[:, None])))  # type: ignore[no-any-return]


def _roberta(model: Any, hidden: "Tensor") -> "Tensor":
    return model.classifier(hidden[:, None])  # type: ignore[no-any-return]


def _distilbert(model: Any, hidden: "Tensor") -> "Tensor":
    return model.classifier(model.dropout(model.pre_classifier(hidden).relu()))  # type: ignore[no-any-return]


def _modernbert(model: Any, hidden: "Tensor") -> "Tensor":
    return model.classifier(model.drop(model.head(hidden)))  # type: ignore[no-any-return]


def _tokens(model: Any, hidden: "Tensor") -> "Tensor":
    return model.classifier(model.dropout(hidden))  # type: ignore[no-any-return]


def _answers(model: Any, hidden: "Tensor") -> "Tensor":
    return model.qa_outputs(hidden)  # type: ignore[no-any-return]


def _distilbert_answers(model: Any, hidden: "Tensor") -> "Tensor":
    return model.qa_outputs(model.dropout(hidden))  # type: ignore[no-any-return]


def _electra_choices(model: Any, hidden: "Tensor") -> "Tensor":
    return model.classifier(model.sequence_summary(hidden[:, None]))  # type: ignore[no-any-return]


def _score(model: Any, hidden: "Tensor") -> "Tensor":
    return model.score(hidden)  # type: ignore[no-any-return]


def _bert_words(model: Any, hidden: "Tensor") -> "Tensor":
    return model.cls(hidden)  # type: ignore[no-any-return]


def _lm_head(model: Any, hidden: "Tensor") -> "Tensor":
    return model.lm_head(hidden)  # type: ignore[no-any-return]


def _electra_words(model: Any, hidden: "Tensor") -> "Tensor":
    return model.generator_lm_head(model.generator_predictions(hidden))  # type: ignore[no-any-return]


def _distilbert_words(model: Any, hidden: "Tensor") -> "Tensor":
    inner = model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
    return model.vocab_projector(inner)  # type: ignore[no-any-return]


def _modernbert_words(model: Any, hidden: "Tensor") -> "Tensor":
    return model.decoder(model.head(hidden))  # type: ignore[no-any-return]


def _none(model: Any, hidden: "Tensor") -> "Tensor":
    """A base by itself: its last hidden states, which a task pools."""
    del model
    return hidden


def _table() -> dict[str, Head]:
    found: dict[str, Head] = {}
    for family in ("Bert", "Roberta", "XLMRoberta", "Camembert", "Electra"):
        found[f"{family}ForSequenceClassification"] = Head(True, _bert if family == "Bert" else _roberta)
        found[f"{family}ForTokenClassification"] = Head(False, _tokens)
        found[f"{family}ForQuestionAnswering"] = Head(False, _answers)
        found[f"{family}ForMultipleChoice"] = Head(True, _electra_choices if family == "Electra" else _bert)
        found[f"{family}ForMaskedLM"] = Head(False, _lm_head)
    found["BertForMaskedLM"] = Head(False, _bert_words)
    found["ElectraForMaskedLM"] = Head(False, _electra_words)
    found["DistilBertForMaskedLM"] = Head(False, _distilbert_words)
    found["ModernBertForMaskedLM"] = Head(False, _modernbert_words)
    found["GPT2LMHeadModel"] = Head(False, _lm_head)
    found["GPT2ForSequenceClassification"] = Head(True, _score, last=True)
    found["GPT2ForTokenClassification"] = Head(False, _tokens)
    found["DistilBertForSequenceClassification"] = Head(True, _distilbert)
    found["DistilBertForTokenClassification"] = Head(False, _tokens)
    found["DistilBertForQuestionAnswering"] = Head(False, _distilbert_answers)
    found["DistilBertForMultipleChoice"] = Head(True, _distilbert)
    found["ModernBertForSequenceClassification"] = Head(True, _modernbert)
    found["ModernBertForTokenClassification"] = Head(False, _modernbert)
    found["ModernBertForQuestionAnswering"] = Head(False, _modernbert)
    found["ModernBertForMultipleChoice"] = Head(True, _modernbert)
    return found | {base: Head(False, _none) for base in ENCODERS}


HEADS: Mapping[str, Head] = MappingProxyType(_table())
"""transformers' class of a model -> its head; a base has none."""
