import numpy as np
import pytest
import torch
import xarray as xr
from networks import Tokens, images, seeded
from residual import residual, residual_network
from stored_images import stored_images, write_images

import neurocodec as nc
from neurocodec.attribution.points import Points, drawn
from neurocodec.errors import InputError, NeurocodecWarning, StorageError, UnknownNameError


def pictures(n=5) -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=(n, 3, 6, 6))
    names = {"stimulus": [f"picture {i}" for i in range(n)]}
    return xr.DataArray(values, names, ("stimulus", "color", "y", "x"))


def vectors(shown=None, layer="one", **options):
    shown = pictures() if shown is None else shown
    return nc.point_vectors(residual_network(residual()), shown, layer, progress=False, **options)


def test_rows_are_what_the_layer_is_at_their_positions():
    found = vectors(per_image=4, draw="uniform")
    h = residual().first(torch.from_numpy(pictures().values)).detach().numpy()
    assert found.dims == ("vector", "channel")
    for row in found:
        image = int(str(row.stimulus.item()).split()[-1])
        np.testing.assert_allclose(row, h[image, :, int(row.y), int(row.x)])
    places = found.y.values * 6 + found.x.values
    assert all(len({*own}) == 4 for own in places.reshape(5, 4))
    assert len({*places.tolist()}) > 8


@pytest.mark.parametrize("draw", ["contribution", "sharing", "uniform"])
def test_positions_of_an_image_are_its_own(draw):
    whole = vectors(pictures(5), draw=draw, per_image=2)
    for own in (pictures(2), pictures(5)[::-1], pictures(5)[3:4]):
        found = vectors(own, draw=draw, per_image=2, batch_size=2)
        expected = xr.concat(
            [whole[whole.stimulus == name] for name in own.stimulus.values], "vector"
        )
        xr.testing.assert_allclose(found.drop_attrs(), expected.drop_attrs())
    assert not np.array_equal(vectors(draw=draw, seed=1), vectors(draw=draw, seed=0))


def contributions_of(layer="one"):
    """Activation times gradient of the top logit (stimulus, channel, y, x), by autograd."""
    module = residual()
    x = torch.from_numpy(pictures().values)
    h = module.first(x).detach().requires_grad_()
    inner = module.two.norm2(module.two.conv2(torch.relu(module.two.norm1(module.two.conv1(h)))))
    pre = inner + h
    pre.retain_grad()
    module.head(torch.relu(pre).mean((2, 3))).max(1).values.sum().backward()
    at = {"one": h, "pre": pre}[layer]
    return (at * at.grad).detach().numpy()


@pytest.mark.parametrize("layer", ["one", "pre"])
def test_the_probability_of_a_position_is_its_part_of_the_contributions(layer):
    found = vectors(layer=layer, per_image=36)
    size = np.abs(contributions_of(layer).sum(1))
    share = size / size.sum((1, 2), keepdims=True)
    image = np.repeat(np.arange(5), 36)
    np.testing.assert_allclose(
        found.draw_probability, share[image, found.y.values, found.x.values], rtol=1e-6
    )


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_positions_follow_what_contributes_to_each_image_s_own_label(batch_size):
    own = np.array([1, 0, 2, 1, 0])
    shown = pictures().assign_coords(label=("stimulus", own))
    options = {"per_image": 4, "batch_size": batch_size}
    found = vectors(shown, "pre", target=nc.targets.Label(), **options)
    for name, which in zip(shown.stimulus.values, own, strict=True):
        alone = vectors(shown, "pre", target=nc.targets.Output(int(which)), per_image=4)
        rows = found[found.stimulus == name]
        xr.testing.assert_allclose(
            rows.drop_attrs(), alone[alone.stimulus == name].drop_attrs(), rtol=1e-12
        )


def test_a_target_of_labels_without_labels_says_how_they_are_given():
    with pytest.raises(InputError, match="without labels"):
        vectors(target=nc.targets.Label())


def test_shares_draw_positions_too():
    found = vectors(draw="sharing", per_image=36)
    total = found.draw_probability.groupby("stimulus").sum()
    np.testing.assert_allclose(total, 1)
    assert not np.allclose(found.draw_probability, vectors(per_image=36).draw_probability)


def test_positions_come_as_often_as_their_probability():
    weights = np.array([[5.0, 3.0, 2.0, 0.0]]).repeat(4000, 0)
    place, share = drawn(weights, 4, 2, [[i] for i in range(4000)])
    np.testing.assert_allclose(np.bincount(place[:, 0], minlength=4) / 4000, share_of(), atol=0.03)
    np.testing.assert_allclose(share, np.take(share_of(), place))
    # without the first, the second is drawn by what is left
    after = place[place[:, 0] == 0][:, 1]
    np.testing.assert_allclose(
        np.bincount(after, minlength=4) / len(after), [0, 0.6, 0.4, 0], atol=0.04
    )


def share_of():
    return np.array([0.5, 0.3, 0.2, 0.0])


def test_where_nothing_contributes_all_positions_are_alike():
    place, share = drawn(np.zeros((300, 4)), 4, 1, [[i] for i in range(300)])
    assert (share == 0.25).all()
    assert np.bincount(place[:, 0]).min() > 50


def test_several_layers_come_as_a_tree():
    net = residual_network(residual())
    found = nc.point_vectors(net, pictures(), ["one", "pre"], per_image=2, progress=False)
    for layer in ("one", "pre"):
        alone = vectors(layer=layer, per_image=2)
        xr.testing.assert_allclose(found[layer]["activation"].drop_attrs(), alone.drop_attrs())
        assert nc.labels.provenance(found[layer]["activation"])["layer"] == layer
    one = nc.point_vectors(net, pictures(), ["one"], progress=False)
    assert [*one.children] == ["one"]


@pytest.mark.parametrize("end", [".nc", ".zarr"])
def test_a_run_that_was_killed_gives_the_same(tmp_path, monkeypatch, end):
    net, out = residual_network(residual()), tmp_path / f"vectors{end}"
    options = {"per_image": 3, "batch_size": 1, "progress": False}
    rows, calls = Points.rows, []

    def failing(self, batch, into):
        calls.append(batch.first)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return rows(self, batch, into)

    monkeypatch.setattr(Points, "rows", failing)
    with pytest.raises(KeyboardInterrupt):
        nc.point_vectors(net, pictures(), ["one", "pre"], out=out, **options)
    before = len(calls)
    found = nc.point_vectors(net, pictures(), ["one", "pre"], out=out, **options)
    assert len(calls) - before <= 3  # the two that were left, and one for the shapes
    whole = nc.point_vectors(net, pictures(), ["one", "pre"], **options)
    xr.testing.assert_identical(found.load(), whole)
    again = nc.point_vectors(net, pictures(), ["one", "pre"], out=out, **options)
    xr.testing.assert_identical(again.load(), whole)
    with pytest.raises(StorageError, match="seed was 0, is 1"):
        nc.point_vectors(net, pictures(), ["one", "pre"], seed=1, out=out, **options)


@pytest.mark.parametrize("out", [None, "run.nc", "run.zarr"])
def test_broken_images_are_left_out_and_shift_nothing(tmp_path, out):
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3)
    )
    net = nc.Network(module.eval(), layers={"pre": nc.Layer("1", at="input")})
    options = {"per_image": 2, "batch_size": 2, "progress": False, "workers": 0}
    files = write_images(tmp_path / "images", 5)
    whole = nc.point_vectors(net, stored_images(files), "pre", **options)
    files[1].write_bytes(b"no image")
    place = None if out is None else tmp_path / out
    found = nc.point_vectors(net, stored_images(files, "skip"), "pre", out=place, **options)
    expected = whole[whole.stimulus != 1]
    xr.testing.assert_allclose(found.load().drop_attrs(), expected.drop_attrs())


def test_concept_vectors_know_their_layer_and_its_maps(tmp_path):
    net = residual_network(residual())
    out = tmp_path / "vectors.nc"
    rows = nc.point_vectors(net, pictures(), ["one", "pre"], per_image=5, out=out, progress=False)
    fitted = nc.ConceptVectors(vectors=6, active=2)
    assert fitted.fit(rows["pre"]).layer == "pre"
    assert fitted.fit(out, layer="one").layer == "one"
    maps = nc.contributions(
        net,
        pictures(),
        layers=["one", "pre"],
        target=nc.targets.TopK(1),
        reduce="none",
        progress=False,
    )
    codes = fitted.transform(maps["one"])
    assert dict(codes.sizes) == {"stimulus": 5, "y": 6, "x": 6, "slot": 2}
    with pytest.raises(InputError, match="layer 'pre'.*, for modes of 'one'"):
        fitted.transform(maps["pre"])
    other = nc.contributions(
        residual_network(residual(seed=1)),
        pictures(),
        layers=["one"],
        target=nc.targets.TopK(1),
        reduce="none",
        progress=False,
    )
    with pytest.raises(InputError, match="weights"):
        fitted.transform(other["one"])
    with pytest.raises(InputError, match=r"\['one', 'pre'\]"):
        fitted.fit(rows)


def test_tokens_have_positions_too():
    net = nc.Network(seeded(Tokens), layers={"tokens": "mlp"})
    found = nc.point_vectors(net, images(), "tokens", draw="uniform", per_image=2, progress=False)
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
        ({"layer": []}, InputError, "no layer"),
        ({"draw": "random"}, UnknownNameError, "contribution"),
        ({"draw": "uniform", "target": nc.targets.TopK(1)}, InputError, "draw='uniform'"),
        ({"draw": "sharing", "target": nc.targets.Output(1)}, InputError, "draw='sharing'"),
        ({"target": "logit"}, InputError, "target='logit'"),
        ({"batch_size": 0}, InputError, "batch_size=0"),
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


def test_each_image_may_be_drawn_by_its_own_label():
    shown = pictures(6).assign_coords(label=("stimulus", list("abacab")))
    count = residual()(torch.from_numpy(shown.values)).shape[1]
    net = nc.Network(residual(), {"one": "one"}, outputs=list("abcdefgh")[:count])
    options = {"per_image": 3, "progress": False, "batch_size": 4}
    own = nc.point_vectors(net, shown, "one", target=nc.targets.Label(), **options)
    for name in "abc":
        of_class = nc.point_vectors(net, shown, "one", target=nc.targets.Output(name), **options)
        some = own[own.label.values == name]
        xr.testing.assert_allclose(
            some.drop_attrs(), of_class[of_class.label.values == name].drop_attrs()
        )


class FirstToken(torch.nn.Module):
    """Three tokens, of which the answer reads the first."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = torch.nn.Linear(4, 4)

    def forward(self, x):
        return self.tokens(x.flatten(1).reshape(len(x), 3, 4))[:, 0]


def test_positions_that_contribute_nothing_are_told():
    net = nc.Network(seeded(FirstToken), {"t": nc.Layer("tokens", layout="tokens")})
    shown = xr.DataArray(
        np.random.default_rng(0).random((5, 3, 2, 2), "float32"),
        dims=("stimulus", "color", "y", "x"),
    )
    with pytest.warns(NeurocodecWarning, match="10 of 15 vectors of 't'"):
        found = nc.point_vectors(net, shown, "t", per_image=3, progress=False)
    assert (found.draw_probability.values == 0).sum() == 10
    assert nc.point_vectors(net, shown, "t", progress=False).token.values.tolist() == [0] * 5
