import numpy as np
import pytest
import torch
import xarray as xr
from networks import Tokens, images, seeded
from residual import residual, residual_network

import neurocodec as nc
from neurocodec.errors import InputError, NeurocodecWarning, UnknownNameError


def pictures(n=5) -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=(n, 3, 6, 6))
    names = {"stimulus": [f"picture {i}" for i in range(n)]}
    return xr.DataArray(values, names, ("stimulus", "color", "y", "x"))


def vectors(shown=None, layer="one", **options):
    shown = pictures() if shown is None else shown
    return nc.point_vectors(residual_network(residual()), shown, layer, progress=False, **options)


def test_rows_are_what_the_layer_is_at_their_positions():
    found = vectors(per_image=4)
    h = residual().first(torch.from_numpy(pictures().values)).detach().numpy()
    assert found.dims == ("vector", "channel")
    for row in found:
        image = int(str(row.stimulus.item()).split()[-1])
        np.testing.assert_allclose(row, h[image, :, int(row.y), int(row.x)])
    places = found.y.values * 6 + found.x.values
    assert all(len({*own}) == 4 for own in places.reshape(5, 4))
    assert len({*places.tolist()}) > 8


def test_positions_of_an_image_are_its_own():
    xr.testing.assert_identical(
        vectors(pictures(2)).drop_attrs(), vectors(pictures(5))[:2].drop_attrs()
    )
    assert not np.array_equal(vectors(seed=1), vectors(seed=0))


def test_tokens_have_positions_too():
    net = nc.Network(seeded(Tokens), layers={"tokens": "mlp"})
    found = nc.point_vectors(net, images(), "tokens", per_image=2, progress=False)
    assert found.token.values.max() <= 4


def test_clusters_are_features_of_the_layer():
    rows = vectors(pictures(20), per_image=5)
    with (
        pytest.warns(NeurocodecWarning, match="are 0")
        if not rows.any("channel").all()
        else (pytest.MonkeyPatch.context())
    ):
        found = nc.cluster_vectors(rows, clusters=8, count=3)
    np.testing.assert_allclose((found**2).sum("channel"), 1)
    assert found.sizes == {"feature": 3, "channel": 4}
    assert int(found["size"].min()) >= 1
    target = nc.targets.Features("pre", found, position="center")
    assert target.labels == tuple(found.feature.values.tolist())
    every = nc.cluster_vectors(rows.where(rows.any("channel"), drop=True), clusters=8, count=None)
    assert int(every["size"].sum()) == int(rows.any("channel").sum())
    xr.testing.assert_identical(every.sel(feature=found.feature).drop_attrs(), found.drop_attrs())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layer": "four"}, UnknownNameError, "no layer 'four'"),
        ({"per_image": 0}, InputError, "per_image=0"),
        ({"per_image": 37}, InputError, "36 positions"),
        ({"seed": -1}, InputError, "seed=-1"),
        ({"shown": pictures() * np.nan}, InputError, "finite"),
    ],
)
def test_vectors_that_cannot_be_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        vectors(**options)


def test_a_vector_layer_has_no_positions():
    net = nc.Network(residual(), layers={"logits": "head"})
    with pytest.raises(InputError, match="no positions"):
        nc.point_vectors(net, pictures(), "logits", progress=False)


ROWS = xr.DataArray(np.eye(4), dims=("vector", "channel"))


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (ROWS, {"clusters": 5}, "clusters=5 of 4 different"),
        (ROWS, {"clusters": 0}, "clusters=0"),
        (ROWS, {"clusters": 3, "count": 4}, "count=4 of 3"),
        (ROWS.T, {"clusters": 3}, r"\(vector, channel\)"),
        (ROWS.values, {"clusters": 3}, "ndarray"),
        (ROWS * np.nan, {"clusters": 3}, "finite"),
        (xr.concat([ROWS[:2]] * 3, "vector"), {"clusters": 3}, "of 2 different"),
    ],
)
def test_clusters_that_cannot_be_are_refused(rows, options, message):
    with pytest.raises(InputError, match=message):
        nc.cluster_vectors(rows, **{"count": 1, **options})
