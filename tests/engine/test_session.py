"""One way to hook, trace and quicken a network: what a session knows, and what it gives back."""

import pytest
import torch
from module_state import assert_same, state
from networks import convolutional, retina
from torch import nn

import neurocodec as nc
from neurocodec.engine.session import hooked, opened
from neurocodec.nn.capture.layer import Layer


def test_a_session_knows_outputs_channels_and_what_a_pass_keeps():
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    net = nc.Network(module, {"hidden": "1"}, outputs=["a", "b"])
    with hooked(net, net.layers, torch.ones(2, 3)) as session:
        assert session.outputs == ["a", "b"]
        assert session.channels("hidden") == 5
        assert session.bytes_per_sample >= 5 * 4
        assert session.traced.order == ("hidden",)


@pytest.mark.parametrize("way", [hooked, opened])
def test_the_module_comes_back_as_it_was_also_after_an_error(way):
    module = convolutional().train()
    before = state(module)
    net = nc.Network(module, ["3"])
    with pytest.raises(KeyboardInterrupt), way(net, net.layers, torch.ones(2, 3, 8, 8)):
        raise KeyboardInterrupt
    assert_same(before, state(module))


def test_one_session_serves_many_passes_with_the_numbers_of_the_plain_network():
    module = retina().eval()
    net = nc.Network(module, {"first": "0"}, history=6)
    x = torch.rand(4, 6, 12, 12)
    with torch.no_grad():
        expected = module(x)
    with opened(net, {"first": Layer("0")}, x[:2]) as session:
        for _ in range(3):
            found = session.capture.look(x)
            torch.testing.assert_close(found.outputs, expected, rtol=1e-5, atol=1e-6)
