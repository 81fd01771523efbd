"""Modes of a layer scaled, against hand arithmetic and networks with the gains built in."""

import numpy as np
import pytest
import xarray as xr
from networks import Tokens, convolutional, images, linear, seeded
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError, UnknownNameError

NAMES = tuple("abc")


def parts_of(loadings, weights, residual=0.0):
    """Rows that modes make, with a part that they do not explain."""
    values = np.asarray(loadings) @ np.asarray(weights, float) + residual
    return xr.DataArray(values, dims=("stimulus", "channel"))


@pytest.fixture
def modes():
    """Two modes that share a channel."""
    random = np.random.default_rng(0)
    loadings = random.random((200, 2)) * (random.random((200, 2)) > 0.5)
    rows = parts_of(loadings, [[2.0, 1.0, 0.0], [0.0, 1.0, 3.0]])
    return nc.BaselineModes("nmf", modes=2).fit(rows), rows


def gains_by_hand(modes, rows, mode, factor):
    """1 + share (factor - 1), the share from sums over rows, one by one."""
    loadings, weights = modes.transform(rows).values, modes.dictionary.values
    gains = []
    for channel in range(rows.sizes["channel"]):
        made = sum(z**2 * weights[mode, channel] for z in loadings[:, mode])
        whole = sum(z * r for z, r in zip(loadings[:, mode], rows.values[:, channel], strict=True))
        gains.append(1 + min(max(made / whole, 0), 1) * (factor - 1))
    return np.array(gains)


def test_a_channel_is_scaled_by_the_share_that_the_mode_has_of_it(modes):
    fitted, rows = modes
    net = nc.Network(nn.Sequential(nn.Identity()), {"hidden": "0"})
    stimulus = xr.DataArray(np.float32([[2.0, 3.0, 5.0]]), dims=("stimulus", "feature"))
    for mode, factor in ((0, 0.0), (1, 3.0)):
        with nc.steer(net, "hidden", {mode: factor}, modes=fitted, rows=rows) as steered:
            found = nc.respond(steered, stimulus).values[0]
        gains = gains_by_hand(fitted, rows, mode, factor)
        np.testing.assert_allclose(found, stimulus.values[0] * gains, rtol=1e-4, atol=1e-5)
    assert np.ptp(gains) > 1  # one channel is the mode's, one is shared, one is not its


def test_what_no_mode_explains_is_kept(modes):
    """The channel that two modes share is half noise, and less of it is scaled."""
    fitted, rows = modes
    noise = np.random.default_rng(1).random(len(rows))[:, None] * np.array([0.0, 1.0, 0.0])
    clean, noisy = (nc.steering.shares(fitted, one).values for one in (rows, rows + noise))
    np.testing.assert_allclose(clean[[0, 1], fitted.dictionary.argmax("channel")], 1, atol=0.03)
    assert (noisy[:, 1] < 0.8 * clean[:, 1]).all()


def test_a_factor_of_1_changes_nothing_and_0_of_a_whole_channel_is_an_ablation():
    random = np.random.default_rng(0)
    rows = parts_of(random.random((50, 1)), [[0.0, 2.0, 0.0, 0.0]])
    fitted = nc.BaselineModes("nmf", modes=1).fit(rows)
    net = nc.Network(convolutional(), {"hidden": "2"})
    stimulus = images(4)
    with (
        nc.steer(net, "hidden", {0: 1.0}, modes=fitted, rows=rows) as same,
        nc.steer(net, "hidden", {0: 0.0}, modes=fitted, rows=rows, fill=0.5) as without,
        nc.ablate(net, "hidden", [1], fill=0.5) as ablated,
    ):
        plain, other = nc.respond(net, stimulus), nc.respond(same, stimulus)
        np.testing.assert_array_equal(plain.values, other.values)
        np.testing.assert_allclose(
            nc.respond(without, stimulus).values, nc.respond(ablated, stimulus).values, rtol=1e-3
        )
        assert without.perturbation != ablated.perturbation


def test_a_factor_of_1_leaves_every_bit_whatever_the_fill(modes):
    fitted, rows = modes
    net = nc.Network(nn.Sequential(nn.Identity()), {"hidden": "0"})
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    stimulus = xr.DataArray(values, dims=("stimulus", "feature"))
    with nc.steer(net, "hidden", {0: 1.0}, modes=fitted, rows=rows, fill=0.37) as steered:
        np.testing.assert_array_equal(nc.respond(steered, stimulus), values)


def test_gradients_flow_through_a_steered_layer(modes):
    fitted, rows = modes
    net = nc.Network(nn.Sequential(nn.Identity(), linear(np.ones((1, 3)))), {"hidden": "0"})
    stimulus = xr.DataArray(np.float32([[1.0, 1.0, 1.0]]), dims=("stimulus", "feature"))
    with nc.steer(net, "hidden", {0: 2.0}, modes=fitted, rows=rows) as steered:
        found = nc.contributions(
            steered, stimulus, target=nc.targets.Sum(), method=nc.methods.ActGrad(), progress=False
        )
    gains = gains_by_hand(fitted, rows, 0, 2.0)
    np.testing.assert_allclose(found["hidden/contribution"].sum("sign").values[0], gains, rtol=1e-4)


def test_heads_are_steered():
    random = np.random.default_rng(0)
    rows = parts_of(random.random((50, 1)), [[0.0, 1.0, 0.0]])
    fitted = nc.BaselineModes("nmf", modes=1).fit(rows)
    net = nc.Network(seeded(Tokens).eval(), {"hidden": nc.Layer("mlp", heads=3)})
    stimulus = images(3)
    with (
        nc.steer(net, "hidden", {0: 0.0}, modes=fitted, rows=rows) as steered,
        nc.ablate(net, "hidden", [1]) as ablated,
    ):
        np.testing.assert_allclose(
            nc.respond(steered, stimulus).values, nc.respond(ablated, stimulus).values, rtol=1e-3
        )


def test_modes_of_another_layer_or_network_are_refused_also_from_a_file(tmp_path):
    net = nc.Network(convolutional(), {"one": "0", "two": "2"}, outputs=tuple("abcdef"))
    options = {"target": nc.targets.TopK(1), "method": nc.methods.ActGrad(), "progress": False}
    tree = nc.contributions(net, images(20), **options)
    fitted = nc.BaselineModes("pca", modes=2).fit(tree["one"])
    fitted.save(tmp_path / "modes.nc")
    for one in (fitted, nc.open(tmp_path / "modes.nc")):
        with (
            pytest.raises(InputError, match=r"modes of the layer 'one' .* for the layer 'two'"),
            nc.steer(net, "two", {0: 0.0}, modes=one, rows=tree["one"]),
        ):
            pass
    other = nc.Network(convolutional(1), {"one": "0"}, outputs=tuple("abcdef"))
    with (
        pytest.raises(InputError, match="modes of a network with the weights"),
        nc.steer(other, "one", {0: 0.0}, modes=fitted, rows=tree["one"]),
    ):
        pass
    renamed = nc.Network(net.module, {"first": "0"}, outputs=tuple("abcdef"))
    with nc.steer(renamed, "first", {0: 0.0}, modes=fitted, rows=tree["one"]) as steered:
        assert "steer('first'" in steered.perturbation[0]


def test_factors_that_cannot_be_are_refused(modes):
    fitted, rows = modes
    net = nc.Network(nn.Sequential(nn.Identity()), {"hidden": "0"})
    with pytest.raises(UnknownNameError), nc.steer(
        net, "hidden", {7: 0.0}, modes=fitted, rows=rows
    ):  # fmt: skip
        pass
    for wrong in ({}, {0: np.nan}, 3):
        with pytest.raises(InputError), nc.steer(net, "hidden", wrong, modes=fitted, rows=rows):
            pass


def planted():
    """Class c is what its own two channels make; the third of each is shared by all."""
    readout = np.kron(np.eye(3), [1.0, 1.0])
    net = nc.Network(nn.Sequential(nn.Identity(), linear(readout)), {"hidden": "0"}, outputs=NAMES)
    label = np.repeat(np.arange(3), 10)
    random = np.random.default_rng(0)
    code = np.kron(np.eye(3)[label], [1.0, 1.0]) + 0.4 * random.random((30, 6))
    stimulus = xr.DataArray(
        code.astype("float32"),
        {"stimulus": np.arange(30), "label": ("stimulus", np.array(NAMES)[label])},
        ("stimulus", "feature"),
    )
    rows = xr.DataArray(code, {"stimulus": np.arange(30)}, ("stimulus", "channel"))
    return net, stimulus, rows, nc.class_masks(stimulus)


def test_doses_and_responses_equal_a_loop():
    net, stimulus, rows, masks = planted()
    shares = nc.steering.from_contrast(rows, masks)
    found = nc.steering_curve(net, stimulus, "hidden", shares, factors=[0, 2], progress=False)
    assert found.factor.values.tolist() == [0, 1, 2]
    own, label = np.array([NAMES.index(x) for x in stimulus.label.values]), stimulus.label.values
    readout = np.kron(np.eye(3), [1.0, 1.0])
    for name in NAMES:
        for factor in (0, 1, 2):
            gains = 1 + shares.sel(category=name).values * (factor - 1)
            outputs = (stimulus.values * gains) @ readout.T
            change = (outputs - stimulus.values @ readout.T)[np.arange(30), own]
            right = outputs.argmax(1) == own
            one = found.sel(category=name, factor=factor, ranking="shares")
            for group, some in (("target", label == name), ("off_target", label != name)):
                at = one.sel(group=group)
                assert at.label_change.item() == pytest.approx(change[some].mean(), abs=1e-5)
                assert at.accuracy.item() == pytest.approx(right[some].mean())
    assert found.monotonic_share.item() == 1
    assert found.off_target_ratio.sel(factor=2).item() == 0
    assert found.accuracy.sel(factor=0, group="target").max() < 0.5


def test_controls_have_the_size_of_what_they_stand_for():
    net, stimulus, rows, masks = planted()
    shares = nc.steering.from_contrast(rows, masks)
    single = nc.steering.from_scores(nc.rankings.from_correlation(rows, masks), shares)
    random = nc.steering.at_random(shares, draws=2)
    size = shares.sum("channel")
    np.testing.assert_allclose(single.sum("channel"), size)
    np.testing.assert_allclose(random.sum("channel"), size.expand_dims(draw=2, axis=1))
    kinds = {"contrast": shares, "single channels": single, "random": random}
    found = nc.steering_curve(net, stimulus, "hidden", kinds, factors=[0], progress=False)
    at = found.mean_label_change.sel(factor=0, group="target")
    assert at.sel(ranking="random") > at.sel(ranking="contrast") + 0.5
    assert found.shared_images.values.tolist() == [1, 1, 1]


def test_modes_of_a_class_have_its_share():
    _, _, rows, masks = planted()
    modes = nc.BaselineModes("nmf", modes=3).fit(rows)
    shares = nc.steering.from_modes(modes, rows, masks)
    inside = np.kron(np.eye(3), [1.0, 1.0]) > 0
    assert shares.values[inside].min() > 3 * shares.values[~inside].max()
    assert sorted(shares.best_mode.values.tolist()) == [0, 1, 2]


def test_shares_that_cannot_be_are_refused():
    net, stimulus, rows, masks = planted()
    shares = nc.steering.from_contrast(rows, masks)
    for wrong, text in ((shares * 2, "outside of 0 to 1"), ({}, "no shares")):
        with pytest.raises(InputError, match=text):
            nc.steering_curve(net, stimulus, "hidden", wrong, progress=False)
    with pytest.raises(InputError, match="shares of 5 channels"):
        nc.steering_curve(
            net, stimulus, "hidden", shares.isel(channel=slice(5)), progress=False
        )  # fmt: skip
    one = stimulus[:10]
    with pytest.raises(InputError, match="10 of 10 images of 'a'"):
        nc.steering_curve(net, one, "hidden", shares.sel(category=["a"]), progress=False)
    with pytest.raises(InputError, match="factors"):
        nc.steering_curve(net, stimulus, "hidden", shares, factors=[2, 1], progress=False)
