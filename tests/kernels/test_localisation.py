"""How well a map keeps inside of a mask, by hand."""

from neurocodec.kernels.localisation import (
    energy_inside,
    mask_area,
    maximum_inside,
    part_of,
    pixel_ranks,
)


def test_the_negative_part_is_what_is_below_zero():
    assert part_of([2.0, -1.0], "negative").tolist() == [0.0, 1.0]


def test_energy_inside_is_a_share():
    assert energy_inside([[3.0, 0.0], [0.0, 1.0]], [[True, False], [False, False]]) == 0.75


def test_one_pixel_of_four_is_a_quarter():
    assert mask_area([[True, False], [False, False]]) == 0.25


def test_two_largest_pixels_count_by_half():
    assert maximum_inside([[3.0, 0.0], [3.0, 1.0]], [[True, True], [False, False]]) == 0.5


def test_the_first_pixel_has_the_largest_value_or_size():
    values = [1.0, -3.0, 2.0]
    assert pixel_ranks(values).tolist() == [1, 2, 0]
    assert pixel_ranks(values, "absolute").tolist() == [2, 0, 1]
