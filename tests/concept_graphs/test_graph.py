"""A graph of a small network: its numbers are those of `nc.concept_contributions`."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.concept_graphs.graph import of_categories
from neurocodec.concept_graphs.influence import shares
from neurocodec.errors import InputError
from neurocodec.labels import stamp

CLASSES = ["cat", "dog"]
OF = ["cat", "dog", "cat", "dog", "cat", "bird"]


@pytest.fixture(scope="module")
def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3),
            nn.ReLU(),
            nn.Conv2d(5, 4, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 3),
        )
    layers = {"early": "1", "middle": "3", "late": "5"}
    return nc.Network(module.eval(), layers=layers, outputs=["cat", "dog", "bird"])


@pytest.fixture(scope="module")
def images():
    values = np.random.default_rng(0).normal(size=(6, 3, 9, 9)).astype("float32")
    return xr.DataArray(values, {"stimulus": list("abcdef")}, ("stimulus", "color", "y", "x"))


@pytest.fixture(scope="module")
def vectors(net, images):
    made = {}
    for layer in net.layers:
        rows = nc.point_vectors(net, images, layer, per_image=6, progress=False)
        made[layer] = nc.ConceptVectors(per_channel=2, active=3).fit(rows)
    return made


@pytest.fixture(scope="module")
def call(net, images, vectors):
    def made(**options):
        given = {"net": net, "stimulus": images, "vectors": vectors, "categories": CLASSES}
        chosen = {"of": OF, "top": 2, "shared": 1, "steps": 8, "bootstrap": 20, "progress": False}
        return nc.concept_graph(**{**given, **chosen, **options})

    return made


@pytest.fixture(scope="module")
def graph(call):
    return call()


def test_nodes_have_the_contributions_to_the_answers_of_their_images(graph, net, images, vectors):
    cats = images[[0, 2, 4]]
    for layer in net.layers:
        own = nc.concept_contributions(
            net,
            cats,
            source=vectors[layer],
            target=nc.targets.Output("cat"),
            steps=8,
            progress=False,
        )
        nodes = graph["nodes"].sel(category="cat")
        for i in np.flatnonzero(nodes.layer.values == layer):
            mode = int(nodes.mode[i])
            wanted = own.residual_contribution if mode < 0 else own.contribution.sel(mode=mode)
            assert float(nodes.contribution[i]) == pytest.approx(float(wanted.mean()), rel=1e-5)


def test_edges_have_the_contributions_to_their_targets(graph, net, images, vectors):
    nodes, edges = graph["nodes"].to_dataset(), graph["edges"].to_dataset()
    modes = nodes.mode.values[(nodes.layer == "late") & (nodes.kind == "concept")].tolist()
    own = nc.concept_contributions(
        net,
        images[:5],
        source=vectors["middle"],
        target=vectors["late"],
        targets=modes,
        steps=8,
        progress=False,
    )
    by_image = graph["images"]
    for i in np.flatnonzero(np.char.startswith(edges.to_node.values.astype(str), "late:")):
        source, target = str(edges.from_node[i].values), int(str(edges.to_node[i].values)[5:])
        one = own.sel(target_mode=target)
        if source == "middle:residual":
            wanted = one.residual_contribution
        else:
            wanted = one.contribution.sel(mode=int(source[7:]))
        np.testing.assert_allclose(by_image.edge_contribution[:, i], wanted, rtol=1e-4, atol=1e-7)
        mean = float(edges.edge_contribution.sel(category="all")[i])
        assert mean == pytest.approx(float(wanted.mean()), rel=1e-4, abs=1e-7)
        whole = np.hstack([one.contribution.values, one.residual_contribution.values[:, None]])
        place = -1 if source == "middle:residual" else int(source[7:])
        share = shares(whole)[:, place]
        np.testing.assert_allclose(by_image.edge_share[:, i], share, rtol=1e-4, atol=1e-7)


def test_of_all_nodes_what_goes_in_and_out_is_what_goes_through(call):
    """Where every mode is in the graph, edges into a node, and out of it, sum to its influence."""
    whole = call(top=20, shared=0, keep=1.0)
    by_image, edges = whole["images"].to_dataset(), whole["edges"].to_dataset()
    for i, name in enumerate(by_image.node.values.tolist()):
        own = by_image.influence.values[:, i]
        flow = np.nan_to_num(by_image.edge_influence.values)
        out = flow[:, edges.from_node.values == name].sum(1)
        into = flow[:, edges.to_node.values == name].sum(1)
        if not name.startswith("early") and not name.endswith("residual"):
            np.testing.assert_allclose(into, own, atol=1e-6)
        if ":" in name:
            np.testing.assert_allclose(out, own, atol=1e-6)
    np.testing.assert_allclose(whole["layers"].followed_share, 1, atol=1e-6)
    np.testing.assert_allclose(whole["layers"].shown_share, 1, atol=1e-6)


def test_layers_say_what_sums_miss(graph, net, images, vectors):
    own = nc.concept_contributions(
        net,
        images[[1]],
        source=vectors["middle"],
        target=nc.targets.Output("dog"),
        steps=8,
        progress=False,
    )
    sums = float(own.contribution.sum() + own.residual_contribution.sum())
    error = float(own.completeness_error[0])
    found = graph["images"].relative_completeness_error.sel(stimulus="b", layer="middle")
    assert float(found) == pytest.approx(abs(error / (sums - error)), rel=1e-3)


def test_the_top_of_each_category_and_what_they_share_are_shown(graph):
    nodes = graph["nodes"].to_dataset()
    concepts = nodes.where(nodes.kind == "concept", drop=True)
    for category in CLASSES:
        for layer in ("early", "middle", "late"):
            own = concepts.sel(category=category)
            shown = (own.shown.values == 1) & (own.layer.values == layer)
            assert 1 <= shown.sum() <= 3
    shared = nodes.shared & (nodes.layer == "late")
    assert int(shared.sum()) == 1
    residuals = nodes.kind == "residual"
    assert bool(nodes.shown.where(residuals, 1).all())


def test_an_image_can_be_chosen_and_has_its_own_labels(graph):
    own = graph["images"]
    assert own.stimulus.values.tolist() == list("abcde")
    assert own.category.values.tolist() == OF[:5]
    assert own.contribution.sel(stimulus="b", node="late:residual").dtype == np.float32
    assert np.isnan(own.contribution.sel(stimulus="b", node="cat"))


def test_a_folder_goes_on_and_changes_no_number(call, graph, tmp_path):
    first = call(out=tmp_path)
    xr.testing.assert_equal(first["edges"].to_dataset(), graph["edges"].to_dataset())
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files[:2] == ["early-to-answer-0.nc", "early-to-answer-1.nc"]
    assert "middle-to-late.nc" in files
    times = [(tmp_path / name).stat().st_mtime_ns for name in files]
    again = call(out=tmp_path)
    assert times == [(tmp_path / name).stat().st_mtime_ns for name in files]
    xr.testing.assert_identical(again["nodes"].to_dataset(), first["nodes"].to_dataset())


def test_a_graph_is_kept_in_a_file(graph, tmp_path):
    nc.save(graph, tmp_path / "graph.nc")
    back = nc.open(tmp_path / "graph.nc")
    xr.testing.assert_equal(back["edges"].to_dataset(), graph["edges"].to_dataset())
    assert nc.labels.provenance(back)["categories"] == CLASSES


def test_one_category_has_no_mean_over_all_and_labels_tell_it(call, images):
    labelled = images.assign_coords(label=("stimulus", OF))
    found = call(stimulus=labelled, of=None, categories=["dog"], top=1)
    assert found["nodes"].category.values.tolist() == ["dog"]
    assert found["images"].stimulus.values.tolist() == ["b", "d"]
    assert not bool(found["nodes"].shared.any())
    everything = call(stimulus=labelled, of=None, categories=None, top=1)
    assert everything["nodes"].category.values.tolist() == ["all", "bird", "cat", "dog"]


def test_without_labels_the_network_says(call, net, images):
    answers = nc.respond(net, images)
    names = answers.category.values[answers.argmax("category").values]
    found = call(of=None, categories=None, top=1)
    assert {*found["images"].category.values.tolist()} == {*names.tolist()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categories": ["cat", "fish"]}, "no category 'fish'"),
        ({"categories": ["cat", "cat"]}, "each once"),
        ({"categories": []}, "names of outputs"),
        ({"categories": ["all"]}, "none 'all'"),
        ({"of": ["cat"] * 6}, "no image of 'dog'"),
        ({"of": ["cat"] * 5}, "of of shape"),
        ({"vectors": {}}, "no concept vectors"),
        ({"vectors": ["late"]}, "by its alias"),
        ({"vectors": {"late": 3}}, "fitted concept vectors"),
        ({"vectors": {"deep": None}}, "no layer 'deep'"),
        ({"top": 0}, "top=0"),
        ({"follow": 1}, "follow=1"),
        ({"shared": -1}, "shared=-1"),
        ({"keep": 1.5}, "above 0, up to 1"),
        ({"stimulus": np.zeros((2, 3, 9, 9))}, "with the dim 'stimulus'"),
        ({"bootstrap": 1.5}, "bootstrap=1.5"),
    ],
)
def test_what_does_not_fit_is_refused(call, options, message):
    with pytest.raises(InputError, match=message):
        call(**options)


def test_an_image_that_cannot_be_read_moves_no_other():
    net = nc.Network(nn.Sequential(nn.Identity()), {"all": "0"}, outputs=["cat", "dog"])
    values = [[1.0, 0.0], [np.nan, np.nan], [1.0, 0.0], [0.0, 1.0]]
    shown = xr.DataArray(np.float32(values), dims=("stimulus", "feature"))
    shown = stamp(shown, "nc.images", broken="skip")
    with pytest.raises(InputError, match="1 images that cannot be read"):
        of_categories(net, shown, ["dog"], {"progress": False})


def test_layers_are_those_of_their_vectors_in_the_order_of_the_network(call, vectors):
    with pytest.raises(InputError, match="concept vectors of 'early' as those of 'late'"):
        call(vectors={"late": vectors["early"]})
    with pytest.raises(InputError, match="'late' does not reach 'early'"):
        call(vectors={name: vectors[name] for name in ("late", "early")})
    images = xr.DataArray(np.zeros((2, 3, 9, 9)), dims=("stimulus", "color", "y", "x"))
    named = images.assign_coords(influence=("stimulus", [0, 1]))
    with pytest.raises(InputError, match="would replace"):
        call(stimulus=named)
