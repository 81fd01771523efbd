"""Kernels of maps: batched backward passes, path weights, and passes that stop at a layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import networks
import pytest
import torch
from torch import nn

from neurocodec.nn.attribution.methods import ActGrad, InputGrad, NormGrad
from neurocodec.nn.attribution.passes import Passes
from neurocodec.nn.attribution.tangents import tangents
from neurocodec.nn.attribution.targets import Output
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Batch
from neurocodec.nn.maps.through_channels import MapPasses, nodes, not_decomposed
from neurocodec.nn.maps.ways_back import Parts


@contextmanager
def prepared(module: nn.Module, layer: str, shape: tuple[int, ...]) -> Iterator[tuple]:
    """Passes of a module, samples, and weights of three parts."""
    generator = torch.Generator().manual_seed(1)
    kind = next(module.parameters()).dtype
    x = torch.randn(4, *shape, generator=generator, dtype=kind)
    with Capture(module, {"a": Layer(layer)}).attached() as capture:
        hidden = capture.look(x).hidden["a"]
        channels = capture.layers["a"].channels_first(hidden).shape[1]
        weights = torch.randn(3, 2, channels, generator=generator, dtype=kind)
        passes = Passes(capture, Output(1), torch.zeros(1, *shape, dtype=kind))
        yield passes, Batch(x), Parts("a", weights)


def _pooled() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.GroupNorm(2, 6),
        nn.Conv2d(6, 4, 2, groups=2),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


CASES = [
    (lambda: networks.seeded(_pooled), "4", (3, 8, 8)),
    (networks.convolutional, "3", (3, 8, 8)),
    (lambda: networks.seeded(networks.Tokens), "mlp", (3, 8, 8)),
    (networks.retina, "5", (6, 12, 12)),
]


@pytest.mark.parametrize(("make", "layer", "shape"), CASES)
@pytest.mark.parametrize("method", [InputGrad(), ActGrad()])
@pytest.mark.parametrize("together", [2, 16])
def test_maps_of_one_batched_pass_are_those_of_single_ones(
    make, layer, shape, method, together
) -> None:
    with prepared(make().eval(), layer, shape) as (passes, batch, parts):
        one = MapPasses(passes, parts, 3, together=1).mapped(method, batch)
        many = MapPasses(passes, parts, 3, together=together).mapped(method, batch)
    assert one.maps.shape == (4, 3, 2, *shape)
    assert float(one.maps.abs().max()) > 0
    torch.testing.assert_close(many.maps, one.maps)


@pytest.mark.parametrize(("make", "layer", "shape"), CASES)
def test_tangents_are_finite_differences(make, layer, shape) -> None:
    with prepared(make().double().eval(), layer, shape) as (passes, batch, _):
        x, capture = batch.x, passes.capture
        direction = torch.randn_like(x)
        found = tangents(capture, ["a"], x, direction)["a"]
        step = 1e-7
        ends = [capture.look(x + s * step * direction).hidden["a"] for s in (1, -1)]
    torch.testing.assert_close(found, (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", ["trapezoid", "right"])
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_weights_of_a_path_sum_to_one(rule, steps: int) -> None:
    weights, places = zip(*nodes(steps, rule), strict=True)
    assert sum(weights) == pytest.approx(1)
    assert places[-1] == 1
    exact = 0.5 if rule == "trapezoid" else 0.5 + 0.5 / steps
    assert sum(w * p for w, p in zip(weights, places, strict=True)) == pytest.approx(exact)


def test_points_of_a_path_by_hand() -> None:
    assert [*nodes(2, "trapezoid")] == [(0.25, 0.0), (0.5, 0.5), (0.25, 1.0)]
    assert [*nodes(2, "right")] == [(0.5, 0.5), (0.5, 1.0)]


def test_a_method_without_maps_is_named() -> None:
    assert not_decomposed(NormGrad()).came == "method=NormGrad()"


def test_a_pass_stops_at_the_last_of_its_layers() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.Linear(2, 1))
    ran: list[int] = []
    for i, part in enumerate(module):
        part.register_forward_hook(lambda *_, i=i: ran.append(i))
    with Capture(module, {"b": Layer("2"), "a": Layer("0")}).attached() as capture:
        whole = capture.look(torch.ones(1, 2)).hidden
        ran.clear()
        reached = capture.reach(torch.ones(1, 2), ["b", "a"])
        assert ran[-1] == 2
        assert {k: h.tolist() for k, h in reached.items()} == {
            k: h.tolist() for k, h in whole.items()
        }
        ran.clear()
        assert list(capture.reach(torch.ones(1, 2), ["a"])) == ["a"]
        assert ran == [0]
        assert capture.look(torch.ones(1, 2)).outputs.shape == (1, 1)


def test_a_pass_that_stops_leaves_nothing_behind_after_an_error() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    with Capture(module, {"a": Layer("0")}).attached() as capture:
        capture.look(torch.ones(1, 2))
        with pytest.raises(RuntimeError, match="shapes"):
            capture.reach(torch.ones(1, 5), ["a"])
        assert capture.look(torch.ones(1, 2)).outputs.shape == (1, 2)
