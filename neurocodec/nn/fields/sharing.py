"""Sharing-ratio decomposition: how much of a vector each position before it gave, in one pass back.

GIG eq. 10 (Han et al. 2024) shares the relevance R_j of the vector v_j at a position j among the
positions i that made it: R_i = sum_j <v_ij, v_j> / |v_j|^2 R_j, where v_ij is what i gave to v_j.
Vectors are what an activation function reads, or a max pool of what has a shift. Between two of
them the network is linear, given which pixel wins in a max pool: a convolution without its bias, a
batch norm without its shift, additions, averages. So <v_ij, v_j> / |v_j|^2 R_j, summed over j, is
<x_i, g_i>, where x_i is what the activation function before returned at i, and g_i the gradient
that comes back to it when R_j v_j / |v_j|^2 goes in at every j. One backward pass does all of it,
in which activation functions alone go back in their own way: from g_i to R_i, and on from there
with R_i v_i / |v_i|^2. The shares of the positions of a layer through which everything passes sum
to 1.

v_j is v_j without its shift: what it is where the input, and everything that activation functions
return, is zero. That is the same for all samples, and is found once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from neurocodec.errors import CaptureError
from neurocodec.nn.capture.axes import ChannelAxes
from neurocodec.nn.capture.flow import Flow, Step
from neurocodec.nn.capture.hooks import NONLINEARITIES, Capture, gradients
from neurocodec.nn.capture.tracing import close

ACTIVATIONS: Final = {
    "_prelu_kernel",
    "celu",
    "clamp_min",
    "elu",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "mish",
    "relu",
    "rrelu_with_noise",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
}
"""Operations of the functions that go back position by position."""
POOLS: Final = {
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
}
"""Operations that go back to the pixel that has won."""
_POOLED: Final = frozenset(
    getattr(place, f"{kind}max_pool{n}d{end}")
    for place in (functional, torch)
    for kind in ("", "adaptive_")
    for n in (1, 2, 3)
    for end in ("", "_with_indices")
    if hasattr(place, f"{kind}max_pool{n}d{end}")
)
"""The same, as networks call them."""
HINT: Final = "method='input_gradient'"


class Unit(NamedTuple):
    """A place in a pass at which the relevance of positions is summed over their channels."""

    shift: Tensor  # of one sample
    axis: int  # of the channels


class Shared(NamedTuple):
    """Shares of the values of an input in one vector of a layer."""

    shares: Tensor  # (sample, *input)
    alive: Tensor  # (sample,), whether the vector has a direction


@dataclass(frozen=True)
class Sharing:
    """Ways back by sharing ratios from a layer, or from the answer, of a captured network."""

    capture: Capture
    end: str | None  # the answer where None
    units: tuple[Unit | None, ...]  # by their order in a pass; none before what has no shift
    shifts: Mapping[str | None, Tensor] = field(repr=False)  # of layers, and of the answer

    @classmethod
    def of(cls, capture: Capture, flow: Flow, end: str | None, x: Tensor) -> Sharing:
        """Prepare the ways back; `flow` tells what runs, and `x` are a few samples.

        What is not known to share relevance is refused by its name.
        """
        require_known(flow, end)
        require_seen(capture, end, x[:1])
        found = _at_zero(capture, end, torch.zeros_like(x[:1]))
        with torch.no_grad():
            expected = _ends(capture, end, x)
            with found.modified():
                ends = _ends(capture, end, x)
        if not all(close(value, expected[name]) for name, value in ends.items()):
            raise CaptureError(
                came="a network that writes over what its activation functions read",
                expected="numbers that only go on from what a function returns",
                hint=HINT,
            )
        return found

    def fields(self, x: Tensor, places: Sequence[tuple[int, ...]]) -> Shared:
        """Shares of the input of each sample in the layer's vector at a place of its own."""
        leaf, vector, maps = self._forward(x)
        start, alive = _starts(maps - self._shift, places)
        found = _gradient(vector, leaf, self._laid(start, vector))
        return Shared(leaf.detach() * found, alive)

    def gradients(self, x: Tensor, places: Sequence[tuple[int, ...]]) -> Shared:
        """The plain gradient of the length of the same vectors, in place of shares."""
        return input_gradients(self.capture, str(self.end), x, places)

    def shares(self, x: Tensor, output: Tensor | None = None) -> dict[str, Tensor]:
        """Share of every position (sample, positions...) of the captured layers in one output.

        That is the largest of each sample where None.
        """
        with torch.enable_grad(), self.modified():
            done = self.capture.run(x)
        chosen = (done.outputs.argmax(1) if output is None else output)[:, None]
        value = (done.outputs.detach() - self.shifts[None]).gather(1, chosen)
        start = torch.zeros_like(done.outputs).scatter(1, chosen, _inverse(value))
        known = {a: h for a, h in done.hidden.items() if h.requires_grad}
        found = gradients(done.outputs, [*known.values()], start)
        shares = {}
        for (alias, hidden), slope in zip(known.items(), found, strict=True):
            if slope is None:
                raise _independent(alias)
            layer = self.capture.layers[alias]
            vectors = layer.channels_first(hidden.detach() - self.shifts[alias])
            shares[alias] = (vectors * layer.channels_first(slope)).sum(1)
        return shares

    @property
    def _shift(self) -> Tensor:
        return self.capture.layers[str(self.end)].channels_first(self.shifts[self.end])

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The input, the layer, and the same with its channels first and without its graph."""
        with torch.enable_grad(), self.modified():
            return reached(self.capture, str(self.end), x)

    def _laid(self, start: Tensor, vector: Tensor) -> Tensor:
        laid = torch.zeros_like(vector)
        self.capture.layers[str(self.end)].channels_first(laid).copy_(start)
        return laid

    @contextmanager
    def modified(self) -> Iterator[None]:
        """Let gradients go back by sharing ratios, for the length of a ``with`` block."""
        mode = _Modified(self.units)
        with mode:
            yield
        mode.require_all()


def input_gradients(
    capture: Capture, alias: str, x: Tensor, places: Sequence[tuple[int, ...]]
) -> Shared:
    """Gradient, by the input, of the length of a layer's vector at a place of each sample's."""
    with torch.enable_grad():
        leaf, vector, maps = reached(capture, alias, x)
    start, alive = _starts(maps, places)
    length = start.flatten(1).norm(dim=1).reshape(-1, *[1] * (start.ndim - 1))
    laid = torch.zeros_like(vector)
    capture.layers[alias].channels_first(laid).copy_(start * _inverse(length))
    return Shared(_gradient(vector, leaf, laid), alive)


def reached(capture: Capture, alias: str, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """An input that a graph starts at, a layer, and its maps (sample, channel, positions...)."""
    leaf = x.detach().clone().requires_grad_()
    vector = capture.reach(leaf, [alias])[alias]
    return leaf, vector, capture.layers[alias].channels_first(vector).detach()


def require_known(flow: Flow, end: str | None) -> None:
    """Refuse, by its name, an operation on the way to an end that shares no relevance."""
    seen = flow.end(end)
    if not flow.proves or seen is None:
        raise CaptureError(
            came="a network of which it is not known what runs for every sample",
            expected="operations that do not depend on the numbers of a sample",
            hint=HINT,
        )
    for index in sorted(flow.live((), [seen])[0]):
        step = flow.steps[index]
        if any(flow.sources[read.value] for _, read in step.reads) and not _is_known(step):
            raise _unknown(step.name, step.part)


def _is_known(step: Step) -> bool:
    base = step.name.partition(".")[0].removesuffix("_")
    return step.affine or base in ACTIVATIONS or base in POOLS


def _unknown(name: str, part: str) -> CaptureError:
    where = f" of module {part!r}" if part else ""
    return CaptureError(
        came=f"operation {name!r}{where}, whose relevance has no sharing ratio",
        expected="convolutions, batch norms, linear layers, additions, averages, max pools and"
        " activation functions before the layer",
        hint=HINT,
    )


def require_seen(capture: Capture, end: str | None, x: Tensor) -> None:
    """Refuse activation functions and pools that run in a way which is not seen as such."""
    functions = _Functions()
    with torch.no_grad(), functions, _Unseen(functions):
        _ends(capture, end, x)


def _at_zero(capture: Capture, end: str | None, x: Tensor) -> Sharing:
    """Run zeros, with zeros for what activation functions return: all that is left are shifts."""
    still, known = _Still(), capture.layers
    with torch.no_grad(), ChannelAxes(capture.module) as axes, still:
        axes.start(x)
        ends = _ends(capture, end, x)
    capture.layers = known  # a pass that is watched makes its own
    return Sharing(capture, end, tuple(still.units), ends)


def _ends(capture: Capture, end: str | None, x: Tensor) -> dict[str | None, Tensor]:
    if end is not None:
        return {end: capture.reach(x, [end])[end]}
    done = capture.look(x)
    named: list[tuple[str | None, Tensor]] = [(None, done.outputs), *done.hidden.items()]
    return dict(named)


class _Functions(TorchFunctionMode):
    """Shows the calls of activation functions and max pools."""

    def __init__(self) -> None:
        super().__init__()
        self.within = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in NONLINEARITIES or func in _POOLED:
            self.within = True
            try:
                value, rest = (args[0], args[1:]) if args else (kwargs.pop("input"), ())
                given = {k: x for k, x in kwargs.items() if k != "inplace"}
                in_place = func.__name__.endswith("_") or bool(kwargs.get("inplace"))
                return self.visit(
                    value,
                    lambda x: func(x.clone() if in_place else x, *rest, **given),
                    pools=func in _POOLED,
                )
            finally:
                self.within = False
        return func(*args, **kwargs)

    def visit(self, value: Tensor, compute: Callable[[Tensor], Any], *, pools: bool) -> Any:
        """Go on with what is returned."""
        del pools
        return compute(value)


class _Unseen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operations of activation functions and pools outside of those that are shown."""

    def __init__(self, functions: _Functions) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.functions = functions

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spare the seconds that torch takes to load its compiler, which it would keep out."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).removeprefix("aten.")
        base = name.partition(".")[0].removesuffix("_")
        if (base in ACTIVATIONS or base in POOLS) and not self.functions.within:
            raise _unknown(name, "")
        return func(*args, **(kwargs or {}))


class _Still(_Functions):
    """Notes what activation functions read, and lets them return zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.units = list[Unit | None]()

    def visit(self, value: Tensor, compute: Callable[[Tensor], Any], *, pools: bool) -> Any:
        """Note the shift; a max pool of what has none is part of what is linear."""
        if pools and not bool(value.any()):
            self.units.append(None)
            return compute(value)
        self.units.append(Unit(value.clone(), _axis(value)))
        result = compute(value)
        if isinstance(result, tuple):
            return (result[0] * 0, *result[1:])
        return result * 0  # and not fresh zeros, of whose axes nothing is known


def _axis(value: Tensor) -> int:
    """Axis of the channels of what a function reads."""
    axes = ChannelAxes.active()
    found = 1 if value.ndim == 2 else (None if axes is None else axes.of(value))
    if found is None:
        raise CaptureError(
            came=f"an activation function of a tensor {tuple(value.shape)} whose channels may be"
            " along any axis",
            expected="channels that a convolution, a batch norm or a linear layer has made",
            hint=HINT,
        )
    return found


class _Modified(_Functions):
    """Lets gradients through activation functions go back by sharing ratios."""

    def __init__(self, units: Sequence[Unit | None]) -> None:
        super().__init__()
        self.units = units
        self.count = 0

    def visit(self, value: Tensor, compute: Callable[[Tensor], Any], *, pools: bool) -> Any:
        """Compute, and note how to go back."""
        if self.count >= len(self.units):
            raise _otherwise()
        unit = self.units[self.count]
        self.count += 1
        if unit is None:
            return compute(value)
        if pools:
            return compute(_Back.apply(value, _same, unit))
        return _Back.apply(value, compute, unit)

    def require_all(self) -> None:
        """Refuse a pass with fewer functions than the first one had."""
        if self.count != len(self.units):
            raise _otherwise()


def _otherwise() -> CaptureError:
    return CaptureError(
        came="a network that calls other activation functions from pass to pass",
        expected="the same operations for every sample",
        hint=HINT,
    )


def _same(value: Tensor) -> Tensor:
    return value.clone()


class _Back(torch.autograd.Function):
    """A function of single positions, back from the relevance of each to what it read."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, compute: Callable[[Tensor], Tensor], unit: Unit) -> Tensor:
        """Compute."""
        result = compute(value)
        ctx.save_for_backward(value, result)
        ctx.unit = unit
        return result

    @staticmethod
    def backward(ctx: Any, *given: Any) -> tuple[Tensor, None, None]:
        """R_i = <x_i, g_i> and on with R_i v_i / |v_i|^2."""
        value, result = ctx.saved_tensors
        axis = ctx.unit.axis
        relevance = (result * given[0]).sum(axis, keepdim=True)
        vector = value - ctx.unit.shift
        size = torch.linalg.vector_norm(vector, dim=axis, keepdim=True).square_()
        return vector.mul_(relevance.mul_(_inverse(size))), None, None


def _inverse(size: Tensor) -> Tensor:
    """1 / size, and 0 where it is 0: what a shift alone has made is shared by nobody."""
    return torch.where(size == 0, 0, size.reciprocal())


def _starts(maps: Tensor, places: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """Relevance 1 of one vector (sample, channel, positions...), and whether it is not 0."""
    start = torch.zeros_like(maps)
    axes = [torch.tensor(axis, device=maps.device) for axis in zip(*places, strict=True)]
    index: Any = (torch.arange(len(maps), device=maps.device), slice(None), *axes)
    vectors = maps[index]
    size = vectors.square().sum(1, keepdim=True)
    start[index] = vectors * _inverse(size)
    return start, size[:, 0] != 0


def _gradient(of: Tensor, leaf: Tensor, given: Tensor) -> Tensor:
    found = gradients(of, leaf, given)[0] if of.requires_grad else None
    if found is None:
        raise _independent("")
    return found


def _independent(alias: str) -> CaptureError:
    return CaptureError(
        came=f"the layer does not depend on the input, or the answer on layer {alias!r}",
        expected="layers between the input and the answer",
    )
