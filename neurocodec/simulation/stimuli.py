"""Stimuli of the simulated retina: photographs under fixational eye movements, and white noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from neurocodec.simulation.photographs import photographs

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class NaturalScenes:
    """Crops of photographs, moved as by fixational eye movements.

    Parameters
    ----------
    period
        Frames for which one crop is shown.
    drift
        Standard deviation of the eye's step per frame and axis, in pixels (random walk).
    saccade_probability
        Probability per frame that a microsaccade starts.
    saccade_amplitude
        Mean length of a microsaccade in pixels (Rayleigh distributed, made within two frames).
    margin
        Farthest excursion of the eye in pixels; the walk is reflected there.
    scales
        Smallest and largest number of photograph pixels per stimulus pixel.
    held_out
        Share of every photograph, at its bottom, that only the test movie is cut from.
    contrast
        Root mean square contrast that every crop is scaled to.
    floor
        Crops with less contrast than this count as having this much, so that sky stays faint.
    limit
        Contrasts above this are clipped to it.
    """

    period: int = 100
    drift: float = 0.6
    saccade_probability: float = 0.03
    saccade_amplitude: float = 4.0
    margin: int = 12
    scales: tuple[float, float] = (1.0, 3.0)
    held_out: float = 0.3
    contrast: float = 0.4
    floor: float = 0.15
    limit: float = 2.0


@dataclass(frozen=True)
class WhiteNoise:
    """Binary checkers.

    Parameters
    ----------
    box
        Side of a checker in pixels.
    refresh
        Frames for which one pattern is shown.
    contrast
        The two contrasts are plus and minus this.
    """

    box: int = 2
    refresh: int = 3
    contrast: float = 0.4


def natural_scene_movie(
    frames: int,
    size: int,
    rng: np.random.Generator,
    *,
    held_out: bool,  # crops come from the part of the photographs that is kept for testing
    scenes: NaturalScenes | None = None,
) -> NDArray[np.float32]:
    """Contrast (frames, size, size) of moving crops of photographs; -1 is dark, 0 their mean."""
    scenes = scenes or NaturalScenes()
    images = [_part(image, scenes.held_out, held_out=held_out) for image in photographs()]
    movie = np.empty((frames, size, size), dtype=np.float32)
    for start in range(0, frames, scenes.period):
        shown = movie[start : start + scenes.period]
        patch = _crop(images[rng.integers(len(images))], size + 2 * scenes.margin + 1, rng, scenes)
        shown[:] = _look(patch, eye_movements(len(shown), rng, scenes) + scenes.margin, size)
    return movie


def white_noise_movie(
    frames: int, size: int, rng: np.random.Generator, noise: WhiteNoise | None = None
) -> NDArray[np.float32]:
    """Contrast (frames, size, size) of binary white noise checkers, float32."""
    noise = noise or WhiteNoise()
    boxes, patterns = -(-size // noise.box), -(-frames // noise.refresh)
    bright = rng.integers(0, 2, (patterns, boxes, boxes), dtype=np.int8)
    small = np.where(bright == 1, noise.contrast, -noise.contrast).astype(np.float32)
    for axis, repeats in enumerate((noise.refresh, noise.box, noise.box)):
        small = np.repeat(small, repeats, axis=axis)
    return np.ascontiguousarray(small[:frames, :size, :size])


def eye_movements(
    frames: int, rng: np.random.Generator, scenes: NaturalScenes | None = None
) -> NDArray[np.float64]:
    """Positions (frames, 2) in pixels: random walk with microsaccades, reflected at the margin."""
    scenes = scenes or NaturalScenes()
    steps = rng.normal(0, scenes.drift, (frames, 2))
    starts = rng.random(frames) < scenes.saccade_probability
    # A Rayleigh length in a random direction is a normal step on each axis.
    jumps = rng.normal(0, scenes.saccade_amplitude / np.sqrt(np.pi / 2), (frames, 2))
    jumps *= starts[:, None] / 2
    steps += jumps
    steps[1:] += jumps[:-1]
    return _reflect(np.cumsum(steps, axis=0), scenes.margin)


def _reflect(path: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    return np.abs((path - margin) % (4 * margin) - 2 * margin) - margin


def _part(image: NDArray[np.float32], share: float, *, held_out: bool) -> NDArray[np.float32]:
    border = round(len(image) * (1 - share))
    return image[border:] if held_out else image[:border]


def _crop(
    image: NDArray[np.float32], side: int, rng: np.random.Generator, scenes: NaturalScenes
) -> NDArray[np.float32]:
    low, high = scenes.scales
    scale = np.exp(rng.uniform(np.log(low), np.log(min(high, min(image.shape) / side))))
    length = int(side * scale)
    top, left = (int(rng.integers(n - length + 1)) for n in image.shape)
    cut = Image.fromarray(image[top : top + length, left : left + length])
    patch = np.asarray(cut.resize((side, side), Image.Resampling.BILINEAR))
    patch = _contrast(np.rot90(patch, int(rng.integers(4))), scenes)
    return np.ascontiguousarray(patch[:, ::-1] if rng.integers(2) else patch)


def _contrast(patch: NDArray[np.float32], scenes: NaturalScenes) -> NDArray[np.float32]:
    contrast = patch / patch.mean() - 1
    contrast *= scenes.contrast / max(float(contrast.std()), scenes.floor)
    return np.asarray(np.clip(contrast, -1, scenes.limit))


def _look(
    patch: NDArray[np.float32], corner: NDArray[np.float64], size: int
) -> NDArray[np.float32]:
    whole = np.floor(corner).astype(int)
    share = (corner - whole).astype(np.float32)
    views = sliding_window_view(patch, (size, size))
    (y, x), (v, u) = whole.T, share.T[:, :, None, None]
    top = (1 - u) * views[y, x] + u * views[y, x + 1]
    bottom = (1 - u) * views[y + 1, x] + u * views[y + 1, x + 1]
    return np.asarray((1 - v) * top + v * bottom)
