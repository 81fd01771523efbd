"""Decompositions of scikit-learn with the face of sparse modes, to compare these with."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Self, get_args

import numpy as np
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec.errors import InputError, unknown_name
from neurocodec.kernels.scores import Moments
from neurocodec.modes.coders import Coder
from neurocodec.modes.decomposition import Decomposition
from neurocodec.modes.fitted import finish
from neurocodec.modes.preparation import prepare
from neurocodec.modes.sklearn_coders import (
    ESTIMATORS,
    Estimator,
    LinearCoder,
    coder_from,
    coder_of,
    computed,
    independent_columns,
    whole_settings,
)
from neurocodec.rows.blocks import Data, Rows, opened
from neurocodec.vocabulary import Sign

_LEAST_CHANNELS: Final = ("pca", "ica")
"""Methods that have at most as many modes as there are channels."""
_LIMITED: Final = (*_LEAST_CHANNELS, "kmeans")
"""Methods that have at most as many modes as there are rows."""
_OURS: Final[Mapping[str, str]] = {
    "n_components": "modes=20",
    "n_clusters": "modes=20",
    "random_state": "seed=0",
}
"""Keyword arguments of the estimators that have another name here."""


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
        Number of modes; at most the number of channels for "pca", and of channels that vary and
        do not depend linearly on each other for "ica".
    expansion
        Modes per channel, in place of `modes`; where neither is given, 1, and for "ica" as many
        modes as there can be.
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
    loadings times dictionary. Channels that are constant are no part of "ica": zero in each of
    its modes, and their value in the offset. "nmf" starts at random where there are more modes
    than channels or rows (scikit-learn's NNDSVD has no start then).

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
        method: Estimator = "pca",
        *,
        modes: int | None = None,
        expansion: float | None = None,
        seed: int = 0,
        sign: Sign = "excitatory",
        validation: float = 0.1,
        **settings: Any,
    ) -> None:
        super().__init__(sign=sign)
        self.method: Estimator = arguments.one_of("method", method, get_args(Estimator))
        arguments.one_of("sign", sign, get_args(Sign))
        self._modes, self._expansion = _size(modes, expansion)
        self._seed = arguments.whole("seed", seed, 0)
        if self._seed >= 2**32:
            raise InputError(came=f"seed={seed!r}", expected="an integer from 0 to 2**32 - 1")
        self._validation = _number(
            "validation", validation, lambda x: 0 <= x < 1, "from 0 to below 1"
        )
        self._more = _settings(method, settings)

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
            Where values are NaN, do not vary at all, are too few, or are negative for "nmf" or
            for "dictionary_learning" with `positive_dict` and `positive_code`; where there are
            more modes than the method can have, or scikit-learn refuses a setting.

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
                nonnegative=self._instead_of_nonnegative(),
                origin=origin,
            )
        training = prepared.select(~prepared.held).astype(float)
        coder = self._fit_coder(training, self._count(prepared.rows.features))
        done = finish(prepared, coder, "nc.BaselineModes.fit", config=self.settings())
        return self.adopt(done)

    def _instead_of_nonnegative(self) -> str:
        """What to type where rows are negative; empty where they may be."""
        if self.method == "nmf":
            return "nc.BaselineModes('pca')"
        whole = whole_settings(self.method, self._more)
        if whole.get("positive_dict") and whole.get("positive_code"):
            return f"nc.BaselineModes({self.method!r}, positive_dict=False)"
        return ""

    def _count(self, features: int) -> int:
        if self._modes is not None:
            return self._modes
        return max(1, round((self._expansion or 1.0) * features))

    def _fit_coder(self, training: NDArray[np.float64], modes: int) -> Coder:
        if self.method == "ica":
            return self._fit_varying(training, modes)
        most = min(training.shape) if self.method in _LEAST_CHANNELS else len(training)
        if self.method in _LIMITED:
            self._require_at_most(most, modes, training.shape)
        return coder_of(self.method, self._fit_estimator(training, modes), self._more)

    def _fit_varying(self, training: NDArray[np.float64], modes: int) -> Coder:
        """ICA divides by the deviation of each independent direction, so it needs as many."""
        moments = Moments(training.shape[1])
        moments.add(training)
        varying = training[:, moments.varies]
        most = independent_columns(varying)
        if self._modes is None and self._expansion is None:
            modes = max(1, most)
        self._require_at_most(most, modes, training.shape)
        found = self._fit_estimator(varying, modes)
        coder = LinearCoder.of(found, len(found.components_), found.n_features_in_)
        return coder.widened(moments.varies, moments.mean)

    def _fit_estimator(self, training: NDArray[np.float64], modes: int) -> Any:
        make, defaults = ESTIMATORS[self.method]
        size = "n_clusters" if self.method == "kmeans" else "n_components"
        given = {size: modes, "random_state": self._seed, **defaults}
        if self.method == "nmf" and modes > min(training.shape):
            given["init"] = "random"
        estimator = make(**{**given, **self._more})
        return computed(self.method, self._more, lambda: estimator.fit(training))

    def _require_at_most(self, most: int, modes: int, shape: tuple[int, ...]) -> None:
        if modes <= most:
            return
        why = ", as many as channels vary independently" if self.method == "ica" else ""
        raise InputError(
            came=f"{modes} modes of {shape[0]} rows of {shape[1]} channels",
            expected=f"at most {most} modes for {self.method!r}{why}",
            hint=f"nc.BaselineModes({self.method!r}, modes={most})" if most else "rows that vary",
        )

    def _coder(self, arrays: Mapping[str, NDArray[Any]], features: int) -> Coder:
        del features
        return coder_from(self.method, arrays, self._more)


def _size(modes: int | None, expansion: float | None) -> tuple[int | None, float | None]:
    if modes is not None and expansion is not None:
        raise InputError(
            came=f"modes={modes!r}, expansion={expansion!r}",
            expected="one of the two: modes of at least 1, or modes per channel",
            hint="modes=20",
        )
    if modes is not None:
        modes = arguments.whole("modes", modes, hint="modes=20")
    if expansion is not None:
        expansion = _number(
            "expansion", expansion, lambda x: x > 0, "a number above 0", "expansion=2"
        )
    return modes, expansion


def _number(
    name: str, value: Any, right: Callable[[float], bool], expected: str, hint: str = ""
) -> Any:
    """Turn a number of NumPy into one of Python, whole or not, and refuse one out of its range."""
    if not right(arguments.number(name, value, expected, hint=hint)):
        raise InputError(came=f"{name}={value!r}", expected=expected, hint=hint)
    return value.item() if isinstance(value, np.generic) else value


def _settings(method: Estimator, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the estimator as Python's own types, which JSON can hold."""
    known = [n for n in inspect.signature(ESTIMATORS[method][0]).parameters if n not in _OURS]
    found = {}
    for name, value in settings.items():
        if name in _OURS:
            raise InputError(
                came=f"{name}={value!r}",
                expected=f"{_OURS[name].partition('=')[0]}=, which every method takes",
                hint=_OURS[name],
            )
        if name not in known:
            raise unknown_name(f"setting of {method!r}", name, known)
        found[name] = _storable(name, value)
    if found.get("split_sign"):
        raise InputError(
            came=f"split_sign={found['split_sign']!r}, which makes two loadings of each mode",
            expected="one loading per mode, of both signs where they may be",
            hint="positive_code=False",
        )
    return found


def _storable(name: str, value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    try:
        json.dumps(plain)
    except (TypeError, ValueError) as error:
        raise InputError(
            came=f"{name} of type {type(value).__name__}",
            expected="a number, text or boolean, which a file can hold",
        ) from error
    return plain
