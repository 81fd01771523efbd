"""`nc.visualise`: the picture or the movie that a unit, a mode, a cell answers most to."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.attribution.plan import feature_dim
from neurocodec.errors import InputError
from neurocodec.labels import fingerprint, stamp
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.synthesis.ascent import Seen
from neurocodec.synthesis.making import (
    Judged,
    Kind,
    Options,
    climb,
    dataset,
    judged,
    studio,
    warn_of_the_unconfirmed,
)
from neurocodec.synthesis.starting import started


def visualise(
    net: Network,
    target: Target,
    *,
    like: xr.DataArray | None = None,
    start: xr.DataArray | Literal["noise"] = "noise",
    draws: int = 1,
    kind: Kind | None = None,
    steps: int = 128,
    rate: float | None = None,
    crop: tuple[float, float] | Literal["auto"] | None = "auto",
    noise: float | None = None,
    contrast: float | None = None,
    seed: int = 0,
    batch_size: int = 16,
    device: str | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Picture that a target answers most to: of a unit, a direction, a mode, an output, a cell.

    Ascent by Adam on the numbers that the picture is made of: on its phases, with the amplitudes
    of natural pictures (MACO, Fel et al. 2023), on its frequencies, each in units of the natural
    spectrum, or on its pixels. Before each step the picture is cropped and blurred by noise, so
    that no single pixel decides. Pictures are computed together, each as if it were alone: values
    do not depend on `batch_size`.

    Parameters
    ----------
    net
        The network, of images or of a movie.
    target
        Of each picture: `nc.targets.Feature` (a unit, or a vector such as a mode of a dictionary),
        `nc.targets.Features` for many, `nc.targets.Output` for a cell or a category.
    like
        Images, or a movie, as the network takes them, at least 16: their size, mean, colours,
        amplitude spectrum and range are those of the picture. None takes crops of the two
        photographs that come with scikit-learn, through the network's own preprocessing.
    start
        ``"noise"``, or images (stimulus, ...) from which the picture sets out (accentuation).
    draws
        Pictures from noise for each target.
    kind
        ``"phase"`` (images), ``"fourier"`` (movies) or ``"pixels"``.
    steps, rate
        Of the ascent; the size of a step in radians, or in units of the spectrum.
    crop
        Least and largest part of the side that is seen, (0.9, 0.99) of images; None: all.
    noise
        Standard deviation, in that of `like`; 0.1 of images, 0 of movies.
    contrast
        Standard deviation that every picture has, in the units of the network's input: then only
        its pattern counts. That of `like` for movies; None keeps images to the range of `like`.
    seed
        Every picture draws its own numbers from it.
    batch_size
        Pictures at once.
    device, progress
        As for `nc.contributions`.

    Returns
    -------
    xarray.Dataset
        With the dims `draw` (or `stimulus`, of `start`), and `feature` of many features:

        - `image` (..., color, y, x), in the units of the network's input; `stimulus` (..., lag,
          y, x) of a movie,
        - `opacity` (..., y, x): size of the gradient summed over steps and colours: where the
          picture matters,
        - `objective`, `target_by_step` (..., step): through the crops and the noise,
        - `target`: of the picture as it is, `target_score`: minus its mean over `like`, in
          standard deviations,
        - `confirmed`: whether the target is above its mean over `like`.

    Raises
    ------
    InputError
        Where target, pictures or options do not fit.

    Examples
    --------
    >>> import neurocodec as nc
    >>> module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2, bias=False))
    >>> net = Network(module, layers={})
    >>> images = np.random.default_rng(0).normal(size=(16, 3, 4, 4)).astype("float32")
    >>> found = visualise(net, nc.targets.Output(1), progress=False, steps=20, crop=None, noise=0,
    ...                   like=xr.DataArray(images, dims=("stimulus", "color", "y", "x")))
    >>> found.image.dims, bool(found.confirmed.all()), float(found.target_score.squeeze()) > 1
    (('draw', 'color', 'y', 'x'), True, True)
    """
    placed = require_network(net).on(device)
    _require_target(target)
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
    draws = arguments.whole("draws", draws)
    with studio(placed, like, target, {}, options) as place:
        begun, first = started(place, start, draws)
        outer = {**first, **feature_dim(target)}
        total = int(np.prod([len(x) for x in outer.values()]))
        features = torch.arange(total) % place.features
        if begun is not None:
            begun = begun.repeat_interleave(place.features, 0)

        def aim(pictures: Tensor, which: NDArray[np.intp]) -> Seen:
            read = place.reads(pictures, [place.place])[place.place]
            told = place.told(read, features[torch.from_numpy(which)])
            return Seen(told, told)

        made = climb(place, outer, aim, begun, size, progress=progress)
        told, score = judged(place, made, features)
        result = dataset(place, outer, made, Judged(told, score), score > 0)
        begun_as = None if begun is None else fingerprint(begun.numpy())
        found = stamp(result, "nc.visualise", **place.facts, start_sha256=begun_as)
    warn_of_the_unconfirmed(found[v.CONFIRMED], "drive their target above its mean over `like`")
    return found


def _require_target(target: object) -> None:
    if not isinstance(target, Target):
        raise InputError(
            came=f"target={target!r:.60}",
            expected="an instance of one of nc.targets",
            hint="target=nc.targets.Output(0)",
        )
