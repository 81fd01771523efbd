"""What other programs read is what the graph holds."""

import csv
import json

import numpy as np
import pytest
import xarray as xr
from concept_graph import drawn

import neurocodec as nc
from neurocodec.errors import InputError, UnknownNameError


@pytest.fixture(scope="module")
def graph():
    return drawn()


@pytest.fixture(scope="module")
def folder(graph, tmp_path_factory):
    place = tmp_path_factory.mktemp("graph") / "new"
    nc.export_graph(graph, place, category="cat")
    return place


def numbers(table, name):
    """Single precision of a table's column; NaN where it is empty."""
    return np.array(
        [np.nan if x in ("", None) else np.float32(x) for x in (r[name] for r in table)]
    )


def test_tables_have_a_line_for_each_category(graph, folder):
    with (folder / "nodes.csv").open() as file:
        rows = list(csv.DictReader(file))
    nodes = graph["nodes"].to_dataset()
    assert [r["category"] for r in rows] == np.repeat(
        nodes.category.values, nodes.sizes["node"]
    ).tolist()
    np.testing.assert_array_equal(numbers(rows, "contribution"), nodes.contribution.values.ravel())
    low = nodes.contribution_interval.sel(bound="low").values.ravel()
    np.testing.assert_array_equal(numbers(rows, "contribution_low"), low)
    assert {r["kind"] for r in rows} == {"concept", "residual", "answer"}


def test_networkx_reads_both_forms(graph, folder):
    nx = pytest.importorskip("networkx", reason="needs networkx")
    edges = graph["edges"].sel(category="cat")
    data = json.loads((folder / "graph.json").read_text("utf-8"))
    for read in (
        nx.node_link_graph(data, edges="links"),
        nx.read_graphml(folder / "graph.graphml"),
    ):
        assert set(read.nodes) == set(graph["nodes"].node.values.tolist())
        assert read.number_of_edges() == edges.sizes["edge"]
        assert nx.is_directed_acyclic_graph(read)
        for i in range(edges.sizes["edge"]):
            ends = (str(edges.from_node[i].values), str(edges.to_node[i].values))
            wanted = float(edges.edge_contribution[i])
            found = read.edges[ends].get("edge_contribution")
            assert found is None if np.isnan(wanted) else found == wanted
        kind = {n: d["kind"] for n, d in read.nodes(data=True)}
        assert kind["late:residual"] == "residual"
        assert read.nodes["late:residual"]["shown"] is True


def test_cytoscape_has_elements_with_ids(graph, folder):
    data = json.loads((folder / "graph.cyjs").read_text("utf-8"))
    edges = graph["edges"].sel(category="cat")
    found = {e["data"]["id"]: e["data"] for e in data["elements"]["edges"]}
    for i, name in enumerate(edges.edge.values.tolist()):
        assert found[name]["source"] == str(edges.from_node[i].values)
        wanted = float(edges.edge_contribution[i])
        assert found[name]["edge_contribution"] == (None if np.isnan(wanted) else wanted)
    assert {n["data"]["id"] for n in data["elements"]["nodes"]} == {*graph["nodes"].node.values}


def test_names_that_xml_and_csv_know_are_kept(tmp_path):
    nx = pytest.importorskip("networkx", reason="needs networkx")
    found = drawn(categories=('a<b>&"c', "d,e\nf"))
    nc.export_graph(found, tmp_path)
    assert 'a<b>&"c' in nx.read_graphml(tmp_path / "graph.graphml")
    with (tmp_path / "nodes.csv").open(newline="") as file:
        assert "d,e\nf" in {r["category"] for r in csv.DictReader(file)}


def test_what_does_not_fit_is_refused(graph, tmp_path):
    with pytest.raises(UnknownNameError, match="no category 'fish'"):
        nc.export_graph(graph, tmp_path, category="fish")
    for wrong in (graph["nodes"].to_dataset(), xr.DataTree(), 3, {"nodes": 1}):
        with pytest.raises(InputError, match="no graph of concept vectors"):
            nc.export_graph(wrong, tmp_path)
    assert not [*tmp_path.iterdir()]
