"""What the flow of a pass proves about modules: which may be folded, skipped, done at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final, TypeAlias

from torch import Tensor, nn

from neurocodec.nn.capture.flow import Flow, Seen, Step
from neurocodec.nn.capture.hooks import Capture, hooked_parts
from neurocodec.nn.fast.convolution import replaced_forward
from neurocodec.nn.standardisation import Standardisation

Skipped: TypeAlias = tuple[tuple[nn.Module, tuple[int, ...]], ...]
"""Modules, and the shape of what they return."""

BATCH_NORMS: Final = {
    "native_batch_norm.default",
    "cudnn_batch_norm.default",
    "miopen_batch_norm.default",
    "_native_batch_norm_legit_no_training.default",
}


def foldable(flow: Flow, capture: Capture) -> dict[nn.Module, nn.Module]:
    """Convolutions with the batch norm that alone reads what they make; each runs once."""
    if not flow.proves:
        return {}
    parts = dict(capture.module.named_modules())
    readers = Counter(v for step in flow.steps for v in {seen.value for _, seen in step.reads})
    found = dict[nn.Module, nn.Module]()
    for i, norm in enumerate(flow.steps):
        if norm.name not in BATCH_NORMS:
            continue
        taken = dict(norm.reads)["input"]
        source = flow.maker.get(taken.value)
        if source is None or readers[taken.value] != 1:
            continue
        convolution = flow.steps[source]
        one, other = parts[convolution.part], parts[norm.part]
        if (
            type(one) is not nn.Conv2d
            or type(other) is not nn.BatchNorm2d
            or {one, other} & capture.hooked
        ):
            continue
        if _is_all(flow, source, taken) and _is_all(flow, i, norm.makes[0]):
            found[one] = other
    return found


def with_own_kernels(flow: Flow, module: nn.Module) -> set[nn.Module]:
    """Convolutions whose every pass is one with the kernels and the bias that they hold."""
    if not flow.proves:
        return set()
    ways = defaultdict[str, list[bool]](list)
    for step in flow.steps:
        if step.name.startswith("convolution."):
            ways[step.part].append(_reads_own(flow, step))
    return {
        part
        for name, part in module.named_modules()
        if isinstance(part, nn.Conv2d) and ways[name] and all(ways[name])
    }


def _reads_own(flow: Flow, step: Step) -> bool:
    """Whether a step reads, beside its input, what its module holds under these names."""
    return all(flow.own.get(f"{step.part}.{name}") == x.value for name, x in step.reads[1:])


def _is_all(flow: Flow, index: int, made: Seen) -> bool:
    """Whether a step is all that its module does, once, and the module returns what it makes."""
    step = flow.steps[index]
    calls = [call.makes for call in flow.calls if call.part == step.part]
    return _reads_own(flow, step) and flow.within(step.part) == [index] and calls == [made]


def direct_convolution(
    flow: Flow, module: nn.Module, alias: str
) -> tuple[nn.Conv2d | None, Standardisation | None]:
    """The convolution that alone makes a layer from the input, or from the standardised input."""
    layer = flow.layers[alias]
    made = flow.maker.get(layer.value)
    step = None if made is None else flow.steps[made]
    if made is None or step is None or not step.name.startswith("convolution."):
        return None, None
    parts, taken = dict(module.named_modules()), dict(step.reads)["input"]
    convolution = parts[step.part]
    if type(convolution) is not nn.Conv2d or not _is_all(flow, made, layer):
        return None, None
    if taken == flow.input:
        return convolution, None
    before = _standardised(flow, parts, taken)
    return (convolution, before) if before is not None else (None, None)


def _standardised(
    flow: Flow, parts: Mapping[str, nn.Module], taken: Seen
) -> Standardisation | None:
    """The one module that standardises the input itself, and whose result is taken as it is."""
    for call in flow.calls:
        part = parts[call.part]
        if isinstance(part, Standardisation) and call.reads == flow.input and call.makes == taken:
            return part
    return None


def skippable(
    flow: Flow, module: nn.Module, through: Set[str], ends: Iterable[Seen] | None = None
) -> Skipped:
    """Modules that serve these layers alone and hold no hooks, with the shape that they return."""
    hooked = hooked_parts(module)
    parts = {name: part for name, part in module.named_modules() if name}
    free = {name for name, part in parts.items() if not ({*part.modules()} - {part}) & hooked}
    return tuple((parts[name], shape) for name, shape in flow.finished(through, free, ends).items())


@contextmanager
def zeroed(skipped: Skipped) -> Iterator[None]:
    """Let modules return zeros in place of computing, for the length of a ``with`` block."""
    with ExitStack() as stack:
        for module, shape in skipped:
            stack.enter_context(replaced_forward(module, partial(_zeros, shape[1:])))
        yield


def _zeros(shape: Sequence[int], *args: Tensor, **named: Tensor) -> Tensor:
    # numbers of their own, where an expanded zero would do: what follows may work in place
    x = next(iter((*args, *named.values())))
    return x.new_zeros((len(x), *shape))
