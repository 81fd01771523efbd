"""A run with `out=` gives back its numbers to the same call alone, and knows that call again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image
from torch import nn

import neurocodec as nc
from neurocodec.errors import StorageError

METHOD = nc.methods.Gradient()


class Gained(nn.Module):
    """A layer and what else its answer depends on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 2)
        self.gain = 1.0
        self.register_buffer("shift", torch.zeros(4), persistent=False)
        self.parts = [torch.ones(4)]
        self.calls, self.cache = 0, {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.cache[len(x)] = x
        hidden = self.first(x).relu() * self.gain * self.parts[0] + self.shift
        return self.second(hidden) * float(os.environ.get("NEUROCODEC_TEST_GAIN", "1"))


class Weighted(nc.targets.Target):
    """A target of one's own, without a text of its own."""

    def __init__(self, weights: torch.Tensor) -> None:
        self.weights = weights

    def __call__(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs @ self.weights


def images(size: int = 5) -> xr.DataArray:
    values = np.sin(np.arange(3.0 * size)).reshape(size, 3)
    return xr.DataArray(values.astype("float32"), dims=("stimulus", "feature"))


def run(out: Path, module: nn.Module | None = None, **other: Any) -> xr.DataTree:
    net = nc.Network(module or Gained(), {"hidden": "first"}, outputs=other.pop("outputs", None))
    stimulus = other.pop("stimulus", None)
    stimulus = images() if stimulus is None else stimulus
    asked = {"target": Weighted(torch.ones(2)), "method": METHOD, "progress": False, **other}
    with nc.contributions(net, stimulus, out=out, batch_size=2, **asked) as found:
        return found.load()


def with_hook(module: nn.Module, gain: float) -> None:
    module.first.register_forward_hook(lambda _module, _args, output: output * gain)


CHANGES: dict[str, Callable[[Any], object]] = {
    "attribute": lambda call: setattr(call.module, "gain", 2.0),
    "buffer": lambda call: call.module.shift.fill_(1.0),
    "tensor in a list": lambda call: call.module.parts[0].fill_(2.0),
    "hook": lambda call: with_hook(call.module, 2.0),
    "target": lambda call: call.other.update(target=Weighted(torch.tensor([1.0, 1.0 + 1e-6]))),
    "names of outputs": lambda call: call.other.update(outputs=["a", "b"]),
    "what no hash sees": lambda _: os.environ.update(NEUROCODEC_TEST_GAIN="2"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_is_not_given_back_for_another_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("NEUROCODEC_TEST_GAIN", "1")
    whole = run(tmp_path / "run.nc")
    call = SimpleNamespace(module=Gained(), other={})
    CHANGES[name](call)
    with pytest.raises(StorageError, match="of another run"):
        run(tmp_path / "run.nc", call.module, **call.other)
    xr.testing.assert_identical(whole, nc.open(tmp_path / "run.nc"))


def interrupted(monkeypatch: pytest.MonkeyPatch, out: Path, **call: Any) -> None:
    real, seen = type(METHOD).attribute, iter(range(2))

    def attribute(self, passes, batch):
        if next(seen, None) is None:
            raise KeyboardInterrupt
        return real(self, passes, batch)

    with monkeypatch.context() as patch:
        patch.setattr(type(METHOD), "attribute", attribute)
        with pytest.raises(KeyboardInterrupt):
            run(out, **call)


def test_an_interrupted_run_is_not_gone_on_with_for_another_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, module = tmp_path / "run.nc", Gained()
    interrupted(monkeypatch, out, module=module)
    module.gain = 2.0
    with pytest.raises(StorageError, match=r"network\.gain is other than it was"):
        run(out, module)


@pytest.mark.parametrize("used", [True, False])
def test_a_run_knows_itself_whatever_its_passes_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: bool
) -> None:
    """Counters, caches, targets without a text: new objects, or used ones."""
    out, module = tmp_path / "run.nc", Gained()
    hook = SimpleNamespace(seen=[])
    module.second.register_forward_hook(lambda _m, _a, output: hook.seen.append(output))
    if used:
        nc.respond(nc.Network(module, ["first"]), images(), batch_size=3)
    interrupted(monkeypatch, out, module=module)
    again = module
    if not used:
        again = Gained()
        again.second.register_forward_hook(lambda _m, _a, output: hook.seen.append(output))
        hook.seen.clear()
    found = run(out, again)
    xr.testing.assert_allclose(found, run(tmp_path / "whole.nc"))
    xr.testing.assert_identical(found, run(out, again))


def test_a_run_knows_itself_after_the_module_was_used_elsewhere(tmp_path: Path) -> None:
    module = Gained()
    whole = run(tmp_path / "run.nc", module)
    module(torch.ones(1, 3))
    xr.testing.assert_identical(whole, run(tmp_path / "run.nc", module))


def scaled(values: np.ndarray) -> xr.DataArray:
    """The images, by a function that Dask knows by its name alone."""
    ones = da.ones((5, 3), chunks=(5, 3), dtype="f4")
    made = ones.map_blocks(lambda block: block * values, token="same")  # noqa: S106 - no password
    return images().copy(data=made)


def test_a_dask_array_is_told_by_its_numbers(tmp_path: Path) -> None:
    values = images().values.copy()
    whole = run(tmp_path / "run.nc", stimulus=scaled(values))
    xr.testing.assert_identical(whole, run(tmp_path / "run.nc", stimulus=scaled(values.copy())))
    values[1] += 1  # no sample that the network is traced with
    with pytest.raises(StorageError, match=r"stimulus\.content is other than it was"):
        run(tmp_path / "run.nc", stimulus=scaled(values))


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_a_file_is_told_by_its_content(tmp_path: Path, ending: str) -> None:
    path, stimulus = (tmp_path / "images").with_suffix(ending), images()

    def found() -> xr.DataTree:
        with nc.open(path, lazy=True) as lazy:
            return run(tmp_path / "run.nc", stimulus=lazy)

    nc.save(stimulus, path)
    whole = found()
    nc.save(stimulus, path)
    xr.testing.assert_identical(whole, found())
    stimulus[1] += 1
    nc.save(stimulus, path)
    with pytest.raises(StorageError, match=r"stimulus\.content is other than it was"):
        found()


def test_image_files_of_the_same_size_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (5, 4, 4, 3), np.uint8)
    net = nc.Network(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 2)), ["0"])

    def found(divisor: float = 255) -> xr.DataTree:
        stimulus = nc.images(
            folder, preprocessing=lambda x: np.asarray(x, "f4").transpose(2, 0, 1) / divisor
        )
        asked = {"target": nc.targets.Output(0), "method": METHOD, "progress": False}
        return nc.contributions(net, stimulus, out=tmp_path / "run.nc", **asked)

    def write() -> None:
        for place, image in enumerate(pixels):
            Image.fromarray(image).save(folder / f"{place}.bmp")

    write()
    whole = found().load()
    write()
    xr.testing.assert_identical(whole, found().load())
    with pytest.raises(StorageError, match="of another run"):
        found(128)
    pixels[1] = 255 - pixels[1]
    write()
    with pytest.raises(StorageError, match=r"stimulus\.content is other than it was"):
        found()


def test_the_provenance_of_a_run_is_short_and_tells_of_what_it_is(tmp_path: Path) -> None:
    one = nc.labels.provenance(run(tmp_path / "one.nc"))
    module = Gained()
    module.gain = 2.0
    two = nc.labels.provenance(run(tmp_path / "two.nc", module))
    assert {k for k in one if one[k] != two[k]} == {"state_sha256"}
    assert one["target"]["parameters"]["kind"] == "Weighted"
    assert "0x" not in str(one)
