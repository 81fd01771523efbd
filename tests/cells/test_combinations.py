"""Combinations of modes: counted by hand; variance of fields: planted, null, and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.linear_model import LinearRegression, Ridge

import neurocodec as nc
from neurocodec import plotting
from neurocodec.errors import InputError, UnknownNameError
from neurocodec.kernels.field_regression import (
    explained_variance,
    normalised_gram,
    separable_gram,
)


def over_time(values, dim, step=0.1, **coords):
    values = np.asarray(values, dtype=float)
    return xr.DataArray(values, {"time": step * np.arange(len(values)), **coords}, ("time", dim))


LOADINGS = over_time(
    [[1, 0, 0], [2, 0, 0], [0, 3, 1], [0, 3, 1], [1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 2]], "mode"
).assign_coords(mode=[4, 7, 9])
RATES = over_time(
    [[5, 0], [0, 9], [2, 2], [4, 0], [9, 9], [3, 3], [6, 0], [0, 0]], "cell"
).assign_coords(cell=["a", "b"], cell_type=("cell", ["ON", "OFF"]))
DICTIONARY = xr.DataArray(np.eye(3), {"mode": [4, 7, 9]}, ("mode", "channel"))


def test_sets_of_modes_are_counted_by_hand():
    found = nc.mode_combinations(LOADINGS, RATES, max_active=2)
    assert found.combination.values.tolist() == ["4", "7+9", "9"]
    assert found["count"].values.tolist() == [3, 2, 1]
    assert found.share.values.tolist() == [3 / 8, 2 / 8, 1 / 8]
    assert found.active.values.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    np.testing.assert_allclose(found.mean_rate, [[11 / 3, 3], [3, 1], [0, 0]])
    np.testing.assert_allclose(found.driven_share, [[2 / 3, 1 / 3], [1, 1 / 2], [0, 0]])
    assert found.cell_type.values.tolist() == ["ON", "OFF"]
    assert found.mean_rate.attrs["units"] == "Hz"
    assert "4+7+9" in nc.mode_combinations(LOADINGS).combination.values


def test_a_threshold_makes_modes_inactive():
    found = nc.mode_combinations(LOADINGS, threshold=1.0)
    assert dict(zip(found.combination.values, found["count"].values, strict=True)) == {
        "7": 2,
        "4": 1,
        "9": 1,
    }


@settings(derandomize=True, max_examples=30, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 5))), st.integers(1, 5))
def test_counts_are_those_of_the_times(active, most):
    found = nc.mode_combinations(over_time(active, "mode"), max_active=most)
    number = active.sum(axis=1)
    assert int(found["count"].sum()) == ((number > 0) & (number <= most)).sum()
    assert (np.diff(found["count"]) <= 0).all()
    for row, count in zip(found.active.values, found["count"].values, strict=True):
        assert (active == row).all(axis=1).sum() == count


def test_combinations_survive_a_file(tmp_path):
    found = nc.mode_combinations(LOADINGS, RATES)
    nc.save(found, tmp_path / "combinations.nc")
    xr.testing.assert_identical(nc.open(tmp_path / "combinations.nc"), found)


def test_times_at_which_one_mode_alone_drives_a_cell():
    found = nc.combination_times(LOADINGS, RATES, modes=4, cell="a", apart=0.2)
    np.testing.assert_allclose(found.time, [0.6, 0.0])  # the highest rate first
    assert found.firing_rate.values.tolist() == [6, 5]
    assert found.loading.values.tolist() == [[1, 0, 0], [1, 0, 0]]
    assert found.combination.values.tolist() == ["4", "4"]
    assert found.cell.values.tolist() == ["a", "a"]
    strict = nc.combination_times(LOADINGS, RATES, modes=4, cell="a", min_rate=5.0)
    np.testing.assert_allclose(strict.time, [0.6])


def test_examples_are_of_different_events():
    found = nc.combination_times(LOADINGS, RATES, modes=[7, 9], cell="a", apart=0.15)
    np.testing.assert_allclose(found.time, [0.3])  # 0.2 is the same event
    near = nc.combination_times(LOADINGS, RATES, modes=[7, 9], cell="a", apart=0.05)
    np.testing.assert_allclose(near.time, [0.3, 0.2])
    assert nc.combination_times(LOADINGS, RATES, modes=4, apart=0.05, count=1).sizes["example"] == 2


def test_a_combination_may_be_with_others():
    alone = nc.combination_times(LOADINGS, RATES, modes=[7, 9], cell="b", apart=0.05)
    np.testing.assert_allclose(alone.time, [0.2])
    others = nc.combination_times(LOADINGS, RATES, modes=[7, 9], cell="b", alone=False, apart=0.05)
    np.testing.assert_allclose(others.time, [0.4, 0.2])
    few = nc.combination_times(
        LOADINGS, RATES, modes=[7, 9], cell="b", alone=False, apart=0.05, max_active=2
    )
    np.testing.assert_allclose(few.time, [0.2])


def test_any_combinations_are_all_different():
    found = nc.combination_times(LOADINGS, RATES, cell="a", apart=0.05)
    assert found.combination.values.tolist() == ["4+7+9", "4", "7+9"]
    assert found.firing_rate.values.tolist() == [9, 6, 4]
    empty = nc.combination_times(LOADINGS, RATES, modes=[4, 9])
    assert empty.sizes["example"] == 0
    assert empty.sizes["mode"] == 3


def test_near_copies_become_one_mode():
    dictionary = xr.DataArray(
        [[1.0, 0.0], [3.0, 0.1], [0.0, 1.0], [0.0, 1.0]], dims=("mode", "channel")
    )
    loadings = over_time([[2, 0, 0, 0], [0, 1, 0, 0], [1, 1, 5, 0]], "mode")
    merged = nc.merge_modes(loadings, dictionary)
    assert merged.mode.values.tolist() == [0, 2]  # mode 0 is used most; mode 3 is never active
    assert merged.members.values.tolist() == ["0 1", "2"]
    assert merged.copies.values.tolist() == [2, 1]
    weight = np.hypot(3.0, 0.1)
    np.testing.assert_allclose(merged[:, 0], [2, weight, 1 + weight])
    np.testing.assert_array_equal(merged.time, loadings.time)
    apart = nc.merge_modes(loadings, dictionary, cosine=1.0)
    assert apart.mode.values.tolist() == [0, 1, 2]


def test_merged_loadings_say_the_same_where_modes_are_exact_copies():
    random = np.random.default_rng(0)
    atoms = random.random((3, 6))
    dictionary = xr.DataArray(np.r_[atoms, 2 * atoms], dims=("mode", "channel"))
    loadings = over_time(random.random((20, 6)), "mode")
    merged = nc.merge_modes(loadings, dictionary)
    assert merged.sizes["mode"] == 3
    np.testing.assert_allclose(
        merged.values @ dictionary.sel(mode=merged.mode.values).values,
        loadings.values @ dictionary.values,
    )


def planted(noise=0.0, seed=0, times=120, cells=2):
    """Fields of rank 2 that are sums over active modes, with the loadings; and whole fields."""
    random = np.random.default_rng(seed)
    loadings = random.random((times, 3)) * (random.random((times, 3)) < 0.4)
    parts = random.normal(size=(cells, 3, 4, 5, 5))
    whole = np.einsum("tm,cmlyx->tclyx", loadings > 0, parts)
    whole = whole + noise * whole.std() * random.normal(size=whole.shape)
    time = {"time": np.arange(times) / 100}
    irf = xr.DataArray(whole, time, ("time", "cell", "lag", "y", "x"), name="irf")
    return irf, xr.DataArray(loadings, time, ("time", "mode"))


def test_planted_fields_are_explained_and_null_fields_are_not():
    fields, loadings = planted()
    found = nc.field_variance(fields, loadings, ridge=0.0, shuffles=39)
    np.testing.assert_allclose(found.explained, 1.0, atol=1e-8)
    assert (found.p_value == 1 / 40).all()
    assert (found.shuffled < 0.2).all()
    noise = xr.DataArray(np.random.default_rng(1).normal(size=fields.shape), fields.coords)
    null = nc.field_variance(noise.transpose(*fields.dims), loadings, shuffles=39)
    assert (np.abs(null.explained) < 0.1).all()
    assert (null.p_value > 0.05).all()


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_noisy_fields_are_explained_as_far_as_they_can_be(noise):
    fields, loadings = planted(noise, times=600, cells=1)
    found = nc.field_variance(fields.to_dataset(), loadings, ridge=0.0, shuffles=0)
    signal = planted(0.0, times=600, cells=1)[0]
    share = float(signal.var("time").sum() / fields.var("time").sum())
    assert float(found.explained[0]) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(("ridge", "model"), [(0.0, LinearRegression()), (0.3, Ridge)])
def test_the_gram_matrix_gives_what_scikit_learn_finds_pixel_by_pixel(ridge, model):
    fields, loadings = planted(1.0, times=60, cells=1)
    y, x = fields.values.reshape(60, -1), loadings.values
    left = total = 0.0
    for held in np.array_split(np.arange(60), 4):
        train = np.setdiff1d(np.arange(60), held)
        centred = x[train] - x[train].mean(axis=0)
        fit = model if ridge == 0 else model(alpha=ridge * (centred**2).sum(axis=0).mean())
        left += ((y[held] - fit.fit(x[train], y[train]).predict(x[held])) ** 2).sum()
        total += ((y[held] - y[train].mean(axis=0)) ** 2).sum()
    assert explained_variance(y @ y.T, x, ridge, 4) == pytest.approx(1 - left / total)


@settings(derandomize=True, max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 99))
def test_inner_products_of_components_are_those_of_the_fields(times, rank, seed):
    random = np.random.default_rng(seed)
    temporal, spatial = random.normal(size=(times, rank, 4)), random.normal(size=(times, rank, 6))
    whole = np.einsum("tkl,tkp->tlp", temporal, spatial).reshape(times, -1)
    gram = separable_gram(temporal, spatial)
    np.testing.assert_allclose(gram, whole @ whole.T, atol=1e-9)
    unit = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    np.testing.assert_allclose(normalised_gram(gram), unit @ unit.T, atol=1e-9)


def test_components_and_whole_fields_are_explained_alike():
    random = np.random.default_rng(0)
    _, loadings = planted()
    temporal = random.normal(size=(120, 2, 2, 4))
    spatial = random.normal(size=(120, 2, 2, 5, 5)) + (loadings.values[:, :1, None, None, None] > 0)
    parts = ("time", "cell", "component")
    fields = xr.Dataset(
        {"temporal": ((*parts, "lag"), temporal), "spatial": ((*parts, "y", "x"), spatial)},
        {"time": loadings.time, "cell": ["a", "b"]},
    )
    whole = xr.dot(fields.temporal, fields.spatial, dim="component")
    a, b = (nc.field_variance(f, loadings, shuffles=3) for f in (fields, whole))
    for name in a:
        np.testing.assert_allclose(a[name], b[name], err_msg=name)
    assert a.cell.values.tolist() == ["a", "b"]


def test_fields_at_some_times_take_the_loadings_of_these():
    fields, loadings = planted()
    chosen = [*range(0, 120, 2)]
    some = nc.field_variance(fields.isel(time=chosen), loadings, shuffles=5)
    same = nc.field_variance(fields.isel(time=chosen), loadings.isel(time=chosen), shuffles=5)
    np.testing.assert_allclose(some.explained, same.explained)
    with pytest.raises(InputError, match="times without loadings"):
        nc.field_variance(fields, loadings.isel(time=chosen))


def test_a_field_that_never_changes_has_no_variance():
    fields, loadings = planted()
    still = fields.isel(time=[0] * 120).assign_coords(time=fields.time)
    found = nc.field_variance(still, loadings, shuffles=2)
    assert np.isnan(found.explained).all()
    assert np.isnan(found.p_value).all()


def test_only_the_shape_counts_where_fields_are_normalised():
    fields, loadings = planted()
    size = np.exp(np.random.default_rng(0).normal(size=120))
    gain = xr.DataArray(size, {"time": fields.time}, ("time",))
    a, b = (
        nc.field_variance(f, loadings, normalise=True, shuffles=0) for f in (fields, fields * gain)
    )
    np.testing.assert_allclose(a.explained, b.explained)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nc.mode_combinations(LOADINGS, RATES.isel(time=slice(3))), "different 'time'"),
        (lambda: nc.mode_combinations(LOADINGS, max_active=0), "max_active=0"),
        (lambda: nc.mode_combinations(LOADINGS, threshold=-1), "threshold=-1"),
        (lambda: nc.mode_combinations(LOADINGS * np.nan), "NaN"),
        (lambda: nc.combination_times(LOADINGS, RATES, min_rate=-1), "min_rate=-1"),
        (lambda: nc.combination_times(LOADINGS, RATES, count=0), "count=0"),
        (lambda: nc.combination_times(LOADINGS, RATES, max_active=1.5), "max_active=1.5"),
        (lambda: nc.merge_modes(LOADINGS, DICTIONARY, cosine=0), "cosine=0"),
        (lambda: nc.merge_modes(0 * LOADINGS, DICTIONARY), "all 0"),
        (lambda: nc.merge_modes(LOADINGS, DICTIONARY[:2]), "different 'mode'"),
        (lambda: nc.field_variance(RATES, LOADINGS), "fields with dims"),
        (lambda: nc.field_variance(RATES.to_dataset(name="rates"), LOADINGS), "'irf'"),
        (lambda: nc.field_variance(*planted(), regressor="actve"), "actve"),
        (lambda: nc.field_variance(*planted(), folds=1), "folds=1"),
        (lambda: nc.field_variance(*planted(times=16)), "at least 20"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_unknown_modes_and_cells_are_named():
    with pytest.raises(UnknownNameError, match="mode '5'"):
        nc.combination_times(LOADINGS, RATES, modes=5)
    with pytest.raises(UnknownNameError, match="cell 'c'"):
        nc.combination_times(LOADINGS, RATES, cell="c")


def fields_of_examples(*examples):
    times = np.unique(np.concatenate([e.time.values for e in examples]))
    random = np.random.default_rng(0)
    parts = ("time", "cell", "component")
    spatial = np.zeros((len(times), 2, 1, 12, 12))
    spatial[..., 3:6, 4:7] = random.normal(size=(len(times), 2, 1, 3, 3))
    return xr.Dataset(
        {"spatial": ((*parts, "y", "x"), spatial)}, {"time": times, "cell": ["a", "b"]}
    )


def test_the_panel_shows_the_field_of_every_example():
    alone = nc.combination_times(LOADINGS, RATES, modes=4, apart=0.05)
    together = nc.combination_times(LOADINGS, RATES, apart=0.05)
    fields = fields_of_examples(alone, together)
    figure = plotting.plot_combinations(fields, alone, together, count=3, crop=False)
    figure.draw_without_rendering()
    axes = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in axes] == [
        "4",
        "4",
        *["4 7 9", "4", "7 9"],
        *["4", "4 7 9", "7 9"],
    ]
    assert [ax.get_xlabel() for ax in axes[:3]] == ["6 Hz", "9 Hz", "9 Hz"]
    expected = fields.spatial.sel(cell="a").sel(time=0.6, method="nearest").isel(component=0)
    np.testing.assert_array_equal(axes[0].images[0].get_array(), expected)
    low, high = axes[0].images[0].get_clim()
    assert -low == high == np.abs(expected).max()
    cut = plotting.plot_combinations(fields, alone, together, count=3)
    shape = next(ax for ax in cut.axes if ax.images).images[0].get_array().shape
    assert max(shape) <= 5  # three pixels and a margin


def test_the_panel_has_one_half_where_no_mode_is_ever_alone():
    together = nc.combination_times(LOADINGS, RATES, count=1)
    none = nc.combination_times(LOADINGS, RATES, modes=4, min_rate=1e9)
    fields = fields_of_examples(together)
    figure = plotting.plot_combinations(fields, none, together)
    assert sum(bool(ax.images) for ax in figure.axes) == together.sizes["example"]


def test_the_panel_wants_the_fields_of_its_examples():
    alone = nc.combination_times(LOADINGS, RATES, modes=4)
    fields = fields_of_examples(alone)
    with pytest.raises(InputError, match="without the time"):
        plotting.plot_combinations(fields.isel(time=[0]), alone, alone)
    none = nc.combination_times(LOADINGS, RATES, modes=[4, 9])
    with pytest.raises(InputError, match="no example"):
        plotting.plot_combinations(fields, none, none)


def test_few_times_have_few_shifts_and_no_small_p_value():
    """Of 20 times there are 19 shifts; 100 draws of them would call 1 in 101 what is 1 in 20."""
    fields, loadings = planted(times=20)
    found = nc.field_variance(fields, loadings, shuffles=100)
    assert found.sizes["shuffle"] == 19
    assert (found.p_value >= 1 / 20).all()
    assert nc.labels.provenance(found)["shuffles"] == 19


def test_the_order_in_which_fields_come_does_not_matter():
    fields, loadings = planted(noise=0.5)
    mixed = fields.isel(time=np.random.default_rng(0).permutation(120))
    a, b = (nc.field_variance(f, loadings, shuffles=5) for f in (fields, mixed))
    xr.testing.assert_allclose(a, b)


def test_a_mode_without_channels_is_a_group_by_itself():
    empty = DICTIONARY.copy(data=[[1.0, 0, 0], [0, 0, 0], [0, 0, 0]])
    merged = nc.merge_modes(LOADINGS, empty)
    np.testing.assert_array_equal(merged, LOADINGS)
    assert merged.copies.values.tolist() == [1, 1, 1]


def test_loadings_of_both_signs_are_merged_too():
    copies = DICTIONARY.copy(data=[[1.0, 0, 0], [2.0, 0, 0], [0, 1.0, 0]])
    merged = nc.merge_modes(-LOADINGS, copies)
    assert merged.members.values.tolist() == ["4 7", "9"]
    expected = (-LOADINGS).values @ copies.values
    np.testing.assert_allclose(merged.values @ copies.sel(mode=merged.mode).values, expected)


@pytest.mark.parametrize("cosine", [0, 95, np.nan])
def test_a_cosine_out_of_range_is_refused(cosine):
    with pytest.raises(InputError, match="cosine="):
        nc.merge_modes(LOADINGS, DICTIONARY, cosine=cosine)


def test_cells_without_names_are_called_by_their_number():
    rates = RATES.drop_vars(["cell", "cell_type"])
    found = nc.combination_times(LOADINGS, rates, cell="1", modes=4)
    assert found.cell.values.tolist() == ["1"]
    numbered = RATES.assign_coords(cell=[10, 20])
    assert nc.combination_times(LOADINGS, numbered, cell="20").cell.values.tolist() == [20]


def test_the_panel_wants_times():
    untimed = [x.drop_vars("time") for x in (LOADINGS, RATES)]
    found = nc.combination_times(*untimed)
    with pytest.raises(InputError, match="without times"):
        plotting.plot_combinations(
            fields_of_examples(nc.combination_times(LOADINGS, RATES)), found, found
        )
