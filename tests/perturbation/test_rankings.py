"""Classes of scores, and which samples a ranking has seen."""

import numpy as np
import pytest
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.perturbation.rankings import group_dim, shared_share, sketch


def test_the_dim_of_the_classes():
    assert group_dim(xr.DataArray([[1.0]], dims=("concept", "channel"))) == "concept"


def test_a_sketch_counts_its_samples():
    assert sketch(xr.DataArray([1.0, 2.0], {"stimulus": [7, 9]}, "stimulus"))["count"] == 2


def test_the_share_of_samples_that_are_in_a_sketch():
    samples = xr.DataArray(np.zeros(4), {"stimulus": [0, 1, 2, 3]}, "stimulus")
    assert shared_share(samples, sketch(samples.isel(stimulus=[0]))) == 0.25


def masks_of(labels, names):
    member = np.asarray(labels)[:, None] == np.asarray(names)
    return xr.DataArray(member, {"category": names}, ("stimulus", "category"))


def planted(seed=0):
    """Rows that modes of one channel each make, several modes for every class."""
    random = np.random.default_rng(seed)
    labels = np.repeat(["a", "b"], 30)
    loadings = random.random((60, 6)) * 0.2
    loadings[:30, :3] += 1
    loadings[30:, 3:] += 1
    strength = np.array([1.0, 3.0, 2.0, 2.0, 1.0, 3.0])
    return xr.DataArray(loadings * strength, dims=("stimulus", "channel")), labels


def test_contrast_is_the_difference_of_means():
    rows, labels = planted()
    found = nc.rankings.from_contrast(rows, masks_of(labels, ["a", "b"]))
    values = rows.values
    expected = values[:30].mean(0) - values[30:].mean(0)
    np.testing.assert_allclose(found.values, [expected, -expected])
    assert found.dims == ("category", "channel")


def test_contrast_of_inhibition_is_of_its_size():
    parts = xr.DataArray(
        [[[1.0, 0.0], [-5.0, 0.0]], [[1.0, 0.0], [0.0, -2.0]]],
        {"sign": ["excitatory", "inhibitory"]},
        ("stimulus", "sign", "channel"),
    )
    masks = masks_of(["a", "b"], ["a"])
    found = nc.rankings.from_contrast(parts, masks, sign="inhibitory")
    assert found.values.tolist() == [[5.0, -2.0]]
    assert nc.rankings.from_contrast(parts, masks, sign="net").values.tolist() == [[-5.0, 2.0]]


@pytest.mark.parametrize("sign", ["excitatory", "inhibitory", "both"])
def test_all_modes_rank_as_the_rows_that_they_explain_do(sign):
    """Modes that leave nothing unexplained have the contrast of the rows themselves."""
    rows, labels = planted()
    signs = xr.Variable("sign", [*nc.vocabulary.SIGNS])
    parts = xr.concat([rows, -rows.isel(channel=[5, 4, 3, 2, 1, 0])], signs)
    parts = parts.transpose("stimulus", "sign", "channel")
    masks = masks_of(labels, ["a", "b"])
    modes = nc.BaselineModes("pca", modes=6, sign=sign).fit(parts)
    found = nc.rankings.from_modes(modes, masks, top="all", weights="contrast")
    if sign == "both":
        each = (nc.rankings.from_contrast(parts, masks, sign=s) for s in nc.vocabulary.SIGNS)
        expected = sum(one.values for one in each)
    else:
        expected = nc.rankings.from_contrast(parts, masks, sign=sign).values
    np.testing.assert_allclose(found.values, expected, atol=2e-3)


def test_all_modes_rank_every_channel_of_a_class_where_the_best_mode_ranks_one():
    rows, labels = planted()
    masks = masks_of(labels, ["a", "b"])
    modes = nc.BaselineModes("pca", modes=6).fit(rows)
    every = nc.rankings.from_modes(modes, masks, top="all", weights="contrast")
    assert np.sort(np.argsort(-every.values, 1)[:, :3], 1).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert every.best_correlation[0] > 0.5
    few = nc.rankings.from_modes(modes, masks, top=1, weights="contrast")
    assert np.argmax(few.values, 1)[0] in (0, 1, 2)


def test_all_modes_by_their_largest_weights_are_refused():
    rows, labels = planted()
    modes = nc.BaselineModes("pca", modes=2).fit(rows)
    with pytest.raises(InputError, match="rank alike for every class"):
        nc.rankings.from_modes(modes, masks_of(labels, ["a", "b"]), top="all")


def test_a_class_of_all_images_has_no_contrast():
    rows, _ = planted()
    with pytest.raises(InputError, match="every image is a member"):
        nc.rankings.from_contrast(rows, masks_of(["a"] * 60, ["a"]))
