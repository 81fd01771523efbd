"""Images of groups: categories of concepts."""

import numpy as np

from neurocodec.perturbation.images import group_members


def test_a_concept_has_its_categories_as_members():
    members = group_members(["pet"], ["dog", "car"], {"pet": ["dog"]}, np.array([0]))
    assert members.tolist() == [[True, False]]
