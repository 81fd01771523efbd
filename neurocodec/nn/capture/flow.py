"""The complete flow of data of one pass: every operation on tensors, what it reads, what it makes.

Autograd's graph shows what can be differentiated. Comparisons, masks, integers, `detach` and
`.item()` are not in it, and they too carry what a shortcut would lose; a dispatch mode sees all of
them. Numbers are told apart by storage and version, so that views, and work in place, are the
same numbers; what leaves for Python (and may decide what runs) is noted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neurocodec.nn.capture.affine import is_affine_step

INPUT: Final = ""
"""Source of what depends on the input otherwise than through a captured layer; an empty alias."""

LEAVES: Final = {
    "__array__",
    "__dlpack__",
    "data_ptr",
    "numpy",
    "storage",
    "tolist",
    "untyped_storage",
}
"""Methods by which numbers leave torch, unseen by the dispatcher."""
LAYOUT: Final = {"is_contiguous", "stride", "storage_offset"}
"""Methods that tell how numbers lie in memory."""
LAYOUT_OPERATIONS: Final = {"as_strided", "as_strided_", "resize_", "set_", "view.dtype"}
"""Operations whose result depends on how numbers lie in memory."""
SLIDING: Final = {
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "convolution",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
}
"""Operations whose settings tell which positions they read."""
CONSTANT: Final = {
    "empty_like",
    "full_like",
    "new_empty",
    "new_empty_strided",
    "new_full",
    "new_ones",
    "new_zeros",
    "ones_like",
    "zeros_like",
}
"""Operations that take the shape of a tensor, not its numbers."""


class Seen(NamedTuple):
    """A tensor that was seen: which numbers, and how it views them."""

    value: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Step:
    """One operation."""

    name: str  # as "relu_.default"
    part: str  # name of the innermost module within which it ran
    reads: tuple[tuple[str, Seen], ...]  # with the names of its arguments
    makes: tuple[Seen, ...]  # new numbers, or old ones changed in place
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)  # of sliding windows
    affine: bool = field(default=False, compare=False)  # in those of what it reads that depend


@dataclass(frozen=True)
class Call:
    """One call of a module."""

    part: str
    reads: Seen | None  # where it takes one tensor, by position
    makes: Seen | None  # where it returns one tensor

    @property
    def by_sample(self) -> bool:
        """Whether as many samples come out as go in."""
        if self.reads is None or self.makes is None:
            return False
        return self.reads.shape[:1] == self.makes.shape[:1]


@dataclass
class Flow:
    """What one pass did."""

    steps: list[Step] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    sources: list[frozenset[str]] = field(default_factory=list)  # of every value
    affine: list[bool] = field(default_factory=list)  # in the input, where that is its one source
    maker: dict[int, int] = field(default_factory=dict)  # value -> the step that made it
    own: dict[str, int] = field(default_factory=dict)  # parameter or buffer -> its value
    layers: dict[str, Seen] = field(default_factory=dict)  # captured, as their modules made them
    handed: dict[int, str] = field(default_factory=dict)  # value that goes on -> its layer
    left: set[int] = field(default_factory=set)  # values that left for Python
    input: Seen | None = None
    output: Seen | None = None
    layout: bool = False  # whether anything depends on how numbers lie in memory
    known: bool = True  # False: something was not seen, and nothing is proved

    @property
    def proves(self) -> bool:
        """Whether every pass runs as this one did, so that its facts hold for every sample."""
        return self.known and not any(self.sources[value] for value in self.left)

    def goes_round(self, through: str | None = None) -> bool:
        """Whether the answer, or a layer but `through`, depends on the input around the layers."""
        ends = [] if self.output is None else [self.output]
        if through is not None:
            ends += [seen for alias, seen in self.layers.items() if alias != through]
        return not self.proves or any(INPUT in self.sources[end.value] for end in ends)

    def passes_by(self, alias: str, of: str | None = None) -> bool:
        """Whether the answer, or a layer, depends on the input otherwise than through a layer."""
        end = self.output if of is None else self.layers[of]
        if not self.proves or end is None:
            return True
        found, waiting = set[int](), [end.value]
        while waiting:
            value = waiting.pop()
            if value in found or self.handed.get(value) == alias or not self.sources[value]:
                continue
            found.add(value)
            if value in self.handed:
                waiting.append(self.layers[self.handed[value]].value)
            elif value in self.maker:
                waiting += [seen.value for _, seen in self.steps[self.maker[value]].reads]
            else:
                return True
        return False

    def passes(self, alias: str, of: str | None = None) -> bool:
        """Whether the answer, or a layer, depends on a layer; it may, where nothing is proved."""
        end = self.end(of)
        if not self.proves or end is None:
            return True
        return any(self.handed.get(value) == alias for value in self.live((), [end])[1])

    def is_affine(self, alias: str) -> bool:
        """Whether a layer is an affine function of the input."""
        value = self.layers[alias].value
        return self.proves and self.sources[value] <= {INPUT} and self.affine[value]

    def end(self, alias: str | None) -> Seen | None:
        """A layer, or the answer."""
        return self.output if alias is None else self.layers[alias]

    def live(
        self, through: Iterable[str], ends: Iterable[Seen] | None = None
    ) -> tuple[set[int], set[int]]:
        """Steps and values that ends depend on around these layers: the answer, other layers."""
        stops = {*through}
        if ends is None:
            layers = [seen for alias, seen in self.layers.items() if alias not in stops]
            ends = layers if self.output is None else [*layers, self.output]
        steps, values = set[int](), set[int]()
        waiting = [*({seen.value for seen in ends} | self.left)]
        while waiting:
            value = waiting.pop()
            if value in values:
                continue
            values.add(value)
            if value in self.handed and self.handed[value] not in stops:
                waiting.append(self.layers[self.handed[value]].value)
            elif value in self.maker:
                steps.add(self.maker[value])
                waiting += [seen.value for _, seen in self.steps[self.maker[value]].reads]
        return steps, values

    def finished(
        self, through: Iterable[str], among: Set[str], ends: Iterable[Seen] | None = None
    ) -> dict[str, tuple[int, ...]]:
        """Largest modules that serve these layers alone, with the shape of what they return.

        Nothing that runs within them reaches the ends (the answer, other layers) but through the
        layers.
        """
        if not self.proves:
            return {}
        steps, values = self.live(through, ends)
        live = {self.steps[i].part for i in steps}
        ran = Counter(call.part for call in self.calls)
        done = {
            call.part: call.makes.shape
            for call in self.calls
            if call.part in among and ran[call.part] == 1 and call.by_sample
            if call.makes and call.makes.value not in values
            if not any(_within(part, call.part) for part in live)
        }
        return {p: s for p, s in done.items() if not any(p != q and _within(p, q) for q in done)}

    def within(self, part: str) -> list[int]:
        """Steps that ran within a module and took something."""
        return [i for i, s in enumerate(self.steps) if s.reads and _within(s.part, part)]


def _within(part: str, whole: str) -> bool:
    return not whole or part == whole or part.startswith(f"{whole}.")


class Recorder(TorchDispatchMode):
    """Writes down the flow of a pass."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flow = Flow()
        self.known = True
        self.stack: list[str] = [""]
        self._now: dict[int, int] = {}  # storage -> its present value
        self._kept: list[StorageWeakRef] = []  # so that no storage gets the address of another

    def start(self, module: nn.Module, x: Tensor) -> None:
        """Begin with what a module has, and its input; forget a pass that is being repeated."""
        self.flow, self.stack, self._now, self._kept = Flow(), [""], {}, []
        for tensor in self._tensors([*_own_tensors(module)]):
            self._set(tensor, frozenset(), affine=True)
        named = chain(
            module.named_parameters(remove_duplicate=False),
            module.named_buffers(remove_duplicate=False),
        )
        self.flow.own = {name: self.seen(t).value for name, t in named if self._tensors(t)}
        self.flow.input = self._set(x, frozenset({INPUT}), affine=True)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spare the seconds that torch takes to load its compiler, which it would keep out."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and write it down."""
        kwargs = kwargs or {}
        reads = self._reads(func, args, kwargs)
        result = func(*args, **kwargs)
        self._note(func, args, kwargs, reads, result)
        return result

    def _reads(self, func: Any, args: Any, kwargs: Any) -> tuple[tuple[str, Seen], ...]:
        names = [argument.name for argument in func._schema.arguments]  # noqa: SLF001
        given = [*zip(names, args, strict=False), *kwargs.items()]
        fresh = func is torch.ops.aten.lift_fresh.default  # numbers that Python has just given
        return tuple(
            (name, self.seen(leaf, fresh=fresh))
            for name, value in given
            for leaf in self._tensors(value)
        )

    def _tensors(self, values: Any) -> list[Tensor]:
        """Tensors among values; nothing is proved with those that have no storage of their own."""
        found = [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
        usable = [t for t in found if t.layout == torch.strided and not t.is_nested]
        self.known &= len(usable) == len(found)
        return usable

    def _note(self, func: Any, args: Any, kwargs: Any, reads: Any, result: Any) -> None:
        flow, name = self.flow, str(func).removeprefix("aten.")
        tensors = self._tensors(result)
        if _tells_python(func, tensors):
            flow.left |= {seen.value for _, seen in reads}
        base = name.partition(".")[0]
        flow.layout |= bool({name, base} & LAYOUT_OPERATIONS)
        new = [t for t in tensors if _storage(t) not in self._now]
        made = [*self._tensors(_changed(func, args, kwargs)), *new]
        if not made:
            return  # a view is the numbers that it is of
        taken = [] if base in CONSTANT else [(n, s.value) for n, s in reads]
        sources = frozenset[str]().union(*(flow.sources[value] for _, value in taken))
        depends = [n for n, value in taken if flow.sources[value]]
        floating = all(_floating((args, kwargs, result)))
        own = is_affine_step(name, depends, args, floating=floating)
        affine = own and all(flow.affine[value] for _, value in taken)
        makes = [self._set(tensor, sources, affine=affine) for tensor in made]
        flow.maker |= {seen.value: len(flow.steps) for seen in makes}
        settings = _settings(func, args, kwargs) if base in SLIDING else {}
        flow.steps.append(Step(name, self.stack[-1], reads, tuple(makes), settings, own))

    def seen(self, tensor: Tensor, *, fresh: bool = False) -> Seen:
        """A tensor as it is now; one from nowhere may be of anything, but what Python gave."""
        storage = _storage(tensor)
        if storage in self._now:
            return _geometry(tensor, self._now[storage])
        return self._set(tensor, frozenset() if fresh else frozenset({INPUT}), affine=fresh)

    def seen_alone(self, value: Any) -> Seen | None:
        """A value that is one tensor."""
        found = self._tensors(value) if isinstance(value, Tensor) else []
        return self.seen(found[0]) if found else None

    def _set(self, tensor: Tensor, sources: frozenset[str], *, affine: bool) -> Seen:
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - not asked by the network
            self._kept.append(StorageWeakRef(tensor.untyped_storage()))  # type: ignore[no-untyped-call]
        value = len(self.flow.sources)
        self.flow.sources.append(sources)
        self.flow.affine.append(affine or not sources)
        self._now[_storage(tensor)] = value
        return _geometry(tensor, value)

    def capture(self, alias: str, tensor: Tensor) -> Tensor:
        """Note a captured layer; its numbers go on as new ones, whose source is the layer."""
        self.flow.layers[alias] = self.seen(tensor)
        handed = tensor.clone()
        goes_on = self._set(handed, frozenset({alias}), affine=False)
        self.flow.handed[goes_on.value] = alias
        return handed

    def finish(self, output: Tensor) -> None:
        """Note the answer; nothing is known where captured numbers were written over later."""
        self.flow.output = self.seen(output)
        now = {*self._now.values()}
        written = any(seen.value not in now for seen in self.flow.layers.values())
        self.flow.known = self.known and not written


class Recorded(Protocol):
    """A module with hooks that tell a recorder of each pass and layer."""

    module: nn.Module
    recorder: Recorder | None


class _Leaving(TorchFunctionMode):
    """Notes tensors whose numbers, or whose place in memory, are asked for by Python."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in LEAVES or name in LAYOUT:
            for leaf in tree_leaves((args, kwargs)):
                if isinstance(leaf, Tensor):
                    value = self.recorder.seen(leaf).value
                    self.recorder.flow.layout |= bool(self.recorder.flow.sources[value])
                    self.recorder.flow.left |= {value} if name in LEAVES else set()
        return func(*args, **(kwargs or {}))


@contextmanager
def recorded(recorder: Recorder, capture: Recorded) -> Iterator[None]:
    """Write down what a captured module does, and within which of its parts."""

    def enter(name: str) -> Any:
        return lambda *_: recorder.stack.append(name)

    def leave(name: str) -> Any:
        def note(_part: nn.Module, args: Any, output: Any) -> None:
            recorder.stack.pop()
            reads = recorder.seen_alone(args[0] if len(args) == 1 else None)
            makes = recorder.seen_alone(output)
            recorder.flow.calls.append(Call(name, reads, makes))

        return note

    with ExitStack() as stack:
        for name, part in capture.module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):
                recorder.known = False  # it takes no hooks, and may run otherwise
                continue
            stack.callback(part.register_forward_pre_hook(enter(name)).remove)
            stack.callback(part.register_forward_hook(leave(name), prepend=True).remove)
        stack.callback(setattr, capture, "recorder", None)
        capture.recorder = recorder
        stack.enter_context(recorder)
        stack.enter_context(_Leaving(recorder))
        yield


def _storage(tensor: Tensor) -> int:
    with torch._C.DisableTorchFunction():  # noqa: SLF001
        return int(tensor.untyped_storage()._cdata)  # noqa: SLF001


def _geometry(tensor: Tensor, value: int) -> Seen:
    with torch._C.DisableTorchFunction():  # noqa: SLF001
        return Seen(value, tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()))


def _tells_python(func: Any, tensors: list[Tensor]) -> bool:
    """Whether an operation gives Python a number, or a shape that depends on numbers."""
    if {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & {*func.tags}:
        return True
    return not tensors and bool(func._schema.returns)  # noqa: SLF001


def _changed(func: Any, args: Any, kwargs: Mapping[str, Any]) -> list[Tensor]:
    """Tensors that an operation writes to."""
    found = []
    for i, argument in enumerate(func._schema.arguments):  # noqa: SLF001
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        value = args[i] if i < len(args) else kwargs.get(argument.name)
        found += [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return found


def _settings(func: Any, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What an operation was given beside tensors; what was left out is not there."""
    names = [argument.name for argument in func._schema.arguments]  # noqa: SLF001
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return {name: value for name, value in given.items() if not isinstance(value, Tensor)}


def _floating(values: Any) -> list[bool]:
    return [leaf.is_floating_point() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _own_tensors(module: nn.Module) -> Iterator[Tensor]:
    """Parameters, buffers, and tensors in plain attributes of modules."""
    yield from module.parameters()
    yield from module.buffers()
    for part in module.modules():
        held = [value for name, value in vars(part).items() if not name.startswith("_")]
        yield from (leaf for leaf in tree_leaves(held) if isinstance(leaf, Tensor))
