"""Filters of the circuit, by hand."""

import numpy as np
import pytest

from neurocodec.simulation.filters import (
    biphasic,
    center_surround,
    filter_past,
    gamma,
    gaussian,
    place,
    pool,
)


def test_a_slow_integrator_is_a_running_mean():
    assert gamma(3, tau=1e9, order=0).round(3).tolist() == [0.333, 0.333, 0.333]


def test_a_biphasic_filter_lets_through_what_is_not_opposed():
    assert biphasic(20, 1.0, 2.0, 0.75).sum() == pytest.approx(0.25)


def test_a_footprint_is_a_square_of_odd_side():
    assert gaussian(1, 0.5).shape == (3, 3)


def test_a_surround_takes_from_the_centre():
    field = center_surround(7, 1.0, 3.0, 0.75, 0.5)
    assert field.sum() == pytest.approx(0.25)
    assert field.shape == (15, 15)


def test_a_footprint_of_one_pixel_reads_that_pixel():
    assert place(np.eye(1), np.array([[0, 1]]), 2).ravel().tolist() == [0.0, 1.0, 0.0, 0.0]


def test_inputs_at_one_place_have_the_same_weight():
    assert pool(np.zeros((2, 2)), np.zeros((1, 2)), 1.0, 5.0).tolist() == [[0.5], [0.5]]


def test_an_impulse_is_answered_by_the_kernel():
    found = filter_past(np.float32([[1], [0], [0]]), np.array([0.5, 0.25]))
    assert found.ravel().tolist() == [0.5, 0.25, 0.0]
