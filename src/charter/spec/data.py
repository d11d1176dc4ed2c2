"""The charter's section `data`: where rows come from, what each column is, how they are prepared and split."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from charter.spec.fields import Count, Fraction, Name, Number, Section, Truth, Whole
from charter.spec.use import Use

Column = Annotated[str, Field(min_length=1, pattern=r"^_?([^_].*)?$")]
Modality = str


class Split(Section):
    """How rows are divided: fractions, a column that says it, or an order in time.

    With named files in `data.source` the published parts stay as they are, and a fraction given here is taken from
    the training rows only.
    """

    test: Fraction | None = Field(None, description="share of rows for the test split (default 0.15)")
    validation: Fraction | None = Field(
        None, description="share for early stopping and choices (default 0.10)"
    )
    calibration: Fraction | None = Field(
        None,
        description="share for temperature scaling (default 0.05; 0 where a task has nothing to calibrate)",
    )
    column: Column | None = Field(None, description="column holding train, validation, calibration or test")
    time: Column | None = Field(None, description="column to order by: the newest rows become the test split")
    tail: Truth = Field(
        False,
        description="hold out the end of each text in place of whole texts, of the shares given (test 0.15 by default): for language "
        "models that learn from few long texts",
    )
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
        if self.tail and (self.column is not None or self.time is not None):
            raise ValueError(
                "'tail' parts each text itself, so rows are not split by a column; remove one of the two"
            )
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


class PrivacyBudget(Section):
    """What everything that ever learns from the data set may cost of its people's privacy, all runs together."""

    epsilon: Annotated[Number, Field(gt=0)] | None = Field(
        None,
        description="the most that all runs together may come to; none: what the ledger has on record of this data set",
    )
    delta: Fraction = Field(
        1e-5, description="the chance that the budget does not hold: less than one over the number of people"
    )
    ledger: str | None = Field(
        None,
        min_length=1,
        description="a folder for the ledger, so that several charters and stores can share it; default: ledger/ in the run store",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.epsilon is None and self.ledger is None:
            raise ValueError(
                "epsilon is missing: the most that all runs on this data set together may come to"
            )
        return self


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
        "task that predicts nothing (sentence_embedding, language models)",
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
    privacy_budget: PrivacyBudget | None = Field(
        None,
        description="what all runs on this data set together may cost, such as {epsilon: 10}; kept by the privacy ledger",
    )
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
