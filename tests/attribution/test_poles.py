"""Baselines at which a network has a pole are told, with the number of samples and a way out."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import images
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning


class Scaled(nn.Module):
    """Divides by the size of its input: of a blank image the gradient is huge, or no number."""

    def __init__(self, floor):
        super().__init__()
        self.inner, self.out, self.floor = nn.Identity(), nn.Linear(192, 2), floor

    def forward(self, x):
        x = self.inner(x.flatten(1))
        size = x.norm(dim=1, keepdim=True) if self.floor is None else x.square().sum(1, True)
        return self.out(x / (size if self.floor is None else (size + self.floor).sqrt()))


def found(floor, stimulus, **options):
    torch.manual_seed(0)
    net = nc.Network(Scaled(floor).eval(), {"hidden": "inner"})
    return nc.contributions(
        net,
        stimulus,
        target=nc.targets.Output(0),
        method=nc.methods.IntegratedGradients(steps=4),
        progress=False,
        **options,
    )


def test_a_gradient_that_is_huge_at_the_baseline_is_warned_of():
    with pytest.warns(NeurocodecWarning, match="5 of 5 samples.*baseline='mean'"):
        found(1e-12, images(5))
    found(1e-12, images(5) + 1, baseline="mean")


def test_an_ordinary_path_is_not_warned_of():
    found(1.0, images(5))


def test_no_number_is_an_error_that_says_of_how_many_samples():
    with pytest.raises(InputError, match=r"(?s)for 3 of 3 samples.*baseline='mean'"):
        found(None, images(3))
    assert np.isfinite(found(None, images(3) + 1, baseline="mean")["hidden/contribution"]).all()


def test_outputs_are_kept_where_they_are_asked_for(tmp_path):
    torch.manual_seed(0)
    net = nc.Network(Scaled(1.0).eval(), {"hidden": "inner"}, outputs=["a", "b"])
    options = {"target": nc.targets.TopK(1), "outputs": True, "progress": False}
    expected = nc.respond(net, images(5))
    every = (
        nc.methods.ActGrad(),
        nc.methods.IntegratedGradients(steps=2),
        nc.methods.IntegratedGradients(steps=2, path="hidden"),
        nc.methods.Gradient(),
    )
    for method in every:
        tree = nc.contributions(net, images(5), method=method, batch_size=2, **options)
        np.testing.assert_allclose(tree.response, expected, rtol=1e-5)
        assert tree.response.dims == ("stimulus", "category")
        assert tree.category.values.tolist() == ["a", "b"]
    stored = nc.contributions(net, images(5), out=tmp_path / "run.nc", **options)
    np.testing.assert_allclose(stored.response, expected, rtol=1e-5)
    with pytest.raises(InputError, match="outputs"):
        nc.contributions(net, images(5), **{**options, "outputs": 1})
    assert isinstance(tree, xr.DataTree)
