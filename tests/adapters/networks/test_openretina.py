"""Models of open-retina itself, from memory and from Lightning checkpoints."""

import warnings

import numpy as np
import pytest
import torch
import xarray as xr

import neurocodec as nc
from neurocodec.cli.parser import main
from neurocodec.errors import InputError, StorageError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    library = pytest.importorskip("openretina.models.core_readout", exc_type=ImportError)
    lightning = pytest.importorskip("lightning")
    omegaconf = pytest.importorskip("omegaconf")

pytestmark = pytest.mark.filterwarnings("ignore")
INFO = {
    "input_shape": (2, 12, 10),
    "stim_mean": 37.0,
    "stim_std": 21.0,
    "n_neurons_dict": {"left": 3, "right": 2},
    "sessions_kwargs": {
        "left": {"roi_ids": np.array([4, 7, 9]), "group_assignment": np.array([1, 1, 28])}
    },
    "frame_rate": 30.0,
}


def stirred(model):
    """The model with larger weights, so that cells respond."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "mean" not in name and "_mu" not in name:
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def example(**options):
    torch.manual_seed(0)
    sizes = {"hidden_channels": (3, 4), "temporal_kernel_sizes": (5, 3)}
    sizes |= {"spatial_kernel_sizes": (3, 3), "in_shape": (2, 50, 12, 10)}
    model = library.ExampleCoreReadout(
        **sizes, n_neurons_dict=INFO["n_neurons_dict"], data_info=INFO, **options
    )
    return stirred(model)


def unified(readout="MultiSampledGaussianReadout", **options):
    torch.manual_seed(0)
    modules = "openretina.modules"
    gammas = dict.fromkeys(("input", "temporal", "in_sparse", "hidden"), 0.0)
    core = {
        "_target_": f"{modules}.core.base_core.SimpleCoreWrapper",
        "temporal_kernel_sizes": [5, 3],
        "spatial_kernel_sizes": [3, 3],
        "cut_first_n_frames": 30,
        **{f"gamma_{name}": value for name, value in gammas.items()},
    }
    options = options or {"bias": True, "init_mu_range": 0.6, "init_sigma_range": 0.1}
    model = library.UnifiedCoreReadout(
        in_shape=(2, 50, 12, 10),
        hidden_channels=(3, 4),
        n_neurons_dict={"left": 3, "right": 2},
        core=omegaconf.OmegaConf.create(core),
        readout=omegaconf.OmegaConf.create(
            {"_target_": f"{modules}.readout.multi_readout.{readout}", **options}
        ),
    )
    return stirred(model)


def checkpoint(model, path):
    """A checkpoint as Lightning writes it."""
    trainer = lightning.Trainer(
        max_epochs=0, accelerator="cpu", logger=False, enable_checkpointing=False
    )
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path, weights_only=False)
    return path


def frames(count=60):
    values = np.random.default_rng(0).standard_normal((count, 2, 12, 10)) * 21 + 37
    coords = {"time": np.arange(count) / 30}
    return xr.DataArray(values.astype("float32"), coords, dims=("time", "color", "y", "x"))


def by_library(model, movie, session, *, mean=37.0, deviation=21.0):
    """Rates of the library's own forward, the last for the last frame."""
    x = (torch.tensor(movie.values) - mean) / deviation
    return model(x.permute(1, 0, 2, 3)[None], data_key=session)[0].detach().numpy()


FACTORISED = {
    "mask_l1_reg": 0.0,
    "weights_l1_reg": 0.0,
    "laplace_mask_reg": 0.0,
    "init_scales": [[0.0, 0.1], [0.0, 0.1]],
    "mask_constraint": "abs",
    "readout_bias": True,
}


@pytest.mark.parametrize(
    ("build", "scaling"),
    [
        (example, {}),
        (unified, {"mean": 0.0, "deviation": 1.0}),
        (
            lambda: unified("MultiFactorizedReadout", **FACTORISED),
            {"mean": 0.0, "deviation": 1.0},
        ),
    ],
    ids=["gaussian mask", "sampled gaussian", "factorised"],
)
def test_rates_are_those_of_the_library(build, scaling):
    model, movie = build(), frames()
    net = nc.adapters.openretina(model, "left", frame_rate=30)
    assert net.history == 7
    assert net.answering.frame == -1  # the second layer pads
    rates = nc.respond(net, movie)
    expected = by_library(model, movie, "left", **scaling)
    shown = len(expected) - 1
    np.testing.assert_allclose(rates[-shown:], expected[:-1], rtol=1e-6, atol=1e-6)
    assert float(rates.std("time").min()) > 1e-3
    np.testing.assert_allclose(rates.time[-1], movie.time[-2])
    assert {"x_center", "y_center"} <= {*rates.coords}


@pytest.mark.parametrize("build", [example, unified])
def test_checkpoints_are_the_model_that_wrote_them(build, tmp_path):
    model = build()
    path = checkpoint(model, tmp_path / "model.ckpt")
    ours, theirs = (nc.adapters.openretina(x, "right", frame_rate=30) for x in (path, model))
    assert ours.weights_sha256 == theirs.weights_sha256
    np.testing.assert_array_equal(nc.respond(ours, frames()), nc.respond(theirs, frames()))


def test_models_are_loaded_by_their_file(tmp_path):
    model = library.ExampleCoreReadout(
        in_shape=(2, 50, 12, 10),
        hidden_channels=(3,),
        temporal_kernel_sizes=(5,),
        spatial_kernel_sizes=(3,),
        n_neurons_dict={"one": 2},
    )
    net = nc.load_model(checkpoint(model, tmp_path / "model.ckpt"))
    assert net.name == "ExampleCoreReadout one"
    with pytest.raises(InputError, match="readouts of 2 sessions"):
        nc.load_model(checkpoint(example(), tmp_path / "several.ckpt"))


def test_a_model_says_its_rate_scale_and_cells():
    net = nc.adapters.openretina(example(), "left")
    assert net.frame_rate == 30
    assert net.input_shape == (2, 12, 10)
    assert net.outputs == ("4", "7", "9")
    assert list(net.output_coords["cell_type"]) == ["1", "1", "28"]
    scaled = nc.adapters.openretina(example(), "left", standardise=False)
    movie = frames()
    np.testing.assert_allclose(
        nc.respond(scaled, (movie - 37) / 21), nc.respond(net, movie), rtol=1e-4, atol=1e-5
    )
    assert nc.adapters.openretina(example(), "right").outputs is None


def test_contributions_of_a_model_add_up():
    net = nc.adapters.openretina(example(), "left")
    method = nc.methods.IntegratedGradients(steps=32)
    options = {"target": nc.targets.Output("7"), "method": method, "progress": False}
    tree = nc.contributions(net, frames(20), baseline="mean", **options)
    for alias in ("layer1", "layer2"):
        error = abs(tree[alias].completeness_error).max()
        assert error < 1e-3 * abs(tree[alias].contribution).max()


def test_gaussian_readouts_say_where_cells_look():
    model = unified()
    model.readout["left"]._mu.data = torch.tensor([[[[-1.0, 0.0]], [[0.0, 0.5]], [[1.0, 1.0]]]])
    net = nc.adapters.openretina(model, "left")  # maps of 10 by 8 in frames of 12 by 10
    np.testing.assert_allclose(net.output_coords["x_center"], [1.0, 4.5, 8.0])
    np.testing.assert_allclose(net.output_coords["y_center"], [5.5, 7.75, 10.0])


def test_checkpoints_that_ask_for_other_code_are_refused(tmp_path):
    model = unified()
    path = checkpoint(model, tmp_path / "model.ckpt")
    content = torch.load(path, weights_only=False)
    content["hyper_parameters"]["core"]["_target_"] = "os.system"
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=r"'os\.system'; nothing of it was run"):
        nc.adapters.openretina(tmp_path / "other.ckpt", "left")
    torch.save({"state_dict": {}, "hyper_parameters": {"x": pytest}}["state_dict"], path)
    with pytest.raises(StorageError, match="a Lightning checkpoint with"):
        nc.adapters.openretina(path, "left")
    with pytest.raises(StorageError, match="cannot be opened"):
        nc.adapters.openretina(tmp_path / "none.ckpt", "left")


def test_a_checkpoint_of_two_colours_has_a_page(tmp_path):
    nc.save(frames(80).assign_coords(color=["UV", "green"]), tmp_path / "movie.nc")
    path = checkpoint(example(), tmp_path / "model.ckpt")
    words = ["--movie", tmp_path / "movie.nc", "--method", "act-grad", "--expansion", 1]
    words += ["--moments", 2, "--mode-seeds", 0, "--target", "sum", "--layers", "layer2"]
    words += ["--model", path, "--out", tmp_path / "out", "--quiet"]
    command = ["retina", *map(str, words)]
    assert main(command) != 0  # of two sessions
    assert main([*command, "--session", "left"]) == 0
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "80 frames of 12 x 10 pixels in UV and green" in page
    assert "maps-layer2" in page
