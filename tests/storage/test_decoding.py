"""Objects out of the groups of a file, or the reason why not."""

import pytest
import xarray as xr

from neurocodec.errors import StorageError
from neurocodec.storage.decoding import decode, kind_of, tree_of
from neurocodec.storage.encoding import encode


def test_groups_without_marks_are_refused():
    with pytest.raises(StorageError) as error:
        decode({"/": xr.Dataset({"a": 1})})
    assert str(error.value).splitlines() == [
        "a file without the marks of a neurocodec result",
        "  expected: a file written by nc.save or by nc.contributions(..., out=...)",
        "  try: xr.open_datatree(path)",
    ]


def test_kind_is_the_class_that_was_saved():
    assert kind_of({"/": xr.Dataset(attrs={"neurocodec_kind": "DataTree"})}) == "DataTree"
    assert kind_of({"/": xr.Dataset()}) == ""


def test_a_group_that_lacks_a_variable_is_refused():
    (group,) = encode(xr.Dataset({"a": ("x", [1.0, 2.0]), "b": 1}))
    with pytest.raises(StorageError, match=r"lacks \['b'\]"):
        decode({"/": xr.Dataset({"a": ("x", [1.0, 2.0])}, attrs=group.attributes)})


def test_a_closed_tree_closes_the_files_of_all_nodes():
    closed = []
    nodes = {path: xr.Dataset({"a": 1}) for path in ("/", "/layer")}
    for path, node in nodes.items():
        node.set_close(lambda path=path: closed.append(path))
    tree_of(nodes, None).close()
    assert sorted(closed) == ["/", "/layer"]
