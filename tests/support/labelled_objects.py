"""Strategies for labelled objects of every kind, and what 'the same' means for files."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

DTYPES = (
    *("bool", "int8", "uint16", "int32", "int64", "uint64"),
    *("float16", "float32", "float64", ">f8", ">i4", "complex64", "complex128"),
    *("<U1", "<U7", "datetime64[ns]", "timedelta64[ns]"),
)
NAMES = ["contribution", "activation", "target", "größe", "layer1.0.conv1", "0"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=7)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(max_size=5)
    | hnp.arrays(st.sampled_from(["float32", "int8", "bool", "<U3", "complex64"]), st.just(()))
    | hnp.arrays("float32", ()).map(lambda a: a[()])
    | hnp.arrays("int16", hnp.array_shapes(min_side=0, max_dims=2, max_side=3))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=5,
)
attribute_names = st.text(max_size=6) | st.sampled_from(
    ["units", "_FillValue", "coordinates", "dtype", "scale_factor", "neurocodec_kind", "!"]
)
attributes = st.dictionaries(attribute_names, values, max_size=3)


@st.composite
def variables(draw: st.DrawFn, sizes: dict[str, int]) -> xr.Variable:
    """A variable over some of the dims, of any dtype that files are to keep."""
    dims = draw(st.lists(st.sampled_from(sorted(sizes)), unique=True)) if sizes else []
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    elements = TEXT.map(lambda t: t[: dtype.itemsize // 4]) if dtype.kind == "U" else None
    data = draw(hnp.arrays(dtype, tuple(sizes[d] for d in dims), elements=elements))
    return xr.Variable(dims, data, draw(attributes))


@st.composite
def datasets(draw: st.DrawFn) -> xr.Dataset:
    """A dataset with index coordinates, other coordinates, scalar ones and bare dims."""
    sizes = draw(st.dictionaries(st.sampled_from(["time", "cell", "x"]), st.integers(0, 4)))
    coords: dict[str, Any] = {}
    for dim in draw(st.sets(st.sampled_from(sorted(sizes)))) if sizes else ():
        dtype = draw(st.sampled_from(["float32", "float64", "int8", "<U2"]))
        size = (sizes[dim],)
        labels = draw(
            hnp.arrays(dtype, size, elements=TEXT.map(lambda t: t[:2]) if dtype == "<U2" else None)
        )
        coords[dim] = (dim, labels, draw(attributes))
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    split = draw(st.integers(0, len(names)))
    coords |= {name: draw(variables(sizes)) for name in names[:split]}
    data = {name: draw(variables(sizes)) for name in names[split:]}
    return xr.Dataset(data, coords, draw(attributes))


@st.composite
def arrays(draw: st.DrawFn) -> xr.DataArray:
    """A variable of a dataset, with a name, without one, or with that of a coordinate."""
    data = draw(datasets())
    every = sorted(map(str, data.variables)) or None
    array = (
        data[draw(st.sampled_from(every))] if every else xr.DataArray(1.5, attrs=draw(attributes))
    )
    return array.rename(draw(st.sampled_from([array.name, None, "a b", 7])))


@st.composite
def trees(draw: st.DrawFn) -> xr.DataTree:
    """Layers that inherit the sample coordinate, and a node below one of them."""
    size = draw(st.integers(0, 3))
    root = xr.Dataset(
        {"target": ("time", np.zeros(size, np.float32))} if draw(st.booleans()) else {},
        {"time": np.arange(size) / 100} if draw(st.booleans()) else {},
        draw(attributes),
    )
    nodes: dict[str, xr.Dataset] = {"/": root}
    for path in draw(
        st.lists(st.sampled_from(["layer2", "layer10", "b.0", "layer2/deep"]), unique=True)
    ):
        children = draw(
            st.dictionaries(st.sampled_from(NAMES), variables({"time": size, "channel": 2}))
        )
        nodes[path] = xr.Dataset(children, attrs=draw(attributes))
    return xr.DataTree.from_dict(nodes, name=draw(st.sampled_from([None, "run"])))


def assert_same(a: Any, b: Any) -> None:
    """Fail where two labelled objects differ in anything that a user can see."""
    assert type(a) is type(b)
    if isinstance(a, xr.DataTree):
        assert a.name == b.name
        assert [n.path for n in a.subtree] == [n.path for n in b.subtree]
        for x, y in zip(a.subtree, b.subtree, strict=True):
            assert_same(x.to_dataset(inherit=False), y.to_dataset(inherit=False))
        return
    assert list(a.coords) == list(b.coords)
    assert _same(a.attrs, b.attrs)
    assert dict(a.sizes) == dict(b.sizes)
    assert list(a.xindexes) == list(b.xindexes)
    if isinstance(a, xr.DataArray):
        assert a.name == b.name
        assert type(a.name) is type(b.name)
        _assert_same_variable(a.variable, b.variable)
    else:
        assert list(a.data_vars) == list(b.data_vars)
        for name in a.variables:
            _assert_same_variable(a.variables[name], b.variables[name])
    for name in a.coords:
        _assert_same_variable(a.coords[name].variable, b.coords[name].variable)


def _assert_same_variable(a: xr.Variable, b: xr.Variable) -> None:
    assert a.dims == b.dims
    assert a.dtype == b.dtype
    assert a.values.tobytes() == b.values.tobytes()  # NaN payloads and negative zeros too
    assert _same(a.attrs, b.attrs)
    assert b.encoding == {}


def _same(a: Any, b: Any) -> bool:
    """Equality of attributes that tells 1 from True and 1.0, and holds for NaN and arrays."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return [*map(repr, sorted(a, key=repr))] == [*map(repr, sorted(b, key=repr))] and all(
            _same(a[k], b[k]) for k in a
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and repr(a.tolist()) == repr(b.tolist())
    return repr(a) == repr(b)
