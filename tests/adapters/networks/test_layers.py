"""Layers of image networks."""

from torch import nn

from neurocodec.adapters.networks.layers import find_layers


def test_blocks_are_known_by_the_name_of_their_class():
    class Block(nn.Linear):
        pass

    network = nn.Sequential(Block(2, 2), nn.ReLU(), Block(2, 2))
    assert list(find_layers(network, "small network")) == ["0", "2"]
