"""Maps through channels of several layers, against Jacobians written out."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import convolutional, images
from torch import nn

import neurocodec as nc
from neurocodec.errors import CaptureError, InputError

TARGET = nc.targets.TopK(1)
QUIET = {"target": TARGET, "progress": False}


def network() -> nc.Network:
    return nc.Network(convolutional().double(), {"a": "2", "b": "4"}, name="small")


def stimuli(n: int = 2) -> xr.DataArray:
    return images(n).astype(float)


def by_jacobians(
    module: nn.Sequential, x: torch.Tensor, early: list[int], late: np.ndarray
) -> torch.Tensor:
    """Two maps (positive, negative) of one image: each position of both layers by its own row."""
    x = x[None]
    with torch.no_grad():
        a = module[:3](x)
        b = module[3:5](a)
        best = int(module[5:](b).argmax())
    of_answer = torch.autograd.functional.jacobian(lambda h: module[5:](h)[0, best], b)[0]
    first = torch.autograd.functional.jacobian(module[:3], x)[0, ..., 0, :, :, :]
    second = torch.autograd.functional.jacobian(module[3:5], a)[0, ..., 0, :, :, :]
    to_late = torch.einsum("cijdkl,dklzyx->cijzyx", second, first)
    change = torch.einsum("cijzyx,zyx->cij", to_late, x[0])
    below = change * of_answer < 0
    weights = torch.where(
        below, torch.tensor(late[1])[:, None, None], torch.tensor(late[0])[:, None, None]
    )
    gradient = torch.einsum("cij,cijdkl->dkl", of_answer * weights, second)
    moved = torch.einsum("dklzyx,zyx->dkl", first, x[0])
    maps = []
    for sign in (1, -1):
        kept = torch.zeros_like(gradient)
        for channel in early:
            there = sign * moved[channel] * gradient[channel]
            kept[channel] = gradient[channel] * ((there >= 0) if sign > 0 else (there > 0))
        maps.append(torch.einsum("dkl,dklzyx->zyx", kept, first) * x[0])
    return torch.stack(maps)


@pytest.mark.parametrize("signed", [False, True])
def test_each_way_through_both_layers_and_no_other(signed: bool) -> None:
    net, x = network(), stimuli()
    count = net.module[3].out_channels
    random = np.random.default_rng(0)
    late = random.random((2, count)) if signed else np.repeat(random.random((1, count)), 2, 0)
    rows = xr.DataArray(late, dims=("sign", "channel")) * xr.DataArray([1, -1], dims="sign")
    mode = (
        rows.assign_coords(sign=["excitatory", "inhibitory"])
        if signed
        else xr.DataArray(late[0], dims="channel")
    )
    early = xr.DataArray(np.eye(net.module[0].out_channels)[[2]].sum(0), dims="channel")
    chain = {"a": early, "b": mode}
    found = nc.contribution_maps(net, x, modes=chain, weights="dictionary", **QUIET)
    for image in range(2):
        wanted = by_jacobians(net.module, torch.tensor(x.values[image]), [2], late)
        np.testing.assert_allclose(found.contribution_map.values[image], wanted, atol=1e-12)
    assert abs(found.map_completeness_error).max() < 1e-12


def test_all_channels_of_a_later_layer_change_nothing() -> None:
    net, x = network(), stimuli()
    alone = nc.contribution_maps(net, x, "a", channels=[0, 3], **QUIET)
    every = list(range(net.module[3].out_channels))
    chain = nc.contribution_maps(net, x, channels={"a": [0, 3], "b": every}, **QUIET)
    np.testing.assert_allclose(chain.contribution_map, alone.contribution_map, atol=1e-12)
    assert chain.channel.values.tolist() == [0, 3]
    parts = [
        nc.contribution_maps(net, x, channels={"a": [0, 3], "b": c}, sign="net", **QUIET)
        for c in every
    ]
    total = sum(part.contribution for part in parts)
    np.testing.assert_allclose(total, alone.contribution.sum("sign"), atol=1e-12)


def test_a_chain_is_what_identifies_a_run(tmp_path) -> None:
    net, x = network(), stimuli()
    path = tmp_path / "maps.zarr"
    nc.contribution_maps(net, x, channels={"a": 0, "b": 1}, out=path, **QUIET)
    with pytest.raises(nc.errors.StorageError):
        nc.contribution_maps(net, x, channels={"a": 0, "b": 2}, out=path, **QUIET)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"channels": {"b": 0, "a": 0}}, CaptureError, "'b' and then 'a'"),
        ({"channels": {"a": 0, "b": "each"}}, InputError, "behind another"),
        ({"channels": {"a": 0, "b": 99}}, InputError, "channels from 0"),
        ({"channels": {}}, InputError, "a chain"),
        ({"channels": {"a": 0}, "layer": "a"}, InputError, "names its layers itself"),
        ({"channels": {"a": 0}, "modes": {"a": 0}}, InputError, "names its layers itself"),
        ({"channels": {"a": 0, "c": 0}}, nc.errors.UnknownNameError, "'c'"),
        (
            {"channels": {"a": 0, "b": 0}, "method": nc.methods.ActGrad()},
            InputError,
            "adds up exactly",
        ),
    ],
)
def test_chains_that_are_none(options, error, message) -> None:
    with pytest.raises(error, match=message):
        nc.contribution_maps(network(), stimuli(), **QUIET, **options)
