"""`nc.perturbation_curve`: accuracy against the number of channels ablated or preserved."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.own_labels import category_positions
from neurocodec.engine.samples import Samples
from neurocodec.engine.session import hooked
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import by_index, fingerprint, labelled, provenance, stamp
from neurocodec.network import Network, require_network
from neurocodec.perturbation.ablation import Fill, Kind, finite_fill
from neurocodec.perturbation.answers import OpenedLayer, answer_pairs, opened_layer
from neurocodec.perturbation.images import (
    Concepts,
    ImageGroups,
    OffTarget,
    Sampling,
    group_members,
)
from neurocodec.perturbation.masks import Rankings
from neurocodec.perturbation.rankings import seen_share
from neurocodec.perturbation.summary import (
    GROUPS,
    Judge,
    Match,
    Summary,
    dataset,
    tally,
)
from neurocodec.rows.origin import require_layer

logger = logging.getLogger(__name__)

FRACTIONS: Final = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


def perturbation_curve(
    net: Network,
    stimulus: xr.DataArray,
    layer: str,
    scores: xr.DataArray | Mapping[str, xr.DataArray],
    *,
    labels: xr.DataArray | Sequence[Any] | None = None,
    concepts: Concepts | None = None,
    match: Match = "member",
    kind: Kind | Sequence[Kind] = ("ablate", "preserve"),
    fractions: Sequence[float] = FRACTIONS,
    off_target: OffTarget = "other",
    n_target: int | None = None,
    n_off: int | None = None,
    draws: int | None = None,
    fill: Fill = 0.0,
    confidence: float = 0.95,
    bootstrap: int = 1000,
    seed: int = 0,
    batch_size: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Accuracy of a network whose channels are ablated or preserved (CODEC sec. 5, fig. 6 and 11).

    For each class and each ranking of a layer's channels, the first channels of the ranking are
    ablated (replaced by `fill`), or all others are, which preserves them. Images of the class
    (target) and of other classes (off-target) are classified by the perturbed network. Each
    image is run up to the layer once; what comes after it is run for every set of channels, each
    pair of an image and a set once. Where there is a way around the layer, the part of the
    network around both (a residual block) is run, and the whole network where there is none.

    Parameters
    ----------
    net
        A classifier of still images.
    stimulus
        Images (stimulus, ...), in memory or lazily read; only those that are drawn are read.
    layer
        Alias of the layer to perturb.
    scores
        `channel_score` (category or concept, channel[, draw]) of `nc.rankings`, or several by
        name. Largest first; equal scores in a random order. All have the same categories.
    labels
        Category (name or position) of each image; the coordinate `label` where None. Images
        whose label is none of the network's categories are left out.
    concepts
        Of scores with the dim `concept` (superclasses, such as all dogs): concept -> its
        categories, or a mask `member` (category, concept) or (stimulus, concept), where the
        categories of the member images count.
    match
        Which answers to an image of a concept are right: any ``"member"`` category of the
        concept, or the image's own category only (``"exact"``). For categories, and for
        off-target images, it is always the own one.
    kind
        "ablate", "preserve" or both.
    fractions
        Of the layer's channels, from 0 to 1; a fraction above 0 is at least one channel.
    off_target
        Where off-target images come from: ``"other"``, from all other categories together;
        ``"class"``, from one other category per draw; or names of categories, one per draw.
    n_target, n_off
        Images of each class, and off-target ones per draw; all of a class, and as many.
    draws
        Of off-target images; draw i goes with draw i of a random ranking. 3 where None, or as
        many as the rankings have.
    fill
        What ablated channels are replaced by: a number, or one per channel.
    confidence
        Of all intervals.
    bootstrap
        Resamples of images and categories.
    seed
        Of draws, ties and resamples.
    batch_size
        Rows computed together; chosen where None. The numbers do not depend on it.
    workers
        Processes that decode files of images; chosen where None.
    device
        Where to compute; None stays where the network is.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.Dataset
        Over `ranking`, `kind`, `category` (or `concept`), `fraction`, `group` ("target",
        "off_target"), `draw`, `bound` ("low", "high"):

        - `accuracy` (mean over draws) with `accuracy_interval` (Wilson, of `n` images; of a random
          ranking with several draws wider by how much these differ), each draw in
          `accuracy_draw`, unperturbed `baseline_accuracy` on the same images;
        - `normalized_accuracy`: accuracy / baseline; `mean_normalized_accuracy` over the
          categories (those with a baseline above 0) with its interval from resamples of
          categories and of images in them;
        - `category_area`, `area`: area between the normalised curves of off-target and target
          images over the share of channels, divided by the off-target area (fig. 6E); off-target
          above target counts for ablation, target above off-target for preservation. `area` is
          of the mean curves; `area_difference` is minus that of the first ranking, on the same
          resamples;
        - `category_separation`, `separation`, `separation_difference`: the same area divided by
          the sum of the areas under both curves, so that it is from -1 to 1 for either kind;
        - `n_channels`, and `channel_share` of the layer's; `off_target_category` ("" where others
          are mixed); `shared_images` (ranking): part of the images here that the scores were made
          from (NaN where they do not say).

    Raises
    ------
    InputError
        Scores of another layer, categories without images, or labels that are missing.

    Examples
    --------
    >>> import neurocodec as nc
    >>> from torch import nn
    >>> net = nc.Network(nn.Sequential(nn.Identity()), {"hidden": "0"}, outputs=["a", "b"])
    >>> images = xr.DataArray(
    ...     [[2.0, 1.0], [1.0, 2.0]], {"label": ("stimulus", ["a", "b"])}, ("stimulus", "feature")
    ... )
    >>> scores = xr.DataArray(
    ...     [[1.0, 0.0], [0.0, 1.0]], {"category": ["a", "b"]}, ("category", "channel")
    ... )
    >>> curve = nc.perturbation_curve(
    ...     net, images, "hidden", scores, fractions=[0, 0.5], kind="ablate", progress=False
    ... )
    >>> curve.accuracy.sel(group="target", category="a").values.ravel().tolist()
    [1.0, 0.0]
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    batch_size = arguments.batch_size(batch_size)
    require_classifier(net, stimulus)
    bootstrap, confidence = arguments.interval(bootstrap, confidence, least=1)
    arguments.one_of("match", match, ("member", "exact"))
    rankings = Rankings.of(scores, kinds_of(kind), fractions_of(fractions), draws, seed)
    for name, one in rankings.scores.items():
        require_layer(provenance(one), net, layer, f"scores {name!r}")
    placed, filled = net.on(device), finite_fill(fill)
    names = category_names(placed, stimulus)
    label = label_positions(stimulus, labels, names)
    known = require_concepts(rankings.group, concepts)
    member = group_members(rankings.groups, names, known, label)
    sampling = Sampling(off_target, n_target, n_off, rankings.draws, seed)
    images = sampling.choose(rankings.groups, member, label, names)
    used, shown = stimulus.isel({v.STIMULUS: images.used}), images.renumbered()
    keep, mask = rankings.masks()
    with opened_layer(placed, used, layer, batch_size) as opened:
        _require_channels(opened, rankings, layer)
        placed.output_names(opened.outputs)
        keys = _pairs(shown, mask, len(keep))
        answers = answer_pairs(opened, keep, keys, fill=filled, workers=workers, progress=progress)
    shown = shown.readable(_told(answers.kept, used), rankings.groups)
    judge = Judge(label[images.used], member, match)
    tallies = tuple(
        [tally(answers, judge, some, mask[..., i], group=i, where=where) for i, some in each]
        for where, each in zip(GROUPS, map(enumerate, (shown.of_target, shown.off)), strict=True)
    )
    share = rankings.counts / rankings.channels
    orders = tuple(one.sizes[v.DRAW] for one in rankings.scores.values())
    summary = Summary(tallies, rankings.kinds, share, confidence, bootstrap, seed, orders)
    facts = {
        **net.facts,
        "layer": layer,
        "match": match,
        "off_target": off_target,
        "fill": filled if isinstance(filled, float) else fingerprint(np.asarray(filled)),
        "confidence": confidence,
        "bootstrap": bootstrap,
        "seed": seed,
        "images_sha256": _fingerprint(used),
        "rankings": {name: provenance(one) for name, one in rankings.scores.items()},
    }
    return stamp(_label(summary, rankings, images, used), "nc.perturbation_curve", **facts)


def require_classifier(net: Network, stimulus: xr.DataArray) -> None:
    """Refuse a network of movies, and what are no images."""
    if require_network(net).history is not None:
        raise InputError(
            came=f"{net.name!r}, which sees a movie",
            expected="a network that classifies still images",
            hint="nc.ablate(net, layer, channels) and nc.respond",
        )
    if not isinstance(stimulus, xr.DataArray) or v.STIMULUS not in stimulus.dims:
        raise InputError(
            came=f"a stimulus of type {type(stimulus).__name__} without the dim 'stimulus'",
            expected="an xarray.DataArray of images",
            hint="nc.images(folder, net)",
        )


def kinds_of(kind: Kind | Sequence[Kind]) -> tuple[Kind, ...]:
    """Check the kinds of perturbation: one, or several."""
    hint = "kind='ablate'"
    kinds: tuple[Kind, ...] = (*arguments.several("kind", kind, f"of {KINDS}", hint=hint),)
    for one in kinds:
        arguments.one_of("kind of perturbation", one, KINDS)
    if not kinds or len(set(kinds)) < len(kinds):
        raise InputError(came=f"kind={kind!r}", expected="'ablate', 'preserve' or both")
    return kinds


def fractions_of(fractions: Sequence[float]) -> tuple[float, ...]:
    """Check fractions of channels: increasing, from 0 to 1."""
    try:
        found = np.asarray(fractions, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    inside = found.ndim == 1 and found.size and bool(((found >= 0) & (found <= 1)).all())
    if not inside or bool((np.diff(found) <= 0).any()):
        raise InputError(
            came=f"fractions={fractions!r}",
            expected="increasing numbers from 0 to 1",
            hint="fractions=(0, 0.05, 0.1, 0.2, 0.5, 1)",
        )
    return tuple(found.tolist())


def category_names(net: Network, stimulus: xr.DataArray) -> list[str]:
    """Names of a network's categories; where it has none, one image tells how many there are."""
    if net.outputs is not None:
        return list(net.outputs)
    first = Samples.of(net, stimulus.isel({v.STIMULUS: slice(0, 1)}), stream=True)
    with hooked(net, {}, first.few(net.device)) as session:
        return session.outputs


def label_positions(
    stimulus: xr.DataArray,
    labels: xr.DataArray | Sequence[Any] | None,  # names or positions of categories
    names: Sequence[str],  # of the categories
) -> NDArray[np.intp]:
    """Category of each image, -1 where its label is none; those are told."""
    if labels is None:
        if v.LABEL not in stimulus.coords:
            raise InputError(
                came="images without labels",
                expected="the coordinate 'label' along 'stimulus', or labels=",
                hint="nc.perturbation_curve(..., labels=[...])",
            )
        labels = stimulus[v.LABEL]
    given = by_index(labels, stimulus, v.STIMULUS, "labels")
    found = category_positions(given, names)
    unknown = np.flatnonzero(found < 0)
    if len(unknown) == len(found):
        raise unknown_name("category", given[0], names)
    if len(unknown):
        first = given[unknown[0]]
        logger.warning("%d images with labels such as %r are left out", len(unknown), str(first))
    return found


def require_concepts(group: str, concepts: Concepts | None) -> Concepts | None:
    """Refuse scores of concepts whose categories are not told; None for scores of categories."""
    if group == v.CATEGORY:
        return None
    if concepts is None:
        raise InputError(
            came="scores of concepts without concepts=",
            expected="the categories of each concept",
            hint="concepts={'dog': ['beagle', 'collie']}, or a mask `member`",
        )
    return concepts


def _require_channels(opened: OpenedLayer, rankings: Rankings, layer: str) -> None:
    if opened.channels != rankings.channels:
        raise InputError(
            came=f"scores of {rankings.channels} channels for layer {layer!r}",
            expected=f"one for each of its {opened.channels} channels",
        )


def _pairs(images: ImageGroups, mask: NDArray[np.intp], masks: int) -> NDArray[np.int64]:
    """Every pair of an image and a mask that is needed, once, with image 0 first."""
    plain = np.arange(len(images.used), dtype=np.int64) * masks
    keys = [plain]
    for group, (own, off) in enumerate(zip(images.of_target, images.off, strict=True)):
        for shown in (own, off):
            for draw, some in enumerate(shown):
                used = np.unique(mask[:, :, :, draw, group])
                keys.append((some[:, None].astype(np.int64) * masks + used).ravel())
    return np.unique(np.concatenate(keys))


def _told(kept: NDArray[np.bool_], used: xr.DataArray) -> NDArray[np.bool_]:
    """Say which images could not be read."""
    if not kept.all():
        name = v.SOURCE if v.SOURCE in used.coords else v.STIMULUS
        names = used[name].values[~kept].tolist() if name in used.coords else np.flatnonzero(~kept)
        first = ", ".join(map(str, names[:10]))
        logger.warning("%d images that cannot be read are left out: %s", len(names), first)
    return kept


def _label(
    summary: Summary, rankings: Rankings, images: ImageGroups, used: xr.DataArray
) -> xr.Dataset:
    """Label a summary, and add what is known of channels and images."""
    coords = {
        v.RANKING: list(rankings.scores),
        v.KIND: list(rankings.kinds),
        v.FRACTION: np.asarray(rankings.fractions),
        rankings.group: rankings.groups,
        v.GROUP: list(GROUPS),
        v.DRAW: np.arange(rankings.draws),
        v.BOUND: list(v.BOUNDS),
    }
    found = dataset(summary, coords, group_dim=rankings.group)
    shared = [seen_share(one, used) for one in rankings.scores.values()]
    extra: dict[str, tuple[tuple[str, ...], Any]] = {
        "n_channels": ((v.FRACTION,), rankings.counts),
        "channel_share": ((v.FRACTION,), rankings.counts / rankings.channels),
        "off_target_category": ((rankings.group, v.DRAW), images.off_names),
        "shared_images": ((v.RANKING,), shared),
    }
    made = {
        name: labelled(values, dims, {d: coords[d] for d in dims}, name=name)
        for name, (dims, values) in extra.items()
    }
    return found.assign(made)


def _fingerprint(data: xr.DataArray) -> str:
    """Of the labels of the images; their pixels are not read again."""
    along = {str(k): c.values for k, c in data.coords.items() if c.dims == (v.STIMULUS,)}
    return fingerprint(*(np.asarray(along[name]) for name in sorted(along)))
