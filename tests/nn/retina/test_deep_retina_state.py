"""Tensors of torch-deep-retina, sorted into layers."""

import torch

from neurocodec.nn.retina.deep_retina_state import layers_of


def test_a_layer_starts_with_its_weights():
    norm = ("weight", "bias", "running_mean", "running_var")
    state = {"sequential.0.weight": torch.ones(1, 4)}
    state |= {f"sequential.1.{name}": torch.ones(1) for name in norm}
    assert [[part.kind for part in layer] for layer in layers_of(state)] == [["dense", "norm"]]
