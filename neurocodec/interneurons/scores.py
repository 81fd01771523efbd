"""What a search for interneurons found, with names, coordinates and units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, TypeAlias

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.engine.samples import Samples
from neurocodec.engine.session import hooked
from neurocodec.interneurons.activations import RECTIFIED
from neurocodec.interneurons.controls import CONTROL, Controls
from neurocodec.interneurons.recordings import RecordedInterneurons
from neurocodec.interneurons.search import Found, Search
from neurocodec.kernels.intervals import level_of_chance
from neurocodec.kernels.lagged import Choice, exceedance
from neurocodec.labels import labelled
from neurocodec.network import Network
from neurocodec.nn.capture.layer import Layer

FOLD: Final = "fold"
SHIFT: Final = "circular_shift"
SAMPLES: Final = 4
"""Samples, spread over the stimulus, over which a unit's squared gradient is summed."""

Variables: TypeAlias = dict[str, xr.DataArray]


@dataclass(frozen=True)
class Named:
    """Puts names on what was found."""

    net: Network
    data: RecordedInterneurons
    search: Search
    quantile: float  # of the chance level
    controls: Controls

    def tree(
        self,
        layers: Mapping[str, Layer],  # that were searched, by alias
        loadings: Mapping[str, xr.DataArray],  # that were searched, by alias
        found: Mapping[str, Found],  # in each
    ) -> xr.DataTree:
        """Best of all layers at the root, and one node for each layer and each set of modes."""
        nodes = {"/": xr.Dataset(self._best({alias: found[alias] for alias in layers}, layers))}
        for alias in layers:
            nodes[f"/{alias}"] = xr.Dataset(self._layer(alias, found[alias]))
        for alias, array in loadings.items():
            name = f"{v.MODE}s/{alias}"
            nodes[f"/{name}"] = xr.Dataset(self._modes(found[name], array))
        # on every node: those that are no index would not be inherited
        tree = xr.DataTree.from_dict(
            {path: node.assign_coords(self.data.coords) for path, node in nodes.items()}
        )
        tree.attrs |= {"uniform_stimulus": 1} if self.data.is_uniform else {}
        return tree

    def _named(self, values: ArrayLike, name: str, *dims: str, **options: Any) -> xr.DataArray:
        """Array over interneurons and further dims."""
        return labelled(values, (v.INTERNEURON, *dims), name=name, **options)

    def _best(self, found: Mapping[str, Found], layers: Mapping[str, Layer]) -> Variables:
        """Scores of the best of all layers, and which unit that is."""
        ceiling = self.data.ceiling(self.search.halves)
        best = reduce(Choice.better, (f.choice for f in found.values()))
        arrays = self._scores(best, layers)
        if "exceeds_all" in arrays:
            count = arrays["exceeds_all"].values.sum()
            arrays["n_exceed_all"] = labelled(count, (), name="n_exceed_all")
        if ceiling is not None:
            arrays["ceiling"] = self._named(ceiling, "ceiling")
        which = np.argmax([f.map.best for f in found.values()], axis=0)
        names = np.array([*found])[which]
        of_layers = [self._places(f) for f in found.values()]
        arrays["best_layer"] = self._named(names, "best_layer")
        for name, first in of_layers[0].items():
            values = np.stack([p[name].values for p in of_layers])[which, np.arange(len(which))]
            arrays[name] = first.copy(data=values)
        units = [int(found[name].map.unit[i]) for i, name in enumerate(names)]
        places = [(_unrectified(name, found), i) for name, i in zip(names, units, strict=True)]
        centers = field_centers(self.net, self.data.samples, layers, places)
        views = [self.search.views[found[name].map.view[i]] for i, name in enumerate(names)]
        if self.data.is_uniform:
            centers = np.full_like(centers, np.nan)
        y, x = (centers - [(view.dy, view.dx) for view in views]).T
        arrays["unit_y_center"] = self._named(y, "unit_y_center")
        arrays["unit_x_center"] = self._named(x, "unit_x_center")
        return arrays

    def _layer(self, alias: str, found: Found) -> Variables:
        positions = {1: (), 2: (v.TOKEN,), 3: (v.Y, v.X)}[len(found.shape)]
        shape = (len(found.map.unit), *found.shape)
        dims = (v.CHANNEL, *positions)
        units = {v.Y: "position", v.X: "position"}  # of the unit in its map: not pixels
        coords = {
            d: (d, np.arange(n), {"units": units.get(d, v.DIMENSIONLESS)})
            for d, n in zip(dims, found.shape, strict=True)
        }
        values = found.map.correlation.reshape(shape)
        return {
            **self._scores(found.choice, [alias]),
            **self._places(found),
            "correlation_map": self._named(values, "correlation_map", *dims, coords=coords),
        }

    def _modes(self, found: Found, loadings: xr.DataArray) -> Variables:
        modes = loadings[v.MODE].values if v.MODE in loadings.coords else np.arange(*found.shape)
        return {
            **self._scores(found.choice, ()),
            "best_mode": self._named(modes[found.map.unit], "best_mode"),
            "best_lag": self._seconds(found),
            "mode_correlation": self._named(
                found.map.correlation, "mode_correlation", v.MODE, coords={v.MODE: modes}
            ),
        }

    def _scores(self, choice: Choice, layers: Iterable[str]) -> Variables:
        """Correlations on the time on which was not chosen, and what the nulls make of them."""
        held, null = choice.held_out[:, 0], choice.held_out[:, 1:].mean(axis=0)
        mean = held.mean(axis=0)
        arrays = {
            "correlation": self._named(mean, "correlation"),
            "correlation_selected": self._named(
                choice.selected[:, 0].mean(axis=0), "correlation_selected"
            ),
            "fold_correlation": self._named(
                held.T, "fold_correlation", FOLD, coords={FOLD: [0, 1]}
            ),
        }
        ceiling = self.data.ceiling(self.search.halves)
        if ceiling is not None:
            arrays["normalized_correlation"] = self._named(mean / ceiling, "normalized_correlation")
        arrays |= self._nulls(mean, null, [*layers])
        return arrays | (self._chance(mean, null) if len(null) else {})

    def _nulls(
        self, mean: NDArray[np.float64], shifted: NDArray[np.float64], layers: list[str]
    ) -> Variables:
        """What the nulls reach among the units of some layers; permuted networks have no modes."""
        found = self.controls.arrays(mean, shifted, layers) if layers else {}
        if not found:
            return {}
        names = found.pop(CONTROL)
        known = {CONTROL: names, v.BOUND: np.array(v.BOUNDS)}
        return {
            name: labelled(values, dims, {d: known[d] for d in dims if d in known}, name=name)
            for name, (dims, values) in found.items()
        }

    def _chance(self, mean: NDArray[np.float64], null: NDArray[np.float64]) -> Variables:
        level = level_of_chance(null, self.quantile)
        shifts = xr.Variable(SHIFT, self.search.shifts / self.data.rate, {"units": v.SECONDS})
        return {
            "chance_correlation": self._named(level, "chance_correlation", quantile=self.quantile),
            "p_value": self._named(exceedance(mean, null), "p_value"),
            "null_correlation": self._named(
                null.T, "null_correlation", SHIFT, coords={SHIFT: shifts}
            ),
        }

    def _places(self, found: Found) -> Variables:
        """Which unit is the best over all the time; -1 for a position that the layer lacks."""
        place = np.unravel_index(found.map.unit, found.shape)
        y, x = place[1:] if len(place) == 3 else [np.full(len(place[0]), -1)] * 2
        arrays = {
            "best_channel": self._named(place[0], "best_channel"),
            "best_y": self._named(y, "best_y"),
            "best_x": self._named(x, "best_x"),
            "best_lag": self._seconds(found),
        }
        views = [self.search.views[i] for i in found.map.view]
        arrays["best_pooling"] = self._named([view.pooling for view in views], "best_pooling")
        if any(view.dy or view.dx for view in self.search.views):
            arrays["stimulus_shift_y"] = self._named([w.dy for w in views], "stimulus_shift_y")
            arrays["stimulus_shift_x"] = self._named([w.dx for w in views], "stimulus_shift_x")
        return arrays

    def _seconds(self, found: Found) -> xr.DataArray:
        return self._named(self.search.lags[found.map.lag] / self.data.rate, "best_lag")


def _unrectified(name: str, found: Mapping[str, Found]) -> str:
    """The layer before a rectifier: the same units look at the same place, and none is silent."""
    before = name.removesuffix(RECTIFIED)
    return before if before in found and found[before].shape == found[name].shape else name


def field_centers(
    net: Network,
    samples: Samples,
    layers: Mapping[str, Layer],
    units: Sequence[tuple[str, int]],  # alias, and position in the flattened activation
) -> NDArray[np.float64]:
    """Centres (unit, 2) of receptive fields, y and x in pixels; NaN where a unit is silent."""
    used = {alias: layers[alias] for alias, _ in units}
    x = _spread(samples, net.device)
    with hooked(net, used, samples.few(net.device)) as session, torch.enable_grad():
        x.requires_grad_()
        done = session.capture.run(x)
        seen = session.capture.layers
        hidden = {a: seen[a].channels_first(h).flatten(1) for a, h in done.hidden.items()}
        known = {unit: _centroid(hidden[unit[0]][:, unit[1]], x) for unit in dict.fromkeys(units)}
    return np.array([known[unit] for unit in units], dtype=np.float64).reshape(-1, 2)


def _spread(samples: Samples, device: torch.device) -> Tensor:
    places = np.unique(np.linspace(0, len(samples) - 1, SAMPLES).astype(int))
    return torch.cat([samples.batch(int(i), int(i) + 1, device).x for i in places])


def _centroid(unit: Tensor, x: Tensor) -> tuple[float, float]:
    """Centroid of the squared gradient of a unit."""
    (gradient,) = torch.autograd.grad(unit.sum(), x, retain_graph=True)
    power = (gradient.cpu().double() ** 2).sum(dim=tuple(range(x.ndim - 2))).numpy()
    total = power.sum()
    if not total > 0:
        return np.nan, np.nan
    y, x_ = (
        float((power.sum(axis=1 - i) * np.arange(n)).sum() / total)
        for i, n in enumerate(power.shape)
    )
    return y, x_
