"""`nc.invert`: what in an image excites a feature, and what inhibits it, as pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.plan import feature_dim, position_dims
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import fingerprint, stamp
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.synthesis import objectives
from neurocodec.nn.synthesis.ascent import Seen
from neurocodec.synthesis.gathering import Keep
from neurocodec.synthesis.making import (
    Judged,
    Kind,
    Options,
    Studio,
    climb,
    dataset,
    judged,
    studio,
    warn_of_the_unconfirmed,
)
from neurocodec.synthesis.starting import started

ATTRIBUTION: Final = "attribution"
ACTIVATION: Final = "activation"
OBJECTIVES: Final = (ATTRIBUTION, ACTIVATION)
BOTH: Final = "both"
"""Sign of a picture of what excites and of what inhibits together, as of an atlas's icons."""
TRIES: Final = 8
"""Draws of noise for a picture of both signs: one that is far from its aim may never leave."""
OUTER: Final = (v.STIMULUS, v.TIME, v.FEATURE)
"""Dims of attributions that may stand beside those of the layer."""


def invert(
    net: Network,
    layer: str,
    attribution: xr.DataArray,
    *,
    target: Target | None = None,
    sign: str | Iterable[str] = v.SIGNS,
    like: xr.DataArray | None = None,
    start: xr.DataArray | Literal["noise"] = "noise",
    objective: Literal["attribution", "activation"] | None = None,
    power: float = 2.0,
    kind: Kind | None = None,
    steps: int = 64,
    rate: float | None = None,
    crop: tuple[float, float] | Literal["auto"] | None = "auto",
    noise: float | None = None,
    contrast: float | None = None,
    seed: int = 0,
    batch_size: int = 16,
    device: str | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Pictures of an attribution: what excites a feature in an image, and what inhibits it, apart.

    The excitatory part of the attribution S, or the size of its inhibitory part, is what the
    picture is moved towards: it then shows what these hidden units look for. What is climbed is
    ``(a . S / |S|) max(cos(a, S), 0.1)^power``, by ascent as in `nc.visualise`. In Hamblin et al.,
    Understanding Inhibition Through Maximally Tense Images, eq. 4-5, a is the layer's activation
    h. But a unit that inhibits in an image may excite in the picture, where other ReLUs are open,
    and one that is below 0 excites by being lower; so with a target a is what h contributes in
    the picture itself (h times the gradient of the target), of the sign that is asked for.

    Parameters
    ----------
    net
        The network, of images or of a movie.
    layer
        Alias of the layer that the attribution is of.
    attribution
        `contribution` of `nc.contributions` with ``reduce="none"``: (stimulus, channel, y, x), of
        many features also `feature`; or any such numbers of one's own.
    target
        What the attribution explains; its value is told for every picture, and decides which are
        confirmed. Of `nc.targets.Features` those that the attribution has, in its order.
    sign
        ``"excitatory"``, ``"inhibitory"``, or both.
    like, kind, steps, rate, crop, noise, contrast, seed, batch_size, device, progress
        As for `nc.visualise`.
    start
        ``"noise"`` (inversion), or the images of the attribution (accentuation), in its order.
    objective
        ``"attribution"`` (what the layer contributes in the picture; needs a target; the default
        where there is one), or ``"activation"`` (as in the paper).
    power
        Of the cosine: the larger, the more the direction counts.

    Returns
    -------
    xarray.Dataset
        As of `nc.visualise`, with the dims of the attribution and `sign`. `confirmed`: of an
        excitatory picture that its target is above the mean over `like`, of an inhibitory one
        that it is below.

    Raises
    ------
    InputError
        Where the attribution does not fit the layer, or has nothing of a sign.

    Examples
    --------
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU(), torch.nn.Flatten())
    >>> net = Network(module, layers={"hidden": "1"})
    >>> draw = np.random.default_rng(0)
    >>> images = xr.DataArray(draw.normal(size=(16, 3, 8, 8)).astype("float32"),
    ...                       dims=("stimulus", "color", "y", "x"))
    >>> one = xr.DataArray(np.zeros((1, 2, 6, 6)), dims=("stimulus", "channel", "y", "x"))
    >>> one[0, 0, 2, 3], one[0, 1, 2, 3] = 1, -1
    >>> found = invert(net, "hidden", one, like=images, steps=5, progress=False)
    >>> found.image.dims, found.sign.values.tolist()
    (('stimulus', 'sign', 'color', 'y', 'x'), ['excitatory', 'inhibitory'])
    """
    placed = require_network(net).on(device)
    if target is not None and not isinstance(target, Target):
        raise InputError(
            came=f"target={target!r:.60}", expected="None, or an instance of one of nc.targets"
        )
    options = Options.checked(
        placed,
        kind=kind,
        steps=steps,
        rate=rate,
        crop=crop,
        noise=noise,
        contrast=contrast,
        seed=seed,
    )
    size = arguments.whole("batch_size", batch_size)
    given = _attribution(attribution)
    _require_features(given, target)
    asked = Asked(
        layer,
        given,
        target,
        _signs(sign),
        arguments.at_least("power", power, 0),
        _objective(objective, target),
    )
    with studio(placed, like, target, placed.select_layers([layer]), options) as place:
        found = inverted(place, asked, start, size, progress=progress)
    if target is not None:
        warn_of_the_unconfirmed(found[v.CONFIRMED], "move their target as their sign says")
    return found


class Asked(NamedTuple):
    """What pictures are made of."""

    layer: str
    given: xr.DataArray
    target: Target | None
    signs: list[str]
    power: float
    objective: str


def inverted(
    place: Studio,
    asked: Asked,
    start: xr.DataArray | str,
    batch_size: int,
    *,
    out: Path | None = None,
    progress: bool,
) -> xr.Dataset:
    """Pictures of an attribution, in a network that is hooked; `out` keeps them as they come."""
    layer, given, target, signs, power, objective = asked
    outer, goals, largest = _goals(place, layer, given, signs)
    turns = torch.tensor([-1.0 if s == v.INHIBITORY else 1.0 for s in signs])
    scale = turns.to(goals).repeat(len(goals) // len(signs))
    scale = scale / largest if signs == [BOTH] else scale  # else only the direction counts
    begun = _started(place, start, given, len(signs))
    features = _features(given, len(signs))

    def by_own(pictures: Tensor, which: NDArray[np.intp]) -> Seen:
        some = torch.from_numpy(which)
        own = place.attributions(pictures, layer, features[some])
        scaled = scale[some].to(pictures).reshape(-1, *(1,) * (goals.ndim - 2))
        aims = goals[some].to(pictures)
        return Seen(
            objectives.by_own(own.attribution * scaled, own.activation, aims, power), own.told
        )

    def by_activation(pictures: Tensor, which: NDArray[np.intp]) -> Seen:
        read = place.reads(pictures, sorted({layer, place.place}) if target else [layer])
        some = torch.from_numpy(which)
        climbed = objectives.along(read[layer], goals[some].to(pictures).sum(1), power)
        if target is None:
            return Seen(climbed, climbed * torch.nan)
        with torch.no_grad():
            return Seen(climbed, place.told(read[place.place], features[some]))

    aim = by_own if objective == ATTRIBUTION else by_activation

    facts: dict[str, Any] = {
        **place.facts,
        "layer": layer,
        "power": power,
        "objective": objective,
        "attribution_sha256": fingerprint(given),
        "start_sha256": None if begun is None else fingerprint(begun.numpy()),
    }
    tries = TRIES if signs == [BOTH] else 1
    keep = None if out is None else Keep(out, {**facts, "sign": signs, "tries": tries})
    made = climb(place, outer, aim, begun, batch_size, tries=tries, keep=keep, progress=progress)
    told, score = judged(place, made, features)
    confirmed = score * turns > 0
    result = dataset(place, outer, made, Judged(told, score), confirmed)
    return stamp(result, "nc.invert", **facts)


def _objective(objective: str | None, target: Target | None) -> str:
    if objective is None:
        return ACTIVATION if target is None else ATTRIBUTION
    arguments.one_of("objective", objective, OBJECTIVES)
    if target is None and objective == ATTRIBUTION:
        raise InputError(
            came="objective='attribution' without a target",
            expected="the target that the attribution explains",
            hint="target=..., or objective='activation'",
        )
    return objective


def _signs(sign: str | Iterable[str]) -> list[str]:
    signs = arguments.several("sign", sign, "signs", hint="sign='excitatory'")
    for name in signs:
        if name not in v.SIGNS:
            raise unknown_name("sign", name, v.SIGNS)
    if len({*signs}) < len(signs) or not signs:
        raise InputError(came=f"sign={signs}", expected="each sign once", hint=f"sign={v.SIGNS}")
    return signs


def _attribution(given: Any) -> xr.DataArray:
    """Attribution with its outer dims first, in a fixed order."""
    if not isinstance(given, xr.DataArray) or v.CHANNEL not in given.dims:
        dims = getattr(given, "dims", type(given).__name__)
        raise InputError(
            came=f"attribution with the dims {dims}" if given is not None else "no attribution",
            expected="a DataArray (stimulus, channel, y, x) of one layer",
            hint="nc.contributions(net, images, target=..., reduce='none')['layer1'].contribution",
        )
    if not given.size:
        raise InputError(
            came=f"an attribution of {dict(given.sizes)}", expected="at least one sample"
        )
    channels = given.get_index(v.CHANNEL)
    if channels.dtype.kind in "iu" and (channels != np.arange(len(channels))).any():
        raise InputError(
            came=f"an attribution of the channels {channels[:5].tolist()}",
            expected="all channels of the layer in their order",
            hint="attribution.sortby('channel')",
        )
    outer = [d for d in OUTER if d in given.dims]
    return given.transpose(*outer, v.CHANNEL, ...)


def _require_features(given: xr.DataArray, target: Target | None) -> None:
    wanted = len(next(iter(feature_dim(target).values()), [0])) if target is not None else 1
    count = given.sizes.get(v.FEATURE, 1)
    if target is not None and wanted != count:
        raise InputError(
            came=f"a target of {wanted} features for an attribution of {count}",
            expected="the target that the attribution explains",
        )
    names = [*feature_dim(target).get(v.FEATURE, ())] if target is not None else []
    if names and v.FEATURE in given.coords and given[v.FEATURE].values.tolist() != names:
        raise InputError(
            came=f"an attribution of the features {given[v.FEATURE].values[:5].tolist()}",
            expected=f"those of the target, in its order: {names[:5]}",
            hint="attribution.sel(feature=[*target.labels])",
        )


def _goals(
    place: Studio, layer: str, given: xr.DataArray, signs: list[str]
) -> tuple[dict[str, Any], Tensor, Tensor]:
    """Outer dims with labels, (picture, part, channel, ...) to move towards, and their units.

    There is one part, but where both signs, then a dim of what is given, are to be in one picture.
    """
    if signs == [BOTH]:
        halves = [given.sel({v.SIGN: s}, drop=True) for s in v.SIGNS]
        (outer, plus), (_, minus) = (_values(place, layer, x) for x in halves)
        goals = torch.stack([plus, minus], 1)
    else:
        outer, flat = _values(place, layer, given)
        parts = [flat.clamp(min=0) if s == v.EXCITATORY else (-flat).clamp(min=0) for s in signs]
        _require_parts(parts, signs)
        goals = torch.stack(parts, 1).flatten(0, 1)[:, None]
    largest = goals.flatten(1).amax(1)
    # squares of small numbers would be 0
    goals = (goals / largest.reshape(-1, *(1,) * (goals.ndim - 1))).to(place.net.dtype)
    return {**outer, v.SIGN: signs}, goals, largest.to(place.net.dtype)


def _values(place: Studio, layer: str, given: xr.DataArray) -> tuple[dict[str, Any], Tensor]:
    """Outer dims with their labels, and values (sample, channel, positions...)."""
    hidden = place.session.traced.done.hidden[layer]
    shape = tuple(place.session.capture.layers[layer].channels_first(hidden).shape[1:])
    count = sum(d in OUTER for d in given.dims)
    if place.net.history is not None and v.STIMULUS in given.dims:
        raise InputError(
            came=f"an attribution along 'stimulus' for {place.net.name!r}, which sees a movie",
            expected="one along 'time': 'stimulus' is what the pictures are called",
            hint="attribution.rename(stimulus='time')",
        )
    named = (v.CHANNEL, *position_dims(place.session.capture.layers[layer], len(shape) - 1))
    if {*given.dims[count:]} == {*named}:  # dims of one's own stay in their order
        given = given.transpose(..., *named)
    if given.shape[count:] != shape:
        raise InputError(
            came=f"an attribution of shape {given.shape[count:]} for layer {layer!r}",
            expected=f"{shape}: channels and positions of the layer",
            hint=f"nc.contributions(net, images, target=..., reduce='none', layers=[{layer!r}])",
        )
    if given.dtype.kind not in "biuf":
        raise InputError(came=f"an attribution of {given.dtype}", expected="real numbers")
    values = torch.from_numpy(np.asarray(given.values, dtype=np.float64))
    if not bool(values.isfinite().all()):
        raise InputError(came="an attribution with NaN or infinity", expected="numbers")
    outer = {
        str(d): given[d].values if d in given.coords else np.arange(given.sizes[d])
        for d in given.dims[:count]
    }
    return outer, values.reshape(-1, *shape)


def _require_parts(parts: list[Tensor], signs: list[str]) -> None:
    for name, part in zip(signs, parts, strict=True):
        empty = (part.flatten(1) == 0).all(1)
        if bool(empty.any()):
            raise InputError(
                came=f"{int(empty.sum())} of {len(part)} attributions that have nothing {name},"
                f" the first at position {int(empty.nonzero()[0])}",
                expected="attributions with both signs, or the other sign alone",
                hint=f"sign={next(s for s in v.SIGNS if s != name)!r}",
            )


def _features(given: xr.DataArray, signs: int) -> Tensor:
    """Feature of every picture."""
    count = given.sizes.get(v.FEATURE, 1)
    samples = int(np.prod([given.sizes[d] for d in (v.STIMULUS, v.TIME) if d in given.dims]))
    return torch.arange(count).repeat_interleave(signs).repeat(samples)


def _alike(own: NDArray[Any], other: NDArray[Any]) -> bool:
    if own.dtype.kind == "f" and other.dtype.kind == "f":
        return bool(np.allclose(own, other))
    return bool((own.ravel() == other.ravel()).all())


def _started(
    place: Studio, start: xr.DataArray | str, given: xr.DataArray, signs: int
) -> Tensor | None:
    begun, coords = started(place, start, 1)
    if begun is None:
        return None
    samples = int(np.prod([given.sizes[d] for d in (v.STIMULUS, v.TIME) if d in given.dims]))
    if len(begun) != samples:
        raise InputError(
            came=f"start= of {len(begun)} images for attributions of {samples}",
            expected="the images of the attributions, in their order",
        )
    for dim, labels in coords.items():
        known = dim in getattr(start, "coords", ()) and dim in given.coords
        if known and not _alike(given[dim].values, labels):
            raise InputError(
                came=f"start= with the {dim} {np.ravel(labels)[:3].tolist()}",
                expected=f"that of the attribution: {np.ravel(given[dim])[:3].tolist()}",
                hint=f"start.sel({dim}=attribution.{dim})" if dim == v.STIMULUS else "",
            )
    return begun.repeat_interleave(signs * given.sizes.get(v.FEATURE, 1), 0)
