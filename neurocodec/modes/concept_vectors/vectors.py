"""`nc.ConceptVectors`: directions of a layer that its vectors at single positions are sums of."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, Literal, Self, TypeAlias, cast, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments, labels
from neurocodec.errors import InputError
from neurocodec.kernels.splits import held_out
from neurocodec.modes.concept_vectors.coding import PursuitCoder, Solver
from neurocodec.modes.concept_vectors.finding import By, Found, directions, found
from neurocodec.modes.concept_vectors.given import given, require_points, samples_of
from neurocodec.modes.concept_vectors.labelled_codes import Vectors, codes_of, rows_of
from neurocodec.modes.concept_vectors.norm_shift import shift_of
from neurocodec.modes.concept_vectors.scoring import Scores, summary
from neurocodec.modes.decomposition import Decomposition
from neurocodec.modes.fitted import Fitted, labelled_dictionary, labelled_offset, state_of
from neurocodec.network import Network
from neurocodec.rows.blocks import Data

Center: TypeAlias = Literal["mean", "batch_norm", "zero"]


class ConceptVectors(Decomposition):
    """Vectors of a layer at single positions, as an offset and a few of many unit vectors.

    After generalised integrated gradients: vectors of all channels at one position (see
    `nc.point_vectors`) are clustered by their direction from an offset, and the centres are the
    concept vectors. A map is then, position by position, the offset and a few of these:
    x ~ offset + sum_slot loading * dictionary[loading_mode].

    Parameters
    ----------
    method
        ``"bisecting"`` (the largest cluster is split by spherical 2-means, again and again),
        ``"kmeans"`` (spherical k-means), and two controls: ``"exemplars"`` (rows drawn at random)
        and ``"random"`` (random directions).
    per_channel
        Vectors for each channel of the layer.
    vectors
        Their number, in place of `per_channel`.
    center
        The offset. ``"mean"`` of the rows; ``"batch_norm"``, the shift of the batch norm that ends
        the layer, as the paper has it (then `fit` wants the network, and a layer behind a skip is
        refused: there the shift is not where the vectors are); ``"zero"``.
    active
        Vectors of a row in `summary`, and in `transform` where it is not told otherwise.
    validation
        Part of the images whose vectors are held out.
    seed
        Of clusters, draws and of the images held out.

    Attributes
    ----------
    memory : int
        Bytes that rows may take.

    Raises
    ------
    InputError
        Where a setting is out of its range or unknown.

    Notes
    -----
    Vectors have length 1, so that loadings of different vectors, in units of the layer, can be
    compared. Rows drawn at random are as good as clusters for codes (`docs/concept_vectors.md`).

    `summary` is of codes by orthogonal matching pursuit of at most 1,024 rows that were held out
    and as many others. Beside what every decomposition has it tells `relative_l2` (length of what
    is missing of a row over its own, mean over rows), `cluster_size` and `cluster_cosine`.

    Examples
    --------
    >>> rows = xr.DataArray(np.random.default_rng(0).normal(size=(200, 4)),
    ...                     dims=("vector", "channel"))
    >>> vectors = ConceptVectors(per_channel=2, active=3).fit(rows)
    >>> vectors.dictionary.shape, vectors.offset.dims
    ((8, 4), ('channel',))
    >>> dict(vectors.transform(rows, active=2).loading.sizes)
    {'vector': 200, 'slot': 2}
    """

    def __init__(
        self,
        method: By = "bisecting",
        *,
        per_channel: float = 8,
        vectors: int | None = None,
        center: Center = "mean",
        active: int = 12,
        validation: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__(sign="net")
        self.method: By = arguments.one_of("method", method, get_args(By))
        self.center: Center = arguments.one_of("center", center, get_args(Center))
        self._vectors = arguments.whole_or_none("vectors", vectors, hint="vectors=512")
        hint = "per_channel=8"
        self._per_channel = arguments.number("per_channel", per_channel, "above 0", hint=hint)
        if self._per_channel <= 0:
            raise InputError(came=f"per_channel={per_channel!r}", expected="above 0", hint=hint)
        self._active = arguments.whole("active", active, hint="active=12")
        self._validation = arguments.number(
            "validation", validation, "from 0 to below 1", hint="validation=0.1"
        )
        if not 0 <= self._validation < 1:
            raise InputError(
                came=f"validation={validation!r}",
                expected="from 0 to below 1",
                hint="validation=0.1",
            )
        self._seed = arguments.whole("seed", seed, 0, hint="seed=0")

    def __repr__(self) -> str:
        return f"<ConceptVectors ({self._size()}) {self.settings()}>"

    def _size(self) -> str:
        if not self.is_fitted:
            return super()._size()
        known = f" of layer {self.layer!r}" if "layer" in self.origin else ""
        return f"{super()._size().removesuffix(' modes')} vectors{known}"

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make the same object again."""
        return {
            "method": self.method,
            "per_channel": self._per_channel,
            "vectors": self._vectors,
            "center": self.center,
            "active": self._active,
            "validation": self._validation,
            "seed": self._seed,
        }

    def fit(self, data: Data, *, layer: str | None = None, net: Network | None = None) -> Self:
        """Find concept vectors.

        Parameters
        ----------
        data
            `activation` (vector, channel), as `nc.point_vectors` returns it; or a tree or file of
            several layers.
        layer
            Which layer of a tree or file.
        net
            The network that the vectors are of, for ``center="batch_norm"``.

        Returns
        -------
        ConceptVectors
            This object.

        Raises
        ------
        InputError
            Where rows have other dims, are not finite, do not vary, or fewer of them are different
            than vectors are asked for; the message says how many.

        Warns
        -----
        NeurocodecWarning
            Where rows are the offset itself and have no direction.
        """
        with given(data, layer) as (array, origin):
            rows = require_points(array).load()
        labels.require_finite(rows, "vectors")
        values = np.asarray(rows.values, np.float32)
        held = self._held(rows)
        offset = self._offset(values[~held], origin, net)
        count = self._vectors or max(1, round(self._per_channel * values.shape[1]))
        best = found(directions(values[~held] - offset), count, self.method, self._seed)
        coder = PursuitCoder.of(best.vectors, offset, min(self._active, *best.vectors.shape))
        return self.adopt(self._labelled(coder, best, rows, held, origin))

    def _held(self, rows: xr.DataArray) -> NDArray[np.bool_]:
        """Vectors that are held out: all of an image, or of a piece of a movie."""
        image, series = samples_of(rows)
        count = int(image.max(initial=-1)) + 1
        if count < 1 or (count < 2 and self._validation):
            raise InputError(
                came=f"vectors (n = {len(rows)}) of {'one image' if count else 'no image'}",
                expected="vectors of at least 2 images, one of which can be held out",
                hint="nc.point_vectors of more images, or nc.ConceptVectors(validation=0)",
            )
        return np.asarray(held_out(count, self._validation, self._seed, series=series)[image])

    def _offset(
        self, rows: NDArray[np.float32], origin: Mapping[str, Any], net: Network | None
    ) -> NDArray[np.float32]:
        if self.center == "batch_norm":
            return shift_of(net, origin, rows.shape[1])
        if net is not None:
            raise InputError(
                came=f"net=... with center={self.center!r}",
                expected="a network where the offset is of its batch norm",
                hint="nc.ConceptVectors(center='batch_norm')",
            )
        if self.center == "zero":
            return np.zeros(rows.shape[1], np.float32)
        return np.asarray(rows.mean(0, dtype=np.float64), np.float32)

    def _labelled(
        self,
        coder: PursuitCoder,
        best: Found,
        rows: xr.DataArray,
        held: NDArray[np.bool_],
        origin: Mapping[str, Any],
    ) -> Fitted:
        values = np.asarray(rows.values)
        scores = (Scores.of(coder, values[~held]), Scores.of(coder, values[held]))
        dictionary = labelled_dictionary(coder.atoms, rows, 1.0)
        about = {
            "config": self.settings(),
            "scale": 1.0,
            "data": labels.fingerprint(rows),
            "contributions": origin,
        }
        function = "nc.ConceptVectors.fit"
        known = {"dictionary": dictionary, "offset": labelled_offset(coder.start, rows, 1.0)}
        stamped = {name: labels.stamp(array, function, **about) for name, array in known.items()}
        result = labels.stamp(xr.Dataset(stamped), function, **about)
        told = labels.stamp(summary(coder, best, *scores, dictionary), function, **about)
        return Fitted(coder, 1.0, result, told, xr.Dataset())

    @property
    def offset(self) -> xr.DataArray:
        """What the loadings start from, (channel,)."""
        return self._fitted().result["offset"]

    @property
    def layer(self) -> str:
        """Alias of the layer whose vectors were fitted.

        Raises
        ------
        InputError
            Where the rows did not say.
        """
        self._fitted()
        if not self.origin.get("layer"):
            raise InputError(
                came="concept vectors of rows that do not say which layer they are of",
                expected="rows of nc.point_vectors",
                hint="nc.ConceptVectors().fit(nc.point_vectors(net, images, 'layer3.1'))",
            )
        return str(self.origin["layer"])

    @property
    def coder(self) -> PursuitCoder:
        """What makes codes of plain arrays, for streaming use."""
        return cast("PursuitCoder", self._fitted().coder)

    @property
    def _known(self) -> Vectors:
        return Vectors(self.coder, self.dictionary, self.origin, self._facts)

    @property
    def loadings(self) -> xr.DataArray:
        """Not kept: codes are made by `transform`.

        Raises
        ------
        InputError
            Always.
        """
        self._fitted()
        raise InputError(
            came="loadings of all concept vectors, which are not kept: nearly all are 0",
            expected="sparse codes of the rows",
            hint="vectors.transform(rows)",
        )

    def transform(  # type: ignore[override]  # of sparse codes there are two arrays
        self,
        data: Data,
        *,
        solver: Solver = "omp",
        active: int | None = None,
        layer: str | None = None,
        out: str | PathLike[str] | None = None,
    ) -> xr.Dataset:
        """Sparse codes of maps, tokens or rows.

        Parameters
        ----------
        data
            (stimulus, channel, y, x), (stimulus, channel, token) or (vector, channel), with the
            channels that were fitted; read block by block from a file.
        solver
            ``"omp"``, orthogonal matching pursuit; ``"lasso"``, the Lasso at the penalty that
            leaves as many vectors; ``"lasso_refit"``, the vectors of the Lasso with the weights of
            least squares.
        active
            Vectors of a position, at most; those of the settings where None.
        layer
            Which layer of a tree or file.
        out
            File (".nc" or ".zarr") that the codes are written to as they come. The same call,
            started again, continues.

        Returns
        -------
        xarray.Dataset
            `loading` (stimulus, y, x, slot), the largest first, and `loading_mode`, the vector of
            each slot; 0 and -1 in slots that are empty.

        Raises
        ------
        InputError
            Where the channels are others than those fitted, the maps are of another layer or of
            other weights, or there are fewer channels or vectors than `active`.
        StorageError
            Where `out` holds something else.
        """
        return codes_of(self._known, data, (solver, active), layer=layer, out=out)

    def inverse_transform(self, loadings: xr.Dataset | xr.DataArray) -> xr.DataArray:
        """Maps or rows that codes stand for, with the offset.

        Parameters
        ----------
        loadings
            As `transform` returns them; or (samples, mode) of all vectors.

        Returns
        -------
        xarray.DataArray
            With the dims of what was transformed.

        Raises
        ------
        InputError
            Where codes are of other vectors.
        """
        if isinstance(loadings, xr.DataArray):
            return super().inverse_transform(loadings)
        return rows_of(self._known, loadings)

    @classmethod
    def from_tree(cls, tree: xr.DataTree) -> Self:
        """Make from what `to_tree` gave."""
        state = state_of(tree)
        made = cls(**state.settings)
        arrays = {name: state.nodes[""][name].values for name in ("dictionary", "offset")}
        return made.adopt(state.fitted(made._coder(arrays, state.features)))

    def _coder(self, arrays: Mapping[str, NDArray[Any]], features: int) -> PursuitCoder:
        atoms = arrays["dictionary"]
        return PursuitCoder.of(atoms, arrays["offset"], min(self._active, len(atoms), features))
