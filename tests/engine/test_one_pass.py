"""What is computed by one pass over a movie is what windows give, and the first layer runs once."""

import numpy as np
import pytest
from torch import nn
from video import colored, video_network

import neurocodec as nc
from neurocodec.engine.samples import Samples
from neurocodec.interneurons.activations import activations
from neurocodec.nn.video.one_pass import OnePass

FIRST = nc.targets.Output(1)


def by_windows(monkeypatch, compute):
    """What is computed window by window."""
    with monkeypatch.context() as patch:
        patch.setattr(OnePass, "of", lambda *_: None)
        return compute()


MANY = [
    nc.methods.ActGrad(),
    nc.methods.Gradient(),
    nc.methods.IntegratedGradients(steps=3),
    nc.methods.IntegratedGradients(steps=3, path="hidden"),
]


@pytest.mark.parametrize("method", MANY, ids=["ActGrad", "Gradient", "input", "hidden"])
def test_one_pass_gives_the_contributions_of_windows_to_many_features(method, monkeypatch):
    rows = np.random.default_rng(0).standard_normal((3, 4)).tolist()

    def found():
        net = video_network(1)
        options = {"target": nc.targets.Features("second", rows), "method": method}
        options |= {"layers": ["first"], "batch_size": 5, "progress": False}
        return nc.contributions(net, colored(14), **options)["first"]

    whole, windows = found(), by_windows(monkeypatch, found)
    assert whole[method.variable].sizes["feature"] == 3
    for name, values in windows.data_vars.items():
        np.testing.assert_allclose(whole[name], values, rtol=1e-9, atol=1e-9)


def steps_of_first(monkeypatch, compute):
    """What is computed, and the most steps that a pass asks the first convolution for."""
    taken, make = [], nn.Conv3d._conv_forward

    def counted(self, x, *rest):
        if self.in_channels == 2:
            taken.append(len(x) * (x.shape[2] - 3))
        return make(self, x, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(nn.Conv3d, "_conv_forward", counted)
        return compute(), max(taken)


def of_activations(net, movie):
    options = {"target": FIRST, "progress": False, "batch_size": 240}
    return nc.contributions(net, movie, method=nc.methods.Activation(), **options)


def of_features(net, movie):
    target = nc.targets.Features("second", np.eye(4).tolist())
    options = {"target": target, "layers": ["first"], "progress": False, "batch_size": 240}
    return nc.contributions(net, movie, method=nc.methods.ActGrad(), **options)


def of_interneurons(net, movie):
    samples = Samples.of(net, movie)
    with activations(net, samples, net.layers) as read:
        return read(samples.batch(0, 240, net.device))


@pytest.mark.parametrize("compute", [of_activations, of_features, of_interneurons])
def test_the_first_layer_runs_once_over_the_movie(compute, monkeypatch):
    """240 windows ask it for 242 steps, not for three each."""
    net, movie = video_network(), colored(245)
    _, steps = steps_of_first(monkeypatch, lambda: compute(net, movie))
    assert steps == 242
    _, steps = by_windows(
        monkeypatch, lambda: steps_of_first(monkeypatch, lambda: compute(net, movie))
    )
    assert steps == 3 * 240


def test_activations_that_interneurons_are_compared_with_are_those_of_windows(monkeypatch):
    net, movie = video_network(1), colored(245)
    whole = of_interneurons(net, movie)
    windows = by_windows(monkeypatch, lambda: of_interneurons(net, movie))
    for alias in net.layers:
        np.testing.assert_allclose(whole[alias], windows[alias], rtol=1e-6, atol=1e-6)
