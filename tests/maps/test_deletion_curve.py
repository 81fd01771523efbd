"""Deletion and insertion curves: hand arithmetic, one image at a time by numpy, bound targets."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import convolutional, images, movie, retina_network
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import nn

import neurocodec as nc

CORNER = xr.DataArray([[[4.0, 1.0], [2.0, 3.0]]], dims=("stimulus", "y", "x"))


def linear_network(weights, outputs=None) -> nc.Network:
    weights = torch.tensor(weights, dtype=torch.float32)
    readout = nn.Linear(weights.shape[1], len(weights), bias=False)
    readout.weight.data = weights
    return nc.Network(nn.Sequential(nn.Flatten(), readout), [], outputs=outputs)


def ones(n=1, size=2) -> xr.DataArray:
    return xr.DataArray(
        np.ones((n, 1, size, size), "float32"), dims=("stimulus", "color", "y", "x")
    )


def curve(*args, **options) -> xr.Dataset:
    return nc.deletion_curve(*args, **{"progress": False, "steps": 4, **options})


def test_deletion_by_hand() -> None:
    net = linear_network([[10, 20, 30, 40]])
    found = curve(net, ones(), CORNER, target=nc.targets.Output(0))
    # order of the map: pixels 0, 3, 2, 1
    assert found.target.values.tolist() == [[100, 90, 50, 20, 0]]
    assert found.curve_area.values.tolist() == [(50 + 90 + 50 + 20) / 4]
    assert found.share.values.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_insertion_by_hand() -> None:
    net = linear_network([[10, 20, 30, 40]])
    found = curve(net, ones(), CORNER, target=nc.targets.Output(0), kind="insertion", fill=0.5)
    assert found.target.values.tolist() == [[50, 55, 75, 90, 100]]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ("positive", [100, 80, 50, 40, 0]),  # pixels 1, 2, 0, 3
        ("absolute", [100, 60, 40, 10, 0]),  # pixels 3, 1, 2, 0
        ("negative", [100, 60, 50, 20, 0]),  # pixels 3, 0, 2, 1
    ],
)
def test_orders(of, expected) -> None:
    net = linear_network([[10, 20, 30, 40]])
    maps = xr.DataArray([[[-1.0, 2.0], [1.5, -5.0]]], dims=("stimulus", "y", "x"))
    assert curve(net, ones(), maps, target=nc.targets.Output(0), of=of).target.values.tolist() == [
        expected
    ]


def test_a_network_that_looks_at_one_corner_forgets_at_once() -> None:
    weights = np.zeros((1, 6, 6))
    weights[0, :2, :2] = 1
    net = linear_network(weights.reshape(1, -1))
    maps = xr.DataArray(weights, dims=("stimulus", "y", "x"))
    found = curve(net, ones(1, 6), maps, target=nc.targets.Output(0), steps=9, draws=50)
    assert found.target.values[0].tolist() == [4] + [0] * 9
    backwards = curve(net, ones(1, 6), -maps, target=nc.targets.Output(0), steps=9)
    assert backwards.target.values[0].tolist() == [4] * 9 + [0]
    # random orders fall along a straight line
    mean = found.random_target.mean("draw")[0]
    np.testing.assert_allclose(mean, 4 * (1 - found.share), atol=0.5)
    assert found.random_curve_area.mean() == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
@pytest.mark.parametrize("fill", ["zeros", "mean", "blur", 0.3])
def test_every_curve_is_what_numpy_and_the_bare_module_say(kind, fill) -> None:
    module, pictures = convolutional(), images(3)
    net = nc.Network(module, {"late": "4"})
    rng = np.random.default_rng(5)
    maps = xr.DataArray(
        rng.normal(size=(3, 2, 3, 8, 8)), dims=("stimulus", "mode", "color", "y", "x")
    )
    found = curve(
        net, pictures, maps, target=nc.targets.TopK(2), kind=kind, fill=fill, steps=5, batch_size=7
    )
    x = pictures.values
    fills = {
        "zeros": np.zeros_like(x),
        "mean": np.broadcast_to(x.mean(0), x.shape),
        "blur": gaussian_filter(x, (0, 0, 0.4, 0.4), mode="nearest"),
        0.3: np.full_like(x, 0.3),
    }[fill]
    with torch.no_grad():
        classes = module(torch.tensor(x)).topk(2).indices.numpy()
    for image in range(3):
        for mode in range(2):
            order = np.argsort(-maps.values[image, mode].sum(0).ravel())
            for step in range(6):
                gone = np.zeros(64, bool)
                gone[order[: round(step / 5 * 64)]] = True
                here, there = (x, fills) if kind == "deletion" else (fills, x)
                mixed = np.where(gone.reshape(8, 8), there[image], here[image])
                with torch.no_grad():
                    logits = module(torch.tensor(mixed[None]))[0].numpy()
                expected = logits[classes[image]].sum()
                value = found.target[image, mode, step].item()
                assert value == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_class_is_that_of_the_original_image() -> None:
    net = linear_network([[1, 1, 0, 0], [0, 0, 0.5, 0.5]], outputs=["upper", "lower"])
    maps = xr.DataArray([[[2.0, 1.0], [0.0, 0.0]]], dims=("stimulus", "y", "x"))
    for target in (nc.targets.TopK(1), nc.targets.TopK(1, hold=True)):
        found = curve(net, ones(), maps, target=target)
        assert found.target.values.tolist() == [[2, 1, 0, 0, 0]]  # not 1 from the third on
    found = curve(net, ones(), maps, target=nc.targets.TopK(1, of="probability"), steps=2)
    odds = np.exp(np.array([2.0, 0.0, 0.0])) / np.exp([1.0, 1.0, 0.0])
    np.testing.assert_allclose(found.target[0], odds / (1 + odds), rtol=1e-6)


def test_each_image_can_be_asked_about_its_label() -> None:
    net = linear_network([[1, 1, 0, 0], [0, 0, 0.5, 0.5]], outputs=["upper", "lower"])
    pictures = ones(2).assign_coords(label=("stimulus", ["lower", "upper"]))
    maps = xr.concat([CORNER, CORNER], "stimulus")
    found = curve(net, pictures, maps, target="label")
    # order: pixels 0, 3, 2, 1
    assert found.target.values.tolist() == [[1, 1, 0.5, 0, 0], [2, 1, 1, 1, 0]]


def test_a_hidden_feature_can_be_the_target() -> None:
    net = nc.Network(convolutional(), {"late": "4"})
    pictures = images(1)
    maps = xr.DataArray(np.arange(64.0).reshape(1, 8, 8), dims=("stimulus", "y", "x"))
    found = curve(net, pictures, maps, target=nc.targets.Feature("late", (1, 0, 0, 0, 0)), steps=2)
    with torch.no_grad():
        hidden = net.module[:5](torch.tensor(pictures.values))
    assert found.target[0, 0].item() == pytest.approx(hidden[0, 0].sum().item(), rel=1e-5)


def test_dims_and_labels_of_maps_and_images_are_kept() -> None:
    pictures = images(3)
    rng = np.random.default_rng(0)
    maps = xr.DataArray(
        rng.normal(size=(2, 3, 8, 8, 2, 3)),
        {"mode": [5, 8], "sign": ["excitatory", "inhibitory"], "stimulus": np.arange(3)},
        ("mode", "stimulus", "y", "x", "sign", "color"),
    )
    net = nc.Network(convolutional(), [])
    found = curve(net, pictures, maps, target=nc.targets.TopK(1), draws=2)
    assert found.target.dims == ("stimulus", "mode", "sign", "share")
    assert found.random_target.dims == ("stimulus", "draw", "share")
    assert found["mode"].values.tolist() == [5, 8]
    assert found.label.values.tolist() == pictures.label.values.tolist()
    one = curve(
        net, pictures, maps.sel(mode=8, sign="inhibitory"), target=nc.targets.TopK(1), draws=2
    )
    xr.testing.assert_allclose(one.target, found.target.sel(mode=8, sign="inhibitory"))
    np.testing.assert_allclose(one.random_target, found.random_target, rtol=1e-6)


def test_the_batch_size_does_not_matter_and_nothing_global_moves() -> None:
    pictures, net = images(2), nc.Network(convolutional(), [])
    net.module.train()
    maps = pictures.sum("color")
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    a, b = (curve(net, pictures, maps, target=nc.targets.TopK(1), batch_size=n) for n in (1, 64))
    xr.testing.assert_allclose(a, b, rtol=1e-5)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002
    assert net.module.training


def test_random_orders_have_a_seed() -> None:
    pictures, net = images(2), nc.Network(convolutional(), [])
    common = (net, pictures, pictures.sum("color"))
    a, b, c = (curve(*common, target=nc.targets.TopK(1), seed=s) for s in (0, 0, 1))
    xr.testing.assert_identical(a, b)
    assert not np.allclose(a.random_target, c.random_target)
    assert curve(*common, target=nc.targets.TopK(1), draws=0).random_target.sizes["draw"] == 0


def test_real_maps_and_files(tmp_path) -> None:
    pictures, net = images(3), nc.Network(convolutional(), {"late": "4"})
    target = nc.targets.TopK(1, hold=True)
    maps = nc.contribution_maps(
        net, pictures, "late", channels=[0, 3], target=target, sign="excitatory", progress=False
    )
    found = curve(net, pictures, maps, target=target)
    assert found.target.dims == ("stimulus", "channel", "share")
    np.testing.assert_allclose(found.target[:, 0, 0], maps.target, rtol=1e-4)
    assert nc.labels.provenance(found)["maps"]["function"] == "nc.contribution_maps"
    nc.save(found, tmp_path / "curve.nc")
    xr.testing.assert_identical(nc.open(tmp_path / "curve.nc"), found)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "removal"}, "kind of curve 'removal'"),
        ({"fill": "grey"}, "fill 'grey'"),
        ({"fill": np.zeros(5)}, "a baseline of shape"),
        ({"steps": 0}, "steps=0"),
        ({"draws": -1}, "draws=-1"),
        ({"of": "largest"}, "part of a map 'largest'"),
        ({"target": "top1"}, "target='top1'"),
        ({"target": nc.targets.Output("cat")}, "cat"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_wrong_options_are_refused(options, says) -> None:
    pictures, net = images(2), nc.Network(convolutional(), [])
    with pytest.raises(nc.errors.InputError, match=says):
        curve(net, pictures, pictures.sum("color"), **{"target": nc.targets.TopK(1), **options})


def test_maps_of_other_images_movies_and_nan_are_refused() -> None:
    pictures, net = images(3), nc.Network(convolutional(), [])
    target = nc.targets.TopK(1)
    with pytest.raises(nc.errors.InputError, match="different 'stimulus'"):
        curve(net, pictures, pictures.isel(stimulus=[1, 0, 2]), target=target)
    with pytest.raises(nc.errors.InputError, match="different 'y'"):
        curve(net, pictures, pictures.isel(y=slice(4)), target=target)
    with pytest.raises(nc.errors.InputError, match="NaN"):
        curve(net, pictures, pictures.where(pictures > 0), target=target)
    with pytest.raises(nc.errors.InputError, match="sees movies"):
        curve(retina_network(), movie(), movie(), target=nc.targets.Sum())
    with pytest.raises(nc.errors.InputError, match="without labels"):
        curve(net, pictures.drop_vars("label"), pictures, target="label")


def test_images_in_files_and_maps_in_a_file_are_read_as_they_are_needed(tmp_path) -> None:
    rng = np.random.default_rng(0)
    for i in range(3):
        pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    net = nc.Network(
        convolutional(),
        {"late": "4"},
        preprocessing=lambda image: np.asarray(image, "float32").transpose(2, 0, 1) / 255,
    )
    stored = nc.images(tmp_path, net)
    target = nc.targets.TopK(1, hold=True)
    nc.contribution_maps(net, stored, target=target, out=tmp_path / "maps.zarr", progress=False)
    maps = nc.open(tmp_path / "maps.zarr")
    found = curve(net, stored, maps, target=target)
    expected = curve(net, stored.load(), maps.load(), target=target)
    np.testing.assert_allclose(found.target, expected.target, rtol=1e-5)
    assert found.source.values.tolist() == ["0.png", "1.png", "2.png"]


def test_images_without_a_label_are_refused_with_what_leaves_them_out() -> None:
    net = linear_network([[1, 1, 0, 0], [0, 0, 0.5, 0.5]], outputs=["upper", "lower"])
    some = ones(2).assign_coords(label=("stimulus", np.array(["lower", None], object)))
    maps = xr.concat([CORNER, CORNER], "stimulus")
    with pytest.raises(nc.errors.InputError, match="1 images without a label") as error:
        curve(net, some, maps, target="label")
    kept = eval(error.value.hint, {"images": some, "nc": nc})  # noqa: S307
    assert curve(net, kept, maps[:1], target="label").target.values.tolist() == [[1, 1, 0.5, 0, 0]]
    strange = some.assign_coords(label=("stimulus", ["lower", "upper left"]))
    with pytest.raises(nc.errors.InputError, match="there is no output 'upper left'"):
        curve(net, strange, maps, target="label")
