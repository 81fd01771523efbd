"""Maps of modes against random sets, layer and network: planted objects, and one map at a time."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import convolutional, images
from PIL import Image
from torch import nn

import neurocodec as nc
from neurocodec.adapters.images.images import ImageArray
from neurocodec.maps.comparison_table import CONTROLS, MAPS, require_free
from neurocodec.maps.controls import random_sets, weights_of


def planted_network(channels=6, size=8) -> nc.Network:
    """Channel 0 sees the upper left quarter, channel 1 the lower right one, the others all."""
    first = nn.Conv2d(1, channels, 1, bias=False)
    first.weight.data[:] = 1.0

    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            window = torch.ones(channels, size, size)
            window[:2] = 0
            window[0, : size // 2, : size // 2] = 1
            window[1, size // 2 :, size // 2 :] = 1
            self.register_buffer("window", window)

        def forward(self, x):
            return x * self.window

    readout = nn.Linear(channels * size**2, 2, bias=False)
    readout.weight.data[:] = 1.0
    module = nn.Sequential(first, Windows(), nn.ReLU(), nn.Flatten(), readout)
    return nc.Network(module, {"hidden": "2"}, outputs=["a", "b"])


def bright(n=4, size=8) -> xr.DataArray:
    values = 0.5 + np.random.default_rng(0).random((n, 1, size, size)).astype("float32")
    label = ("stimulus", ["a", "b"] * (n // 2))
    return xr.DataArray(
        values, {"stimulus": np.arange(n), "label": label}, ("stimulus", "color", "y", "x")
    )


def as_tensor(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32).transpose(2, 0, 1) / 255


def rows(*weights) -> xr.DataArray:
    return xr.DataArray(np.asarray(weights, float), dims=("mode", "channel"))


def compare(*args, **options) -> xr.Dataset:
    common = {"target": nc.targets.Sum(), "top": 1, "progress": False, "bootstrap": 200}
    return nc.compare_localisation(*args, **{**common, **options})


MODES = rows([1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0])


def test_a_planted_object_is_found_by_its_mode_alone() -> None:
    pictures = bright()
    masks = nc.box_masks(dict.fromkeys(range(4), (0, 0, 4, 4)), pictures)
    found = compare(planted_network(), pictures, masks, "hidden", MODES, draws=12)
    inside = pictures.where(masks).sum(["color", "y", "x"]) / pictures.sum(["color", "y", "x"])
    score = found.mode_localisation
    np.testing.assert_allclose(score.isel(mode=0), 4.0, rtol=1e-5)
    np.testing.assert_allclose(score.isel(mode=1), 0.0, atol=1e-6)
    np.testing.assert_allclose(score.isel(mode=2), inside / 0.25, rtol=1e-5)
    mean = found.localisation.sel(map="modes")
    np.testing.assert_allclose(mean, (4 + inside / 0.25) / 3, rtol=1e-5)
    # the strongest mode is the one that sees the whole picture
    np.testing.assert_allclose(
        found.localisation.sel(map="strongest mode"), inside / 0.25, rtol=1e-5
    )
    # 2 of 6 channels see a part: the whole layer is 4 of the pictures and two quarters
    quarter = pictures.isel(y=slice(4), x=slice(4)).sum(["color", "y", "x"])
    other = pictures.isel(y=slice(4, 8), x=slice(4, 8)).sum(["color", "y", "x"])
    whole = pictures.sum(["color", "y", "x"])
    layer = (4 * quarter + quarter) / (4 * whole + quarter + other) / 0.25
    np.testing.assert_allclose(found.localisation.sel(map="whole layer"), layer, rtol=1e-5)
    np.testing.assert_allclose(found.localisation.sel(map="whole network"), layer, rtol=1e-5)
    assert found.mode_difference.isel(mode=0).values == pytest.approx(
        found.mode_localisation[:, 0].mean().item()
        - found.mean_localisation.sel(map=list(CONTROLS)).values
    )
    assert (found.mode_difference_interval.isel(mode=0) > 0).all()
    assert (found.mode_difference_interval.isel(mode=1) < 0).all()


def test_every_number_is_that_of_one_map_at_a_time() -> None:
    net, pictures = nc.Network(convolutional(), {"late": "2"}), images(3)
    rng = np.random.default_rng(1)
    masks = xr.DataArray(
        rng.random((3, 8, 8)) > 0.6, {"stimulus": np.arange(3)}, ("stimulus", "y", "x")
    )
    modes = rows(*rng.random((2, 4)))
    target = nc.targets.TopK(1, hold=True)
    options = {"target": target, "top": 2, "draws": 4, "seed": 7, "of": "positive"}
    found = compare(net, pictures, masks, "late", modes, **options)

    def score(**chosen) -> xr.Dataset:
        maps = nc.contribution_maps(net, pictures, target=target, progress=False, **chosen)
        return nc.localisation(maps, masks, of="positive"), maps

    kept = {"layer": "late", "sign": "excitatory"}
    one, maps = score(modes=modes, weights="equal", top=2, **kept)
    np.testing.assert_allclose(found.mode_localisation, one.localisation, rtol=1e-5)
    np.testing.assert_allclose(found.mode_contribution, maps.contribution, rtol=1e-5)
    sets = random_sets(weights_of(modes, "late", "equal", 2), draws=4, seed=7).rows
    of_sets, set_maps = score(modes=sets, weights="dictionary", **kept)
    whole, _ = score()
    layer, _ = score(modes=rows(np.ones(4)), weights="dictionary", **kept)
    for name in ("energy_inside", "localisation", "pointing"):
        table = found[name]
        for label, expected in (
            ("modes", one[name].mean("mode")),
            ("random sets", of_sets[name].mean("mode")),
            ("whole network", whole[name]),
            (
                "whole layer",
                layer[name].squeeze("mode") if "mode" in layer[name].dims else layer[name],
            ),
            ("strongest mode", one[name].isel(mode=maps.contribution.argmax("mode"))),
        ):
            np.testing.assert_allclose(table.sel(map=label), expected, rtol=1e-4, err_msg=label)
    # four sets make two groups as large as the modes; in each the strongest counts
    strongest = []
    for group in (slice(0, 2), slice(2, 4)):
        part = set_maps.contribution.isel(mode=group)
        strongest.append(of_sets.localisation.isel(mode=group).isel(mode=part.argmax("mode")))
    np.testing.assert_allclose(
        found.localisation.sel(map="strongest random set"), np.mean(strongest, axis=0), rtol=1e-4
    )


def test_means_and_differences_belong_to_the_table() -> None:
    pictures = bright(6)
    masks = nc.box_masks(dict.fromkeys(range(6), (0, 0, 4, 5)), pictures)
    found = compare(planted_network(), pictures, masks, "hidden", MODES, draws=5)
    table = found.localisation
    assert table["map"].values.tolist() == list(MAPS)
    np.testing.assert_allclose(found.mean_localisation, table.mean("stimulus"))
    pairs = table.mean("stimulus") - table.mean("stimulus").rename(map="against")
    np.testing.assert_allclose(found.localisation_difference, pairs, atol=1e-12)
    low, high = found.mean_localisation_interval.transpose("bound", ...)
    assert ((low <= found.mean_localisation) & (found.mean_localisation <= high)).all()
    assert found.n_images.values.tolist() == [6, 6, 6]
    np.testing.assert_allclose(found.mask_area, 20 / 64)


def test_dictionary_weights_go_to_random_channels() -> None:
    modes = rows([3, 2, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 2, 0, 3, 0, 0])
    sets = random_sets(weights_of(modes, "hidden", "dictionary", 1), draws=5, seed=0)
    assert sets.rows.sizes["mode"] == 10  # the first and the last mode have the same weights
    drawn = np.sort(sets.rows.values, axis=1)[sets.of_mode]
    np.testing.assert_array_equal(drawn, np.repeat(np.sort(modes, axis=1)[:, None], 5, axis=1))
    assert len(np.unique(sets.rows.values, axis=0)) > 5
    assert sets.together.shape == (2, 3)
    assert (sets.together[:, 0] != sets.together[:, 2]).all()
    pictures = bright()
    masks = nc.box_masks(dict.fromkeys(range(4), (0, 0, 4, 4)), pictures)
    found = compare(
        planted_network(), pictures, masks, "hidden", modes, weights="dictionary", draws=5
    )
    assert found.localisation.notnull().all()
    assert found.localisation.sel(map="modes").mean() > 1


def test_random_sets_are_of_the_size_of_each_mode() -> None:
    modes = rows([1, 0, 0, 0, 0, 0], [5, 4, 3, 0, 0, 0], [0, 1, -3, 0, 2, 0])
    sets = random_sets(weights_of(modes, "hidden", "equal", 3), draws=4, seed=0)
    of = sets.rows.values[sets.of_mode]
    assert (of.sum(-1) == np.array([[1], [3], [1]])).all()
    assert (np.abs(of).sum(-1) == np.array([[1], [3], [3]])).all()


def test_random_sets_draw_every_channel_as_often() -> None:
    sets = random_sets(weights_of(rows(np.ones(10)), "a", "equal", 3), draws=2000, seed=0)
    assert (sets.rows.sum("channel") == 3).all()
    counts = sets.rows.sum("mode")
    assert (np.abs(counts - 600) < 4 * np.sqrt(2000 * 0.3 * 0.7)).all()


def test_modes_of_both_signs_keep_their_halves_together() -> None:
    dictionary = xr.DataArray(
        [[[1, 0, 0, 4], [0, -2, 0, -3]]],
        {"sign": ["excitatory", "inhibitory"]},
        ("mode", "sign", "channel"),
    ).astype(float)
    sets = random_sets(weights_of(dictionary, "late", "dictionary", 1), draws=6, seed=0)
    pairs = {(1, 0), (0, -2), (0, 0), (4, -3)}
    for one in sets.rows.values:
        assert {*map(tuple, one.T.astype(int).tolist())} == pairs
    net, pictures = nc.Network(convolutional(), {"late": "2"}), images(3)
    masks = nc.box_masks(dict.fromkeys(range(3), (0, 0, 4, 4)), pictures)
    options = {"weights": "dictionary", "sign": "inhibitory", "draws": 2}
    found = compare(net, pictures, masks, "late", dictionary, **options)
    one_sided = dictionary.sel(sign="inhibitory", drop=True) * -1
    same = compare(net, pictures, masks, "late", one_sided, **options)
    np.testing.assert_allclose(found.mode_localisation, same.mode_localisation, rtol=1e-5)


def test_each_image_is_asked_about_its_label_in_its_place() -> None:
    net, pictures = nc.Network(convolutional(), {"late": "2"}), images(4)
    pictures = pictures.assign_coords(label=("stimulus", ["3", "1", "3", "0"]))
    masks = nc.box_masks(dict.fromkeys(range(4), (0, 0, 4, 4)), pictures)
    modes = rows([1, 0, 0, 1])
    options = {"top": 2, "draws": 2}
    found = compare(net, pictures, masks, "late", modes, target="label", **options)
    for i, label in enumerate(pictures.label.values):
        some = {"stimulus": [i]}
        alone = compare(
            net, pictures.isel(some), masks.isel(some), "late", modes,
            target=nc.targets.Output(label), **options,
        )  # fmt: skip
        np.testing.assert_allclose(alone.localisation[0], found.localisation[i], rtol=1e-4)
        assert found.label[i].item() == label


def test_blocks_of_images_and_of_modes_make_no_difference(monkeypatch) -> None:
    pictures, net = bright(), planted_network()
    masks = nc.box_masks(dict.fromkeys(range(4), (0, 0, 4, 4)), pictures)
    whole = compare(net, pictures, masks, "hidden", MODES, draws=5)
    monkeypatch.setattr("neurocodec.maps.compare_localisation.BYTES", 2 * 12 * 64)
    xr.testing.assert_allclose(compare(net, pictures, masks, "hidden", MODES, draws=5), whole)


def test_a_silent_mode_has_no_score_and_is_left_out() -> None:
    pictures = bright()
    net = planted_network()
    net.module[0].weight.data[1] = -1.0  # never above threshold
    masks = nc.box_masks(dict.fromkeys(range(4), (0, 0, 4, 4)), pictures)
    found = compare(net, pictures, masks, "hidden", MODES, draws=3)
    assert found.mode_localisation.isel(mode=1).isnull().all()
    assert found.n_images.values.tolist() == [4, 0, 4]
    assert found.localisation.sel(map="modes").notnull().all()
    assert np.isnan(found.mode_difference.isel(mode=1)).all()


def test_fitted_modes_and_files(tmp_path) -> None:
    net, pictures = nc.Network(convolutional(), {"late": "2"}), images(40)
    target = nc.targets.TopK(1, hold=True)
    tree = nc.contributions(net, pictures, target=target, progress=False)
    modes = nc.SparseModes(expansion=1, epochs=2, progress=False).fit(tree, layer="late")
    masks = nc.box_masks(dict.fromkeys(range(40), (0, 0, 4, 4)), pictures)
    some = {"stimulus": slice(6)}
    found = compare(
        net, pictures.isel(some), masks.isel(some), "late", modes, target=target, top=2, draws=3
    )
    assert found.sizes["mode"] == 4
    record = nc.labels.provenance(found)
    assert (record["layer"], record["weights"], record["top"]) == ("late", "equal", 2)
    nc.save(found, tmp_path / "compared.nc")
    xr.testing.assert_identical(nc.open(tmp_path / "compared.nc"), found)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sign": "both"}, "sign 'both'"),
        ({"of": "all"}, "part of a map 'all'"),
        ({"draws": 0}, "draws=0"),
        ({"top": 7}, "top=7 of a layer with 6 channels"),
        ({"weights": "same"}, "weights="),
        ({"bootstrap": -1}, "bootstrap=-1"),
        ({"target": "labels"}, "target='labels'"),
    ],
)
def test_wrong_options_are_refused(options, says) -> None:
    pictures = bright()
    masks = nc.box_masks(dict.fromkeys(range(4), (0, 0, 4, 4)), pictures)
    with pytest.raises(nc.errors.InputError, match=says):
        compare(planted_network(), pictures, masks, "hidden", MODES, **options)


def test_wrong_masks_and_modes_are_refused() -> None:
    pictures, net = bright(), planted_network()
    masks = nc.box_masks(dict.fromkeys(range(4), (0, 0, 4, 4)), pictures)
    with pytest.raises(nc.errors.InputError, match="different 'stimulus'"):
        compare(net, pictures, masks.isel(stimulus=[0, 1]), "hidden", MODES)
    with pytest.raises(nc.errors.InputError, match="modes with dims"):
        compare(net, pictures, masks, "hidden", MODES.rename(channel="unit"))
    with pytest.raises(nc.errors.InputError, match="channel"):
        compare(net, pictures, masks, "hidden", MODES.isel(channel=slice(3)))


def test_a_mean_baseline_is_that_of_all_images(monkeypatch) -> None:
    net, pictures = nc.Network(convolutional(), {"late": "2"}), images(4)
    pictures = pictures.assign_coords(label=("stimulus", ["3", "1", "3", "0"]))
    masks = nc.box_masks(dict.fromkeys(range(4), (0, 0, 4, 4)), pictures)
    options = {"target": "label", "draws": 1, "bootstrap": 0}
    mean = pictures.mean("stimulus").values
    given = compare(net, pictures, masks, "late", rows([1, 0, 0, 1]), baseline=mean, **options)
    monkeypatch.setattr("neurocodec.maps.compare_localisation.BYTES", 1)  # one image at a time
    found = compare(net, pictures, masks, "late", rows([1, 0, 0, 1]), baseline="mean", **options)
    xr.testing.assert_allclose(found, given, rtol=1e-4)
    zeros = compare(net, pictures, masks, "late", rows([1, 0, 0, 1]), **options)
    assert abs(found.localisation - zeros.localisation).max() > 0.01


def test_the_strongest_random_set_is_chosen_among_as_many_as_there_are_modes() -> None:
    sets = random_sets(weights_of(rows(*np.eye(6)), "hidden", "equal", 1), draws=2, seed=0)
    assert sets.rows.sizes["mode"] == 6
    assert sorted(sets.together[0]) == [*range(6)]


def test_images_are_read_once_and_broken_ones_left_out(tmp_path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    for i in range(5):
        pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    whole = (tmp_path / "3.png").read_bytes()
    net = nc.Network(convolutional(), {"late": "2"})
    pictures = nc.images(tmp_path, net, preprocessing=as_tensor, check=False, broken="skip")
    masks = nc.box_masks(dict.fromkeys(range(5), (0, 0, 4, 4)), pictures)
    expected = compare(net, pictures.load(), masks, "late", rows([1, 0, 0, 1]), draws=2)
    (tmp_path / "3.png").write_bytes(whole[:60])
    monkeypatch.setattr("neurocodec.maps.compare_localisation.BYTES", 1)
    decoded: list[int] = []
    real = ImageArray.read
    monkeypatch.setattr(ImageArray, "read", lambda self, i: decoded.append(i) or real(self, i))
    pictures = nc.images(tmp_path, net, preprocessing=as_tensor, check=False, broken="skip")
    found = compare(net, pictures, masks, "late", rows([1, 0, 0, 1]), draws=2, workers=0)
    left = [0, 1, 2, 4]
    np.testing.assert_allclose(found.localisation, expected.localisation[left], rtol=1e-4)
    assert found.source.values.tolist() == [f"{i}.png" for i in left]
    assert max(decoded.count(i) for i in left) <= 3  # its shape, for the record, and for all maps


def test_nothing_is_refused() -> None:
    pictures, net = bright(), planted_network()
    masks = nc.box_masks(dict.fromkeys(range(4), (0, 0, 4, 4)), pictures)
    with pytest.raises(nc.errors.InputError, match="at least one sample"):
        compare(net, pictures[:0], masks[:0], "hidden", MODES)
    with pytest.raises(nc.errors.InputError, match="modes with dims"):
        compare(net, pictures, masks, "hidden", MODES[:0])
    with pytest.raises(nc.errors.InputError, match="no masks"):
        nc.localisation(pictures[:0], masks[:0])


def test_images_without_a_label_are_not_asked_about_one() -> None:
    net, shown = planted_network(), bright()
    mask = xr.DataArray(np.arange(64).reshape(8, 8) < 32, dims=("y", "x"))
    some = np.array(["a", None, "b", np.nan], dtype=object)
    found = compare(
        net,
        shown.assign_coords(label=("stimulus", some)),
        mask,
        "hidden",
        rows([1, 0, 0, 0, 0, 0]),
        target="label",
    )
    expected = compare(
        net,
        shown[[0, 2]].assign_coords(label=("stimulus", ["a", "b"])),
        mask,
        "hidden",
        rows([1, 0, 0, 0, 0, 0]),
        target="label",
    )
    assert found.stimulus.values.tolist() == [0, 2]
    xr.testing.assert_allclose(found.drop_attrs(), expected.drop_attrs())


def test_names_of_what_is_compared_are_those_that_coordinates_may_not_have() -> None:
    shown = bright()
    mask = xr.DataArray(np.arange(64).reshape(8, 8) < 32, dims=("y", "x"))
    mode = rows([1, 0, 0, 0, 0, 0])
    found = compare(planted_network(), shown, mask, "hidden", mode, bootstrap=2)
    own = {*map(str, found.variables), *map(str, found.dims)} - {*shown.coords} - {"mode"}
    for name in sorted(own):
        with pytest.raises(nc.errors.InputError, match=f"'{name}' of the images"):
            require_free(shown.assign_coords({name: ("stimulus", range(4))}), mode)
