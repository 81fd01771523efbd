"""Surprisal of a population response under a Gaussian, and its Mahalanobis part."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from neurocodec.errors import InputError
from neurocodec.nn.arrays import tensor_of
from neurocodec.nn.attribution.target import Target

logger = logging.getLogger(__name__)

MAX_CONDITION_NUMBER = 1e10
"""A covariance with a larger condition number is called singular."""

Shrinkage = float | Literal["ledoit-wolf"]


@dataclass(frozen=True, eq=False)
class Mahalanobis(Target):
    """Squared Mahalanobis distance of the response from its mean, (x - mu)' S^-1 (x - mu).

    Parameters
    ----------
    mean
        Mean response mu of each output, in the outputs' units.
    covariance
        Covariance S of the outputs.
    outputs
        Names of the outputs, where known; a network with other outputs is then refused.
    heldout
        Mean target over the rows that `fit` kept out, and over those it used.

    Raises
    ------
    InputError
        Where the covariance is not symmetric, or singular; nothing is inverted silently.

    Examples
    --------
    >>> target = Mahalanobis(mean=[0.0, 0.0], covariance=[[4.0, 0.0], [0.0, 1.0]])
    >>> target(torch.tensor([[2.0, 1.0]]))
    tensor([2.])
    """

    units: ClassVar[str] = ""

    mean: ArrayLike
    covariance: ArrayLike
    outputs: tuple[str, ...] = ()
    heldout: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        mean = np.atleast_1d(np.asarray(self.mean, dtype=np.float64))
        covariance = np.atleast_2d(np.asarray(self.covariance, dtype=np.float64))
        _check_covariance(mean, covariance)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", covariance)

    @classmethod
    def fit(
        cls, responses: Any, *, shrinkage: Shrinkage | None = "ledoit-wolf", holdout: float = 0.0
    ) -> Self:
        """Estimate mean and covariance from responses.

        Parameters
        ----------
        responses
            (sample, output): an array, or a DataArray with a `cell` or `category` dim.
        shrinkage
            ``"ledoit-wolf"`` (scikit-learn's estimate of the best shrinkage towards a multiple of
            the identity), a number from 0 to 1, or None for the plain covariance.
        holdout
            Share of the rows, the last ones, that the estimate does not see; the mean target over
            them is kept in `heldout` beside that over the rows used, and logged.

        Returns
        -------
        Target
            The fitted target.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> target = Mahalanobis.fit(rng.normal(size=(500, 3)), holdout=0.2)
        >>> sorted(target.heldout)
        ['fitted', 'heldout']
        """
        if not 0 <= holdout < 1:
            raise InputError(came=f"holdout={holdout}", expected="a share from 0 to below 1")
        rows, names = _rows(responses)
        used = rows[: max(2, round(len(rows) * (1 - holdout)))]
        target = cls(used.mean(0), _covariance(used, shrinkage), names)
        logger.info("condition number of the covariance: %.3g", target.condition_number)
        if len(used) < len(rows):
            parts = {"fitted": used, "heldout": rows[len(used) :]}
            scores = {k: float(target(torch.from_numpy(x)).mean()) for k, x in parts.items()}
            target.heldout.update(scores)
            logger.info("mean %s over fitted and held-out rows: %s", cls.__name__, scores)
        return target

    @property
    def condition_number(self) -> float:
        """Condition number of the covariance; its square root bounds the loss of digits."""
        return float(np.linalg.cond(np.asarray(self.covariance)))

    def bind(self, names: Sequence[str]) -> Self:
        """Refuse a network whose outputs are not those of the covariance, in the same order."""
        n = len(np.asarray(self.mean))
        if len(names) != n or (self.outputs and tuple(names) != self.outputs):
            raise InputError(
                came=f"{type(self).__name__} fitted to {n} outputs {list(self.outputs)[:5]}",
                expected=f"the network's {len(names)} outputs {list(names)[:5]}, in their order",
                hint=f"nc.targets.{type(self).__name__}.fit(nc.respond(net, stimulus))",
            )
        return self

    def __call__(self, outputs: Tensor) -> Tensor:
        """Quadratic form, by whitening with the Cholesky factor."""
        mean, whitening = self._tensors(outputs.dtype, outputs.device)
        return ((outputs - mean) @ whitening.T).square().sum(-1)

    @cached_property
    def _whitening(self) -> NDArray[np.float64]:
        factor = np.linalg.cholesky(np.asarray(self.covariance))
        return np.asarray(np.linalg.solve(factor, np.eye(len(factor))), dtype=np.float64)

    def _tensors(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        if (dtype, device) not in self._made:
            mean, whitening = (
                tensor_of(x, dtype, device) for x in (np.asarray(self.mean), self._whitening)
            )
            self._made[dtype, device] = mean, whitening
        return self._made[dtype, device]

    @cached_property
    def _made(self) -> dict[tuple[torch.dtype, torch.device], tuple[Tensor, Tensor]]:
        return {}


@dataclass(frozen=True, eq=False)
class Surprisal(Mahalanobis):
    """Surprisal (self-information) of the population response, in bits (CODEC sec. 7).

    I(x) = -log2 N(x; mu, S) = ((x - mu)' S^-1 (x - mu) + log det(2 pi S)) / (2 ln 2)

    Parameters
    ----------
    mean, covariance, outputs, heldout
        As for `Mahalanobis`.

    Examples
    --------
    >>> Surprisal(mean=[0.0], covariance=[[1.0]])(torch.tensor([[0.0]]))
    tensor([1.3257])
    """

    units: ClassVar[str] = "bit"

    def __call__(self, outputs: Tensor) -> Tensor:
        """Surprisal in bits."""
        return (super().__call__(outputs) + self._log_determinant) / (2 * math.log(2))

    @cached_property
    def _log_determinant(self) -> float:
        return float(np.linalg.slogdet(2 * math.pi * np.asarray(self.covariance))[1])


def _rows(responses: Any) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    names: tuple[str, ...] = ()
    for dim in ("cell", "category"):
        if dim in getattr(responses, "dims", ()):
            responses = responses.transpose(..., dim)
            if dim in responses.coords:
                names = tuple(map(str, responses[dim].values))
    rows = np.asarray(responses, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2 or not np.isfinite(rows).all():
        raise InputError(
            came=f"responses of shape {rows.shape}, {int((~np.isfinite(rows)).sum())} not finite",
            expected="finite numbers of shape (sample, output), at least two samples",
            hint="nc.respond(net, stimulus)",
        )
    return rows, names


def _covariance(rows: NDArray[np.float64], shrinkage: Shrinkage | None) -> NDArray[np.float64]:
    from sklearn import covariance  # noqa: PLC0415  (slow to import, needed only here)

    if shrinkage == "ledoit-wolf":
        found, amount = covariance.ledoit_wolf(rows)
        logger.info("Ledoit-Wolf shrinkage of the covariance: %.3g", amount)
        return np.asarray(found, dtype=np.float64)
    plain = np.asarray(np.atleast_2d(np.cov(rows.T)), dtype=np.float64)
    if shrinkage is None:
        return plain
    if not isinstance(shrinkage, float | int) or not 0 <= shrinkage <= 1:
        raise InputError(
            came=f"shrinkage={shrinkage!r}", expected="'ledoit-wolf', None, or a number from 0 to 1"
        )
    return np.asarray(covariance.shrunk_covariance(plain, shrinkage), dtype=np.float64)


def _check_covariance(mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> None:
    finite = np.isfinite(mean).all() and np.isfinite(covariance).all()
    square = covariance.shape == (len(mean), len(mean))
    if not finite or not square or not np.allclose(covariance, covariance.T):
        raise InputError(
            came=f"a covariance of shape {covariance.shape} for a mean of {len(mean)}",
            expected=f"finite numbers, a symmetric matrix of shape ({len(mean)}, {len(mean)})",
        )
    # of the correlations: outputs with different units or rates are not singular for that
    scale = np.sqrt(np.clip(np.diag(covariance), np.finfo(np.float64).tiny, None))
    values = np.linalg.eigvalsh(covariance / scale / scale[:, None])
    if values[0] <= values[-1] / MAX_CONDITION_NUMBER:
        raise InputError(
            came=f"a singular covariance: its correlations have eigenvalues from {values[0]:.3g}"
            f" to {values[-1]:.3g}",
            expected=f"a condition number below {MAX_CONDITION_NUMBER:.0e}",
            hint="nc.targets.Surprisal.fit(responses, shrinkage='ledoit-wolf')",
        )
