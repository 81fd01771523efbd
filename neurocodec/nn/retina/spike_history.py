"""The generalised linear model (GLM) of a ganglion cell: an LN model that knows its own spikes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from neurocodec.errors import InputError
from neurocodec.kernels.lagged_features import block_rows
from neurocodec.kernels.temporal_basis import temporal_basis
from neurocodec.nn.retina.linear_nonlinear import LinearNonlinear

SPAN: Final = 0.2
"""Seconds for which a spike counts."""
FUNCTIONS: Final = 5
DRAWS: Final = 100
"""Simulated trials behind a mean rate."""
PENALTIES: Final = (1.0, 0.1, 0.01)
"""Of squared weights, in units of the squared mean count, which is their curvature."""
FOLDS: Final = 3
STRETCHES: Final = 6
"""Pieces of time of which folds are made."""
FLOOR: Final = 1e-3
"""Least part of its mean that an LN model's rate counts as, before its logarithm is taken."""


@dataclass(frozen=True)
class SpikeHistory:
    """Models of cells: log rate = constant + exponent * log(LN model's rate) + history * spikes."""

    # with no history, a constant of 0 and an exponent of 1, this is the LN model
    linear: LinearNonlinear
    constants: NDArray[np.float64]  # (cell,)
    exponents: NDArray[np.float64]  # (cell,)
    history: NDArray[np.float64]  # (cell, lag), of the own counts, the oldest bin first
    levels: NDArray[np.float64]  # mean count in a bin (cell,), of what was fitted to
    most: NDArray[np.float64]  # counts (cell,) beyond which no rate goes: the largest fitted to
    bin_width: float  # in seconds

    def rates(self, frames: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float64]:
        """Rates (repeat, time - history + 1, cell) in Hz, given the spikes (repeat, time, cell)."""
        base = self._base(frames)
        lags = self.history.shape[1]
        past = lagged(counts, lags)[:, len(frames) - len(base) :]
        total = base + np.einsum("rtlc,cl->rtc", past, self.history)
        return self._expected(total) / self.bin_width

    def mean_rates(
        self, frames: NDArray[Any], *, draws: int = DRAWS, seed: int = 0
    ) -> NDArray[np.float64]:
        """Rates (time - history + 1, cell) in Hz, the mean over trials that are simulated."""
        # the spikes before the first are drawn at the mean rate: nobody knows them
        base, rng = self._base(frames), np.random.default_rng(seed)
        lags, weight = self.history.shape[1], self.history.T[:, None]
        spikes = np.empty((lags + len(base), draws, len(self.levels)))
        spikes[:lags] = rng.poisson(self.levels, spikes[:lags].shape)
        found = np.empty_like(base)
        for t, row in enumerate(base):
            expected = self._expected(row + (spikes[t : t + lags] * weight).sum(axis=0))
            found[t] = expected.mean(axis=0)
            spikes[t + lags] = rng.poisson(expected)
        return found / self.bin_width

    def _base(self, frames: NDArray[Any]) -> NDArray[np.float64]:
        """Logarithm of the counts (time - history + 1, cell) expected from the stimulus alone."""
        logs = _log_counts(self.linear.predict(frames) * self.bin_width, self.levels)
        return self.constants + self.exponents * logs

    def _expected(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(np.minimum(logs, np.log(self.most)))


def fit_spike_history(
    linear: LinearNonlinear,
    counts: NDArray[Any],  # (repeat, time, cell): spikes of single trials in bins
    blocks: Sequence[tuple[int, int]],  # those to which `linear` was fitted
    *,
    bin_width: float,
    span: float = SPAN,
    functions: int = FUNCTIONS,
) -> SpikeHistory:
    """Fit a GLM with spike history to every cell by maximum Poisson likelihood."""
    # The stimulus enters through the logarithm of the LN model's rate, of the output that its
    # filters of cross-validation have for rows which they were not fitted to: on others a filter
    # explains more, and its exponent would come out too large. The own spikes of the same trial
    # enter through raised cosines of the logarithm of the lag (`temporal_basis`).
    history = linear.filters.shape[1]
    lags = min(max(1, round(span / bin_width)), history - 1)
    if linear.held_out is None or lags < 1:
        raise InputError(
            came=f"an LN model of {history} frames" + " without held-out output" * (lags > 0),
            expected="one of at least two frames, fitted by cross-validation to the same blocks",
        )
    whole = np.equal(np.mod(counts, 1), 0) & np.greater_equal(counts, 0)
    if counts.ndim != 3 or counts.shape[2] != len(linear.filters) or not whole.all():
        raise InputError(
            came=f"counts of shape {counts.shape}, {int((~whole).sum())} of them no counts",
            expected=f"whole numbers of at least 0, (repeat, time, {len(linear.filters)} cells)",
        )
    rows = np.concatenate([np.arange(*block_rows(block, history)) for block in blocks])
    basis = temporal_basis(lags, min(functions, lags))
    levels = np.asarray(counts[:, rows].mean(axis=(0, 1)), dtype=np.float64)
    fits = []
    for i, (curve, drive) in enumerate(zip(linear.nonlinearity, linear.held_out.T, strict=True)):
        logs = _log_counts(curve(drive) * bin_width, levels[i])
        fits.append(_fit_cell(logs, counts[:, :, i : i + 1], rows, basis))
    found = np.stack(fits)
    return SpikeHistory(
        linear=linear,
        constants=found[:, 0],
        exponents=found[:, 1],
        history=found[:, 2:] @ basis,
        levels=levels,
        most=np.maximum(counts[:, rows].max(axis=(0, 1)), 1).astype(np.float64),
        bin_width=bin_width,
    )


def lagged(counts: NDArray[Any], lags: int) -> NDArray[np.float64]:
    """Counts (repeat, time, lag, cell) of the bins before each, the oldest first; 0 before all."""
    padded = np.pad(np.asarray(counts, dtype=np.float64), ((0, 0), (lags, 0), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded[:, :-1], lags, axis=1)
    return np.moveaxis(windows, -1, 2)


def design(
    logs: NDArray[np.float64],  # (row,): logarithm of what the stimulus makes expect
    counts: NDArray[Any],  # (repeat, time, 1)
    rows: NDArray[np.intp],
    basis: NDArray[np.float64],  # (function, lag), the oldest bin first
) -> NDArray[np.float64]:
    """Regressors (repeat * row, 1 + function): what the stimulus makes expect, own spikes."""
    past = lagged(counts, basis.shape[1])[..., 0][:, rows] @ basis.T
    stimulus = np.broadcast_to(logs[:, None], (len(counts), len(logs), 1))
    return np.concatenate([stimulus, past], axis=2).reshape(-1, 1 + len(basis))


def _fit_cell(
    logs: NDArray[np.float64],
    counts: NDArray[Any],
    rows: NDArray[np.intp],
    basis: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Constant, exponent and weights of the functions of one cell."""
    # The penalty is that of the highest likelihood in cross-validation over stretches of time (all
    # trials of a time are in one fold); where none is likelier there than the LN model as it is,
    # that is kept: few distinct frames, shown often, would make a proxy of history.
    x, target = design(logs, counts, rows, basis), counts[:, rows, 0].reshape(-1).astype(float)
    plain = np.array([0.0, 1.0, *np.zeros(len(basis))])
    stretch = np.arange(len(rows)) * STRETCHES // max(len(rows), 1)
    fold, reached = np.tile(stretch % FOLDS, len(counts)), dict.fromkeys(PENALTIES, 0.0)
    others = [fold != k for k in range(FOLDS)]
    if not target.any() or not all(target[kept].any() for kept in others):
        return plain
    most = np.log(max(target.max(), 1))
    for penalty, kept in itertools.product(PENALTIES, others):
        weights = _solve(x[kept], target[kept], penalty)
        reached[penalty] += _likelihood(weights, x[~kept], target[~kept], most)
    best = max(PENALTIES, key=reached.__getitem__)
    if reached[best] <= _likelihood(plain, x, target, most):
        return plain
    return _solve(x, target, best)


def _solve(
    x: NDArray[np.float64], target: NDArray[np.float64], penalty: float
) -> NDArray[np.float64]:
    """Constant, then weights, of the highest penalised Poisson likelihood."""
    from sklearn.linear_model import PoissonRegressor  # noqa: PLC0415  (slow to import)

    level = float(target.mean())
    model = PoissonRegressor(
        alpha=penalty * level**2, solver="newton-cholesky", tol=1e-4 * level, max_iter=100
    )
    model.fit(x, target)
    return np.array([model.intercept_, *model.coef_])


def _likelihood(
    weights: NDArray[np.float64], x: NDArray[np.float64], target: NDArray[np.float64], most: float
) -> float:
    """Poisson log likelihood, but for what does not depend on the weights."""
    logs = np.minimum(weights[0] + x @ weights[1:], most)
    return float((target * logs - np.exp(logs)).sum())


def _log_counts(expected: NDArray[np.float64], level: Any) -> NDArray[np.float64]:
    """Logarithm of expected counts, of at least a small part of their mean."""
    least = np.maximum(FLOOR * np.asarray(level), np.finfo(float).tiny)
    return np.asarray(np.log(np.maximum(expected, least)))
