"""Files of WordNet and ImageNet, line by line."""

import pytest

from neurocodec.categories.wordnet import looks_like, read_data_noun, read_is_a, read_words
from neurocodec.errors import InputError


def test_a_synset_has_an_id_hypernyms_and_words():
    line = "02084071 05 n 02 dog 0 domestic_dog 0 002 @ 02083346 n 0000 ~ 01322604 n 0000 | a"
    parents, names = read_data_noun(["  1 This software", line])
    assert parents == {"n02084071": ("n02083346",)}
    assert names == {"n02084071": "dog, domestic dog"}


def test_a_line_that_is_no_synset_is_refused():
    with pytest.raises(InputError, match="line 1 of data.noun"):
        read_data_noun(["02084071 05 n"])


def test_a_parent_comes_before_its_child():
    found = read_is_a(["n02083346 n02084071"])
    assert found == {"n02084071": ("n02083346",), "n02083346": ()}


def test_words_come_after_a_tab():
    assert read_words(["n02084071\tdog, domestic dog"]) == {"n02084071": "dog, domestic dog"}


def test_formats_are_told_by_their_first_line():
    assert looks_like("  1 This software") == "data.noun"
    assert looks_like("n01 n02") == "table"
    assert looks_like("n02083346 n02084071") == "is_a"
    assert looks_like("class,concept") == "table"
