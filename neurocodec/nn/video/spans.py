"""Where the axis of time is in a tensor, and which steps before it each step depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

INPUT: Final = ""
"""Source of what is counted in frames of the movie; other sources are layers, by alias."""


class MixedError(Exception):
    """An operation after which steps are no longer functions of a few steps each."""


@dataclass(frozen=True)
class Span:
    """Step i of a tensor depends on steps i + first to i + last of each source."""

    axis: int
    size: int
    reach: Mapping[str, tuple[int, int]]  # source -> first, last
    start: int  # steps from here to `stop` see nothing that was padded
    stop: int
    before: int = 1  # of what is folded into the axis with time: numbers outside of a step ...
    inside: int = 1  # ... and inside of it

    @property
    def alone(self) -> bool:
        """Whether the axis is time and nothing else."""
        return self.before == self.inside == 1

    @property
    def place(self) -> tuple[int, ...]:
        """Where in a tensor it is."""
        return (self.axis, self.size, self.before, self.inside)

    @property
    def length(self) -> int:
        """Length of the axis."""
        return self.before * self.size * self.inside

    def at(self, axis: int) -> Span:
        """The same steps along another axis."""
        return replace(self, axis=axis)

    def moved(self, first: int, last: int, size: int) -> Span:
        """Steps i that depend on steps i + first to i + last of these."""
        if not self.alone:
            raise MixedError
        reach = {k: (a + first, b + last) for k, (a, b) in self.reach.items()}
        start, stop = max(self.start - first, 0), min(self.stop - last, size)
        return Span(self.axis, size, reach, start, stop)

    def also(self, source: str) -> Span:
        """The same, as a source of its own too."""
        return replace(self, reach={**self.reach, source: (0, 0)})

    @property
    def clean(self) -> bool:
        """Whether no step sees what was padded."""
        return self.start == 0 and self.stop == self.size

    @property
    def before_end(self) -> int:
        """Steps at the end that see what was padded."""
        return self.size - self.stop


MIXED: Final = Span(-1, 0, {}, 0, 0, before=0)
"""Of what an operation returns beside its first result, and that is not followed."""


def joined(spans: Iterable[Span]) -> Span:
    """Steps that depend on the same steps of several tensors."""
    first, *others = spans
    for other in others:
        if other.place != first.place:
            raise MixedError
        reach = dict(first.reach)
        for source, (a, b) in other.reach.items():
            low, high = reach.get(source, (a, b))
            reach[source] = (min(low, a), max(high, b))
        start, stop = max(first.start, other.start), min(first.stop, other.stop)
        first = replace(first, reach=reach, start=start, stop=stop)
    return first
