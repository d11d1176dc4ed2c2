"""Heads on packed hidden states: what transformers' models compute after their encoder, through their own modules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from charter.models.encoders import ENCODERS
from charter.models.vocabulary import Words

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Head:
    """one_each: it reads one state of each sequence, that of its first token or the mean; else those of any tokens.

    last: of each sequence it reads the last token that is no padding token, as decoders do.
    logits: (model, hidden (positions, width)) -> (positions, classes).
    words: the same of a language model, before its last layer; None for other heads.
    """

    one_each: bool
    logits: Callable[[Any, "Tensor"], "Tensor"]
    words: Callable[[Any, "Tensor"], Words] | None = None
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


def _bert_words(model: Any, hidden: "Tensor") -> Words:
    head = model.cls.predictions
    return Words(head.transform(hidden), head.decoder)


def _roberta_words(model: Any, hidden: "Tensor") -> Words:
    from torch.nn import functional as F

    head = model.lm_head
    return Words(head.layer_norm(F.gelu(head.dense(hidden))), head.decoder)


def _gpt2_words(model: Any, hidden: "Tensor") -> Words:
    return Words(hidden, model.lm_head)


def _electra_words(model: Any, hidden: "Tensor") -> Words:
    return Words(model.generator_predictions(hidden), model.generator_lm_head)


def _electra_replaced(model: Any, hidden: "Tensor") -> "Tensor":
    return model.discriminator_predictions(hidden)  # type: ignore[no-any-return]


def _distilbert_words(model: Any, hidden: "Tensor") -> Words:
    return Words(
        model.vocab_layer_norm(model.activation(model.vocab_transform(hidden))), model.vocab_projector
    )


def _modernbert_words(model: Any, hidden: "Tensor") -> Words:
    return Words(model.head(hidden), model.decoder)


def _none(model: Any, hidden: "Tensor") -> "Tensor":
    """A base by itself: its last hidden states, which a task pools."""
    del model
    return hidden


def _of_words(words: Callable[[Any, "Tensor"], Words]) -> Head:
    return Head(False, lambda model, hidden: words(model, hidden).logits(), words)


def _table() -> dict[str, Head]:
    found: dict[str, Head] = {}
    for family in ("Bert", "Roberta", "XLMRoberta", "Camembert", "Electra"):
        found[f"{family}ForSequenceClassification"] = Head(True, _bert if family == "Bert" else _roberta)
        found[f"{family}ForTokenClassification"] = Head(False, _tokens)
        found[f"{family}ForQuestionAnswering"] = Head(False, _answers)
        found[f"{family}ForMultipleChoice"] = Head(True, _electra_choices if family == "Electra" else _bert)
        found[f"{family}ForMaskedLM"] = _of_words(_roberta_words)
    found["BertForMaskedLM"] = _of_words(_bert_words)
    found["BertForPreTraining"] = _of_words(_bert_words)
    found["ElectraForPreTraining"] = Head(False, _electra_replaced)
    found["ElectraForMaskedLM"] = _of_words(_electra_words)
    found["DistilBertForMaskedLM"] = _of_words(_distilbert_words)
    found["ModernBertForMaskedLM"] = _of_words(_modernbert_words)
    found["GPT2LMHeadModel"] = _of_words(_gpt2_words)
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
