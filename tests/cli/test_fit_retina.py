"""`neurocodec fit-retina`: its options and its table."""

import argparse

import xarray as xr

from neurocodec.cli.fit_retina import add_fit_retina, of_seeds, table


def test_options():
    parser = argparse.ArgumentParser()
    add_fit_retina(parser)
    assert parser.parse_args(["recording.h5", "--channels", "8", "8"]).channels == [8, 8]


def test_a_table_of_scores_ends_with_the_mean():
    row = ("cell", [0.5, 0.7])
    names = ("correlation", "correlation_ln", "ceiling")
    scores = xr.Dataset(dict.fromkeys(names, row), {"cell": ["a", "b"]})
    last = table(scores).splitlines()[-1]
    assert last.split() == ["mean", "of", "2", "cells", "0.600", "0.600", "0.600"]


def test_what_is_explained_stands_below_where_it_is_known():
    names = ("correlation", "correlation_ln", "ceiling", "bits_per_spike", "bits_per_spike_ln")
    found = {name: ("cell", [0.5, 0.7]) for name in names}
    found |= {f"signal_explained{end}": ("cell", [float("nan")] * 2) for end in ("", "_ln")}
    lines = table(xr.Dataset(found, {"cell": ["a", "b"]})).splitlines()
    about = "bits per spike (Poisson, beyond the mean rate), median: CNN 0.600, LN 0.600"
    assert lines[-1] == about
    assert not [line for line in lines if "variance" in line]


def test_a_glm_has_a_column_and_its_bits_or_a_reason():
    names = ["correlation", "correlation_ln", "correlation_glm", "ceiling"]
    names += [f"bits_per_spike{end}" for end in ("", "_ln", "_glm")]
    scores = xr.Dataset({k: ("cell", [0.5, 0.7]) for k in names}, {"cell": ["a", "b"]})
    lines = table(scores).splitlines()
    assert lines[1].split()[:4] == ["cell", "CNN", "LN", "GLM"]
    assert lines[2].split() == ["a", *["0.500"] * 4]
    assert lines[-1].endswith("median: CNN 0.600, LN 0.600, GLM 0.600")
    without = scores[["correlation", "correlation_ln", "ceiling"]].assign_attrs(glm="none: rates")
    assert table(without).splitlines()[-1] == "GLM none: rates"


def test_seeds_are_told_where_there_are_several():
    row = {"correlation_mean": ("cell", [0.5, 0.7]), "correlation_spread": ("cell", [0.1, 0.2])}
    each = {"correlation": (("seed", "cell"), [[0.5, 0.7]] * 3)}
    said = of_seeds(xr.Dataset({**row, **each}))
    assert said == ["3 seeds, mean of the cells: 0.600, s.d. 0.150"]
    assert of_seeds(None) == []
    assert of_seeds(xr.Dataset(each).isel(seed=slice(1))) == []
