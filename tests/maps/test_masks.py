"""Masks from boxes, and mosaics of images."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import neurocodec as nc
from neurocodec.maps.masks import checked_masks


def pictures(n=3, y=4, x=5, **coords) -> xr.DataArray:
    values = np.arange(n * 3 * y * x, dtype="float32").reshape(n, 3, y, x)
    return xr.DataArray(values, coords, ("stimulus", "color", "y", "x"))


def test_boxes_are_ranges_of_pixels() -> None:
    images = pictures(stimulus=[10, 11, 12], source=("stimulus", ["a.png", "b.png", "c.png"]))
    boxes = {10: (0, 0, 1, 1), 11: (1, 2, 4, 4), 12: [(0, 0, 1, 5), (3, 0, 4, 5)]}
    found = nc.box_masks(boxes, images)
    expected = np.zeros((3, 4, 5), bool)
    expected[0, 0, 0] = expected[1, 1:4, 2:4] = expected[2, [0, 3]] = True
    np.testing.assert_array_equal(found, expected)
    assert found.dims == ("stimulus", "y", "x")
    assert found.source.values.tolist() == ["a.png", "b.png", "c.png"]


def test_all_ways_to_write_boxes_are_the_same(tmp_path) -> None:
    images = pictures(2, stimulus=[3, 4], source=("stimulus", ["a.png", "b.png"]))
    rows = [[0, 1, 2, 3], [1, 0, 4, 5]]
    edges = ["y0", "x0", "y1", "x1"]
    array = xr.DataArray(rows, {"stimulus": [3, 4]}, ("stimulus", "bound"))
    named = array.assign_coords(bound=edges).isel(bound=[3, 1, 0, 2])
    several = array.expand_dims(box=2, axis=1).astype(float)
    several = several.where(several["box"] == 0) if "box" in several.coords else several
    table = tmp_path / "boxes.csv"
    table.write_text("file,y0,x0,y1,x1\nb.png,1,0,4,5\na.png,0,1,2,3\n")
    first = nc.box_masks(array, images)
    by_source = {"b.png": rows[1], "a.png": rows[0]}
    for other in (named, several, {3: rows[0], 4: rows[1]}, by_source, table, str(table)):
        xr.testing.assert_identical(nc.box_masks(other, images), first)


def test_missing_boxes_of_an_image_are_nan() -> None:
    values = np.full((2, 2, 4), np.nan)
    values[0] = [[0, 0, 1, 1], [3, 4, 4, 5]]
    values[1, 0] = 1, 1, 2, 2
    found = nc.box_masks(xr.DataArray(values, dims=("stimulus", "box", "bound")), pictures(2))
    assert found.sum(["y", "x"]).values.tolist() == [2, 1]


@given(*(st.floats(0, 4) for _ in range(4)))
def test_a_pixel_is_inside_where_its_centre_is(a, b, c, d) -> None:
    (y0, y1), (x0, x1) = sorted((a, b)), sorted((c, d))
    ys, xs = np.mgrid[0:4, 0:5] + 0.5
    expected = (y0 <= ys) & (ys < y1) & (x0 <= xs) & (xs < x1)
    if expected.any():
        np.testing.assert_array_equal(nc.box_masks({0: (y0, x0, y1, x1)}, pictures(1))[0], expected)
    else:
        with pytest.raises(nc.errors.InputError, match="cover no pixel"):
            nc.box_masks({0: (y0, x0, y1, x1)}, pictures(1))


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        ({0: (0, 0, 1, 1)}, "2 images without a box, the first 1"),
        ({0: (0, 0, 1, 1), 7: (0, 0, 1, 1)}, "image with stimulus '7'"),
        ({0: (2, 0, 1, 1), 1: (0, 0, 1, 1), 2: (0, 0, 1, 1)}, "in the order y0, x0, y1, x1"),
        ({0: (0, 0, 1), 1: (0, 0, 1, 1), 2: (0, 0, 1, 1)}, "four numbers"),
        ({0: "left", 1: (0, 0, 1, 1), 2: (0, 0, 1, 1)}, "four numbers"),
        (dict.fromkeys(range(3), (9, 9, 12, 12)), "cover no pixel"),
        ([(0, 0, 1, 1)] * 3, "boxes of type list"),
        (xr.DataArray(np.zeros((3, 4)), dims=("image", "bound")), "boxes with dims"),
        (xr.DataArray(np.zeros((2, 4)), dims=("stimulus", "bound")), "different 'stimulus'"),
        ("/nowhere/boxes.csv", "FileNotFoundError"),
    ],
)
def test_wrong_boxes_are_refused(boxes, says) -> None:
    with pytest.raises(nc.errors.InputError, match=says):
        nc.box_masks(boxes, pictures())


def test_an_empty_mask_is_refused():
    images = xr.DataArray(np.zeros((3, 2, 2)), dims=("stimulus", "y", "x"))
    with pytest.raises(nc.errors.InputError) as caught:
        checked_masks(images[0] < 0, images)
    assert str(caught.value).splitlines() == [
        "an empty mask",
        "  expected: objects that cover some pixels of the image, but not all",
        "  try: leave these images out: masks.any(['y', 'x']) & ~masks.all(['y', 'x'])",
    ]


def labelled(n=24, classes=6, size=3) -> xr.DataArray:
    """Images of one value each, which names them."""
    values = np.broadcast_to(np.arange(n, dtype="float32")[:, None, None, None], (n, 2, size, size))
    label = [f"class {i % classes}" for i in range(n)]
    return xr.DataArray(
        values,
        {"stimulus": np.arange(n) + 100, "label": ("stimulus", label)},
        ("stimulus", "color", "y", "x"),
    )


@pytest.mark.parametrize("grid", [2, 3])
def test_tiles_are_where_the_coordinates_say(grid) -> None:
    images = labelled(36, 9)
    found, masks = nc.mosaics(images, grid=grid, seed=3)
    assert found.shape == (36 // grid**2, 2, 3 * grid, 3 * grid)
    used = []
    for i in range(len(found)):
        tiles = [int(found[f"tile{t}_stimulus"][i]) - 100 for t in range(grid**2)]
        used += tiles
        block = np.asarray(tiles, float).reshape(grid, grid).repeat(3, 0).repeat(3, 1)
        np.testing.assert_array_equal(found[i, 0], block)
        labels = [str(found[f"tile{t}_label"][i].item()) for t in range(grid**2)]
        assert labels == [f"class {t % 9}" for t in tiles]
        assert len({*labels}) == grid**2
        asked = int(found["place"][i])
        assert found.label[i].item() == labels[asked]
        assert np.unique(found[i].values[:, masks[i].values]).tolist() == [tiles[asked]]
        assert masks[i].sum() == 9
    assert len({*used}) == len(used) == 36


def test_mosaics_are_repeatable_and_differ_by_seed() -> None:
    images = labelled()
    a, b, c = (nc.mosaics(images, seed=s).images for s in (0, 0, 1))
    xr.testing.assert_identical(a, b)
    assert (a.values != c.values).any()


def test_every_tile_is_asked_for_about_as_often() -> None:
    found = nc.mosaics(labelled(1200, 10)).images
    counts = np.bincount(found["place"].values, minlength=4)
    assert counts.sum() == 300
    assert (np.abs(counts - 75) < 4 * np.sqrt(75)).all()


def test_uneven_classes_are_used_up() -> None:
    images = labelled(12, 6).isel(stimulus=[0, 6, 1, 7, 2, 3, 4, 5])
    found = nc.mosaics(images, grid=2).images  # two of class 0, two of 1, one of each other
    assert found.sizes["stimulus"] == 2


def test_too_few_images_for_mosaics_are_refused() -> None:
    with pytest.raises(nc.errors.InputError, match="3 classes, enough for 0 mosaics of 4"):
        nc.mosaics(labelled(24, 3))
    with pytest.raises(nc.errors.InputError, match="enough for 6"):
        nc.mosaics(labelled(24, 6), count=7)
    with pytest.raises(nc.errors.InputError, match="without labels"):
        nc.mosaics(labelled().drop_vars("label"))
    with pytest.raises(nc.errors.InputError, match="grid=1"):
        nc.mosaics(labelled(), grid=1)
    with pytest.raises(nc.errors.InputError, match="grid=True"):
        nc.mosaics(labelled(), grid=True)
    with pytest.raises(nc.errors.InputError, match="count=0"):
        nc.mosaics(labelled(), count=0)
    some = labelled(24, 4)
    some = some.assign_coords(label=some.label.where(some.label != "class 3", ""))
    with pytest.raises(nc.errors.InputError, match="3 classes"):
        nc.mosaics(some)  # no label is no class


def test_whole_numbers_of_numpy_are_whole_numbers():
    found, plain = (nc.mosaics(labelled(), grid=two, count=two) for two in (np.int64(2), 2))
    xr.testing.assert_identical(found.images, plain.images)


def test_mosaics_survive_a_file(tmp_path) -> None:
    found, masks = nc.mosaics(labelled())
    for name, array in (("images", found), ("masks", masks)):
        nc.save(array, tmp_path / f"{name}.nc")
        xr.testing.assert_identical(nc.open(tmp_path / f"{name}.nc"), array)
