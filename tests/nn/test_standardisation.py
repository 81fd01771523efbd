"""Frames in units of the training stimulus."""

import pytest
import torch

from neurocodec.errors import InputError
from neurocodec.nn.standardisation import Standardisation


def test_the_mean_is_taken_off_and_the_deviation_is_one():
    assert Standardisation(50.0, 10.0)(torch.tensor([70.0])).tolist() == [2.0]


@pytest.mark.parametrize(
    ("mean", "deviation"), [(0.0, 0.0), (0.0, -1.0), (0.0, 1e-50), (float("nan"), 1.0)]
)
def test_numbers_that_cannot_standardise_are_refused(mean, deviation):
    with pytest.raises(InputError, match="the deviation above 0"):
        Standardisation(mean, deviation)
