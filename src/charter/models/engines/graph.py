"""A model as a graph in a file: called as a torch model is, by named inputs, and answering by named outputs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from charter.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

Arrays = Mapping[str, NDArray[Any]]


class Graph(ABC):
    """`graph(input_ids=..., attention_mask=...)` gives an object with the graph's outputs, such as `.logits`.

    inputs, outputs: their names in the graph. batch_size: how many texts of like length are computed at once.
    A call that lacks an input of the graph is an error; an input that the graph does not read is left out.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    batch_size: int

    @abstractmethod
    def compute(self, arrays: Arrays) -> list[NDArray[np.float32]]:
        """The graph's outputs, in the order of `outputs`."""

    def __call__(self, **inputs: "Tensor") -> Any:
        """The outputs by name, as float tensors.

        Raises:
            ModelError: an input that the graph reads is not given.
        """
        import torch

        lacking = [name for name in self.inputs if name not in inputs]
        if lacking:
            raise ModelError(
                f"the graph reads {', '.join(self.inputs)}; {', '.join(lacking)} is not given by this task"
            )
        found = self.compute({name: inputs[name].numpy() for name in self.inputs})
        return SimpleNamespace(
            **{name: torch.from_numpy(one) for name, one in zip(self.outputs, found, strict=True)}
        )


def threads_or_all(threads: int | None) -> int:
    """The threads asked for, or as many as torch would use (the cores, or what OMP_NUM_THREADS says)."""
    import torch

    return threads or torch.get_num_threads()
