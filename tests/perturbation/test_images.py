"""Images of groups: labels as positions of categories, categories of concepts."""

import numpy as np

from neurocodec.perturbation.images import category_positions, group_members


def test_a_label_that_is_no_category_has_no_position():
    assert category_positions(["cat", "dog", "table"], ["dog", "cat"]).tolist() == [1, 0, -1]


def test_a_concept_has_its_categories_as_members():
    members = group_members(["pet"], ["dog", "car"], {"pet": ["dog"]}, np.array([0]))
    assert members.tolist() == [[True, False]]
