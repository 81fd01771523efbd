"""`nc.contribution_maps`: its labels, its choices of channels, long runs, and bad input."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import networks
import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn
from torch.autograd import forward_ad

import neurocodec as nc
from neurocodec.errors import CaptureError, InputError, StorageError, UnknownNameError

TARGET = nc.targets.TopK(1)
QUIET = {"target": TARGET, "progress": False}
EXACT = 2e-6


def network() -> nc.Network:
    return nc.Network(networks.convolutional(), {"a": "2", "b": "4"}, name="small")


def dictionary(rows, **coords) -> xr.DataArray:
    return xr.DataArray(np.asarray(rows, float), dims=("mode", "channel"), coords=coords)


def maps_of(layer: str | None = "b", n: int = 3, **options) -> xr.Dataset:
    return nc.contribution_maps(network(), networks.images(n), layer, **{**QUIET, **options})


def test_a_map_by_hand() -> None:
    """h = (a - b, 2 b), y = 3 h0 - h1: the map is x times 3 (1, -1) and x times -1 (0, 2)."""
    module = nn.Sequential(
        nn.Flatten(), networks.linear([[1, -1], [0, 2]]), networks.linear([[3, -1]])
    )
    net = nc.Network(module, {"h": "1"})
    image = xr.DataArray([[[5.0, 2.0]]], dims=("stimulus", "y", "x")).astype("float32")
    found = nc.contribution_maps(net, image, "h", channels="each", **QUIET)
    maps = found.contribution_map.isel(stimulus=0, y=0)
    assert maps.sel(sign="excitatory").values.tolist() == [[15, -6], [0, 0]]
    assert maps.sel(sign="inhibitory").values.tolist() == [[0, 0], [0, -4]]
    assert found.contribution.isel(stimulus=0).values.tolist() == [[9, 0], [0, -4]]
    assert found.map_completeness_error.values.tolist() == [[[0, 0], [0, 0]]]


def test_dims_units_labels_and_provenance() -> None:
    found = maps_of(channels=[4, 1])
    assert found.contribution_map.dims == ("stimulus", "channel", "sign", "color", "y", "x")
    assert found.contribution.dims == found.map_completeness_error.dims
    assert found.contribution.dims == ("stimulus", "channel", "sign")
    assert found.channel.values.tolist() == [4, 1]
    assert found.sign.values.tolist() == ["excitatory", "inhibitory"]
    assert found.label.values.tolist() == ["class 0", "class 1", "class 2"]
    facts = nc.labels.provenance(found)
    assert facts["function"] == "nc.contribution_maps"
    assert facts["layer"] == "b"
    assert facts["channels"] == [4, 1]
    assert facts["method"]["kind"] == "InputGrad"


@pytest.mark.parametrize(
    ("channels", "dims"), [(None, 0), (2, 0), (np.int64(2), 0), ([2], 1), ("each", 1)]
)
def test_several_channels_have_a_dim(channels, dims: int) -> None:
    found = maps_of(channels=channels, sign="net").contribution_map
    assert found.ndim == 4 + dims
    assert ("channel" in found.dims) == bool(dims)


def test_one_channel_keeps_its_number_and_one_sign_its_name() -> None:
    found = maps_of(channels=2, sign="inhibitory")
    assert found.channel.item() == 2
    assert found.sign.item() == "inhibitory"
    both = maps_of(channels=[1, 2])
    expected = both.contribution_map.sel(channel=2, sign="inhibitory")
    np.testing.assert_allclose(found.contribution_map, expected, atol=EXACT)


def test_signs_sum_to_the_net_map() -> None:
    both, net = maps_of(channels="each"), maps_of(channels="each", sign="net")
    np.testing.assert_allclose(both.contribution_map.sum("sign"), net.contribution_map, atol=EXACT)
    assert float(both.contribution.sel(sign="excitatory").min()) >= 0
    assert float(both.contribution.sel(sign="inhibitory").max()) <= 0


def test_all_channels_together_are_the_sum_of_each() -> None:
    each = maps_of(channels="each").contribution_map.sum("channel")
    np.testing.assert_allclose(maps_of().contribution_map, each, atol=EXACT)


def test_modes_weigh_their_channels() -> None:
    each = maps_of(channels="each").contribution_map
    rows = dictionary([[0, 2, 1, 0, 3], [1, 0, 0, 0, 0]], mode=[7, 9])
    weighted = maps_of(modes=rows, weights="dictionary").contribution_map
    expected = xr.dot(each, rows, dim="channel").transpose(*weighted.dims)
    np.testing.assert_allclose(weighted, expected, atol=10 * EXACT)
    assert weighted.mode.values.tolist() == [7, 9]
    equal = maps_of(modes=rows, top=2).contribution_map
    np.testing.assert_allclose(
        equal.sel(mode=7), each.sel(channel=[1, 4]).sum("channel"), atol=EXACT
    )
    np.testing.assert_allclose(equal.sel(mode=9), each.sel(channel=0), atol=EXACT)


def test_one_row_of_a_dictionary_has_no_dim_and_keeps_its_number() -> None:
    rows = dictionary([[0, 2, 1, 0, 3], [1, 0, 0, 0, 0]], mode=[7, 9])
    found = maps_of(modes=rows.sel(mode=7))
    assert "mode" not in found.dims
    assert found.mode.item() == 7


def test_modes_of_both_signs_weigh_each_sign_by_its_own() -> None:
    each = maps_of(channels="each").contribution_map
    values = np.zeros((1, 2, 5))
    values[0, 0, 1], values[0, 1, 3] = 2.0, -4.0
    rows = xr.DataArray(
        values,
        dims=("mode", "sign", "channel"),
        coords={"sign": ["excitatory", "inhibitory"]},
    )
    found = maps_of(modes=rows, weights="dictionary").contribution_map.isel(mode=0)
    for sign, channel, weight in (("excitatory", 1, 2), ("inhibitory", 3, 4)):
        expected = weight * each.sel(channel=channel, sign=sign)
        np.testing.assert_allclose(found.sel(sign=sign), expected, atol=10 * EXACT)
    net = maps_of(modes=rows, weights="dictionary", sign="net").contribution_map.isel(mode=0)
    np.testing.assert_allclose(net, found.sum("sign"), atol=10 * EXACT)


def test_a_negative_weight_turns_the_map_around() -> None:
    rows = dictionary([[0, -1, 0, 0, 0]])
    plain = maps_of(channels=1).contribution_map
    for weights in ("equal", "dictionary"):
        found = maps_of(modes=rows, weights=weights).contribution_map
        np.testing.assert_allclose(found.isel(mode=0), -plain, atol=EXACT)


def test_fitted_modes_are_those_of_their_dictionary() -> None:
    net = network()
    tree = nc.contributions(net, networks.images(40), **QUIET)
    modes = nc.SparseModes(expansion=1, epochs=2, progress=False).fit(tree["b"])
    found = nc.contribution_maps(net, networks.images(2), "b", modes=modes, **QUIET)
    rows = nc.contribution_maps(net, networks.images(2), "b", modes=modes.dictionary, **QUIET)
    xr.testing.assert_identical(found, rows)
    with pytest.raises(InputError, match="modes of layer 'b' for layer 'a'"):
        nc.contribution_maps(net, networks.images(2), "a", modes=modes, **QUIET)


def test_the_whole_network_is_input_times_gradient() -> None:
    net, stimuli = network(), networks.images(2)
    found = nc.contribution_maps(net, stimuli, **QUIET)
    x = torch.tensor(stimuli.values, requires_grad=True)
    net.module(x).max(1).values.sum().backward()
    np.testing.assert_allclose(found.contribution_map, x.grad * x.detach(), atol=EXACT)
    assert found.contribution_map.dims == ("stimulus", "color", "y", "x")
    change = (net.module(x) - 0).max(1).values - net.module(torch.zeros_like(x)).max(1).values
    np.testing.assert_allclose(found.contribution, change.detach(), atol=EXACT)


def test_adaptive_steps_meet_the_tolerance_or_say_that_they_do_not() -> None:
    loose = nc.methods.IntegratedGradients("auto", tolerance=0.02, max_steps=2048)
    found = maps_of(channels="each", method=loose, target=nc.targets.Output(0))
    assert bool(found.converged.all())
    relative = abs(found.map_completeness_error).max(("channel", "sign")) / abs(
        found.contribution
    ).max(("channel", "sign"))
    assert float(relative.max()) <= 0.02
    tight = nc.methods.IntegratedGradients("auto", tolerance=1e-9, max_steps=16)
    assert not bool(maps_of(channels=0, method=tight).converged.any())
    assert maps_of(channels=0, method=tight).steps.values.tolist() == [16] * 3


def test_movies_are_mapped_at_chosen_times() -> None:
    net, movie = networks.retina_network(), networks.movie()
    options = {**QUIET, "target": nc.targets.Output(1)}
    everything = nc.contribution_maps(net, movie, "layer1", channels=[0, 2], **options)
    assert everything.contribution_map.dims == ("time", "channel", "sign", "lag", "y", "x")
    np.testing.assert_allclose(everything.lag, np.arange(-5, 1) / 100)
    np.testing.assert_allclose(everything.time, movie.time[5:])
    for times in ([0.07, 0.12, 0.1], slice(0.06, 0.09), 0.11):
        some = nc.contribution_maps(net, movie, "layer1", channels=[0, 2], times=times, **options)
        np.testing.assert_allclose(
            some.contribution_map,
            everything.contribution_map.sel(time=some.time, method="nearest"),
            atol=EXACT,
        )
    assert some.time.values.tolist() == [0.11]


def test_chosen_frames_of_a_movie_without_labels_keep_their_numbers() -> None:
    net, movie = networks.retina_network(), networks.movie().drop_vars("time")
    options = {**QUIET, "target": nc.targets.Output(1), "channels": [0, 2]}
    everything = nc.contribution_maps(net, movie, "layer1", **options)
    assert "time" not in everything.coords
    for frames in ([7, 12], slice(8, 9)):
        some = nc.contribution_maps(net, movie, "layer1", times=frames, **options)
        assert some.time.values.tolist() == (frames if isinstance(frames, list) else [8, 9])
        expected = everything.contribution_map.isel(time=some.time.values - 5)
        np.testing.assert_allclose(some.contribution_map, expected, atol=EXACT)


def test_a_baseline_is_where_paths_start() -> None:
    stimuli = networks.images(3)
    found = maps_of(channels="each", baseline=stimuli.isel(stimulus=1, drop=True))
    assert float(abs(found.contribution_map.isel(stimulus=1)).max()) == 0
    other = maps_of(channels="each")
    assert float(abs(found.contribution_map - other.contribution_map).max()) > 0.01


def test_a_run_into_a_file_is_that_in_memory_and_goes_on(tmp_path: Path) -> None:
    options = {"channels": [0, 1], "n": 6, "batch_size": 2}
    plain = maps_of(**options)
    for name in ("maps.nc", "maps.zarr"):
        out = tmp_path / name
        stored = maps_of(**options, out=out)
        np.testing.assert_array_equal(stored.contribution_map, plain.contribution_map)
        again = nc.open(out)
        again = again.to_dataset() if isinstance(again, xr.DataTree) else again
        xr.testing.assert_equal(again.load(), plain)
        maps_of(**options, out=out)
        with pytest.raises(StorageError):
            maps_of(**{**options, "channels": [0, 2]}, out=out)


def test_the_module_is_given_back_also_after_an_error() -> None:
    net = network()
    net.module.train()
    for channels in (1, 99):
        try:
            nc.contribution_maps(net, networks.images(2), "b", channels=channels, **QUIET)
        except InputError:
            assert channels == 99
    assert all(part.training for part in net.module.modules())
    assert all(p.requires_grad and p.grad is None for p in net.module.parameters())
    assert not any(part._forward_hooks for part in net.module.modules())


class Prototypes(nn.Module):
    """Distances to prototypes by `torch.cdist`, which has no forward-mode derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.distance = nn.Conv2d(3, 4, 3), nn.Identity()
        self.prototypes, self.last = nn.Parameter(torch.randn(5, 4)), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.first(x).flatten(2).mT
        return self.last(self.distance(torch.cdist(tokens, self.prototypes)).mean(1))


class _Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * gradient


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(_ctx, x: Tensor) -> Tensor:
        return 3 * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(_ctx, gradient: Tensor) -> Tensor:
        return 3 * gradient


class Custom(nn.Module):
    def __init__(self, function: type[torch.autograd.Function]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
        self.square, self.function = nn.Identity(), function

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.square(self.function.apply(self.first(x))).mean((2, 3)))


@contextmanager
def counted_duals(part: nn.Module) -> Iterator[list[bool]]:
    """Passes of a module in forward mode."""
    seen: list[bool] = []

    def look(_module: nn.Module, args: tuple[Tensor]) -> None:
        if forward_ad._current_level >= 0 and forward_ad.unpack_dual(args[0]).tangent is not None:
            seen.append(True)

    hook = part.register_forward_pre_hook(look)
    try:
        yield seen
    finally:
        hook.remove()


@pytest.mark.parametrize(
    ("make", "layer", "operator"),
    [  # what torch can differentiate changes; cdist is a real one today
        (Prototypes, "distance", "_dist"),
        (lambda: Custom(_Squared), "square", "_Squared"),
    ],
)
def test_without_forward_mode_two_backward_passes(make, layer, operator, caplog) -> None:
    module = networks.seeded(make)
    net = nc.Network(module, [layer])
    with caplog.at_level(logging.WARNING), counted_duals(module.first) as duals:
        found = nc.contribution_maps(
            net, networks.images(3), layer, channels="each", batch_size=1, **QUIET
        )
    assert len(duals) == 1, "forward mode is tried once, not for each batch"
    told = [r.getMessage() for r in caplog.records if "forward-mode" in r.getMessage()]
    assert len(told) == 1
    assert operator in told[0]
    assert float(abs(found.map_completeness_error).max()) < EXACT
    tree = nc.contributions(net, networks.images(3), method=nc.methods.InputGrad(), **QUIET)
    np.testing.assert_allclose(
        tree[layer].contribution.transpose(*found.contribution.dims), found.contribution, atol=EXACT
    )


def test_an_operator_without_any_second_derivative_is_named() -> None:
    net = nc.Network(networks.seeded(lambda: Custom(_Once)), ["square"])
    with pytest.raises(CaptureError, match=r"_Once(.|\n)*ActGrad"):
        nc.contribution_maps(net, networks.images(2), "square", channels=0, **QUIET)
    ways = nc.methods.ActGrad(), nc.methods.IntegratedGradients(steps=2)
    for method in ways:
        nc.contribution_maps(net, networks.images(2), "square", channels=0, method=method, **QUIET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [1, 5]}, "channels from 0 to 4"),
        ({"channels": -1}, "channels from 0 to 4"),
        ({"channels": []}, "channels from 0 to 4"),
        ({"channels": [1, 1]}, "each channel once"),
        ({"channels": "all"}, "'each'"),
        ({"channels": [0.5]}, "channels from 0 to 4"),
        ({"channels": [1], "modes": dictionary([[1] * 5])}, "both channels= and modes="),
        ({"modes": dictionary([[1, 2]])}, "modes of 2 channels for layer 'b'"),
        ({"modes": dictionary([[np.nan] * 5])}, "NaN"),
        ({"modes": dictionary([[1] * 5], channel=[4, 3, 2, 1, 0])}, "in their order"),
        ({"modes": dictionary([[1] * 5]).rename(channel="unit")}, "dims"),
        ({"modes": [1, 2]}, "modes of type list"),
        ({"modes": dictionary([[1] * 5]), "weights": "both"}, "weights="),
        ({"modes": dictionary([[1] * 5]), "top": 0}, "top=0"),
        ({"sign": "positive"}, "sign"),
        ({"steps": 0}, "steps=0"),
        ({"method": nc.methods.NormGrad()}, "InputGrad, ActGrad or"),
        ({"method": "InputGrad"}, "nc.methods"),
        ({"target": "top1"}, "nc.targets"),
        ({"times": [0.1]}, "still images"),
        ({"layer": None, "sign": "excitatory"}, "whole network"),
        ({"layer": None, "weights": "all"}, "weights="),
        ({"layer": None, "channels": 1}, "layer= one of 'a', 'b'"),
        ({"layer": "bb"}, "there is no layer 'bb'"),
        ({"layer": ["b"]}, "the alias of one layer"),
        ({"channels": [[1], [2, 3]]}, "channels from 0 to 4"),
        ({"channels": (i for i in (1, 2))}, "channels from 0 to 4"),
        ({"modes": dictionary(np.zeros((0, 5)))}, "at least one"),
        ({"modes": dictionary([[1] * 5]).expand_dims(sign=["excitatory"])}, "both of"),
        ({"modes": dictionary([[1] * 5]), "top": True}, "top=True"),
        ({"steps": True}, "steps=True"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_bad_input(options, message: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=message):
        maps_of(**options)


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    rows = dictionary([[3, 1, 2, 0, 0]])
    found, plain = (
        maps_of(modes=rows, top=two, steps=two, method=nc.methods.ActGrad())
        for two in (np.int64(2), 2)
    )
    xr.testing.assert_identical(found, plain)


def test_maps_that_do_not_add_up_are_told(caplog, tmp_path: Path) -> None:
    """The path leaves zeros, where a LayerNorm has a pole, by 1, 4 or 200 steps."""
    module = networks.seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False),
            nn.Flatten(2),
            nn.LayerNorm(36),
            nn.Flatten(),
            nn.Linear(144, 2),
        )
    )
    net, stimuli = nc.Network(module, {"norm": nc.Layer("2", layout="maps")}), networks.images(3)
    for method, told in (
        (nc.methods.InputGrad(), False),
        (nc.methods.ActGrad(), True),
        (nc.methods.IntegratedGradients(4), True),
    ):
        for out in (None, tmp_path / f"{type(method).__name__}.nc"):
            caplog.clear()
            nc.contribution_maps(net, stimuli, "norm", method=method, out=out, **QUIET)
            assert [r.getMessage().startswith("maps of 3 of 3") for r in caplog.records] == (
                [True] if told else []
            )
    caplog.clear()
    nc.contribution_maps(net, stimuli, method=nc.methods.ActGrad(), **QUIET)
    maps_of(channels="each", method=nc.methods.ActGrad(), steps=200)
    assert not caplog.records


def test_a_target_before_the_layer_is_refused() -> None:
    early = nc.targets.Feature("a", torch.ones(4))
    for method in (None, nc.methods.ActGrad(), nc.methods.IntegratedGradients(2)):
        with pytest.raises(CaptureError, match="does not depend on layer 'b'"):
            maps_of(channels=1, target=early, method=method)
    assert maps_of("a", channels=1, target=early).sizes["stimulus"] == 3


def test_inputs_without_space_are_refused() -> None:
    net = nc.Network(networks.two_layers(), {"h": "1"})
    with pytest.raises(InputError, match=r"have pixels(.|\n)*nc.contributions"):
        nc.contribution_maps(net, networks.vectors([[1, 2]]), "h", channels=0, **QUIET)


def test_more_than_memory_is_refused_before_anything_is_computed() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net = nc.Network(module, {"a": "0"})
    one = xr.DataArray(
        np.zeros((1, 1, 1000, 1000), "float32"), dims=("stimulus", "color", "y", "x")
    )
    many = dictionary(np.ones((200_000, 1)))
    with pytest.raises(InputError, match="GiB"):
        nc.contribution_maps(net, one, "a", modes=many, **QUIET)
