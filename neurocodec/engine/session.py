"""The one way to hook a network, see how it runs, and prepare it for a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from neurocodec.engine.samples import Samples
from neurocodec.identity.marks import Identity
from neurocodec.identity.state import State
from neurocodec.labels import fingerprint
from neurocodec.network import Network
from neurocodec.nn.capture.borrowing import copied
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Prefix
from neurocodec.nn.capture.tracing import Proof, Trace, quickened, trace, trace_again
from neurocodec.nn.perturbation.replay import START
from neurocodec.nn.video.one_pass import OnePass
from neurocodec.nn.video.windowed import Windowed

BY_NUMBER_OF_AXES: Final = {2: "vector", 3: "tokens", 4: "maps"}
"""Layouts that go without saying in what identifies a run."""

_changed: Final[WeakKeyDictionary[nn.Module, frozenset[str]]] = WeakKeyDictionary()
"""Module -> what its passes were seen to change: a cache that is full already changes no more."""
_proofs: Final[WeakKeyDictionary[nn.Module, dict[str, Proof]]] = WeakKeyDictionary()
"""Module -> what is proved of it, by its state, the layers and the shape of the samples."""
_PROOFS: Final = 8
"""Proofs that are kept of one module."""
_ANSWERS: Final = 64
"""Numbers of an answer that are kept, at equal distances, at most."""


@dataclass(frozen=True)
class Known:
    """What a network's numbers depend on, seen before and after its first passes."""

    facts: dict[str, Any]
    identity: Identity

    @classmethod
    def of(cls, net: Network, before: State) -> Known:
        """What earlier passes have changed in a copy is no part of what the module is."""
        state = replace(before, changed=tuple(sorted(_changed.get(net.module, ()))))
        return cls(net.facts_in(state), Identity(state.kept_marks, state.walk.code, state.changed))

    def answering(self, answers: Tensor) -> Known:
        """The same, with some numbers of the answers to a few samples."""
        return replace(self, identity=replace(self.identity, answers=[some_of(answers)]))


def some_of(answers: Tensor) -> list[float]:
    """Some numbers of an answer, at equal distances, and their sum, to know it again by."""
    flat = answers.detach().cpu().double().flatten()
    step = -(-max(1, flat.numel()) // _ANSWERS)
    return [*flat[::step].tolist(), float(flat.sum())]


@dataclass(frozen=True)
class Session:
    """A network that is hooked, and that a few samples were seen to run through."""

    net: Network
    capture: Capture
    few: Tensor  # the samples that were traced
    traced: Trace
    known: Known
    lights: Tensor | None = None  # further samples, the darkest and the brightest
    prefixes: list[Prefix | None] = field(default_factory=list)  # found once, if it was asked for
    passes: list[OnePass | None] = field(default_factory=list)  # likewise
    shared: list[Prefix | None] = field(default_factory=list)  # likewise

    @property
    def outputs(self) -> list[str]:
        """Names of the network's outputs; numbers where it has none."""
        return self.net.output_names(self.traced.done.outputs.shape[1])

    @property
    def facts(self) -> dict[str, Any]:
        """Facts of the network, without what its own passes change."""
        return self.known.facts

    @property
    def bytes_per_sample(self) -> int:
        """What one sample's pass keeps."""
        return self.traced.bytes_per_sample

    def channels(self, alias: str) -> int:
        """Number of channels of a captured layer."""
        return self.capture.layers[alias].channels_first(self.traced.done.hidden[alias]).shape[1]

    def told(self, layers: Mapping[str, Layer]) -> dict[str, Layer]:
        """Layers as a run is identified by: with a layout that the number of axes does not say."""
        seen = {alias: self.capture.layers[alias] for alias in layers}
        axes = {alias: self.traced.done.hidden[alias].ndim for alias in layers}
        usual = {a for a in layers if seen[a].layout == BY_NUMBER_OF_AXES.get(axes[a])}
        return {a: layer if a in usual else seen[a] for a, layer in layers.items()}

    def one_pass(self, samples: Samples) -> OnePass | None:
        """One pass over the movie in place of one for each window, where that gives the same."""
        if not isinstance(self.net.module, Windowed) or samples.history is None:
            return None
        if not self.passes:
            batch = samples.batch(0, min(4, len(samples)), self.net.device)
            self.passes.append(OnePass.of(self.capture, batch))
        return self.passes[0]

    def through(self, samples: Samples) -> OnePass:
        """One pass over each piece of a movie, through which a state is carried."""
        batch = samples.batch(0, 1, self.net.device)
        return OnePass.carrying(self.capture, batch)

    @contextmanager
    def quickened(self) -> Iterator[None]:
        """Compute the convolutions in their faster form, where that agrees with what was traced."""
        several = self.few if self.lights is None else self.lights
        with quickened(self.capture, self.traced, self.few, several):
            yield


def _key(known: Known, asked: object) -> str:
    return fingerprint(repr((known.facts, sorted(known.identity.data.items()), asked)))


def _traced(net: Network, capture: Capture, few: Tensor, before: State) -> tuple[Trace, Known]:
    """See how a few samples run, in full unless it is proved of this state, layers and shape."""
    proofs, known = _proofs.setdefault(net.module, {}), Known.of(net, before)
    # of one sample nothing is known of how several depend on each other
    asked = (dict(capture.layers), (*few.shape[1:],), few.dtype, few.device, len(few) > 1)
    proof = proofs.get(_key(known, asked))
    if proof is not None:
        traced = trace_again(capture, few, proof)
        return traced, known.answering(traced.done.outputs)
    fresh = copied(net.module)  # that passes may change, with no hooks of ours
    start = State.of(fresh, before)
    traced = trace(capture, few, fresh)
    new = {*start.after(fresh).changed} - {*known.identity.changed}
    if new:
        _changed[net.module] = frozenset(new | {*known.identity.changed})
        known = Known.of(net, before)
    if traced.flow.proves:
        while len(proofs) >= _PROOFS:
            proofs.pop(next(iter(proofs)))
        proofs[_key(known, asked)] = traced.proof
    return traced, known.answering(traced.done.outputs)


@contextmanager
def hooked(net: Network, layers: Mapping[str, Layer], few: Tensor) -> Iterator[Session]:
    """Borrow a network, hook its layers, and see how a few samples run; give everything back."""
    before = State.of(net.module)
    with Capture(net.module, layers, net.select).attached() as capture:
        traced, known = _traced(net, capture, few, before)
        session = Session(net, capture, few, traced, known)
        for alias in layers.keys() - {START}:
            session.channels(alias)  # or it is refused here, before anything long
        yield session


@contextmanager
def opened(
    net: Network, layers: Mapping[str, Layer], few: Tensor, lights: Tensor | None = None
) -> Iterator[Session]:
    """Hook a network as `hooked` does, and let it compute in its faster form."""
    with hooked(net, layers, few) as plain:
        session = replace(plain, lights=lights)
        with session.quickened():
            yield session
