"""The shift of a batch norm as the offset: where one ends the layer, and refused elsewhere."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import seeded
from residual import residual, residual_network
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError


class Plain(nn.Module):
    """A block without a skip, its ReLU a module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        self.head = nn.Linear(4, 3)
        with torch.no_grad():
            for value in (self.norm.weight, self.norm.bias, self.norm.running_mean):
                value.normal_()

    def forward(self, x):
        return self.head(self.relu(self.norm(self.conv(x))).mean((2, 3)))


def pictures():
    values = np.random.default_rng(0).normal(size=(12, 3, 6, 6))
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def fitted(of, alias, **options):
    rows = nc.point_vectors(of, pictures(), alias, draw="uniform", per_image=3, progress=False)
    vectors = nc.ConceptVectors(vectors=5, active=2, center="batch_norm")
    return vectors.fit(rows, **{"net": of, **options})


@pytest.mark.parametrize("layer", ["norm", nc.Layer("relu", at="input")])
def test_the_offset_is_what_the_norm_makes_of_nothing(layer):
    module = seeded(Plain).double().eval()
    found = fitted(nc.Network(module, layers={"late": layer}), "late")
    with torch.no_grad():
        expected = module.norm(torch.zeros(1, 4, 1, 1, dtype=torch.float64)).flatten()
    np.testing.assert_allclose(found.offset, expected, rtol=1e-5)


def test_in_a_sequence_the_norm_is_found_by_what_the_relu_reads():
    parts = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    module = nn.Sequential(parts, nn.Flatten(), nn.Linear(4 * 16, 3)).double().eval()
    with torch.no_grad():
        parts[1].bias.normal_()
    known = nc.Network(module, layers={"first": "0"})
    net = nc.Network(module, layers={"pre": known.pre_activation("first")})
    np.testing.assert_allclose(fitted(net, "pre").offset, parts[1].bias.detach(), rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "why"), [("conv", "a Conv2d makes it"), ("relu", "a ReLU makes it")]
)
def test_a_layer_that_ends_otherwise_is_refused(layer, why):
    net = nc.Network(seeded(Plain).double().eval(), layers={"late": layer})
    with pytest.raises(InputError, match=why):
        fitted(net, "late")


@pytest.mark.parametrize("functional", [True, False])
def test_a_block_with_a_skip_is_refused(functional):
    net = residual_network(residual(functional_relu=functional))
    with pytest.raises(InputError, match="behind a skip"):
        fitted(net, "pre")


def test_the_network_has_to_be_that_of_the_rows():
    net = nc.Network(seeded(Plain).double().eval(), layers={"late": "norm"})
    with pytest.raises(InputError, match="without the network"):
        fitted(net, "late", net=None)
    other = nc.Network(seeded(Plain, 1).double().eval(), layers={"late": "norm"})
    with pytest.raises(InputError, match="weights"):
        fitted(net, "late", net=other)
    rows = nc.point_vectors(net, pictures(), "late", progress=False)
    with pytest.raises(InputError, match="center='mean'"):
        nc.ConceptVectors(vectors=5).fit(rows, net=net)
    with pytest.raises(InputError, match="of the layer ''"):
        nc.ConceptVectors(vectors=5, center="batch_norm").fit(rows.drop_attrs(), net=net)
