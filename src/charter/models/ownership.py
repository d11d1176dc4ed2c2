"""Whose each row of an activation is: told by forward passes that don't keep a batch's shape, read by private training.

A gradient is bounded example by example, so its rows have to be known by the example that they are of. A padded pass needs
no telling: the first dimension of what it computes is the batch's sequences.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from charter.data.batch import Batch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Owners:
    """The owner of each row, by how many rows there are.

    units: (examples,) the owner of each example of the batch; None: each owns itself.
    sequences: (sequences,) the owner of each sequence of the batch. rows: count of rows -> (rows,) the owner of each.
    """

    units: "Tensor | None" = None
    sequences: "Tensor | None" = None
    rows: "dict[int, Tensor]" = field(default_factory=dict)

    def begin(self, sequences: "Tensor", length: int) -> None:
        """A batch of sequences padded to `length`, and (sequences,) which of its examples each is of."""
        sequences = sequences if self.units is None else self.units.to(sequences.device)[sequences]
        self.sequences = sequences
        self.rows = {len(sequences) * length: sequences.repeat_interleave(length), len(sequences): sequences}

    def of(self, rows: int) -> "Tensor | None":
        """(rows,) the owner of each row; None where so many rows are nobody's."""
        return self.rows.get(rows)


_LISTENING: ContextVar[Owners | None] = ContextVar("charter_owners", default=None)


def listener() -> Owners | None:
    """Who wants to be told whose the rows are; None where nobody does."""
    return _LISTENING.get()


@contextmanager
def listening(units: "Tensor | None" = None) -> Iterator[Owners]:
    """Be told, meanwhile, whose the rows of activations are. units: (examples,) whose the examples are."""
    owners = Owners(units)
    token = _LISTENING.set(owners)
    try:
        yield owners
    finally:
        _LISTENING.reset(token)


def tell_batch(batch: Batch) -> None:
    """Tell which sequences of a batch are whose, before a model is called with it."""
    import torch

    owners = listener()
    if owners is None:
        return
    ids = batch.inputs["input_ids"]
    examples = torch.arange(len(batch.index), device=ids.device)
    if batch.sizes is not None:
        sequences = examples.repeat_interleave(batch.sizes.to(ids.device))
    else:
        sequences = examples.repeat_interleave(ids[..., 0].numel() // max(len(examples), 1))
    owners.begin(sequences, ids.shape[-1])


def tell(sequences: "Callable[[], Tensor]") -> None:
    """Tell, where somebody listens, which sequence of the batch each row of what comes next is of, (rows,)."""
    owners = listener()
    if owners is not None and owners.sequences is not None:
        rows = sequences()
        owners.rows[len(rows)] = owners.sequences.to(rows.device)[rows]
