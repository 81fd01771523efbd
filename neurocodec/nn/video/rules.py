"""What each operation does to steps of time: operations that keep them apart, and how."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from torch import Tensor

from neurocodec.nn.arrays import tensors_in
from neurocodec.nn.video.spans import MIXED, MixedError, Span, joined

ALONE: Final = {
    *("abs", "alias", "ceil", "celu", "clamp", "clamp_max", "clamp_min", "clone", "contiguous"),
    *("cos", "detach", "elu", "erf", "exp", "exp2", "expm1", "floor", "gelu", "hardsigmoid"),
    *("hardswish", "hardtanh", "leaky_relu", "lift_fresh", "log", "log10", "log1p", "log2"),
    *("log_sigmoid_forward", "logit", "mish", "neg", "reciprocal", "relu", "relu6", "round"),
    *("rsqrt", "selu", "sigmoid", "sign", "silu", "sin", "softplus", "softshrink", "sqrt"),
    *("square", "tan", "tanh", "threshold", "_to_copy", "nan_to_num", "positive"),
}
"""Number by number, of one tensor."""
TOGETHER: Final = {
    *("add", "addcdiv", "addcmul", "div", "eq", "fmax", "fmin", "ge", "gt", "le", "lerp", "lt"),
    *("maximum", "minimum", "mul", "ne", "pow", "rsub", "sub", "true_divide", "where"),
    *("logical_and", "logical_or", "bitwise_and", "bitwise_or", "_prelu_kernel", "prelu"),
}
"""Number by number, of several that are broadcast."""
CONSTANT: Final = {
    *("empty_like", "full_like", "new_empty", "new_empty_strided", "new_full", "new_ones"),
    *("new_zeros", "ones_like", "zeros_like"),
}
"""Take the shape of a tensor, not its numbers."""
VIEWS: Final = {"view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy"}
NORMS: Final = {
    "native_batch_norm": 5,
    "cudnn_batch_norm": 5,
    "miopen_batch_norm": 5,
    "_native_batch_norm_legit_no_training": None,
}
"""Place of the argument that says that statistics are those of the batch."""
REDUCING: Final = {"sum", "mean", "amax", "amin", "std", "var", "logsumexp", "prod", "any", "all"}
ALONG: Final = {"_softmax", "_log_softmax", "cumsum", "cumprod", "flip", "roll", "sort", "topk"}
"""Along axes that are not time."""


class Call:
    """One operation: what it took, and what is known of that."""

    def __init__(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], known: Any
    ) -> None:
        self.schema = func._schema  # noqa: SLF001
        self.name = self.schema.name.partition("::")[2]
        self.changes = self.schema.is_mutable
        if self.changes:
            self.name = self.name.rstrip("_")
        self.args, self.kwargs, self.known = args, kwargs, known
        self.taken = [*tensors_in((args, kwargs))]

    @property
    def timed(self) -> bool:
        """Whether anything that it takes has steps of time."""
        return any(tensor in self.known for tensor in self.taken)

    def argument(self, name: str, default: Any = None) -> Any:
        """Value of an argument by its name."""
        for place, argument in enumerate(self.schema.arguments):
            if argument.name == name:
                given = self.args[place] if place < len(self.args) else argument.default_value
                return self.kwargs.get(name, given)
        return default

    def span(self, tensor: Tensor) -> Span:
        """Steps of a tensor that has some."""
        found: Span | None = self.known.get(tensor)
        if found is None or found is MIXED:
            raise MixedError
        return found

    def of(self, out: Tensor) -> Span:
        """Steps of the first result."""
        name = self.name
        if name in ALONE and len(self.taken) == 1:
            return self.span(self.taken[0])
        if name in ALONE | TOGETHER:
            return self.broadcast(out)
        if name in VIEWS:
            return _viewed(self.span(self.taken[0]), self.taken[0], out)
        if name in NORMS:
            return self._norm()
        if name in REDUCING or name in ALONG:
            return self._reduced(out)
        rule = RULES.get(name)
        if rule is None:
            raise MixedError
        return rule(self, out)

    def broadcast(self, out: Tensor, among: Sequence[Tensor] | None = None) -> Span:
        """Steps of tensors that are broadcast; those without are to be alike at all steps."""
        taken = self.taken if among is None else among
        found = []
        for tensor in taken:
            if tensor in self.known:
                span = self.span(tensor)
                found.append(span.at(span.axis + out.ndim - tensor.ndim))
        whole = joined(found)
        for tensor in taken:
            if tensor not in self.known:
                require_constant(tensor, whole.axis - out.ndim)
        return whole

    def only(self, tensor: Tensor) -> Span:
        """Steps of one tensor, where nothing else has any."""
        if any(x in self.known for x in self.taken if x is not tensor):
            raise MixedError
        return self.span(tensor)

    def _norm(self) -> Span:
        span, place = self.only(self.taken[0]), NORMS[self.name]
        training = place is not None and self.args[place] is not False
        if training or span.axis == 1:
            raise MixedError
        return span

    def _reduced(self, out: Tensor) -> Span:
        tensor = self.taken[0]
        span = self.only(tensor)
        dims = self.argument("dim", self.argument("dims"))
        if dims is None:
            raise MixedError
        gone = {d % tensor.ndim for d in ([dims] if isinstance(dims, int) else dims)}
        if not gone or span.axis in gone:
            raise MixedError
        if self.name in ALONG or out.ndim == tensor.ndim:
            return span
        return span.at(span.axis - sum(d < span.axis for d in gone))


def _convolution(call: Call, out: Tensor) -> Span:
    x, weight = call.argument("input"), call.argument("weight")
    span = call.only(x)
    if span.axis == 0:
        return span
    place = span.axis - 2
    stride, padding, dilation = (call.argument(n) for n in ("stride", "padding", "dilation"))
    kernel = weight.shape[2:]
    stride, padding, dilation = (
        list(p) * (len(kernel) if len(p) == 1 else 1) for p in (stride, padding, dilation)
    )
    if place < 0 or stride[place] != 1 or call.argument("transposed"):
        raise MixedError
    last = (kernel[place] - 1) * dilation[place] - padding[place]
    return span.moved(-padding[place], last, out.shape[span.axis])


def _pooled(call: Call, out: Tensor) -> Span:
    x = call.argument("self")
    span, kernel = call.only(x), list(call.argument("kernel_size"))
    count = int(call.name.partition("pool")[2][0])
    place = span.axis - (x.ndim - count)
    if place < 0:
        return span
    options = {"stride": kernel, "padding": [0], "dilation": [1]}
    kernel, stride, padding, dilation = (
        list(p) * (count if len(p) == 1 else 1)
        for p in (kernel, *(call.argument(n) or d for n, d in options.items()))
    )
    if stride[place] != 1 or padding[place]:
        raise MixedError
    return span.moved(0, (kernel[place] - 1) * dilation[place], out.shape[span.axis])


def _scaled(call: Call, out: Tensor) -> Span:
    """Resampled in space, which is last."""
    x = call.taken[0]
    span, count = call.only(x), out.ndim - 2
    if span.axis >= 2 or count < 1:
        raise MixedError
    return span


def _padded(call: Call, out: Tensor) -> Span:
    x = call.argument("self")
    span = call.only(x)
    pad = call.argument("pad", call.argument("padding"))
    place = 2 * (x.ndim - 1 - span.axis)
    before = pad[place] if place < len(pad) else 0
    return span.moved(-before, -before, out.shape[span.axis])


def _permuted(call: Call, out: Tensor) -> Span:
    span = call.only(call.taken[0])
    dims = [d % out.ndim for d in call.argument("dims")]
    return span.at(dims.index(span.axis))


def _swapped(call: Call, out: Tensor) -> Span:
    span = call.only(call.taken[0])
    if out.ndim < 2:
        return span
    one, other = (d % out.ndim for d in (call.argument("dim0", 0), call.argument("dim1", 1)))
    return span.at({one: other, other: one}.get(span.axis, span.axis))


def _unsqueezed(call: Call, out: Tensor) -> Span:
    span = call.only(call.taken[0])
    return span.at(span.axis + (call.argument("dim") % out.ndim <= span.axis))


def _squeezed(call: Call, _out: Tensor) -> Span:
    x = call.taken[0]
    span, dims = call.only(x), call.argument("dim")
    listed = range(x.ndim) if dims is None else [dims] if isinstance(dims, int) else dims
    gone = {d % x.ndim for d in listed if x.shape[d] == 1}
    if span.axis in gone:
        raise MixedError
    return span.at(span.axis - sum(d < span.axis for d in gone))


def _selected(call: Call, _out: Tensor) -> Span:
    x = call.taken[0]
    span, dim = call.only(x), call.argument("dim") % x.ndim
    if dim == span.axis:
        raise MixedError
    return span.at(span.axis - (dim < span.axis))


def _sliced(call: Call, out: Tensor) -> Span:
    x = call.taken[0]
    span, dim = call.only(x), call.argument("dim", 0) % x.ndim
    if dim != span.axis:
        return span
    if call.argument("step", 1) != 1:
        raise MixedError
    first = call.argument("start") or 0
    first = min(max(first + span.size if first < 0 else first, 0), span.size)
    return span.moved(first, first, out.shape[dim])


def _kept(call: Call, out: Tensor) -> Span:
    """Cut apart, or repeated, along other axes."""
    x = call.taken[0]
    span = call.only(x)
    axis = span.axis + out.ndim - x.ndim
    if out.shape[axis] != span.length:
        raise MixedError
    return span.at(axis)


def _joined(call: Call, out: Tensor) -> Span:
    dim = call.argument("dim", 0) % out.ndim
    timed = [x for x in call.taken if x in call.known]
    whole = joined(call.span(x) for x in timed)
    if dim != whole.axis:
        return call.broadcast(out)
    if len(timed) != 1:
        raise MixedError
    place = next(i for i, x in enumerate(call.taken) if x is timed[0])
    before = sum(x.shape[dim] for x in call.taken[:place])
    return whole.moved(-before, -before, out.shape[dim])


def _product(call: Call, out: Tensor) -> Span:
    """Matrix products, in which time is no axis that is summed over."""
    left, right = call.taken[-2:]
    found = []
    for x, summed in ((left, left.ndim - 1), (right, right.ndim - 2)):
        if x in call.known:
            span = call.span(x)
            if span.axis == summed:
                raise MixedError
            found.append(span)
    whole = joined(found)
    for x in (left, right):  # of products in batches
        if x not in call.known and whole.axis < x.ndim - 2:
            require_constant(x, whole.axis - x.ndim)
    if len(found) == 2 and whole.axis >= out.ndim - 2:
        raise MixedError
    for x in call.taken[:-2]:
        if x in call.known:
            raise MixedError
        require_constant(x, whole.axis - out.ndim)
    return whole


def _sampled(call: Call, _out: Tensor) -> Span:
    """Places in feature maps (time, channel, y, x), the same at all times."""
    x, grid = call.taken[:2]
    span = call.only(x)
    if span.axis != 0:
        raise MixedError
    require_constant(grid, -grid.ndim)
    return span


def _normalised(call: Call, _out: Tensor) -> Span:
    x = call.taken[0]
    span = call.only(x)
    if span.axis >= x.ndim - len(call.argument("normalized_shape")):
        raise MixedError
    return span


RULES: Final[dict[str, Callable[[Call, Tensor], Span]]] = {
    "convolution": _convolution,
    "_convolution": _convolution,
    **dict.fromkeys(("constant_pad_nd", "replication_pad1d", "replication_pad2d"), _padded),
    **dict.fromkeys(("replication_pad3d", "reflection_pad1d", "reflection_pad2d"), _padded),
    "reflection_pad3d": _padded,
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), _pooled),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices"), _pooled),
    **dict.fromkeys(("_adaptive_avg_pool2d", "upsample_bilinear2d", "upsample_nearest2d"), _scaled),
    "permute": _permuted,
    **dict.fromkeys(("transpose", "t"), _swapped),
    "unsqueeze": _unsqueezed,
    "squeeze": _squeezed,
    "select": _selected,
    "slice": _sliced,
    **dict.fromkeys(("expand", "repeat", "split", "split_with_sizes"), _kept),
    "cat": _joined,
    **dict.fromkeys(("mm", "addmm", "bmm", "baddbmm"), _product),
    "grid_sampler_2d": _sampled,
    "native_layer_norm": _normalised,
}
"""Operation -> steps of its first result, from those of what it takes."""


def require_constant(tensor: Tensor, axis: int) -> None:
    """Refuse numbers that differ from step to step without being of the movie."""
    if tensor.ndim < -axis or tensor.shape[axis] == 1:
        return
    first = tensor.narrow(axis, 0, 1)
    if not bool((tensor == first).all()):
        raise MixedError


def _viewed(span: Span, old: Tensor, new: Tensor) -> Span:
    """The axis that holds all steps, perhaps with others folded into it."""
    step = math.prod(old.shape[span.axis + 1 :]) * span.inside  # numbers from step to step
    for axis, size in enumerate(new.shape):
        stride = math.prod(new.shape[axis + 1 :])
        inside, uneven = divmod(step, stride)
        before, rest = divmod(size, max(inside, 1) * span.size)
        if inside and before and not uneven and not rest:
            return replace(span, axis=axis, before=before, inside=inside)
    raise MixedError
