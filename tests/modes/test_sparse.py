import json

import numpy as np
import pytest
import torch
import xarray as xr
from planted import planted_rows

import neurocodec as nc
from neurocodec import labels
from neurocodec.errors import InputError, NeurocodecWarning, StorageError
from neurocodec.kernels import scores

QUICK = {"expansion": 2, "epochs": 8, "progress": False, "device": "cpu"}


@pytest.fixture(autouse=True)
def one_thread():
    """Small products in many threads crawl where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tree_of(samples=400, channels=6, seed=0):
    """A contribution tree with simulated contributions of one layer."""
    x, _ = planted_rows(samples, channels, 8, active=2, noise=0.05, seed=seed)
    parts = np.stack([x, -0.5 * np.roll(x, 7, axis=0)], axis=1)
    contribution = labels.labelled(
        parts,
        ("time", "sign", "channel"),
        {
            "sign": ["excitatory", "inhibitory"],
            "channel": np.arange(channels),
            "cell_type": ("channel", np.array([f"type {i}" for i in range(channels)])),
        },
        name="contribution",
        units="bit",
    )
    time = labels.time_coordinate(samples, 100.0)
    root = xr.Dataset({"target": ("time", x.sum(axis=1))}, {"time": time})
    return xr.DataTree.from_dict({"/": root, "/conv1": xr.Dataset({"contribution": contribution})})


@pytest.fixture(scope="module")
def tree():
    return tree_of()


@pytest.fixture(scope="module")
def modes(tree):
    return nc.SparseModes(**QUICK).fit(tree["conv1"])


def test_everything_is_labelled(tree, modes):
    layer = tree["conv1"]
    assert modes.dictionary.dims == ("mode", "channel")
    assert modes.dictionary.attrs["units"] == "bit"
    assert modes.dictionary.cell_type.values.tolist() == [f"type {i}" for i in range(6)]
    assert modes.loadings.dims == ("time", "mode")
    assert modes.loadings.sizes["mode"] == 12
    np.testing.assert_array_equal(modes.loadings.time, layer.time)
    assert modes.loadings.held_out.sum() == 40
    assert (modes.loadings >= 0).all()
    assert (modes.dictionary >= 0).all()
    assert modes.history.sizes["epoch"] == 8
    for result in (modes.dictionary, modes.loadings, *modes.history.data_vars.values()):
        assert result.name
        assert {"units", "long_name"} <= set(result.attrs)


def test_scores_agree_with_the_reconstruction_they_describe(tree, modes):
    data = tree["conv1"].contribution.sel(sign="excitatory")
    made = modes.inverse_transform(modes.loadings)
    held = modes.loadings.held_out.values
    assert modes.r2 == pytest.approx(scores.r2(data[held], made[held]), abs=1e-6)
    assert modes.r2_train == pytest.approx(scores.r2(data[~held], made[~held]), abs=1e-6)
    assert modes.r2_pooled == pytest.approx(scores.r2_pooled(data[held], made[held]), abs=1e-6)
    assert modes.l0 == pytest.approx(float((modes.loadings > 0).sum("mode").mean()))
    assert modes.alive == pytest.approx(float((modes.loadings > 0).any("time").mean()))


def test_a_reconstruction_is_loadings_times_dictionary_with_the_labels_of_the_data(tree, modes):
    made = modes.inverse_transform(modes.loadings)
    by_hand = xr.dot(modes.loadings, modes.dictionary, dim="mode")
    np.testing.assert_allclose(made, by_hand, rtol=1e-5)
    assert made.name == "contribution"
    assert made.attrs["units"] == "bit"
    np.testing.assert_array_equal(made.time, tree.time)


def test_modes_explain_new_rows_of_the_same_kind():
    data = tree_of(1500)["conv1"]
    first, last = data.isel(time=slice(1200)), data.isel(time=slice(1200, None))
    settings = QUICK | {"epochs": 40}
    modes = nc.SparseModes(**settings).fit(first)
    new = last.contribution.sel(sign="excitatory")
    assert scores.r2(new, modes.inverse_transform(modes.transform(last))) > 0.75
    assert modes.r2 > 0.75
    assert modes.alive == 1.0


def test_transform_of_the_rows_fitted_gives_their_loadings(tree, modes):
    again = modes.transform(tree["conv1"])
    np.testing.assert_array_equal(again, modes.loadings)
    part = modes.transform(tree["conv1"].contribution.isel(time=slice(10, 20)))
    np.testing.assert_allclose(part, modes.loadings[10:20], rtol=1e-4, atol=1e-6)


def test_the_scale_of_the_data_scales_the_dictionary_alone(tree):
    rows = tree["conv1"].contribution.sel(sign="excitatory", drop=True)
    a, b = (nc.SparseModes(**QUICK).fit(x) for x in (rows, rows * 1024.0))
    np.testing.assert_array_equal(a.loadings, b.loadings)
    np.testing.assert_allclose(b.dictionary, a.dictionary * 1024.0, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("sign", ["excitatory", "both"])
def test_a_round_trip_keeps_everything_and_gives_the_same_bits(tmp_path, tree, sign, suffix):
    path = tmp_path / f"modes{suffix}"
    modes = nc.SparseModes(**QUICK, sign=sign, threshold=0.1 + 0.2).fit(tree["conv1"])
    modes.save(path)
    for again in (nc.SparseModes.load(path), nc.open(path)):
        assert isinstance(again, nc.SparseModes)
        assert again.config == modes.config
        xr.testing.assert_identical(again.to_tree(), modes.to_tree())
        new = tree["conv1"].isel(time=slice(3, 150))
        xr.testing.assert_identical(again.transform(new), modes.transform(new))
        assert again.r2 == modes.r2


def test_a_file_of_something_else_is_refused(tmp_path, tree):
    nc.save(tree, tmp_path / "tree.nc")
    with pytest.raises(StorageError, match="DataTree"):
        nc.SparseModes.load(tmp_path / "tree.nc")


def test_the_inhibitory_part_keeps_its_sign(tree):
    modes = nc.SparseModes(**QUICK, sign="inhibitory").fit(tree["conv1"])
    assert (modes.dictionary <= 0).all()
    assert (modes.loadings >= 0).all()
    assert modes.dictionary.sign == "inhibitory"
    data = tree["conv1"].contribution.sel(sign="inhibitory")
    held = modes.loadings.held_out.values
    made = modes.inverse_transform(modes.loadings)
    assert modes.r2 == pytest.approx(scores.r2(data[held], made[held]), abs=1e-6)


def test_both_signs_lie_side_by_side(tree):
    modes = nc.SparseModes(**QUICK, sign="both").fit(tree["conv1"])
    assert modes.dictionary.dims == ("mode", "sign", "channel")
    assert modes.dictionary.sizes["mode"] == 2 * 2 * 6
    assert (modes.dictionary.sel(sign="inhibitory") <= 0).all()
    assert (modes.dictionary.sel(sign="excitatory") >= 0).all()
    assert modes.inverse_transform(modes.loadings).dims == ("time", "sign", "channel")


def test_net_contributions_take_a_signed_dictionary(tree):
    with pytest.raises(InputError, match="nonnegative=False"):
        nc.SparseModes(**QUICK, sign="net").fit(tree["conv1"])
    modes = nc.SparseModes(**QUICK, sign="net", nonnegative=False).fit(tree["conv1"])
    assert "sign" not in modes.dictionary.coords
    assert (modes.dictionary < 0).any()


def test_images_are_held_out_one_by_one_and_keep_their_labels():
    x, _ = planted_rows(200, 5, 6, active=2, noise=0.05, seed=0)
    coords = {"label": ("stimulus", np.repeat(["cat", "dog"], 100))}
    rows = labels.labelled(x, ("stimulus", "channel"), coords, name="activation")
    modes = nc.SparseModes(**QUICK).fit(rows)
    assert modes.loadings.label.values.tolist() == ["cat"] * 100 + ["dog"] * 100
    assert modes.loadings.held_out.sum() == 20
    assert modes.inverse_transform(modes.loadings).name == "activation"


def test_the_same_seed_gives_the_same_bits(tree, modes):
    again = nc.SparseModes(**QUICK).fit(tree["conv1"])
    xr.testing.assert_identical(again.to_tree(), modes.to_tree())
    other = nc.SparseModes(**QUICK, seed=1).fit(tree["conv1"])
    assert not np.array_equal(other.dictionary, modes.dictionary)


def test_provenance_tells_settings_and_data(tree, modes):
    record = labels.provenance(modes.to_tree())
    assert record["config"]["threshold"] == 0.9
    assert record["data"] == labels.fingerprint(tree["conv1"].contribution.sel(sign="excitatory"))
    assert json.dumps(record)


def test_without_held_out_rows_their_score_is_nan(tree):
    modes = nc.SparseModes(**QUICK, validation=0.0).fit(tree["conv1"])
    assert np.isnan(modes.r2)
    assert not modes.loadings.held_out.any()
    assert modes.r2_train > 0


def test_silent_and_constant_channels_are_fitted_and_left_out_of_the_score(tree):
    rows = tree["conv1"].contribution.sel(sign="excitatory").copy()
    rows[:, 0], rows[:, 1] = 0.0, 0.25
    modes = nc.SparseModes(**QUICK).fit(rows)
    assert np.isfinite([modes.r2, modes.r2_train, modes.r2_pooled]).all()
    assert float(np.abs(modes.inverse_transform(modes.loadings)[:, 0]).max()) < 1e-3


def test_a_single_channel_is_fitted(tree):
    rows = tree["conv1"].contribution.sel(sign="excitatory").isel(channel=[0])
    modes = nc.SparseModes(**QUICK).fit(rows)
    assert modes.dictionary.shape == (2, 1)
    assert np.isfinite(modes.loadings).all()


def test_rows_of_silence_have_loadings_of_zero(modes):
    silence = xr.DataArray(np.zeros((3, 6)), {"channel": np.arange(6)}, ("time", "channel"))
    assert not modes.transform(silence).any()


def test_fewer_rows_than_modes_are_warned_of(tree):
    with pytest.warns(NeurocodecWarning, match="9 rows to fit are fewer than 12 modes"):
        modes = nc.SparseModes(**QUICK).fit(tree["conv1"].isel(time=slice(10)))
    assert np.isfinite(modes.loadings).all()


def test_nan_is_refused(tree):
    rows = tree["conv1"].contribution.copy()
    rows[3, 0, 2] = np.nan
    with pytest.raises(InputError, match="NaN.*'time': 3.*'channel': 2"):
        nc.SparseModes(**QUICK).fit(rows)


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_rows_that_do_not_vary_are_refused(value):
    rows = xr.DataArray(np.full((50, 3), value), dims=("time", "channel"))
    with pytest.raises(InputError, match="all"):
        nc.SparseModes(**QUICK).fit(rows)


def test_too_few_rows_are_refused(tree):
    with pytest.raises(InputError, match="1 rows"):
        nc.SparseModes(**QUICK).fit(tree["conv1"].isel(time=slice(2)))


def test_other_channels_are_named(tree, modes):
    layer = tree["conv1"].contribution
    with pytest.raises(InputError, match="missing 5, not fitted 9"):
        modes.transform(layer.assign_coords(channel=[0, 1, 2, 3, 4, 9]))
    with pytest.raises(InputError, match="missing 5"):
        modes.transform(layer.isel(channel=slice(5)))
    with pytest.raises(InputError, match="another order"):
        modes.transform(layer.isel(channel=[1, 0, 2, 3, 4, 5]))


def test_a_whole_tree_asks_for_a_layer(tree):
    with pytest.raises(InputError, match=r"tree\['conv1'\]"):
        nc.SparseModes(**QUICK).fit(tree)


def test_maps_are_refused_with_their_dims():
    maps = xr.DataArray(np.ones((4, 2, 3, 3)), dims=("time", "channel", "y", "x"))
    with pytest.raises(InputError, match="'y', 'x'"):
        nc.SparseModes(**QUICK).fit(maps)


def test_what_is_not_fitted_says_so():
    with pytest.raises(InputError, match="not fitted"):
        _ = nc.SparseModes().dictionary
    assert "not fitted" in repr(nc.SparseModes())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none_is_refused():
    with pytest.raises(InputError, match="cuda"):
        nc.SparseModes(device="cuda")


def test_loadings_of_other_modes_are_not_joined(modes):
    with pytest.raises(InputError, match="mode"):
        modes.inverse_transform(modes.loadings.isel(mode=slice(5)))


def test_modes_and_loadings_know_their_layer_and_weights(tmp_path):
    def tree_of(seed):
        torch.manual_seed(seed)
        layers = (torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3), torch.nn.Tanh())
        net = nc.Network(torch.nn.Sequential(*layers).eval(), layers=["1", "3"])
        images = np.random.default_rng(0).random((40, 4), dtype=np.float32)
        rows = xr.DataArray(images, dims=("stimulus", "feature"))
        return nc.contributions(net, rows, target=nc.targets.Sum(), progress=False)

    with torch.random.fork_rng():
        tree, other = tree_of(0), tree_of(1)
    settings = {"sign": "net", "nonnegative": False, "epochs": 1, "progress": False}
    modes = nc.SparseModes(expansion=1, **settings).fit(tree["3"])
    modes.save(tmp_path / "modes.nc")
    known = nc.open(tmp_path / "modes.nc")
    record = labels.provenance(known.transform(tree["3"]))
    weights = labels.provenance(tree)["weights_sha256"]
    assert (record["layer"], record["weights_sha256"]) == ("3", weights)
    with pytest.raises(InputError, match="layer '1', for modes of '3'"):
        known.transform(tree, layer="1")
    with pytest.raises(InputError, match="for modes that were fitted to"):
        known.transform(other["3"])
    assert known.transform(other["3"].contribution).dims == ("stimulus", "mode")


@pytest.mark.parametrize("settings", [{}, {"encoder": "linear", "sparsifier": "topk"}])
def test_more_modes_than_memory_holds_are_refused_at_once(tree, settings):
    refused = pytest.raises(InputError, match=r"6 channels \(expansion=1e\+11\), which take")
    with pytest.warns(NeurocodecWarning, match="fewer than"), refused:
        nc.SparseModes(expansion=1e11, progress=False, **settings).fit(tree["conv1"])
