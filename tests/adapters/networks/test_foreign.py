"""What `nc.load_model` says of models that are not its own."""

import re

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file
from torch import nn

import neurocodec as nc
from neurocodec.errors import StorageError, UnknownNameError


class Settings:
    """Hyperparameters that only the library that wrote them can read."""


def lightning(path, **more):
    torch.save({"pytorch-lightning_version": "2.5.0", "state_dict": {}, **more}, path)
    return path


def holding(name, content):
    def made(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        return folder / name

    return made


def arrays(folder):
    np.savez(folder / "x.npz", a=1.0)
    return folder / "x.npz"


TOLD = {
    "no such checkpoint": (lambda f: f / "x.ckpt", "no such file: .*x.ckpt", ""),
    "no such folder": (lambda f: f / "no/x.bin", "nor the folder", ""),
    "a near name": (
        lambda f: lightning(f / "epoch=3.ckpt").with_name("epoch=2.ckpt"),
        "no such file",
        "epoch=3.ckpt",
    ),
    "a path without an ending": (lambda f: f / "model", "no such file", ""),
    "an empty folder": (lambda f: f, "without weights.safetensors, but with nothing", ""),
    "a folder of a run": (
        lambda f: lightning(f / "x.ckpt").parent,
        r"with \['x.ckpt'\]",
        "x.ckpt",
    ),
    "a folder with a folder": (
        lambda f: holding("checkpoints/x.ckpt", b"")(f).parents[1],
        r"with \['checkpoints'\]",
        "checkpoints/x.ckpt",
    ),
    "Lightning": (
        lambda f: lightning(f / "x.ckpt"),
        "a Lightning checkpoint of version 2.5.0",
        r"weights_only=True\)\['state_dict'\]",
    ),
    "Lightning with settings of its own": (
        lambda f: lightning(f / "x.ckpt", hyper_parameters=Settings()),
        "Lightning checkpoint which is a pickle that wants to import",
        "weights_only=False.*if you trust",
    ),
    "weights alone": (
        lambda f: torch.save(nn.Linear(2, 1).state_dict(), f / "x.bin") or f / "x.bin",
        r"a file of torch.save with \['weight', 'bias'\]",
        "load_state_dict",
    ),
    "safetensors of others": (
        lambda f: save_file({"w": torch.ones(1)}, f / "x.safetensors") or f / "x.safetensors",
        "of another library",
        "safetensors.torch.load_model",
    ),
    "HDF5": (
        holding("x.h5", b"\x89HDF\r\n\x1a\n" + bytes(90)),
        "begins with b'.x89HDF",
        "nc.Network",
    ),
    "ONNX": (
        holding("x.onnx", b"\x08\x07\x12\x07pytorch"),
        "a file that begins with",
        "nc.Network",
    ),
    "an archive of arrays": (arrays, "a file that begins with b'PK", "nc.Network"),
    "an empty file": (holding("x.safetensors", b""), "a file that begins with b''", "nc.Network"),
}


@pytest.mark.parametrize("kind", TOLD)
def test_what_it_is_and_what_to_type(kind, tmp_path):
    make, told, hint = TOLD[kind]
    with pytest.raises(StorageError, match=told) as error:
        nc.load_model(make(tmp_path))
    assert bool(hint) == bool(error.value.hint)
    assert re.search(hint, error.value.hint)


def test_the_hint_for_lightning_runs(tmp_path):
    module = nn.Linear(3, 2)
    path = tmp_path / "x.ckpt"
    torch.save({"pytorch-lightning_version": "2.5.0", "state_dict": module.state_dict()}, path)
    with pytest.raises(StorageError) as error:
        nc.load_model(path)
    other = nn.Linear(3, 2)
    exec(error.value.hint.split(", then")[0], {"torch": torch, "module": other})  # noqa: S102
    torch.testing.assert_close(other.weight, module.weight)


def test_names_are_still_names():
    with pytest.raises(UnknownNameError, match="simulated-retina"):
        nc.load_model("simulated-retna")


def test_a_movie_for_a_network_of_images_and_colours():
    frames = np.zeros((4, 3, 3), "float32")
    movie = xr.DataArray(frames, dims=("time", "y", "x"))
    net = nc.Network(nn.Sequential(nn.Flatten(), nn.Linear(9, 1)), layers=["1"])
    with pytest.raises(nc.errors.InputError, match="without history= a network sees no movie") as e:
        nc.respond(net, movie)
    assert "history=40" in e.value.hint
    net = nc.Network(nn.Sequential(nn.Flatten(), nn.Linear(18, 1)), layers=["1"], history=2)
    with pytest.raises(nc.errors.InputError, match="color") as e:
        nc.respond(net, movie.expand_dims(color=2, axis=1))
    gray = eval(e.value.hint.split(", or ")[0], {"movie": movie.expand_dims(color=2, axis=1)})  # noqa: S307
    assert nc.respond(net, gray).sizes["time"] == 3
    with pytest.raises(nc.errors.InputError, match="'time', 'y', 'x'") as e:
        nc.respond(net, frames)
    assert "xr.DataArray" in e.value.hint
