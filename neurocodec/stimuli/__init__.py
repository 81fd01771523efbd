"""`nc.stimuli`: shapes, checkers, padding, resampling on a model's grid.

- `frames`: frames of one size on a grid of another: checkers, padding, resizing
- `presentation`: a recorded part as a model can be shown it: rendered, resampled and padded, step
  by step
- `shapes`: discs, annuli, bars and full fields, whose edges cover pixels in part
- `timing`: another frame rate: held for stimuli, averaged for rates, filtered for potentials
"""

from neurocodec.stimuli.frames import boxes, checkerboard, pad, resize
from neurocodec.stimuli.presentation import present
from neurocodec.stimuli.shapes import annulus, bar, disc, full_field
from neurocodec.stimuli.timing import resample

__all__ = [
    "annulus",
    "bar",
    "boxes",
    "checkerboard",
    "disc",
    "full_field",
    "pad",
    "present",
    "resample",
    "resize",
]
