"""The figure of a graph of concept vectors draws what the graph holds."""

import numpy as np
import pytest
from concept_graph import drawn
from matplotlib.patches import PathPatch, Rectangle

import neurocodec as nc
from neurocodec.errors import UnknownNameError


def patches(figure, kind):
    return [p for p in figure.axes[0].patches if isinstance(p, kind)]


def test_nodes_are_as_wide_as_they_contribute_and_edges_as_thick_as_their_share():
    found = drawn()
    figure = nc.plot.concept_graph(found, "cat", least=0.0)
    nodes = found["nodes"].sel(category="cat")
    shown = nodes.shown.values
    widths = sorted(p.get_width() for p in patches(figure, Rectangle))
    inner = shown & (nodes.kind.values != "answer")
    size = np.abs(nodes.contribution.values)
    limit = np.nanmax(size[nodes.kind.values == "concept"])
    wanted = [*np.clip(0.86 * size[inner] / limit, 0.06, 0.86), 0.86]
    np.testing.assert_allclose(widths, sorted(wanted), rtol=1e-6)
    names = {*nodes.node.values[shown]}
    edges = found["edges"].sel(category="cat")
    own = [
        i
        for i in range(edges.sizes["edge"])
        if {str(edges.from_node[i].values), str(edges.to_node[i].values)} <= names
    ]
    thick = sorted(p.get_linewidth() for p in patches(figure, PathPatch))
    np.testing.assert_allclose(thick, sorted(0.4 + 9 * edges.edge_share.values[own]), rtol=1e-6)
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    part = 100 * (1 - float(found["layers"].through_concepts.sel(category="cat", layer="late")))
    assert labels[1] == f"late\nresidual {part:.0f} %"
    figure.draw_without_rendering()


def test_weak_edges_are_left_out_and_unknown_categories_refused():
    found = drawn()
    many = len(patches(nc.plot.concept_graph(found, least=0.0), PathPatch))
    assert 0 < len(patches(nc.plot.concept_graph(found, least=0.25), PathPatch)) < many
    with pytest.raises(UnknownNameError, match="no category 'fish'"):
        nc.plot.concept_graph(found, "fish")


def test_edges_end_below_the_numbers_of_nodes():
    figure = nc.plot.concept_graph(drawn(), "cat", least=0.0)
    figure.canvas.draw()
    (ax, _) = figure.axes
    boxes = [t.get_window_extent() for t in ax.texts]
    for edge in patches(figure, PathPatch):
        (_, *_, end) = ax.transData.transform(edge.get_path().vertices)
        assert not any(box.contains(*end) for box in boxes)
