"""First filters that are products of a map and a time course."""

from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
from neurocodec.nn.retina.separable_filters import SeparableFilters


def test_the_weight_has_the_shape_of_the_convolution():
    module = RetinaCNN(RetinaConfig(cells=2, size=(9, 9), kernels=(5, 3)))
    assert SeparableFilters(module, basis=10).weight().shape == (8, 40, 5, 5)
