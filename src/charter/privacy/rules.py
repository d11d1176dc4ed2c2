"""How the operations of a forward pass that use trainable parameters are put on the tape; any other use is refused by name.

Each operation is computed as ever, but by a function of its own that gives the parameter no gradient and writes on the tape
what its gradient is made of. So a parameter that has a gradient after all was used by an operation that is not known here,
which `charter.privacy.clipping` refuses.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F
from torch.nn.grad import conv1d_input, conv2d_input
from torch.overrides import TorchFunctionMode

from charter.errors import ModelError
from charter.models.ownership import Owners
from charter.privacy.layout import Layout
from charter.privacy.tape import Outer, Picked, Tape, Whole

if TYPE_CHECKING:
    from torch import Tensor


class Recording(TorchFunctionMode):
    """Within it, what trainable parameters do is put on the tape when gradients are computed."""

    def __init__(self, tape: Tape, owners: Owners) -> None:
        super().__init__()
        self.tape, self.owners = tape, owners
        self._spread: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        given = dict(kwargs or {})
        rule = RULES.get(func)
        if rule is None or not torch.is_grad_enabled():
            return func(*args, **given)
        found = rule(self, *args, **given)
        return func(*args, **given) if found is NotImplemented else found

    def tracked(self, *several: Any) -> bool:
        """Whether one of these is a parameter whose gradient is bounded."""
        return any(id(one) in self.tape.names and one.requires_grad for one in several if one is not None)

    def own(self, parameter: Any) -> Any:
        """The parameter where it learns, else None."""
        return parameter if self.tracked(parameter) else None

    def layout(self, owner: "Tensor", rows: "Tensor", own: int = 1) -> Layout:
        """The layout of an activation (rows, ..., the last `own` dimensions), whose inner positions are rows too."""
        within = math.prod(rows.shape[1 : rows.ndim - own])
        if within != 1:
            key = (id(owner), within)
            if key not in self._spread:
                self._spread[key] = (owner, owner.repeat_interleave(within))
            owner = self._spread[key][1]
        return self.tape.layout(owner)

    def owner(self, rows: int, parameter: Any) -> "Tensor":
        """(rows,) the example of each row of an activation.

        Raises:
            ModelError: nobody knows; such as positions that are embedded once for the whole batch.
        """
        found = self.owners.of(rows)
        if found is None:
            raise ModelError(
                f"parameter '{self.tape.names.get(id(parameter), '?')}' is applied to {rows} rows, and which example each is "
                "of is not known (a batch's examples must stand in its first dimension; give position_ids of shape (batch, length)); "
                "freeze it, or take a model that Charter runs padding-free (docs/privacy.md)"
            ).about("privacy")
        return found


class _Linear(torch.autograd.Function):
    """y = x W^T + b, or x W + b where W is turned. x: (rows, ..., d)."""

    @staticmethod
    def forward(ctx: Any, seen: Any, weight: Any, bias: Any, recording: Recording, turned: bool) -> Any:
        ctx.recording, ctx.weight, ctx.bias, ctx.turned = recording, weight, bias, turned
        ctx.save_for_backward(seen)
        ctx.owner = recording.owner(len(seen), recording.own(weight) if recording.tracked(weight) else bias)
        if not turned:
            return F.linear(seen, weight, bias)
        return seen @ weight if bias is None else torch.addmm(bias, seen, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (given,), (seen,) = grads, ctx.saved_tensors
        recording, weight = ctx.recording, ctx.weight
        layout = recording.layout(ctx.owner, given)
        rows = layout.ordered(given.flatten(0, -2).contiguous())
        if recording.tracked(weight):
            recording.tape.add(weight, Outer(layout, recording.tape.input(layout, seen), rows, ctx.turned))
        if recording.tracked(ctx.bias):
            recording.tape.add(ctx.bias, Whole(layout, layout.sums(rows)))
        back = None
        if ctx.needs_input_grad[0]:
            back = given @ (weight.detach().T if ctx.turned else weight.detach())
        return back, None, None, None, None


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids: Any, table: Any, padding: int | None, recording: Recording) -> Any:
        ctx.recording, ctx.table, ctx.padding, ctx.ids = recording, table, padding, ids
        ctx.owner = recording.owner(len(ids), table)
        return F.embedding(ids, table)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (given,), recording, ids = grads, ctx.recording, ctx.ids
        layout = recording.layout(ctx.owner, given)
        rows, flat = layout.ordered(given.flatten(0, -2)), layout.ordered(ids.flatten())
        if ctx.padding is not None:
            rows = rows * (flat != ctx.padding)[:, None]
        recording.tape.add(ctx.table, Picked(layout, flat, rows))
        return None, None, None, None


class _LayerNorm(torch.autograd.Function):
    """Over the last dimension."""

    @staticmethod
    def forward(ctx: Any, seen: Any, weight: Any, bias: Any, eps: float, recording: Recording) -> Any:
        ctx.recording, ctx.weight, ctx.bias = recording, weight, bias
        ctx.owner = recording.owner(len(seen), weight if recording.tracked(weight) else bias)
        out, mean, scale = torch.native_layer_norm(seen, seen.shape[-1:], weight, bias, eps)
        ctx.save_for_backward(seen, mean, scale)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (given,), (seen, mean, scale), recording = grads, ctx.saved_tensors, ctx.recording
        layout = recording.layout(ctx.owner, given)
        if recording.tracked(ctx.weight):
            normed = ((seen - mean) * scale).mul_(given)
            each = layout.sums(layout.ordered(normed.flatten(0, -2)))
            recording.tape.add(ctx.weight, Whole(layout, each))
        if recording.tracked(ctx.bias):
            recording.tape.add(ctx.bias, Whole(layout, layout.sums(layout.ordered(given.flatten(0, -2)))))
        back = None
        if ctx.needs_input_grad[0]:
            weight, bias = (None if one is None else one.detach() for one in (ctx.weight, ctx.bias))
            back = torch.ops.aten.native_layer_norm_backward(
                given, seen, seen.shape[-1:], mean, scale, weight, bias, [True, False, False]
            )[0]
        return back, None, None, None, None


class _Scaled(torch.autograd.Function):
    """x * w and x + b of a parameter in the shape of x's last dimensions. x: (rows, ..., *parameter)."""

    @staticmethod
    def forward(ctx: Any, seen: Any, parameter: Any, recording: Recording, added: bool) -> Any:
        ctx.recording, ctx.parameter, ctx.added = recording, parameter, added
        ctx.owner = recording.owner(len(seen), parameter)
        ctx.save_for_backward(seen)
        return seen + parameter if added else seen * parameter

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (given,), (seen,), recording, parameter = grads, ctx.saved_tensors, ctx.recording, ctx.parameter
        own = parameter.ndim
        each = given if ctx.added else given * seen
        layout = recording.layout(ctx.owner, each, own)
        flat = each.reshape(-1, *parameter.shape)
        recording.tape.add(parameter, Whole(layout, layout.sums(layout.ordered(flat))))
        return (given if ctx.added else given * parameter.detach()), None, None, None


class _Convolution(torch.autograd.Function):
    """Over one or two dimensions. x: (rows, channels, ...).

    Its gradient is that of a linear layer on patches (Rochette et al. 2019, "Efficient Per-Example Gradient Computations in
    Convolutional Neural Networks").
    """

    @staticmethod
    def forward(
        ctx: Any, seen: Any, weight: Any, bias: Any, how: tuple[Any, ...], recording: Recording
    ) -> Any:
        ctx.recording, ctx.weight, ctx.bias, ctx.how = recording, weight, bias, how
        ctx.owner = recording.owner(len(seen), weight if recording.tracked(weight) else bias)
        ctx.save_for_backward(seen)
        return (F.conv1d if weight.ndim == 3 else F.conv2d)(seen, weight, bias, *how)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (given,), (seen,), recording, weight = grads, ctx.saved_tensors, ctx.recording, ctx.weight
        stride, padding, dilation, groups = ctx.how
        each = given.flatten(2).mT  # (rows, places, out channels)
        if recording.tracked(weight):
            patches = _patches(seen, weight, stride, padding, dilation)
            if groups == 1:
                layout = recording.layout(ctx.owner, each)
                ordered = layout.ordered(each.flatten(0, -2).contiguous())
                recording.tape.add(weight, Outer(layout, recording.tape.input(layout, patches), ordered))
            else:
                whole = _by_group(each, patches, groups).reshape(len(seen), *weight.shape)
                layout = recording.tape.layout(ctx.owner)
                recording.tape.add(weight, Whole(layout, layout.sums(layout.ordered(whole))))
        if recording.tracked(ctx.bias):
            layout = recording.tape.layout(ctx.owner)
            recording.tape.add(ctx.bias, Whole(layout, layout.sums(layout.ordered(each.sum(1)))))
        back = None
        if ctx.needs_input_grad[0]:
            inward = conv1d_input if weight.ndim == 3 else conv2d_input
            back = inward(seen.shape, weight.detach(), given, stride, padding, dilation, groups)  # type: ignore[no-untyped-call]
        return back, None, None, None, None


def _patches(seen: "Tensor", weight: "Tensor", stride: Any, padding: Any, dilation: Any) -> "Tensor":
    """(rows, places, channels * kernel): what each output of a convolution reads."""
    if weight.ndim == 3:  # one dimension is two, the first of them of length one
        seen, kernel = seen.unsqueeze(2), (1, weight.shape[2])
        stride, padding, dilation = ((1, stride[0]), (0, padding[0]), (1, dilation[0]))
    else:
        kernel = (weight.shape[2], weight.shape[3])
    return F.unfold(seen, kernel, dilation, padding, stride).mT


def _by_group(given: "Tensor", patches: "Tensor", groups: int) -> "Tensor":
    """(rows, out channels, channels of a group * kernel): each row's gradient of a convolution in groups."""
    rows, places, out = given.shape
    one = given.reshape(rows, places, groups, out // groups)
    other = patches.reshape(rows, places, groups, -1)
    return torch.einsum("nlgo,nlgk->ngok", one, other)


class _Channels(torch.autograd.Function):
    """x * w + b, a number for each channel. x: (rows, channels, ...)."""

    @staticmethod
    def forward(ctx: Any, seen: Any, weight: Any, bias: Any, recording: Recording) -> Any:
        ctx.recording, ctx.weight, ctx.bias = recording, weight, bias
        ctx.owner = recording.owner(len(seen), weight if recording.tracked(weight) else bias)
        ctx.save_for_backward(seen)
        shape = (1, -1, *(1,) * (seen.ndim - 2))
        return seen * weight.view(shape) + bias.view(shape)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (given,), (seen,), recording = grads, ctx.saved_tensors, ctx.recording
        layout = recording.tape.layout(ctx.owner)
        for parameter, each in ((ctx.weight, given * seen), (ctx.bias, given)):
            if recording.tracked(parameter):
                flat = each.reshape(*each.shape[:2], -1).sum(2)
                recording.tape.add(parameter, Whole(layout, layout.sums(layout.ordered(flat))))
        weight = ctx.weight.detach().view(1, -1, *(1,) * (seen.ndim - 2))
        return given * weight, None, None, None


def _linear(recording: Recording, input: Any, weight: Any, bias: Any = None) -> Any:
    if not recording.tracked(weight, bias) or input.ndim < 2:
        return NotImplemented
    return _Linear.apply(input, weight, bias, recording, False)  # type: ignore[no-untyped-call]


def _addmm(recording: Recording, input: Any, mat1: Any, mat2: Any, **more: Any) -> Any:
    if more or not recording.tracked(input, mat2) or input.ndim != 1:
        return NotImplemented
    return _Linear.apply(mat1, mat2, input, recording, True)  # type: ignore[no-untyped-call]


def _embedding(
    recording: Recording,
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    del norm_type
    if not recording.tracked(weight) or max_norm is not None or scale_grad_by_freq or sparse:
        return NotImplemented
    padding = None if padding_idx is None else padding_idx % len(weight)
    return _Embedding.apply(input, weight, padding, recording)  # type: ignore[no-untyped-call]


def _layer_norm(
    recording: Recording,
    input: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    if not recording.tracked(weight, bias) or len(normalized_shape) != 1:
        return NotImplemented
    return _LayerNorm.apply(input, weight, bias, eps, recording)  # type: ignore[no-untyped-call]


def _rms_norm(
    recording: Recording,
    input: Any,
    normalized_shape: Any,
    weight: Any = None,
    eps: Any = None,
) -> Any:
    if not recording.tracked(weight):
        return NotImplemented
    return _Scaled.apply(F.rms_norm(input, normalized_shape, None, eps), weight, recording, False)  # type: ignore[no-untyped-call]


def _convolution(dimensions: int) -> Callable[..., Any]:
    def several(value: Any) -> Any:
        return tuple(value) if isinstance(value, tuple | list) else (value,) * dimensions

    def rule(
        recording: Recording,
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        if (
            not recording.tracked(weight, bias)
            or isinstance(padding, str)
            or input.ndim != dimensions + 2
            or id(weight) not in recording.tape.names
        ):
            return NotImplemented
        how = (several(stride), several(padding), several(dilation), groups)
        return _Convolution.apply(input, weight, bias, how, recording)  # type: ignore[no-untyped-call]

    return rule


def _group_norm(
    recording: Recording,
    input: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    if not recording.tracked(weight, bias) or weight is None or bias is None:
        return NotImplemented
    normed = F.group_norm(input, num_groups, None, None, eps)
    return _Channels.apply(normed, weight, bias, recording)  # type: ignore[no-untyped-call]


def _scaled(added: bool) -> Callable[..., Any]:
    def rule(recording: Recording, left: Any, right: Any, **more: Any) -> Any:
        pair = (left, right) if recording.tracked(right) else (right, left)
        seen, parameter = pair
        if (
            more
            or not recording.tracked(parameter)
            or not isinstance(seen, torch.Tensor)
            or seen is parameter
        ):
            return NotImplemented
        whole = seen.ndim > parameter.ndim and seen.shape[seen.ndim - parameter.ndim :] == parameter.shape
        return _Scaled.apply(seen, parameter, recording, added) if whole else NotImplemented  # type: ignore[no-untyped-call]

    return rule


RULES: Mapping[Any, Callable[..., Any]] = {
    F.linear: _linear,
    torch.addmm: _addmm,
    F.embedding: _embedding,
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.conv1d: _convolution(1),
    F.conv2d: _convolution(2),
    F.group_norm: _group_norm,
    **dict.fromkeys(
        (torch.mul, torch.Tensor.mul, torch.Tensor.__mul__, torch.Tensor.__rmul__), _scaled(False)
    ),
    **dict.fromkeys(
        (torch.add, torch.Tensor.add, torch.Tensor.__add__, torch.Tensor.__radd__), _scaled(True)
    ),
}
"""torch's functions that may use a trainable parameter."""
