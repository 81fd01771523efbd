"""Examples of concept vectors are the nearest rows, and their pictures the fields of these."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import Patches, seeded
from networks import images as pictures
from torch import nn

import neurocodec as nc
from neurocodec.concept_graphs.examples import concept_maps, in_context
from neurocodec.errors import CaptureError, InputError, NeurocodecWarning, UnknownNameError
from neurocodec.labels import stamp
from neurocodec.reports.concepts import write_concept_report


@pytest.fixture(scope="module")
def world():
    """A network, images with labels, rows of a layer, and concept vectors of these."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
        )
    net = nc.Network(module.eval(), layers={"maps": nc.Layer("0")})
    values = np.random.default_rng(0).normal(size=(6, 3, 10, 10)).astype("float32")
    images = xr.DataArray(values, {"stimulus": list("abcdef")}, ("stimulus", "color", "y", "x"))
    rows = nc.point_vectors(net, images, "maps", per_image=5, progress=False)
    return net, images, rows, nc.ConceptVectors(per_channel=2, active=2).fit(rows)


@pytest.fixture(scope="module")
def found(world):
    net, images, rows, vectors = world
    return nc.concept_examples(net, images, vectors, rows, [1, 4], count=3, side=16, progress=False)


def test_examples_are_the_nearest_rows_one_of_each_image(found, world):
    _, _, rows, vectors = world
    left = rows.values - vectors.offset.values
    cosine = left @ vectors.dictionary.sel(mode=4).values / np.linalg.norm(left, axis=1)
    best = {}
    for value, image, y, x in zip(
        cosine, rows.stimulus.values, rows.y.values, rows.x.values, strict=True
    ):
        if value > best.get(image, (-2,))[0]:
            best[image] = (value, int(y), int(x))
    wanted = sorted(best.items(), key=lambda item: -item[1][0])[:3]
    own = found.sel(mode=4)
    # the mean of two rows is as near to the one as to the other: their order is rounding
    places = zip(own.source.values, own.y.values, own.x.values, strict=True)
    assert {*places} == {(image, *value[1:]) for image, value in wanted}
    np.testing.assert_allclose(own.cosine, [value[0] for _, value in wanted], rtol=1e-5)


def test_pictures_do_not_depend_on_the_order_of_the_images(found, world):
    net, images, rows, vectors = world
    assert found.example_picture.dims == ("mode", "rank", "color", "picture_y", "picture_x")
    assert found.example_picture.dtype == np.uint8
    again = nc.concept_examples(
        net, images[::-1], vectors, rows, [1], count=3, side=16, progress=False
    )
    np.testing.assert_array_equal(again.example_picture[0], found.example_picture[0])


def test_what_is_not_in_the_field_is_dark():
    field = np.zeros((12, 12))
    field[4:8, 4:8] = 1.0
    made = in_context(np.ones((3, 12, 12)), field, np.array([0, 12, 0, 12]), 12)
    assert made.shape == (3, 12, 12)
    assert made[0, 6, 6] > 240
    assert abs(int(made[0, 0, 0]) - 0.35 * 255) < 2
    none = in_context(np.ones((1, 12, 12)), 0 * field, np.array([2, 8, 2, 8]), 6)
    assert none.shape == (1, 6, 6)


def test_maps_are_the_codes_of_the_layer(world):
    net, images, _, vectors = world
    with torch.no_grad():
        hidden = net.module[0](torch.from_numpy(images.values))
    maps = xr.DataArray(hidden.numpy(), dims=("stimulus", "channel", "y", "x"))
    codes = vectors.transform(maps)
    for mode in (0, 3):
        wanted = codes.loading.where(codes.loading_mode == mode, 0.0).sum("slot")
        own = concept_maps(net, images, vectors, [0, 3]).sel(mode=mode)
        np.testing.assert_allclose(own, wanted, rtol=1e-4, atol=1e-5)


def test_an_image_that_cannot_be_read_has_no_map(world):
    net, images, _, vectors = world
    whole = concept_maps(net, images, vectors, [0])
    read = xr.DataArray(np.arange(images.sizes["stimulus"]) != 1, dims="stimulus")
    found = concept_maps(net, stamp(images.where(read), "nc.images", broken="skip"), vectors, [0])
    xr.testing.assert_allclose(found, whole.isel(stimulus=read.values))


def test_images_without_labels_are_found_by_their_places(world):
    net, images, _, vectors = world
    whole = xr.concat([images, images[::-1], images[3:]], "stimulus").drop_vars("stimulus")
    # so many rows of each that those of one image less could be shared out among all
    options = {"per_image": 14, "progress": False}
    read = xr.DataArray(np.arange(15) != 1, dims="stimulus")
    skipping = stamp(whole.where(read), "nc.images", broken="skip")
    rows = nc.point_vectors(net, skipping, "maps", **options)
    assert rows.sizes["vector"] == 14 * 14
    assert sorted({*rows.stimulus.values.tolist()}) == [0, *range(2, 15)]
    labelled = whole.assign_coords(stimulus=list("abcdefghijklmno"))[read.values]
    other = nc.point_vectors(net, labelled, "maps", **options)
    for shown in (whole, skipping):
        made = nc.concept_examples(net, shown, vectors, rows, [0, 5], count=3, progress=False)
        expected = nc.concept_examples(
            net, labelled, vectors, other, [0, 5], count=3, progress=False
        )
        np.testing.assert_array_equal(made.example_picture, expected.example_picture)
        letters = np.array(list("abcdefghijklmno"))[made.source.values.astype(int)]
        np.testing.assert_array_equal(letters, expected.source)


def test_tokens_have_examples_by_input_gradients():
    module = seeded(Patches).eval()
    net = nc.Network(module, layers={"tokens": nc.Layer("block", layout="tokens")})
    shown = pictures(6)
    rows = nc.point_vectors(net, shown, "tokens", per_image=3, progress=False)
    vectors = nc.ConceptVectors(vectors=4, active=2).fit(rows)
    with pytest.raises(CaptureError, match="no sharing ratio"):
        nc.concept_examples(net, shown, vectors, rows, progress=False)
    found = nc.concept_examples(
        net, shown, vectors, rows, count=2, method="input_gradient", progress=False
    )
    assert found.example_picture.sizes["rank"] == 2
    left = rows.values - vectors.offset.values
    cosine = left @ vectors.dictionary.values.T / np.linalg.norm(left, axis=1)[:, None]
    best = cosine.argmax(0)
    np.testing.assert_array_equal(found.token[:, 0], rows.token.values[best])
    np.testing.assert_allclose(found.cosine[:, 0], cosine.max(0), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda x, r: (x, r, [99]), UnknownNameError, "no concept vector '99'"),
        (lambda x, r: (x, r, []), InputError, "at least one mode"),
        (lambda x, r: (x, r.drop_vars("y"), [0]), InputError, "without y"),
        (lambda x, r: (x, r.drop_vars("stimulus"), [0]), InputError, "without stimulus"),
        (
            lambda x, r: (x.assign_coords(stimulus=list("aacdef")), r, [0]),
            InputError,
            "1 images that are called as another one, such as 'a'",
        ),
        (lambda x, r: (x[:3], r, [0]), InputError, "not among those given"),
        (lambda x, r: (x, r.values, [0]), InputError, "as nc.point_vectors returns them"),
    ],
)
def test_what_does_not_fit_is_refused(world, change, kind, message):
    net, images, rows, vectors = world
    given, own, modes = change(images, rows)
    with pytest.raises(kind, match=message):
        nc.concept_examples(net, given, vectors, own, modes, progress=False)


def test_an_analysis_of_a_transformer_shows_its_tokens_by_input_gradients(tmp_path):
    layers = {
        "block": nc.Layer("block", layout="tokens"),
        "last": nc.Layer("last", layout="tokens"),
    }
    net = nc.Network(seeded(Patches).eval(), layers=layers, outputs=["cat", "dog"])
    shown = pictures(12).assign_coords(label=("stimulus", ["cat", "dog"] * 6))
    options = {"per_channel": 1, "per_image": 3, "active": 2, "examples": 2, "progress": False}
    with pytest.warns(NeurocodecWarning, match="of input gradients, for operation"):
        found = nc.analyse_concepts(
            net, shown, layers=["block", "last"], out=tmp_path, per_category=3, top=2, **options
        )
    cards = found.cards["last"].to_dataset()
    assert {"example_picture", "stability", "control_rank"} <= {*cards.data_vars}
    assert "concept_map" not in cards  # tokens have none
    assert "y" not in cards.coords
    page = write_concept_report(found, tmp_path)
    assert "last:" in page.read_text("utf-8")
