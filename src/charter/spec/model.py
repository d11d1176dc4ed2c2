"""The charter file as one frozen value. Every key that a charter may hold is here, with its default and its meaning.

The models check types and ranges. What needs the whole file (a target that is also an input, a plug-in's options) is
checked in `charter.spec.check`. The charter reference in `docs/` and the JSON Schema are made from these models.
"""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from charter.spec.fields import Count, Fraction, Number, Section, Truth, Whole
from charter.spec.limits import Limit, parse_limit
from charter.spec.search import Search

Name = Annotated[
    str, Field(pattern=r"^[\w][\w.\-]{0,79}$", description="letters of any script, digits, and . _ - inside")
]
Column = Annotated[str, Field(min_length=1, pattern=r"^_?([^_].*)?$")]
Modality = str


class Use(BaseModel):
    """A plug-in and its options, written `{use: NAME, option: value}`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    use: str = Field(min_length=1, description="the plug-in's name")

    @property
    def options(self) -> Mapping[str, Any]:
        """The options as written; the plug-in's signature checks them and fills in the rest."""
        return MappingProxyType(dict(self.__pydantic_extra__ or {}))

    @model_serializer
    def _written(self) -> dict[str, Any]:
        return {"use": self.use, **self.options}


class Purpose(Section):
    """What the model is for, and whom it affects."""

    intended_use: str | None = Field(None, description="what the model is for, in a sentence")
    affected: str | None = Field(None, description="who is affected by its decisions")
    not_for: tuple[str, ...] = Field((), description="uses that are ruled out")
    risk: Literal["minimal", "limited", "high"] = Field(
        "limited", description="which evidence is demanded before release"
    )


class Split(Section):
    """How rows are divided: fractions, a column that says it, or an order in time.

    With named files in `data.source` the published parts stay as they are, and a fraction given here is taken from
    the training rows only.
    """

    test: Fraction | None = Field(None, description="share of rows for the test split (default 0.15)")
    validation: Fraction | None = Field(
        None, description="share for early stopping and choices (default 0.10)"
    )
    calibration: Fraction | None = Field(None, description="share for temperature scaling (default 0.05)")
    column: Column | None = Field(None, description="column holding train, validation, calibration or test")
    time: Column | None = Field(None, description="column to order by: the newest rows become the test split")
    stratify: Truth = Field(True, description="keep the target's balance in every split")
    similarity: Number = Field(
        0.8,
        gt=0,
        le=1,
        description="texts at least this similar (Jaccard of character 5-grams) stay on one side",
    )
    seed: Whole = Field(7, ge=0, description="seed of the split")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        fractions = [value for value in (self.test, self.validation, self.calibration) if value is not None]
        if self.column is not None and (self.time is not None or fractions):
            raise ValueError("a split by 'column' takes no fractions and no 'time': the column says it all")
        if sum(fractions) >= 1:
            raise ValueError(f"the fractions add up to {sum(fractions):g}: nothing is left to train on")
        return self


WHERE = ("path", "url")
"""The keys of a source with options that say where it is: a path or glob, or a database's URL. They are no options."""


def _form(value: Any) -> str:
    """Which form of a source is meant, by its kind, so that a problem is told of that form only."""
    if isinstance(value, Use) or (isinstance(value, dict) and "use" in value):
        return "[use]"
    return "[parts]" if isinstance(value, dict) else "[place]"


_Named = Annotated[str, Field(min_length=1), Tag("[place]")]
_Told = Annotated[Use, Tag("[use]")]
Place = Annotated[
    _Named | _Told, Discriminator(lambda value: "[place]" if _form(value) == "[place]" else "[use]")
]
"""Where rows are: a location such as `reviews.csv`, or `{use: SOURCE, path: LOCATION, option: value}`."""
Published = Annotated[dict[Literal["train", "validation", "calibration", "test"], Place], Field(min_length=1)]
Source = Annotated[_Named | _Told | Annotated[Published, Tag("[parts]")], Discriminator(_form)]


def place_text(place: str | Use) -> str:
    """A place as people read it, on one line."""
    if isinstance(place, str):
        return place
    where = next((str(place.options[key]) for key in WHERE if key in place.options), "")
    rest = ", ".join(f"{key} {value}" for key, value in place.options.items() if key not in WHERE)
    return f"{place.use}:{where}" + (f" ({rest})" if rest else "")


Key = Annotated[
    Annotated[str, Field(min_length=1), Tag("[column]")]
    | Annotated[dict[str, str], Field(min_length=1, max_length=1), Tag("[columns]")],
    Discriminator(lambda value: "[columns]" if isinstance(value, dict) else "[column]"),
]


class Join(Section):
    """A table whose columns are added to the rows of `data.source`, by a key that each of its rows has to itself.

    Every row of the source finds one row here or none: nothing is ever doubled.
    """

    source: Place = Field(description="the table to look up in; written as data.source is, without parts")
    on: Key = Field(description="the key: a column of both, or {COLUMN OF THE SOURCE: COLUMN HERE}")
    columns: tuple[Column, ...] = Field(
        (), description="columns to take from here; default: those with a role that the source lacks"
    )
    unmatched: Literal["reject", "keep"] = Field(
        "reject", description="a row without partner is rejected, or kept with empty cells"
    )

    @property
    def keys(self) -> tuple[str, str]:
        """The key's column in the source, and here."""
        if isinstance(self.on, str):
            return self.on, self.on
        return next(iter(self.on.items()))


Target = Annotated[
    Annotated[Column, Tag("[column]")] | Annotated[tuple[Column, ...], Field(min_length=2), Tag("[columns]")],
    Discriminator(lambda value: "[columns]" if isinstance(value, list | tuple) else "[column]"),
]


class Data(Section):
    """Where the rows come from, what each column is, and how they are prepared and split."""

    source: Source = Field(
        description="sample:NAME, a path or glob (csv, tsv, json, jsonl, parquet, conll, xlsx; packed too), a folder of "
        "documents, sql:URL#TABLE, hf:ID, {use: SOURCE, path: LOCATION, option: value}, "
        "or {train: ..., validation: ..., test: ...} for published splits"
    )
    join: tuple[Join, ...] = Field(
        (), description="further tables whose columns are added to the rows, each by a key"
    )
    inputs: Annotated[dict[Column, Modality], Field(min_length=1)] = Field(description="column -> modality")
    target: Target | None = Field(
        None,
        description="the column to predict; for several labels also the columns of 0 and 1, one per label; none only for a "
        "task that predicts nothing (sentence_embedding)",
    )
    id: Name | None = Field(
        None, description="names the data set across versions of the file; default: the charter's name"
    )
    groups: tuple[Column, ...] = Field(
        (), description="columns that audits read by group; never a model input"
    )
    subject: Column | None = Field(
        None,
        description="column naming the person a row is about: never split apart, read as codes, stored nowhere",
    )
    public: Truth = Field(False, description="true: nobody's privacy is at stake")
    licence: str | None = Field(None, description="the data's licence")
    datasheet: str | None = Field(
        None, min_length=1, description="a YAML file with a person's answers to the datasheet's questions"
    )
    encoding: str = Field(
        "utf-8",
        description="text encoding of csv, tsv, json, jsonl, conll, txt, md and html files, such as gb18030",
    )
    max_rows: Count | None = Field(
        None, description="learn from a random sample of so many rows (split.seed)"
    )
    max_bad_rows: Number = Field(
        0.01, ge=0, le=1, description="share of unreadable rows above which the run stops"
    )
    engine: Literal["local", "ray"] = Field(
        "local",
        description="where chunks of rows are prepared: in this process, or on a Ray cluster; the result is the same",
    )
    prepare: tuple[Use, ...] = Field(
        (Use(use="repair_text"), Use(use="normalise_label"), Use(use="drop_exact_duplicates")),
        description="preparations, in order",
    )
    split: Split = Field(Split(), description="how rows are divided")

    @property
    def targets(self) -> tuple[str, ...]:
        """The column to predict, or the columns of 0 and 1 that together are it; none where nothing is predicted."""
        return (self.target,) if isinstance(self.target, str) else self.target or ()


class Model(Section):
    """The foundation model and what of it learns."""

    base: str = Field(min_length=1, description="sample:NAME, a local folder, or a hub id")
    revision: str | None = Field(None, description="the hub revision (a commit) to load")
    adapt: Use = Field(Use(use="full"), description="full, head, lora or bias")
    max_length: Whole = Field(
        128, ge=8, le=8192, description="tokens a text is cut at; cut texts are counted"
    )


class Training(Section):
    """How the model learns."""

    epochs: Whole = Field(3, ge=1, le=1000, description="how often every training row is seen")
    batch_size: Whole = Field(32, ge=1, le=65536, description="examples per update")
    tokens_per_batch: Count | None = Field(
        None, description="about so many tokens per update, in place of batch_size"
    )
    micro_batch_size: Count | None = Field(
        None, description="examples per pass, when a batch needs too much memory"
    )
    learning_rate: Number = Field(5e-5, gt=0, le=10, description="peak of the learning rate")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="decay after warm-up")
    warmup: Number = Field(0.06, ge=0, lt=1, description="share of updates with a rising rate")
    weight_decay: Number = Field(
        0.01, ge=0, description="weight decay of AdamW; biases and norms are left out"
    )
    max_grad_norm: Annotated[Number, Field(gt=0)] | None = Field(
        1.0, description="gradient clipping; null: none"
    )
    class_weights: Literal["balanced"] | None = Field(None, description="weigh classes by inverse frequency")
    early_stopping: Count | None = Field(
        None, description="stop after so many evaluations without improvement on validation"
    )
    keep: Literal["best", "last"] = Field(
        "best", description="which checkpoint is released, by validation score"
    )
    evaluations_per_epoch: Whole = Field(
        1, ge=1, le=100, description="how often an epoch is scored on validation"
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto",
        description="of the passes; auto: bf16 on a GPU that has it, or where it is measured to be faster",
    )
    economies: Truth = Field(
        False,
        description="faster, slightly different training: no dropout of attention weights, coarser dropout masks, "
        "row-lazy Adam on the word embedding",
    )
    seed: Whole = Field(7, ge=0, description="seed of the head, the order of rows and dropout")
    search: Search | None = Field(None, description="settings to try on validation; the best are kept")

    @model_validator(mode="after")
    def _whole_micro_batches(self) -> Self:
        if self.tokens_per_batch is not None and self.batch_size != 32:
            raise ValueError(
                f"batch_size {self.batch_size} and tokens_per_batch {self.tokens_per_batch} both say how large an "
                "update's batch is; give one of them"
            )
        if (
            self.tokens_per_batch is None
            and self.micro_batch_size is not None
            and self.micro_batch_size > self.batch_size
        ):
            raise ValueError(
                f"micro_batch_size {self.micro_batch_size} is larger than batch_size {self.batch_size}"
            )
        return self


MIXING = ("sentence_embedding",)
"""Tasks in which the loss of an example depends on the others of its batch."""


class Privacy(Section):
    """The privacy budget (understood; training with differential privacy is not built yet)."""

    epsilon: Number = Field(gt=0, description="the budget")
    delta: Fraction = Field(description="the chance that the budget does not hold")


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


class Charter(Section):
    """One charter: what the model is for, whose data it learns from, how it learns, the limits it must keep."""

    name: Name = Field(description="the model's name; the bundle's folder is called so")
    purpose: Purpose = Field(Purpose(), description="what the model is for, and whom it affects")
    data: Data = Field(description="where the rows come from, what each column is, how they are split")
    model: Model = Field(description="the foundation model and what of it learns")
    pretraining: dict[str, Any] | None = Field(None, description="not built yet")
    task: Use = Field(
        description="what is predicted: classification, multi_label_classification, text_pair_classification, ordinal, "
        "regression, token_classification, question_answering, multiple_choice; or sentence_embedding, sentence_similarity"
    )
    training: Training = Field(Training(), description="how the model learns")
    federation: dict[str, Any] | None = Field(None, description="not built yet")
    privacy: Privacy | None = Field(None, description="not built yet")
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

    @model_validator(mode="after")
    def _exact_under_privacy(self) -> Self:
        if self.privacy is not None and self.training.economies:
            raise ValueError(
                "training.economies changes how gradients are made, and what a privacy budget promises is not worked "
                "out for that; take one of the two out"
            )
        if self.privacy is not None and self.task.use in MIXING:
            raise ValueError(
                f"task {self.task.use} compares each example with the others of its batch, so no example's influence can be "
                "bounded alone, and a privacy budget promises nothing; take one of the two out"
            )
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
