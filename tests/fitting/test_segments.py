"""Segments and stretches of a recording, and blocks of them."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.errors import UnknownNameError
from neurocodec.fitting.segments import (
    cut_into_blocks,
    hold_out_ends,
    select_by_number,
    select_matching,
    stimulus_statistics,
    stretches_of,
)


def test_a_stretch_ends_with_its_segment():
    numbers = ("time", np.array([0, 0, 1]))
    assert stretches_of(xr.Dataset(coords={"segment": numbers})) == [(0, 2, 0), (2, 3, 1)]


def test_a_fifth_is_cut_off_the_end():
    assert hold_out_ends([(0, 100, None)]) == ([(0, 80, None)], [(80, 100, None)])


def test_segments_by_number():
    stretches = [(0, 50, 0), (50, 100, 1)]
    assert select_by_number(stretches, [1]) == [(50, 100, 1)]
    assert select_by_number(stretches, [np.int64(1)]) == [(50, 100, 1)]
    with pytest.raises(UnknownNameError, match="'2'"):
        select_by_number(stretches, [2])


def test_segments_of_another_contrast_do_not_match():
    noise = np.random.default_rng(0).standard_normal((200, 9, 9))
    frames = np.concatenate([noise, 3 * noise])
    stretches = [(0, 200, 0), (200, 400, 1)]
    assert select_matching(stretches, frames, noise[:100], "matching") == [(0, 200, 0)]
    assert select_matching(stretches, frames, noise[:100], "all") == stretches


def test_white_noise_has_contrast_1_and_no_correlations():
    noise = np.random.default_rng(0).standard_normal((500, 9, 9))
    assert np.abs(stimulus_statistics(noise)).max() < 0.02


def test_blocks_have_two_histories_each():
    assert cut_into_blocks(0, 100, history=20) == [(0, 50), (50, 100)]
