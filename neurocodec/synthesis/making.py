"""Pictures made in batches: options checked before, labels put on after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.plan import feature_dim, with_layer_of
from neurocodec.engine.session import Session, opened
from neurocodec.errors import InputError, warn
from neurocodec.labels import labelled
from neurocodec.network import Network
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.synthesis.ascent import Climbed, Seen, ascend, height, unmoved
from neurocodec.nn.synthesis.parametrisation import KINDS, Parametrisation
from neurocodec.nn.synthesis.transforms import Transforms
from neurocodec.synthesis.gathering import Batches, Keep, gathered
from neurocodec.synthesis.like import Like, like

Kind: TypeAlias = Literal["phase", "fourier", "pixels"]
RATES: Final = {"phase": 0.1, "fourier": 0.1, "pixels": 0.1}
"""Step of Adam, in radians or in units of the natural spectrum or contrast."""
CROP: Final = (0.9, 0.99)
CHECKED: Final = 16
"""Pictures that are run at once where no gradient is needed."""
REDRAWN: Final = 16
"""Times that noise from which nothing moves is drawn again."""
NOISE: Final = 0.1
"""Of the contrast of natural pictures."""


@dataclass(frozen=True)
class Options:
    """How pictures are made."""

    kind: str
    steps: int
    rate: float
    crop: tuple[float, float] | None
    noise: float
    contrast: float | None
    seed: int

    @classmethod
    def checked(
        cls,
        net: Network,
        *,
        steps: int,
        seed: int,
        kind: str | None = None,
        rate: float | None = None,
        crop: tuple[float, float] | Literal["auto"] | None = "auto",
        noise: float | None = None,
        contrast: float | None = None,
    ) -> Options:
        """Refuse what cannot be, before anything runs; a movie is neither cropped nor blurred."""
        still = net.history is None
        kind = kind or ("phase" if still else "fourier")
        arguments.one_of("kind", kind, KINDS)
        crop = (CROP if still else None) if crop == "auto" else _crop(crop, still=still)
        noise = (NOISE if still else 0.0) if noise is None else noise
        return cls(
            kind=kind,
            steps=arguments.whole("steps", steps),
            rate=_above_0("rate", RATES[kind] if rate is None else rate),
            crop=crop,
            noise=arguments.at_least("noise", noise, 0),
            contrast=None if contrast is None else _above_0("contrast", contrast),
            seed=arguments.whole("seed", seed, 0),
        )


def _above_0(name: str, value: Any) -> float:
    found = arguments.at_least(name, value, 0)
    if not found:
        raise InputError(came=f"{name}={value!r}", expected="a number above 0", hint=f"{name}=0.1")
    return found


def _crop(crop: Any, *, still: bool) -> tuple[float, float] | None:
    if crop is None:
        return None
    try:
        low, high = (float(x) for x in crop)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not still or not 0 < low <= high <= 1:
        raise InputError(
            came=f"crop={crop!r}" + (" of a movie" if not still else ""),
            expected="None, or the least and the largest part of the side that is seen",
            hint="crop=None" if not still else "crop=(0.9, 0.99)",
        )
    return low, high


class Own(NamedTuple):
    """What a layer contributes in pictures, its activation (both channels first), the target."""

    attribution: Tensor
    activation: Tensor
    told: Tensor  # (picture)


@dataclass(frozen=True)
class Studio:
    """A hooked network, and how pictures for it are made."""

    net: Network
    session: Session
    like: Like
    kind: Parametrisation
    options: Options
    target: Target | None

    @property
    def features(self) -> int:
        """How many numbers the target has."""
        return max(1, *(len(x) for x in feature_dim(self.target).values()), 1) if self.target else 1

    @property
    def facts(self) -> dict[str, Any]:
        """What the pictures depend on."""
        target = self.target
        known = None if target is None else {"kind": type(target).__name__, "parameters": target}
        like_sha256 = self.like.samples.sha256
        options, facts = self.options, self.session.facts
        return {**facts, "target": known, "options": options, "like_sha256": like_sha256}

    def reads(self, pictures: Tensor, layers: list[str]) -> dict[str, Tensor]:
        """Activations (picture, channel, positions...) of some layers, "" for the outputs."""
        found = self._run(pictures, layers)
        return {a: self._channels_first(a, found[a]) for a in layers}

    def attributions(self, pictures: Tensor, layer: str, features: Tensor) -> Own:
        """What a layer contributes to the target of each picture: activation times gradient."""
        found = self._run(pictures, sorted({layer, self.place}))
        told = self.told(self._channels_first(self.place, found[self.place]), features)
        hidden = found[layer]
        (into,) = torch.autograd.grad(told.sum(), [hidden], retain_graph=True, allow_unused=True)
        if into is None:
            raise InputError(
                came=f"a target of layer {self.place!r}, which does not depend on {layer!r}",
                expected="the target that the attribution explains, of a later layer",
            )
        gradient = into.detach()
        own = self._channels_first(layer, hidden * gradient)
        return Own(own, self._channels_first(layer, hidden), told.detach())

    def _run(self, pictures: Tensor, layers: list[str]) -> dict[str, Tensor]:
        x, capture = self.like.samples_of(pictures), self.session.capture
        if "" in layers:
            done = capture.run(x)
            return {**done.hidden, "": done.outputs}
        return capture.reach(x, layers)

    def _channels_first(self, alias: str, values: Tensor) -> Tensor:
        return values if alias == "" else self.session.capture.layers[alias].channels_first(values)

    def values(self, read: Tensor) -> Tensor:
        """Target (picture, feature) of what it reads."""
        target = self.target
        if target is None:
            return read.new_full((len(read), 1), torch.nan)
        if target.per_sample or getattr(target, "hold", False):
            target = target.fixed_at(read.detach())
        found = target(read)
        return found if found.ndim == 2 else found[:, None]

    def told(self, read: Tensor, features: Tensor) -> Tensor:
        """Target of each picture's own feature."""
        values = self.values(read)
        return values.gather(1, features.to(values.device)[:, None])[:, 0]

    @property
    def place(self) -> str:
        """Alias of the layer that the target reads, "" for the outputs."""
        return "" if self.target is None or self.target.layer is None else self.target.layer

    @cached_property
    def of_natural(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of the target over the pictures that others are like."""
        if self.target is None:
            return np.full(1, np.nan), np.full(1, np.nan)
        rows = []
        with torch.no_grad():
            for part in torch.split(self.like.batch, CHECKED):
                pictures = self.like.pictures(part).to(self.net.device)
                rows.append(self.values(self.reads(pictures, [self.place])[self.place]).cpu())
        found = torch.cat(rows).double().numpy()
        return found.mean(0), found.std(0)


@contextmanager
def studio(
    net: Network,
    pictures: xr.DataArray | None,
    target: Target | None,
    layers: Mapping[str, Layer],
    options: Options,
) -> Iterator[Studio]:
    """Hook a network and bind the target; everything is given back."""
    with torch.inference_mode(mode=False):  # what is made in that mode has no gradients
        known = like(net, pictures)
        natural = known.natural.to(net.device)
        contrast = options.contrast
        if contrast is None and net.history is not None:
            contrast = natural.contrast
        kind = KINDS[options.kind](natural, contrast)
        wanted = {**layers, **(with_layer_of(target, {}, net) if target else {})}
        few = known.samples.few(net.device)
        with opened(net, wanted, few) as session:
            bound = None if target is None else target.bind(session.outputs)
            made = Studio(net, session, known, kind, options, bound)
            _ = made.of_natural  # a vector or position that does not fit, before anything long
            yield made


Aim: TypeAlias = Callable[[Tensor, NDArray[np.intp]], Seen]
"""Of pictures, and their places among all that are made."""


def climb(
    place: Studio,
    outer: Mapping[str, Any],
    aim: Aim,
    start: Tensor | None,
    batch_size: int,
    *,
    tries: int = 1,
    keep: Keep | None = None,
    progress: bool,
) -> Climbed:
    """Make all pictures, so many at once; `start` has the picture that each begins with.

    From noise each begins with that of some tries which is highest.
    """
    sizes = [len(x) for x in outer.values()]
    natural, steps = place.kind.natural, place.options.steps

    def some(first: int, stop: int, told: Callable[[int], object]) -> Climbed:
        found = _climb(place, np.arange(first, stop), aim, start, tries=tries, told=told)
        return Climbed(*(x.cpu() for x in found))

    shapes = (len(natural.mean), *natural.size), natural.size, (steps,), (steps,)
    empty = Climbed(*(torch.empty(0, *shape, dtype=place.net.dtype) for shape in shapes))
    plan = Batches(int(np.prod(sizes)), batch_size, empty)
    whole = gathered(plan, some, keep, progress=progress)
    return Climbed(*(x.reshape(*sizes, *x.shape[1:]) for x in whole))


def _climb(
    place: Studio,
    which: NDArray[np.intp],
    aim: Aim,
    start: Tensor | None,
    *,
    tries: int,
    told: Callable[[int], object],
) -> Climbed:
    """Make some of the pictures, all at once."""
    options, natural, device = place.options, place.kind.natural, place.net.device
    seeds = [(options.seed, int(i)) for i in which]
    transforms = Transforms(options.crop, options.noise * natural.contrast, seeds)

    def see(pictures: Tensor) -> Seen:
        return aim(pictures, which)

    if start is not None:
        numbers = place.kind.of(start[torch.from_numpy(which)].to(device))
    else:
        numbers = _from_noise(place, transforms, see, tries)
    return ascend(
        numbers,
        place.kind,
        see,
        steps=options.steps,
        rate=options.rate,
        transform=transforms,
        told=lambda: told(len(which)),
    )


def _from_noise(
    place: Studio, transforms: Transforms, see: Callable[[Tensor], Seen], tries: int
) -> Tensor:
    """First numbers of pictures, from which something moves; of some tries the highest."""
    natural, device = place.kind.natural, place.net.device
    shape, kind = (len(natural.mean), *natural.size), place.net.dtype
    numbers = place.kind.drawn(transforms.white(shape, kind).to(device))
    for _ in range(REDRAWN):
        dead = unmoved(numbers, place.kind, see)
        if not len(dead):
            break
        again = transforms.white(shape, kind, dead).to(device)
        numbers[dead.to(device)] = place.kind.drawn(again)
    if tries > 1:
        best = height(numbers, place.kind, see)
        for _ in range(tries - 1):
            other = place.kind.drawn(transforms.white(shape, kind).to(device))
            found = height(other, place.kind, see)
            higher = found > best
            numbers[higher], best[higher] = other[higher], found[higher]
    return numbers


class Judged(NamedTuple):
    """Target of pictures as they are, and by how many standard deviations it is above its mean."""

    target: Tensor
    score: Tensor


def judged(place: Studio, made: Climbed, features: Tensor) -> Judged:
    """Run finished pictures once more, without transforms; each has its own feature."""
    outside = made.objective.shape[:-1]
    pictures = made.picture.flatten(0, len(outside) - 1)
    found = pictures.new_full((len(pictures),), torch.nan)
    if place.target is not None:
        rows = []
        with torch.no_grad():
            for first in range(0, len(pictures), CHECKED):
                some = slice(first, first + CHECKED)
                read = place.reads(pictures[some].to(place.net.device), [place.place])
                rows.append(place.told(read[place.place], features[some]).cpu())
        found = torch.cat(rows)
    mean, deviation = (torch.from_numpy(x)[features] for x in place.of_natural)
    score = (found.double() - mean) / deviation
    return Judged(found.reshape(outside), score.to(found).reshape(outside))


def dataset(
    place: Studio, outer: Mapping[str, Any], made: Climbed, told: Judged, confirmed: Tensor
) -> xr.Dataset:
    """Pictures with their labels, their way, and what the network says of them."""
    known, net = place.like, place.net
    outside = {d: c for d, c in outer.items() if d is not None}
    inner = known.coords(net)
    name = v.STIMULUS if net.history is not None else v.IMAGE
    count = len(outside)
    pictures = made.picture if v.COLOR in known.dims else made.picture.squeeze(count)
    if v.COLOR in known.dims:
        pictures = pictures.movedim(count, count + known.dims.index(v.COLOR))
    around = {d: c for d, c in inner.items() if v.COLOR not in getattr(c, "dims", ())}
    units = place.target.units if place.target else ""
    steps = {v.STEP: np.arange(place.options.steps)}

    def put(
        values: Tensor, what: str, dims: tuple[str, ...], coords: Mapping[str, Any], of: str = ""
    ) -> xr.DataArray:
        return labelled(
            values.numpy(), (*outside, *dims), {**outside, **coords}, name=what, units=of or None
        )

    natural = place.kind.natural
    shown = put(pictures, name, known.dims, inner)
    shown.attrs |= {"darkest": natural.low.tolist(), "brightest": natural.high.tolist()}
    found = {
        name: shown,
        v.OPACITY: put(made.opacity, v.OPACITY, known.axes, around),
        v.OBJECTIVE: put(made.objective, v.OBJECTIVE, (v.STEP,), steps),
    }
    if place.target is not None:
        found |= {
            v.TARGET_BY_STEP: put(made.target, v.TARGET_BY_STEP, (v.STEP,), steps, units),
            v.TARGET: put(told.target, v.TARGET, (), {}, units),
            v.TARGET_SCORE: put(told.score, v.TARGET_SCORE, (), {}),
            v.CONFIRMED: put(confirmed, v.CONFIRMED, (), {}),
        }
    return xr.Dataset(found)


def warn_of_the_unconfirmed(confirmed: xr.DataArray, what: str) -> None:
    """Warn of pictures that do not do what they are for."""
    count, total = int((~confirmed).sum()), confirmed.size
    if count:
        warn(
            f"{count} of {total} pictures do not {what}: see `confirmed`; more steps=, another"
            " seed=, or a target before its nonlinearity (net.pre_activation) may do"
        )
