"""Answers are those of the contributions' own passes, and are not computed a second time."""

import numpy as np
import pytest
import xarray as xr
from torch import nn

import neurocodec as nc


@pytest.fixture
def given():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    net = nc.Network(module.eval(), {"conv": "1"}, outputs=["cat", "dog"])
    images = xr.DataArray(
        np.random.default_rng(0).random((12, 3, 6, 6), "float32"),
        {"stimulus": np.arange(12), "label": ("stimulus", ["cat", "dog"] * 6)},
        ("stimulus", "color", "y", "x"),
    )
    return net, images


def test_answers_are_those_of_respond_and_are_kept(given, tmp_path):
    net, images = given
    options = {"parts": [], "out": tmp_path, "progress": False}
    found = nc.analyse_images(net, images, **options)
    expected = nc.respond(net, images)
    np.testing.assert_allclose(found.responses, expected, rtol=1e-4, atol=1e-6)
    kept = nc.open(tmp_path / "responses.nc")
    assert kept.dims == expected.dims
    assert kept.category.values.tolist() == ["cat", "dog"]
    assert kept.label.values.tolist() == images.label.values.tolist()
    known = nc.labels.provenance(kept)
    assert known["weights_sha256"] == nc.labels.provenance(expected)["weights_sha256"]


def test_a_stop_after_the_contributions_costs_no_further_pass(given, tmp_path, monkeypatch):
    net, images = given
    options = {"parts": [], "out": tmp_path, "progress": False}
    nc.analyse_images(net, images, **options)
    (tmp_path / "responses.nc").unlink()  # as if it had been stopped before they were written
    calls = []
    forward = type(net.module).forward
    monkeypatch.setattr(
        type(net.module), "forward", lambda *a: calls.append(len(a[1])) or forward(*a)
    )
    nc.analyse_images(net, images, **options)
    assert (tmp_path / "responses.nc").exists()
    assert sum(calls) <= 12  # the few that are traced, not all images


def test_own_labels_can_be_the_target(given):
    net, images = given
    found = nc.analyse_images(net, images, target="label", parts=[], progress=False)
    answers = nc.respond(net, images).values
    own = [["cat", "dog"].index(x) for x in images.label.values]
    np.testing.assert_allclose(found.tree.target, answers[np.arange(12), own], rtol=1e-4, atol=1e-6)
