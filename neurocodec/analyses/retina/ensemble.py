"""Several models of one retina: every summary figure of each, and how far they are apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import labels
from neurocodec import vocabulary as v
from neurocodec.analyses.retina.analyse import analyse_retina
from neurocodec.analyses.retina.findings import RetinaAnalysis
from neurocodec.cells.clustering import cluster_agreement
from neurocodec.cells.recording import Movie
from neurocodec.errors import InputError
from neurocodec.network import Network, require_network
from neurocodec.storage.files import existing_folder

SPREAD: Final = ("mean", "lowest", "highest", "count")
"""Endings of the variables that say how far models are apart; the last is how many they are of."""
QUICK: Final = {"moments": 0, "pictures": False}
"""What only the first model is asked for."""
CHANNELS: Final = "channels that share the contributions (participation ratio)"


def analyse_ensemble(
    networks: Sequence[Network], movie: Movie, *, out: str | Path | None = None, **options: Any
) -> RetinaAnalysis:
    """Analyse several models of one retina, such as those of `nc.fit_retina` with several seeds.

    What models that differ in their start alone have in common is more than what one of them
    happens to do. Each is analysed as `nc.analyse_retina` does, fields left out of all but the
    first; their channels and modes are not the same ones, so that summary figures are compared.

    Parameters
    ----------
    networks
        At least two, with the same layers and the same cells.
    movie
        As `nc.analyse_retina` takes it.
    out
        Folder for the results of the first; those of the others stand in `model-1`, ... in it.
    **options
        Of `nc.analyse_retina`, the same for all.

    Returns
    -------
    RetinaAnalysis
        That of the first model, with `ensemble`: by `seed` (the number of the model, its name is
        the coordinate `model`) the median `correlation` with recorded cells and
        `interneuron_correlation`, `n_exceed_all`; by `seed` and `layer` `inhibitory_share` and
        `participation_ratio` of the channels' contributions, `n_modes` in use, `l0`, `r2`,
        `n_above_chance`, `n_clusters`, `p_value`, `type_agreement` (adjusted Rand index with the
        known types), `model_agreement` (with the clusters of the other models, mean). Of each the
        mean, the lowest and the highest over models, and of how many models these are:
        `r2_mean`, `r2_lowest`, `r2_highest`, `r2_count`.

    Raises
    ------
    InputError
        Where there are fewer than two networks, or layers or cells differ.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
    >>> from neurocodec.zoo import retina_network
    >>> small = RetinaConfig(cells=4, history=4, size=(9, 9), channels=(2, 2), kernels=(3, 3))
    >>> nets = [retina_network(RetinaCNN(small, seed=i).eval(), name=f"m{i}") for i in range(2)]
    >>> frames = np.random.default_rng(0).normal(size=(200, 9, 9)).astype("float32")
    >>> movie = xr.DataArray(frames, {"time": np.arange(200) / 100}, ("time", "y", "x"))
    >>> quick = {"expansion": 2, "moments": 0, "mode_seeds": 0, "progress": False}
    >>> found = nc.analyse_ensemble(nets, movie, **quick).ensemble
    >>> found.r2.dims, found.r2_count.values.tolist()
    (('seed', 'layer'), [2, 2])
    """
    nets = _alike(networks)
    places: list[Path | None] = [None] * len(nets)
    if out is not None:
        folder = existing_folder(out)
        places = [folder, *(folder / f"model-{i}" for i in range(1, len(nets)))]
    found = [
        analyse_retina(net, movie, out=place, **(options if not i else {**options, **QUICK}))
        for i, (net, place) in enumerate(zip(nets, places, strict=True))
    ]
    whole = dataclasses.replace(found[0], ensemble=ensemble_of(found))
    if out is not None:
        whole.save(out, skip=set(found[0].files))
    return whole


def _alike(networks: Sequence[Network]) -> list[Network]:
    """Networks with the same layers and cells, at least two."""
    hint = "nc.analyse_ensemble(nc.fit_retina(recording, seeds=3).networks, movie)"
    if isinstance(networks, Network) or len(networks) < 2:
        count = 1 if isinstance(networks, Network) else len(networks)
        raise InputError(came=f"{count} networks", expected="at least 2", hint=hint)
    nets = [require_network(net) for net in networks]
    for net in nets[1:]:
        for what in ("layers", "outputs"):
            own, first = (_names(getattr(n, what)) for n in (net, nets[0]))
            if own != first:
                raise InputError(
                    came=f"{what} {own} of {net.name!r}",
                    expected=f"those of {nets[0].name!r}: {first}",
                    hint=hint,
                )
    return nets


def _names(found: Any) -> list[str] | None:
    return None if found is None else [*map(str, found)]


def ensemble_of(found: Sequence[RetinaAnalysis]) -> xr.Dataset:
    """Summary figures by model, and how far the models are apart in each."""
    coords = {
        v.SEED: (v.SEED, np.arange(len(found)), {"units": v.DIMENSIONLESS}),
        "model": (v.SEED, np.array([one.model for one in found])),
        v.LAYER: np.array(found[0].layers),
    }
    whole = [_of_model(one) for one in found]
    layered = [[_of_layer(one, layer) for layer in found[0].layers] for one in found]
    agreed = _agreements(found)
    dims = (v.SEED, v.LAYER)
    values: dict[str, tuple[tuple[str, ...], NDArray[np.float64]]] = {
        **{k: ((v.SEED,), np.array([one[k] for one in whole])) for k in whole[0]},
        **{k: (dims, np.array([[x[k] for x in row] for row in layered])) for k in layered[0][0]},
        "model_agreement": (dims, agreed),
    }
    known = {k: x for k, x in values.items() if np.isfinite(x[1]).any()}
    made: dict[str, xr.DataArray] = {}
    for name, (along, array) in known.items():
        one = labels.labelled(array, along, {d: coords[d] for d in along}, name=name)
        if name == "participation_ratio":
            one.attrs["long_name"] = CHANNELS
        made |= {name: one, **_spread(one, name)}
    weights = [labels.provenance(one.tree).get("weights_sha256") for one in found]
    data = xr.Dataset(made).assign_coords(model=coords["model"])
    return labels.stamp(data, "nc.analyse_ensemble", weights=weights)


def _spread(values: xr.DataArray, name: str) -> dict[str, xr.DataArray]:
    """Mean, lowest and highest over the models that have a value, and how many these are."""
    ends = values.mean(v.SEED), values.min(v.SEED), values.max(v.SEED), values.count(v.SEED)
    about, units = values.attrs["long_name"], values.attrs["units"]
    found = {}
    for ending, one in zip(SPREAD, ends, strict=True):
        text = {"long_name": f"{about}, {ending} over models"}
        text["units"] = v.DIMENSIONLESS if ending == SPREAD[-1] else units
        found[f"{name}_{ending}"] = one.assign_attrs(text).rename(f"{name}_{ending}")
    return found


def _of_model(one: RetinaAnalysis) -> dict[str, float]:
    """Figures of a whole model; NaN where there is nothing to say."""
    match = one.responses().get("correlation")
    cells = None if one.interneurons is None else one.interneurons.to_dataset()
    exceed = None if cells is None else cells.get("n_exceed_all")
    return {
        "correlation": _median(match),
        "interneuron_correlation": np.nan if cells is None else _median(cells["correlation"]),
        "n_exceed_all": np.nan if exceed is None else float(exceed),
    }


def _median(values: xr.DataArray | None) -> float:
    known = np.empty(0) if values is None else values.values[np.isfinite(values.values)]
    return float(np.median(known)) if len(known) else float("nan")


def _of_layer(one: RetinaAnalysis, layer: str) -> dict[str, float]:
    """Figures of one layer; NaN where there is nothing to say."""
    modes, again = one.modes[layer], one.mode_stability.get(layer)
    clusters: Mapping[Any, Any] = one.clusters.get(layer, {})
    count = modes.dictionary.sizes[v.MODE]
    return {
        **_of_contributions(one.tree.children[layer]),
        "n_modes": float(round(modes.alive * count)),
        "l0": modes.l0,
        "r2": modes.r2,
        "n_above_chance": np.nan if again is None else float(again["above_chance"].sum()),
        **{k: float(clusters.get(k, np.nan)) for k in ("n_clusters", "p_value")},
        "type_agreement": _type_agreement(one.agreement, layer),
    }


def _of_contributions(node: xr.DataTree) -> dict[str, float]:
    """How much of the contributions is inhibitory, and over how many channels they are spread."""
    name = v.CONTRIBUTION
    if name not in node.data_vars or v.SIGN not in node.data_vars[name].dims:
        return {"inhibitory_share": np.nan, "participation_ratio": np.nan}
    values = node.data_vars[name].transpose(v.SIGN, v.CHANNEL, ...)
    sizes = np.abs(values.values.astype(np.float64))
    parts = sizes.reshape(*sizes.shape[:2], -1).sum(axis=-1)
    channels, total = parts.sum(axis=0), parts.sum()
    if not total:
        return {"inhibitory_share": np.nan, "participation_ratio": np.nan}
    inhibited = parts[list(values[v.SIGN].values).index(v.INHIBITORY)].sum()
    spread = total**2 / np.sum(channels**2)
    return {"inhibitory_share": inhibited / total, "participation_ratio": float(spread)}


def _type_agreement(agreement: xr.DataArray, layer: str) -> float:
    """Adjusted Rand index of a layer's clusters with the known types."""
    names = [str(n) for n in agreement["clustering"].values]
    if layer not in names or "cell_type" not in names:
        return float("nan")
    return float(agreement.values[names.index(layer), names.index("cell_type")])


def _agreements(found: Sequence[RetinaAnalysis]) -> NDArray[np.float64]:
    """Adjusted Rand index (model, layer) with the clusters of every other model, its mean."""
    result = np.full((len(found), len(found[0].layers)), np.nan)
    for column, layer in enumerate(found[0].layers):
        clusters: Mapping[int, xr.Dataset] = {
            i: one.clusters[layer] for i, one in enumerate(found) if layer in one.clusters
        }
        for i, own in clusters.items():
            others = [cluster_agreement(own, c) for j, c in clusters.items() if j != i]
            result[i, column] = float(np.mean(others)) if others else np.nan
    return result
