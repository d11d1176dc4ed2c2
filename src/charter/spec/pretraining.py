"""The charter's section `pretraining`: what the base learns from texts without labels, before it learns the task."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from charter.spec.data import Column, Data, Source, Split
from charter.spec.fields import Count, Fraction, Number, Truth, Whole
from charter.spec.training import Training
from charter.spec.use import Use

TEXT = "text"


class Pretraining(Training):
    """What the base learns from texts without labels, before the task: further pre-training, or the first.

    How it learns is said by the same keys as in `training`.
    """

    source: Source = Field(description="the texts: a place as in data.source; of tables one column is read")
    text: Column = Field(TEXT, description="the column that holds the text")
    encoding: str = Field("utf-8", description="text encoding, as data.encoding")
    prepare: tuple[Use, ...] = Field(
        (Use(use="repair_text"), Use(use="drop_exact_duplicates")),
        description="preparations of the texts, in order, as in data.prepare",
    )
    max_rows: Count | None = Field(None, description="learn from a random sample of so many texts")
    max_bad_rows: Number = Field(
        0.01, ge=0, le=1, description="share of unreadable texts above which the run stops"
    )
    public: Truth = Field(False, description="true: nobody's privacy is at stake")
    held_out: Fraction = Field(0.05, description="share of texts that are judged on and never learned from")
    objective: Use = Field(
        Use(use="masked_language_modelling"),
        description="what is learned: masked_language_modelling, causal_language_modelling",
    )
    max_length: Annotated[Whole, Field(ge=8, le=8192)] | None = Field(
        None, description="tokens of a piece that is learned from; default: model.max_length"
    )
    epochs: Whole = Field(1, ge=1, le=1000, description="how often every text is seen")
    learning_rate: Annotated[Number, Field(gt=0, le=10)] = Field(
        1e-4, description="peak of the learning rate"
    )

    @model_validator(mode="after")
    def _whole_only(self) -> Self:
        if self.search is not None:
            raise ValueError("pretraining.search: settings are searched for the task; set them here")
        if self.workers != 1 or self.engine != "torch":
            raise ValueError(
                "pretraining.workers, engine: those of training share pre-training too; set them there"
            )
        if self.class_weights is not None:
            raise ValueError(
                "pretraining.class_weights: texts without labels have no classes; remove the key"
            )
        return self

    def data(self, name: str) -> Data:
        """The texts as a data section. name: of the data set."""
        return Data(
            source=self.source,
            inputs={self.text: "text"},
            id=name,
            public=self.public,
            encoding=self.encoding,
            prepare=self.prepare,
            max_rows=self.max_rows,
            max_bad_rows=self.max_bad_rows,
            split=Split.model_construct(
                test=self.held_out / 2,
                validation=self.held_out / 2,
                calibration=0.0,
                stratify=False,
                seed=self.seed,
                similarity=Split().similarity,
                column=None,
                time=None,
            ),
        )

    @property
    def training(self) -> Training:
        """How it learns."""
        own = {name: getattr(self, name) for name in Training.model_fields if name != "objective"}
        return Training(**own)
