"""Hierarchies of concepts: read from mappings, asked for what is above, found by name."""

import pytest

from neurocodec.categories.hierarchies import Hierarchy, read_hierarchy
from neurocodec.errors import InputError, UnknownNameError


def test_a_class_is_a_kind_of_all_that_is_above_it():
    tree = Hierarchy({"pug": ("dog",), "dog": ("animal",), "cat": ("animal",)})
    assert sorted(tree.above("pug")) == ["animal", "dog"]
    assert tree.depth("pug") == 2
    assert "animal" in tree
    assert "emu" not in tree


def test_a_mapping_is_a_hierarchy():
    assert read_hierarchy({"tabby": ["cat", "pet"], "cat": "animal"}).depth("tabby") == 1


def test_the_first_word_of_a_concept_counts_more_than_the_others():
    tree = Hierarchy({"n3": ("n1", "n2")}, {"n1": "dog, hound", "n2": "pet, dog"})
    assert tree.find("concept", "dog", ["n1", "n2"]) == "n1"
    assert tree.find("concept", "hound", ["n1", "n2"]) == "n1"


def test_concepts_of_one_name_are_told_apart_by_their_id():
    tree = Hierarchy({}, {"n1": "dog", "n2": "dog"})
    assert tree.find("concept", "dog (n2)", ["n1", "n2"]) == "n2"
    with pytest.raises(InputError, match="may be 2 concepts"):
        tree.find("concept", "dog", ["n1", "n2"])
    with pytest.raises(UnknownNameError, match="no concept 'emu'"):
        tree.find("concept", "emu", ["n1", "n2"])
