"""Contribution modes: which combinations of channels make the response, and when."""

from __future__ import annotations

import dataclasses
import json
import logging
import warnings
from os import PathLike
from typing import Any, Final, Self

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels, storage
from neurocodec import loadings as results
from neurocodec import rows as row
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, NeurocodecWarning, StorageError
from neurocodec.kernels.splits import held_out
from neurocodec.nn.sae import Sign, SparseAutoencoder, SparseConfig
from neurocodec.nn.sae_training import choose_device, fit

_log = logging.getLogger(__name__)

_STATE: Final = "sparse_modes"
"""Attribute that holds what is no array: one JSON string."""


@dataclasses.dataclass(frozen=True)
class _Fitted:
    """What a fit leaves behind."""

    model: SparseAutoencoder
    scale: float
    result: xr.Dataset
    history: xr.Dataset


class SparseModes:
    """Sparse decomposition of contributions into modes (CODEC sec. 4).

    Rows are divided by one global standard deviation. A dictionary is learned by sparse coding,
    starting at data rows; then an autoencoder (multilayer perceptron with layer norm, gates with
    a threshold times magnitudes, dictionary) is trained to make the same modes fire and to
    reconstruct the rows. Part of the rows is held out of all of this: whole blocks of a movie
    (neighbouring frames are alike), single rows of still images.

    Parameters
    ----------
    expansion, threshold, seed, sign, nonnegative, l1_loading, l1_dictionary, support_weight, \
learning_rate, dictionary_epochs, epochs, batch_size, hidden, validation
        As in `neurocodec.nn.sae.SparseConfig`, which has the defaults.
    device
        Where to fit; where None, the first CUDA device if there is one. Loadings are always
        computed on the CPU, so that they are the same before and after saving.
    progress
        Whether to show a progress bar.

    Raises
    ------
    InputError
        Where a setting is out of its range, or the device does not exist.

    Examples
    --------
    >>> rows = xr.DataArray(np.random.default_rng(0).random((200, 4)), dims=("time", "channel"))
    >>> modes = SparseModes(expansion=2, epochs=5, dictionary_epochs=5, progress=False).fit(rows)
    >>> modes.dictionary.shape, modes.loadings.dims
    ((8, 4), ('time', 'mode'))
    """

    def __init__(
        self,
        *,
        expansion: float = SparseConfig.expansion,
        threshold: float = SparseConfig.threshold,
        seed: int = SparseConfig.seed,
        sign: Sign = SparseConfig.sign,
        nonnegative: bool = SparseConfig.nonnegative,
        l1_loading: float = SparseConfig.l1_loading,
        l1_dictionary: float = SparseConfig.l1_dictionary,
        support_weight: float = SparseConfig.support_weight,
        learning_rate: float = SparseConfig.learning_rate,
        dictionary_epochs: int = SparseConfig.dictionary_epochs,
        epochs: int = SparseConfig.epochs,
        batch_size: int = SparseConfig.batch_size,
        hidden: int | None = SparseConfig.hidden,
        validation: float = SparseConfig.validation,
        device: str | torch.device | None = None,
        progress: bool = True,
    ) -> None:
        self.config = SparseConfig(
            expansion=expansion,
            threshold=threshold,
            seed=seed,
            sign=sign,
            nonnegative=nonnegative,
            l1_loading=l1_loading,
            l1_dictionary=l1_dictionary,
            support_weight=support_weight,
            learning_rate=learning_rate,
            dictionary_epochs=dictionary_epochs,
            epochs=epochs,
            batch_size=batch_size,
            hidden=hidden,
            validation=validation,
        )
        self._device = choose_device(device)
        self._progress = progress
        self._state: _Fitted | None = None

    def __repr__(self) -> str:
        size = "not fitted" if self._state is None else f"{self.dictionary.sizes[v.MODE]} modes"
        return f"<SparseModes ({size}) {self.config}>"

    def fit(self, data: row.Contributions) -> Self:
        """Find the modes of contributions, or of any other rows.

        Parameters
        ----------
        data
            A layer of the tree that `nc.contributions` returns, its `contribution` (samples,
            sign, channel), or any array (samples, channel), which is taken as it is.

        Returns
        -------
        SparseModes
            This object.

        Raises
        ------
        InputError
            Where values are NaN, do not vary at all, are too few, or are negative while the
            dictionary may not be.

        Warns
        -----
        NeurocodecWarning
            Where there are fewer rows than modes.
        """
        rows = row.select_rows(data, self.config.sign)
        matrix = row.matrix(rows)
        held = self._held_out(rows)
        scale = results.global_scale(matrix[~held])
        self._check(matrix[~held])
        scaled = results.scaled_tensor(matrix, scale).to(self._device)
        mask = torch.as_tensor(held, device=self._device)
        trained = fit(scaled[~mask], scaled[mask], self.config, progress=self._progress)
        model = trained.model.cpu()
        result = labels.stamp(
            results.fit_result(model, rows, scale, held),
            "nc.SparseModes.fit",
            config=self.config,
            scale=scale,
            data=labels.fingerprint(rows),
            contributions=labels.provenance(rows) or _origin(data),
        )
        self._state = _Fitted(model, scale, result, results.history(trained.history))
        return self

    def transform(self, data: row.Contributions) -> xr.DataArray:
        """Loadings of rows, which need not be those that were fitted.

        Parameters
        ----------
        data
            As `fit` takes it, with the same channels.

        Returns
        -------
        xarray.DataArray
            `loading` (samples, mode), at least 0; 1 is a mode's mean where it is active.

        Raises
        ------
        InputError
            Where the channels are others than those fitted; the message names them.
        """
        fitted = self._fitted()
        rows = row.select_rows(data, self.config.sign)
        row.require_same_features(rows, self.dictionary)
        return results.encode(fitted.model, rows, fitted.scale)

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
        """
        dim = labels.sample_dim(loadings)
        z = labels.require_dims(loadings, (dim, v.MODE), "loadings")
        labels.require_same(z, self.dictionary, v.MODE, "loadings and dictionary")
        made = np.tensordot(z.values, self.dictionary.values, axes=1)
        features = tuple(map(str, self.dictionary.dims[1:]))
        coords = {**row.coords_along(z, (dim,)), **row.coords_along(self.dictionary, features)}
        name = self.dictionary.attrs["variable"]
        return labels.labelled(
            made, (dim, *features), coords, name=name, units=self.dictionary.attrs["units"]
        )

    @property
    def dictionary(self) -> xr.DataArray:
        """Modes (mode, channel) in the units of the data, each at its typical strength."""
        return self._fitted().result["dictionary"]

    @property
    def loadings(self) -> xr.DataArray:
        """Loadings (samples, mode) of the rows fitted; coord `held_out` marks those that were."""
        return self._fitted().result["loading"]

    @property
    def history(self) -> xr.Dataset:
        """Loss, R2, number of active modes and part alive over `epoch`, with its `phase`."""
        return self._fitted().history

    @property
    def r2(self) -> float:
        """R2 per feature, averaged over the features that vary, on held-out rows."""
        return float(self._fitted().result["r2"])

    @property
    def r2_pooled(self) -> float:
        """R2 of all entries against their grand mean (CODEC), on held-out rows."""
        return float(self._fitted().result["r2_pooled"])

    @property
    def r2_train(self) -> float:
        """R2 per feature, averaged over the features that vary, on the rows fitted."""
        return float(self._fitted().result["r2_train"])

    @property
    def l0(self) -> float:
        """Mean number of active modes of a row."""
        return float(self._fitted().result["l0"])

    @property
    def alive(self) -> float:
        """Part of the modes that are active on some row."""
        return float(self._fitted().result["alive"])

    def save(self, path: str | PathLike[str]) -> None:
        """Write to netCDF (".nc") or Zarr (".zarr"); `SparseModes.load` gives back the same."""
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
                expected="fitted SparseModes",
                hint=f"nc.open({str(path)!r})",
            )
        return found

    def to_tree(self) -> xr.DataTree:
        """Everything that was fitted, as one tree: results, `history` and `weights`."""
        fitted = self._fitted()
        state = {"config": dataclasses.asdict(self.config), "scale": fitted.scale}
        weights = xr.Dataset(
            {
                name: ([f"{name}_{axis}" for axis in range(tensor.ndim)], tensor.numpy().copy())
                for name, tensor in fitted.model.state_dict().items()
            }
        )
        root = fitted.result.assign_attrs({_STATE: json.dumps(state)})
        nodes = {"/": root, "/history": fitted.history, "/weights": weights}
        return xr.DataTree.from_dict(nodes)

    @classmethod
    def from_tree(cls, tree: xr.DataTree) -> Self:
        """Make from what `to_tree` gave."""
        root = tree.to_dataset(inherit=False)
        state = json.loads(root.attrs.pop(_STATE))
        modes = cls(**state["config"], device="cpu")
        dictionary = root["dictionary"]
        features = dictionary[0].size
        generator = torch.Generator().manual_seed(modes.config.seed)
        model = SparseAutoencoder(features, len(dictionary), modes.config, generator)
        weights = tree.children["weights"].to_dataset(inherit=False)
        model.load_state_dict({str(k): torch.tensor(w.values) for k, w in weights.items()})
        model.eval().requires_grad_(requires_grad=False)
        history = tree.children["history"].to_dataset(inherit=False)
        modes._state = _Fitted(model, state["scale"], root, history)
        return modes

    def _fitted(self) -> _Fitted:
        if self._state is None:
            raise InputError(
                came="SparseModes that are not fitted",
                expected="fitted ones",
                hint="modes = nc.SparseModes().fit(tree['layer'])",
            )
        return self._state

    def _held_out(self, rows: xr.DataArray) -> NDArray[np.bool_]:
        series = rows.dims[0] == v.TIME
        return held_out(len(rows), self.config.validation, self.config.seed, series=series)

    def _check(self, matrix: NDArray[Any]) -> None:
        if self.config.nonnegative and matrix.min() < 0:
            raise InputError(
                came=f"rows down to {matrix.min():.3g} for a non-negative dictionary",
                expected="values of at least 0 (at most 0 for the inhibitory part)",
                hint=f"nc.SparseModes(sign={self.config.sign!r}, nonnegative=False)",
            )
        constant = int((np.ptp(matrix, axis=0) == 0).sum())
        if constant:
            _log.info("%d of %d channels are constant: no part of R2", constant, matrix.shape[1])
        count = self.config.modes(matrix.shape[1])
        if len(matrix) < count:
            message = (
                f"{len(matrix)} rows to fit are fewer than {count} modes, so that each mode can "
                "be a row; fit more rows, or a smaller expansion"
            )
            warnings.warn(message, NeurocodecWarning, stacklevel=3)


def _origin(data: row.Contributions) -> dict[str, Any]:
    """Provenance of the tree that a layer is part of: the stamp is at its root."""
    return labels.provenance(data.root if isinstance(data, xr.DataTree) else data)
