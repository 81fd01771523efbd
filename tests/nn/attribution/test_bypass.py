"""What goes around a layer is told apart from what too few steps miss."""

import numpy as np
import pytest
import xarray as xr
from networks import vectors
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError

IG = nc.methods.IntegratedGradients


class Around(nn.Module):
    """y = (2 h) ** 2 + gain(x) * h, with h = 3 x."""

    def __init__(self, gain):
        super().__init__()
        self.h, self.gain = nn.Linear(1, 1, bias=False), gain
        self.h.weight.data[:] = 3.0

    def forward(self, x):
        h = self.h(x)
        return (2 * h) ** 2 + self.gain(x) * h


def run(gain, method, **options):
    net = nc.Network(Around(gain).double(), ["h"])
    x = vectors(np.array([[1.0], [2.0]]))
    return nc.contributions(
        net, x, target=nc.targets.Output(0), method=method, progress=False, **options
    )


def test_a_skip_is_the_integral_with_the_layer_held():
    # y = 36 x^2 + x 3x: of the product 3 x^2, one half is by way of h, one half around it
    tree = run(lambda x: x, IG(steps=64))
    change = np.array([39.0, 156.0])
    np.testing.assert_allclose(tree["h"].bypass, np.array([1.5, 6.0]), rtol=1e-9)
    total = tree["h"].contribution.sum(["sign", "channel"])
    np.testing.assert_allclose(total + tree["h"].bypass, change, rtol=1e-9)
    np.testing.assert_allclose(tree["h"].completeness_error, -tree["h"].bypass, rtol=1e-9)
    assert tree["h"].bypass.attrs["units"] == tree.target.attrs["units"]


def test_along_the_layer_it_is_what_the_answer_was_before_the_layer_moved():
    # y(x, h') - y(x', h') with h' = 0
    tree = run(lambda x: x, IG(steps=64, path="hidden"))
    np.testing.assert_allclose(tree["h"].bypass, 0, atol=1e-12)
    np.testing.assert_allclose(tree["h"].contribution.sum(["sign", "channel"]), [39, 156])


def test_steps_go_on_for_what_they_can_mend_alone():
    tree = run(lambda x: x, IG(steps="auto", tolerance=1e-9))
    assert tree.steps.values.tolist() == [8, 8]
    assert tree.converged.all()


def test_a_layer_that_nothing_goes_around_has_none():
    assert "bypass" not in run(lambda _: 1.0, IG(steps=4))["h"]


def at_a_pole(**options):
    """Contributions to an energy, whose square root has no gradient at a blank input."""

    class Energy(Around):
        def forward(self, x):
            return self.h(x).square().sqrt()

    options = {"method": IG(steps=8), **options}
    net, x = nc.Network(Energy(None), ["h"]), vectors(np.array([[1.0], [2.0]]))
    return nc.contributions(net, x, target=nc.targets.Output(0), progress=False, **options)


@pytest.mark.parametrize("steps", [4, "auto"])
def test_a_pole_is_refused_with_sample_and_layer_and_the_ways_out(steps):
    with pytest.raises(InputError, match=r"layer 'h'.*sample 0") as error:
        at_a_pole(method=IG(steps=steps))
    assert "baseline='mean'" in str(error.value)
    assert "rule='right'" in str(error.value)


@pytest.mark.parametrize("options", [{"baseline": "mean"}, {"method": IG(steps=8, rule="right")}])
def test_the_ways_out_of_a_pole_are_ways_out(options):
    total = at_a_pole(**options)["h"].contribution.sum(["sign", "channel"])
    start = 4.5 if "baseline" in options else 0.0
    np.testing.assert_allclose(total, np.array([3.0, 6.0]) - start, rtol=1e-6)


def test_a_feature_of_a_network_in_double_precision_keeps_its_digits():
    vector = (1 / 3,)
    net = nc.Network(Around(lambda _: 1.0).double(), ["h"])
    x = xr.DataArray([[0.1]], dims=("stimulus", "feature"))
    tree = nc.contributions(
        net, x, target=nc.targets.Feature("h", vector), method=IG(steps=2), progress=False
    )
    np.testing.assert_allclose(tree.target, [3.0 * 0.1 * (1 / 3)], rtol=1e-14)


def test_rounding_of_the_answer_is_no_reason_for_more_steps():
    class Far(nn.Module):
        def __init__(self):
            super().__init__()
            self.h = nn.Linear(1, 1, bias=False)
            self.h.weight.data[:] = 1.0

        def forward(self, x):
            return 1e6 + self.h(x)

    net = nc.Network(Far(), ["h"])
    x = xr.DataArray(np.array([[0.3]], "float32"), dims=("stimulus", "feature"))
    tree = nc.contributions(
        net, x, target=nc.targets.Output(0), method=IG(steps="auto"), progress=False
    )
    assert tree.steps.item() == 8
