"""`nc.contributions` as a user meets it: labels, files, bad input, what is left behind."""

import gc
import json
import subprocess
import sys
import weakref
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr
from module_state import assert_same, state
from networks import convolutional, images, movie, retina, retina_network, two_layers, vectors
from places import SUPPORT
from torch import nn

import neurocodec as nc
from neurocodec.errors import CaptureError, InputError, StorageError, UnknownNameError


def run(net, stimulus, **options):
    options = {"target": nc.targets.Output(0), "progress": False, **options}
    return nc.contributions(net, stimulus, **options)


@pytest.fixture
def network():
    return nc.Network(convolutional(), layers={"first": "0", "second": "3"}, name="small")


def test_result_is_labelled(network):
    tree = run(network, images(4))
    assert tree.target.dims == ("stimulus",)
    assert tree["label"].values.tolist() == [f"class {i}" for i in range(4)]
    node = tree["second"]
    assert node.contribution.dims == ("stimulus", "sign", "channel")
    assert node.contribution.sel(sign="inhibitory").max() <= 0
    assert node.activation.dims == ("stimulus", "channel")
    assert node.contribution.attrs["long_name"]
    assert "stimulus" not in tree["second"].to_dataset(inherit=False).coords
    facts = nc.labels.provenance(tree)
    assert facts["function"] == "nc.contributions"
    assert facts["method"]["kind"] == "IntegratedGradients"
    assert facts["weights_sha256"] == network.weights_sha256


def test_movie_result_has_the_time_of_the_last_frame_and_units_of_the_target():
    net, stimulus = retina_network(), movie(12)
    rates = nc.respond(net, stimulus)
    assert rates.time.values.tolist() == stimulus.time.values[5:].tolist()
    assert rates.attrs["units"] == "Hz"
    tree = run(net, stimulus, target=nc.targets.Surprisal.fit(rates))
    np.testing.assert_array_equal(tree.time, rates.time)
    assert tree["layer1"].contribution.attrs["units"] == "bit"


def test_module_is_left_as_it_was(network):
    network.module.train()
    network.module[0].bias.requires_grad_(False)
    before = state(network.module)
    run(network, images(2), method=nc.methods.SmoothGrad())
    assert_same(before, state(network.module))
    with pytest.raises(InputError):
        run(network, images(2), target=nc.targets.Output(99))
    assert_same(before, state(network.module))


def test_an_override_of_forward_survives_the_affine_prefix():
    net, stimulus = retina_network(), movie(12)
    override = partial(net.module[0].forward)
    net.module[0].forward = override
    run(net, stimulus)
    assert net.module[0].forward is override


def test_a_bright_frame_leaves_the_windows_without_it_as_exact_as_they_were():
    frames = movie(40)
    exact = retina_network()
    frames.values[:] = frames.values - frames.values.mean()
    frames.values[20] *= 1e5
    options = {"layers": ["layer1"], "reduce": "none", "batch_size": 40}
    found = run(retina_network(), frames.astype("float32"), **options)
    exact.module.double()
    expected = run(exact, frames.astype("float64"), **options)
    ends = expected.time.values
    away = ends[(ends < frames.time.values[20]) | (ends > frames.time.values[20 + 5])]
    values, right = (x["layer1"].contribution.sel(time=away) for x in (found, expected))
    assert len(away) > 20
    assert abs(values - right).max() <= 1e-4 * abs(right).max()


def test_streamed_is_the_same_as_in_memory(network, tmp_path):
    stimulus = images(7)
    whole = run(network, stimulus)
    for name in ("run.nc", "run.zarr"):
        streamed = run(network, stimulus, out=tmp_path / name, batch_size=3)
        for path in ("first/contribution", "second/activation", "target"):
            np.testing.assert_allclose(streamed[path], whole[path], rtol=1e-4, atol=1e-6)
            assert streamed[path].attrs == whole[path].attrs
            assert streamed[path].dtype == whole[path].dtype
        streamed.close()
        opened = nc.open(tmp_path / name)
        assert opened["first"].sizes == whole["first"].sizes
        opened.close()


def test_interrupted_run_goes_on_where_it_stopped(network, tmp_path, monkeypatch):
    stimulus, method = images(9), nc.methods.ActGrad()
    seen = []
    original = nc.methods.ActGrad.attribute

    def attribute(self, passes, batch):
        seen.append(len(batch.x))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return original(self, passes, batch)

    monkeypatch.setattr(nc.methods.ActGrad, "attribute", attribute)
    with pytest.raises(KeyboardInterrupt):
        run(network, stimulus, method=method, out=tmp_path / "run.nc", batch_size=3)
    assert not (tmp_path / "run.nc").exists()
    tree = run(network, stimulus, method=method, out=tmp_path / "run.nc", batch_size=3)
    assert seen == [3, 3, 3, 3, 1]
    expected = run(network, stimulus, method=method)
    np.testing.assert_allclose(
        tree["first/contribution"], expected["first/contribution"], rtol=1e-5
    )
    tree.close()


def test_file_of_another_run_is_refused(network, tmp_path):
    run(network, images(4), out=tmp_path / "run.nc").close()
    with pytest.raises(StorageError, match="target"):
        run(network, images(4), out=tmp_path / "run.nc", target=nc.targets.Sum())
    with pytest.raises(StorageError, match="data_sha256"):
        run(network, images(4, seed=1), out=tmp_path / "run.nc")
    other = nc.Network(convolutional(seed=1), layers=network.layers, name="small")
    with pytest.raises(StorageError, match="weights_sha256"):
        run(other, images(4), out=tmp_path / "run.nc")


@pytest.mark.parametrize(
    ("stimulus", "message"),
    [
        (images(2).isel(stimulus=0), "stimulus with dims"),
        (images(2).rename(stimulus="time"), "images with 'stimulus'"),
        (images(2).isel(x=slice(5)), "the network refuses"),
        (images(2).where(images(2) < 1), "NaN or infinite values, the first at"),
        (images(2).values, "a stimulus with dims"),
    ],
    ids=["missing dim", "wrong dim", "wrong shape", "NaN", "no labels"],
)
def test_stimuli_that_do_not_fit_are_refused(network, stimulus, message):
    with pytest.raises(InputError, match=message):
        run(network, stimulus)


def test_movies_that_do_not_fit_are_refused():
    net = retina_network()
    with pytest.raises(InputError, match="a movie of 4 frames(.|\n)*at least 6"):
        run(net, movie(4))
    with pytest.raises(InputError, match="dims"):
        run(net, movie(10).expand_dims(color=3))
    timed = nc.Network(net.module, net.layers, history=6, frame_rate=50.0, input_shape=(12, 12))
    with pytest.raises(InputError, match="0.01 s apart(.|\n)*50 frames per second"):
        run(timed, movie(10))
    with pytest.raises(InputError, match=r"samples of shape \(12, 12\)"):
        run(timed, movie(10, size=11))


def test_names_that_do_not_exist_are_refused_with_near_ones(network):
    with pytest.raises(UnknownNameError, match="'second'"):
        run(network, images(2), layers=["secnd"])
    with pytest.raises(UnknownNameError, match="'before'"):
        run(network, images(2), split="befor")
    with pytest.raises(UnknownNameError, match="'channel'"):
        run(network, images(2), reduce="channels")
    with pytest.raises(UnknownNameError, match="'3'"):
        nc.Network(convolutional(), layers=["33"])
    named = nc.Network(convolutional(), ["0"], outputs=[f"cell {i}" for i in range(6)])
    with pytest.raises(UnknownNameError, match="'cell 3'"):
        run(named, images(2), target=nc.targets.Output("cell3"))
    with pytest.raises(InputError, match="5 names for 6 outputs"):
        run(nc.Network(convolutional(), ["0"], outputs="abcde"), images(2))


def test_cuda_where_there_is_none_is_refused(network, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="device='cuda'(.|\n)*device='cpu'"):
        run(network, images(2), device="cuda")


def test_answers_that_are_tuples_are_selected():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = two_layers()

        def forward(self, x):
            return self.inner(x), x

    with pytest.raises(CaptureError, match="a tuple of 2(.|\n)*select=0"):
        run(nc.Network(Pair(), ["inner.1"]), vectors([[2, 1]]))
    tree = run(nc.Network(Pair(), ["inner.1"], select=0), vectors([[2, 1]]))
    assert tree.target.item() == 23


def test_layer_behind_the_target_is_refused(network):
    target = nc.targets.Feature("first", (1.0, 0.0, 0.0, 0.0))
    with pytest.raises(CaptureError, match="does not depend on layer 'second'"):
        run(network, images(2), target=target)
    with pytest.raises(UnknownNameError, match="'first'"):
        run(network, images(2), target=nc.targets.Feature("frist", (1.0,)))


class Alone(torch.nn.Module):
    """A linear-nonlinear model, which has no parts."""

    def __init__(self):
        super().__init__()
        self.filter = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return (self.filter * x).flatten(1).sum(1, keepdim=True).relu()


def test_wrong_kinds_are_refused(network):
    with pytest.raises(InputError, match="nc.targets"):
        run(network, images(2), target=lambda y: y.sum(1))
    with pytest.raises(InputError, match="nc.methods"):
        run(network, images(2), method="ActGrad")
    with pytest.raises(InputError, match="a baseline of shape"):
        run(network, images(2), baseline=np.zeros((2, 9)))
    with pytest.raises(InputError, match="no layers") as raised:
        run(nc.Network(convolutional()), images(2))
    made = raised.value.hint.split("), of")[0] + ")"
    net = eval(made, {"nc": nc, "module": convolutional()})  # noqa: S307 - what it says to type
    assert len(run(net, images(2)).children) == 1
    with pytest.raises(InputError, match="nc.receptive_fields"):
        run(nc.Network(Alone()), images(2))


def test_double_precision_networks_stay_double():
    net = nc.Network(convolutional().double(), layers=["3"])
    tree = run(net, images(2))
    assert tree["3"].contribution.dtype == np.float64


@pytest.mark.gpu
def test_gpu_gives_the_numbers_of_the_cpu(network):
    cpu, gpu = run(network, images(4)), run(network, images(4), device="cuda")
    for layer in network.layers:
        a, b = cpu[layer].contribution, gpu[layer].contribution
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * float(np.abs(a).max()))
    assert network.device.type == "cpu"


MEMORY = """
import json, sys
import numpy as np, psutil, torch, xarray as xr
sys.path.insert(0, sys.argv[1])
from networks import retina
import neurocodec as nc
net = nc.Network(retina(size=40, history=10), layers={"layer1": "0", "layer2": "5"}, history=10)
values = np.random.default_rng(0).normal(size=(137, 40, 40)).astype("float32")
stimulus = xr.DataArray(values, dims=("time", "y", "x"))
found = []
for steps in (10, 10, 50):
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")
    method = nc.methods.IntegratedGradients(steps=steps)
    options = {"target": nc.targets.Sum(), "batch_size": 128, "progress": False}
    nc.contributions(net, stimulus, method=method, **options)
    with open("/proc/self/status") as f:
        peak = next(line for line in f if line.startswith("VmHWM"))
    found.append(int(peak.split()[1]))
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_memory_is_flat_in_steps():

    command = [sys.executable, "-c", MEMORY, str(SUPPORT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _warm, few, many = json.loads(done.stdout)
    assert many <= 1.05 * few


def test_attributes_of_the_stimulus_survive_along_the_samples():
    stimulus = images(3).assign_coords(source=("stimulus", ["a.png", "b.png", "c.png"]))
    net = nc.Network(convolutional(), ["3"])
    tree = run(net, stimulus)
    assert tree["source"].values.tolist() == ["a.png", "b.png", "c.png"]
    assert nc.respond(net, stimulus)["source"].dims == ("stimulus",)
    assert isinstance(tree, xr.DataTree)


def test_nothing_keeps_the_network_when_all_is_done():
    """Graphs of operations that save their own result are cycles that no collector sees."""
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1)
    ).eval()
    kept = weakref.ref(module[0])
    images = xr.DataArray(np.ones((3, 1, 4, 4), "float32"), dims=("stimulus", "color", "y", "x"))
    nc.contributions(nc.Network(module, ["2"]), images, target=nc.targets.Output(0), progress=False)
    del module
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize(("token", "dims"), [(None, ("token", "feature")), (0, ("feature",))])
def test_maps_of_heads_name_their_dims(token, dims):
    module = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(24, 1))
    layer = nc.Layer("0", heads=2, token=token)
    tokens = xr.DataArray(np.ones((2, 4, 6), "float32"), dims=("stimulus", "y", "x"))
    tree = nc.contributions(
        nc.Network(module, {"heads": layer}),
        tokens,
        target=nc.targets.Output(0),
        method=nc.methods.ActGrad(),
        reduce="none",
        progress=False,
    )
    assert tree["heads/contribution"].dims == ("stimulus", "channel", *dims)


def test_a_labelled_window_is_a_baseline_whatever_its_sides():
    """Twelve frames of 12 by 12 pixels: frames must not be taken for columns."""
    net = nc.Network(retina(history=12, size=12), layers={"layer1": "0"}, history=12)
    stimulus = movie(frames=15)
    window = stimulus.isel(time=slice(0, 12))
    options = {"target": nc.targets.Sum(), "progress": False}
    labelled = nc.contributions(net, stimulus, baseline=window, **options)
    plain = nc.contributions(net, stimulus, baseline=window.values, **options)
    np.testing.assert_array_equal(labelled["layer1/contribution"], plain["layer1/contribution"])
    assert abs(labelled["layer1/contribution"].isel(time=0)).max() < 1e-6
