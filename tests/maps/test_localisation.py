"""Scores of maps against masks: hand arithmetic, a network that looks at one corner, chance."""

import itertools

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from networks import convolutional, images
from torch import nn

import neurocodec as nc
from neurocodec.kernels import localisation as kernel
from neurocodec.maps.localisation import map_of, score_arrays

CORNER = np.array([[True, False], [False, False]])


def maps_of(values, **coords) -> xr.DataArray:
    values = np.asarray(values, float)
    dims = ("stimulus", "mode", "color", "y", "x")[-values.ndim :]
    dims = ("stimulus", *dims[1:]) if values.ndim == 3 else dims
    return xr.DataArray(values, coords, dims, name="contribution_map")


def masks_of(values, **coords) -> xr.DataArray:
    values = np.asarray(values)
    return xr.DataArray(values, coords, ("stimulus", "y", "x")[-values.ndim :])


def test_two_by_two_by_hand() -> None:
    found = nc.localisation(maps_of([[[3, -1], [0, 4]]]), masks_of([CORNER]))
    assert found.energy_inside.values.tolist() == [3 / 8]
    assert found.mask_area.values.tolist() == [1 / 4]
    assert found.localisation.values.tolist() == [1.5]
    assert found.pointing.values.tolist() == [0.0]


@pytest.mark.parametrize(
    ("of", "inside"), [("absolute", 3 / 8), ("positive", 3 / 7), ("negative", 0)]
)
def test_energy_is_the_part_that_is_asked_for(of, inside) -> None:
    found = nc.localisation(maps_of([[[3, -1], [0, 4]]]), masks_of([CORNER]), of=of)
    assert found.energy_inside.values.tolist() == [inside]


def test_four_by_four_with_an_object_of_six_pixels() -> None:
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:4] = True
    found = nc.localisation(maps_of([np.arange(16).reshape(4, 4)]), masks_of([mask]))
    assert found.energy_inside.item() == pytest.approx((5 + 6 + 7 + 9 + 10 + 11) / 120)
    assert found.localisation.item() == pytest.approx(48 / 120 / (6 / 16))
    assert found.pointing.item() == 0


def test_colors_are_summed_before_anything_is_rectified() -> None:
    color = np.zeros((1, 1, 3, 2, 2))
    color[0, 0, :, 0, 1] = 2, -5, 3  # sums to nothing
    color[0, 0, :, 0, 0] = 1, 0, 1
    found = nc.localisation(maps_of(color), masks_of([CORNER]))
    assert found.energy_inside.values.tolist() == [[1.0]]


def test_every_other_dim_is_kept_with_its_labels() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 1, 4, 4))
    maps = maps_of(values, stimulus=["a", "b"], mode=[4, 7, 9]).expand_dims(
        sign=["excitatory", "inhibitory"], axis=2
    )
    mask = np.random.default_rng(1).random((2, 4, 4)) > 0.5
    found = nc.localisation(maps, masks_of(mask, stimulus=["a", "b"]))
    assert found.localisation.dims == ("stimulus", "mode", "sign")
    assert found["mode"].values.tolist() == [4, 7, 9]
    for i, m in itertools.product(range(2), range(3)):
        energy = np.abs(values[i, m, 0])
        expected = energy[mask[i]].sum() / energy.sum() / mask[i].mean()
        one = found.localisation.sel(mode=[4, 7, 9][m])[i]
        assert one.values == pytest.approx([expected, expected])
        assert found.pointing[i, m].values.tolist() == [float(mask[i].ravel()[energy.argmax()])] * 2


def test_the_order_of_dims_does_not_matter() -> None:
    maps = maps_of(np.random.default_rng(0).normal(size=(2, 3, 1, 4, 5)))
    mask = masks_of(np.random.default_rng(1).random((2, 4, 5)) > 0.5)
    a = nc.localisation(maps, mask)
    b = nc.localisation(
        maps.transpose("x", "mode", "y", "stimulus", "color"), mask.transpose("x", "y", "stimulus")
    )
    xr.testing.assert_allclose(a, b.transpose("stimulus", "mode"))


def test_one_mask_serves_all_images() -> None:
    maps = maps_of([[[3, 1], [0, 0]], [[0, 1], [0, 0]]])
    found = nc.localisation(maps, masks_of(CORNER))
    assert found.energy_inside.values.tolist() == [0.75, 0.0]
    assert found.mask_area.dims == ()


def test_maps_in_blocks_are_the_same(monkeypatch) -> None:
    maps = maps_of(np.random.default_rng(0).normal(size=(7, 2, 3, 4, 4)))
    mask = masks_of(np.random.default_rng(1).random((7, 4, 4)) > 0.5)
    whole = nc.localisation(maps, mask)
    monkeypatch.setattr("neurocodec.maps.localisation._BYTES", 2 * 8 * 96)
    xr.testing.assert_identical(nc.localisation(maps, mask), whole)


def test_of_equal_maxima_the_part_inside_counts() -> None:
    found = nc.localisation(maps_of([[[2, 2], [2, 0]]]), masks_of([CORNER]))
    assert found.pointing.item() == pytest.approx(1 / 3)


def test_a_map_without_energy_has_no_score() -> None:
    found = nc.localisation(maps_of([[[0, 0], [0, 0]]]), masks_of([CORNER]))
    assert np.isnan([found.localisation.item(), found.pointing.item()]).all()
    assert found.mask_area.item() == 0.25


def test_random_maps_score_about_one() -> None:
    rng = np.random.default_rng(0)
    maps = maps_of(rng.normal(size=(400, 16, 16)))
    mask = np.zeros((400, 16, 16), bool)
    mask[:, 3:9, 5:13] = True
    found = nc.localisation(maps, masks_of(mask))
    error = found.localisation.std().item() / 20
    assert found.localisation.mean().item() == pytest.approx(1.0, abs=4 * error)
    assert found.pointing.mean().item() == pytest.approx(48 / 256, abs=0.08)


finite = st.floats(-100, 100).map(lambda x: round(x, 3))
grids = arrays(float, (4, 5), elements=finite)
flags = arrays(bool, (4, 5)).filter(lambda m: 0 < m.sum() < m.size)


@given(grids.filter(lambda g: np.abs(g).sum() > 0), flags, st.floats(0.01, 100))
def test_scores_are_shares(values, mask, scale) -> None:
    inside = kernel.energy_inside(np.abs(values), mask)
    assert -1e-9 <= inside <= 1 + 1e-9
    assert inside + kernel.energy_inside(np.abs(values), ~mask) == pytest.approx(1.0)
    assert kernel.energy_inside(scale * np.abs(values), mask) == pytest.approx(float(inside))
    turned = kernel.energy_inside(np.abs(values[::-1, ::-1]), mask[::-1, ::-1])
    assert turned == pytest.approx(float(inside))


@given(grids)
def test_parts_add_up(values) -> None:
    both = kernel.part_of(values, "positive") + kernel.part_of(values, "negative")
    np.testing.assert_array_equal(both, kernel.part_of(values, "absolute"))


@given(arrays(float, (3, 12), elements=finite))
def test_ranks_sort_the_pixels(values) -> None:
    ranks = kernel.pixel_ranks(values)
    assert (np.sort(ranks, axis=1) == np.arange(12)).all()
    by_rank = np.take_along_axis(values, np.argsort(ranks, axis=1), axis=1)
    assert (np.diff(by_rank, axis=1) <= 0).all()


def corner_network(size=6, corner=2) -> nc.Network:
    """Logit 0 sums the upper left corner after a layer of two channels."""
    first = nn.Conv2d(1, 2, 1, bias=False)
    first.weight.data = torch.tensor([1.0, 0.5]).reshape(2, 1, 1, 1)
    last = nn.Linear(2 * size**2, 2, bias=False)
    weight = torch.zeros(2, 2, size, size)
    weight[0, :, :corner, :corner] = 1
    weight[1] = 0.1
    last.weight.data = weight.reshape(2, -1)
    return nc.Network(
        nn.Sequential(first, nn.ReLU(), nn.Flatten(), last),
        {"hidden": "1"},
        outputs=["corner", "all"],
    )


def gray(n=3, size=6) -> xr.DataArray:
    values = 0.5 + np.random.default_rng(0).random((n, 1, size, size)).astype("float32")
    return xr.DataArray(values, {"stimulus": np.arange(n)}, ("stimulus", "color", "y", "x"))


@pytest.mark.parametrize("layer", [None, "hidden"])
def test_a_network_that_looks_at_one_corner_is_found_to_do_so(layer) -> None:
    net, pictures = corner_network(), gray()
    chosen = {} if layer is None else {"channels": [0, 1], "sign": "excitatory"}
    maps = nc.contribution_maps(
        net, pictures, layer, target=nc.targets.Output("corner"), progress=False, **chosen
    )
    masks = nc.box_masks(dict.fromkeys(range(3), (0, 0, 2, 2)), pictures)
    found = nc.localisation(maps, masks)
    np.testing.assert_allclose(found.energy_inside, 1.0, rtol=1e-6)
    np.testing.assert_allclose(found.localisation, 36 / 4, rtol=1e-6)
    assert (found.pointing == 1).all()
    assert nc.labels.provenance(found)["maps"]["function"] == "nc.contribution_maps"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m & False, "3 empty masks, of the stimuli 0, 1, 2"),
        (lambda m: m | True, "3 full masks"),
        (lambda m: m.isel(stimulus=[0, 1]), "masks and images have different 'stimulus'"),
        (lambda m: m.isel(stimulus=[1, 0, 2]), "masks and images have different 'stimulus'"),
        (lambda m: m.isel(y=slice(3)), "masks and images have different 'y'"),
        (lambda m: m.isel(x=0), "dims"),
        (lambda m: m.astype(float) * 0.5, "other values than 0 and 1"),
        (lambda m: m.values, "of type ndarray"),
        (lambda m: m.rename(stimulus="image"), "dims"),
    ],
)
def test_wrong_masks_are_refused(change, says) -> None:
    pictures = gray()
    masks = nc.box_masks(dict.fromkeys(range(3), (0, 0, 2, 2)), pictures)
    with pytest.raises(nc.errors.InputError, match=says):
        nc.localisation(pictures, change(masks))


def test_y_and_x_are_the_last_dims_of_maps():
    assert map_of(xr.DataArray([[1.0]], dims=("x", "y"))).dims == ("y", "x")


def test_all_scores_of_an_array():
    maps = xr.DataArray([[0.0, 2.0]], dims=("y", "x"))
    scores = score_arrays(maps, maps > 1, "absolute")
    found = {name: value.item() for name, value in scores.items()}
    assert found == {"energy_inside": 1.0, "localisation": 2.0, "pointing": 1.0}


def test_wrong_maps_are_refused() -> None:
    mask = masks_of([CORNER])
    with pytest.raises(nc.errors.InputError, match="contribution_maps"):
        nc.localisation(xr.Dataset({"loading": ("stimulus", [1.0])}), mask)
    with pytest.raises(nc.errors.InputError, match="'y' and 'x'"):
        nc.localisation(xr.DataArray([1.0], dims="stimulus"), mask)
    with pytest.raises(nc.errors.UnknownNameError, match="'positive'"):
        nc.localisation(maps_of([[[1, 0], [0, 0]]]), mask, of="positiv")


def test_results_survive_a_file(tmp_path) -> None:
    maps = maps_of(np.random.default_rng(0).normal(size=(2, 3, 1, 4, 4)), mode=[1, 2, 5])
    found = nc.localisation(maps, masks_of(np.random.default_rng(1).random((2, 4, 4)) > 0.5))
    nc.save(found, tmp_path / "scores.nc")
    xr.testing.assert_identical(nc.open(tmp_path / "scores.nc"), found)
    assert found.localisation.attrs["units"] == "1"


def test_maps_of_a_whole_convolutional_network_are_scored() -> None:
    net = nc.Network(convolutional(), {"late": "4"})
    pictures = images()
    maps = nc.contribution_maps(
        net, pictures, "late", channels="each", target=nc.targets.TopK(1), progress=False
    )
    masks = nc.box_masks(dict.fromkeys(range(5), (1, 1, 5, 6)), pictures)
    found = nc.localisation(maps, masks)
    assert found.energy_inside.dims == ("stimulus", "channel", "sign")
    assert found.label.values.tolist() == pictures.label.values.tolist()
    good = found.energy_inside.values[np.isfinite(found.energy_inside.values)]
    assert good.size
    assert ((good >= 0) & (good <= 1)).all()
