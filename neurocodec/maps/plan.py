"""One call of `nc.contribution_maps`, checked: what its numbers depend on, one batch, labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, get_args

import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.plan import (
    EXTRAS,
    passes_for,
    require_finite_target,
    require_kinds,
    target_of,
    with_layer_of,
    with_prefix,
)
from neurocodec.engine.memory import require_memory
from neurocodec.engine.plan import Arrays, Bound, Plan
from neurocodec.engine.session import Session
from neurocodec.errors import InputError
from neurocodec.labels import fingerprint, labelled, lag_coordinate, plain, stamp
from neurocodec.maps.channels import ChannelChoice, Chosen
from neurocodec.nn.arrays import tensor_of
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.methods import ActGrad, InputGrad
from neurocodec.nn.attribution.passes import Passes
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.hooks import Pass
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Batch
from neurocodec.nn.maps.through_channels import Decomposed, MapPasses, Mapped, not_decomposed
from neurocodec.nn.maps.ways_back import Gate, Parts
from neurocodec.nn.maps.whole_network import Saliency
from neurocodec.vocabulary import Sign


@dataclass(frozen=True)
class MapPlan(Plan):
    """Maps of one layer, or of the whole network."""

    what: ClassVar[str] = "contribution maps"

    target: Target
    method: Method
    baseline: Tensor
    given: bool  # whether the baseline was asked for
    choice: ChannelChoice | None  # channels of the layer; None for the whole network
    behind: tuple[ChannelChoice, ...]  # of later layers, that all maps pass as well
    sign: Sign  # which signs have a map each
    steps: int  # of the path integral of `ActGrad`
    stimuli: xr.DataArray  # what the samples were made from, for the labels of its pixels

    def __post_init__(self) -> None:
        require_kinds(self.target, self.method)
        super().__post_init__()
        arguments.one_of("sign", self.sign, get_args(Sign))
        if self.choice is None and self.sign in v.SIGNS:
            raise InputError(
                came=f"sign={self.sign!r} of the whole network, which has no channels with signs",
                expected="a layer",
                hint=f"layer={next(iter(self.net.layers), 'layer1')!r}",
            )
        if not isinstance(self.method, get_args(Decomposed)):
            raise not_decomposed(self.method)
        if self.behind and not isinstance(self.method, InputGrad):
            raise InputError(
                came=f"method={self.method!r} of a chain of layers",
                expected="InputGrad, by which what passes several layers adds up exactly",
                hint="method=nc.methods.InputGrad(), or one layer at a time",
            )

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""
        facts = {
            **self.of_network,
            "layers": self.layers,
            "target": {"kind": type(self.target).__name__, "parameters": self.target},
            "method": self.method,
            "baseline_sha256": fingerprint(self.baseline.numpy()),
            "data_sha256": self.samples.sha256,
        }
        if self.choice is not None:
            facts |= {"layer": self.choice.layer, "sign": self.sign, **self.choice.facts}
        if self.behind:
            facts["behind"] = [{"layer": c.layer, **c.facts} for c in self.behind]
        if isinstance(self.method, ActGrad):
            facts["steps"] = self.steps
        return plain(facts)

    @property
    def names(self) -> set[str]:
        """What the result has beside the coordinates of the samples: variables and dims."""
        own = {v.CONTRIBUTION_MAP, v.CONTRIBUTION, v.MAP_ERROR, v.TARGET, *EXTRAS}
        return {*own, v.CHANNEL, v.MODE, v.SIGN, *self.pixel_dims}

    @property
    def asked(self) -> Mapping[str, Any]:
        """Target, method and channels, and the labels of pixels."""
        choice = None if self.choice is None else self.choice.facts
        behind = [(c.layer, c.facts) for c in self.behind]
        labels = {d: self.stimuli[d].values for d in self.pixel_dims if d in self.stimuli.coords}
        return {"target": self.target, "method": self.method, "maps": (choice, behind, labels)}

    def captured(self) -> dict[str, Layer]:
        """Layers to hook: the one that is mapped, and the one that the target reads."""
        return with_layer_of(self.target, self.layers, self.net)

    def bound(self, session: Session) -> Maps:
        """Bind the target to the network's outputs, and the choice to the layer's channels."""
        passes = passes_for(session, self.target, self.baseline, self.samples, given=self.given)
        if self.choice is None:
            return Maps(
                self.told(session), session.bytes_per_sample, passes, None, (), session.traced.done
            )
        passes = with_prefix(passes, session, self.method, self.samples)
        chosen = self.choice.among(session.channels(self.choice.layer))
        each = session.bytes_per_sample + 2 * self.maps_of(chosen) * self.map_bytes
        gates = tuple(c.alone(session.channels(c.layer)) for c in self.behind)
        return Maps(self.told(session), each, passes, chosen, gates, session.traced.done)

    def maps_of(self, chosen: Chosen | None) -> int:
        """Maps that are made of one sample."""
        parts = 1 if chosen is None else len(chosen.weights)
        return parts * (1 if self.sign_dim is None else 2)

    @property
    def sign_dim(self) -> str | None:
        """Dim of the two signs, where there is a map of each."""
        return v.SIGN if self.choice is not None and self.sign == "both" else None

    @property
    def map_bytes(self) -> int:
        """Size of one map."""
        return math.prod(self.samples.window_shape) * self.samples.values.element_size()

    @property
    def pixel_dims(self) -> tuple[str, ...]:
        """Dims of one map."""
        return self.samples.dims if self.net.history is None else (v.LAG, *self.samples.dims)


@dataclass(frozen=True)
class Maps(Bound):
    """A plan of maps with the network that it runs on."""

    plan: MapPlan
    passes: Passes
    chosen: Chosen | None  # weights of the channels; None for the whole network
    gates: tuple[Chosen, ...]  # the same of later layers, one map each
    few: Pass

    def answers(self) -> list[list[float]]:
        """Target of the few samples that were traced."""
        return [target_of(self.passes, self.few, self.plan.samples)]

    def require_memory(self) -> None:
        """Refuse a result that does not fit into memory, before anything is computed."""
        count = len(self.plan.samples) * self.plan.maps_of(self.chosen)
        hint = "fewer stimuli, modes=modes.dictionary.sel(mode=[0, 1]), or out='maps.zarr'"
        require_memory(f"{count} maps", count * self.plan.map_bytes, hint)

    def rows(self, batch: Batch, into: Arrays) -> Arrays:
        """Maps of one batch."""
        del into
        found = self._mapped(batch)
        require_finite_target(found.target, batch.first)
        kind = found.maps.dtype
        alone = tuple(i for i, d in ((1, self._dim), (2, self.plan.sign_dim)) if d is None)
        rows = {
            v.CONTRIBUTION_MAP: found.maps,
            v.CONTRIBUTION: found.contribution.to(kind),
            v.MAP_ERROR: found.error.to(kind),
        }
        rows = {name: values.squeeze(alone) for name, values in rows.items()}
        rows |= {v.TARGET: found.target}
        extras = dict(zip(EXTRAS, (found.steps, found.converged), strict=True))
        rows |= {name: values for name, values in extras.items() if values is not None}
        return {name: values.cpu().numpy() for name, values in rows.items()}

    def _mapped(self, batch: Batch) -> Mapped:
        plan = self.plan
        if plan.choice is None or self.chosen is None:
            return Saliency(self.passes.of(batch)).mapped(plan.method, batch)
        weights = tensor_of(self.chosen.weights, batch.x.dtype, batch.x.device)
        gates = tuple(
            Gate(c.layer, tensor_of(g.weights[0], batch.x.dtype, batch.x.device))
            for c, g in zip(plan.behind, self.gates, strict=True)
        )
        parts = Parts(plan.choice.layer, weights, plan.sign, gates)
        return MapPasses(self.passes.of(batch), parts, plan.steps).mapped(plan.method, batch)

    @property
    def _dim(self) -> str | None:
        return None if self.chosen is None else self.chosen.dim

    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates, units and provenance on the rows of a run."""
        plan = self.plan
        outer = tuple(d for d in (plan.samples.dim, self._dim, plan.sign_dim) if d is not None)
        dims = {
            **dict.fromkeys((v.TARGET, *EXTRAS), outer[:1]),
            v.CONTRIBUTION_MAP: outer + plan.pixel_dims,
        }
        variables = {
            name: labelled(
                values,
                dims.get(name, outer),
                name=name,
                units=None if name in EXTRAS else plan.target.units,
            )
            for name, values in arrays.items()
        }
        result = xr.Dataset(variables).assign_coords({**coords, **self._coords()})
        return stamp(xr.DataTree(result), "nc.contribution_maps", **plan.facts)

    def _coords(self) -> dict[str, Any]:
        plan = self.plan
        coords = {} if self.chosen is None else dict(self.chosen.coords)
        if plan.sign_dim is not None:
            coords[v.SIGN] = list(v.SIGNS)
        elif plan.choice is not None and plan.sign != "net":
            coords[v.SIGN] = plan.sign
        coords |= {d: c for d, c in plan.samples.pixels.items() if d in plan.pixel_dims}
        if plan.net.history is not None:
            own, rate = plan.samples.own, plan.net.frame_rate
            coords[v.LAG] = lag_coordinate(plan.net.history, plan.stimuli, rate, own)
        return coords


def require_space(dims: tuple[str, ...]) -> None:
    """Refuse inputs without spatial dims, which have no maps."""
    if not {v.Y, v.X} <= set(dims):
        raise InputError(
            came=f"inputs with the dims {dims}",
            expected="images (stimulus, color, y, x) or a movie (time, y, x), which have pixels",
            hint="nc.contributions(...), or stimuli.rename({...: 'y', ...: 'x'})",
        )
