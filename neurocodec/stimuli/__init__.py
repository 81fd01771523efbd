"""Stimuli on a model's grid at a model's frame rate: shapes, checkers, padding, resampling."""

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
