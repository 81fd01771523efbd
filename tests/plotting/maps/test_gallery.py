"""The gallery shows the images that a mode is strongest on, masked by the mode's map."""

import numpy as np
import pytest
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError, UnknownNameError
from neurocodec.kernels import map_pictures

RANDOM = np.random.default_rng(0)
IMAGES = xr.DataArray(
    RANDOM.random((12, 3, 6, 6), "float32"),
    {"stimulus": np.arange(12) + 20, "label": ("stimulus", ["cat", "dog"] * 6)},
    ("stimulus", "color", "y", "x"),
)
LOADINGS = xr.DataArray(
    RANDOM.permutation(24).reshape(12, 2) + 1.0,
    {"stimulus": IMAGES.stimulus, "label": IMAGES.label, "mode": [3, 8]},
    ("stimulus", "mode"),
    name="loading",
).assign_coords(held_out=("stimulus", np.arange(12) % 3 == 0))


def panels(figure, columns, wide=1):
    figure.draw_without_rendering()
    shown = [ax for ax in figure.axes if ax.images]
    return [shown[i : i + columns * wide] for i in range(0, len(shown), columns * wide)]


def seen(ax):
    return np.moveaxis(np.asarray(ax.images[0].get_array()), -1, 0)


def test_each_row_has_the_images_of_its_kind():
    rows = panels(nc.plot.gallery(LOADINGS, IMAGES, k=3), 3)
    found = nc.top_samples(LOADINGS, 3)
    assert len(rows) == 6
    for row, (mode, kind) in zip(rows, np.ndindex(2, 3), strict=True):
        names = found.stimulus.values[mode, kind]
        for ax, name in zip(row, names, strict=True):
            np.testing.assert_allclose(seen(ax), IMAGES.sel(stimulus=name))
            title, one = ax.get_title(), LOADINGS.sel(stimulus=name)
            assert title.startswith(f"{IMAGES.label.sel(stimulus=name).item()}\nloading ")
            assert ("held out" in title) == bool(one.held_out)
    assert rows[0][0].get_ylabel() == "mode 3\nstrongest"
    assert [row[0].get_ylabel() for row in rows[1:3]] == ["median", "random"]


def test_images_may_come_in_another_order_and_without_names():
    turned = IMAGES[::-1]
    (first, *_), *_ = panels(nc.plot.gallery(LOADINGS, turned, k=2), 2)
    best = int(LOADINGS.sel(mode=3).values.argmax())
    np.testing.assert_allclose(seen(first), IMAGES[best])
    bare = LOADINGS.drop_vars(["stimulus", "label"])
    (first, *_), *_ = panels(nc.plot.gallery(bare, IMAGES.drop_vars("stimulus"), k=2), 2)
    np.testing.assert_allclose(seen(first), IMAGES[best])


def test_a_place_without_an_image_is_empty():
    few = LOADINGS.where(LOADINGS > 23, 0.0)
    figure = nc.plot.gallery(few, IMAGES, k=2)
    mode = few.mode.values[int(few.values.max(axis=0).argmax())]
    names = [ax.get_ylabel() for ax in figure.axes if ax.images]
    assert names.count(f"mode {mode}\nstrongest") == 1
    assert sum(bool(ax.images) for ax in figure.axes) == 2 + 2 * 2


@pytest.fixture(scope="module")
def fitted():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    random = np.random.default_rng(1)
    for parameter in module.parameters():
        parameter.data = parameter.data.new_tensor(random.normal(size=parameter.shape) * 0.3)
    net = nc.Network(module, {"conv": "1"}, outputs=["cat", "dog"])
    target = nc.targets.Output("cat")
    tree = nc.contributions(net, IMAGES, target=target, method=nc.methods.InputGrad())
    return net, target, nc.BaselineModes("nmf", modes=2).fit(tree["conv"])


def test_maps_made_here_are_those_of_contribution_maps(fitted):
    net, target, modes = fitted
    figure = nc.plot.gallery(modes, IMAGES, maps=True, net=net, target=target, k=2, filter=1)
    (row, *_) = panels(figure, 2, wide=2)
    found = nc.top_samples(modes, 2)
    maps = nc.contribution_maps(
        net, IMAGES, "conv", target=target, modes=modes, sign="excitatory", top=1
    )
    given = nc.plot.gallery(modes, IMAGES, maps=maps, k=2, filter=1)
    for a, b in zip(row, panels(given, 2, wide=2)[0], strict=True):
        np.testing.assert_allclose(seen(a), seen(b), atol=1e-5)
    mode = found.mode.values[0]
    shown = maps.contribution_map.sel(mode=mode, stimulus=found.stimulus.values[0].ravel())
    size = map_pictures.size_picture(shown.values)
    mask = np.clip(size[0] / np.quantile(size, 0.99), 0, 1) ** 0.7
    name = found.stimulus.values[0, 0, 0]
    np.testing.assert_allclose(seen(row[1]), IMAGES.sel(stimulus=name) * mask, atol=1e-5)
    assert "q = the 99 % quantile of the maps of a mode" in figure.get_supxlabel().replace(
        "\n", " "
    )


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        ((LOADINGS, IMAGES[:4]), {}, InputError, "of those that are the strongest"),
        ((LOADINGS, IMAGES), {"maps": True}, InputError, "maps=True without net=, target="),
        ((LOADINGS, IMAGES), {"show": [4]}, UnknownNameError, "4"),
        ((LOADINGS, IMAGES.values), {}, InputError, "images of type ndarray"),
        ((LOADINGS.to_dataset(), IMAGES), {}, InputError, "what nc.top_samples returns"),
        ((LOADINGS, IMAGES), {"maps": xr.Dataset()}, InputError, "maps of type Dataset"),
        ((LOADINGS, IMAGES), {"k": 0}, InputError, "k=0"),
    ],
)
def test_what_does_not_fit_is_refused(given, options, error, message):
    with pytest.raises(error, match=message):
        nc.plot.gallery(*given, **options)


def test_what_stands_below_is_inside_of_the_figure():
    figure = nc.plot.gallery(LOADINGS, IMAGES, k=3, note="wide words as many as there are " * 20)
    figure.canvas.draw()
    below = figure._supxlabel.get_window_extent()
    assert below.x0 >= 0
    assert below.x1 <= figure.bbox.x1
