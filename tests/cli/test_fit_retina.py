"""`neurocodec fit-retina`: its options and its table."""

import argparse

import xarray as xr

from neurocodec.cli.fit_retina import add_fit_retina, table


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
