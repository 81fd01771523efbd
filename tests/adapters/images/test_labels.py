"""Labels of images, and the categories of a network that they become."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
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


def test_labels_with_an_index_are_taken_by_it():
    shown = Images(("a.png", "b.png"))
    by_file = pd.Series(["cat", "dog"], index=["b.png", "a.png"])
    by_place = pd.Series(["cat", "dog"], index=[1, 0])
    array = xr.DataArray(["cat", "dog"], {"stimulus": ["b.png", "a.png"]}, ("stimulus",))
    for labels in (by_file, by_place, array, pd.Series(["dog", "cat"])):
        assert [str(x) for x in labels_of(shown, labels)] == ["dog", "cat"]
    with pytest.raises(InputError, match="1 of 2 images without a row"):
        labels_of(shown, array.assign_coords(stimulus=["x.png", "a.png"]))


def test_an_image_may_be_of_no_class(caplog):
    net = Network(nn.Linear(2, 2), [], outputs=["cat", "dog"])
    labels = labels_of(Images(("1.png", "2.png", "3.png")), ["cat", None, np.nan])
    assert as_categories(labels, ["1.png", "2.png", "3.png"], net) == ["cat", "", ""]
    assert not caplog.records
