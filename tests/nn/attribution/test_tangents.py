"""Products with the Jacobian, where they are known."""

import torch
from torch import nn

from neurocodec.nn.attribution.tangents import differentiable_attention, tangents
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer


def test_tangents_of_a_linear_layer_along_its_input_are_its_output():
    module = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU())
    x = torch.ones(1, 2)
    with Capture(module, {"a": Layer("0")}).attached() as capture:
        done = capture.run(x)
        found = tangents(capture, ["a"], x, x)["a"]
    torch.testing.assert_close(found, done.hidden["a"].detach())


def test_attention_is_made_of_matrix_products_inside_of_the_block():
    with differentiable_attention():
        assert torch.backends.cuda.math_sdp_enabled()
        assert not torch.backends.cuda.flash_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()
