"""Which networks keep steps of time apart, as one pass over them is followed."""

import pytest
import torch
from torch import nn
from video import core_readout

from neurocodec.nn.video.spans import INPUT
from neurocodec.nn.video.steps import TimeSteps

FRAMES = 16


def followed(module, shape=(1, 2, 3, 3)):
    """Steps of what a function of (sample, time, color, y, x) returns, as (axis, first, last)."""
    steps = TimeSteps()
    movie = torch.randn(1, FRAMES, *shape[1:])
    with torch.no_grad(), steps:
        steps.start(nn.Identity(), movie)
        returned = module(movie)
        steps.finish(returned)
    found = steps.followed(FRAMES)
    if found is None:
        return steps.mixed
    span = found.output
    return (span.axis, *span.reach[INPUT], span.start, span.size - span.stop)


def first(x):
    return x.movedim(1, 2)


def conv(size, padding=0, **options):
    return nn.Conv3d(2, 2, (size, 1, 1), padding=(padding, 0, 0), **options)


WEIGHT = torch.randn(4, 2)
GRID = torch.rand(1, 5, 1, 2) - 0.5
APART = {
    "valid": (lambda x: conv(3)(first(x)), (2, 0, 2, 0, 0)),
    "padded": (lambda x: conv(5, 2)(first(x)), (2, -2, 2, 2, 2)),
    "same": (
        lambda x: nn.Conv3d(2, 2, (5, 1, 1), padding="same")(first(x)),
        (2, -2, 2, 2, 2),
    ),
    "dilated": (lambda x: conv(3, dilation=(2, 1, 1))(first(x)), (2, 0, 4, 0, 0)),
    "causal": (
        lambda x: conv(3)(nn.functional.pad(first(x), (0, 0, 0, 0, 2, 0))),
        (2, -2, 0, 2, 0),
    ),
    "zeros before": (
        lambda x: torch.cat([torch.zeros(1, 2, 2, 3, 3), first(x)], 2),
        (2, -2, -2, 2, 0),
    ),
    "cut": (lambda x: first(x)[:, :, 4:], (2, 4, 4, 0, 0)),
    "two layers": (lambda x: conv(3, 1)(conv(4)(first(x)).relu()), (2, -1, 4, 1, 1)),
    "skip": (lambda x: conv(3, 1)(first(x)) + first(x), (2, -1, 1, 1, 1)),
    "normalised": (lambda x: nn.BatchNorm3d(2).eval()(first(x)), (2, 0, 0, 0, 0)),
    "over cells": (lambda x: nn.LayerNorm(18)(x.flatten(2)), (1, 0, 0, 0, 0)),
    "linear": (lambda x: nn.Linear(18, 4)(x.flatten(2)), (1, 0, 0, 0, 0)),
    "einsum": (lambda x: torch.einsum("nctyx,kc->ntk", first(x), WEIGHT), (1, 0, 0, 0, 0)),
    "folded": (lambda x: first(x).reshape(32, 9).relu().reshape(1, 2, FRAMES, 9), (2, 0, 0, 0, 0)),
    "frames as samples": (
        lambda x: nn.Conv2d(2, 3, 3)(x.flatten(0, 1)).reshape(1, FRAMES, 3),
        (1, 0, 0, 0, 0),
    ),
    "places": (
        lambda x: nn.functional.grid_sample(
            x.flatten(0, 1), GRID.expand(FRAMES, 5, 1, 2), align_corners=True
        ).reshape(1, FRAMES, 10),
        (1, 0, 0, 0, 0),
    ),
    "pooled": (lambda x: nn.MaxPool3d((1, 2, 2))(first(x)), (2, 0, 0, 0, 0)),
    "softmax": (lambda x: x.flatten(2).softmax(-1), (1, 0, 0, 0, 0)),
    "in place": (lambda x: nn.ReLU(inplace=True)(conv(3)(first(x))), (2, 0, 2, 0, 0)),
    "1-D": (lambda x: nn.Conv1d(18, 3, 4)(x.flatten(2).mT), (2, 0, 3, 0, 0)),
}


def written(x):
    whole = torch.zeros(1, FRAMES, 2, 3, 3)
    whole[:, 1:] = x[:, :-1]
    return whole


def doubled_at_the_end(x):
    maps = conv(3)(first(x))
    maps[:, :, -1:].mul_(2)
    return maps


MIXED = {
    "a part in place": doubled_at_the_end,
    "an order": lambda x: x * x.argsort(2).to(x).mean((1, 2, 3, 4), keepdim=True),
    "stride": lambda x: conv(3, stride=(2, 1, 1))(first(x)),
    "transposed": lambda x: nn.ConvTranspose3d(2, 2, (3, 1, 1))(first(x)),
    "mean": lambda x: x - x.mean(1, keepdim=True),
    "instance norm": lambda x: nn.InstanceNorm3d(2)(first(x)),
    "group norm": lambda x: nn.GroupNorm(1, 2)(first(x)),
    "recurrent": lambda x: nn.GRU(18, 2, batch_first=True)(x.flatten(2))[0],
    "attention": lambda x: (x.flatten(2) @ x.flatten(2).mT).softmax(-1) @ x.flatten(2),
    "positions": lambda x: x + torch.arange(FRAMES).reshape(1, -1, 1, 1, 1),
    "flattened": lambda x: nn.Linear(FRAMES, 3)(first(x).flatten(3).mT),
    "reversed": lambda x: x.flip(1),
    "last": lambda x: first(x)[:, :, -1],
    "every other": lambda x: x[:, ::2],
    "pooled over time": lambda x: nn.AvgPool3d((2, 1, 1))(first(x)),
    "sum over time": lambda x: x.cumsum(1),
    "batch statistics": lambda x: nn.BatchNorm3d(2).train()(first(x)),
    "written over": written,
    "by its numbers": lambda x: x * float(x.sum()),
}


@pytest.mark.parametrize("name", APART)
def test_steps_are_followed_through(name):
    module, expected = APART[name]
    assert followed(module) == expected


@pytest.mark.parametrize("name", MIXED)
def test_what_mixes_steps_is_seen(name):
    assert isinstance(followed(MIXED[name]), str)


def test_layers_are_sources_of_their_own():
    steps, module = TimeSteps(), core_readout(1)
    movie = torch.randn(1, FRAMES, 2, 6, 6, dtype=torch.float64)
    with torch.no_grad(), steps:
        steps.start(module, movie)
        first = steps.capture("first", module[0](movie.movedim(1, 2)))
        steps.finish(module[1:](first))
    found = steps.followed(FRAMES)
    assert found.layers["first"].reach == {INPUT: (0, 3)}
    assert found.output.reach == {INPUT: (-1, 4), "first": (-1, 1)}
    assert found.whole(history=8, step=-2) == 3  # of 5 steps in a window of 8 frames
    assert found.whole(history=8, step=-1) is None  # padding of the window
    assert found.whole(history=5, step=-1) is None
