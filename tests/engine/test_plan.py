"""Names of a result: coordinates of samples that would replace it are refused before any pass."""

import numpy as np
import pytest
import xarray as xr
from networks import convolutional, images, movie, retina

import neurocodec as nc
from neurocodec.attribution.contributions import Options, _plan
from neurocodec.errors import InputError
from neurocodec.fields.choice import Choice
from neurocodec.fields.receptive_fields import _plan as field_plan
from neurocodec.maps.channels import TOP
from neurocodec.maps.making import Asked, Making, plan_of

NET = nc.Network(convolutional(), {"first": "0", "late": "3"})
FILM = nc.Network(retina(), {"first": "0"}, history=6, output_coords={"kind": [*"abcd"]})
TARGET = nc.targets.TopK(1)
ADAPTIVE = nc.methods.IntegratedGradients(steps="auto", max_steps=8)
MODES = xr.DataArray(np.eye(4)[:2], dims=("mode", "channel"))


def contributions(stimulus, reduce="channel", method=ADAPTIVE):
    return _plan(NET, stimulus, Options(TARGET, method, None, reduce, "before", None))


def maps(stimulus, method=ADAPTIVE, **asked):
    asked = {"layer": "first", **asked}
    return plan_of(NET, stimulus, Asked(**asked, top=TOP), TARGET, Making(method))


def fields(stimulus, rank=None, **asked):
    choice = {"of": None, "cells": None, "through": None, "layer": None, **asked}
    return field_plan(FILM, stimulus, None, Choice(**choice), rank)


PLANS = {
    "contributions": contributions,
    "whole layers": lambda s: contributions(s, "none"),
    "gradients": lambda s: contributions(s, method=nc.methods.Gradient()),
    "maps": maps,
    "maps of channels": lambda s: maps(s, channels=[0, 2]),
    "maps of modes": lambda s: maps(s, modes=MODES),
    "fields": fields,
    "components": lambda s: fields(s, 1),
    "fields through channels": lambda s: fields(s, 1, through="each", layer="first"),
}


def stimulus(name):
    return movie(8) if "field" in name or name == "components" else images(2)


def of_result(plan):
    """Everything that the result of a plan has, from one sample, without its samples' labels."""
    with plan.opened() as bound:
        batch = plan.samples.batch(0, 1, plan.net.device)
        tree = bound.label(bound.rows(batch, {}), {})
    parts = {name for path in tree.groups for name in path.split("/") if name}
    nodes = (node.to_dataset() for node in tree.subtree)
    return parts.union(*({*map(str, d.variables), *map(str, d.dims)} for d in nodes))


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_knows_all_names_of_its_result(name):
    plan = PLANS[name](stimulus(name))
    assert of_result(plan) - {plan.samples.dim} <= plan.names


@pytest.mark.parametrize("name", PLANS)
def test_coordinates_of_samples_have_none_of_them(name):
    data = stimulus(name)
    dim = data.dims[0]
    for taken in sorted(PLANS[name](data).names - {*data.dims}):
        named = data.assign_coords({taken: (dim, np.arange(data.sizes[dim]))})
        with pytest.raises(InputError, match=f"'{taken}' of the stimulus") as error:
            PLANS[name](named)
        PLANS[name](eval(error.value.hint, {"data": named}))  # noqa: S307 - what it says to type
