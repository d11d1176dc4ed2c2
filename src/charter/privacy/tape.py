"""The tape of one backward pass: what each parameter's gradient is made of, example by example, without computing it.

Of a linear layer the gradient of example i is the sum over its rows of g a^T (output gradient, input). Its norm follows
from the rows' inner products alone (the ghost norm: Li et al. 2022, "Large Language Models Can Be Strong Differentially
Private Learners", section 4), and the sum of all examples' clipped gradients is one product with g scaled by each
example's factor (book-keeping: Bu et al. 2023, "Differentially Private Optimization on Large Model at Small Cost",
algorithm 1). So there is one forward and one backward pass, and no gradient of a single example is ever stored where it
would be larger than what it is made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from charter.privacy.layout import Chunk, Layout

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Outer:
    """A weight's gradient as products: the sum over rows of given^T seen. seen: (rows, d), given: (rows, p), by segment.

    turned: the weight is (d, p), as transformers' Conv1D has it, not (p, d).
    """

    layout: Layout
    seen: "Tensor"
    given: "Tensor"
    turned: bool = False


@dataclass(frozen=True)
class Picked:
    """An embedding's gradient: row `ids` of the table gets `given`. ids: (rows,), given: (rows, d), by segment."""

    layout: Layout
    ids: "Tensor"
    given: "Tensor"


@dataclass(frozen=True)
class Whole:
    """The gradient of each segment's example as it is: (segments, ...), small."""

    layout: Layout
    each: "Tensor"


Made = Outer | Picked | Whole


@dataclass
class Tape:
    """What the gradients of one pass are made of. units: how many there are in the pass, each of one or more examples."""

    units: int
    names: Mapping[int, str]
    made: "dict[int, list[Made]]" = field(default_factory=dict)
    parameters: "dict[int, nn.Parameter]" = field(default_factory=dict)
    layouts: "dict[int, Layout]" = field(default_factory=dict)
    inputs: "dict[tuple[int, ...], tuple[Tensor, Tensor]]" = field(default_factory=dict)

    def add(self, parameter: "nn.Parameter", made: Made) -> None:
        """Put on record what a part of this parameter's gradient is made of."""
        self.parameters[id(parameter)] = parameter
        self.made.setdefault(id(parameter), []).append(made)

    def layout(self, owner: "Tensor") -> Layout:
        """The layout of rows with these owners, made once for each tensor of owners."""
        found = self.layouts.get(id(owner))
        if found is None or found.owner is not owner:
            found = self.layouts[id(owner)] = Layout.of(owner)
        return found

    def input(self, layout: Layout, seen: "Tensor") -> "Tensor":
        """(rows, d) an input by segment: one tensor for all layers that read it, so that they share its inner products."""
        key = (
            seen.data_ptr(),
            *seen.shape,
            *seen.stride(),
            id(layout),
        )  # a square one turned begins where it did
        if key not in self.inputs:
            # detached: with its graph it would hold the nodes that hold this tape, a circle that nothing collects
            own = seen.detach()
            self.inputs[key] = (own, layout.ordered(own.flatten(0, -2)))
        return self.inputs[key][1]

    def clear(self) -> None:
        """Let go of all tensors; nodes of a graph that is still held hold the tape."""
        for one in (self.made, self.parameters, self.layouts, self.inputs):
            one.clear()

    def squared_norms(self, groups: Mapping[int, int] | None = None) -> "Tensor":
        """(units, groups) float64: the squared norm of each unit's gradient over the parameters of each group.

        groups: by the id of each parameter, numbered from 0; None: all are one.
        """
        import torch

        count = 1 if groups is None else max(groups.values(), default=0) + 1
        total = torch.zeros((self.units, count), dtype=torch.float64)
        alone: dict[tuple[int, int], list[Outer]] = {}
        for key, made in self.made.items():
            group = 0 if groups is None else groups[key]
            if len(made) == 1 and isinstance(made[0], Outer):
                alone.setdefault((id(made[0].seen), group), []).append(made[0])
            else:
                total[:, group] += _joined_squares(made, self.units)
        for (_, group), several in alone.items():
            total[:, group] += _outer_squares(several, self.units)
        return total.clamp(min=0.0)

    def weighted_sums(self, factors: "Mapping[int, Tensor]") -> "dict[int, Tensor]":
        """By the id of each parameter, the sum of all units' gradients, each times its factor (units,)."""
        found = {}
        for key, made in self.made.items():
            shape = self.parameters[key].shape
            total: Tensor | None = None
            for one in made:
                part = _weighted(one, factors[key], shape)
                total = part if total is None else total.add_(part)
            assert total is not None
            found[key] = total
        return found


def _per_example(layout: Layout, each: "Tensor", examples: int) -> "Tensor":
    """(segments,) -> (examples,) float64."""
    import torch

    found = torch.zeros(examples, dtype=torch.float64)
    return found.index_add_(0, layout.examples.cpu(), each.double().cpu())


def _outer_squares(group: Sequence[Outer], examples: int) -> "Tensor":
    """(examples,) of weights that read the same input: their squared norms together."""
    layout, seen = group[0].layout, group[0].seen
    if layout.single:
        squares = seen.new_zeros(len(seen))
        for one in group:
            squares += one.given.square().sum(1)
        return _per_example(layout, seen.square().sum(1) * squares, examples)
    each = seen.new_zeros(len(layout.examples))
    for chunk in layout.chunks:
        own = chunk.of(seen)
        each[chunk.first : chunk.last] = _chunk_squares(own, [chunk.of(one.given) for one in group], chunk)
    return _per_example(layout, each, examples)


def _chunk_squares(seen: "Tensor", given: "Sequence[Tensor]", chunk: Chunk) -> "Tensor":
    """(count,) from seen (count, rows, d) and each given (count, rows, p).

    By the rows' inner products, or by the gradients themselves where those are fewer numbers to compute (Bu et al. 2022,
    "Scalable and Efficient Training of Large Convolutional Neural Networks with Differential Privacy", section 3.2).
    """
    import torch

    d, p = seen.shape[-1], sum(one.shape[-1] for one in given)
    if chunk.length * (d + p) > d * p:
        return torch.stack([torch.bmm(one.mT, seen).square().sum((1, 2)) for one in given]).sum(0)
    products = torch.bmm(given[0], given[0].mT)
    for one in given[1:]:
        products.baddbmm_(one, one.mT)
    return products.mul_(torch.bmm(seen, seen.mT)).sum((1, 2))


def _joined_squares(made: Sequence[Made], examples: int) -> "Tensor":
    """(examples,) of a parameter that is used several times, or of an embedding: the squared norm of what it gets in all."""
    import torch

    outer = [one for one in made if isinstance(one, Outer)]
    picked = [one for one in made if isinstance(one, Picked)]
    whole = [one for one in made if isinstance(one, Whole)]
    if whole:
        assert not outer and not picked
        return _whole_squares(whole, examples)
    found = torch.zeros(examples, dtype=torch.float64)
    products = _outer_in_one(outer) if outer else None
    rows = _picked_in_one(picked) if picked else None
    if products is not None:
        found = found + _outer_squares([products], examples)
    if rows is not None:
        found = found + _picked_squares(rows, examples)
    if products is not None and rows is not None:
        found = found + 2.0 * _crossed(products, rows, examples)
    return found


def _whole_squares(made: Sequence[Whole], examples: int) -> "Tensor":
    import torch

    if len(made) == 1:
        return _per_example(made[0].layout, made[0].each.flatten(1).square().sum(1), examples)
    total = torch.zeros((examples, made[0].each[0].numel()), dtype=torch.float64)
    for one in made:
        total.index_add_(0, one.layout.examples.cpu(), one.each.flatten(1).double().cpu())
    return total.square().sum(1)


def _outer_in_one(made: Sequence[Outer]) -> Outer:
    """Several products as one, as if their rows had been one activation's."""
    import torch

    if len(made) == 1:
        return made[0]
    turned = made[0].turned
    assert all(one.turned == turned for one in made)
    layout = Layout.of(torch.cat([one.layout.examples[one.layout.of_row] for one in made]))
    seen, given = (
        layout.ordered(torch.cat([getattr(one, name) for one in made])) for name in ("seen", "given")
    )
    return Outer(layout, seen, given, turned)


def _picked_in_one(made: Sequence[Picked]) -> Picked:
    import torch

    if len(made) == 1:
        return made[0]
    layout = Layout.of(torch.cat([one.layout.examples[one.layout.of_row] for one in made]))
    ids, given = (
        layout.ordered(torch.cat([getattr(one, name) for one in made])) for name in ("ids", "given")
    )
    return Picked(layout, ids, given)


def _picked_squares(rows: Picked, examples: int) -> "Tensor":
    """(examples,) an example that picks a row of the table twice adds up what both give it."""
    import torch

    table = int(rows.ids.max()) + 1 if len(rows.ids) else 1
    found, inverse = torch.unique(rows.layout.of_row * table + rows.ids, return_inverse=True)
    sums = rows.given.new_zeros((len(found), rows.given.shape[1])).index_add_(0, inverse, rows.given)
    each = rows.given.new_zeros(len(rows.layout.examples)).index_add_(0, found // table, sums.square().sum(1))
    return _per_example(rows.layout, each, examples)


def _crossed(products: Outer, rows: Picked, examples: int) -> "Tensor":
    """(examples,) the inner product of what a tied table gets as output layer and as embedding."""
    import torch

    assert not products.turned
    found = torch.zeros(examples, dtype=torch.float64)
    owns = {which: _rows_by_example(one.layout, examples) for which, one in (("out", products), ("in", rows))}
    for example in range(examples):
        out, into = owns["out"][example], owns["in"][example]
        if out is None or into is None:
            continue
        at = products.given[out][:, rows.ids[into]]
        found[example] = (at * (products.seen[out] @ rows.given[into].T)).sum().double()
    return found


def _rows_by_example(layout: Layout, examples: int) -> "list[slice | None]":
    import torch

    found: list[slice | None] = [None] * examples
    ends = torch.bincount(layout.of_row, minlength=len(layout.examples)).cumsum(0).tolist()
    for example, start, stop in zip(layout.examples.tolist(), [0, *ends[:-1]], ends, strict=True):
        found[example] = slice(start, stop)
    return found


def _weighted(made: Made, factors: "Tensor", shape: "Sequence[int]") -> "Tensor":
    """The sum of what each example gives, times its factor, in the parameter's shape."""
    of_segment = factors.to(made.layout.examples.device)[made.layout.examples]
    if isinstance(made, Whole):
        each = made.each.flatten(1)
        return (of_segment.to(each.dtype) @ each).view(shape)
    of_row = of_segment.to(made.given.dtype)[made.layout.of_row][:, None]
    if isinstance(made, Picked):
        return made.given.new_zeros(shape).index_add_(0, made.ids, made.given * of_row)
    if made.given.shape[1] <= made.seen.shape[1]:
        seen, given = made.seen, made.given * of_row
    else:
        seen, given = made.seen * of_row, made.given
    return (seen.T @ given if made.turned else given.T @ seen).view(shape)
