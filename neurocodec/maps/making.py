"""Maps of a stimulus, planned; and a network that is hooked once, to be mapped again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import xarray as xr

from neurocodec import arguments
from neurocodec.attribution.plan import with_layer_of
from neurocodec.engine.accepted import checked_dims
from neurocodec.engine.run import Run
from neurocodec.engine.samples import Samples, samples_at
from neurocodec.engine.session import Known, Session, opened
from neurocodec.errors import InputError
from neurocodec.labels import movie_of
from neurocodec.maps.channels import TOP, ChannelChoice, Channels, Modes, Weights
from neurocodec.maps.plan import MapPlan, require_space
from neurocodec.network import Network, require_layer
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.target import Target
from neurocodec.vocabulary import Sign

STEPS: Final = 20
"""Of the path integral of `ActGrad`'s maps."""


@dataclass(frozen=True)
class Making:
    """How maps are made, whatever they are of; see `nc.contribution_maps`."""

    method: Method
    sign: Sign = "both"
    steps: int = STEPS
    baseline: Any = None


@dataclass(frozen=True)
class Asked:
    """Channels that are asked for; with none of the first three, the whole network."""

    layer: str | None = None
    channels: Channels | Mapping[str, Channels] = None
    modes: Modes | Mapping[str, Modes] | None = None
    weights: Weights = "equal"
    top: int = TOP

    def choices(self, net: Network) -> tuple[ChannelChoice, ...]:
        """Themselves, layer by layer, checked against the network; none for the whole network."""
        if not isinstance(self.layer, str | None):
            raise InputError(
                came=f"layer={self.layer!r}",
                expected="the alias of one layer",
                hint=f"layer={next(iter(net.layers), 'layer1')!r}",
            )
        if self.layer is None and self.channels is None and self.modes is None:
            ChannelChoice("", None, None, self.weights, self.top)  # which refuses wrong options
            return ()
        return tuple(self._of(net, *each) for each in self._chain())

    def _of(
        self, net: Network, layer: str, channels: Channels, modes: Modes | None
    ) -> ChannelChoice:
        require_layer(net, layer)
        return ChannelChoice(layer, channels, modes, self.weights, self.top)

    def _chain(self) -> list[tuple[Any, Any, Any]]:
        """Layer, channels and modes, from input to output."""
        named = [x for x in (self.channels, self.modes) if isinstance(x, Mapping)]
        if not named:
            return [(self.layer, self.channels, self.modes)]
        alone = self.layer is None and (self.channels is None or self.modes is None)
        if not alone or not named[0]:
            raise InputError(
                came=f"layer={self.layer!r}, channels={_told(self.channels)} and"
                f" modes={_told(self.modes)}",
                expected="a chain as channels= or as modes=, which names its layers itself",
                hint="modes={'layer3': modes3.dictionary, 'layer4': modes4.dictionary[7]}",
            )
        in_modes = self.modes is not None
        return [(a, None, x) if in_modes else (a, x, None) for a, x in named[0].items()]


def _told(chosen: object) -> str:
    if isinstance(chosen, Mapping):
        return f"{{{', '.join(map(repr, chosen))}}}"
    return "None" if chosen is None else "..."


def plan_of(
    net: Network,
    stimuli: xr.DataArray,
    asked: Asked,
    target: Target,
    making: Making,
    *,
    times: Any = None,
    known: Known | None = None,
) -> MapPlan:
    """Maps of a stimulus, as they are asked for; all that does not fit is refused here."""
    choices = asked.choices(net)
    steps = arguments.whole("steps", making.steps)
    stimuli = stimuli if net.history is None else movie_of(stimuli)
    require_space(checked_dims(net, stimuli)[1:])
    samples = samples_at(net, stimuli, times)
    complete = samples if times is None else Samples.of(net, stimuli)
    return MapPlan(
        net=net,
        samples=samples,
        layers=net.select_layers([choice.layer for choice in choices]) if choices else {},
        target=target,
        method=making.method,
        baseline=complete.baseline(making.baseline),
        given=making.baseline is not None,
        choice=choices[0] if choices else None,
        behind=choices[1:],
        sign=making.sign,
        steps=steps,
        stimuli=stimuli,
        known=known,
    )


@dataclass(frozen=True)
class MapMaker:
    """A network that is hooked once: maps of stimuli in memory, call after call, told by nobody."""

    session: Session
    making: Making
    batch_size: int | None = None

    def of_network(self) -> MapMaker:
        """The same for maps of the whole network, which knows no sign of hidden channels."""
        return replace(self, making=replace(self.making, sign="both"))

    def maps(self, stimuli: xr.DataArray, asked: Asked, target: Target) -> xr.Dataset:
        """Maps as `nc.contribution_maps` makes them."""
        known = self.session.known
        plan = plan_of(self.session.net, stimuli, asked, target, self.making, known=known)
        bound = plan.bound(self.session)
        size = self.batch_size or bound.batch_size()
        return Run(bound, size, workers=0, progress=False).in_memory().to_dataset()


@contextmanager
def map_maker(
    net: Network,
    samples: Samples,
    layer: str,
    target: Target | str,
    making: Making,
    *,
    batch_size: int | None = None,
) -> Iterator[MapMaker]:
    """Hook a network for maps of a layer, or of the whole; a few samples show how it runs."""
    layers = net.select_layers([layer])
    if isinstance(target, Target):  # not by label, which asks about outputs
        layers = with_layer_of(target, layers, net)
    with opened(net, layers, samples.few(net.device)) as session:
        yield MapMaker(session, making, batch_size)
