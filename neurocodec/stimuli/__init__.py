"""`nc.stimuli`: shapes, checkers, padding, resampling on a model's grid.

- `frames`: frames of one size on a grid of another: checkers, padding, resizing
- `presentation`: a recorded part as a model can be shown it: rendered, resampled and padded, step
  by step
- `probes`: flashes, contrast steps, a chirp, moving bars and white noise, to probe a model with
- `shapes`: discs, annuli, bars and full fields, whose edges cover pixels in part
- `timing`: another frame rate: held for stimuli, averaged for rates, filtered for potentials
"""

from neurocodec.stimuli.frames import boxes, checkerboard, pad, resize
from neurocodec.stimuli.presentation import present
from neurocodec.stimuli.probes import (
    chirp,
    contrast_steps,
    flashes,
    moving_bars,
    white_noise,
)
from neurocodec.stimuli.shapes import annulus, bar, disc, full_field
from neurocodec.stimuli.timing import resample

__all__ = [
    "annulus",
    "bar",
    "boxes",
    "checkerboard",
    "chirp",
    "contrast_steps",
    "disc",
    "flashes",
    "full_field",
    "moving_bars",
    "pad",
    "present",
    "resample",
    "resize",
    "white_noise",
]
