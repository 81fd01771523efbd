"""Texts of figures of maps."""

import numpy as np
import xarray as xr

from neurocodec.plotting import style
from neurocodec.plotting.maps import captions


def test_the_sum_of_a_map_is_told_where_it_misses_the_contribution():
    one = xr.Dataset({"contribution": 0.5, "map_completeness_error": 0.1})
    assert captions.value_text(one) == "0.5 (map 0.6)"
    assert captions.value_text(one.assign(map_completeness_error=1e-4)) == "0.5"
    assert captions.value_text(one, least=0.2) == "0.5"
    assert captions.value_text(one.drop_vars("contribution")) == ""


def test_a_target_has_its_units():
    one = xr.Dataset({"target": ((), 12.345, {"units": "bit"})})
    assert captions.target_text(one) == "target 12.3 bit"
    assert captions.target_text(xr.Dataset({"target": ((), 0.5, {"units": "1"})})) == "target 0.5"
    assert captions.target_text(xr.Dataset()) == ""


def test_an_image_of_a_mode_has_its_loading():
    one = xr.Dataset({"loading": 0.934}, {"label": "black widow", "source": "a/b.jpg"})
    assert captions.rank_text(one) == "black widow\nb.jpg\nloading 0.93"
    assert captions.rank_text(one.assign(loading=np.nan)) == ""


def test_values_are_explained_where_there_are_any():
    assert captions.values_caption(xr.DataArray(0.0)) == ""
    maps = xr.Dataset({"contribution": ((), 0.5, {"units": "bit"})})
    told = "Number at a map: contribution to the target (bit);"
    assert captions.values_caption(maps).startswith(told)


def test_an_image_has_its_class_and_the_name_of_its_file():
    one = xr.DataArray(0.0, {"label": "black widow", "source": "spiders/a1.jpg"})
    assert captions.image_text(one) == "black widow\na1.jpg"
    assert captions.image_text(xr.DataArray(0.0, {"stimulus": 3})) == "image 3"


def test_the_middle_of_a_long_name_is_cut_out():
    assert captions.shortened("n01774384_spider_00000123.jpg", 12) == "n0177….jpg"


def test_empty_sentences_are_left_out_of_a_caption():
    figure = captions.captioned(style.new_figure(2.0), "Median of 3 x 3 pixels.", "")
    assert figure.get_supxlabel() == "Median of 3 x 3 pixels."
    assert figure.get_figheight() == 2.0 + captions.LINE
