"""`nc.analyse_tension`: tense images of a layer's channels, ranked, mapped and compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import arguments, labels
from neurocodec import vocabulary as v
from neurocodec.adapters.images.pictures import pictures
from neurocodec.analyses.inversions import STEPS, Ascents, require_images
from neurocodec.analyses.stages import Stages
from neurocodec.attribution.between_layers import MAPS
from neurocodec.attribution.ranked_maps import beside, places_of
from neurocodec.attribution.ranking import By, ranked_by
from neurocodec.attribution.tension import tension
from neurocodec.errors import InputError
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.features import Features, Position
from neurocodec.nn.attribution.methods import ActGrad, Method
from neurocodec.statistics.attributions import attribution_correlation
from neurocodec.statistics.overlaps import uniqueness
from neurocodec.storage.encoding import storable_coords
from neurocodec.synthesis.atlas import kept

PICTURE_Y: Final = "picture_y"
PICTURE_X: Final = "picture_x"
READ: Final = "target before its nonlinearity"
"""Alias of what the features are read from."""
RULES: Final[tuple[By, ...]] = ("exciting", "inhibiting", "silent", "tension", "paper")
LINE: Final = "line in the layer"
PAPER: Final = "activation times gradient"
SHOWN: Final = 3
"""Features whose images are drawn."""


@dataclass(frozen=True)
class TensionAnalysis:
    """What `analyse_tension` found."""

    model: str
    layer: str
    read: str  # what the features are of
    found: xr.Dataset
    ranked: Mapping[str, xr.DataArray]
    maps: xr.Dataset  # (feature, ranking, rank, y, x), with `picture` in pixels of its own
    correlation: Mapping[str, xr.Dataset]  # by method
    uniqueness: Mapping[str, xr.Dataset]  # by rule; empty of one feature
    files: Sequence[str]
    pictures: Mapping[int, xr.DataTree] = field(default_factory=dict)  # by channel
    atlas: xr.DataTree | None = None  # of the first channel
    atlas_images: xr.DataArray | None = None  # small pictures of its images, from 0 to 255


def analyse_tension(
    net: Network,
    stimulus: xr.DataArray,
    *,
    layer: str,
    target: str,
    channels: Sequence[int],
    position: Position = "center",
    method: Method | None = None,
    curve: Iterable[str] = (),
    count: int = 5,
    inversions: int = 0,
    atlas: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> TensionAnalysis:
    """Find the images that a layer excites and inhibits channels of a later one with.

    Parameters
    ----------
    net, stimulus
        A network that sees images, and images (stimulus, color, y, x).
    layer, target
        Aliases of the earlier layer and of the later one, whose channels are read before its last
        nonlinearity where it ends in one.
    channels
        Of the later layer.
    position
        As of `nc.targets.Features`.
    method
        As for `nc.tension`.
    curve
        Further layers before the target, at which both methods are compared.
    count
        Images that each rule picks for each channel.
    inversions
        Of each channel, so many of the tensest images are inverted and accentuated (`nc.invert`),
        and the channel is visualised (`nc.visualise`).
    atlas
        Whether to make an atlas of the first channel (`nc.attribution_atlas`).
    batch_size, workers, progress
        As for `nc.contributions`.
    out
        Folder of the results; a call that was stopped goes on from there.

    Returns
    -------
    TensionAnalysis
        `found` as `nc.tension` returns it; `ranked` by rule; `maps` of the ranked images of the
        first channels; `correlation` by method, `uniqueness` by rule; `pictures` by channel,
        `atlas` and `atlas_images`.

    Raises
    ------
    InputError
        Where layers, channels or images do not fit.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU(),
    ...                              torch.nn.Conv2d(2, 2, 3), torch.nn.ReLU(), torch.nn.Flatten())
    >>> net = Network(module, layers={"early": "1", "late": "3"})
    >>> images = xr.DataArray(np.random.default_rng(0).normal(size=(40, 3, 8, 8)).astype("float32"),
    ...                       dims=("stimulus", "color", "y", "x"))
    >>> found = analyse_tension(net, images, layer="early", target="late", channels=[0, 1],
    ...                         count=2, progress=False)
    >>> found.ranked["tension"].sizes["rank"]
    2
    """
    count = arguments.whole("count", count, hint="count=5")
    inversions = arguments.whole("inversions", inversions, 0)
    require_images(stimulus, count, inversions, atlas=atlas)
    features = Features(READ, channels=channels, position=position)  # type: ignore[arg-type]
    study = _Study(
        net=_reading(require_network(net), target),
        stimulus=stimulus,
        layers=list(dict.fromkeys([layer, *arguments.several("curve", curve, "aliases")])),
        features=features,
        method=method,
        settings={"batch_size": batch_size, "workers": workers, "progress": progress},
    )
    _require_enough(study.stimulus, count)
    stages = Stages(out)
    rules: tuple[By, ...] = (*RULES, "specific") if len(features) > 1 else RULES
    best = {"maps": True, "keep": count, "by": rules}
    trees = {
        LINE: study.everywhere(method, "tension.nc", stages, best),
        PAPER: study.everywhere(ActGrad(), "paper.nc", stages, {}),
    }
    found = _of_layer(trees[LINE], layer)
    study = replace(study, stimulus=kept(stimulus, found))
    ranked: dict[str, xr.DataArray] = {rule: ranked_by(found, rule, count) for rule in rules}
    facts = {"tension": labels.provenance(found), "count": count}
    maps = stages.keep("ranked.nc", facts, lambda: study.shown(found))
    shared = rules if len(features) > 1 else ()
    made = study.pictures(found, inversions, stages, atlas=atlas)
    return TensionAnalysis(
        model=net.name,
        layer=layer,
        read=target,
        found=found.drop_dims([v.RANKING, v.RANK]),
        ranked=ranked,
        maps=maps,
        correlation={name: _by_layer(tree, study.layers) for name, tree in trees.items()},
        uniqueness={rule: uniqueness(ranked[rule]) for rule in shared},
        files=stages.files,
        **made,
    )


def _reading(net: Network, target: str) -> Network:
    """The network with what the features are read from as one more layer."""
    own = net.select_layers([target])[target]
    with suppress(InputError):  # it ends in no nonlinearity, and is read as it is
        own = net.pre_activation(target)
    return replace(net, layers={**net.layers, READ: own})


@dataclass(frozen=True)
class _Study:
    """What is asked of which network."""

    net: Network
    stimulus: xr.DataArray
    layers: Sequence[str]
    features: Features
    method: Method | None
    settings: Mapping[str, Any]

    def everywhere(
        self, method: Method | None, file: str, stages: Stages, best: Mapping[str, Any]
    ) -> xr.Dataset | xr.DataTree:
        """Tension by all layers, into a file that is gone on with."""
        path = None if stages.folder is None else stages.folder / file
        stages.files.append(file)
        names = self.layers if len(self.layers) > 1 else [""]
        stages.files += [beside(file, best["keep"], name).name for name in names if best]
        call: dict[str, Any] = {"target": self.features, "out": path, **self.settings, **best}
        return tension(self.net, self.stimulus, self.layers, method=method, **call)

    def shown(self, found: xr.Dataset) -> xr.Dataset:
        """Maps and pictures of the ranked images of the first features, by feature and rule."""
        names = [*MAPS, v.RANKED_POSITION]
        data = found[names].reset_coords(drop=True).isel({v.FEATURE: slice(SHOWN)}).load()
        places = data[v.RANKED_POSITION]
        wanted = np.unique(places.values[places.values >= 0])
        known = storable_coords(self.stimulus, [v.STIMULUS])
        among = places_of(found, known, v.STIMULUS, self.stimulus.sizes[v.STIMULUS])
        chosen = self.stimulus.isel({v.STIMULUS: among[wanted]})
        shown = pictures(chosen.load(), self.net.preprocessing).drop_vars(
            [v.Y, v.X], errors="ignore"
        )
        index = xr.DataArray(
            np.searchsorted(wanted, np.maximum(places.values, 0)), dims=places.dims
        )
        picture = shown.rename({v.Y: PICTURE_Y, v.X: PICTURE_X}).isel({v.STIMULUS: index})
        return data.drop_vars(v.RANKED_POSITION).assign(picture=picture.reset_coords(drop=True))

    def pictures(
        self, found: xr.Dataset, inversions: int, stages: Stages, *, atlas: bool
    ) -> dict[str, Any]:
        """Pictures of each channel, and the atlas of the first; each is kept when it is made."""
        made: dict[str, Any] = {"pictures": {}}
        names = [int(name) for name in self.features.labels or ()]
        where, first = self.features.position, names[0]
        ascents = Ascents(
            self.net, self.stimulus, self.layers[0], READ, where, self.method, self.settings
        )
        facts = {"tension": labels.provenance(found), "steps": STEPS}
        for channel in names if inversions else ():
            make = partial(ascents.of_channel, found, channel, inversions)
            own = {**facts, "channel": channel, "inversions": inversions}
            made["pictures"][channel] = stages.keep(f"pictures-{channel}.nc", own, make)
        if atlas:
            folder = None if stages.folder is None else stages.folder / "atlas"
            own = {**facts, "channel": first}
            tree = stages.keep("atlas.nc", own, lambda: ascents.atlas(first, folder))
            small = stages.keep("atlas-images.nc", own, lambda: ascents.thumbnails(tree))
            made |= {"atlas": tree, "atlas_images": small}
        return made


def _require_enough(stimulus: xr.DataArray, count: int) -> None:
    given = dict(getattr(stimulus, "sizes", {})).get(v.STIMULUS, count)
    if count > given:
        raise InputError(
            came=f"count={count} of {given} images",
            expected="no more than there are",
            hint=f"count={given}",
        )


def _of_layer(tree: xr.Dataset | xr.DataTree, layer: str) -> xr.Dataset:
    """Tension of one layer; what several share is in the root."""
    if isinstance(tree, xr.Dataset):
        return tree.load()
    root = tree.to_dataset()
    return tree[layer].to_dataset().merge(root).assign_attrs(root.attrs).load()


_MAPS: Final = (v.EXCITATION_MAP, v.INHIBITION_MAP)


def _by_layer(tree: xr.Dataset | xr.DataTree, names: Sequence[str]) -> xr.Dataset:
    found = attribution_correlation(tree)
    return found if v.LAYER in found.dims else found.expand_dims({v.LAYER: [*names]})
