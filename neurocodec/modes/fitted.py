"""What a fit leaves behind, made from its rows, and as a tree that files hold."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels, terms
from neurocodec import vocabulary as v
from neurocodec.modes import summary as summaries
from neurocodec.modes.coders import Coder
from neurocodec.modes.preparation import Prepared
from neurocodec.rows import matrix as row

_STATE: Final = "fitted"
"""Attribute that holds what is no array: one JSON string."""


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves behind."""

    coder: Coder  # scaled rows to loadings and back
    scale: float  # what rows are divided by
    result: xr.Dataset  # `dictionary`, and `loading` and `offset` where there are any
    summary: xr.Dataset
    history: xr.Dataset  # empty where there is none


def finish(
    prepared: Prepared,
    coder: Coder,
    function: str,
    *,
    history: xr.Dataset | None = None,
    known: summaries.Known | None = None,  # loadings of training rows
    **facts: Any,
) -> Fitted:
    """Encode all rows once, score them, and scale each mode to a mean loading of 1."""
    coded = summaries.code(prepared, coder, known)  # with loadings where the rows are in memory
    strong = coder.strengthened(coded.tally.strength)
    like = prepared.rows.like
    atoms = labelled_dictionary(strong.dictionary(), like, prepared.scale)
    found = {"dictionary": atoms}
    if strong.offset is not None:
        found["offset"] = labelled_offset(strong.offset, like, prepared.scale)
    if coded.loadings is not None:
        values = np.divide(coded.loadings, coded.tally.strength, out=coded.loadings)
        found["loading"] = labelled_loadings(
            values, prepared.rows.dim, prepared.rows.coords
        ).assign_coords(held_out=(prepared.rows.dim, prepared.held))
    about = {
        **facts,
        "scale": prepared.scale,
        "data": prepared.fingerprint,
        "contributions": prepared.origin,
    }
    stamped = {name: labels.stamp(array, function, **about) for name, array in found.items()}
    result = labels.stamp(xr.Dataset(stamped), function, **about)
    summary = labels.stamp(summaries.summary(coded.tally, coder, atoms), function, **about)
    how = labels.stamp(history, function, **about) if history else xr.Dataset()
    return Fitted(strong, prepared.scale, result, summary, how)


def as_tree(fitted: Fitted, settings: Mapping[str, Any]) -> xr.DataTree:
    """Put everything into one tree: results, `summary`, `history`, `weights`."""
    state = {"settings": dict(settings), "scale": fitted.scale}
    weights = xr.Dataset(
        {
            name: ([f"{name}_{axis}" for axis in range(values.ndim)], values)
            for name, values in fitted.coder.arrays().items()
        }
    )
    root = fitted.result.assign_attrs({_STATE: json.dumps(labels.plain(state))})
    nodes = {"/": root, "/summary": fitted.summary, "/weights": weights}
    if fitted.history:
        nodes["/history"] = fitted.history
    return xr.DataTree.from_dict(nodes)


@dataclass(frozen=True)
class State:
    """What `as_tree` wrote, taken apart."""

    settings: dict[str, Any]  # keyword arguments that make the object again
    scale: float
    nodes: Mapping[str, xr.Dataset]  # by name; the root is ""

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What the coder consists of."""
        return {str(name): array.values for name, array in self.nodes["weights"].items()}

    @property
    def features(self) -> int:
        """Length of a row."""
        return int(self.nodes[""]["dictionary"][0].size)

    def fitted(self, coder: Coder) -> Fitted:
        """Everything, with a coder made of `arrays`."""
        history = self.nodes.get("history", xr.Dataset())
        return Fitted(coder, self.scale, self.nodes[""], self.nodes["summary"], history)


def state_of(tree: xr.DataTree) -> State:
    """Take apart what `as_tree` made."""
    root = tree.to_dataset(inherit=False)
    nodes = {
        name: _with_own_labels(child.to_dataset(inherit=False), root)
        for name, child in tree.children.items()
    }
    state = json.loads(root.attrs.pop(_STATE))
    return State(state["settings"], state["scale"], {"": root, **nodes})


def _with_own_labels(child: xr.Dataset, root: xr.Dataset) -> xr.Dataset:
    """Give back the labels that a tree holds once, at its root."""
    return child.assign_coords({d: root[d] for d in child.dims if d in root.coords})


def labelled_loadings(
    values: NDArray[Any], dim: str, coords: Mapping[str, xr.Variable] | None = None
) -> xr.DataArray:
    """Label loadings (samples, modes) as `loading` (dim, mode), with coordinates of the samples."""
    labels.require_free_names(coords or (), (v.MODE, "loading"), "the samples")
    along = {v.MODE: np.arange(values.shape[1]), **(coords or {})}
    return labels.labelled(values, (dim, v.MODE), along, name="loading")


def labelled_dictionary(atoms: NDArray[Any], like: xr.DataArray, scale: float) -> xr.DataArray:
    """Label modes (mode, channel) or (mode, sign, channel) in the units and signs of the data."""
    return _features(atoms, like, scale, name="dictionary")


def labelled_offset(values: NDArray[Any], like: xr.DataArray, scale: float) -> xr.DataArray:
    """Label what is added to loadings times dictionary: (features,), of scaled rows."""
    return _features(values[None], like, scale, name="offset").isel({v.MODE: 0}, drop=True)


def _features(values: NDArray[Any], like: xr.DataArray, scale: float, *, name: str) -> xr.DataArray:
    """Label (modes, features) of rows divided by `scale`, with the inhibitory part turned back."""
    made = values.astype(np.float32) * np.float32(scale) * row.polarity(like)
    made = made + np.float32(0.0)  # -0.0 of the inhibitory part becomes 0.0
    features = tuple(map(str, like.dims[1:]))
    return labels.labelled(
        made.reshape(len(made), *like.shape[1:]),
        (v.MODE, *features),
        {v.MODE: np.arange(len(made)), **row.coords_along(like, features)},
        name=name,
        units=str(like.attrs.get("units", "")),
        variable=like.name if like.name in terms.VARIABLES else "",  # what was decomposed
    )


def labelled_history(epochs: Sequence[Any]) -> xr.Dataset:
    """Label how a fit went, over `epoch`: one `neurocodec.nn.sparse.loop.Epoch` for each."""
    coords = {"epoch": np.arange(1, len(epochs) + 1)}
    names = [f.name for f in dataclasses.fields(epochs[0])] if epochs else []
    return xr.Dataset(
        {
            name: labels.labelled([getattr(e, name) for e in epochs], ("epoch",), coords, name=name)
            for name in names
        }
    )
