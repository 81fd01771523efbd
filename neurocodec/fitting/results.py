"""What fitting a retina model gives: network, LN models, scores by cell, and the files of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels, storage
from neurocodec import vocabulary as v
from neurocodec.cells.explained import EXPLAINED, explained
from neurocodec.fitting.data import CEILING_INTERVAL, OF_GLM, SCORES, FittingData
from neurocodec.fitting.trials import Given
from neurocodec.kernels.ceiling import ceiling_interval, repeat_ceiling
from neurocodec.kernels.correlation import correlate
from neurocodec.network import Network
from neurocodec.nn.retina.linear_nonlinear import LinearNonlinear
from neurocodec.nn.retina.spike_history import SpikeHistory
from neurocodec.nn.retina.training import History
from neurocodec.storage.files import existing_folder
from neurocodec.zoo import WEIGHTS, save_model

RESULT: Final = "fit.nc"
OF_SEEDS: Final = ("correlation", "normalized_correlation", *EXPLAINED)
"""Scores of the CNN that are kept of every seed."""


@dataclass(frozen=True)
class RetinaFit:
    """What `fit_retina` returns.

    Parameters
    ----------
    network
        The CNN, ready for every analysis.
    linear_nonlinear
        The LN models of the same cells.
    scores
        By cell, on the held-out test part: `correlation` of the CNN's rate with the mean of the
        repeats, `correlation_ln`, `ceiling`, and both correlations divided by it,
        `normalized_correlation` and `normalized_correlation_ln`; `ceiling_interval` (bound, cell),
        of 95 %, begins at 0 where the repeats may share nothing. `signal_explained` is the part of
        the variance that repeats share which the CNN explains (Sahani and Linden 2003; NaN of one
        repeat), `bits_per_spike` the Poisson log likelihood of the spikes beyond that of their
        mean rate; both of the LN model too (`_ln`), with intervals of 95 % over fifths of the test
        part (`_interval`). The attribute `comment` names the smoothing of the responses. Where a
        GLM was fitted all of them have one of it (`_glm`): correlations and `signal_explained` of
        its mean rate over 100 simulated trials, `bits_per_spike` of single trials, given the
        spikes before. The attribute `glm` says why there is none.
    history
        Losses of the CNN by epoch.
    files
        What was written, where `out` was given.
    networks
        Of all seeds, `network` first.
    spike_history
        The GLMs of the same cells, the LN models with spike history; None where there are none.
    ensemble
        Scores of the CNN by `seed` and cell, and of each its mean over seeds (`_mean`) and, of two
        seeds and more, its standard deviation (`_spread`).
    """

    network: Network
    linear_nonlinear: LinearNonlinear
    scores: xr.Dataset
    history: History
    files: tuple[Path, ...] = ()
    networks: tuple[Network, ...] = ()
    ensemble: xr.Dataset | None = None
    spike_history: SpikeHistory | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the networks."""
        return () if self.ensemble is None else tuple(self.ensemble[v.SEED].values.tolist())

    def __repr__(self) -> str:
        median = {k: float(np.nanmedian(self.scores[k].values)) for k in SCORES[:2]}
        net = self.network
        window = f"{net.history} frames" + (
            f" ({(net.history or 0) / net.frame_rate:.2g} s)" if net.frame_rate else ""
        )
        cnn, linear = median.values()
        spiking = OF_GLM[0] in self.scores and np.nanmedian(self.scores[OF_GLM[0]].values)
        third = f", of the GLM {spiking:.2f}" if self.spike_history else ""
        return "\n".join(
            [
                f"<RetinaFit of {self.scores.sizes[v.CELL]} cells>",
                f"  network {net.name}, layers {', '.join(net.layers)}, history {window}",
                f"  correlation {cnn:.2f}, of the LN model {linear:.2f}{third}, medians: .scores",
                f"  {self.history.epochs} epochs: .history",
                *self._of_seeds(),
            ]
        )

    def _of_seeds(self) -> list[str]:
        """How far the seeds are apart."""
        if self.ensemble is None or len(self.seeds) < 2:
            return []
        of_seeds = self.ensemble["correlation"].median(v.CELL).values
        about = f"median correlation {of_seeds.min():.2f} to {of_seeds.max():.2f}"
        return [f"  {len(of_seeds)} seeds, {about}: .networks, .ensemble"]


def score_cells(
    data: FittingData,
    reached: NDArray[Any],
    reached_ln: NDArray[Any],
    history: int,
    glm: Given | None = None,
) -> xr.Dataset:
    """Correlation of predicted rates with the mean of the repeats, and its ceiling, by cell."""
    # Rates (time - history + 1, cell). `ceiling = sqrt(SP / Var(mean of the repeats))` (Schoppe et
    # al. 2016; see `neurocodec.kernels.ceiling`); the normalised correlations are divided by it.
    measured = data.measured(history)
    mean = measured.mean(axis=0)
    nothing = np.full(mean.shape[1], np.nan)
    ceiling = repeat_ceiling(measured) if len(measured) > 1 else nothing
    found = _matched(reached, mean), _matched(reached_ln, mean)
    values = dict(zip(SCORES, (*found, ceiling, *(x / ceiling for x in found)), strict=True))
    if glm is not None:
        reached_glm = _matched(glm.mean, mean)
        values |= zip(OF_GLM, (reached_glm, reached_glm / ceiling), strict=True)
    coords = {k: (v.CELL, np.array(x)) for k, x in data.coords.items()}
    said = smoothing_in_words(data.smoothing)
    about = f"held-out test part, {said}"
    made = {
        k: labels.labelled(x, (v.CELL,), coords, name=k, comment=about) for k, x in values.items()
    }
    ends = ceiling_interval(measured) if len(measured) > 1 else np.stack([nothing] * 2)
    bounds = {**coords, v.BOUND: np.array(v.BOUNDS)}
    made[CEILING_INTERVAL] = labels.labelled(
        ends, (v.BOUND, v.CELL), bounds, name=CEILING_INTERVAL, comment=about
    )
    for predicted, ending in ((reached, ""), (reached_ln, "_ln")):
        spikes = data.spikes(history)
        made |= explained(measured, spikes, predicted, coords, ending=ending, comment=about)
    if glm is not None:
        more: dict[str, Any] = {"ending": "_glm", "comment": about, "given": glm.rates}
        made |= explained(measured, glm.spikes, glm.mean, coords, **more)
    return xr.Dataset(made, attrs={"responses": said})


def together(fits: Sequence[RetinaFit], seeds: Sequence[int]) -> RetinaFit:
    """Return the first fit, with the networks of all seeds and their scores."""
    each = xr.concat([fit.scores[list(OF_SEEDS)] for fit in fits], v.SEED, combine_attrs="override")
    each = each.assign_coords({v.SEED: (v.SEED, np.array(seeds), {"units": v.DIMENSIONLESS})})
    found = dict(each.data_vars)
    for name, values in each.data_vars.items():
        about, mean = values.attrs["long_name"], values.mean(v.SEED)
        text = {**values.attrs, "long_name": f"{about}, mean over seeds"}
        found[f"{name}_mean"] = mean.assign_attrs(text)
        if len(fits) > 1:
            text["long_name"] = f"{about}, standard deviation over seeds"
            found[f"{name}_spread"] = values.std(v.SEED, ddof=1).assign_attrs(text)
    ensemble = labels.stamp(
        xr.Dataset(found, attrs={"responses": fits[0].scores.attrs["responses"]}),
        "nc.fit_retina",
        weights=[fit.network.weights_sha256 for fit in fits],
    )
    networks = tuple(fit.network for fit in fits)
    return dataclasses.replace(fits[0], networks=networks, ensemble=ensemble)


def smoothing_in_words(seconds: float) -> str:
    """How responses were smoothed before they were compared."""
    if not seconds:
        return "responses not smoothed"
    return f"spike counts smoothed (Gaussian, s.d. {1000 * seconds:g} ms)"


def _matched(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Correlation of matching columns; NaN where one is constant."""
    pairs = zip(a.T, b.T, strict=True)
    return np.array([correlate(x[:, None], y[:, None]).item() for x, y in pairs])


def save_fit(fit: RetinaFit, folder: Path) -> RetinaFit:
    """Write `weights.safetensors`, `fit.nc` (scores, LN models, history) and further networks."""
    epochs = {"epoch": ("epoch", np.arange(fit.history.epochs), {"units": v.DIMENSIONLESS})}
    curves = ("loss", "validation_loss", "validation_correlation")
    history = xr.Dataset(
        {k: ("epoch", np.array(getattr(fit.history, k)), {"units": "1"}) for k in curves},
        epochs,
        {"best_epoch": fit.history.best_epoch},
    )
    nodes = {"scores": fit.scores, "linear_nonlinear": _linear_dataset(fit), "history": history}
    if fit.spike_history is not None:
        nodes["spike_history"] = _glm_dataset(fit.spike_history, fit.scores[v.CELL])
    if len(fit.seeds) > 1 and fit.ensemble is not None:
        nodes["ensemble"] = fit.ensemble
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = dict(fit.scores.attrs)
    storage.save(tree, folder / RESULT)
    save_model(fit.network, folder)
    files = [folder / WEIGHTS, folder / RESULT]
    for seed, network in zip(fit.seeds[1:], fit.networks[1:], strict=True):
        place = existing_folder(folder / f"seed-{seed}")
        save_model(network, place)
        files.append(place / WEIGHTS)
    return dataclasses.replace(fit, files=tuple(files))


def _linear_dataset(fit: RetinaFit) -> xr.Dataset:
    """Filters, nonlinearities and choices of the LN models, with the labels of the cells."""
    linear, cell = fit.linear_nonlinear, fit.scores[v.CELL]
    rate = fit.network.frame_rate or 1.0
    lag = (np.arange(linear.filters.shape[1]) - linear.filters.shape[1] + 1) / rate
    columns = {
        **{k: [getattr(f, k) for f in linear.nonlinearity] for k in ("gain", "slope", "threshold")},
        **{k: [getattr(c, k) for c in linear.choices] for k in ("radius", "penalty", "rank")},
    }
    units = {"gain": v.HERTZ, "radius": v.PIXEL}
    known = {k: {"units": units.get(k, v.DIMENSIONLESS)} for k in ("filter", *columns)}
    return xr.Dataset(
        {
            "filter": ((v.CELL, v.LAG, v.Y, v.X), linear.filters, known["filter"]),
            **{k: (v.CELL, np.array(x, dtype=float), known[k]) for k, x in columns.items()},
        },
        {v.CELL: cell, v.LAG: (v.LAG, lag, {"units": v.SECONDS})},
        {"stimulus_mean": linear.mean, "stimulus_deviation": linear.deviation},
    )


def _glm_dataset(glm: SpikeHistory, cell: xr.DataArray) -> xr.Dataset:
    """What the GLMs have beyond the LN models: constant, exponent, and weights of own spikes."""
    lag = -np.arange(glm.history.shape[1], 0, -1) * glm.bin_width
    one = {"units": v.DIMENSIONLESS}
    return xr.Dataset(
        {
            "weight": ((v.CELL, v.LAG), glm.history, one),
            "constant": (v.CELL, glm.constants, one),
            "exponent": (v.CELL, glm.exponents, one),
        },
        {v.CELL: cell, v.LAG: (v.LAG, lag, {"units": v.SECONDS})},
        {"bin_width": glm.bin_width},
    )
