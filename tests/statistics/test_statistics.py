"""Statistics by layer: against numpy and scipy on the whole, on any blocks, on files and Dask."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning, UnknownNameError
from neurocodec.kernels.class_means import ClassMeans, draw_within
from neurocodec.kernels.correlation import Comoments
from neurocodec.kernels.dimensionality import components, participation_ratio, variances
from neurocodec.kernels.intervals import bootstrap_means, draw_counts, interval, mean_intervals
from neurocodec.kernels.signs import WeightedParts, row_correlation
from neurocodec.rows import layers
from neurocodec.rows.matrix import PARTS
from neurocodec.statistics import dimensions, signs

SIZE, CHANNELS, CLASSES = 120, (5, 8), ("cat", "dog", "jeep", "ship")
STATISTICS = {
    "hoyer": lambda tree: nc.statistics.hoyer(tree, bootstrap=20),
    "over channels": lambda tree: nc.statistics.sign_correlation(tree, bootstrap=20),
    "over samples": lambda tree: nc.statistics.sign_correlation(
        tree, over="stimulus", bootstrap=20
    ),
    "average": lambda tree: nc.statistics.sign_correlation(tree, over="average", bootstrap=20),
    "dimensionality": lambda tree: nc.statistics.dimensionality(tree, bootstrap=8),
    "scaled": lambda tree: nc.statistics.dimensionality(tree, bootstrap=3, scaling="channel"),
}
each_statistic = pytest.mark.parametrize("statistic", STATISTICS.values(), ids=STATISTICS)


def parts(size=SIZE, channels=5, seed=0):
    """Excitatory and inhibitory contributions of correlated channels."""
    random = np.random.default_rng(seed)
    shared = random.gamma(1.0, size=(size, 1, channels))
    own = random.gamma(1.0, size=(size, 2, channels))
    return (shared + own) * np.array([1.0, -1.0])[:, None]


def make(size=SIZE, seed=0):
    """Tree of two layers with classes that differ."""
    random = np.random.default_rng(seed)
    codes = np.arange(size) % len(CLASSES)
    nodes = {}
    for name, channels in zip(("conv1", "conv2"), CHANNELS, strict=True):
        centres = 3 * random.standard_normal((len(CLASSES), channels))
        values = parts(size, channels, seed + channels)
        activation = centres[codes] + random.standard_normal((size, channels)) + 20
        nodes[f"/{name}"] = xr.Dataset(
            {
                "contribution": (("stimulus", "sign", "channel"), values),
                "activation": (("stimulus", "channel"), activation),
            },
            {"sign": ["excitatory", "inhibitory"], "channel": np.arange(channels)},
        )
    root = xr.Dataset(
        coords={
            "stimulus": np.arange(size),
            "label": ("stimulus", np.array(CLASSES)[codes]),
        }
    )
    return xr.DataTree.from_dict({"/": root, **nodes})


@pytest.fixture
def small_blocks(monkeypatch):
    """Rows are read seven at a time."""
    monkeypatch.setattr(layers, "_MOST", 7)


# ---- values


def test_hoyer_is_that_of_the_formula_for_every_image() -> None:
    tree = make()
    found = nc.statistics.hoyer(tree)
    for layer, channels in zip(("conv1", "conv2"), CHANNELS, strict=True):
        rows = {
            "contribution": tree[layer]["contribution"].values.sum(axis=1),
            "activation": tree[layer]["activation"].values,
        }
        means = {}
        for kind, x in rows.items():
            ratio = np.linalg.norm(x, 1, axis=1) / np.linalg.norm(x, 2, axis=1)
            each = (channels**0.5 - ratio) / (channels**0.5 - 1)
            means[kind] = each
            np.testing.assert_allclose(found.hoyer.sel(layer=layer, kind=kind), each.mean())
        paired = (means["contribution"] - means["activation"]).mean()
        np.testing.assert_allclose(found.difference.sel(layer=layer), paired)
    assert (found.n == SIZE).all()


@pytest.mark.parametrize(
    ("sign", "expected"), [("excitatory", 0.0), ("inhibitory", 1.0), ("net", 0.0), ("both", None)]
)
def test_hoyer_takes_the_sign_that_is_asked_for(sign, expected) -> None:
    """Excitation the same in four channels, inhibition of twice the size in one."""
    values = np.array([[[1.0, 1, 1, 1], [-2.0, 0, 0, 0]]])
    node = xr.Dataset(
        {
            "contribution": (("stimulus", "sign", "channel"), values),
            "activation": (("stimulus", "channel"), values[:, 0]),
        },
        {"sign": ["excitatory", "inhibitory"]},
    )
    found = nc.statistics.hoyer(xr.DataTree.from_dict({"/a": node}), sign=sign)
    if expected is None:  # sizes 1 1 1 1 2 0 0 0
        expected = (8**0.5 - 6 / 8**0.5) / (8**0.5 - 1)
    assert float(found.hoyer.sel(kind="contribution")[0]) == pytest.approx(expected)


def test_an_image_without_contributions_is_left_out_and_not_counted() -> None:
    tree = make()
    tree["conv1"]["contribution"].values[3] = 0.0
    found = nc.statistics.hoyer(tree)
    assert found.n.values.tolist() == [[SIZE - 1, SIZE], [SIZE, SIZE]]
    assert np.isfinite(found.difference_interval).all()


@pytest.mark.parametrize("over", ["channel", "stimulus"])
def test_sign_correlation_is_the_mean_of_scipys(over) -> None:
    tree = make()
    found = nc.statistics.sign_correlation(tree, over=over)
    for layer in ("conv1", "conv2"):
        values = tree[layer]["contribution"].values
        pairs = values if over == "channel" else values.transpose(2, 1, 0)
        each = [scipy.stats.pearsonr(e, -i).statistic for e, i in pairs]
        one = found.sel(layer=layer)
        np.testing.assert_allclose(one.sign_correlation, np.mean(each))
        assert int(one.n) == len(each)
        assert over.replace("stimulus", "samples") in one.sign_correlation.long_name


def test_averages_over_images_are_correlated_once() -> None:
    tree = make()
    found = nc.statistics.sign_correlation(tree, over="average").sign_correlation
    mean = tree["conv1"]["contribution"].values.mean(axis=0)
    np.testing.assert_allclose(found[0], scipy.stats.pearsonr(mean[0], -mean[1]).statistic)


def test_balanced_channels_give_one_and_single_signed_ones_a_negative_number() -> None:
    tree = make()
    values = tree["conv1"]["contribution"].values
    values[:, 1] = -values[:, 0]
    tree["conv2"]["contribution"].values[:, 0, ::2] = 0.0
    tree["conv2"]["contribution"].values[:, 1, 1::2] = 0.0
    found = nc.statistics.sign_correlation(tree).sign_correlation
    assert float(found[0]) == pytest.approx(1.0)
    assert float(found[1]) < -0.5


@pytest.mark.parametrize("scaling", ["none", "channel"])
def test_dimensionality_is_that_of_scikit_learns_components(scaling) -> None:
    tree = make()
    found = nc.statistics.dimensionality(tree, scaling=scaling)
    labels = tree["label"].values
    for layer in ("conv1", "conv2"):
        rows = tree[layer]["activation"].values
        rows = rows / rows.std(axis=0) if scaling == "channel" else rows
        means = np.stack([rows[labels == name].mean(axis=0) for name in CLASSES])
        for points, x in (("class_mean", means), ("sample", rows)):
            pca = PCA().fit(x)
            one = found.sel(layer=layer, kind="activation", points=points)
            reached = np.cumsum(pca.explained_variance_ratio_) >= 0.95
            assert int(one.components) == reached.argmax() + 1
            ratio = pca.explained_variance_
            np.testing.assert_allclose(
                one.participation_ratio, ratio.sum() ** 2 / (ratio**2).sum(), rtol=1e-10
            )
        curve = found.cumulative_variance.sel(layer=layer, kind="activation")
        shares = PCA().fit(means).explained_variance_ratio_
        np.testing.assert_allclose(curve, np.cumsum(shares), rtol=1e-10)
    assert found.n.values.tolist() == [len(CLASSES), SIZE]
    assert found.images_per_class.values.tolist() == [SIZE // 4] * 4


def test_samples_alone_have_a_dimensionality_without_classes() -> None:
    found = nc.statistics.dimensionality(make().copy(), classes=None)
    assert found.points.values.tolist() == ["sample"]
    assert "images_per_class" not in found
    assert found.cumulative_variance.sizes["component"] == max(CHANNELS)


def test_samples_with_an_empty_label_belong_to_no_class() -> None:
    tree = make()
    named = nc.statistics.dimensionality(tree.isel(stimulus=slice(0, 100)), bootstrap=0)
    tree["label"].values[100:] = ""
    found = nc.statistics.dimensionality(tree, bootstrap=0)
    columns = ["components", "participation_ratio"]
    for name in columns:
        xr.testing.assert_allclose(
            found[name].sel(points="class_mean"), named[name].sel(points="class_mean")
        )
    assert int(found.images_per_class.sum()) == 100


@given(st.integers(1, 12), st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_equal_variances_have_as_many_dimensions_as_axes(axes, scale) -> None:
    rows = np.concatenate([np.eye(axes), -np.eye(axes)]) * 10.0**scale
    found = variances(np.pad(rows, ((0, 0), (0, 3))))
    assert float(participation_ratio(found)) == pytest.approx(axes)
    assert int(components(found, 0.95)) == int(np.ceil(0.95 * axes - 1e-9))


# ---- intervals


def test_intervals_are_as_wide_as_the_standard_error_says() -> None:
    values = np.random.default_rng(1).standard_normal((400, 1)) + 5
    mean, low, high, number = mean_intervals(values, 2000, 0.95, 0)[:, 0]
    reach = 1.96 * values.std() / 20
    assert number == 400
    assert mean == pytest.approx(values.mean())
    assert (mean - low, high - mean) == pytest.approx((reach, reach), rel=0.1)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = 0
    for trial in range(200):
        values = np.random.default_rng(trial).exponential(size=(100, 1))
        _, low, high, _ = mean_intervals(values, 200, 0.9, trial)[:, 0]
        held += low <= 1.0 <= high
    assert 0.82 <= held / 200 <= 0.96  # a little below 90 %: percentiles of a skewed mean


def test_draws_count_rows_and_are_the_same_for_more_draws() -> None:
    few = np.concatenate([*draw_counts(50, 3, 7)])
    many = np.concatenate([*draw_counts(50, 9, 7)])
    assert (few.sum(axis=1) == 50).all()
    np.testing.assert_array_equal(few, many[:3])
    values = np.random.default_rng(0).standard_normal((50, 4))
    np.testing.assert_allclose(bootstrap_means(values, 3, 7), few @ values / 50)


def test_nan_is_left_out_of_every_draw() -> None:
    values = np.random.default_rng(0).standard_normal((30, 2))
    values[::4, 1] = np.nan
    (counts,) = draw_counts(30, 5, 0)
    found = bootstrap_means(values, 5, 0)
    for draw, count in enumerate(counts.astype(int)):
        expected = np.nanmean(np.repeat(values, count, axis=0), axis=0)
        np.testing.assert_allclose(found[draw], expected)


def test_the_order_of_the_images_does_not_matter() -> None:
    """Also where they are sorted by class, so that stretches of them are single classes."""
    tree = make(400)
    order = np.argsort(tree["label"].values, kind="stable")

    def width(one):
        found = nc.statistics.dimensionality(one).participation_ratio_interval
        return found.sel(kind="activation", points="sample").diff("bound").values

    assert (width(tree.isel(stimulus=order)) < 2.5 * width(tree)).all()


def test_frames_of_a_movie_are_drawn_in_blocks() -> None:
    tree = make()
    smooth = np.repeat(tree["conv1"]["activation"].values[::10], 10, axis=0)
    tree["conv1"]["activation"].values[:] = smooth
    movie = xr.DataTree.from_dict(
        {"/conv1": tree["conv1"].to_dataset(inherit=False).rename(stimulus="time")}
    )
    width = [
        float(found.hoyer_interval.diff("bound").sel(layer="conv1", kind="activation")[0])
        for found in (nc.statistics.hoyer(movie), nc.statistics.hoyer(tree))
    ]
    assert width[0] > 1.3 * width[1]
    stretches = nc.statistics.dimensionality(movie, classes=None)
    assert np.isfinite(stretches.participation_ratio_interval).all()


def test_images_are_drawn_within_their_class() -> None:
    codes = np.array([2, 0, 1, 2, 0, -1, 2])
    counts = draw_within(codes, 40, 3)
    np.testing.assert_array_equal(counts[0], codes >= 0)
    for name in range(3):
        assert (counts[:, codes == name].sum(axis=1) == (codes == name).sum()).all()
    assert (counts[1:, codes == 2].std(axis=0) > 0).all()
    np.testing.assert_array_equal(draw_within(codes, 4, 3, first=2), counts[2:6])
    many = draw_within(codes, 2000, 3)[1:].mean(axis=0)
    np.testing.assert_allclose(many, codes >= 0, atol=0.1)


def test_seed_and_number_of_draws_decide_about_the_intervals_only() -> None:
    tree = make()
    for make_one in (nc.statistics.hoyer, nc.statistics.sign_correlation):
        name = make_one.__name__
        one, same, other = (make_one(tree, seed=s, bootstrap=50) for s in (0, 0, 1))
        assert one.identical(same)
        assert (one[name] == other[name]).all()
        assert (one[f"{name}_interval"] != other[f"{name}_interval"]).any()
        none = make_one(tree, bootstrap=0)
        assert none[f"{name}_interval"].isnull().all()


def test_intervals_of_numbers_of_components_are_whole_and_around_them() -> None:
    found = nc.statistics.dimensionality(make())
    ends = found.components_interval
    assert (ends == ends.round()).all()
    assert (ends.sel(bound="low") <= found.components).all()
    assert (ends.sel(bound="high") >= found.components).all()
    inside = found.participation_ratio_interval
    assert (inside.sel(bound="low") < found.participation_ratio).all()
    assert (inside.sel(bound="high") > found.participation_ratio).all()
    assert np.isfinite(found.bootstrap_bias.sel(points="class_mean")).all()


def test_intervals_shrink_with_the_number_of_images() -> None:
    def width(size):
        found = nc.statistics.dimensionality(make(size))
        ends = found.participation_ratio_interval.sel(kind="activation", layer="conv2")
        return ends.diff("bound").values[:, 0]

    assert (width(1600) < 0.6 * width(80)).all()


# ---- blocks, files, Dask


BIG = st.sampled_from([0.0, 1.0, -1e4, 1e6])


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), BIG, st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_moments_of_blocks_are_those_of_the_whole(sizes, mean, seed) -> None:
    random = np.random.default_rng(seed)
    size = sum(sizes) + 2
    scales = np.array([1e-3, 1.0, 1e3])
    a = random.standard_normal((size, 3)) * scales + mean * scales
    b = random.standard_normal((size, 2)) + mean
    cuts = np.cumsum(sizes)
    blocks = zip(np.split(a, cuts), np.split(b, cuts), strict=True)
    state = Comoments.of(a[:0], b[:0])
    for x, y in blocks:
        state = state.merge(Comoments.of(x, y))
    np.testing.assert_allclose(state.means[0], a.mean(axis=0), rtol=1e-12, atol=1e-12)
    centred = a - a.mean(axis=0), b - b.mean(axis=0)
    tolerance = 1e-10 * np.outer(*(np.linalg.norm(x, axis=0) for x in centred))
    assert (abs(state.products - centred[0].T @ centred[1]) <= tolerance).all()
    np.testing.assert_allclose(state.squares[1], (centred[1] ** 2).sum(axis=0), rtol=1e-10)


def test_rows_are_taken_out_again() -> None:
    random = np.random.default_rng(4)
    a, b = random.standard_normal((40, 3)) + 1e5, random.standard_normal((40, 2))
    left = Comoments.of(a, b).without(Comoments.of(a[:9], b[:9]))
    expected = Comoments.of(a[9:], b[9:])
    assert left.count == 31
    np.testing.assert_allclose(left.means[0], expected.means[0], rtol=1e-14)
    np.testing.assert_allclose(left.products, expected.products, atol=1e-8)
    np.testing.assert_allclose(left.squares[0], expected.squares[0], rtol=1e-9)
    assert expected.without(expected).count == 0


def test_the_sum_of_squares_would_fail_where_moments_do_not() -> None:
    """The textbook formula loses everything here."""
    x = 1e9 + np.arange(1000.0)[:, None] % 2
    blocks = np.split(x, 10)
    state = Comoments.of(blocks[0])
    for block in blocks[1:]:
        state = state.merge(Comoments.of(block))
    assert float(state.products[0, 0]) == pytest.approx(250.0, rel=1e-10)
    textbook = sum(float((b**2).sum()) for b in blocks) - 1000 * float(x.mean()) ** 2
    assert abs(textbook - 250) > 1


@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_class_means_of_blocks_are_those_of_the_whole(mean) -> None:
    random = np.random.default_rng(2)
    rows, codes = random.standard_normal((60, 3)) + mean, random.integers(-1, 4, 60)
    weights = draw_within(codes, 3, 0)
    state = ClassMeans.of(rows[:11], codes[:11], weights[:, :11], 4)
    state = state.merge(ClassMeans.of(rows[11:], codes[11:], weights[:, 11:], 4))
    for draw in range(3):
        for name in range(4):
            w = weights[draw] * (codes == name)
            expected = np.average(rows - mean, axis=0, weights=w)
            np.testing.assert_allclose(state.mean[draw, name] - mean, expected, atol=1e-9)


def test_weighted_correlations_of_blocks_are_numpys() -> None:
    values = parts() * np.array([1.0, -1.0])[:, None] + 1e5
    weights = np.concatenate([*draw_counts(SIZE, 4, 0)])
    state = WeightedParts.of(values[:50], weights[:, :50])
    state = state.merge(WeightedParts.of(values[50:], weights[:, 50:]))
    for draw, w in enumerate(weights):
        for channel in range(5):
            x = np.repeat(values[:, :, channel], w.astype(int), axis=0)
            expected = np.corrcoef(x.T)[0, 1]
            assert state.correlation[draw, channel] == pytest.approx(expected, abs=1e-10)


def test_a_channel_that_is_constant_where_drawn_has_no_correlation() -> None:
    values = np.zeros((6, 2, 1))
    values[0], values[1:, 0] = [[1.0], [3.0]], 0.1
    weights = np.array([[1.0] * 6, [0, 2, 1, 1, 1, 1]])
    found = WeightedParts.of(values, weights).correlation
    assert np.isfinite(found[0, 0])
    assert np.isnan(found[1, 0])
    assert np.isnan(row_correlation(np.full((1, 2, 4), 0.3))).all()


@each_statistic
@pytest.mark.usefixtures("small_blocks")
def test_blocks_change_nothing(statistic, monkeypatch) -> None:
    tree = make()
    few = statistic(tree)
    monkeypatch.setattr(layers, "_MOST", 8192)
    xr.testing.assert_allclose(few, statistic(tree), rtol=1e-10, atol=1e-12)


@each_statistic
@pytest.mark.parametrize("name", ["tree.nc", "tree.zarr"])
@pytest.mark.usefixtures("small_blocks")
def test_files_are_read_block_by_block(statistic, name, tmp_path, monkeypatch) -> None:
    tree = make()
    nc.save(tree, tmp_path / name)
    lazy = nc.open(tmp_path / name, lazy=True)
    read = []
    values = xr.DataArray.values.fget

    def watched(self):
        found = values(self)
        if "channel" in self.dims and found.ndim > 1:
            read.append(len(found))
        return found

    monkeypatch.setattr(xr.DataArray, "values", property(watched))
    found = statistic(lazy)
    assert read
    assert max(read) <= 7
    monkeypatch.undo()
    xr.testing.assert_allclose(found, statistic(tree), rtol=1e-10, atol=1e-12)
    lazy.close()


def never(*_args, **_kwargs):
    pytest.fail("something was computed")


@each_statistic
def test_dask_arrays_are_not_computed_before_they_are_asked_for(statistic) -> None:
    dask = pytest.importorskip("dask")
    tree = make()
    chunked = tree.copy()  # the labels at the root are read at once
    for name in ("conv1", "conv2"):
        chunked[name].dataset = tree[name].to_dataset(inherit=False).chunk(stimulus=32)
    with dask.config.set(scheduler=never):
        plan = statistic(chunked)
    lazy = [name for name, x in plan.data_vars.items() if x.chunks is not None]
    assert set(plan.data_vars) - set(lazy) <= {"n", "images_per_class"}
    assert lazy
    with dask.config.set(scheduler="synchronous"):
        xr.testing.assert_allclose(plan.compute(), statistic(tree), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("transform", [None, "sqrt", "rank"])
@pytest.mark.parametrize("both", [True, False])
def test_correlations_of_dask_arrays_are_plans(transform, both) -> None:
    dask = pytest.importorskip("dask")
    random = np.random.default_rng(0)
    a = xr.DataArray(random.standard_normal((90, 2, 3)) + 1e5, dims=("stimulus", "sign", "channel"))
    b = xr.DataArray(
        random.integers(0, 2, (90, 4)).astype(bool),
        {"category": list("abcd")},
        ("stimulus", "category"),
    )
    b[:, 3] = True
    right = b.chunk(stimulus=20) if both else b
    with dask.config.set(scheduler=never):
        plan = nc.correlate(a.chunk(stimulus=32, channel=2), right, transform=transform)
    assert plan.chunks is not None
    expected = nc.correlate(a, b, transform=transform)
    with dask.config.set(scheduler="synchronous"):
        found = plan.compute()
    xr.testing.assert_allclose(found, expected, atol=1e-10)
    assert found.isnull().sum() == 6  # with the mask that is true everywhere
    assert found.attrs == expected.attrs


# ---- results and bad input


@each_statistic
def test_results_are_labelled_and_survive_a_file(statistic, tmp_path) -> None:
    found = statistic(make())
    assert nc.labels.provenance(found)["function"].startswith("nc.statistics.")
    for x in found.data_vars.values():
        assert x.attrs["long_name"]
        assert "units" in x.attrs
    nc.save(found, tmp_path / "found.nc")
    assert nc.open(tmp_path / "found.nc").identical(found)
    assert found.layer.values.tolist() == ["conv1", "conv2"]


@each_statistic
def test_nan_is_refused_by_layer_and_row(statistic) -> None:
    tree = make()
    tree["conv2"]["contribution"].values[17, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"'conv2'.*first at row 17"):
        statistic(tree)


def test_layers_are_chosen_and_unknown_ones_named() -> None:
    tree = make()
    found = nc.statistics.hoyer(tree, layers=["conv2"])
    assert found.layer.values.tolist() == ["conv2"]
    with pytest.raises(UnknownNameError, match="'conv1'"):
        nc.statistics.hoyer(tree, layers=["conv11"])


BAD = {
    "no tree": (lambda t: nc.statistics.hoyer(t["conv1"].to_dataset()), "nc.contributions"),
    "maps": (
        lambda t: nc.statistics.hoyer(
            xr.DataTree.from_dict({"/a": t["conv1"].to_dataset().expand_dims(y=2)})
        ),
        "reduce='channel'",
    ),
    "no activations": (
        lambda t: nc.statistics.hoyer(
            xr.DataTree.from_dict({"/a": t["conv1"].to_dataset().drop_vars("activation")})
        ),
        "'activation'",
    ),
    "sign": (lambda t: nc.statistics.hoyer(t, sign="positive"), "'net'"),
    "over": (lambda t: nc.statistics.sign_correlation(t, over="image"), "'channel'"),
    "one sign": (
        lambda t: nc.statistics.sign_correlation(
            xr.DataTree.from_dict({"/a": t["conv1"].to_dataset().isel(sign=0, drop=True)})
        ),
        "both signs",
    ),
    "draws": (lambda t: nc.statistics.hoyer(t, bootstrap=-1), "bootstrap=-1"),
    "confidence": (lambda t: nc.statistics.hoyer(t, confidence=95), "between 0 and 1"),
    "share": (lambda t: nc.statistics.dimensionality(t, share=95), "0.95"),
    "scaling": (lambda t: nc.statistics.dimensionality(t, scaling="unit"), "'channel'"),
    "no classes": (lambda t: nc.statistics.dimensionality(t, classes="kind"), "classes=None"),
}


@pytest.mark.parametrize(("call", "says"), BAD.values(), ids=BAD)
def test_bad_input_is_told_what_to_type(call, says) -> None:
    with pytest.raises(InputError, match=says):
        call(make())


def test_a_single_class_is_refused() -> None:
    tree = make()
    tree["label"].values[:] = "cat"
    with pytest.raises(InputError, match="1 class"):
        nc.statistics.dimensionality(tree)


def test_few_images_of_a_class_are_warned_of() -> None:
    tree = make().isel(stimulus=slice(0, 9))
    with pytest.warns(NeurocodecWarning, match="classes have 2 images or fewer, and 0 a single"):
        found = nc.statistics.dimensionality(tree)
    assert found.participation_ratio_interval.sel(points="sample").isnull().all()


def test_interval_of_nothing_is_nothing() -> None:
    assert np.isnan(interval(np.empty((0, 3)), 0.9)).all()


def peak(call):
    """Most megabytes that numpy has at a time, above those at the start."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_draws(monkeypatch) -> None:
    """400 more draws would be 32 MB of class means, or 6 MB of sums over samples."""
    monkeypatch.setattr(dimensions, "_MEMORY", 2**18)
    monkeypatch.setattr(signs, "_DRAWS", 32)
    random = np.random.default_rng(0)
    rows = random.random((250, 2, 400)) * np.array([1.0, -1.0])[:, None]
    node = xr.Dataset(
        {
            "contribution": (("stimulus", "sign", "channel"), rows),
            "activation": (("stimulus", "channel"), rows[:, 0]),
        },
        {"sign": ["excitatory", "inhibitory"]},
    )
    label = ("stimulus", np.char.add("c", (np.arange(250) % 25).astype(str)))
    tree = xr.DataTree.from_dict({"/": xr.Dataset(coords={"label": label}), "/conv": node})
    for call in (
        lambda n: nc.statistics.dimensionality(tree, bootstrap=n),
        lambda n: nc.statistics.sign_correlation(tree, over="stimulus", bootstrap=n),
    ):
        few, many = (peak(partial(call, draws)) for draws in (60, 460))
        assert many < few + 4


def test_numbers_of_draws_may_be_numpys():
    tree = make()
    for statistic in (nc.statistics.hoyer, nc.statistics.sign_correlation):
        found = statistic(tree, bootstrap=np.int64(20), confidence=np.float64(0.9))
        xr.testing.assert_identical(found, statistic(tree, bootstrap=20, confidence=0.9))
        with pytest.raises(InputError, match="bootstrap=True"):
            statistic(tree, bootstrap=True)


@pytest.mark.parametrize("sign", PARTS)
def test_every_part_of_contributions_has_a_sparsity(sign):
    assert np.isfinite(nc.statistics.hoyer(make(), sign=sign, bootstrap=0).hoyer).all()


def test_samples_without_a_label_belong_to_no_class() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3))
    node = xr.Dataset(
        dict.fromkeys(("contribution", "activation"), (("stimulus", "channel"), rows))
    )
    names = np.array(["a", "b"] * 20, dtype=object)
    names[:4] = [None, np.nan, "", None]
    found = {}
    for kind, texts in (("missing", names), ("empty", np.where(np.arange(40) < 4, "", names))):
        root = xr.Dataset(coords={"label": ("stimulus", texts)})
        tree = xr.DataTree.from_dict({"/": root, "/conv": node})
        found[kind] = nc.statistics.dimensionality(tree, bootstrap=0)
    assert found["missing"].category.values.tolist() == ["a", "b"]
    xr.testing.assert_identical(found["missing"].drop_attrs(), found["empty"].drop_attrs())
