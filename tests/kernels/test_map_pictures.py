"""Pictures of maps: by hand, against scipy and numpy, and for all maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from neurocodec.errors import InputError
from neurocodec.kernels.map_pictures import (
    mask,
    masked_image,
    require_exponent,
    signed_picture,
    size_limit,
    size_picture,
    smoothed,
)

MAPS = arrays(np.float64, (2, 3, 6, 5), elements=st.floats(-10, 10, width=32))


def random_maps(*shape):
    return np.random.default_rng(0).normal(size=shape)


def test_by_hand():
    colors = [[[1.0, -3.0, 0.0], [0.0, 0.0, 2.0]], [[1.0, 1.0, 0.0], [0.0, -1.0, 2.0]]]
    assert signed_picture(colors).tolist() == [[2.0, -2.0, 0.0], [0.0, -1.0, 4.0]]
    assert size_picture(colors).tolist() == [[2.0, 2.0, 0.0], [0.0, 1.0, 4.0]]
    # sizes 0 0 1 2 2 4: the median is 1.5, and squares of a part of it are dark
    expected = [[1.0, 1.0, 0.0], [0.0, (1 / 1.5) ** 2, 1.0]]
    np.testing.assert_allclose(mask(colors, quantile=0.5, contrast=2.0), expected)
    shown = masked_image(np.full((3, 2, 3), 0.5), mask(colors, quantile=1.0))
    np.testing.assert_allclose(shown[1], [[0.25, 0.25, 0.0], [0.0, 0.125, 0.5]])


def test_the_median_is_that_of_the_neighbours():
    maps = random_maps(2, 3, 9, 8)
    found, sizes = signed_picture(maps, 3), size_picture(maps, 3)
    for one, signed, size in zip(maps.sum(1), found, sizes, strict=True):
        np.testing.assert_allclose(signed, ndimage.median_filter(one, 3, mode="nearest"))
        assert signed[4, 4] == np.median(one[3:6, 3:6])
        assert size[4, 4] == np.median(np.abs(one[3:6, 3:6]))  # of sizes, not size of medians


def test_neighbours_of_opposite_sign_act_though_their_median_is_zero():
    checks = np.indices((1, 8, 8)).sum(0) % 2 * 2.0 - 1
    checks[0, :, 3:5] = 0.0
    assert size_picture(checks, 5)[4, 1] == 1.0


def test_a_filter_takes_a_single_pixel_away():
    one = np.zeros((1, 7, 7))
    one[0, 3, 3] = 5.0
    assert not mask(one, size=3).any()
    assert mask(one, size=1).sum() == 1.0


@given(MAPS, st.floats(0.05, 1.0), st.floats(0.1, 4.0), st.sampled_from([1, 3]))
def test_masks_lie_between_dark_and_bright(maps, quantile, contrast, size):
    found = mask(maps, size=size, quantile=quantile, contrast=contrast)
    assert found.shape == (2, 6, 5)
    assert found.min() >= 0
    assert found.max() <= 1
    for one, sizes in zip(found, size_picture(maps, size), strict=True):
        assert one.max() == (1.0 if sizes.any() else 0.0)
        assert not one[sizes == 0].any()


@given(MAPS, st.floats(0.01, 100.0))
def test_the_scale_of_a_map_does_not_matter_to_its_mask(maps, factor):
    np.testing.assert_allclose(mask(factor * maps), mask(maps), atol=1e-9)
    np.testing.assert_allclose(mask(-maps), mask(maps))


def test_contrast_keeps_the_order_and_a_limit_is_one_for_all():
    maps = random_maps(2, 3, 8, 8) * np.array([1.0, 10.0])[:, None, None, None]
    dim, plain = mask(maps, contrast=2.0), mask(maps)
    np.testing.assert_allclose(dim, plain**2)
    limit = 12.5
    np.testing.assert_allclose(mask(maps, limit=limit), np.minimum(1, np.abs(maps.sum(1)) / limit))


def test_the_limit_is_the_quantile_or_the_largest():
    maps = random_maps(4, 6, 7)
    expected = [np.quantile(np.abs(m), 0.9) for m in maps]
    np.testing.assert_allclose(size_limit(maps, 0.9), expected)
    few = np.zeros((10, 10))
    few[2, 3] = -2.0
    assert size_limit(few, 0.9) == 2.0
    assert size_limit(np.zeros((2, 2)), 0.9) == 0.0


def test_single_precision_stays_so():
    maps = random_maps(3, 6, 6).astype(np.float32)
    for found in (signed_picture(maps, 3), mask(maps), smoothed(maps[0], 1)):
        assert found.dtype == np.float32
    assert mask(np.ones((1, 2, 2), np.int64)).dtype == np.float64


@pytest.mark.parametrize("size", [0, 2, -3, 2.0, True, None])
def test_a_filter_has_an_odd_width(size):
    with pytest.raises(InputError, match="odd whole number"):
        smoothed(np.ones((3, 3)), size)


@pytest.mark.parametrize("options", [{"quantile": 0.0}, {"quantile": 1.5}, {"quantile": np.nan}])
def test_a_quantile_is_a_part(options):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        mask(np.ones((1, 3, 3)), **options)


@pytest.mark.parametrize("contrast", [0.0, -1.0, np.nan, np.inf])
def test_an_exponent_is_above_zero(contrast):
    with pytest.raises(InputError, match="above 0"):
        mask(np.ones((1, 3, 3)), contrast=contrast)


def test_a_signed_picture_is_the_sum_over_colors():
    assert signed_picture([[[1.0, -2.0]], [[0.5, 1.0]]]).tolist() == [[1.5, -1.0]]


def test_a_mask_is_the_share_of_the_largest_to_the_power_of_contrast():
    found = mask([[[1.0, -4.0]], [[1.0, 0.0]]], quantile=1.0, contrast=2.0)
    assert found.tolist() == [[0.25, 1.0]]


def test_sizes_have_no_sign():
    assert size_picture([[[1.0, -2.0]], [[0.5, 1.0]]]).tolist() == [[1.5, 1.0]]


def test_an_image_is_dark_where_the_mask_is():
    assert masked_image([[[0.5, 1.0]]], [[1.0, 0.25]]).tolist() == [[[0.5, 0.25]]]


def test_where_the_quantile_is_zero_the_largest_size_is_the_limit():
    assert size_limit([[0.0, -2.0, 1.0], [0.0, 0.0, 0.0]], 0.5).tolist() == 2.0
    assert size_limit([[0.0, -2.0, 1.0]], 0.5).tolist() == 1.0


def test_a_single_pixel_is_no_median():
    found = smoothed([[0.0, 9.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], 3)
    assert found.tolist() == [[0.0, 0.0, 0.0]] * 3


def test_an_exponent_below_one_is_taken():
    require_exponent(0.5)
    with pytest.raises(InputError, match="an exponent above 0"):
        require_exponent(0.0)
