"""Images of groups: labels as positions of categories, categories of concepts."""

import numpy as np
import pandas as pd

from neurocodec.perturbation.images import category_positions, group_members


def test_a_label_that_is_no_category_has_no_position():
    assert category_positions(["cat", "dog", "table"], ["dog", "cat"]).tolist() == [1, 0, -1]


def test_a_concept_has_its_categories_as_members():
    members = group_members(["pet"], ["dog", "car"], {"pet": ["dog"]}, np.array([0]))
    assert members.tolist() == [[True, False]]


def test_labels_that_are_missing_are_of_no_category():
    names = ["a", "b", "nan"]
    given = np.array(["b", None, np.nan, "", "nan", "c"], dtype=object)
    assert category_positions(given, names).tolist() == [1, -1, -1, -1, 2, -1]
    assert category_positions([1.0, np.nan, 0.0, 9.0], names).tolist() == [1, -1, 0, -1]
    assert category_positions(pd.array([1, None], dtype="Int64"), names).tolist() == [1, -1]
