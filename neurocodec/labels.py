"""Makers and checks of labelled arrays, and the provenance stamp that every result carries."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any, Final, TypeVar, cast

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from neurocodec import arguments, clock, terms
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.identity.walk import digest, without_addresses

PROVENANCE: Final = "neurocodec"
"""Name of the attribute that holds the provenance as one JSON string."""

Given = TypeVar("Given")
Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset, xr.DataTree)


def labelled(
    values: ArrayLike,
    dims: Sequence[str],
    coords: Mapping[str, Any] | None = None,
    *,
    name: str,
    units: str | None = None,
    **attrs: Any,
) -> xr.DataArray:
    """Make a DataArray with the name, units and long name of the vocabulary.

    Parameters
    ----------
    values
        The numbers.
    dims
        One name per axis.
    coords
        As `xarray.DataArray` takes them; text becomes fixed-width unicode.
    name
        A variable of `neurocodec.terms.VARIABLES`.
    units
        Overrides the vocabulary's units.
    **attrs
        Further attributes.

    Returns
    -------
    xarray.DataArray
        With attributes `units` and `long_name`; coordinates that are places (`y`, `x_center`)
        and do not say their units are in pixels.

    Raises
    ------
    UnknownNameError
        Where the vocabulary has no such variable.

    Examples
    --------
    >>> rate = labelled([[1.0, 2.0]], ("time", "cell"), {"cell": ["a", "b"]}, name="firing_rate")
    >>> rate.attrs["units"], rate.cell.values.tolist()
    ('Hz', ['a', 'b'])
    """
    if name not in terms.VARIABLES:
        raise unknown_name("variable", name, terms.VARIABLES)
    term = terms.VARIABLES[name]
    known = {"units": units or term.units or "", "long_name": term.long_name}
    data = values if hasattr(values, "__dask_graph__") else np.asarray(values)  # a plan stays one
    array = xr.DataArray(data, dims=tuple(dims), coords=coords, name=name)
    return _in_pixels(array).assign_attrs({**known, **attrs})


def _in_pixels(array: xr.DataArray) -> xr.DataArray:
    """Say that places are in pixels, where nothing else is said."""
    places = (c for c in array.coords if str(c).removeprefix("interneuron_") in v.PLACES)
    silent = [c for c in places if not array[c].attrs.get("units") and array[c].dtype.kind in "fiu"]
    if not silent:
        return array
    told = {c: array[c].variable.copy(deep=False) for c in silent}
    for variable in told.values():
        variable.attrs = {**variable.attrs, "units": v.PIXEL}
    return array.assign_coords(told)


def time_coordinate(size: int, rate: float, start: float = 0.0) -> xr.Variable:
    """Times of `size` frames at `rate` Hz, in seconds.

    Parameters
    ----------
    size
        Number of frames.
    rate
        Frames per second.
    start
        Time of the first frame in seconds.

    Examples
    --------
    >>> time_coordinate(3, 100.0).values.tolist()
    [0.0, 0.01, 0.02]
    """
    times = start + np.arange(size) / arguments.frame_rate(rate)
    return xr.Variable(v.TIME, times, {"units": v.SECONDS, "long_name": "time"})


def movie_of(stimulus: Given) -> Given:
    """Full-field light (time,) as a movie of one pixel; anything else as it is.

    Parameters
    ----------
    stimulus
        What was given as a movie.

    Examples
    --------
    >>> movie_of(xr.DataArray([0.0, 1.0], dims="time")).shape
    (2, 1, 1)
    """
    if isinstance(stimulus, xr.DataArray) and stimulus.dims == (v.TIME,):
        return cast("Given", stimulus.expand_dims({v.Y: [0], v.X: [0]}, axis=(1, 2)))
    return stimulus


def sample_dim(data: xr.DataArray | xr.Dataset | xr.DataTree) -> str:
    """Name of the sample dimension: `time` for a movie, `stimulus` for images.

    Raises
    ------
    InputError
        Where the data have neither or both.

    Examples
    --------
    >>> sample_dim(xr.DataArray([1.0], dims="time"))
    'time'
    """
    dims = tuple(map(str, getattr(data, "dims", ())))
    found = [d for d in v.SAMPLE_DIMS if d in dims]
    if len(found) != 1:
        raise InputError(
            came=f"data of type {type(data).__name__} with dims {dims}",
            expected="exactly one of the sample dims 'time' (movie) or 'stimulus' (images)",
            hint="data.rename(old_name='stimulus')",
        )
    return found[0]


def require_dims(data: xr.DataArray, dims: Iterable[str], what: str) -> xr.DataArray:
    """Return `data` transposed to `dims`, or say which dims are missing or too many.

    Parameters
    ----------
    data
        A labelled array.
    dims
        The dims that are wanted, in the wanted order.
    what
        What the array is, for the message.

    Examples
    --------
    >>> rates = xr.DataArray(np.zeros((2, 3)), dims=("cell", "time"))
    >>> require_dims(rates, ("time", "cell"), "rates").shape
    (3, 2)
    """
    wanted = tuple(dims)
    if not isinstance(data, xr.DataArray):
        raise InputError(
            came=f"{what} of type {type(data).__name__}",
            expected=f"an xarray.DataArray with dims {wanted}",
            hint=f"xr.DataArray(values, dims={wanted})",
        )
    if set(data.dims) != set(wanted):
        raise InputError(
            came=f"{what} with dims {tuple(map(str, data.dims))} and shape {data.shape}",
            expected=f"dims {wanted}",
            hint="data.rename(...), data.squeeze() or data.isel(...)",
        )
    return data.transpose(*wanted)


def require_finite(data: xr.DataArray, what: str, start: int = 0) -> None:
    """Refuse NaN and infinity, naming the first place.

    Parameters
    ----------
    data
        A labelled array, or a block of rows of one.
    what
        What the array is, for the message.
    start
        Place of the first row of the block.

    Examples
    --------
    >>> require_finite(xr.DataArray([0.0, 1.0], dims="time"), "rates")
    """
    values = np.asarray(data.values)
    if np.issubdtype(values.dtype, np.inexact) and not np.isfinite(values).all():
        bad = ~np.isfinite(values)
        place = [int(i[0]) + (0 if axis else start) for axis, i in enumerate(np.nonzero(bad))]
        first = dict(zip(map(str, data.dims), place, strict=True))
        raise InputError(
            came=f"{what} with {int(bad.sum())} NaN or infinite values, the first at {first}",
            expected="finite numbers",
            hint="data.fillna(0) or data.dropna('time'), whichever is right for your data",
        )


def require_same(a: xr.DataArray, b: xr.DataArray, dim: str, what: str) -> None:
    """Refuse two arrays whose coordinate along `dim` differs; nothing is ever inner-joined.

    Parameters
    ----------
    a, b
        Labelled arrays that both have `dim`.
    dim
        The dimension to compare: by label, or by length where neither has labels.
    what
        What the two are, for the message.

    Examples
    --------
    >>> a = xr.DataArray([1.0, 2.0], {"time": [0.0, 0.1]}, dims="time")
    >>> require_same(a, a.assign_coords(time=[0.0, 0.2]), "time", "rates and loadings")
    Traceback (most recent call last):
    ...
    neurocodec.errors.InputError: rates and loadings have different 'time': ...
    """
    for one in (a, b):
        if not isinstance(one, xr.DataArray | xr.Dataset):
            raise InputError(
                came=f"{what}, one of type {type(one).__name__}",
                expected=f"labelled arrays with the dim {dim!r}",
                hint=f"xr.DataArray(values, dims=({dim!r}, ...))",
            )
    if _same_labels(a, b, dim):
        return
    raise InputError(
        came=f"{what} have different {dim!r}: {_describe(a, dim)} and {_describe(b, dim)}",
        expected=f"the same {dim!r} in both",
        hint="a, b = xr.align(a, b, join='inner') if you mean to drop what is not shared",
    )


def require_free_names(coords: Iterable[Hashable], names: Iterable[str], what: str) -> None:
    """Refuse coordinates whose names a result has for something else, which they would replace.

    Parameters
    ----------
    coords
        Names of coordinates that go from an input to the result.
    names
        Variables, dims and nodes of the result itself.
    what
        What has the coordinates, for the message.

    Examples
    --------
    >>> require_free_names(["label", "target"], ["target", "channel"], "the stimulus")
    Traceback (most recent call last):
    ...
    neurocodec.errors.InputError: a coordinate 'target' of the stimulus, ...
    """
    taken = set(names)
    for name in coords:
        if name in taken:
            raise InputError(
                came=f"a coordinate {name!r} of {what}, which would replace what the result calls"
                " so",
                expected="a name that the result has for nothing else",
                hint=f"data.rename({{{name!r}: {f'{name}_given'!r}}})",
            )


def in_order_of(data: xr.DataArray, labels: NDArray[Any], dim: str, what: str) -> xr.DataArray:
    """Data in the order of these labels; refuses other labels than those, nothing is joined.

    Parameters
    ----------
    data
        A labelled array.
    labels
        The labels along `dim` that are wanted, in the wanted order.
    dim
        A dim of the data that has labels.
    what
        What the data are, for the message.

    Examples
    --------
    >>> flipped = xr.DataArray([3.0, 2.0], {"y": [1, 0]}, dims="y")
    >>> in_order_of(flipped, np.array([0, 1]), "y", "the baseline").values.tolist()
    [2.0, 3.0]
    """
    known = data[dim].values
    numbers = known.dtype.kind in "iuf" and labels.dtype.kind in "iuf"
    if known.shape == labels.shape:
        if np.allclose(known, labels, rtol=1e-9) if numbers else bool((known == labels).all()):
            return data
        if np.unique(known).size == known.size and {*known.tolist()} == {*labels.tolist()}:
            return data.sel({dim: labels})
    raise InputError(
        came=f"{what} with {dim!r} {known.tolist()[:4]} ... of {known.size}",
        expected=f"the labels of the samples, {labels.tolist()[:4]} ... of {labels.size}",
        hint=f"data.drop_vars({dim!r})",
    )


def by_index(values: Any, data: xr.DataArray, dim: str, what: str) -> NDArray[Any]:
    """One value for each sample; of a DataArray with coordinates, or a Series, by its index.

    Parameters
    ----------
    values
        A list, an array, a DataArray along `dim`, or a pandas Series.
    data
        What has the samples; their labels are its coordinate `dim`, or `source`.
    dim
        The dim of the samples.
    what
        What the values are, for the message.

    Examples
    --------
    >>> data = xr.DataArray([0.0, 1.0], {"stimulus": ["a", "b"]}, dims="stimulus")
    >>> by_index(xr.DataArray([1, 2], {"stimulus": ["b", "a"]}, dims="stimulus"), data,
    ...          "stimulus", "labels").tolist()
    [2, 1]
    """
    size, given = data.sizes[dim], _index_of(values, dim)
    index = given or []
    shape, found = np.shape(values), np.asarray(values, dtype=object)
    for name in (dim, "source") if given is not None and found.ndim == 1 else ():
        known = name in data.coords and data.coords[name].dims == (dim,)
        if not known and name != dim:
            continue
        wanted = data.coords[name].values.tolist() if known else list(range(size))
        if index == wanted:
            return found
        if len({*index}) == len(index) and {*wanted} <= {*index}:
            place = {label: i for i, label in enumerate(index)}
            return np.asarray(found[[place[label] for label in wanted]])
    series = not isinstance(values, xr.DataArray)
    counted = series and index == [*range(len(index))]  # as if none had been given
    if (given is not None and not counted) or shape != (size,):
        other = "" if given is None else f" with the index {index[:3]}"
        raise InputError(
            came=f"{what} of shape {shape}{other} for {size} samples",
            expected="one for each of the samples, in their order or with their index",
            hint=f"{what}=list({what})" * (shape == (size,)),
        )
    return found


def _index_of(values: Any, dim: str) -> list[Any] | None:
    """Labels that values carry; None where they have an order only."""
    if isinstance(values, xr.DataArray):
        return list(values[dim].values.tolist()) if dim in values.coords else None
    index = getattr(values, "index", None)
    return None if index is None or callable(index) else list(index.tolist())


def class_names(values: Any) -> NDArray[np.str_]:
    """Names of classes as text, empty where there is none: None, NaN, pandas' NA, empty text.

    Parameters
    ----------
    values
        Names, or numbers, of classes; an array of any kind, also pandas'.

    Examples
    --------
    >>> class_names(["cat", None, float("nan"), ""]).tolist()
    ['cat', '', '', '']
    """
    found = np.asarray(values, dtype=object)  # or numpy would make the text "nan" of a list's NaN
    missing = np.asarray(xr.Variable([*map(str, range(found.ndim))], found).isnull().values)
    texts = [x.decode() if isinstance(x, bytes) else str(x) for x in found.ravel().tolist()]
    return np.where(missing, "", np.reshape(np.array(texts, dtype=str), found.shape))


def _same_labels(a: xr.DataArray, b: xr.DataArray, dim: str) -> bool:
    if dim not in a.dims or dim not in b.dims or a.sizes[dim] != b.sizes[dim]:
        return False
    if dim in a.coords and dim in b.coords:
        return bool((a[dim].values == b[dim].values).all())
    return True


def _describe(a: xr.DataArray, dim: str) -> str:
    if dim not in a.dims:
        return f"no {dim!r} (dims {tuple(map(str, a.dims))})"
    if dim not in a.coords:
        return f"{a.sizes[dim]} values without labels"
    first, last = a[dim].values[[0, -1]].tolist() if a.sizes[dim] else ("nothing", "nothing")
    return f"{a.sizes[dim]} values from {first!r} to {last!r}"


def stamp(obj: Labelled, function: str, **facts: Any) -> Labelled:
    """Return `obj` with its provenance: one JSON string in the attribute `neurocodec`.

    Parameters
    ----------
    obj
        A labelled result.
    function
        Public name of the function that made it.
    **facts
        Parameters, model name and weights, data fingerprint, seed: anything JSON can hold,
        and arrays, dataclasses and numpy scalars, which are written as lists, dicts and numbers.

    Examples
    --------
    >>> provenance(stamp(xr.DataArray(1.0), "nc.respond", seed=3))["seed"]
    3
    """
    record = plain({"function": function, **facts, "versions": versions()})
    text = json.dumps(record, sort_keys=True)
    stamped: Labelled = obj.copy(deep=False)
    stamped.attrs = {**obj.attrs, PROVENANCE: text}
    return stamped


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as JSON holds them: dataclasses as dicts, arrays as lists, other objects as text.

    Tensors, functions and what has no text of its own are told by a SHA-256 of what they hold.

    Parameters
    ----------
    facts
        Name -> anything.

    Examples
    --------
    >>> plain({"seeds": np.arange(2), "dims": ("time", "cell")})
    {'seeds': [0, 1], 'dims': ['time', 'cell']}
    """
    return dict(json.loads(json.dumps(facts, default=_plain)))


def provenance(obj: xr.DataArray | xr.Dataset | xr.DataTree) -> dict[str, Any]:
    """Read the provenance of a result; empty where there is none.

    Examples
    --------
    >>> provenance(xr.DataArray(1.0))
    {}
    """
    text = obj.attrs.get(PROVENANCE)
    return dict(json.loads(text)) if isinstance(text, str) else {}


def versions() -> dict[str, str]:
    """Versions of neurocodec and of the libraries that compute its numbers.

    Examples
    --------
    >>> sorted(versions())
    ['neurocodec', 'numpy', 'torch', 'xarray']
    """
    return {name: _version(name) for name in ("neurocodec", "numpy", "torch", "xarray")}


@cache  # a file is read for each
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def _plain(value: object) -> object:
    if isinstance(value, type):
        return value.__name__
    if dataclasses.is_dataclass(value):
        return {"kind": type(value).__name__, **_told(value)}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    text, kind = str(value), type(value)
    if "0x" in text or hasattr(value, "data_ptr") or kind.__repr__ is object.__repr__:
        # the text has an address, or of a tensor some digits of some of its numbers
        name = without_addresses(getattr(value, "__qualname__", kind.__name__))
        return {"kind": name, "sha256": digest(value)}
    return text


def _told(value: Any) -> dict[str, Any]:
    """Fields of a dataclass; those that came later only where they say something."""
    found = {f: getattr(value, f.name) for f in dataclasses.fields(value)}
    # else runs that a release before began would be refused, and results would not be equal
    later = {f for f, x in found.items() if f.metadata.get("later") and x == f.default}
    return {f.name: x for f, x in found.items() if f not in later}


def fingerprint(*parts: NDArray[Any] | xr.DataArray | str | bytes) -> str:
    """SHA-256 over arrays and texts: values, shapes, dtypes, dims and coordinate values.

    Parameters
    ----------
    *parts
        What identifies the data.

    Examples
    --------
    >>> fingerprint(np.arange(3)) == fingerprint(np.arange(3)), fingerprint("a") == fingerprint("b")
    (True, False)
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: Any, part: NDArray[Any] | xr.DataArray | str | bytes) -> None:
    if isinstance(part, bytes | str):
        digest.update(part if isinstance(part, bytes) else part.encode())
    elif isinstance(part, xr.DataArray):
        names: list[Hashable] = sorted(part.coords, key=str)
        digest.update(repr((part.dims, names)).encode())
        for values in (part.values, *(part.coords[n].values for n in names)):
            _feed(digest, np.asarray(values))
    else:
        array = np.ascontiguousarray(part)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        if array.dtype.kind in "OT":  # bytes of objects are pointers, others in every process
            digest.update(repr(array.tolist()).encode())
        else:
            digest.update(
                array.view("i8" if array.dtype.kind in "mM" else array.dtype).data.cast("B")
            )


def lag_coordinate(
    history: int, movie: xr.DataArray, frame_rate: float | None = None, own: int = 0
) -> xr.Variable:
    """Lags of a window in seconds, the oldest first; in frames where no frame rate is known.

    Parameters
    ----------
    history
        Frames in the window.
    movie
        Its `time` coordinate gives the frame rate where that is not given.
    frame_rate
        Frames per second.
    own
        Frame of the window that the response is for, at most 0; later frames have a lag above 0.

    Examples
    --------
    >>> lag_coordinate(3, xr.DataArray(), frame_rate=100.0).values.tolist()
    [-0.02, -0.01, 0.0]
    """
    if frame_rate is not None:
        frame_rate = arguments.frame_rate(frame_rate)
    elif v.TIME in movie.coords and movie.sizes[v.TIME] > 1:
        frame_rate = 1 / clock.step_of(clock.seconds(movie[v.TIME].variable).values)
    lags = (np.arange(1 - history, 1) - own) / (frame_rate or 1.0)
    attrs = {"long_name": "time before the response", "units": v.SECONDS if frame_rate else "frame"}
    return xr.Variable(v.LAG, lags, attrs)
