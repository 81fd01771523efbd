"""The axis of time, followed through every operation of one pass.

What is proved: that step i of a tensor is the same function of frames i + first to i + last for
every i, whatever the length of the movie. Operations that keep this are listed in `rules`; after
any other, or where two tensors disagree, nothing is proved, and windows are computed one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from neurocodec.nn.arrays import tensors_in
from neurocodec.nn.video.rules import ALONE, CONSTANT, TOGETHER, Call
from neurocodec.nn.video.spans import INPUT, MIXED, MixedError, Span


@dataclass(frozen=True)
class Followed:
    """Steps of what a network returned, and of its layers."""

    frames: int
    output: Span
    layers: Mapping[str, Span]

    def is_alike(self, other: Followed) -> bool:
        """Whether a pass of another length does the same with each step."""
        return self._form() == other._form()

    def _form(self) -> dict[str, tuple[object, ...]]:
        spans = {"": self.output, **self.layers}
        return {
            name: (s.axis, s.size - self.frames, dict(s.reach), s.start, s.before_end)
            for name, s in spans.items()
        }

    def whole(self, history: int, step: int) -> int | None:
        """Place of the answer's step in a window, where it sees all that it sees in a movie."""
        count = self.output.size - self.frames + history
        place, (first, last) = count + step, self.output.reach[INPUT]
        inside = place + first >= 0 and place + last < history
        clean = self.output.start <= place < count - self.output.before_end
        return place if inside and clean else None


class TimeSteps(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches one pass over a movie (sample, time, ...), of one sample."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.mixed = ""  # the operation that mixed steps, if any did
        self.layers: dict[str, Span] = {}
        self.output: Span | None = None
        self._known: Any = WeakTensorKeyDictionary()
        self._done = False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spare the seconds that torch takes to load its compiler, which it would keep out."""
        return False

    def start(self, _module: nn.Module, x: Tensor) -> None:
        """Tell what the input is; forget a pass that is repeated."""
        self.mixed, self.layers, self.output, self._done = "", {}, None, False
        size = x.shape[1]
        self._known[x] = Span(1, size, {INPUT: (0, 0)}, 0, size)

    def capture(self, alias: str, tensor: Tensor) -> Tensor:
        """Note a layer, which goes on as a source of its own."""
        handed = tensor.clone()
        span = self._known.get(tensor)
        if span is None or not span.alone:
            self._mix(f"layer {alias!r}, which has no steps of time,")
            return handed
        self.layers[alias] = span
        self._known[handed] = span.also(alias)
        return handed

    def finish(self, output: Tensor) -> None:
        """Note what the network returns; what comes after is not its own."""
        self.output = self._known.get(output)
        if self.output is None or not self.output.alone:
            self._mix("what it returns")
        self._done = True

    def followed(self, frames: int) -> Followed | None:
        """What is proved; None where steps were mixed."""
        if self.mixed or self.output is None:
            return None
        return Followed(frames, self.output, dict(self.layers))

    def _mix(self, what: str) -> None:
        self.mixed = self.mixed or what

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Compute an operation, and note where its steps went."""
        del types
        kwargs = kwargs or {}
        call = Call(func, args, kwargs, self._known)
        timed = call.timed and call.name not in CONSTANT
        before = self._known.get(call.taken[0]) if call.changes else None
        output = func(*args, **kwargs)
        if timed and not self.mixed and not self._done:
            try:
                self._note(call, output, before)
            except MixedError:
                self._mix(f"operation {call.name!r}")
        return output

    def _note(self, call: Call, output: Any, before: Span | None) -> None:
        found = [*tensors_in(output)]
        if not found:  # numbers that leave for Python
            raise MixedError
        for place, tensor in enumerate(found):
            if place and not call.name.startswith("split"):  # indices, statistics
                self._known[tensor] = MIXED
                continue
            span = call.of(tensor)
            # what is changed in place may be seen through other views, as it was known before: it
            # has to be all that they can see
            if call.changes and (
                span != before or call.name not in ALONE | TOGETHER or not _is_whole(tensor)
            ):
                raise MixedError
            self._known[tensor] = span


def _is_whole(tensor: Tensor) -> bool:
    """Whether a tensor is all of its memory, so that no other shows more of it."""
    return tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
