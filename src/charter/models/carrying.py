"""Carry a classifier's head over to a model that may have more classes; and a model of the same form that has learned nothing."""

from typing import TYPE_CHECKING

from charter.errors import ModelError
from charter.models.folders import loading
from charter.models.folding import last_layer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from charter.models.base import Base
    from charter.tasks.task import Task


def carry_head(earlier: "PreTrainedModel", model: "PreTrainedModel", what: str) -> None:
    """Put every weight of `earlier` into `model`, which has the same outputs first, and perhaps more after them.

    The rows of the last layer that belong to new outputs stay as they are drawn. what: the base, in words.

    Raises:
        ModelError: the last layer of this architecture is not known, or the outputs are others.
    """
    import torch

    ours, theirs = (
        tuple(one.config.id2label[at] for at in range(one.config.num_labels)) for one in (model, earlier)
    )
    if ours[: len(theirs)] != theirs:
        raise ModelError(
            f"{what}: its head has {len(theirs)} outputs, which are not the first of the {len(ours)} asked for"
        )
    given, layers = earlier.state_dict(), (last_layer(earlier), last_layer(model))
    if ours == theirs:
        model.load_state_dict(given)
        return
    if layers[0] is None or layers[1] is None:
        raise ModelError(
            f"{what}: the last layer of a {type(model).__name__} is not known, so no class can be added to it; write "
            "model.head: replace"
        )
    own = model.state_dict()
    model.load_state_dict(
        {name: one for name, one in given.items() if own[name].shape == one.shape}, strict=False
    )
    with torch.no_grad():
        for name, old in layers[0].named_parameters():
            layers[1].get_parameter(name)[: len(theirs)] = old


def untrained(base: "Base", task: "Task", seed: int) -> "PreTrainedModel":
    """A model of the base's form with the task's head, every weight of it random by `seed`."""
    import torch
    import transformers

    outputs = dict(enumerate(task.head.outputs))
    with torch.random.fork_rng(), loading(f"model.base '{base.reference}'"):
        torch.manual_seed(seed)
        config = transformers.AutoConfig.from_pretrained(
            base.folder,
            id2label=outputs,
            label2id={name: number for number, name in outputs.items()},
            problem_type=task.head.problem_type,
            trust_remote_code=False,
            local_files_only=True,
        )
        model: PreTrainedModel = getattr(transformers, task.head.auto_model).from_config(
            config, dtype=torch.float32, trust_remote_code=False
        )
    return model.eval()
