"""Labels of images, and the categories of a network that they become."""

import numpy as np
import pytest
from torch import nn

from neurocodec.adapters.images.labels import ClassLabel, as_categories, labels_of
from neurocodec.adapters.images.sources import Images
from neurocodec.errors import InputError
from neurocodec.network import Network


def test_labels_by_file_in_the_order_of_the_images():
    found = labels_of(Images(("a.png", "b.png")), {"b.png": "cat", "a.png": 3})
    assert [str(label) for label in found] == ["3", "cat"]


def test_numbers_of_numpy_are_indices_and_true_is_no_label():
    assert ClassLabel.of(np.int64(3)) == ClassLabel(index=3)
    with pytest.raises(InputError, match="the label True"):
        ClassLabel.of(True)


def test_names_and_indices_become_categories():
    net = Network(nn.Linear(2, 2), [], outputs=["cat", "dog"])
    labels = [ClassLabel("cat"), ClassLabel(index=1)]
    assert as_categories(labels, ["1.png", "2.png"], net) == ["cat", "dog"]
