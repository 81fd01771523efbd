"""Targets of each sample's own label against one call for each label."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from networks import convolutional, images

import neurocodec as nc
from neurocodec.attribution.own_labels import category_positions
from neurocodec.errors import InputError

NAMES = tuple("abcdef")
METHODS = [
    nc.methods.ActGrad(),
    nc.methods.InputGrad(),
    nc.methods.SmoothGrad(samples=2),
    nc.methods.IntegratedGradients(steps=3),
    nc.methods.IntegratedGradients(steps=3, path="hidden"),
    nc.methods.IntegratedGradients(steps="auto", max_steps=16),
]
OPTIONS = {"progress": False, "layers": ["hidden"]}


@pytest.fixture
def net():
    return nc.Network(convolutional(), {"hidden": "2"}, outputs=NAMES)


@pytest.fixture
def labelled():
    return images(7).assign_coords(label=("stimulus", list("afcbada")[:7]))


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_label_is_the_output_of_that_name(net, labelled, method):
    """One run with own labels, in batches of 3, against a run for each of the labels."""
    found = nc.contributions(
        net, labelled, target=nc.targets.Label(), method=method, batch_size=3, **OPTIONS
    )
    for name in sorted({*labelled.label.values.tolist()}):
        own = np.flatnonzero(labelled.label.values == name)
        target = nc.targets.Output(name)
        alone = nc.contributions(net, labelled, target=target, method=method, **OPTIONS)
        for one in ("target", "hidden/contribution", "hidden/completeness_error"):
            mine, theirs = (x[one].isel(stimulus=own).values for x in (found, alone))
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", [METHODS[1], METHODS[3], METHODS[5]], ids=repr)
def test_maps_of_a_label_are_those_of_its_output(net, labelled, method):
    found = nc.contribution_maps(
        net, labelled, channels=[0], layer="hidden", target=nc.targets.Label(), method=method,
        batch_size=3, progress=False,
    )  # fmt: skip
    alone = nc.contribution_maps(
        net, labelled, channels=[0], layer="hidden", target=nc.targets.Output("a"), method=method,
        progress=False,
    )  # fmt: skip
    own = np.flatnonzero(labelled.label.values == "a")
    mine, theirs = (x.contribution_map.isel(stimulus=own).values for x in (found, alone))
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_margin_of_the_label_is_below_0_where_the_answer_is_another(net, labelled):
    outputs = nc.respond(net, labelled).values
    own = np.array([NAMES.index(x) for x in labelled.label.values])
    others = outputs.copy()
    others[np.arange(7), own] = -np.inf
    target = nc.targets.Margin("label")
    found = nc.contributions(net, labelled, target=target, method=nc.methods.ActGrad(), **OPTIONS)
    expected = outputs[np.arange(7), own] - others.max(1)
    np.testing.assert_allclose(found.target, expected, rtol=1e-4, atol=1e-6)
    assert (expected < 0).any()


def test_labels_of_a_stream(net, labelled, tmp_path):
    labelled.to_netcdf(tmp_path / "images.nc")
    calls = {"target": nc.targets.Label(), "method": nc.methods.ActGrad(), "batch_size": 3}
    memory = nc.contributions(net, labelled, **calls, **OPTIONS)
    with xr.open_dataarray(tmp_path / "images.nc", chunks={}) as stored:
        found = nc.contributions(net, stored, out=tmp_path / "out.nc", **calls, **OPTIONS)
        np.testing.assert_allclose(found["hidden/contribution"], memory["hidden/contribution"])
        np.testing.assert_array_equal(found.target, memory.target)


def test_a_label_that_no_output_has_is_named(net, labelled):
    labelled["label"] = ("stimulus", list("aaxaaya"))
    with pytest.raises(InputError, match="'x' of sample 2, one of 2 that no output is"):
        nc.contributions(net, labelled, target=nc.targets.Label(), **OPTIONS)


def test_images_without_labels_are_refused(net, labelled):
    with pytest.raises(InputError, match="a stimulus without labels"):
        nc.contributions(net, labelled.drop_vars("label"), target=nc.targets.Label(), **OPTIONS)


def test_where_no_sample_has_a_label_the_target_is_refused(net):
    with pytest.raises(InputError, match="where no sample has a label of its own"):
        nc.targets.Label().bind(net.outputs)(torch.zeros(1, 6))


def test_a_label_that_is_no_category_has_no_position():
    assert category_positions(["cat", "dog", "table"], ["dog", "cat"]).tolist() == [1, 0, -1]


def test_labels_that_are_missing_are_of_no_category():
    names = ["a", "b", "nan"]
    given = np.array(["b", None, np.nan, "", "nan", "c"], dtype=object)
    assert category_positions(given, names).tolist() == [1, -1, -1, -1, 2, -1]
    assert category_positions([1.0, np.nan, 0.0, 9.0], names).tolist() == [1, -1, 0, -1]
    assert category_positions(pd.array([1, None], dtype="Int64"), names).tolist() == [1, -1]
