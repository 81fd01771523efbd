"""What every call that runs over samples says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import xarray as xr
from numpy.typing import NDArray

from neurocodec.engine.memory import PASSES, Budget
from neurocodec.engine.samples import Samples
from neurocodec.engine.session import Known, Session, opened
from neurocodec.errors import InputError
from neurocodec.identity.marks import Identity
from neurocodec.identity.walk import Walk
from neurocodec.labels import require_free_names
from neurocodec.network import Network
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Batch
from neurocodec.storage.encoding import is_name

Arrays = dict[str, NDArray[Any]]
"""Rows of every variable, by name."""


@dataclass(frozen=True)
class Plan(ABC):
    """One call, checked: everything that its numbers depend on, and nothing else."""

    what: ClassVar[str]  # title of the progress bar
    budget: ClassVar[Budget] = PASSES
    chunked_by_batches: ClassVar[bool] = True  # in Zarr, so that workers share no chunk

    net: Network
    samples: Samples
    layers: dict[str, Layer]
    known: Known | None = field(default=None, kw_only=True)  # of the network, once it is hooked

    @property
    def asked(self) -> Mapping[str, Any]:
        """What else the numbers and labels depend on, by name; code of a user's own counts too."""
        return {}

    @property
    def rows_of_sample(self) -> int:
        """Rows that a sample has in the result."""
        return 1

    @property
    def of_network(self) -> dict[str, Any]:
        """Facts of the network."""
        return self.net.facts if self.known is None else self.known.facts

    def __post_init__(self) -> None:
        require_free_names(self.samples.coords, self.names, "the stimulus")

    def require_storable(self) -> None:
        """Refuse layers whose names files cannot hold, before anything is computed."""
        for alias, layer in self.layers.items():
            if not is_name(alias):
                raise InputError(
                    came=f"layer alias {alias!r} of a result that is to be stored",
                    expected="a name that files hold, which begins with a letter or a digit, and"
                    " has no spaces",
                    hint=f"layers={{'layer1': {layer.module!r}}}",
                )

    @property
    @abstractmethod
    def names(self) -> set[str]:
        """What the result has beside the coordinates of the samples: variables, dims, nodes."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""

    def captured(self) -> dict[str, Layer]:
        """Layers to hook."""
        return self.layers

    @contextmanager
    def opened(self) -> Iterator[Bound]:
        """Hook the network, and bind the plan to it."""
        device = self.net.device
        few, lights = self.samples.few(device), self.samples.lights(device)
        with opened(self.net, self.captured(), few, lights) as session:
            yield replace(self, known=session.known).bound(session)

    def told(self, session: Session) -> Self:
        """The plan with the layouts that were found, where these do not go without saying."""
        layers = session.told(self.layers)
        return self if layers == self.layers else replace(self, layers=layers)

    @abstractmethod
    def bound(self, session: Session) -> Bound:
        """Bind the plan to a hooked network; cheap, so that one session serves many plans."""


@dataclass(frozen=True)
class Bound(ABC):
    """A plan with the network that it runs on: what computes a batch, and labels the rows."""

    plan: Plan
    bytes_per_sample: int  # what the passes of one sample take

    def batch_size(self, device: str | None = None) -> int:
        """Samples whose passes fit the budget, on the network's or another kind of device."""
        kind = device or self.plan.net.device.type
        return self.plan.budget.batch_size(self.bytes_per_sample, kind)

    def zeros(self, size: int) -> Arrays:
        """Arrays for so many samples that batches are written into; none, where rows are copied."""
        del size
        return {}

    def require_memory(self) -> None:  # noqa: B027 - rows are small, unless a plan says otherwise
        """Refuse a result that does not fit into memory, before anything is computed."""

    def answers(self) -> list[list[float]]:
        """Further answers to the few samples that the network was traced with."""
        return []

    def identity(self, workers: int | None = None) -> Identity:
        """What tells the run from others beside its facts; reads a stimulus that no file tells."""
        known = Identity() if self.plan.known is None else self.plan.known.identity
        walk, net = Walk(), self.plan.net
        labels = (net.output_dim, net.outputs, dict(net.output_coords), net.frame_rate)
        for name, value in {**self.plan.asked, "labels": labels}.items():
            walk.visit(name, value)
        self.plan.samples.mark(walk, workers)
        return replace(
            known,
            data=known.data | walk.data,
            code=known.code | walk.code,
            answers=known.answers + self.answers(),
        )

    @abstractmethod
    def rows(self, batch: Batch, into: Arrays) -> Arrays:
        """Compute one batch; `into` are its places in `zeros`."""

    @abstractmethod
    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates, units and provenance on the rows of a run."""
