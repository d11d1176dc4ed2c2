"""The charter's section `privacy`: the budget, what it protects, and how gradients are bounded; what it excludes elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from charter.spec.document import Path_
from charter.spec.fields import Count, Fraction, Number, Section, Truth
from charter.spec.training import DISTILLATION
from charter.spec.use import Use

MIXING = ("sentence_embedding", "simcse")
"""Tasks, and objectives of pre-training, in which the loss of an example depends on the others of its batch."""
MIXING_OBJECTIVES = ("contrastive",)
"""Objectives in which it does."""
OTHERS_TEXT = ("next_sentence_prediction", "sentence_order_prediction", "replaced_token_detection")
"""Objectives whose examples hold other documents' text, or that learn two models at once."""
COPYING = ("balance", "augment")
"""Preparations that make several examples of one row."""
LEARNING = ("label_noise",)
"""Preparations that learn from training rows, and tell of others of them by it or leave them out."""
READING_FORMS = ("openvino-int8",)
"""Forms of release whose ranges are fitted to training rows."""
SEARCHED = ("learning_rate", "weight_decay", "warmup", "schedule")
"""Settings that a private search may choose: they change nothing of what a training tells."""
TAKE_OUT = "take one of the two out"


class Privacy(Section):
    """Train with differential privacy at this budget, or refuse."""

    epsilon: Number = Field(gt=0, le=1e4, description="the budget of this training")
    delta: Fraction = Field(
        description="the chance that the budget does not hold: well below 1 over the number of people, such as 1.0e-5"
    )
    unit: Literal["row", "subject"] | None = Field(
        None,
        description="what is protected: each row by itself, or all rows of a person (data.subject) together; null: subject where "
        "data.subject is given",
    )
    rows_per_subject: Count | None = Field(
        None, description="of a person with more rows so many are drawn anew for each update"
    )
    neighbouring: Literal["add_or_remove", "replace_one"] = Field(
        "add_or_remove",
        description="two data sets are neighbours when one has a unit more, or when one unit is another",
    )
    mechanism: Literal["sampled_gaussian", "matrix_factorisation"] = Field(
        "sampled_gaussian",
        description="sampled_gaussian: DP-SGD, units drawn anew for each update in secret; matrix_factorisation: each unit once an epoch, "
        "no secret needed, and noise that later updates take back in part (DP-FTRL)",
    )
    bands: Count | None = Field(
        None,
        description="matrix_factorisation: updates whose noise one update holds; null: as many as give the sums least noise",
    )
    clipping: Use = Field(
        Use(use="flat"),
        description="how a unit's gradient is bounded: flat, per_layer or adaptive, each with its norm",
    )
    noise_bias_correction: Truth = Field(
        False, description="AdamW: take the noise's variance out of the second moment (DP-AdamBC)"
    )
    reproducible_noise: Truth = Field(
        False,
        description="true: sampling and noise follow training.seed, so that whoever knows it can take them out again: for tests, it "
        "protects nobody, and the evidence says so",
    )


def problems(value: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    """What a charter asks for beside a privacy budget that the budget would not hold for, each with its place.

    value: the charter as its file has it, or as it is written out.
    """
    if value.get("privacy") is None:
        return
    private, data, training = (_section(value, name) for name in ("privacy", "data", "training"))
    yield from _of_unit(private, data)
    yield from _of_training(training, private)
    yield from _of_search(training, _section(training, "search"))
    yield from _of_objective(value)
    yield from _of_data(data)
    yield from _of_base(value)
    yield from _of_forms(_section(value, "release"))


def _of_unit(private: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    if private.get("unit") == "subject" and data.get("subject") is None:
        yield (
            ("privacy", "unit"),
            "subject protects all rows of a person together, and data.subject names no column that tells whose a row is; name it, "
            "or take unit row",
        )
    by_row = private.get("unit") == "row" or data.get("subject") is None
    if by_row and private.get("rows_per_subject") is not None:
        yield (
            ("privacy", "rows_per_subject"),
            "the unit is the row, so there are no rows of a subject; remove the key",
        )


def _of_training(training: Mapping[str, Any], private: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    if training.get("economies"):
        yield (
            ("training", "economies"),
            "economies changes how gradients are made (the rows of an embedding that no text of a batch has would get no noise), and "
            f"what a privacy budget promises is not worked out for that; {TAKE_OUT}",
        )
    refused = {
        "tokens_per_batch": "batches by tokens depend on the texts' lengths, and a privacy budget rests on each unit being drawn by itself",
        "early_stopping": "when to stop would be read from rows outside the privacy budget; the last update is released",
        "class_weights": "the weights are counted from the training rows without noise",
        "sharding": "bounded gradients of a split model are not built yet",
        "compile": "bounded gradients need the layers as they are",
    }
    for key, why in refused.items():
        if training.get(key) not in (None, False):
            yield ("training", key), f"{why}: remove it, or the section privacy"
    if training.get("precision") == "bf16":
        yield (
            ("training", "precision"),
            "gradients are bounded in float32 under a privacy budget: take float32 or auto",
        )
    if training.get("max_grad_norm", 1.0) not in (1.0, None):
        yield (
            ("training", "max_grad_norm"),
            "under a privacy budget each unit's gradient is bounded by itself: write privacy.clipping: {use: flat, norm: "
            f"{training['max_grad_norm']}}}, and remove it here",
        )
    if private.get("mechanism") == "matrix_factorisation":
        if _use(private.get("clipping")) == "adaptive":
            yield (
                ("privacy", "clipping"),
                "adaptive clipping changes the noise from update to update, and matrix_factorisation takes back the noise of earlier ones; "
                "take flat",
            )
    elif private.get("bands") is not None:
        yield (
            ("privacy", "bands"),
            "only mechanism matrix_factorisation has bands; remove the key, or name that mechanism",
        )
    if private.get("noise_bias_correction") and training.get("optimizer") == "sgd":
        yield (
            ("privacy", "noise_bias_correction"),
            "sgd has no second moment to correct; remove it, or take adamw",
        )
    if private.get("noise_bias_correction") and _use(private.get("clipping")) == "adaptive":
        yield (
            ("privacy", "noise_bias_correction"),
            "the noise of adaptive clipping changes from update to update, for which the correction is not worked out; take flat",
        )


def _of_search(training: Mapping[str, Any], search: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    """What of a search no theorem covers: trials that hang on each other, or that differ in what they tell."""
    if not search:
        return
    where = ("training", "search")
    if search.get("prune") is not None:
        yield (
            (*where, "prune"),
            "under a privacy budget the trials must be alike and independent, and none may be stopped for what others came to: remove it",
        )
    alike = (
        "under a privacy budget every trial has the same updates and noise, which this would change: set training.{key} itself, and search "
        f"{', '.join(SEARCHED)}"
    )
    refused = {
        "epochs": alike,
        "batch_size": alike,
        "max_grad_norm": "under a privacy budget each unit's gradient is bounded by itself, by privacy.clipping: remove it",
        "class_weights": "the weights are counted from the training rows without noise: remove it",
    }
    for key, why in refused.items():
        if search.get(key) is not None:
            yield ((*where, key), why.format(key=key))
    if search.get("trials") == 1:
        yield (
            (*where, "trials"),
            "one trial on average chooses nothing, and would cost more than none; write 2 or more, or remove search",
        )
    if training.get("epochs") == 0:
        yield (
            ("training", "epochs"),
            "trials without an update are all the same; write 1 or more, or remove search",
        )


def _of_objective(value: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    before = _section(value, "pretraining")
    task, learned = _use(value.get("task")), _use(before.get("objective"))
    if task in MIXING:
        yield (
            ("task",),
            f"task {task} compares each example with the others of its batch, so no example's influence can be bounded alone, and a "
            f"privacy budget promises nothing; {TAKE_OUT}",
        )
    if task in OTHERS_TEXT:
        yield (
            ("task",),
            f"an example of task {task} is made of several documents' text, so no document's influence is bounded alone; take "
            "masked_language_modelling",
        )
    if learned in MIXING:
        yield (
            ("pretraining", "objective"),
            f"pretraining.objective {learned} compares each text with the others of its batch, so no text's influence can be bounded "
            f"alone, and a privacy budget promises nothing; {TAKE_OUT}",
        )
    elif before and not before.get("public"):
        yield (
            ("pretraining",),
            "the budget of this section is for the task, and pre-training within a privacy budget is a charter of its own (task "
            "masked_language_modelling or causal_language_modelling, whose bundle is then the base): make it one, or say that the texts "
            "are public: true",
        )
    objective = _use(_section(value, "training").get("objective"))
    if objective in MIXING_OBJECTIVES:
        yield (
            ("training", "objective"),
            f"objective {objective} compares each example with the others of its batch, so no example's influence can be bounded "
            f"alone, and a privacy budget promises nothing; {TAKE_OUT}",
        )
    if objective == DISTILLATION:
        yield (
            ("training", "objective"),
            "objective distillation hands on what its teacher learned, and no teacher can be shown to have learned these rows within "
            f"this privacy budget; {TAKE_OUT}",
        )
    if _mapping(value.get("task")).get("mix_documents"):
        yield (
            ("task", "mix_documents"),
            "a block of several documents is no one document's, and the document is what is protected; remove it",
        )
    if task == "regression" and _mapping(value.get("task")).get("bounds") is None:
        yield (
            ("task",),
            "regression standardises the target by the training rows' mean and spread, which would be told without noise; say "
            "bounds: [lowest, highest] of the numbers to be expected, as they are known without looking at the rows",
        )


def _of_data(data: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    for at, one in enumerate(_items(data.get("prepare"))):
        if _use(one) in COPYING:
            yield (
                ("data", "prepare", at),
                f"{_use(one)} makes several examples of one row, whose influence is then more than a row's: remove it, or the section "
                "privacy",
            )
        if _use(one) in LEARNING:
            yield (
                ("data", "prepare", at),
                f"{_use(one)} learns from all training rows without noise, and lists others of them by it or leaves them out, so one "
                "row may decide over many: remove it, or the section privacy",
            )


def _of_base(value: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    told = value.get("continual")
    if isinstance(told, Mapping):
        if any(told.get(key) is not None for key in ("remember", "fisher", "replay")):
            yield (
                ("continual",),
                "continual.remember, fisher and replay store training rows, or numbers made of them, beside what a privacy budget "
                "covers; remove them, or the section privacy",
            )
        if _use(told.get("keep")) == "ewc":
            yield (
                ("continual", "keep"),
                "ewc's penalty is no example's, so it is not bounded with them; take lwf",
            )
    model, before = _section(value, "model"), _section(value, "pretraining")
    if model.get("tokenizer") is not None and not before.get("public"):
        yield (
            ("model", "tokenizer"),
            "a vocabulary learned from the training texts shows words of them without noise; take a base with its own, or learn it from "
            "public texts (pretraining.public: true)",
        )


def _of_forms(release: Mapping[str, Any]) -> Iterator[tuple[Path_, str]]:
    for at, one in enumerate(_items(release.get("formats"))):
        if one in READING_FORMS:
            yield (
                ("release", "formats", at),
                f"{one} fits its ranges to training rows, and would ship the largest and smallest of what the model makes of them without "
                "noise; take onnx-int8, which reads none",
            )


def _section(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _mapping(value.get(name))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _use(value: Any) -> str:
    """The name of a plug-in as a file has it; nothing where there is none."""
    if isinstance(value, Mapping):
        return str(value.get("use", ""))
    return value if isinstance(value, str) else ""
