"""Effective fields: labels, positions of vectors, boxes in context, and what is refused."""

import numpy as np
import pytest
import torch
import xarray as xr
from residual import residual
from torch import nn

import neurocodec as nc
from neurocodec.errors import CaptureError, InputError, UnknownNameError
from neurocodec.kernels.boxes import field_boxes, with_context

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def net() -> nc.Network:
    return nc.Network(residual(dtype=torch.float32), {"one": "one", "two": "two", "head": "head"})


@pytest.fixture(scope="module")
def images() -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=(4, 3, 6, 6)).astype("float32")
    labels = {"stimulus": list("abcd"), "label": ("stimulus", list("xyxy"))}
    return xr.DataArray(values, labels, ("stimulus", "color", "y", "x"))


def vectors(y=(0, 5, 3), x=(1, 2, 4)):
    coords = {"stimulus": ("vector", ["c", "a", "c"]), "mode": ("vector", [7, 9, 7])}
    coords |= {"y": ("vector", list(y)), "x": ("vector", list(x))}
    return xr.DataArray(np.ones((3, 4)), coords, ("vector", "channel"))


def test_shares_of_every_image_sum_to_one(net, images):
    found = nc.effective_fields(net, images, "two", **QUIET)
    assert found.effective_field.dims == ("stimulus", "y", "x")
    np.testing.assert_allclose(found.effective_field.sum(("y", "x")), 1, atol=1e-5)
    assert abs(found.completeness_error).max() < 1e-5
    assert found.label.values.tolist() == list("xyxy")


def test_the_center_is_the_middle(net, images):
    found = nc.effective_fields(net, images, "two", **QUIET)
    same = nc.effective_fields(net, images, "two", (3, 3), **QUIET)
    np.testing.assert_array_equal(found.effective_field, same.effective_field)


def test_vectors_have_the_field_of_their_place_in_their_image(net, images):
    rows = vectors()
    found = nc.effective_fields(net, images, "two", rows, **QUIET)
    assert found.effective_field.dims == ("vector", "y", "x")
    assert found["mode"].values.tolist() == [7, 9, 7]
    for i, (name, y, x) in enumerate(zip("cac", (0, 5, 3), (1, 2, 4), strict=True)):
        alone = nc.effective_fields(net, images.sel(stimulus=[name]), "two", (y, x), **QUIET)
        one = found.isel(vector=i)
        assert (one.vector_y, one.vector_x) == (y, x)
        np.testing.assert_allclose(one.effective_field, alone.effective_field[0], atol=1e-6)


def test_point_vectors_are_taken_as_they_are(net, images):
    rows = nc.point_vectors(net, images, "two", draw="uniform", per_image=2, **QUIET)
    found = nc.effective_fields(net, images, "two", rows, **QUIET)
    assert found.stimulus.values.tolist() == rows.stimulus.values.tolist()
    np.testing.assert_array_equal(found.vector_y, rows.y)


def test_batches_and_files_give_the_same(net, images, tmp_path):
    rows = vectors()
    found = nc.effective_fields(net, images, "two", rows, **QUIET)
    other = nc.effective_fields(net, images, "two", rows, batch_size=1, **QUIET)
    np.testing.assert_allclose(found.effective_field, other.effective_field, atol=1e-6)
    stored = nc.effective_fields(net, images, "two", rows, out=tmp_path / "f.nc", **QUIET)
    xr.testing.assert_allclose(stored.load(), found)


def test_colors_add_up(net, images):
    found = nc.effective_fields(net, images, "one", colors=True, **QUIET)
    sums = nc.effective_fields(net, images, "one", **QUIET)
    assert found.effective_field.dims == ("stimulus", "color", "y", "x")
    np.testing.assert_allclose(found.effective_field.sum("color"), sums.effective_field, atol=1e-6)


def test_input_gradients_are_those_of_the_length(net, images):
    module = residual(dtype=torch.float32)
    x = torch.from_numpy(images.values).requires_grad_()
    length = module.first(x)[:, :, 2, 4].norm(dim=1).sum()
    expected = torch.autograd.grad(length, x)[0].norm(dim=1)
    found = nc.effective_fields(net, images, "one", (2, 4), method="input_gradient", **QUIET)
    np.testing.assert_allclose(found.effective_field, expected, rtol=1e-4, atol=1e-6)
    assert "completeness_error" not in found


def test_attention_is_left_to_gradients(images):
    class Mixed(nn.Module):
        def forward(self, x):
            return (x @ x.mT.softmax(-1)).contiguous()

    module = nn.Sequential(nn.Conv2d(3, 2, 1), Mixed(), nn.Conv2d(2, 2, 1), nn.Flatten())
    own = nc.Network(module, {"maps": "2"})
    with pytest.raises(CaptureError, match="_softmax"):
        nc.effective_fields(own, images, "maps", **QUIET)
    found = nc.effective_fields(own, images, "maps", method="input_gradient", **QUIET)
    assert found.effective_field.all()


def test_boxes_hold_what_they_say():
    field = np.zeros((1, 10, 12))
    field[0, 3:5, 6:9] = [[1, -1, 1], [1, 1, 1]]
    boxes = field_boxes(field, 0.99)
    assert boxes.tolist() == [[3, 5, 6, 9]]
    assert with_context(boxes, 2.0, (10, 12)).tolist() == [[1, 7, 4, 10]]
    assert with_context(boxes, 9.0, (10, 12)).tolist() == [[0, 10, 2, 12]]
    assert field_boxes(np.zeros((1, 4, 5)), 0.9).tolist() == [[0, 4, 0, 5]]


def test_a_box_leaves_out_what_is_small():
    field = np.full((1, 1, 20), 1.0)
    assert field_boxes(field, 0.9)[0].tolist() == [0, 1, 1, 19]


@pytest.mark.parametrize(
    ("positions", "told"),
    [
        ("middle", "positions='middle'"),
        ((0.5, 1.0), "positions="),
        ((6, 0), r"position \(6, 0\)"),
        ((-1, 0), r"position \(-1, 0\)"),
        ((1, 1, 1), "3 numbers"),
        (2, "1 numbers"),
        (np.zeros((3, 2), int), "3 images for 4"),
        (np.zeros((0, 2), int), "positions="),
        (xr.DataArray(np.ones((2, 4)), dims=("vector", "channel")), "2 vectors"),
    ],
)
def test_positions_that_are_none_are_named(net, images, positions, told):
    with pytest.raises(InputError, match=told):
        nc.effective_fields(net, images, "two", positions, **QUIET)


def test_vectors_of_other_images_are_named(net, images):
    with pytest.raises(InputError, match="vectors of image 'c'"):
        nc.effective_fields(net, images[:2], "two", vectors(), **QUIET)
    twice = images.assign_coords(stimulus=list("aacd"))
    with pytest.raises(InputError, match="equal labels"):
        nc.effective_fields(net, twice, "two", vectors(), **QUIET)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"method": "shares"}, "shares"),
        ({"colors": 1}, "colors=1"),
        ({"context": 0.5}, "context=0.5"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_options_that_are_none_are_named(net, images, options, told):
    with pytest.raises(InputError, match=told):
        nc.effective_fields(net, images, "two", **options, **QUIET)


def test_layers_that_have_no_positions_are_named(net, images):
    with pytest.raises(InputError, match="no positions"):
        nc.effective_fields(net, images, "head", **QUIET)
    with pytest.raises(UnknownNameError, match="three"):
        nc.effective_fields(net, images, "three", **QUIET)
    with pytest.raises(InputError, match="one layer"):
        nc.effective_fields(net, images, ["one"], **QUIET)


def test_movies_and_vectors_are_no_images():
    movie = nc.Network(nn.Sequential(nn.Conv2d(4, 2, 3), nn.Flatten()), {"maps": "0"}, history=4)
    frames = xr.DataArray(np.ones((9, 5, 5), "float32"), dims=("time", "y", "x"))
    with pytest.raises(InputError, match="network of movies"):
        nc.effective_fields(movie, frames, "maps", **QUIET)
    flat = nc.Network(nn.Sequential(nn.Linear(5, 4), nn.ReLU()), {"hidden": "0"})
    rows = xr.DataArray(np.ones((3, 5), "float32"), dims=("stimulus", "feature"))
    with pytest.raises(InputError, match="inputs with the dims"):
        nc.effective_fields(flat, rows, "hidden", **QUIET)
    grey = nc.Network(nn.Sequential(nn.Flatten(), nn.Linear(25, 2)), {"out": "1"})
    own = xr.DataArray(np.ones((3, 5, 5), "float32"), dims=("stimulus", "y", "x"))
    with pytest.raises(InputError, match="colors=True"):
        nc.effective_fields(grey, own, "out", colors=True, **QUIET)
