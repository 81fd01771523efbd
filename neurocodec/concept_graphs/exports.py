"""A graph of concept vectors for other programs: CSV, GraphML, JSON of two kinds."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.concept_graphs.tables import FROM, TO, require_graph
from neurocodec.errors import unknown_name
from neurocodec.storage.files import existing_folder, whole_file

GRAPHML: Final = "http://graphml.graphdrawing.org/xmlns"
_KINDS: Final[Mapping[type, str]] = {bool: "boolean", int: "long", float: "double", str: "string"}

Row = dict[str, Any]


def export_graph(
    found: xr.DataTree, folder: str | Path, *, category: str | None = None
) -> list[Path]:
    """Write the nodes and edges of a graph for other programs.

    Parameters
    ----------
    found
        As `nc.concept_graph` returns it.
    folder
        Gets `nodes.csv` and `edges.csv` (a line for each category), and of one category
        `graph.graphml`, `graph.json` (networkx: ``nx.node_link_graph(data, edges="links")``) and
        `graph.cyjs` (Cytoscape).
    category
        Of the last three; the first entry, of all images where there are several, when None.

    Returns
    -------
    list of pathlib.Path
        The files.

    Raises
    ------
    InputError
        Where it is no graph, or has no such category.
    StorageError
        Where a file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import neurocodec as nc
    >>> nodes = xr.Dataset({"contribution": (("category", "node"), [[2.0, 2.0]])},
    ...                    {"category": ["cat"], "node": ["late:3", "cat"],
    ...                     "layer": ("node", ["late", "answer"]), "mode": ("node", [3, 0]),
    ...                     "kind": ("node", ["concept", "answer"])})
    >>> edges = xr.Dataset({"edge_contribution": (("category", "edge"), [[2.0]])},
    ...                    {"category": ["cat"], "edge": ["late:3 -> cat"],
    ...                     "from_node": ("edge", ["late:3"]), "to_node": ("edge", ["cat"])})
    >>> found = xr.DataTree.from_dict({"nodes": nodes, "edges": edges})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in nc.export_graph(found, folder)]
    ['nodes.csv', 'edges.csv', 'graph.graphml', 'graph.json', 'graph.cyjs']
    """
    nodes, edges = require_graph(found)
    known = [str(name) for name in nodes[v.CATEGORY].values]
    chosen = known[0] if category is None else category
    if chosen not in known:
        raise unknown_name("category", chosen, known)
    one_nodes = _rows(nodes.sel({v.CATEGORY: chosen}), v.NODE)
    one_edges = _rows(edges.sel({v.CATEGORY: chosen}), v.EDGE)
    place = existing_folder(folder)
    written: dict[str, Callable[[Path], object]] = {
        "nodes.csv": lambda path: _table(path, nodes, v.NODE),
        "edges.csv": lambda path: _table(path, edges, v.EDGE),
        "graph.graphml": lambda path: _graphml(path, one_nodes, one_edges),
        "graph.json": lambda path: _json(path, _node_link(one_nodes, one_edges, chosen)),
        "graph.cyjs": lambda path: _json(path, _elements(one_nodes, one_edges, chosen)),
    }
    for name, write in written.items():
        with whole_file(place / name) as scratch:
            write(scratch)
    return [place / name for name in written]


def _rows(table: xr.Dataset, dim: str) -> list[Row]:
    """One dict a node or edge; an interval as two numbers; None for what is no number."""
    columns = dict[str, Sequence[Any]]()
    for name in [dim, *(n for n in table.coords if table[n].dims == (dim,) and n != dim)]:
        columns[str(name)] = table[name].values.tolist()
    for name, values in table.data_vars.items():
        if values.dims == (dim,):
            columns[str(name)] = values.values.tolist()
        elif values.dims == (dim, v.BOUND):
            for i, bound in enumerate(v.BOUNDS):
                columns[f"{str(name).removesuffix('_interval')}_{bound}"] = values.values[
                    :, i
                ].tolist()
    return [
        {k: None if isinstance(x, float) and not np.isfinite(x) else x for k, x in row.items()}
        for row in (
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        )
    ]


def _table(path: Path, table: xr.Dataset, dim: str) -> None:
    """CSV with a line for each category and node or edge."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer: csv.DictWriter[str] | None = None
        for i, name in enumerate(table[v.CATEGORY].values.tolist()):
            for row in _rows(table.isel({v.CATEGORY: i}), dim):
                line = {v.CATEGORY: name, **row}
                if writer is None:
                    writer = csv.DictWriter(file, list(line))
                    writer.writeheader()
                writer.writerow({k: "" if x is None else x for k, x in line.items()})


def _graphml(path: Path, nodes: Sequence[Row], edges: Sequence[Row]) -> None:
    root = ET.Element("graphml", xmlns=GRAPHML)
    graph = ET.Element("graph", id="concepts", edgedefault="directed")
    for what, rows in (("node", nodes), ("edge", edges)):
        for name, kind in _types(rows).items():
            key = {"id": f"{what}_{name}", "for": what, "attr.name": name, "attr.type": kind}
            ET.SubElement(root, "key", key)
    for row in nodes:
        _described(ET.SubElement(graph, "node", id=row[v.NODE]), "node", row, (v.NODE,))
    for row in edges:
        ends = {"source": row[FROM], "target": row[TO]}
        _described(ET.SubElement(graph, "edge", ends), "edge", row, (FROM, TO, v.EDGE))
    root.append(graph)
    ET.indent(root, " ")
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _described(element: ET.Element, what: str, row: Row, left_out: Iterable[str]) -> None:
    for name, value in row.items():
        if value is not None and name not in left_out:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            ET.SubElement(element, "data", key=f"{what}_{name}").text = text


def _types(rows: Sequence[Row]) -> dict[str, str]:
    """Type of each column, by its first value."""
    found = dict[str, str]()
    for row in rows:
        for name, value in row.items():
            if value is not None and name not in (v.NODE, v.EDGE, FROM, TO):
                found.setdefault(name, _KINDS[type(value)])
    return found


def _node_link(nodes: Sequence[Row], edges: Sequence[Row], category: str) -> Row:
    """Node-link data of networkx."""
    return {
        "directed": True,
        "multigraph": False,
        "graph": {v.CATEGORY: category},
        "nodes": [{"id": row[v.NODE], **_without(row, v.NODE)} for row in nodes],
        "links": [
            {"source": row[FROM], "target": row[TO], **_without(row, FROM, TO, v.EDGE)}
            for row in edges
        ],
    }


def _elements(nodes: Sequence[Row], edges: Sequence[Row], category: str) -> Row:
    """Elements of Cytoscape."""
    ends = ((row, {"id": row[v.EDGE], "source": row[FROM], "target": row[TO]}) for row in edges)
    return {
        "data": {v.CATEGORY: category},
        "elements": {
            "nodes": [{"data": {"id": r[v.NODE], **_without(r, v.NODE)}} for r in nodes],
            "edges": [{"data": {**own, **_without(r, FROM, TO, v.EDGE)}} for r, own in ends],
        },
    }


def _without(row: Row, *names: str) -> Row:
    return {k: x for k, x in row.items() if k not in names}


def _json(path: Path, data: Row) -> None:
    path.write_text(json.dumps(data, allow_nan=False, separators=(",", ":")), "utf-8")
