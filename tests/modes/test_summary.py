"""Every figure of `modes.summary` against the loadings and dictionary that it describes."""

import json

import numpy as np
import pytest
import xarray as xr
from planted import planted_rows

import neurocodec as nc
from neurocodec import labels
from neurocodec.kernels import scores
from neurocodec.modes.coders import Coder
from neurocodec.modes.fitted import labelled_dictionary
from neurocodec.modes.summary import Tally, summary
from neurocodec.reports.description import describe


class Planted(Coder):
    """Modes that were never fitted."""

    def __init__(self, strength, atoms):
        object.__setattr__(self, "strength", strength)
        object.__setattr__(self, "atoms", atoms)

    def weak_loadings(self, rows):
        return rows @ np.linalg.pinv(self.atoms)

    def weak_atoms(self):
        return self.atoms

    def arrays(self):
        return {}


QUICK = {"expansion": 2, "epochs": 8, "progress": False, "device": "cpu"}


def rows_of(samples=300, channels=6, **changes):
    x, _ = planted_rows(samples, channels, 8, active=2, noise=0.05, seed=0)
    coords = {"channel": 10 + np.arange(channels)}
    rows = labels.labelled(x, ("time", "channel"), coords, name="contribution", units="bit")
    return rows.assign_coords(time=labels.time_coordinate(samples, 100.0), **changes)


@pytest.fixture(scope="module", params=["sparse", "pca"])
def found(request):
    """Modes with non-negative loadings, and modes with signed loadings and an offset."""
    rows = rows_of()
    if request.param == "pca":
        return rows, nc.BaselineModes("pca", modes=4).fit(rows)
    return rows, nc.SparseModes(**QUICK).fit(rows)


def test_figures_of_each_mode(found):
    rows, modes = found
    active = modes.loadings != 0
    np.testing.assert_allclose(modes.summary.active_share, active.mean("time"))
    np.testing.assert_array_equal(modes.summary.alive, active.any("time"))
    assert float(modes.summary.alive_share) == modes.alive == float(active.any("time").mean())
    assert "firing rate" in modes.summary.active_share.attrs["long_name"]
    atoms = np.abs(modes.dictionary.values).astype(float)
    ratio = atoms.sum(axis=1) / np.linalg.norm(atoms, axis=1)
    hoyer = (np.sqrt(6) - ratio) / (np.sqrt(6) - 1)
    np.testing.assert_allclose(modes.summary.hoyer, hoyer, atol=1e-5)
    assert rows.sizes["time"] == modes.loadings.sizes["time"]


def test_explained_variance_is_the_pooled_r2_lost_without_the_mode(found):
    rows, modes = found
    held = modes.loadings.held_out.values
    for mode in (0, 3):
        without = modes.loadings.copy()
        without[:, mode] = 0.0
        made = modes.inverse_transform(without)
        lost = modes.r2_pooled - scores.r2_pooled(rows[held], made[held])
        assert float(modes.summary.explained_variance[mode]) == pytest.approx(lost, abs=1e-5)


def test_top_channels_have_the_largest_weights(found):
    _, modes = found
    for mode in modes.summary.mode.values:
        by_hand = modes.dictionary.sel(mode=mode).to_series()
        by_hand = by_hand.reindex(by_hand.abs().sort_values(ascending=False).index)[:5]
        np.testing.assert_allclose(modes.summary.top_weight.sel(mode=mode), by_hand)
        picked = modes.dictionary.sel(mode=mode, channel=modes.summary.top_channel.sel(mode=mode))
        np.testing.assert_array_equal(picked, modes.summary.top_weight.sel(mode=mode))


def test_scores_of_each_channel_and_of_the_fit(found):
    rows, modes = found
    held = modes.loadings.held_out.values
    made = modes.inverse_transform(modes.loadings)
    for name, part in (("", held), ("_train", ~held)):
        features = scores.r2_features(rows[part], made[part])
        np.testing.assert_allclose(modes.summary[f"r2_feature{name}"], features, atol=1e-6)
        pooled = scores.r2_pooled(rows[part], made[part])
        assert float(modes.summary[f"r2_pooled{name}"]) == pytest.approx(pooled, abs=1e-6)
        assert float(modes.summary[f"r2{name}"]) == pytest.approx(features.mean(), abs=1e-6)
    assert modes.summary.channel.values.tolist() == list(range(10, 16))


def test_loadings_are_1_on_average_where_a_mode_is_active_in_training(found):
    _, modes = found
    training = np.abs(modes.loadings.values[~modes.loadings.held_out.values]).astype(float)
    mean = training.sum(axis=0) / np.maximum((training > 0).sum(axis=0), 1)
    np.testing.assert_allclose(mean[mean > 0], 1.0, rtol=1e-5)
    assert (mean > 0).any()


def test_the_nearest_cosine_is_with_another_alive_mode(found):
    _, modes = found
    atoms = modes.dictionary.values.astype(float)
    cosine = atoms @ atoms.T / np.outer(*2 * [np.linalg.norm(atoms, axis=1)])
    np.fill_diagonal(cosine, -2)
    np.testing.assert_allclose(modes.summary.nearest_cosine, cosine.max(axis=1), atol=1e-6)


def test_of_near_copies_one_is_distinct_and_dead_modes_do_not_count():
    rows = rows_of(samples=4, channels=3).isel(channel=slice(3))
    tally = Tally(4, 3, held=False)
    loadings = np.array([[2.0, 1.0, 1.0, 0.0]] * 4)
    tally.add(rows.values, loadings, rows.values, np.zeros(4, bool))
    atoms = np.array([[1, 0, 0], [1, 0.01, 0], [0, 1, 1], [0, 1, 1]], dtype=np.float32)
    found = summary(
        tally, Planted(np.ones(4, np.float32), atoms), labelled_dictionary(atoms, rows, 1.0)
    )
    close = 1 / np.sqrt(1 + 1e-4)
    third = 0.01 / np.sqrt(2 * (1 + 1e-4))
    np.testing.assert_allclose(found.nearest_cosine, [close, close, third, np.nan], atol=1e-6)
    assert float(found.distinct_share) == pytest.approx(2 / 3)


def test_what_is_made_says_how(found):
    rows, modes = found
    name = f"nc.{type(modes).__name__}"
    for result in (modes.dictionary, modes.loadings, modes.summary):
        record = labels.provenance(result)
        assert record["function"] == f"{name}.fit"
        assert record["data"] == labels.fingerprint(rows)
    facts = {"modes": labels.fingerprint(modes.dictionary)}
    z = modes.transform(rows)
    assert labels.provenance(z).items() >= (facts | {"function": f"{name}.transform"}).items()
    made = modes.inverse_transform(z)
    facts = facts | {"loadings": labels.fingerprint(z), "function": f"{name}.inverse_transform"}
    assert labels.provenance(made).items() >= facts.items()
    other = modes.transform(2 * rows)
    assert labels.provenance(other)["data"] != labels.provenance(z)["data"]


def test_of_near_copies_the_strongest_is_kept():
    rows = rows_of(samples=3, channels=2)
    angles = np.deg2rad([0.0, 6.0, 12.0])  # the outer two are close to the middle one alone
    atoms = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    coder = Planted(np.ones(3, np.float32), atoms)
    for loadings, share in (([1.0, 9.0, 1.0], 1 / 3), ([9.0, 1.0, 8.0], 2 / 3)):
        tally = Tally(3, 2, held=False)
        tally.add(rows.values, np.array([loadings] * 3), rows.values, np.zeros(3, bool))
        found = summary(tally, coder, labelled_dictionary(atoms, rows, 1.0))
        assert float(found.distinct_share) == pytest.approx(share)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_summary_comes_back_with_all_its_labels(found, tmp_path, suffix):
    _, modes = found
    path = tmp_path / f"modes{suffix}"
    modes.save(path)
    again = nc.open(path)
    xr.testing.assert_identical(again.summary, modes.summary)
    assert again.summary.channel.values.tolist() == list(range(10, 16))
    xr.testing.assert_identical(again.dictionary, modes.dictionary)
    xr.testing.assert_identical(again.loadings, modes.loadings)


def test_everything_has_units_and_a_meaning(found):
    _, modes = found
    for name, array in modes.summary.data_vars.items():
        assert array.name == name
        assert {"units", "long_name"} <= set(array.attrs)
    assert modes.summary.top_weight.attrs["units"] == "bit"
    assert json.dumps(labels.provenance(modes.to_tree()))


def test_a_description_starts_with_the_scores(found):
    _, modes = found
    lines = describe(modes).splitlines()
    assert lines[0] == type(modes).__name__
    assert lines[1].startswith(f"  {len(modes.dictionary)} modes, held-out R2 {modes.r2:.3f}")
    share = float(modes.summary.distinct_share)
    assert any(f"{share:.0%} of the alive modes distinct" in line for line in lines)
    assert any("firing rate of the mode" in line for line in lines)
    assert not any("strength" in line for line in lines)


def test_both_signs_say_which_sign_a_top_channel_has():
    x = rows_of().values
    parts = xr.DataArray(
        np.stack([x, -0.5 * np.roll(x, 7, axis=0)], axis=1),
        {"sign": ["excitatory", "inhibitory"]},
        ("time", "sign", "channel"),
    )
    modes = nc.SparseModes(**QUICK, sign="both").fit(parts)
    top = modes.summary.isel(mode=0)
    for rank in range(3):
        sign, channel = str(top.top_sign[rank].values), int(top.top_channel[rank])
        weight = modes.dictionary.isel(mode=0).sel(sign=sign).isel(channel=channel)
        assert float(weight) == float(top.top_weight[rank])
    assert modes.summary.r2_feature.dims == ("sign", "channel")


def test_constant_channels_have_no_score_and_do_not_count():
    rows = rows_of()
    rows[:, 2] = 0.25
    modes = nc.SparseModes(**QUICK).fit(rows)
    assert np.isnan(modes.summary.r2_feature[2])
    assert modes.r2 == pytest.approx(float(modes.summary.r2_feature.mean(skipna=True)))


def test_without_held_out_rows_modes_are_left_out_on_training_rows():
    rows = rows_of()
    modes = nc.SparseModes(**QUICK, validation=0.0).fit(rows)
    assert np.isnan(modes.r2)
    assert np.isnan(modes.summary.r2_feature).all()
    without = modes.loadings.copy()
    without[:, 1] = 0.0
    lost = modes.summary.r2_pooled_train - scores.r2_pooled(rows, modes.inverse_transform(without))
    assert float(modes.summary.explained_variance[1]) == pytest.approx(float(lost), abs=1e-5)


def test_a_tally_counts_what_is_active():
    tally = Tally(1, 1, held=False)
    rows, loadings = np.array([[2.0], [0.0]]), np.array([[2.0], [0.0]])
    tally.add(rows, loadings, rows, np.array([False, False]))
    assert tally.strength.tolist() == [2.0]
    assert tally.active_share.tolist() == [0.5]
    assert tally.l0 == 0.5
