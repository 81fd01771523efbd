"""`nc.ablate` and `nc.preserve` against hand arithmetic and networks with the mask built in."""

import copy
import pickle

import numpy as np
import pytest
import torch
import xarray as xr
from networks import (
    Tokens,
    convolutional,
    images,
    movie,
    net_contribution,
    retina,
    seeded,
    two_layers,
    vectors,
)
from torch import nn

import neurocodec as nc
from neurocodec.errors import CaptureError, InputError
from neurocodec.nn.attribution import methods, targets
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.shortcuts import foldable
from neurocodec.nn.capture.tracing import inspect
from neurocodec.nn.perturbation.ablation import ChannelMask
from neurocodec.perturbation.ablation import finite_fill, perturbed, positions


class Mask(nn.Module):
    """Channels of dim 1 multiplied by 0 or 1: what an ablation should amount to."""

    def __init__(self, channels, count, fill=0.0):
        super().__init__()
        keep = torch.ones(count)
        keep[list(channels)] = 0
        self.register_buffer("keep", keep)
        self.fill = fill

    def forward(self, x):
        keep = self.keep.reshape(1, -1, *[1] * (x.ndim - 2)).to(x.dtype)
        return x * keep + self.fill * (1 - keep)


def masked_after(module, place, *args, **options):
    """The same `nn.Sequential` with a mask behind one of its parts."""
    parts = list(copy.deepcopy(module))
    return nn.Sequential(*parts[: place + 1], Mask(*args, **options), *parts[place + 1 :]).eval()


def outputs(module, stimulus):
    with torch.no_grad():
        return module(torch.from_numpy(stimulus.values)).numpy()


def hooks(module):
    return [
        hook
        for part in module.modules()
        for hook in (*part._forward_hooks.values(), *part._forward_pre_hooks.values())
    ]


def contributions(net, stimulus, method=None, **options):
    options = {"target": targets.Output(0), "progress": False, **options}
    return nc.contributions(net, stimulus, method=method or methods.ActGrad(), **options)


def test_hand_arithmetic():
    net = nc.Network(two_layers(), {"hidden": "1"})  # 3 relu(a - b) + 5 relu(2 a)
    stimulus = vectors([[2, 1], [1, 3]])
    with nc.ablate(net, "hidden", [0]) as ablated, nc.preserve(net, "hidden", [0]) as preserved:
        assert nc.respond(ablated, stimulus).values.ravel().tolist() == [20, 10]
        assert nc.respond(preserved, stimulus).values.ravel().tolist() == [3, 0]
        assert nc.respond(net, stimulus).values.ravel().tolist() == [23, 10]
    with nc.ablate(net, "hidden", [0], fill=[10, -1]) as filled:
        assert nc.respond(filled, stimulus).values.ravel().tolist() == [50, 40]
    with nc.preserve(net, "hidden", [0], fill=[10, -1]) as filled:
        assert nc.respond(filled, stimulus).values.ravel().tolist() == [-2, -5]


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("fill", [0.0, 0.3])
def test_maps_as_with_a_mask_in_the_network(place, fill):
    module, stimulus = convolutional(), images()
    net = nc.Network(module, {"layer": str(place)})
    expected = outputs(masked_after(module, place, [1, 2], 5 if place == 3 else 4, fill), stimulus)
    with nc.ablate(net, "layer", [1, 2], fill=fill) as ablated:
        np.testing.assert_allclose(nc.respond(ablated, stimulus), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(nc.respond(net, stimulus) - expected).max() > 0.01


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "method", [methods.ActGrad(), methods.InputGrad(), methods.IntegratedGradients(steps=7)]
)
def test_contributions_as_with_a_mask_in_the_network(place, method):
    """A convolution whose batch norm is folded into it must not lose its mask on the way."""
    module, stimulus = convolutional(), images()
    net = nc.Network(module, {"layer": str(place), "late": "4"})
    built = masked_after(module, place, [1, 2], 5 if place == 3 else 4, 0.3)
    reference = contributions(nc.Network(built, {"late": "5"}), stimulus, method)
    with nc.ablate(net, "layer", [1, 2], fill=0.3) as ablated:
        tree = contributions(ablated, stimulus, method)
    for name in ("target", "late/contribution", "late/completeness_error"):
        if name in reference:
            np.testing.assert_allclose(tree[name], reference[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "method",
    [methods.ActGrad(), methods.IntegratedGradients(steps=5), methods.NormGrad()],
    ids=repr,
)
def test_ablated_channels_contribute_nothing(method):
    net = nc.Network(convolutional(), {"first": "0", "relu": "2", "second": "3"})
    for layer in net.layers:
        with nc.preserve(net, layer, [0, 3]) as preserved:
            found = contributions(preserved, images(), method)[layer]
        there = (found.contribution != 0).any(("stimulus", "sign")).values
        assert not there[[1, 2]].any()
        assert there[[0, 3]].any()


def test_a_movie_whose_first_convolution_goes_by_fft():
    module, stimulus = retina(), movie(30)
    net = nc.Network(module, {"layer1": "0", "layer2": "5"}, history=6)
    reference = nc.Network(masked_after(module, 0, [1], 3), {"layer1": "1"}, history=6)
    method = methods.IntegratedGradients(steps=10)
    expected = contributions(reference, stimulus, method)
    with nc.ablate(net, "layer1", [1]) as ablated:
        tree = contributions(ablated, stimulus, method, layers=["layer1"])
    np.testing.assert_allclose(tree.target, expected.target, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        net_contribution(tree, "layer1"), net_contribution(expected, "layer1"), atol=1e-6
    )


def test_gradients_flow_through_the_kept_channels_only():
    net = nc.Network(two_layers(), {"hidden": "1"})
    with nc.ablate(net, "hidden", [0]) as ablated:
        x = torch.tensor([[2.0, 1.0]], requires_grad=True)
        ablated.module(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[10, 0]]  # of 5 relu(2 a)


def tokens_network(**options):
    module = seeded(Tokens).eval()
    return nc.Network(module, {"mlp": nc.Layer("mlp", **options), "mix": "mix"})


def by_hand(module, stimulus, change):
    """The Tokens network with something done to what its MLP returns."""
    part = copy.deepcopy(module)
    part.mlp.register_forward_hook(lambda _m, _a, h: change(h.clone()))
    return outputs(part, stimulus)


def zero(*index):
    def change(h):
        h[index] = 0
        return h

    return change


WHOLE = slice(None)


@pytest.mark.parametrize(
    ("options", "arguments", "change"),
    [
        ({}, {"channels": [1, 3]}, zero(WHOLE, WHOLE, [1, 3])),
        ({}, {"channels": [1, 3], "tokens": [0]}, zero(WHOLE, 0, [1, 3])),
        ({}, {"channels": [3], "tokens": [0, -1]}, zero(WHOLE, [0, 4], 3)),
        ({"token": 0}, {"channels": [1, 3]}, zero(WHOLE, 0, [1, 3])),
        ({"heads": 2}, {"channels": [1]}, zero(WHOLE, WHOLE, slice(3, 6))),
        ({"heads": 3}, {"channels": [1], "tokens": [0]}, zero(WHOLE, 0, slice(2, 4))),
    ],
)
def test_tokens_and_heads(options, arguments, change):
    net = tokens_network(**options)
    expected = by_hand(net.module, images(), change)
    with nc.ablate(net, "mlp", **arguments) as ablated:
        found = nc.respond(ablated, images())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(found - nc.respond(net, images())).max() > 1e-3


def test_preserve_at_one_token():
    net = tokens_network()
    expected = by_hand(net.module, images(), zero(WHOLE, 0, [0, 1, 2, 4, 5]))
    with nc.preserve(net, "mlp", [3], tokens=[0]) as preserved:
        np.testing.assert_allclose(nc.respond(preserved, images()), expected, rtol=1e-5, atol=1e-6)


class Several(nn.Module):
    """One part called twice, one that returns a tuple and one that returns a dict."""

    def __init__(self):
        super().__init__()
        self.twice = nn.Linear(3, 3, bias=False)
        self.pair = Pair()
        self.twice.weight.data = torch.eye(3) * 2

    def forward(self, x):
        first, second = self.pair(self.twice(self.twice(x)))
        return first + 10 * second["b"]


class Pair(nn.Module):
    def forward(self, x):
        return x, {"a": x, "b": x}


def test_occurrence_items_and_inputs():
    layers = {
        "first": nc.Layer("twice", occurrence=0),
        "second": nc.Layer("twice", occurrence=1),
        "item": nc.Layer("pair", item=0),
        "input": nc.Layer("pair", at="input"),
        "both": "twice",
    }
    net = nc.Network(Several(), layers)
    x = vectors([[1, 2, 3]])
    expected = {
        "first": [0, 88, 132],
        "second": [0, 88, 132],
        "item": [40, 88, 132],
        "input": [0, 88, 132],
    }
    for layer, values in expected.items():
        with nc.ablate(net, layer, [0]) as ablated:
            assert nc.respond(ablated, x).values.ravel().tolist() == values, layer
    with nc.ablate(net, "first", [0], fill=1) as filled:
        assert nc.respond(filled, x).values.ravel().tolist() == [22, 88, 132]
    with (
        nc.ablate(net, "both", [0]) as ablated,
        pytest.raises(CaptureError, match="occurrence=0"),
    ):
        nc.respond(ablated, x)


def test_a_layer_that_does_not_run_is_an_error():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.used(x)

    net = nc.Network(Unused(), {"idle": "idle"})
    with nc.ablate(net, "idle", [0]) as ablated, pytest.raises(CaptureError, match="runs 0 times"):
        nc.respond(ablated, vectors([[1, 2]]))


def test_nests_and_tells_what_was_done():
    module, stimulus = convolutional(), images()
    net = nc.Network(module, {"first": "2", "second": "3"})
    built = masked_after(masked_after(module, 3, [0], 5), 2, [1], 4)
    with nc.ablate(net, "first", [1]) as one, nc.ablate(one, "second", [0]) as two:
        np.testing.assert_allclose(
            nc.respond(two, stimulus), outputs(built, stimulus), rtol=1e-5, atol=1e-6
        )
        assert two.perturbation == (*one.perturbation, "ablate('second', channels=[0], fill=0.0)")
        facts = nc.labels.provenance(contributions(two, stimulus))
        assert facts["perturbation"] == list(two.perturbation)
        assert two.weights_sha256 == net.weights_sha256
    assert net.perturbation == ()


def test_what_was_done_is_written_out():
    net = nc.Network(nn.Sequential(nn.Identity()), layers={"hidden": "0"})
    found = perturbed(net, "ablate", "hidden", [0, 2])
    assert found.perturbation == ("ablate('hidden', channels=[0, 2], fill=0.0)",)


def test_positions_are_sorted():
    assert positions("channels", np.array([3, 1])) == (1, 3)


def test_a_fill_is_one_number_or_one_a_channel():
    assert finite_fill(0) == 0.0
    assert finite_fill(np.ones(2)) == (1.0, 1.0)


def test_the_module_stays_as_it_is():
    module = convolutional()
    before = copy.deepcopy(module.state_dict())
    module[0].weight.requires_grad_(False)
    module.train()
    net = nc.Network(module, {"first": "2"})
    with nc.ablate(net, "first", [1]) as ablated:
        assert hooks(module) == []
        with pytest.raises(InputError):
            nc.respond(ablated, images() * np.nan)
    assert hooks(module) == []
    assert module.training
    assert [p.requires_grad for p in module.parameters()][:2] == [False, True]
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert ablated.module[0].weight is module[0].weight


def test_copies_of_the_network_are_ablated_too():
    net = nc.Network(convolutional(), {"first": "2"})
    with nc.ablate(net, "first", [1]) as ablated:
        expected = nc.respond(ablated, images())
        for copied in (copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))):  # noqa: S301
            again = nc.Network(copied(ablated.module), ["2"])
            xr.testing.assert_equal(nc.respond(again, images()).drop_attrs(), expected.drop_attrs())


def test_bad_input():
    net = nc.Network(convolutional(), {"first": "2", "second": "3"})
    cases = [
        (("frist", [0]), {}, "'first'"),
        (("first", []), {}, "at least one"),
        (("first", [1, 1]), {}, "none twice"),
        (("first", [-1]), {}, "from 0 on"),
        (("first", [0.5]), {}, "whole numbers"),
        (("first", np.array([True, False])), {}, "flatnonzero"),
        (("first", [0]), {"fill": np.nan}, "not finite"),
        (("first", [0]), {"fill": [[0.0]]}, "one for each channel"),
        (("first", [0]), {"fill": "mean"}, "a number"),
    ]
    for (layer, channels), options, message in cases:
        with pytest.raises(InputError, match=message), nc.ablate(net, layer, channels, **options):
            pass
    later = [
        ({"channels": [4]}, "channel 4 of layer '2', which has 4"),
        ({"channels": [0], "fill": [1, 2, 3]}, "fill of 3 numbers"),
        ({"channels": [0], "tokens": [0]}, "which has no tokens"),
    ]
    for options, message in later:
        with (
            nc.ablate(net, "first", **options) as ablated,
            pytest.raises(InputError, match=message),
        ):
            nc.respond(ablated, images())
    for options, arguments, message in (
        ({"token": 0}, {"tokens": [1]}, "only its token 0"),
        ({}, {"tokens": [5]}, "which has 5"),
    ):
        tokens = tokens_network(**options)
        with (
            nc.ablate(tokens, "mlp", [0], **arguments) as ablated,
            pytest.raises(InputError, match=message),
        ):
            nc.respond(ablated, images())


def test_the_mask_never_writes_in_place():
    activation = torch.arange(6.0).reshape(1, 2, 3).requires_grad_()
    mask = ChannelMask(nc.Layer("0", layout="maps"), (1,), fill=5.0)
    masked = mask(activation)
    assert activation.tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert masked.tolist() == [[[0, 1, 2], [5, 5, 5]]]
    masked.sum().backward()
    assert activation.grad is not None
    assert activation.grad.tolist() == [[[1, 1, 1], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("layer", "tokens", "expected"),
    [
        (nc.Layer("0", layout="tokens"), (0, -1), [[0, 1], [2, 3], [0, 5]]),
        (nc.Layer("0", token=1), None, [[0, 1], [0, 3], [4, 5]]),
        (nc.Layer("0", heads=2), (1,), [[0, 1], [0, 3], [4, 5]]),
        (nc.Layer("0", layout="maps"), None, [[0, 0], [2, 3], [4, 5]]),
    ],
)
def test_masks_reach_the_right_places(layer, tokens, expected):
    activation = torch.arange(6.0).reshape(1, 3, 2)
    assert ChannelMask(layer, (0,), tokens=tokens)(activation).tolist() == [expected]


def test_a_batch_norm_is_not_folded_over_a_mask():
    """Numbers alone would let it pass where a channel hardly counts."""
    net = nc.Network(convolutional(), {"convolution": "0", "late": "3"})
    x = torch.from_numpy(images().values)

    def folded(module):
        with Capture(module, {"late": nc.Layer("3")}).attached() as capture:
            capture.look(x)
            return {type(part) for part in foldable(inspect(capture, x)[0], capture)}

    assert folded(net.module) == {nn.Conv2d}
    with nc.ablate(net, "convolution", [0]) as ablated:
        assert folded(ablated.module) == set()


def test_labelled_fills_are_of_the_channels_in_their_order():
    fill = xr.DataArray([1.0, 2.0], {"channel": [0, 1]}, ("channel",))
    assert finite_fill(fill) == (1.0, 2.0)
    with pytest.raises(InputError, match="fill= weights of the channels"):
        finite_fill(fill[::-1])
