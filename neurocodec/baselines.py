"""Decompositions of scikit-learn with the face of sparse modes, to compare these with."""

from __future__ import annotations

import inspect
from typing import Any, Final, Self, get_args

from neurocodec.baseline_coders import (
    ESTIMATORS,
    Method,
    coder_from,
    coder_of,
    convergence_reported,
)
from neurocodec.blocks import Data, Rows, opened
from neurocodec.coders import Arrays, Coder
from neurocodec.decomposition import Decomposition
from neurocodec.errors import InputError, unknown_name
from neurocodec.fitted import finish
from neurocodec.nn.sparse.config import Sign
from neurocodec.preparation import prepare

_LEAST_CHANNELS: Final = ("pca", "ica")
"""Methods that have at most as many modes as there are channels."""
_LIMITED: Final = (*_LEAST_CHANNELS, "kmeans")
"""Methods that have at most as many modes as there are rows."""


class BaselineModes(Decomposition):
    """A decomposition of scikit-learn, with the same face as `nc.SparseModes`.

    Rows are scaled, held out and labelled in the same way, scores and `summary` are the same
    figures, so that they can be compared. Rows have to fit into memory.

    Parameters
    ----------
    method
        "pca" (principal components), "nmf" (non-negative matrix factorisation),
        "dictionary_learning" (`MiniBatchDictionaryLearning`, L1 penalty, non-negative unless
        told otherwise), "ica" (`FastICA`), "kmeans" (each row is its nearest centre).
    modes
        Number of modes; at most the number of channels for "pca" and "ica".
    expansion
        Modes per channel, in place of `modes`; 1 where neither is given.
    seed
        Seed of the split and of the estimator.
    sign
        "excitatory", "inhibitory", "net" or "both", as in `nc.SparseModes`.
    validation
        Part of the rows that is held out.
    **settings
        Keyword arguments of the estimator, such as ``alpha=0.2``: numbers, text, booleans.

    Raises
    ------
    InputError
        Where a setting is out of its range or unknown.

    Notes
    -----
    Loadings of "pca" and "ica" have both signs, and an `offset`, the mean row, is added to
    loadings times dictionary.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> rows = xr.DataArray(np.random.default_rng(0).random((200, 4)), dims=("time", "channel"))
    >>> modes = BaselineModes("nmf", modes=2).fit(rows)
    >>> modes.dictionary.shape, modes.loadings.dims
    ((2, 4), ('time', 'mode'))
    """

    def __init__(
        self,
        method: Method = "pca",
        *,
        modes: int | None = None,
        expansion: float | None = None,
        seed: int = 0,
        sign: Sign = "excitatory",
        validation: float = 0.1,
        **settings: Any,
    ) -> None:
        super().__init__(sign=sign)
        if method not in get_args(Method):
            raise unknown_name("method", method, get_args(Method))
        if sign not in get_args(Sign):
            raise unknown_name("sign", sign, get_args(Sign))
        _require_numbers(modes, expansion, validation)
        known = [*inspect.signature(ESTIMATORS[method][0]).parameters]
        for name in settings:
            if name not in known or name in {"n_components", "n_clusters", "random_state"}:
                raise unknown_name(f"setting of {method!r}", name, known)
        self.method: Method = method
        self._modes = modes
        self._expansion = expansion
        self._seed = seed
        self._validation = validation
        self._more = settings

    def __repr__(self) -> str:
        return f"<BaselineModes ({self._size()}) {self.settings()}>"

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make the same object again."""
        return {
            "method": self.method,
            "modes": self._modes,
            "expansion": self._expansion,
            "seed": self._seed,
            "sign": self._sign,
            "validation": self._validation,
            **self._more,
        }

    def fit(self, data: Data, *, layer: str | None = None) -> Self:
        """Find the modes of contributions, or of any other rows.

        Parameters
        ----------
        data, layer
            As in `nc.SparseModes.fit`.

        Returns
        -------
        BaselineModes
            This object.

        Raises
        ------
        InputError
            Where values are NaN, do not vary at all, are too few, or are negative for "nmf".

        Warns
        -----
        NeurocodecWarning
            Where the estimator stopped before it converged.
        """
        with opened(data, layer) as (array, origin):
            prepared = prepare(
                Rows.of(array, self._sign),
                self._count,
                validation=self._validation,
                seed=self._seed,
                nonnegative="nc.BaselineModes('pca')" if self.method == "nmf" else "",
                origin=origin,
            )
        training = prepared.select(~prepared.held)
        count, features = self._count(prepared.rows.features), prepared.rows.features
        estimator = self._estimator(count, features, len(training))
        with convergence_reported(self.method):
            coder = coder_of(self.method, estimator.fit(training.astype(float)), self._more)
        done = finish(prepared, coder, "nc.BaselineModes.fit", config=self.settings())
        return self.adopt(done)

    def _count(self, features: int) -> int:
        if self._modes is not None:
            return self._modes
        return max(1, round((self._expansion or 1.0) * features))

    def _estimator(self, modes: int, features: int, rows: int) -> Any:
        make, defaults = ESTIMATORS[self.method]
        most = min(features, rows) if self.method in _LEAST_CHANNELS else rows
        if modes > most and self.method in _LIMITED:
            raise InputError(
                came=f"{modes} modes of {rows} rows of {features} channels",
                expected=f"at most {most} modes for {self.method!r}",
                hint=f"nc.BaselineModes({self.method!r}, modes={most})",
            )
        size = "n_clusters" if self.method == "kmeans" else "n_components"
        given = {size: modes, "random_state": self._seed, **defaults, **self._more}
        try:
            return make(**given)
        except TypeError as error:
            raise InputError(came=f"settings {self._more}", expected=str(error)) from error

    def _coder(self, arrays: Arrays, features: int) -> Coder:
        del features
        return coder_from(self.method, arrays, self._more)


def _require_numbers(modes: int | None, expansion: float | None, validation: float) -> None:
    if modes is not None and (not isinstance(modes, int) or modes < 1 or expansion is not None):
        raise InputError(
            came=f"modes={modes!r}, expansion={expansion!r}",
            expected="one of the two: modes of at least 1, or modes per channel",
            hint="modes=20",
        )
    if expansion is not None and not expansion > 0:
        raise InputError(came=f"expansion={expansion!r}", expected="a number above 0")
    if not 0 <= validation < 1:
        raise InputError(came=f"validation={validation!r}", expected="from 0 to below 1")
