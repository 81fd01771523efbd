"""What fitting a retina model gives: network, LN models, scores by cell, and the files of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels, storage
from neurocodec import vocabulary as v
from neurocodec.cells.explained import explained
from neurocodec.fitting.data import CEILING_INTERVAL, SCORES, FittingData
from neurocodec.kernels.ceiling import ceiling_interval, repeat_ceiling
from neurocodec.kernels.correlation import correlate
from neurocodec.network import Network
from neurocodec.nn.retina.linear_nonlinear import LinearNonlinear
from neurocodec.nn.retina.training import History
from neurocodec.zoo import WEIGHTS, save_model

RESULT: Final = "fit.nc"


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
        part (`_interval`). The attribute `comment` names the smoothing of the responses.
    history
        Losses of the CNN by epoch.
    files
        What was written, where `out` was given.
    """

    network: Network
    linear_nonlinear: LinearNonlinear
    scores: xr.Dataset
    history: History
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        median = {k: float(np.nanmedian(self.scores[k].values)) for k in SCORES[:2]}
        net = self.network
        window = f"{net.history} frames" + (
            f" ({(net.history or 0) / net.frame_rate:.2g} s)" if net.frame_rate else ""
        )
        cnn, linear = median.values()
        return "\n".join(
            [
                f"<RetinaFit of {self.scores.sizes[v.CELL]} cells>",
                f"  network {net.name}, layers {', '.join(net.layers)}, history {window}",
                f"  correlation {cnn:.2f}, of the LN model {linear:.2f}, medians: .scores",
                f"  {self.history.epochs} epochs: .history",
            ]
        )


def score_cells(
    data: FittingData, reached: NDArray[Any], reached_ln: NDArray[Any], history: int
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
    return xr.Dataset(made, attrs={"responses": said})


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
    """Write `weights.safetensors` and `fit.nc` (scores, LN models, history) to a folder."""
    epochs = {"epoch": np.arange(fit.history.epochs)}
    curves = ("loss", "validation_loss", "validation_correlation")
    history = xr.Dataset(
        {k: ("epoch", np.array(getattr(fit.history, k)), {"units": "1"}) for k in curves},
        epochs,
        {"best_epoch": fit.history.best_epoch},
    )
    tree = xr.DataTree.from_dict(
        {"scores": fit.scores, "linear_nonlinear": _linear_dataset(fit), "history": history}
    )
    tree.attrs = dict(fit.scores.attrs)
    storage.save(tree, folder / RESULT)
    save_model(fit.network, folder)
    return dataclasses.replace(fit, files=(folder / WEIGHTS, folder / RESULT))


def _linear_dataset(fit: RetinaFit) -> xr.Dataset:
    """Filters, nonlinearities and choices of the LN models, with the labels of the cells."""
    linear, cell = fit.linear_nonlinear, fit.scores[v.CELL]
    rate = fit.network.frame_rate or 1.0
    lag = (np.arange(linear.filters.shape[1]) - linear.filters.shape[1] + 1) / rate
    columns = {
        **{k: [getattr(f, k) for f in linear.nonlinearity] for k in ("gain", "slope", "threshold")},
        **{k: [getattr(c, k) for c in linear.choices] for k in ("radius", "penalty", "rank")},
    }
    return xr.Dataset(
        {
            "filter": ((v.CELL, v.LAG, v.Y, v.X), linear.filters),
            **{k: (v.CELL, np.array(x, dtype=float)) for k, x in columns.items()},
        },
        {v.CELL: cell, v.LAG: (v.LAG, lag, {"units": v.SECONDS})},
        {"stimulus_mean": linear.mean, "stimulus_deviation": linear.deviation},
    )
