"""The face of everything that decomposes rows into modes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels, storage, terms
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, StorageError
from neurocodec.identity.marks import Identity
from neurocodec.identity.walk import Walk
from neurocodec.modes.coders import Coder
from neurocodec.modes.fitted import Fitted, as_tree, labelled_loadings, state_of
from neurocodec.network import Network
from neurocodec.rows import matrix as row
from neurocodec.rows.blocks import (
    MEMORY,
    Data,
    Fingerprint,
    Rows,
    block_size,
    fingerprint_of,
    opened,
)
from neurocodec.rows.origin import require_layer, require_same_origin, source_of

_FIT: Final = ("function", "config", "scale", "data")
"""What tells the results of one fit from those of another, in their provenance."""


class Decomposition(ABC):
    """Rows of contributions as sums of a few modes: rows = loadings x dictionary (+ offset).

    Rows are divided by one global standard deviation. Part of them is held out: whole blocks of
    a movie, as neighbouring frames are alike, and single rows of still images. Modes are scaled
    so that a loading is 1 on average (in size) over the training rows where it is not 0.

    Parameters
    ----------
    sign
        "excitatory", "inhibitory", "net" or "both".

    Attributes
    ----------
    memory : int
        Bytes that rows and loadings may take.

    Examples
    --------
    >>> import neurocodec as nc
    >>> [issubclass(kind, Decomposition) for kind in (nc.SparseModes, nc.BaselineModes)]
    [True, True]
    """

    memory: int = MEMORY

    def __init__(self, *, sign: str) -> None:
        self._sign = sign
        self._state: Fitted | None = None

    @abstractmethod
    def fit(self, data: Data, *, layer: str | None = None) -> Self:
        """Find the modes of rows."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make the same object again, as JSON can hold them."""

    @abstractmethod
    def _coder(self, arrays: Mapping[str, NDArray[Any]], features: int) -> Coder:
        """Make the coder again from its arrays."""

    def transform(
        self,
        data: Data,
        *,
        layer: str | None = None,
        out: str | PathLike[str] | None = None,
    ) -> xr.DataArray:
        """Loadings of rows, which need not be those that were fitted.

        Parameters
        ----------
        data
            As `fit` takes it, with the same channels; read block by block.
        layer
            Which layer of a tree or file.
        out
            File (".nc" or ".zarr") that the loadings are written to as they come, for rows that
            do not fit into memory. The same call, started again, continues.

        Returns
        -------
        xarray.DataArray
            `loading` (samples, mode); with `out`, it is read from the file when it is used.

        Raises
        ------
        InputError
            Where the channels, the variable or its units are others than those fitted, or rows that
            say so are of another layer or of a network with other weights; the message names them.
        StorageError
            Where `out` holds something else.
        """
        self._fitted()
        with opened(data, layer) as (array, origin):
            rows = Rows.of(array, self._sign)
            _require_alike(rows, self.dictionary)
            require_same_origin(origin, self.origin)
            return self._encoded(rows) if out is None else self._streamed(rows, out)

    def _encoded(self, rows: Rows) -> xr.DataArray:
        fitted, digest = self._fitted(), Fingerprint(rows)
        parts = [np.zeros((0, fitted.coder.modes), dtype=np.float32)]
        for start, stop in rows.ranges():
            matrix = rows.matrix(start, stop)
            digest.add(matrix)
            parts.append(_encode(fitted, matrix))
        found = labelled_loadings(np.concatenate(parts), rows.dim, rows.coords)
        return labels.stamp(found, **self._facts("transform", data=digest.text))

    def _streamed(self, rows: Rows, out: str | PathLike[str]) -> xr.DataArray:
        fitted, size = self._fitted(), len(rows)
        facts = self._facts("transform", data=fingerprint_of(rows))
        walk = Walk()
        walk.visit("modes", (fitted.coder, fitted.scale))  # of which the dictionary is a part only
        with _writer(out, facts, size, Identity(walk.data)) as run:
            block = block_size(self.memory, rows.features + fitted.coder.modes)
            for part in run.missing(block):
                encoded = _encode(fitted, rows.matrix(part.start, part.stop))
                run.write(part.start, {"loading": encoded})
            empty = np.broadcast_to(np.float32(0), (size, fitted.coder.modes))
            loading = labelled_loadings(empty, rows.dim, rows.coords)
            template = xr.DataTree(labels.stamp(loading, **facts).to_dataset())
            tree = run.finish(labels.stamp(template, **facts))
        return tree.data_vars["loading"]

    @property
    def sign(self) -> str:
        """Part of contributions that is decomposed."""
        return self._sign

    def require_layer(self, net: Network, layer: str) -> None:
        """Refuse modes of another layer, or of a network with other weights, where they say so.

        Parameters
        ----------
        net
            The network that they are used on.
        layer
            Alias of one of its layers.

        Raises
        ------
        InputError
            The message names both layers, or both weights.
        """
        require_layer(self.origin, net, layer, "modes")

    @property
    def origin(self) -> dict[str, Any]:
        """Provenance of the rows that were fitted, as far as they had any."""
        return dict(labels.provenance(self.dictionary).get("contributions") or {})

    def _facts(self, method: str, **facts: str) -> dict[str, Any]:
        """Provenance of what is made with these modes."""
        function = f"nc.{type(self).__name__}.{method}"
        known = {"modes": labels.fingerprint(self.dictionary), **source_of(self.origin)}
        return {"function": function, **known, **facts}

    def inverse_transform(self, loadings: xr.DataArray) -> xr.DataArray:
        """Rows that loadings stand for: loadings times dictionary, in the units of the data.

        Parameters
        ----------
        loadings
            (samples, mode), all modes; set some to zero to see what the others make.

        Returns
        -------
        xarray.DataArray
            (samples, channel), or (samples, sign, channel) where both signs were fitted.

        Raises
        ------
        InputError
            Where they are no DataArray, modes are missing, or loadings that say so are of other
            modes, another layer or a network with other weights; the message names them.
        """
        z, dim = _checked_loadings(loadings, self.dictionary)
        require_same_origin(loadings_origin(z), self.origin, "loadings")
        _require_same_modes(z, self.dictionary)
        made = np.tensordot(z.values, self.dictionary.values, axes=1)
        if "offset" in self._fitted().result:
            made = made + self._fitted().result["offset"].values
        features = tuple(map(str, self.dictionary.dims[1:]))
        coords = {**row.coords_along(z, (dim,)), **row.coords_along(self.dictionary, features)}
        name = self.dictionary.attrs["variable"] or v.CONTRIBUTION
        rows = labels.labelled(
            made, (dim, *features), coords, name=name, units=self.dictionary.attrs["units"]
        )
        facts = self._facts("inverse_transform", loadings=labels.fingerprint(z))
        return labels.stamp(rows, **facts)

    @property
    def dictionary(self) -> xr.DataArray:
        """Modes (mode, channel) in the units of the data, each at its typical strength."""
        return self._fitted().result["dictionary"]

    @property
    def loadings(self) -> xr.DataArray:
        """Loadings (samples, mode) of the rows fitted; coord `held_out` marks those that were.

        Raises
        ------
        InputError
            Where the rows did not fit into memory, so that their loadings were not kept.
        """
        result = self._fitted().result
        if "loading" not in result:
            raise InputError(
                came="loadings of rows that did not fit into `memory`, which are not kept",
                expected="a file to write them to",
                hint="modes.transform(data, out='loadings.zarr')",
            )
        return result["loading"]

    @property
    def summary(self) -> xr.Dataset:
        """What is known of every mode, and of the fit.

        Per mode: `alive` (is it active on some row), `active_share` (the firing rate of the mode:
        part of all rows on which it is active), `explained_variance` (what pooled R2 of the
        held-out rows loses when the loading of this mode is set to 0 and all others stay; of the
        training rows where none are held out), `hoyer` (Hoyer sparsity of its channels, 1 for a
        single channel), `nearest_cosine` (largest cosine with another alive mode; near 1 for
        copies, NaN for dead modes), `top_channel` and `top_weight` (mode, rank), with `top_sign`
        where both signs were fitted. Per channel: `r2_feature`, `r2_feature_train`, NaN for
        channels that do not vary. Per fit: `r2`, `r2_pooled` (held-out rows; NaN where there are
        none), `r2_train`, `r2_pooled_train`, `l0`, `alive_share`, `distinct_share` (part of the
        alive modes that is left where, of modes with cosines of at least 0.99, one is kept).
        """
        return self._fitted().summary

    @property
    def r2(self) -> float:
        """R2 per feature, averaged over the features that vary, on held-out rows."""
        return self._score("r2")

    @property
    def r2_pooled(self) -> float:
        """R2 of all entries against their grand mean (CODEC), on held-out rows."""
        return self._score("r2_pooled")

    @property
    def r2_train(self) -> float:
        """R2 per feature, averaged over the features that vary, on the rows fitted."""
        return self._score("r2_train")

    @property
    def l0(self) -> float:
        """Mean number of active modes of a row."""
        return self._score("l0")

    @property
    def alive(self) -> float:
        """Part of the modes that are active on some row."""
        return self._score("alive_share")

    def _score(self, name: str) -> float:
        return float(self._fitted().summary[name])

    def save(self, path: str | PathLike[str]) -> None:
        """Write to netCDF (".nc") or Zarr (".zarr"); `load` gives back the same."""
        storage.save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        StorageError
            Where the file holds something else.
        """
        found = storage.open(path)
        if not isinstance(found, cls):
            raise StorageError(
                came=f"{str(path)!r}, which holds a {type(found).__name__}",
                expected=f"fitted {cls.__name__}",
                hint=f"nc.open({str(path)!r})",
            )
        return found

    def to_tree(self) -> xr.DataTree:
        """Everything that was fitted: dictionary and loadings, `summary`, `history`, `weights`."""
        return as_tree(self._fitted(), self.settings())

    @classmethod
    def from_tree(cls, tree: xr.DataTree) -> Self:
        """Make from what `to_tree` gave."""
        state = state_of(tree)
        made = cls(**state.settings)
        made._state = state.fitted(made._coder(state.arrays, state.features))
        return made

    def adopt(self, fitted: Fitted) -> Self:
        """Take what was fitted elsewhere with the settings of this object."""
        self._state = fitted
        return self

    @property
    def is_fitted(self) -> bool:
        """Whether there are modes."""
        return self._state is not None

    def _fitted(self) -> Fitted:
        if self._state is None:
            name = type(self).__name__
            raise InputError(
                came=f"{name} that are not fitted",
                expected="fitted ones",
                hint=f"modes = nc.{name}(...).fit(tree['layer'])",
            )
        return self._state

    def _size(self) -> str:
        return "not fitted" if self._state is None else f"{self.dictionary.sizes[v.MODE]} modes"


def dictionary_of(modes: Decomposition | xr.DataArray) -> xr.DataArray:
    """Dictionary of fitted modes, or the rows of one that came."""
    return modes.dictionary if isinstance(modes, Decomposition) else modes


def _encode(fitted: Fitted, matrix: NDArray[Any]) -> NDArray[np.float32]:
    return fitted.coder.encode(np.ascontiguousarray(matrix / fitted.scale, dtype=np.float32))


def _require_alike(rows: Rows, dictionary: xr.DataArray) -> None:
    """Refuse rows of other dims, of another variable or unit, or with other features."""
    features, wanted = rows.like.dims[1:], dictionary.dims[1:]
    if features != wanted:
        raise InputError(
            came=f"rows of shape {(len(rows), *rows.like.shape[1:])} with dims {rows.like.dims}",
            expected=f"dims {(rows.dim, *wanted)}, as the modes were fitted to",
            hint="modes.transform(tree['layer'])",
        )
    name = rows.like.name if rows.like.name in terms.VARIABLES else ""
    units = str(rows.like.attrs.get("units", ""))
    for what, here, there in (
        ("variable", name, dictionary.attrs["variable"]),
        ("units", units, dictionary.attrs["units"]),
    ):
        if here and there and here != there:
            raise InputError(
                came=f"rows with the {what} {here!r}, for modes that were fitted to {there!r}",
                expected=f"the same {what}",
                hint=f"modes.transform(data[{there!r}])" if what == "variable" else "",
            )
    row.require_same_features(rows.like, dictionary)


def _checked_loadings(loadings: object, dictionary: xr.DataArray) -> tuple[xr.DataArray, str]:
    """Loadings (samples, mode) of all modes, and the dim of the samples."""
    if not isinstance(loadings, xr.DataArray):
        raise InputError(
            came=f"loadings of type {type(loadings).__name__}",
            expected="an xarray.DataArray with dims (samples, 'mode')",
            hint="modes.loadings, or xr.DataArray(values, dims=('time', 'mode'))",
        )
    dim = labels.sample_dim(loadings)
    z = labels.require_dims(loadings, (dim, v.MODE), "loadings")
    try:
        labels.require_same(z, dictionary, v.MODE, "loadings and dictionary")
    except InputError as error:
        raise InputError(
            came=error.came,
            expected="all modes that were fitted; set some to zero to see what the others make",
            hint="modes.loadings.where(modes.loadings.mode < 3, 0)",
        ) from error
    return z, dim


def loadings_origin(loadings: xr.DataArray) -> dict[str, Any]:
    """Provenance of the rows that loadings are of, as far as they say."""
    known = labels.provenance(loadings)
    return {**known, **dict(known.get("contributions") or {})}


def _require_same_modes(loadings: xr.DataArray, dictionary: xr.DataArray) -> None:
    """Refuse loadings that were made with another dictionary, where they say so."""
    came, there = labels.provenance(loadings), labels.provenance(dictionary)
    of_a_fit = "scale" in came  # which its dictionary has, too
    other = any(came.get(name) != there.get(name) for name in _FIT) if of_a_fit else False
    made = came.get("modes")
    if other or (made and made != labels.fingerprint(dictionary)):
        raise InputError(
            came="loadings that were made with other modes",
            expected="loadings of these; an array without attributes, where they are meant",
            hint="modes.inverse_transform(modes.transform(rows))",
        )


def _writer(
    out: str | PathLike[str], facts: dict[str, Any], size: int, identity: Identity
) -> storage.RunWriter:
    """Start or go on with a run, and say what tells loadings from others."""
    try:
        return storage.RunWriter(out, facts=facts, size=size, identity=identity)
    except StorageError as error:
        if not Path(out).parent.is_dir():
            raise
        raise StorageError(
            came=error.came,
            expected="a free path, or loadings of the same modes and data, to go on with them",
            hint=error.hint.removesuffix(", or overwrite=True"),
        ) from error
