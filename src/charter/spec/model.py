"""The charter file as one frozen value. Every key that a charter may hold is here, with its default and its meaning.

The models check types and ranges. What needs the whole file (a target that is also an input, a plug-in's options) is
checked in `charter.spec.check`. The charter reference in `docs/` and the JSON Schema are made from these models.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from charter.spec.continual import Continual
from charter.spec.data import Data
from charter.spec.fields import Name, Section, Truth, Whole
from charter.spec.limits import Limit, parse_limit
from charter.spec.pretraining import Pretraining
from charter.spec.privacy import Privacy, problems
from charter.spec.training import Training
from charter.spec.use import Use


class Purpose(Section):
    """What the model is for, and whom it affects."""

    intended_use: str | None = Field(None, description="what the model is for, in a sentence")
    affected: str | None = Field(None, description="who is affected by its decisions")
    not_for: tuple[str, ...] = Field((), description="uses that are ruled out")
    risk: Literal["minimal", "limited", "high"] = Field(
        "limited", description="which evidence is demanded before release"
    )


class Model(Section):
    """The foundation model and what of it learns."""

    base: str | None = Field(
        None,
        min_length=1,
        description="sample:NAME, a local folder, a released bundle's folder, or a hub id; none where the model is new",
    )
    head: Literal["keep", "replace"] | None = Field(
        None,
        description="where the base is a released bundle of classification: keep its head, with rows for classes that are new, or "
        "replace it; null: keep it where the task is the same, and one of the two sets of classes holds the other",
    )
    allow_refused: Truth = Field(
        False, description="where the base is a bundle: start from a draft whose limits were not kept, too"
    )
    revision: str | None = Field(None, description="the hub revision (a commit) to load")
    architecture: Use | None = Field(
        None,
        description="a new model with random weights, in place of a base: {use: bert, hidden_size: 256, num_hidden_layers: 4}, a "
        "type of transformers' and keys of its config",
    )
    tokenizer: Use | None = Field(
        None,
        description="learned from the texts that are pre-trained on: {use: wordpiece, size: 8000}, bpe, unigram or "
        "characters for a new model; {use: extended, size: 1000} adds words to the base's own",
    )
    adapt: Use = Field(Use(use="full"), description="full, head, lora, bias or gradual")
    max_length: Whole = Field(
        128, ge=8, le=8192, description="tokens a text is cut at; cut texts are counted"
    )

    @model_validator(mode="after")
    def _begins(self) -> Self:
        if (self.base is None) == (self.architecture is None):
            both = (
                "give one of the two" if self.base else "one is missing: a base to start from, or a new model"
            )
            raise ValueError(f"base and architecture: {both}")
        if self.architecture is not None and (self.tokenizer is None or self.tokenizer.use == "extended"):
            raise ValueError(
                "a new model needs a tokenizer of its own, such as tokenizer: {use: wordpiece, size: 8000}"
            )
        if self.base is not None and self.tokenizer is not None and self.tokenizer.use != "extended":
            raise ValueError(
                f"tokenizer '{self.tokenizer.use}' numbers other pieces than the base has learned; a base keeps its own, or has it "
                "extended"
            )
        if self.revision is not None and self.base is None:
            raise ValueError(
                "revision: a revision is of a base on a hub, and a new model has none; remove the key"
            )
        return self

    @model_validator(mode="after")
    def _keeps_a_head(self) -> Self:
        if self.head == "keep" and self.base is None:
            raise ValueError("head: a new model has no head to keep; remove the key")
        if self.head == "keep" and self.tokenizer is not None:
            raise ValueError(
                "head: words are added to the encoder alone, so a bundle's head can't go on beside tokenizer; remove one of the two"
            )
        return self

    @property
    def begins_with(self) -> str:
        """The base, or what is new, in words."""
        if self.base is not None:
            return self.base
        return f"a new {self.architecture.use}" if self.architecture is not None else ""


class Release(Section):
    """What is released, and how it is signed."""

    formats: tuple[str, ...] = Field(
        ("safetensors",),
        min_length=1,
        description="forms of the released model, each judged by itself; the first one answers by default",
    )
    sign: str | None = Field(None, description="path of a private EC key (PEM) that signs the bundle")


class Report(Section):
    """What the report shows."""

    language: Literal["en", "zh"] = Field("en", description="the report's language")
    examples: Literal["masked"] | None = Field(
        None, description="'masked' shows misjudged test rows after masking"
    )


def _read_limit(value: Any) -> Any:
    if isinstance(value, str):
        return parse_limit(value)
    if (
        isinstance(value, Mapping)
        and set(value) <= {"limit", "judge"}
        and isinstance(value.get("limit"), str)
    ):
        judge = value.get("judge", "interval")
        if judge not in ("interval", "point"):
            raise ValueError(f"judge is {str(judge)[:40]!r}; accepted are 'interval' and 'point'")
        return parse_limit(value["limit"], judge)
    if isinstance(value, Limit):
        return value
    raise ValueError("a limit is text such as 'macro_f1 >= 0.65', or {limit: TEXT, judge: point}")


def _write_limit(limit: Limit) -> str | dict[str, str]:
    return str(limit) if limit.judge == "interval" else {"limit": str(limit), "judge": limit.judge}


_LIMIT_SCHEMA = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "properties": {
                "limit": {"type": "string", "minLength": 1},
                "judge": {"enum": ["interval", "point"]},
            },
            "required": ["limit"],
            "additionalProperties": False,
        },
    ]
}
LimitField = Annotated[
    Limit,
    BeforeValidator(_read_limit),
    WithJsonSchema(_LIMIT_SCHEMA),
    PlainSerializer(_write_limit, return_type=str | dict[str, str]),
]


APART = "what privacy excludes is told apart"
"""The validation context of a check that says each problem at its place itself."""


class Charter(Section):
    """One charter: what the model is for, whose data it learns from, how it learns, the limits it must keep."""

    name: Name = Field(description="the model's name; the bundle's folder is called so")
    purpose: Purpose = Field(Purpose(), description="what the model is for, and whom it affects")
    data: Data = Field(description="where the rows come from, what each column is, how they are split")
    model: Model = Field(description="the foundation model and what of it learns")
    pretraining: Pretraining | None = Field(
        None, description="what the base learns from texts without labels, before the task"
    )
    continual: Continual | None = Field(
        None,
        description="how a model goes on from a released bundle without forgetting, and what it leaves to the models after it",
    )
    task: Use = Field(
        description="what is predicted: classification, multi_label_classification, text_pair_classification, ordinal, "
        "regression, token_classification, question_answering, multiple_choice; or sentence_embedding, sentence_similarity; or "
        "masked_language_modelling, next_sentence_prediction, sentence_order_prediction, causal_language_modelling"
    )
    training: Training = Field(Training(), description="how the model learns")
    federation: dict[str, Any] | None = Field(None, description="not built yet")
    privacy: Privacy | None = Field(
        None, description="differential privacy: the budget and what it protects; null: none is promised"
    )
    audits: tuple[Use, ...] = Field(
        (Use(use="performance"), Use(use="calibration")), description="what is measured before release"
    )
    limits: tuple[LimitField, ...] = Field(
        (), description="judged on the interval's worse end unless judge: point"
    )
    release: Release = Field(Release(), description="what is released, and how it is signed")
    tracking: tuple[Use, ...] = Field(
        (), description="trackers that are told of the run: wandb, mlflow (TensorBoard always is)"
    )
    report: Report = Field(Report(), description="what the report shows")

    @model_validator(mode="before")
    @classmethod
    def _no_trial_is_stopped_under_privacy(cls, value: Any) -> Any:
        """A search's default, to stop trials early, is none beside a privacy budget; who asks for it is told."""
        if not isinstance(value, Mapping) or value.get("privacy") is None:
            return value
        training = value.get("training")
        search = training.get("search") if isinstance(training, Mapping) else None
        if not isinstance(training, Mapping) or not isinstance(search, Mapping) or "prune" in search:
            return value
        return {**value, "training": {**training, "search": {**search, "prune": None}}}

    @model_validator(mode="after")
    def _holds_under_privacy(self, info: ValidationInfo) -> Self:
        if info.context == APART:
            return self
        for _, message in problems(self.model_dump(mode="json")):
            raise ValueError(message)
        return self

    @property
    def data_id(self) -> str:
        """The data set's name across versions of its file."""
        return self.data.id or self.name

    @property
    def digest(self) -> str:
        """SHA-256 of the charter with its defaults filled in, as canonical JSON: formatting and comments don't count."""
        text = json.dumps(
            self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def _repr_html_(self) -> str:
        from html import escape

        from charter.spec.writing import written

        return f"<pre>{escape(written(self))}</pre>"
