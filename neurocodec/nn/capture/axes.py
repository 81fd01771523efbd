"""Which axis of an activation holds the channels: followed through every operation of one pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from contextvars import ContextVar, Token
from typing import Any, Final, Self, TypeAlias

from torch import Size, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from neurocodec.nn.arrays import tensors_in

Part: TypeAlias = tuple[int, float, float]
"""An axis, and the strides inside it between which the channels lie: 1 and its size for all."""
Where: TypeAlias = frozenset[Part]
"""Where the channels may be; several axes where that is not known, none where nothing is."""

NOWHERE: Final[Where] = frozenset()
AS_IMAGE: Final[Part] = (1, 0, 0)
"""Channels of an input (sample, color, y, x); every operation that names others knows better."""
FIRST: Final = (
    *("batch_norm", "group_norm", "grid_sampler", "pixel_", "channel_shuffle", "upsample"),
    *("im2col", "col2im"),
)
"""Parts of the names of operations that take their channels at axis 1."""
LAST: Final = ("embedding", "lstm", "gru", "rnn_", "trilinear", "attention", "linear")
"""Those that leave their channels at the last axis."""
VIEWS: Final = ("view", "unsafe_view", "reshape", "reshape_alias", "view_copy")
PRODUCTS: Final = ("mm", "addmm", "bmm", "baddbmm", "matmul")
OPAQUE: Final = ("as_strided", "diagonal", "cdist", "outer", "kron")
"""Operations after which nothing is known."""

_active: ContextVar[ChannelAxes | None] = ContextVar("channel_axes", default=None)


class ChannelAxes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches one pass of a module, and tells of each tensor in it which axis has the channels.

    Convolutions and batch norms put them at axis 1, linear layers and embeddings at the last; other
    operations take them along. Two ways that say different things leave both possible.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.module = module
        self._known: Any = WeakTensorKeyDictionary()
        self._stack = ExitStack()
        self._token: Token[ChannelAxes | None] | None = None

    @staticmethod
    def active() -> ChannelAxes | None:
        """The one that watches the pass under way, if any does."""
        return _active.get()

    def __enter__(self) -> Self:
        """Watch; linear layers say themselves that their channels are last."""
        for part in self.module.modules():
            if isinstance(part, nn.Linear):
                self._stack.callback(part.register_forward_hook(self._linear, prepend=True).remove)
        self._token = _active.set(self)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop, and take the hooks off."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        if self._token is not None:
            _active.reset(self._token)
        self._stack.close()

    def start(self, x: Tensor) -> None:
        """Tell what the input of the pass is."""
        self._known[x] = frozenset({AS_IMAGE}) if x.ndim == 4 else NOWHERE

    def of(self, tensor: Tensor) -> int | None:
        """Axis of the channels; None where it is not known, or may be one of several."""
        axes = {axis for axis, _, _ in self._known.get(tensor, NOWHERE)} - {0}
        return axes.pop() if len(axes) == 1 else None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spare the seconds that torch takes to load its compiler, which it would keep out."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Compute an operation, and note where its channels went."""
        del types
        output = func(*args, **(kwargs or {}))
        call = _Call(func, args, kwargs or {}, self._known)
        for tensor in tensors_in(output):
            found = call.where(tensor)
            if found is not None:
                self._known[tensor] = found
                base = tensor._base if call.changes else None  # noqa: SLF001
                if base is not None and base not in self._known:
                    self._known[base] = NOWHERE
        return output

    def _linear(self, _module: nn.Module, args: Any, output: Any) -> None:
        if not (isinstance(output, Tensor) and output.ndim):
            return
        given = [t for t in tensors_in(args) if t.ndim == output.ndim]
        before = [p for t in given[:1] for p in self._known.get(t, NOWHERE) if p[2]]
        elsewhere = frozenset(part for part in before if part[0] != output.ndim - 1)
        known = _aligned(elsewhere, given[0].shape, output.shape) if elsewhere else NOWHERE
        self._known[output] = known | _whole(output.shape, -1)  # positions may be what is mixed


class _Call:
    """One operation, with what is known of what it took; other tensors are constants."""

    def __init__(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], known: Any
    ) -> None:
        self.schema = func._schema  # noqa: SLF001
        self.name = self.schema.name.partition("::")[2].strip("_")
        self.args, self.kwargs, self.known = args, kwargs, known
        self.taken = [*tensors_in((args, kwargs))]
        self.changes = self.schema.is_mutable

    def where(self, out: Tensor) -> Where | None:
        """Where the channels of a result are; None where it is a constant."""
        name = self.name
        if "convolution" in name or name.startswith("conv_"):
            return _whole(out.shape, 1)
        if any(part in name for part in FIRST) or ("pool" in name and self._unknown):
            return self._declared(out, 1)
        if any(part in name for part in LAST):
            return _whole(out.shape, -1)
        if name.startswith("new_") or name.endswith("_like"):
            return None
        if not any(tensor in self.known for tensor in self.taken):
            return None
        return self._moved(out)

    def _moved(self, out: Tensor) -> Where:
        name, first = self.name, self.taken[0]
        lost = name in OPAQUE and not (self.changes and out.shape == first.shape)  # but in pools
        if lost or not out.ndim or not out.numel():
            return NOWHERE
        if name in PRODUCTS:
            return self._product(out)
        if "layer_norm" in name and len(self.argument("normalized_shape")) == 1:
            return self._declared(out, -1)
        return self._declared(out, 1) if "pool" in name else self._carried(first, out)

    def _carried(self, first: Tensor, out: Tensor) -> Where:
        if self.name in VIEWS:
            return frozenset(p for part in self._of(first) for p in _viewed(part, first, out))
        places = self._places(first, out)
        if places is None:
            return _common(_aligned(self._all(t), t.shape, out.shape) for t in self.taken)
        alike = [t for t in self.taken if t.shape == first.shape]
        return _common(frozenset(_placed(self._all(t), places)) for t in alike)

    def _all(self, tensor: Tensor) -> Where:
        found: Where = self.known.get(tensor, NOWHERE)
        return found

    def _of(self, tensor: Tensor) -> Where:
        return frozenset(part for part in self._all(tensor) if part[2])

    @property
    def _unknown(self) -> bool:
        return not any(map(self._of, self.taken))

    def argument(self, name: str, default: Any = None) -> Any:
        for place, argument in enumerate(self.schema.arguments):
            if argument.name == name:
                given = self.args[place] if place < len(self.args) else argument.default_value
                return self.kwargs.get(name, given)
        return default

    def _declared(self, out: Tensor, axis: int) -> Where:
        """Channels at an axis that the operation names; also elsewhere, where they came from."""
        whole = _whole(out.shape, axis)
        before = [p for t in self.taken[:1] for p in _aligned(self._of(t), t.shape, out.shape)]
        there = [part for part in before if part[0] == axis % max(out.ndim, 1)]
        return frozenset(there) if there else frozenset(before) | whole

    def _product(self, out: Tensor) -> Where:
        """Channels of a product: those of a weight, or those that are not summed over."""
        left, right = self.taken[-2:]
        last = out.ndim - 1
        rows = {a for a, _, _ in self._of(left)} & {left.ndim - 2}
        columns = {a for a, _, _ in self._of(right)} & {right.ndim - 1}
        if right not in self.known:  # a weight: a linear layer, or positions that are mixed
            elsewhere = self._of(left) and not any(a == left.ndim - 1 for a, _, _ in self._of(left))
            kept = _aligned(self._of(left), left.shape, out.shape) if elsewhere else NOWHERE
            return kept | _whole(out.shape, last)
        if left not in self.known:
            return _whole(out.shape, last if columns or not self._of(right) else last - 1)
        found = _whole(out.shape, last) if columns else NOWHERE
        return found | (_whole(out.shape, last - 1) if rows else NOWHERE)

    def _places(self, first: Tensor, out: Tensor) -> dict[int, int] | None:
        """New place of each axis, where the operation moves or drops axes; else None."""
        rule = MOVES.get(self.name.removesuffix("_copy"))
        if rule is not None:
            return rule(self, first, out)
        if self.argument("keepdim") is False and out.ndim < first.ndim:
            return _without(first.ndim, self.argument("dim"))
        return {} if self.name == "index" and out.ndim != first.ndim else None


def _permuted(call: _Call, first: Tensor, _out: Tensor) -> dict[int, int]:
    return {axis % first.ndim: place for place, axis in enumerate(call.argument("dims"))}


def _swapped(call: _Call, first: Tensor, _out: Tensor) -> dict[int, int]:
    one, other = (call.argument(f"dim{i}", -i) % first.ndim for i in (0, 1))
    return {axis: {one: other, other: one}.get(axis, axis) for axis in range(first.ndim)}


def _pushed(call: _Call, first: Tensor, out: Tensor) -> dict[int, int]:
    new = call.argument("dim") % out.ndim
    return {axis: axis + (axis >= new) for axis in range(first.ndim)}


def _selected(call: _Call, first: Tensor, _out: Tensor) -> dict[int, int]:
    return _without(first.ndim, call.argument("dim"))


def _squeezed(call: _Call, first: Tensor, _out: Tensor) -> dict[int, int]:
    dims = _listed(call.argument("dim"), first.ndim)
    return _without(first.ndim, [dim for dim in dims if first.shape[dim] == 1])


MOVES: Final[dict[str, Callable[[_Call, Tensor, Tensor], dict[int, int]]]] = {
    "permute": _permuted,
    **dict.fromkeys(("transpose", "t", "swapaxes"), _swapped),
    **dict.fromkeys(("unsqueeze", "stack"), _pushed),
    **dict.fromkeys(("select", "unbind"), _selected),
    "squeeze": _squeezed,
}
"""Operations that move axes, and where to."""


def _whole(shape: Size, axis: int) -> Where:
    place = axis % len(shape) if -len(shape) <= axis < len(shape) else None
    return NOWHERE if place is None else frozenset({(place, 1, shape[place])})


def _common(found: Iterable[Where]) -> Where:
    """Where all of those agree that know anything; every possibility where they do not."""
    some = [where for where in found if where]
    named = [where for where in some if any(high for _, _, high in where)]
    known = named or some
    axes = [{axis for axis, _, _ in where} for where in known]
    shared = set.intersection(*axes) if axes else set()
    every: Where = frozenset().union(*known)
    return frozenset(part for part in every if part[0] in shared) or every


def _aligned(where: Where, old: Size, new: Size) -> Where:
    """Places in a result that is broadcast, cut or pooled from a tensor."""
    shift = len(new) - len(old)
    if shift < 0:
        return NOWHERE
    found = set[Part]()
    for axis, low, high in where:
        before, size = old[axis], new[axis + shift]
        if before == size or not high:
            found.add((axis + shift, low, high))
        elif before != 1 or (shift == 0 and size == 1):
            found.add((axis + shift, 1, size))
    return frozenset(found)


def _placed(where: Where, places: Mapping[int, int]) -> Iterator[Part]:
    return ((places[axis], low, high) for axis, low, high in where if axis in places)


def _without(count: int, dims: int | Sequence[int] | None) -> dict[int, int]:
    """New places of the axes that stay where some are dropped."""
    gone = {dim % count for dim in _listed(dims, count)} if count else set()
    return {axis: i for i, axis in enumerate(a for a in range(count) if a not in gone)}


def _listed(dims: int | Sequence[int] | None, count: int) -> Sequence[int]:
    return range(count) if dims is None else [dims] if isinstance(dims, int) else dims


def _strides(shape: Size) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _viewed(part: Part, old: Tensor, new: Tensor) -> Iterator[Part]:
    """Axes that take up the channels of one axis, where axes are cut and joined."""
    axis, low, high = part
    stride = _strides(old.shape)[axis]
    low, high = stride * low, stride * high
    axes = [(j, s, n) for j, (s, n) in enumerate(zip(_strides(new.shape), new.shape, strict=True))]
    for j, s, n in axes:
        if min(high, s * n) > max(low, s):
            yield j, max(low, s) / s, min(high, s * n) / s
    if high <= low:  # one channel: an axis of one at its place, else the axis that it went into
        alone = [(abs(j - axis), j) for j, s, n in axes if n == 1 and s == low]
        inside = [(0, j) for j, s, n in axes if s <= low <= s * n]
        for _, j in sorted(alone)[:1] or inside[:1]:
            yield j, 1, 1
