"""The charter's section `training`: how a model learns."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from charter.spec.fields import Count, Number, Section, Truth, Whole
from charter.spec.search import Search
from charter.spec.use import Use

CONTRASTED = ("classification", "text_pair_classification")
"""Built-in tasks whose classes the contrastive objective can draw apart."""

DISTILLATION = "distillation"
"""The objective that learns from a teacher."""


class Learning(Section):
    """How a model learns, of texts without labels too."""

    epochs: Whole = Field(
        3,
        ge=0,
        le=1000,
        description="how often every training row is seen; 0: never, for a head that starts from descriptions, or is "
        "fitted by the contrastive objective",
    )
    batch_size: Whole = Field(
        32, ge=1, le=65536, description="examples per update; under privacy rows or persons, on average"
    )
    tokens_per_batch: Count | None = Field(
        None, description="about so many tokens per update, in place of batch_size"
    )
    micro_batch_size: Count | None = Field(
        None, description="examples per pass, when a batch needs too much memory"
    )
    learning_rate: Number = Field(5e-5, gt=0, le=10, description="peak of the learning rate")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="decay after warm-up")
    warmup: Number = Field(0.06, ge=0, lt=1, description="share of updates with a rising rate")
    optimizer: Literal["adamw", "sgd"] = Field(
        "adamw", description="adamw, or sgd with momentum (whose rates are far larger: begin at 0.1)"
    )
    momentum: Number = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: Number = Field(0.01, ge=0, description="weight decay; biases and norms are left out")
    max_grad_norm: Annotated[Number, Field(gt=0)] | None = Field(
        1.0, description="gradient clipping; null: none"
    )
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
    gradient_checkpointing: Truth = Field(
        False,
        description="keep only each layer's input and compute the rest again on the way back: less memory, about a third "
        "more time, the same weights",
    )
    compile: Truth = Field(
        False,
        description="compile the layers by torch.compile: pays on a GPU and in long runs, seldom on a CPU",
    )
    sharding: Literal["full"] | None = Field(
        None,
        description="full: split weights, gradients and moments over the processes (FSDP2), for a model that doesn't fit one; "
        "null: each process holds all",
    )
    seed: Whole = Field(7, ge=0, description="seed of the head, the order of rows and dropout")

    @model_validator(mode="after")
    def _whole_micro_batches(self) -> Self:
        if self.tokens_per_batch is not None and self.batch_size != 32:
            raise ValueError(
                f"batch_size {self.batch_size} and tokens_per_batch {self.tokens_per_batch} both say how large an "
                "update's batch is; give one of them"
            )
        if self.optimizer == "sgd" and self.economies:
            raise ValueError(
                "economies update the word embedding by row-lazy Adam; take optimizer adamw, or remove economies"
            )
        if self.sharding is not None and self.economies:
            raise ValueError(
                "sharding: full and economies don't go together: the rows of a split embedding can't be updated alone; "
                "choose one"
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


class Training(Learning):
    """How the model learns the task."""

    objective: Use | None = Field(
        None,
        description="what training makes smaller; null: the task's own loss; contrastive: for few examples; distillation: what a "
        "teacher answers",
    )
    class_weights: Literal["balanced"] | None = Field(None, description="weigh classes by inverse frequency")
    search: Search | None = Field(None, description="settings to try on validation; the best are kept")
    workers: Count = Field(
        1,
        description="processes that share every update, of pre-training too; torchrun's own number goes before it",
    )
    engine: Literal["torch", "ray"] = Field(
        "torch",
        description="what starts the workers: torch on this machine, or ray (Ray Train) on a cluster, where a lost one costs "
        "only time",
    )

    @model_validator(mode="after")
    def _several_workers_on_ray(self) -> Self:
        if self.engine == "ray" and self.workers == 1:
            raise ValueError(
                "engine: ray shares the training over several workers; set workers, or remove it"
            )
        return self


def learns_from_descriptions(task: Use, training: Training) -> bool:
    """Whether a head that starts from its classes' descriptions learns more: else it is the nearest description itself."""
    return bool(task.options.get("descriptions")) and (training.epochs > 0 or training.objective is not None)
