"""Pictures that drive a target, against filters that are known."""

import numpy as np
import pytest
import scipy.fft
import torch
import xarray as xr

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning

HISTORY, SIDE = 6, 8
QUIET = {"progress": False}


@pytest.fixture(scope="module")
def movie() -> xr.DataArray:
    """Light that changes slowly in time and space."""
    values = np.random.default_rng(0).normal(size=(200, SIDE, SIDE))
    spectrum = np.fft.rfftn(values)
    spectrum /= 1 + np.abs(np.fft.fftfreq(200))[:, None, None] * 40
    smooth = np.fft.irfftn(spectrum, s=values.shape, axes=(0, 1, 2))
    return xr.DataArray(smooth.astype("float32") + 0.5, dims=("time", "y", "x"))


@pytest.fixture(scope="module")
def filters() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, HISTORY, SIDE, SIDE)).astype("float32")


@pytest.fixture(scope="module")
def linear_nonlinear(filters: np.ndarray) -> nc.Network:
    """Two cells: a filter and a softplus each."""
    linear = torch.nn.Linear(filters[0].size, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(filters.reshape(2, -1)))
        linear.bias.zero_()
    module = torch.nn.Sequential(torch.nn.Flatten(), linear, torch.nn.Softplus())
    names = ["on", "off"]
    return nc.Network(module, layers={"drive": "1"}, history=HISTORY, outputs=names)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.fixture(scope="module")
def in_pixels(linear_nonlinear: nc.Network, movie: xr.DataArray) -> xr.Dataset:
    options = {"like": movie, "kind": "pixels", "steps": 150, "draws": 2, **QUIET}
    return nc.visualise(linear_nonlinear, nc.targets.Output("off"), **options)


def test_in_pixels_it_is_the_filter(in_pixels: xr.Dataset, filters: np.ndarray) -> None:
    for draw in range(2):
        made = in_pixels.stimulus[draw]
        assert made.dims == ("lag", "y", "x")
        assert correlation(made.values, filters[1]) > 0.99


def test_in_frequencies_it_is_the_filter_in_natural_power(
    linear_nonlinear: nc.Network, movie: xr.DataArray, filters: np.ndarray
) -> None:
    """Of all numbers of one norm, w . A z is largest at z = A w: the picture is A A w."""
    target = nc.targets.Output("on")
    found = nc.visualise(linear_nonlinear, target, like=movie, steps=300, **QUIET)
    windows = np.lib.stride_tricks.sliding_window_view(movie.values, HISTORY, axis=0)
    windows = np.moveaxis(windows, -1, 1)
    chosen = windows[np.unique(np.linspace(0, len(windows) - 1, 64).astype(int))]
    power = (scipy.fft.dctn(chosen - chosen.mean(), axes=(1, 2, 3), norm="ortho") ** 2).mean(0)
    wanted = scipy.fft.idctn(power * scipy.fft.dctn(filters[0], norm="ortho"), norm="ortho")
    assert correlation(found.stimulus.values, wanted) > 0.97
    assert correlation(wanted, filters[0]) < 0.9  # else the two could not be told apart


def test_it_drives_the_cell_more_than_all_windows_of_its_contrast(
    in_pixels: xr.Dataset, linear_nonlinear: nc.Network, movie: xr.DataArray
) -> None:
    windows = np.lib.stride_tricks.sliding_window_view(movie.values, HISTORY, axis=0)
    windows = np.moveaxis(windows, -1, 1)
    mean, contrast = in_pixels.stimulus.values.mean(), in_pixels.stimulus.values[0].std()
    about = windows - windows.mean((1, 2, 3), keepdims=True)
    equal = mean + about * (contrast / about.std((1, 2, 3), keepdims=True))
    with torch.no_grad():
        rates = linear_nonlinear.module(torch.from_numpy(equal.astype("float32")))[:, 1]
    assert float(in_pixels.target.min()) > float(rates.max())
    assert bool(in_pixels.confirmed.all())


def test_between_two_cells_it_is_the_difference_of_filters(
    linear_nonlinear: nc.Network, movie: xr.DataArray, filters: np.ndarray
) -> None:
    linear = nc.Network(linear_nonlinear.module[:2], [], history=HISTORY, outputs=["on", "off"])
    target = nc.targets.Difference("on", "off")
    options = {"like": movie, "kind": "pixels", "steps": 150, **QUIET}
    found = nc.visualise(linear, target, **options)
    assert correlation(found.stimulus.values, filters[0] - filters[1]) > 0.99


@pytest.fixture(scope="module")
def images() -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=(20, 3, 12, 12)).astype("float32")
    dims = ("stimulus", "color", "y", "x")
    return xr.DataArray(values, {"color": ["red", "green", "blue"]}, dims)


@pytest.fixture
def network() -> nc.Network:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.Conv2d(4, 5, 3),
        torch.nn.Flatten(),
        torch.nn.Linear(320, 3),
    )
    return nc.Network(module, layers={"hidden": "2", "sum": "3"})


def test_many_features_are_each_alone(network: nc.Network, images: xr.DataArray) -> None:
    """Batches of 1 and of 64: the same pictures."""
    target = nc.targets.Features("sum", channels=[3, 0, 1], position="center")
    options = {"like": images, "steps": 15, "draws": 2, "seed": 4, **QUIET}
    alone = nc.visualise(network, target, batch_size=1, **options)
    together = nc.visualise(network, target, batch_size=64, **options)
    assert together.image.dims == ("draw", "feature", "color", "y", "x")
    assert together.feature.values.tolist() == [3, 0, 1]
    assert together.color.values.tolist() == ["red", "green", "blue"]
    xr.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        sums = network.module.eval()[:4](
            torch.from_numpy(together.image.values.reshape(-1, 3, 12, 12))
        )
    read = sums[:, :, 4, 4].reshape(2, 3, 5).numpy()
    expected = np.stack([read[:, i, c] for i, c in enumerate([3, 0, 1])], 1)
    np.testing.assert_allclose(together.target, expected, rtol=1e-4, atol=1e-5)


def test_the_module_stays_as_it_was(network: nc.Network, images: xr.DataArray) -> None:
    network.module.train()
    before = {k: x.clone() for k, x in network.module.state_dict().items()}
    state = torch.get_rng_state()
    nc.visualise(network, nc.targets.Output(0), like=images, steps=3, **QUIET)
    assert network.module.training
    assert all(p.grad is None and p.requires_grad for p in network.module.parameters())
    assert all(x.equal(before[k]) for k, x in network.module.state_dict().items())
    assert torch.get_rng_state().equal(state)


def test_in_inference_mode_pictures_are_the_same(network, images: xr.DataArray) -> None:
    call = {"like": images, "start": images[:1], "steps": 2, **QUIET}
    with torch.inference_mode():
        found = nc.visualise(network, nc.targets.Output(0), **call)
    xr.testing.assert_identical(found, nc.visualise(network, nc.targets.Output(0), **call))


def test_accentuation_sets_out_from_the_image(network: nc.Network, images: xr.DataArray) -> None:
    start = images[:2].assign_coords(stimulus=["a", "b"])
    options = {"like": images, "start": start, "crop": None, "noise": 0, **QUIET}
    found = nc.visualise(network, nc.targets.Output(1), steps=30, **options)
    assert found.stimulus.values.tolist() == ["a", "b"]
    begun = nc.respond(network, start).values[:, 1]
    np.testing.assert_allclose(found.target_by_step[:, 0], begun, rtol=1e-3, atol=1e-4)
    assert (found.target.values > begun).all()
    spectrum = [np.abs(np.fft.rfft2(x.mean("color"))) for x in (start, found.image)]
    assert correlation(*spectrum) > 0.5


def test_saved_and_opened(network: nc.Network, images: xr.DataArray, tmp_path) -> None:
    found = nc.visualise(network, nc.targets.Output(1), like=images, steps=2, **QUIET)
    nc.save(found, tmp_path / "pictures.nc")
    xr.testing.assert_identical(nc.open(tmp_path / "pictures.nc").load(), found)
    assert nc.labels.provenance(found)["options"]["kind"] == "phase"


def test_what_cannot_be_driven_is_said(images: xr.DataArray) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 3), torch.nn.ReLU(), torch.nn.Flatten())
    with torch.no_grad():
        module[0].bias.fill_(-1e3)
    with pytest.warns(NeurocodecWarning, match="1 of 1 pictures do not drive"):
        nc.visualise(nc.Network(module, []), nc.targets.Output(0), like=images, steps=2, **QUIET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 3}, "target=3"),
        ({"target": nc.targets.Output("no")}, "no"),
        ({"target": nc.targets.Feature("none", [1.0])}, "none"),
        ({"target": nc.targets.Feature("sum", [1.0])}, "sum"),
        ({"target": nc.targets.Feature("sum", [1.0] * 5, (20, 0))}, "20"),
        ({"like": None}, "like=stimulus"),
        ({"like": "few"}, "at least 16"),
        ({"like": "vectors"}, "dims"),
        ({"like": "grey"}, "pictures that vary"),
        ({"like": "broken"}, "NaN"),
        ({"start": "nothing"}, "'noise' or images"),
        ({"start": "small"}, "shape of like="),
        ({"kind": "wavelets"}, "wavelets"),
        ({"steps": 0}, "steps=0"),
        ({"steps": 2.5}, "2.5"),
        ({"rate": -1.0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"crop": (0.9, 1.2)}, "crop"),
        ({"crop": 3}, "crop"),
        ({"noise": -1}, "noise"),
        ({"contrast": 0}, "contrast"),
        ({"draws": 0}, "draws"),
        ({"seed": -1}, "seed"),
        ({"batch_size": 0}, "batch_size"),
        ({"device": "gpu"}, "gpu"),
    ],
)
def test_malformed(network: nc.Network, images: xr.DataArray, options, message: str) -> None:
    made = {
        "few": images[:5],
        "vectors": images.mean(("y", "x")),
        "small": images[:2, :, :6],
        "grey": 0 * images + 0.3,
        "broken": images.where(images < 3),
    }
    options = {k: made.get(x, x) if isinstance(x, str) else x for k, x in options.items()}
    known = {"target": nc.targets.Output(0), "like": images, "steps": 1, **QUIET}
    with pytest.raises((InputError, nc.errors.NeurocodecError), match=message):
        nc.visualise(network, **{**known, **options})
