"""Maps of attributions of images in which the reasons are planted."""

import warnings

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image

import neurocodec as nc
from neurocodec.errors import InputError, StorageError
from neurocodec.nn.synthesis import objectives
from neurocodec.synthesis import atlas

QUIET = {"progress": False}
COUNT, SIDE = 60, 6


@pytest.fixture(scope="module")
def network() -> nc.Network:
    """The answer at a place: the first two colours excite it, the third inhibits it."""
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 3, 1, bias=False),
        torch.nn.ReLU(),
        torch.nn.Conv2d(3, 1, 1, bias=False),
        torch.nn.Flatten(),
    )
    with torch.no_grad():
        module[0].weight.copy_(torch.eye(3)[:, :, None, None])
        module[2].weight.copy_(torch.tensor([1.0, 1.0, -1.0])[None, :, None, None])
    return nc.Network(module, layers={"hidden": "1", "pre": "2"})


@pytest.fixture(scope="module")
def target() -> nc.targets.Feature:
    return nc.targets.Feature("pre", [1.0], (2, 3))


@pytest.fixture(scope="module")
def reasons() -> np.ndarray:
    """Colour of each image that is bright at the place; of the last ten none is."""
    return np.append(np.arange(COUNT - 10) % 3, [-1] * 10)


@pytest.fixture(scope="module")
def images(reasons) -> xr.DataArray:
    draw = np.random.default_rng(0)
    values = draw.uniform(0.0, 0.2, size=(COUNT, 3, SIDE, SIDE)).astype("float32")
    for image, color in zip(values, reasons, strict=True):
        image[:, 2, 3] *= color >= 0
        if color >= 0:
            image[color, 2, 3] = draw.uniform(1, 2)
    labels = [f"image {i}" for i in range(COUNT)]
    return xr.DataArray(values, {"stimulus": labels}, ("stimulus", "color", "y", "x"))


@pytest.fixture(scope="module")
def options(target) -> dict:
    method = nc.methods.ActGrad()
    return {"target": target, "grid": 3, "least": 4, "steps": 25, "method": method, **QUIET}


@pytest.fixture(scope="module", params=["tsne", "pca"])
def found(request, network, images, options) -> xr.DataTree:
    with np.errstate(all="raise"):
        return nc.attribution_atlas(
            network, images, "hidden", layout=request.param, count=50, **options
        )


@pytest.mark.filterwarnings("ignore:.*have no attribution")
def test_images_without_an_attribution_are_left_out(found, images, reasons) -> None:
    assert found.stimulus.values.tolist() == images.stimulus.values[reasons >= 0].tolist()
    lit = images.isel(y=2, x=3).sel(stimulus=found.stimulus)
    np.testing.assert_allclose(found.excitation, lit[:, :2].sum("color"), rtol=1e-5)
    np.testing.assert_allclose(found.inhibition, lit[:, 2], rtol=1e-5)


def test_images_lie_by_their_reason(found, reasons) -> None:
    where = np.stack([found.atlas_x, found.atlas_y], 1)
    assert where.min() == 0
    assert where.max() == 1
    distance = np.linalg.norm(where[:, None] - where[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = reasons[distance.argmin(1)]
    assert (nearest == reasons[:50]).mean() > 0.95


def test_icons_are_of_the_images_in_their_place(found) -> None:
    icons = found["icons"]
    steps = np.minimum((np.stack([found.atlas_y, found.atlas_x]) * 3).astype(int), 2)
    for i in range(icons.sizes["icon"]):
        inside = (steps[0] == int(icons.row[i])) & (steps[1] == int(icons.column[i]))
        assert inside.sum() == icons.n_images[i] >= 4
        assert (found.icon_of_image.values[inside] == i).all()
        own = found.target[inside].values
        np.testing.assert_allclose(icons.mean_target[i], own.mean(), rtol=1e-6)
        error = own.std(ddof=1) / np.sqrt(len(own))
        np.testing.assert_allclose(icons.standard_error[i], error, rtol=1e-5)
    outside = found.icon_of_image == -1
    assert outside.sum() + icons.n_images.sum() == 50


def test_icons_do_what_their_images_do(found) -> None:
    icons = found["icons"]
    image = icons.image[..., 2, 3].clip(0)
    expected = image[:, 0] + image[:, 1] - image[:, 2]
    np.testing.assert_allclose(icons.target, expected, atol=1e-6)
    assert (icons.confirmed == (np.sign(icons.mean_target) == np.sign(icons.target))).all()
    assert float(icons.confirmed.mean()) >= 0.9


@pytest.mark.filterwarnings("ignore:.*have no attribution")
def test_the_same_seed_is_the_same_map_also_after_a_stop(
    found, network, images, options, tmp_path
) -> None:
    layout = nc.labels.provenance(found)["atlas"]["layout"]
    call = {"layout": layout, "count": 50, "out": tmp_path / "atlas", **options}

    def stop(*_args, **_options):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(atlas, "inverted", stop)
        with pytest.raises(KeyboardInterrupt):
            nc.attribution_atlas(network, images, "hidden", **call)
    again = nc.attribution_atlas(network, images, "hidden", **call)
    assert_same(found, again)


def assert_same(found: xr.DataTree, again: xr.DataTree) -> None:
    for node in found.subtree:
        for name, values in node.data_vars.items():
            assert again[node.path][name].equals(values), name


@pytest.mark.filterwarnings("ignore:.*have no attribution")
@pytest.mark.parametrize("step", [0, 40])
def test_icons_go_on_after_a_stop_in_their_middle(network, images, options, tmp_path, step) -> None:
    call = {"layout": "pca", "count": 50, "batch_size": 1, **options, "grid": 5, "least": 2}
    whole = nc.attribution_atlas(network, images, "hidden", **call)
    assert whole["icons"].sizes["icon"] > 2
    seen = []
    by_own = objectives.by_own

    def stopping(*arguments):
        if len(seen) == step:
            raise KeyboardInterrupt
        seen.append(None)
        return by_own(*arguments)

    call["out"] = tmp_path / "atlas"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(objectives, "by_own", stopping)
        with pytest.raises(KeyboardInterrupt):
            nc.attribution_atlas(network, images, "hidden", **call)
        seen.clear()
        patched.setattr(objectives, "by_own", lambda *a: (seen.append(None), by_own(*a))[1])
        again = nc.attribution_atlas(network, images, "hidden", **call)
        first = len(seen)
        third = nc.attribution_atlas(network, images, "hidden", **call)
    assert_same(whole, again)
    assert_same(whole, third)
    icons = whole["icons"].sizes["icon"]
    passes = 34  # one looks whether the noise moves, and eight for the best draw of it
    assert first == passes * (icons - (step > passes))
    assert len(seen) == first


@pytest.mark.filterwarnings("ignore:.*have no attribution")
def test_icons_begin_with_the_highest_of_some_draws(network, images, options, monkeypatch) -> None:
    call, first = {"layout": "pca", **options, "steps": 1}, {}
    for tries in (1, 8):
        monkeypatch.setattr("neurocodec.synthesis.invert.TRIES", tries)
        made = nc.attribution_atlas(network, images, "hidden", **call)
        first[tries] = float(made["icons/objective"].mean())
    assert first[8] > 1.2 * first[1]


def test_icons_of_other_steps_are_not_taken_for_these(network, images, options, tmp_path) -> None:
    call = {"layout": "pca", "out": tmp_path / "atlas", **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nc.attribution_atlas(network, images, "hidden", **call)
        with pytest.raises(StorageError, match="steps"):
            nc.attribution_atlas(network, images, "hidden", **{**call, "steps": 3})


@pytest.mark.filterwarnings("ignore:.*have no attribution")
@pytest.mark.parametrize(
    "case",
    [
        ({"layout": "som"}, "som"),
        ({"count": 3}, "count=3"),
        ({"grid": 0}, "grid=0"),
        ({"least": 0}, "least=0"),
        ({"least": 100}, "at least 100"),
        ({"seed": -1}, "seed=-1"),
        ({"steps": 0}, "steps=0"),
        ({"target": nc.targets.Features("pre", channels=[0])}, "one number"),
        ({"layout": "umap"}, "pip install umap-learn"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"out": 3}, "out=3"),
        ({"like": 15}, "like= of 15 images"),
        ({"smaller": 5}, "the shape of the images, \\(3, 6, 6\\)"),
        ({"layer": ["hidden"]}, "layer='layer1'"),
        ({"layer": "hiden"}, "'hidden'"),
        ({"rename": "atlas_x"}, "a coordinate 'atlas_x' of the images"),
    ],
)
def test_malformed(network, images, options, case, monkeypatch) -> None:
    change, message = case
    if change != {"least": 100}:  # told before the images are gone through

        def late(*_args, **_options):
            raise AssertionError("too late")

        monkeypatch.setattr(atlas, "tension", late)
    monkeypatch.setattr(atlas, "find_spec", lambda _name: None)
    change = {**change}
    if "like" in change:
        change["like"] = images[: change["like"]]
    if "smaller" in change:
        change["like"] = images[..., : change.pop("smaller")]
    if "rename" in change:
        images = images.assign_coords({change.pop("rename"): ("stimulus", range(COUNT))})
    layer = change.pop("layer", "hidden")
    with pytest.raises(InputError, match=message):
        nc.attribution_atlas(network, images, layer, **{"layout": "pca", **options, **change})


def test_a_movie_has_no_atlas(network, options) -> None:
    sees = nc.Network(network.module, network.layers, history=4, frame_rate=100.0)
    movie = xr.DataArray(np.zeros((30, 6, 6), "float32"), dims=("time", "y", "x"))
    with pytest.raises(InputError, match="sees a movie"):
        nc.attribution_atlas(sees, movie, "hidden", **options)


def test_images_that_cannot_be_read_shift_no_others(network, options, tmp_path) -> None:
    draw = np.random.default_rng(3)
    for i in range(24):
        pixels = draw.integers(0, 256, (SIDE, SIDE, 3)).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / f"{i:02}.png")
    for i in (0, 9):
        (tmp_path / f"{i:02}.png").write_bytes(b"broken")

    def pixels_of(image):
        return np.asarray(image, "float32").transpose(2, 0, 1) / 255

    given = nc.images(tmp_path, preprocessing=pixels_of, check=False, broken="skip")
    call = {**options, "grid": 1, "steps": 2, "workers": 0}
    found = nc.attribution_atlas(network, given, "hidden", layout="pca", **call)
    labels = [i for i in range(24) if i not in (0, 9)]
    assert found.stimulus.values.tolist() == labels
    again = nc.tension(
        network,
        given.sel(stimulus=labels),
        "hidden",
        workers=0,
        **{k: options[k] for k in ("target", "method", "progress")},
    )
    np.testing.assert_allclose(found.target, again.target, rtol=1e-6)
    alone = nc.attribution_atlas(
        network, given.sel(stimulus=labels), "hidden", layout="pca", **call
    )
    for name in ("atlas_x", "atlas_y", "icons/mean_target", "icons/image"):
        np.testing.assert_allclose(found[name], alone[name], atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*have no attribution")
def test_images_without_names_are_known_by_their_places(network, images, options) -> None:
    bare = images.drop_vars("stimulus")
    call = {**options, "grid": 1, "steps": 2, "count": 20}
    found = nc.attribution_atlas(network, bare, "hidden", layout="pca", **call)
    named = images.isel(stimulus=found.stimulus.values)[:, :, 2, 3]
    np.testing.assert_allclose(found.inhibition, named[:, 2].clip(0), rtol=1e-5)
