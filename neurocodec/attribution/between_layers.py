"""One call of `nc.tension`, checked: excitation and inhibition of features by a layer, streamed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.attribution.plan import (
    EXTRAS,
    by_layers,
    feature_dim,
    passes_for,
    position_dims,
    require_finite_values,
    require_kinds,
    require_no_such_layer,
    require_places,
    rows_of_target,
    stacked,
    target_of,
    tree_of,
    with_layer_of,
)
from neurocodec.engine.plan import Arrays, Bound, Plan
from neurocodec.engine.session import Session
from neurocodec.errors import InputError, warn
from neurocodec.labels import fingerprint, labelled, plain, stamp
from neurocodec.nn.attribution.between_layers import independent
from neurocodec.nn.attribution.method import Attribution, Method, each
from neurocodec.nn.attribution.passes import Passes
from neurocodec.nn.attribution.reduction import Tension, tension_of
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.hooks import Pass
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Batch

ORDERS: Final = (1, 2)
"""Of the norms."""
SCALARS: Final = (v.EXCITATION, v.INHIBITION, v.NORM)
MAPS: Final = (v.EXCITATION_MAP, v.INHIBITION_MAP)


@dataclass(frozen=True)
class TensionPlan(Plan):
    """One call of `nc.tension`, checked."""

    what: ClassVar[str] = "tension"

    target: Target
    method: Method
    maps: bool
    baseline: Tensor
    given: bool  # whether lines start at the activation of a baseline, and not at 0

    def __post_init__(self) -> None:
        require_kinds(self.target, self.method, many=True)
        require_no_such_layer(self.target, self.layers)
        if self.maps:
            require_places(self.target, self.layers, "maps=False")
        super().__post_init__()
        if self.method.variable != v.CONTRIBUTION:
            raise InputError(
                came=f"{type(self.method).__name__}, whose numbers are {self.method.variable}s",
                expected="a method that finds contributions",
                hint="method=nc.methods.ActGrad(), or None",
            )

    @property
    def names(self) -> set[str]:
        """What the result has beside the coordinates of the samples: variables, dims, nodes."""
        own = {*SCALARS, *MAPS, v.TARGET, v.COMPLETENESS_ERROR, *EXTRAS, v.ORDER}
        return {*own, *self.layers, *feature_dim(self.target), v.Y, v.X, v.TOKEN}

    def captured(self) -> dict[str, Layer]:
        """Layers to hook: those that are asked for, and the one that the target reads."""
        return with_layer_of(self.target, self.layers, self.net)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""
        facts = {
            **self.of_network,
            "layers": self.layers,
            "target": {"kind": type(self.target).__name__, "parameters": self.target},
            "method": {"kind": type(self.method).__name__, "parameters": self.method},
            "maps": self.maps,
            "baseline_sha256": fingerprint(self.baseline.numpy()) if self.given else None,
            "data_sha256": self.samples.sha256,
        }
        return plain(facts)

    @property
    def asked(self) -> Mapping[str, Any]:
        """Target and method, which may be of a user's own."""
        return {"target": self.target, "method": self.method}

    def passes(self, session: Session) -> tuple[Passes, int]:
        """Passes of the hooked network, and the bytes of a sample."""
        passes = passes_for(session, self.target, self.baseline, given=self.given)
        passes = replace(passes, from_zero=not self.given)
        return by_layers(passes, session, self, self.method)

    def bound(self, session: Session) -> Tensions:
        """Bind the target to the network's outputs, and say what no layer of these explains."""
        passes, size = self.passes(session)
        bound = Tensions(self.told(session), size, passes, session.traced.done)
        bound.answers()  # a vector or position that does not fit the layer, before anything long
        for alias in self.layers:
            if not session.traced.flow.passes(alias, self.target.layer):
                raise independent(alias)
        for alias in [a for a in self.layers if a in passes.bypassed]:
            warn(
                f"something goes around layer {alias!r} to the target: excitation and inhibition"
                " explain what passes the layer alone"
            )
        return bound


@dataclass(frozen=True)
class Tensions(Bound):
    """A plan of tension with the network that it runs on."""

    plan: TensionPlan
    passes: Passes
    few: Pass

    def answers(self) -> list[list[float]]:
        """Target of the few samples that were traced."""
        return [target_of(self.passes, self.few, self.plan.samples)]

    def rows(self, batch: Batch, into: Arrays) -> Arrays:
        """Compute one batch; of each feature only sums leave the device."""
        del into
        every = each(self.plan.method, self.passes, batch)
        rows = [self._rows(found, batch.first) for found in every]
        if not feature_dim(self.plan.target):
            return rows[0]
        return {name: stacked(name, rows) for name in rows[0]}

    def _rows(self, found: Attribution, first: int) -> Arrays:
        rows = rows_of_target(found, first)
        for alias, values in found.values.items():
            layer = self.passes.capture.layers[alias]
            require_finite_values(values, alias, first)
            sums = tension_of(layer.channels_first(values))
            window = found.windows.get(alias)
            if window is not None and self.plan.maps:
                sums = sums._replace(maps=window.laid(sums.maps, found.activation[alias]))
            prefix = f"{alias}/" if len(self.plan.layers) > 1 else ""
            named = self._named(sums, found.change.get(alias))
            rows |= {f"{prefix}{name}": x.cpu().numpy() for name, x in named.items()}
        return rows

    def _named(self, sums: Tension, change: Tensor | None) -> dict[str, Tensor]:
        kind = sums.maps.dtype
        excitation, inhibition = sums.excitation, sums.inhibition
        norms = torch.stack([excitation + inhibition, sums.norm], 1)
        rows = {v.EXCITATION: excitation, v.INHIBITION: inhibition, v.NORM: norms}
        if change is not None:
            rows[v.COMPLETENESS_ERROR] = excitation - inhibition - change
        if self.plan.maps:
            rows |= dict(zip(MAPS, sums.maps.unbind(1), strict=True))
        return {name: x.to(kind) for name, x in rows.items()}

    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates, units and provenance on the rows of a run."""
        layers = self.plan.layers

        def variable(alias: str, name: str, values: NDArray[Any]) -> xr.DataArray:
            return self._labelled(layers[alias or next(iter(layers))], name, values)

        return stamp(tree_of(arrays, coords, variable), "nc.tension", **self.plan.facts)

    def _labelled(self, layer: Layer, name: str, values: NDArray[Any]) -> xr.DataArray:
        known: dict[str, Any] = {**feature_dim(self.plan.target)}
        known |= {v.ORDER: list(ORDERS)} if name == v.NORM else {}
        if name in MAPS:
            places = position_dims(layer, values.ndim - 1 - len(known))
            sizes = values.shape[1 + len(known) :]
            known |= {d: np.arange(n) for d, n in zip(places, sizes, strict=True)}
        units = None if name in EXTRAS else self.plan.target.units
        return labelled(values, (self.plan.samples.dim, *known), known, name=name, units=units)
