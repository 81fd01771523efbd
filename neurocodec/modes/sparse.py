"""Contribution modes: which combinations of channels make the response, and when."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any, Self

import torch
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec.errors import unknown_name, warn
from neurocodec.modes.coders import SparseCoder
from neurocodec.modes.decomposition import Decomposition
from neurocodec.modes.fitting import fit_together
from neurocodec.modes.number import settled
from neurocodec.modes.preparation import Prepared, prepare, require_reached
from neurocodec.nn.device import fitting_device
from neurocodec.nn.sparse.config import (
    AUTO,
    Atoms,
    Encoder,
    Expansion,
    Precision,
    SparseConfig,
    Sparsifier,
)
from neurocodec.nn.sparse.fit import build
from neurocodec.rows.blocks import MEMORY, Data, Rows, opened
from neurocodec.vocabulary import Sign


class SparseModes(Decomposition):
    """Sparse decomposition of contributions into modes (CODEC sec. 4).

    Rows are divided by one global standard deviation, and reconstructed as sparse non-negative
    loadings times a dictionary. Part of the rows is held out of the fit: whole blocks of a movie
    (neighbouring frames are alike), single rows of still images. Same seed, same result: bit for
    bit on the CPU.

    Parameters
    ----------
    expansion, threshold, seed, sign, nonnegative, encoder, sparsifier, active, l1_loading, \
l2_loading, l1_dictionary, atoms, candidates, relaxation, learning_rate, epochs, patience, \
batch_size, hidden, precision, validation
        As in `neurocodec.nn.sparse.config.SparseConfig`, which has the defaults. With
        ``validation=0`` nothing is held out, and `r2` and `r2_pooled` are NaN.
    device
        Where to fit and to compute loadings; where None, the first CUDA device if there is one,
        else the CPU. Modes of a file are computed there as well: what was fitted on a GPU can be
        used without one, and then agrees to rounding, not to the bit.
    memory
        Bytes that rows and loadings may take. More rows are read block by block in every epoch,
        and their loadings are not kept.
    progress
        Whether to show a progress bar.

    Raises
    ------
    InputError
        Where a setting is out of its range, or the device does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> rows = xr.DataArray(np.random.default_rng(0).random((200, 4)), dims=("time", "channel"))
    >>> modes = SparseModes(expansion=2, epochs=5, progress=False).fit(rows)
    >>> modes.dictionary.shape, modes.loadings.dims
    ((8, 4), ('time', 'mode'))
    """

    def __init__(
        self,
        *,
        expansion: Expansion = SparseConfig.expansion,
        threshold: float = SparseConfig.threshold,
        seed: int = SparseConfig.seed,
        sign: Sign = SparseConfig.sign,
        nonnegative: bool = SparseConfig.nonnegative,
        encoder: Encoder = SparseConfig.encoder,
        sparsifier: Sparsifier = SparseConfig.sparsifier,
        active: int | None = SparseConfig.active,
        l1_loading: float = SparseConfig.l1_loading,
        l2_loading: float = SparseConfig.l2_loading,
        l1_dictionary: float = SparseConfig.l1_dictionary,
        atoms: Atoms = SparseConfig.atoms,
        candidates: int = SparseConfig.candidates,
        relaxation: float = SparseConfig.relaxation,
        learning_rate: float = SparseConfig.learning_rate,
        epochs: int | None = SparseConfig.epochs,
        patience: int | None = SparseConfig.patience,
        batch_size: int = SparseConfig.batch_size,
        hidden: int | None = SparseConfig.hidden,
        precision: Precision = SparseConfig.precision,
        validation: float = SparseConfig.validation,
        device: str | torch.device | None = None,
        memory: float = MEMORY,
        progress: bool = True,
    ) -> None:
        super().__init__(sign=sign)
        self.memory = arguments.size_in_bytes("memory", memory)
        self.config = SparseConfig(
            expansion=expansion,
            threshold=threshold,
            seed=seed,
            sign=sign,
            nonnegative=nonnegative,
            encoder=encoder,
            sparsifier=sparsifier,
            active=active,
            l1_loading=l1_loading,
            l2_loading=l2_loading,
            l1_dictionary=l1_dictionary,
            atoms=atoms,
            candidates=candidates,
            relaxation=relaxation,
            learning_rate=learning_rate,
            epochs=epochs,
            patience=patience,
            batch_size=batch_size,
            hidden=hidden,
            precision=precision,
            validation=validation,
        )
        self.device = fitting_device(device)
        self.progress = progress

    @classmethod
    def preset(
        cls,
        name: str,
        *,
        device: str | torch.device | None = None,
        memory: float = MEMORY,
        progress: bool = True,
        **changes: Any,
    ) -> Self:
        """Settings by name, some of them changed.

        Parameters
        ----------
        name
            "sparse_coding" (the defaults), "topk", "batch_topk", "jump_relu", "archetypal",
            "paper_resnet50" or "paper_retina" (the values of CODEC's authors).
        device, memory, progress
            As in the class.
        **changes
            Settings that are to be others.

        Raises
        ------
        UnknownNameError
            Where there is no such preset or setting.

        Examples
        --------
        >>> SparseModes.preset("paper_retina", epochs=100).config.threshold
        0.9
        """
        config = SparseConfig.preset(name, **changes)
        return cls.of(config, device=device, memory=memory, progress=progress)

    @classmethod
    def of(
        cls,
        config: SparseConfig,
        *,
        device: str | torch.device | None = None,
        memory: float = MEMORY,
        progress: bool = True,
    ) -> Self:
        """Make modes that are not fitted yet from one object with all settings."""
        settings = dataclasses.asdict(config)
        return cls(**settings, device=device, memory=memory, progress=progress)

    def copy(self, **changes: Any) -> Self:
        """Make modes that are not fitted yet, with the settings of these, some of them changed.

        Parameters
        ----------
        **changes
            Keyword arguments of the class, `device`, `memory` and `progress` as well.

        Raises
        ------
        UnknownNameError
            Where there is no such setting.

        Examples
        --------
        >>> SparseModes(expansion=3).copy(seed=1).config.expansion
        3
        """
        around = {"device": self.device, "memory": self.memory, "progress": self.progress}
        now = {**self.settings(), **around}
        for name in changes:
            if name not in now:
                raise unknown_name("setting", name, now)
        return type(self)(**{**now, **changes})

    def __repr__(self) -> str:
        return f"<SparseModes ({self._size()}) {self.config}>"

    def fit(
        self,
        data: Data,
        *,
        layer: str | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> Self:
        """Find the modes of contributions, or of any other rows.

        Parameters
        ----------
        data
            A layer of the tree that `nc.contributions` returns, its `contribution` (samples,
            sign, channel), any array (samples, channel), which is taken as it is, or the path of
            a file with one of these (".nc", ".zarr"). What does not fit into `memory` is read
            block by block, also where it was opened with ``nc.open(path, lazy=True)``.
        layer
            Which layer of a tree or file.
        checkpoint
            A ".safetensors" file for the state of the fit. A killed fit that is started again
            with the same call continues, with the same result; the file is removed at the end.

        Returns
        -------
        SparseModes
            This object.

        Raises
        ------
        InputError
            Where values are NaN, do not vary at all, are too few, or are negative while the
            dictionary may not be, or `l1_loading` is too large for any mode to be active.
        StorageError
            Where a file cannot be read, or the checkpoint is of other settings or rows, another
            kind of device or other versions of neurocodec or torch.

        Warns
        -----
        NeurocodecWarning
            Where there are fewer rows than modes, fewer modes than `active`, or, with
            ``expansion="auto"``, no mode that comes back, or more than the rows can support.
            Where no mode is active on any row.
        """
        with opened(data, layer) as (array, origin):
            prepared = self.prepare(array, origin)
            config, number = settled(self.config, prepared, self.device)
            (fitted,) = fit_together(
                [config],
                [prepared],
                self.device,
                checkpoint=checkpoint,
                progress=self.progress,
                facts=[number],
            )
        return self.adopt(fitted)

    def prepare(self, array: xr.DataArray, origin: dict[str, Any]) -> Prepared:
        """Look through the rows and choose those to hold out; see `preparation.prepare`."""
        config = self.config
        retry = f"nc.SparseModes(sign={config.sign!r}, nonnegative=False)"
        rows = Rows.of(array, config.sign)
        kept = round(len(rows) * (1 - config.validation))
        if config.expansion != AUTO:
            _report_active(config, config.modes(rows.features))
        found = prepare(
            rows,
            partial(config.most_modes, rows=kept),
            validation=config.validation,
            seed=config.seed,
            nonnegative=retry if config.nonnegative else "",
            memory=self.memory,
            origin=origin,
        )
        self.require_active(found)
        return found

    def require_active(self, prepared: Prepared) -> None:
        """Refuse penalties that are too strong for any mode to be active on these rows."""
        if self.config.encoder == "inference":
            require_reached(prepared, self.config.l1_loading)

    @property
    def history(self) -> xr.Dataset:
        """Loss, R2, number of active modes and part alive, over `epoch`.

        R2 and losses are those of a sample of rows while the fit goes on; `summary` has the
        scores of all rows with the final modes.
        """
        return self._fitted().history

    @property
    def chosen(self) -> SparseConfig:
        """Settings, with the number of modes that fitted rows decided in place of "auto"."""
        if self._state is None:
            return self.config
        atoms = self.dictionary
        return self._with_number(len(atoms), atoms[0].size)

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make the same object again."""
        return dataclasses.asdict(self.config)

    def _coder(self, arrays: Mapping[str, NDArray[Any]], features: int) -> SparseCoder:
        model = build(features, self._with_number(len(arrays["strength"]), features))
        return SparseCoder.from_arrays(arrays, model, self.device)

    def _with_number(self, modes: int, features: int) -> SparseConfig:
        auto = self.config.expansion == AUTO
        return replace(self.config, expansion=modes / features) if auto else self.config


def _report_active(config: SparseConfig, modes: int) -> None:
    if config.active is not None and config.active > modes:
        warn(f"active={config.active} is more than the {modes} modes there are: all are active")
