"""Curves against passes made by hand, with what codes and contributions say is in the layer."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import movie, retina_network, two_layers
from residual import residual

import neurocodec as nc
from neurocodec.concept_graphs import curve_plan
from neurocodec.errors import InputError, NeurocodecError, UnknownNameError
from neurocodec.nn.attribution.concepts import contributions

QUIET = {"progress": False}
TOP = nc.targets.TopK(1)


@pytest.fixture(scope="module")
def module():
    return residual(dtype=torch.float32)


@pytest.fixture(scope="module")
def net(module) -> nc.Network:
    return nc.Network(module, {"one": nc.Layer("one.total"), "two": nc.Layer("two.total")})


@pytest.fixture(scope="module")
def images() -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=(6, 3, 6, 6)).astype("float32")
    return xr.DataArray(values, {"stimulus": range(6)}, ("stimulus", "color", "y", "x"))


@pytest.fixture(scope="module")
def fitted(net, images):
    rows = nc.point_vectors(net, images, ["one", "two"], draw="uniform", per_image=12, **QUIET)
    make = [("one", 12), ("two", 8)]
    return [nc.ConceptVectors(vectors=n, active=2).fit(rows, layer=name) for name, n in make]


@pytest.fixture(scope="module")
def of_class(net, images, fitted):
    return nc.concept_curve(net, images, source=fitted[0], target=TOP, points=6, steps=4, **QUIET)


@pytest.fixture(scope="module")
def of_layer(net, images, fitted):
    source, target = fitted
    call = {"targets": 2, "points": 5, "steps": 4, **QUIET}
    return nc.concept_curve(net, images, source=source, target=target, **call)


def codes(vectors, images, module):
    """Loadings (stimulus, place, mode) of the layer's maps, all modes, most of them 0."""
    with torch.no_grad():
        maps = module.one.before_relu(torch.relu(module.stem(torch.from_numpy(images.values))))
    maps = xr.DataArray(maps.numpy(), dims=("stimulus", "channel", "y", "x"))
    found = vectors.transform(maps).stack(place=("y", "x")).transpose("stimulus", "place", "slot")
    dense = np.zeros((len(images), 36, len(vectors.dictionary)), "float32")
    for index in np.ndindex(found.loading.shape):
        if found.loading_mode.values[index] >= 0:
            dense[(*index[:2], found.loading_mode.values[index])] += found.loading.values[index]
    return dense


def maps_with(vectors, loadings, kept):
    """The layer (1, channel, y, x) with some of the vectors in it."""
    made = loadings[:, kept] @ vectors.dictionary.values[kept] + vectors.offset.values
    return torch.from_numpy(made.T.reshape(1, 4, 6, 6))


def order(scores, active):
    """The active ones, the largest score first."""
    return [q for q in np.argsort(-scores, kind="stable") if active[q]]


@torch.no_grad()
def test_class_curves_are_passes_with_the_first_vectors(net, images, fitted, of_class, module):
    source = fitted[0]
    dense = codes(source, images, module)
    held = nc.targets.TopK(1, hold=True)
    given = nc.concept_contributions(
        net, images, source=source, target=held, residual=False, steps=4, **QUIET
    )
    for i in range(len(images)):
        active = (dense[i] != 0).any(0)
        own = int(module(torch.from_numpy(images.values[i : i + 1])).argmax())
        scores = {
            "gig": given.contribution.values[i],
            "size": np.linalg.norm(dense[i], axis=0),
        }
        assert int(of_class.active_count[i]) == active.sum()
        for ranking, values in scores.items():
            modes = order(values, active)
            for f in of_class.fraction.values:
                count = int(np.rint(f * len(modes)))
                for kind, kept in (("insert", modes[:count]), ("delete", modes[count:])):
                    a = torch.relu(maps_with(source, dense[i], kept))
                    p = module.head(module.two(a).mean((2, 3))).softmax(1)[0]
                    found = of_class.concept_curve.sel(
                        stimulus=i, ranking=ranking, kind=kind, fraction=f
                    )
                    assert float(found.sel(outcome="probability")) == pytest.approx(
                        float(p[own]), abs=1e-5
                    )
                    assert bool(found.sel(outcome="accuracy")) == (int(p.argmax()) == own)


@torch.no_grad()
def test_projections_are_the_largest_over_positions(images, fitted, of_layer, module):
    source, target = fitted
    dense = codes(source, images, module)
    rows, start = target.dictionary.values, target.offset.values
    for i, t in np.ndindex(3, 2):
        mode = int(of_layer.target_mode[i, t])

        def largest(kept, i=i, mode=mode):
            made = module.two.before_relu(torch.relu(maps_with(source, dense[i], kept)))
            made = made[0].flatten(1).T.numpy() - start
            return float((made @ rows[mode]).max())

        active = (dense[i] != 0).any(0)
        modes = order(source.dictionary.values @ rows[mode], active)
        found = of_layer.concept_curve.sel(ranking="cosine", outcome="projection")[i, t]
        for kind in ("insert", "delete"):
            for f in of_layer.fraction.values:
                count = int(np.rint(f * len(modes)))
                kept = modes[:count] if kind == "insert" else modes[count:]
                expected = largest(kept) / largest(modes)
                assert float(found.sel(kind=kind, fraction=f)) == pytest.approx(expected, abs=1e-4)


def test_ends_are_the_same_for_all_rankings(of_layer):
    ends = of_layer.concept_curve.isel(fraction=[0, -1])
    np.testing.assert_allclose(ends.std("ranking"), 0, atol=1e-6)
    np.testing.assert_allclose(ends.sel(kind="insert").isel(fraction=1), 1)
    np.testing.assert_allclose(
        ends.sel(kind="insert").isel(fraction=0), ends.sel(kind="delete").isel(fraction=1)
    )


def test_what_the_codes_leave_may_stay(net, images, fitted):
    found = nc.concept_curve(
        net, images, source=fitted[0], target=TOP, rankings="size", residual=True, points=2, **QUIET
    )
    answers = torch.from_numpy(nc.respond(net, images, **QUIET).values).softmax(1)
    end = found.concept_curve.sel(ranking="size", kind="insert", outcome="probability")[:, -1]
    np.testing.assert_allclose(end, answers.amax(1), atol=1e-5)
    np.testing.assert_allclose(
        found.concept_curve.sel(outcome="accuracy", kind="delete")[..., 0], 1
    )


def test_all_vectors_count_where_asked(net, images, fitted):
    call = {"source": fitted[0], "target": TOP, "rankings": "size", "points": 12, **QUIET}
    active, every = (nc.concept_curve(net, images, of=of, **call) for of in ("active", "all"))
    for i in range(len(images)):
        share = int(active.active_count[i]) / 12
        one = every.concept_curve.sel(stimulus=i, kind="insert", outcome="probability")[0]
        np.testing.assert_allclose(one.sel(fraction=slice(share - 1e-9, 1)), one[-1], atol=1e-6)


def test_batches_and_files_give_the_same(net, images, fitted, of_layer, tmp_path):
    source, target = fitted
    call = {"source": source, "target": target, "targets": 2, "points": 5, "steps": 4, **QUIET}
    other = nc.concept_curve(net, images, batch_size=4, out=tmp_path / "c.nc", **call)
    np.testing.assert_allclose(other.concept_curve, of_layer.concept_curve, atol=1e-5)
    np.testing.assert_allclose(other.advantage, of_layer.advantage, atol=1e-5)


def test_advantage_and_lead_are_differences_of_areas(of_class):
    curve = of_class.concept_curve.astype(float)
    area = ((curve[..., 1:, :].values + curve[..., :-1, :].values) / 2).mean(3)
    apart = area[:, :, 0] - area[:, :, 1]
    np.testing.assert_allclose(of_class.concept_curve_area, area.mean(0), atol=1e-9)
    np.testing.assert_allclose(of_class.advantage, apart.mean(0), atol=1e-9)
    np.testing.assert_allclose(of_class.lead, (apart[:, :1] - apart).mean(0), atol=1e-9)
    low, high = of_class.advantage_interval.transpose("bound", ...).values
    assert (low <= of_class.advantage.values + 1e-9).all()
    assert (high >= of_class.advantage.values - 1e-9).all()
    assert of_class.lead.dims == ("ranking", "outcome")


def test_one_kind_has_no_advantage(net, images, fitted):
    found = nc.concept_curve(
        net,
        images,
        source=fitted[0],
        target=nc.targets.Output(-1),
        kind="insert",
        rankings=["size", "random"],
        points=2,
        bootstrap=0,
        **QUIET,
    )
    assert found.kind.values.tolist() == ["insert"]
    assert "advantage" not in found
    assert found.concept_curve_area_interval.isnull().all()


def test_a_class_may_be_given_by_its_probability(net, images, fitted):
    call = {"source": fitted[0], "points": 2, "rankings": "size", **QUIET}
    logit, probability = (
        nc.concept_curve(net, images, target=kind(1), **call)
        for kind in (nc.targets.Output, nc.targets.Probability)
    )
    np.testing.assert_array_equal(logit.concept_curve, probability.concept_curve)
    answers = torch.from_numpy(nc.respond(net, images, **QUIET).values).argmax(1) == 1
    end = nc.concept_curve(net, images, target=nc.targets.Output(1), residual=True, **call)
    right = end.concept_curve.sel(kind="delete", outcome="accuracy")[:, 0, 0]
    assert right.values.tolist() == answers.tolist()


def test_seeds_change_random_orders_alone(net, images, fitted):
    call = {"source": fitted[0], "target": TOP, "rankings": ["size", "random"], "points": 4}
    one, other = (nc.concept_curve(net, images, seed=s, **call, **QUIET) for s in (0, 1))
    different = (one.concept_curve != other.concept_curve).any(("stimulus", "kind", "fraction"))
    assert different.sel(outcome="probability").values.tolist() == [False, True]


def test_an_unrelated_target_takes_few_steps_where_sums_never_meet_its_change(images, monkeypatch):
    class Wave(torch.nn.Module):
        def forward(self, x):
            return torch.sin(300 * x)

    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 5, 3), Wave(), torch.nn.Conv2d(5, 8, 3), torch.nn.Flatten()
    net = nc.Network(torch.nn.Sequential(*layers), {"one": "0", "two": "2"})
    rows = nc.point_vectors(net, images, ["one", "two"], draw="uniform", per_image=4, **QUIET)
    source, target = (
        nc.ConceptVectors(vectors=6, active=2).fit(rows, layer=n) for n in ("one", "two")
    )
    steps = []

    def counted(*args, **options):
        found = contributions(*args, **options)
        steps.append(int(found.steps.max()))
        return found

    monkeypatch.setattr(curve_plan, "contributions", counted)
    call = {"source": source, "target": target, "targets": 1, "points": 2, "batch_size": 6}
    nc.concept_curve(net, images, rankings=["gig", "unrelated"], **call, **QUIET)
    assert steps == [128, 16]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kind": "inserted"}, "inserted"),
        ({"kind": []}, r"kind=\[\]"),
        ({"rankings": "best"}, "best"),
        ({"rankings": []}, r"rankings=\[\]"),
        ({"rankings": ["gig", "gig"]}, "each once"),
        ({"rankings": 3}, "rankings=3"),
        ({"rankings": "cosine"}, "ranking 'cosine' of a class"),
        ({"rankings": ["gig", "sum"]}, "ranking 'sum' of a class"),
        ({"rankings": "unrelated"}, "ranking 'unrelated' of a class"),
        ({"of": "present"}, "present"),
        ({"points": 1}, "points=1"),
        ({"targets": 0}, "targets=0"),
        ({"seed": -1}, "seed=-1"),
        ({"bootstrap": -1}, "bootstrap=-1"),
        ({"confidence": 1.0}, "confidence=1.0"),
        ({"residual": "yes"}, "residual='yes'"),
        ({"steps": 0}, "steps=0"),
        ({"active": 99}, "active=99"),
        ({"solver": "lars"}, "lars"),
        ({"target": nc.targets.Entropy()}, "Entropy"),
        ({"target": nc.targets.TopK(2)}, "TopK"),
        ({"target": "junco"}, "target of type str"),
        ({"target": nc.targets.Output(9)}, "output 9"),
        ({"source": nc.ConceptVectors()}, "not fitted"),
    ],
)
def test_what_does_not_fit_is_named(net, images, fitted, options, told):
    call = {"source": fitted[0], "target": TOP, "points": 2, **options, **QUIET}
    with pytest.raises(NeurocodecError, match=told):
        nc.concept_curve(net, images, **call)


def test_more_targets_than_there_are_are_named(net, images, fitted):
    source, target = fitted
    with pytest.raises(InputError, match="9 strongest of 8"):
        nc.concept_curve(net, images, source=source, target=target, targets=9, **QUIET)


def test_vectors_in_the_wrong_order_are_named(net, images, fitted):
    source, target = fitted
    with pytest.raises(InputError, match="does not reach"):
        nc.concept_curve(net, images, source=target, target=source, **QUIET)
    with pytest.raises(InputError, match="same layer"):
        nc.concept_curve(net, images, source=source, target=source, **QUIET)


def test_cosines_of_other_channels_are_named():
    module = two_layers()
    net = nc.Network(module, {"a": nc.Layer("1", "input"), "b": nc.Layer("2")})
    rng = np.random.default_rng(0)
    images = xr.DataArray(rng.normal(size=(8, 2)).astype("f"), dims=("stimulus", "feature"))
    made = []
    for layer, width in (("a", 2), ("b", 1)):
        rows = xr.DataArray(rng.normal(size=(9, width)).astype("f"), dims=("vector", "channel"))
        rows = nc.labels.stamp(rows, "nc.point_vectors", layer=layer)
        made.append(nc.ConceptVectors(vectors=2, active=1).fit(rows))
    call = {"source": made[0], "target": made[1], "targets": 1, **QUIET}
    with pytest.raises(InputError, match="of 2 and of 1 channels"):
        nc.concept_curve(net, images, rankings=["cosine"], **call)
    assert "cosine" not in nc.concept_curve(net, images, points=2, **call).ranking


def test_layers_of_another_network_are_named(module, images, fitted):
    other = nc.Network(module, {"elsewhere": "one"})
    with pytest.raises(UnknownNameError, match="one"):
        nc.concept_curve(other, images, source=fitted[0], target=TOP, **QUIET)


def test_the_figure_shows_what_was_found(of_class, of_layer):
    figure = nc.plot.concept_curve(of_layer)
    lines = figure.axes[0].get_lines()
    np.testing.assert_allclose(
        lines[0].get_ydata(), of_layer.mean_concept_curve.sel(ranking="gig", kind="insert")[:, 0]
    )
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "vectors put in",
        "vectors taken out",
        "put in - taken out",
    ]
    assert len(nc.plot.concept_curve(of_class).axes) == 6
    with pytest.raises(InputError, match=r"nc\.concept_curve"):
        nc.plot.concept_curve(of_layer.concept_curve)


def test_several_results_are_rows_of_one_figure_in_the_same_colors(of_class, of_layer):
    one = of_layer.sel(ranking=["gig", "random"])
    figure = nc.plot.concept_curve({"early": one, "late": of_layer})
    first, *_, second = (figure.axes[i].get_lines() for i in (0, 3))
    assert [line.get_label() for line in first] == ["gig", "random"]
    colors = {line.get_label(): line.get_color() for line in second}
    assert len({*colors.values()}) == of_layer.sizes["ranking"]
    assert all(colors[line.get_label()] == line.get_color() for line in first)
    assert [figure.axes[i].get_ylabel() for i in (0, 3)] == [
        "early\nprojection",
        "late\nprojection",
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*colors]
    # both outcomes of a class have a row
    assert len(nc.plot.concept_curve({"early": of_class, "late": of_layer}).axes) == 9


def test_results_that_do_not_go_together_are_named(of_layer):
    fewer = of_layer.sel(kind=["insert"])
    with pytest.raises(InputError, match=r"found\['late'\] with the kinds"):
        nc.plot.concept_curve({"early": of_layer, "late": fewer})
    with pytest.raises(InputError, match=r"found\['late'\] of type int"):
        nc.plot.concept_curve({"early": of_layer, "late": 3})
    with pytest.raises(InputError, match="no result"):
        nc.plot.concept_curve({})


def test_a_cell_is_followed_by_its_response():
    net, shown = retina_network(), movie(12)
    rows = nc.point_vectors(net, shown, "layer1", draw="uniform", per_image=9, **QUIET)
    source = nc.ConceptVectors(vectors=5, active=3).fit(rows)
    cell = nc.targets.Output(2)
    how = {"points": 4, "steps": 4, "residual": True, **QUIET}
    found = nc.concept_curve(net, shown, source=source, target=cell, **how)
    assert found.outcome.values.tolist() == ["response"]
    every = found.concept_curve.sel(outcome="response", kind="insert", fraction=1)
    whole = nc.respond(net, shown, **QUIET)[:, 2]
    for ranking in every.ranking.values:
        np.testing.assert_allclose(every.sel(ranking=ranking), whole, rtol=1e-5)
    offset = torch.from_numpy(source.offset.values)[None, :, None, None].expand(1, -1, 8, 8)
    with torch.no_grad():
        none = float(net.module[1:](offset)[0, 2])
    taken = found.concept_curve.sel(outcome="response", kind="insert", fraction=0)
    np.testing.assert_allclose(taken, none, rtol=1e-5)


def test_graphs_and_examples_of_a_movie_say_what_there_is_instead():
    net, shown = retina_network(), movie(12)
    rows = nc.point_vectors(net, shown, "layer1", draw="uniform", per_image=9, **QUIET)
    source = nc.ConceptVectors(vectors=5, active=3).fit(rows)
    with pytest.raises(InputError, match="sees a movie") as told:
        nc.concept_graph(net, shown, {"layer1": source}, ["0"], **QUIET)
    assert "concept_contributions" in str(told.value)
    with pytest.raises(InputError, match="moments of a movie"):
        nc.concept_examples(net, shown, source, rows, **QUIET)
