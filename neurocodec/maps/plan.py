"""One call of `nc.contribution_maps`, checked: what its numbers depend on, and its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import xarray as xr
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.attribution.plan import ContributionPlan, require_finite_target
from neurocodec.engine.plan import Arrays
from neurocodec.errors import InputError
from neurocodec.labels import fingerprint, labelled, lag_coordinate, plain, stamp
from neurocodec.maps.channels import Choice, Chosen
from neurocodec.nn.attribution.methods import ActGrad
from neurocodec.nn.attribution.passes import Batch, Passes
from neurocodec.nn.maps.through_channels import MapPasses, Mapped
from neurocodec.nn.maps.ways_back import Parts, Sign
from neurocodec.nn.maps.whole_network import Saliency


@dataclass(frozen=True)
class MapPlan(ContributionPlan):
    """Maps of one layer, or of the whole network.

    Parameters
    ----------
    choice
        Channels of the layer; None for the whole network.
    sign
        Which signs have a map each.
    steps
        Of the path integral of `ActGrad`.
    stimuli
        What the samples were made from, for the labels of its pixels.
    chosen
        Weights of the channels, as soon as their number is known.
    """

    what: ClassVar[str] = "contribution maps"

    choice: Choice | None
    sign: Sign
    steps: int
    stimuli: xr.DataArray
    chosen: Chosen | None = None

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""
        facts = {k: x for k, x in super().facts.items() if k not in ("reduce", "split")}
        facts["baseline_sha256"] = fingerprint(self.baseline.numpy())
        if self.choice is not None:
            facts |= {"layer": self.choice.layer, "sign": self.sign, **plain(self.choice.facts)}
        if isinstance(self.method, ActGrad):
            facts["steps"] = self.steps
        return facts

    def rows(self, passes: Passes, batch: Batch) -> Arrays:
        """Maps of one batch."""
        found = self._mapped(passes, batch)
        require_finite_target(found.target, batch.first)
        kind = found.maps.dtype
        keep = tuple(i for i, dim in ((1, self._dim), (2, self._sign_dim)) if dim is None)
        rows = {
            v.CONTRIBUTION_MAP: found.maps,
            v.CONTRIBUTION: found.contribution.to(kind),
            v.MAP_ERROR: found.error.to(kind),
        }
        rows = {name: values.squeeze(keep) for name, values in rows.items()}
        rows |= {v.TARGET: found.target}
        extras = {"steps": found.steps, "converged": found.converged}
        rows |= {name: values for name, values in extras.items() if values is not None}
        return {name: values.cpu().numpy() for name, values in rows.items()}

    def _mapped(self, passes: Passes, batch: Batch) -> Mapped:
        if self.choice is None or self.chosen is None:
            return Saliency(passes).mapped(self.method, batch)
        weights = batch.x.new_tensor(self.chosen.weights)
        parts = Parts(self.choice.layer, weights, self.sign)
        return MapPasses(passes, parts, self.steps).mapped(self.method, batch)

    @property
    def _dim(self) -> str | None:
        return None if self.chosen is None else self.chosen.dim

    @property
    def _sign_dim(self) -> str | None:
        return v.SIGN if self.choice is not None and self.sign == "both" else None

    @property
    def maps_per_sample(self) -> int:
        """Maps that are made of one sample."""
        parts = 1 if self.chosen is None else len(self.chosen.weights)
        return parts * (2 if self._sign_dim else 1)

    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates, units and provenance on the rows of a run."""
        outer = tuple(d for d in (self.samples.dim, self._dim, self._sign_dim) if d is not None)
        dims = {
            v.TARGET: outer[:1],
            "steps": outer[:1],
            "converged": outer[:1],
            v.CONTRIBUTION_MAP: outer + self.pixel_dims,
        }
        units = self.target.units
        variables = {
            name: labelled(
                values,
                dims.get(name, outer),
                name=name,
                units=None if name in ("steps", "converged") else units,
            )
            for name, values in arrays.items()
        }
        result = xr.Dataset(variables).assign_coords({**coords, **self._coords()})
        return stamp(xr.DataTree(result), "nc.contribution_maps", **self.facts)

    @property
    def pixel_dims(self) -> tuple[str, ...]:
        """Dims of one map."""
        return self.samples.dims if self.net.history is None else (v.LAG, v.Y, v.X)

    def _coords(self) -> dict[str, Any]:
        coords = {} if self.chosen is None else dict(self.chosen.coords)
        if self._sign_dim is not None:
            coords[v.SIGN] = list(v.SIGNS)
        elif self.choice is not None and self.sign != "net":
            coords[v.SIGN] = self.sign
        known = [d for d in self.pixel_dims if d in self.stimuli.coords]
        coords |= {d: self.stimuli[d].variable for d in known}
        if self.net.history is not None:
            coords[v.LAG] = lag_coordinate(self.net.history, self.stimuli, self.net.frame_rate)
        return coords


def require_space(dims: tuple[str, ...]) -> None:
    """Refuse inputs without spatial dims, which have no maps.

    Parameters
    ----------
    dims
        Of one sample.

    Examples
    --------
    >>> require_space(("color", "y", "x"))
    """
    if not {v.Y, v.X} <= set(dims):
        raise InputError(
            came=f"inputs with the dims {dims}",
            expected="images (stimulus, color, y, x) or a movie (time, y, x), which have pixels",
            hint="nc.contributions(...), or stimuli.rename({...: 'y', ...: 'x'})",
        )
