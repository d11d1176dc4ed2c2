"""The charter's section `pretraining`: what the base learns from texts without labels, before it learns the task."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from charter.spec.data import Column, Data, Source, Split
from charter.spec.fields import Count, Fraction, Number, Truth, Whole
from charter.spec.training import Learning, Training
from charter.spec.use import Use

TEXT = "text"


def _share(value: Any) -> Any:
    """Texts to be held out are no value of `held_out`."""
    if isinstance(value, str | dict):
        raise ValueError(
            "a share, such as 0.05; texts of your own that are held out are named in "
            "pretraining.source: {train: PLACE, validation: PLACE, test: PLACE}"
        )
    return value


class Pretraining(Learning):
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
    held_out: Annotated[Fraction, BeforeValidator(_share)] = Field(
        0.05,
        description="share of texts that are never learned from: one half chooses the checkpoint, the other is judged on; of parts "
        "that `source` names itself ({train: ..., validation: ..., test: ...}) none is taken",
    )
    tail: Truth = Field(
        False, description="hold out the end of each text in place of whole texts: for few long texts"
    )
    objective: Use = Field(
        Use(use="masked_language_modelling"),
        description="what is learned: masked_language_modelling, next_sentence_prediction, sentence_order_prediction, "
        "replaced_token_detection, simcse, causal_language_modelling",
    )
    max_length: Annotated[Whole, Field(ge=8, le=8192)] | None = Field(
        None, description="tokens of a piece that is learned from; default: model.max_length"
    )
    epochs: Whole = Field(1, ge=1, le=1000, description="how often every text is seen")
    learning_rate: Annotated[Number, Field(gt=0, le=10)] = Field(
        1e-4, description="peak of the learning rate"
    )

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
                tail=self.tail,
            ),
        )

    @property
    def training(self) -> Training:
        """How it learns."""
        return Training(**{name: getattr(self, name) for name in Learning.model_fields})
