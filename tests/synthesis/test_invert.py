"""Pictures of attributions, against layers in which the answer is known."""

import numpy as np
import pytest
import torch
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def images() -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=(20, 2, 8, 8)).astype("float32")
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


@pytest.fixture(scope="module")
def network() -> nc.Network:
    """Two channels, each of its colour; the answer is the first minus the second, at one place."""
    module = torch.nn.Sequential(
        torch.nn.Conv2d(2, 2, 1, bias=False),
        torch.nn.ReLU(),
        torch.nn.Conv2d(2, 1, 1, bias=False),
        torch.nn.Flatten(),
    )
    with torch.no_grad():
        module[0].weight.copy_(torch.eye(2)[:, :, None, None])
        module[2].weight.copy_(torch.tensor([1.0, -1.0])[None, :, None, None])
    return nc.Network(module, layers={"hidden": "1", "answer": "2"})


@pytest.fixture(scope="module")
def target() -> nc.targets.Feature:
    return nc.targets.Feature("answer", [1.0], (3, 4))


@pytest.fixture(scope="module")
def lit(images) -> xr.DataArray:
    """Two images in which both colours are lit at the place."""
    both = (images[:, :, 3, 4] > 0.1).all("color")
    return images[both.values][:2]


@pytest.fixture(scope="module")
def attribution(network, lit, target) -> xr.DataArray:
    options = {"target": target, "method": nc.methods.ActGrad(), "reduce": "none", **QUIET}
    return nc.contributions(network, lit, layers=["hidden"], **options)["hidden/contribution"]


def test_signs_light_their_own_colour_at_the_place(network, images, target, attribution) -> None:
    options = {"like": images, "kind": "pixels", "steps": 40, "crop": None, "noise": 0, **QUIET}
    found = nc.invert(network, "hidden", attribution, target=target, **options)
    assert found.image.dims == ("stimulus", "sign", "color", "y", "x")
    place = found.image[..., 3, 4]
    assert (place.sel(sign="excitatory")[:, 0] > 1).all()
    assert (place.sel(sign="inhibitory")[:, 1] > 1).all()
    assert bool(found.confirmed.all())
    assert (found.target.sel(sign="excitatory") > 1).all()
    assert (found.target.sel(sign="inhibitory") < -1).all()
    read = found.image[..., 0, 3, 4].clip(0) - found.image[..., 1, 3, 4].clip(0)
    np.testing.assert_allclose(found.target, read, atol=1e-6)
    brightest = found.opacity.sel(sign="excitatory").argmax(["y", "x"])
    assert (brightest["y"] == 3).all()
    assert (brightest["x"] == 4).all()


def test_one_sign_is_that_of_both(network, images, target, attribution) -> None:
    """Each picture has its own seed by its place, so the same call of one sign is another."""
    options = {"like": images, "steps": 4, **QUIET}
    both = nc.invert(network, "hidden", attribution, target=target, batch_size=3, **options)
    again = nc.invert(network, "hidden", attribution, target=target, batch_size=16, **options)
    xr.testing.assert_allclose(both, again, rtol=1e-4, atol=1e-4)
    without = nc.invert(network, "hidden", attribution, **options)
    assert "confirmed" not in without
    call = {"target": target, "objective": "activation"}
    told = nc.invert(network, "hidden", attribution, **call, **options)
    xr.testing.assert_allclose(without.image, told.image, rtol=1e-5, atol=1e-5)


def test_a_unit_that_inhibits_may_excite_in_its_picture(images) -> None:
    """3 relu(h - 2) - relu(h): where h is 1 it inhibits, and much more of it excites."""
    parts = torch.nn.Conv2d(1, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(2, 1, 1, bias=False)
    module = torch.nn.Sequential(torch.nn.ReLU(), *parts, torch.nn.Flatten())
    with torch.no_grad():
        module[1].weight.fill_(1)
        module[1].bias.copy_(torch.tensor([-2.0, 0.0]))
        module[3].weight.copy_(torch.tensor([3.0, -1.0])[None, :, None, None])
    net = nc.Network(module, layers={"hidden": "0", "answer": "3"})
    target = nc.targets.Feature("answer", [1.0], (3, 4))
    given = xr.DataArray(np.zeros((1, 1, 8, 8)), dims=("stimulus", "channel", "y", "x"))
    given[0, 0, 3, 4] = -1
    shown = 2 * images[:, :1]
    call = {"target": target, "sign": "inhibitory", "like": shown, "steps": 40, "kind": "pixels"}
    call |= {"crop": None, "noise": 0, **QUIET}
    own = nc.invert(net, "hidden", given, **call)
    assert bool(own.confirmed)
    with pytest.warns(match="1 of 1 pictures do not move"):
        paper = nc.invert(net, "hidden", given, objective="activation", **call)
    assert (paper.image[..., 3, 4] > 3).all()
    assert (paper.target > 0).all()
    assert (own.target < -0.9).all()


def test_what_excites_by_being_negative_becomes_more_negative(images, network) -> None:
    """Of a layer without a ReLU: the second colour, below 0, excites the first minus the second."""
    module = torch.nn.Sequential(network.module[0], network.module[2], torch.nn.Flatten())
    net = nc.Network(module, layers={"hidden": "0", "answer": "1"})
    target = nc.targets.Feature("answer", [1.0], (3, 4))
    given = xr.DataArray(np.zeros((1, 2, 8, 8)), dims=("stimulus", "channel", "y", "x"))
    given[0, 1, 3, 4] = 1
    call = {"target": target, "sign": "excitatory", "like": images, "steps": 40, "kind": "pixels"}
    call |= {"crop": None, "noise": 0, "start": -abs(images[:1]), **QUIET}
    found = nc.invert(net, "hidden", given, **call)
    assert (found.image[..., 1, 3, 4] < -2).all()
    assert bool(found.confirmed.all())


def test_accentuation(network, images, lit, target, attribution) -> None:
    start = lit
    options = {"like": images, "steps": 30, "start": start, "crop": None, "noise": 0, **QUIET}
    found = nc.invert(network, "hidden", attribution, target=target, **options)
    begun = start[:, 0, 3, 4].clip(0).values - start[:, 1, 3, 4].clip(0).values
    first = found.target_by_step[..., 0].values
    np.testing.assert_allclose(first, np.stack([begun, begun], 1), atol=1e-4)
    assert (found.target.sel(sign="excitatory").values > begun).all()
    assert (found.target.sel(sign="inhibitory").values < begun).all()


def test_many_features(network, images, attribution) -> None:
    """A dim more, in any order: as one feature after the other."""
    many = xr.concat([attribution, -attribution], "feature").transpose("channel", "feature", ...)
    features = nc.targets.Features("answer", vectors=[[1.0], [-1.0]], position=(3, 4))
    options = {"like": images, "steps": 20, "crop": None, "noise": 0, **QUIET}
    found = nc.invert(network, "hidden", many, target=features, **options)
    assert found.image.dims == ("stimulus", "feature", "sign", "color", "y", "x")
    assert bool(found.confirmed.all())
    np.testing.assert_allclose(
        found.target.isel(feature=1),
        -(found.image[:, 1, :, 0, 3, 4].clip(0) - found.image[:, 1, :, 1, 3, 4].clip(0)),
        atol=1e-6,
    )


EARLY = nc.targets.Feature("hidden", [1.0, 0.0], (3, 4))
WRONG = [
    (lambda s: s.values, {}, "DataArray"),
    (lambda s: s[:, 0], {}, "dims"),
    (lambda s: s[..., 1:], {}, "channels and positions"),
    (lambda s: s * np.nan, {}, "NaN"),
    (lambda s: s.clip(0), {}, "nothing inhibitory"),
    (lambda s: 0 * s, {"sign": "excitatory"}, "nothing excitatory"),
    (lambda s: s, {"sign": "up"}, "up"),
    (lambda s: s, {"sign": ["excitatory", "excitatory"]}, "each sign once"),
    (lambda s: s, {"sign": []}, "each sign once"),
    (lambda s: s, {"target": "answer"}, "target='answer'"),
    (lambda s: s, {"power": -1}, "power"),
    (lambda s: s, {"start": "images"}, "'noise' or images"),
    (lambda s: s.expand_dims(feature=3), {}, "features"),
    (lambda s: s[:0], {}, "at least one sample"),
    (lambda s: s.isel(channel=[1, 0]), {}, "the channels \\[1, 0\\]"),
    (lambda s: s.astype(complex), {}, "complex128"),
    (lambda s: s, {"like": 1e30}, "squares are infinite"),
    (lambda s: s[:, :1], {"layer": "answer", "target": EARLY, "sign": "excitatory"}, "depend on"),
    (lambda s: s, {"layer": "none"}, "none"),
    (lambda s: s, {"objective": "size"}, "size"),
    (lambda s: s, {"objective": "attribution", "target": None}, "without a target"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[2])
def test_malformed(network, images, target, attribution, case) -> None:
    change, options, message = case
    known = {"layer": "hidden", "target": target, "like": images, "steps": 1, **QUIET}
    known |= options
    if "like" in options:
        known["like"] = options["like"] * images
    with pytest.raises(InputError, match=message):
        nc.invert(network, known.pop("layer"), change(attribution), **known)
    with pytest.raises(InputError, match="images of the attributions"):
        nc.invert(network, "hidden", attribution, start=images[:1], like=images, **QUIET)


def test_features_and_start_are_in_the_order_of_the_attribution(network, images, lit) -> None:
    pair = nc.targets.Features("answer", vectors=[[1.0], [-1.0]], labels=[1, 0], position="center")
    both = xr.DataArray(np.ones((2, 2, 2, 8, 8)), dims=("stimulus", "feature", "channel", "y", "x"))
    both = both.assign_coords(stimulus=["a", "b"], feature=[1, 0])
    options = {"like": images, "sign": "excitatory", "steps": 1, **QUIET}
    with pytest.raises(InputError, match=r"features \[0, 1\](.|\n)*order: \[1, 0\]"):
        nc.invert(network, "hidden", both[:, ::-1], target=pair, **options)
    named = lit.assign_coords(stimulus=["a", "b"])
    with pytest.raises(InputError, match=r"\['b', 'a'\](.|\n)*start.sel"):
        nc.invert(network, "hidden", both[:, 0], start=named[::-1], **options)
    found = nc.invert(network, "hidden", both[:, 0], start=named, **options)
    assert found.stimulus.values.tolist() == ["a", "b"]


@pytest.mark.parametrize("own", [False, True])
def test_only_the_direction_of_an_attribution_counts(
    network, images, target, attribution, own
) -> None:
    options = {"like": images, "steps": 3, "target": target if own else None, **QUIET}
    found = nc.invert(network, "hidden", attribution, **options)
    for size in (1e-30, 1e30):
        other = nc.invert(network, "hidden", size * attribution.astype(float), **options)
        xr.testing.assert_allclose(other, found, atol=1e-5)


def test_dims_of_an_attribution_are_known_by_their_names(network, images, attribution) -> None:
    options = {"like": images, "steps": 2, **QUIET}
    found = nc.invert(network, "hidden", attribution, **options)
    turned = attribution.transpose("x", "channel", "stimulus", "y")
    xr.testing.assert_allclose(nc.invert(network, "hidden", turned, **options), found)


def test_an_attribution_of_a_movie_is_along_time() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 3), torch.nn.ReLU(), torch.nn.Flatten())
    network = nc.Network(module, layers={"hidden": "1"}, history=2, frame_rate=60)
    values = np.random.default_rng(0).normal(size=(20, 4, 4)).astype("float32")
    movie = xr.DataArray(values, dims=("time", "y", "x"))
    given = xr.DataArray(
        values[:3, None, :2, :2] * [[[[1]], [[-1]]]], dims=("stimulus", "channel", "y", "x")
    )
    options = {"like": movie, "steps": 1, **QUIET}
    with pytest.raises(InputError, match=r"attribution.rename\(stimulus='time'\)"):
        nc.invert(network, "hidden", given, **options)
    found = nc.invert(network, "hidden", given.rename(stimulus="time"), **options)
    assert found.stimulus.dims == ("time", "sign", "lag", "y", "x")
