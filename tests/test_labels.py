"""Makers and checks of labelled arrays, the provenance stamp and fingerprints."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocodec import labels, terms, vocabulary
from neurocodec.errors import InputError, UnknownNameError


def series(**coords: Any) -> xr.DataArray:
    size = len(next(iter(coords.values())))
    return xr.DataArray(np.zeros(size), coords, dims=list(coords))


@pytest.mark.parametrize("name", terms.VARIABLES)
def test_every_variable_is_made_with_its_units(name: str) -> None:
    array = labels.labelled([1.0], ["time"], name=name)
    term = terms.VARIABLES[name]
    assert (array.name, array.attrs["long_name"]) == (name, term.long_name)
    assert array.attrs["units"] == (term.units or "")
    assert labels.labelled([1.0], ["time"], name=name, units="mV").attrs["units"] == "mV"


def test_names_of_terms_are_keys() -> None:
    assert all(key == term.name for key, term in terms.VARIABLES.items())


@dataclass(frozen=True)
class Extended:
    old: int
    new: int = field(default=0, metadata={"later": True})


def test_a_field_that_came_later_is_told_where_it_says_something() -> None:
    assert labels.plain({"x": Extended(1)}) == {"x": {"kind": "Extended", "old": 1}}
    assert labels.plain({"x": Extended(1, 2)})["x"]["new"] == 2


def test_unknown_variable_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'firing_rate'"):
        labels.labelled([1.0], ["time"], name="firing_rates")


def test_time_does_not_drift() -> None:
    time = labels.time_coordinate(100_001, 100.0, start=0.39)
    assert time.dtype == np.float64
    assert time.attrs["units"] == "s"
    assert time.values[0] == 0.39
    assert time.values[-1] == pytest.approx(1000.39, abs=1e-12)


@pytest.mark.parametrize("dim", vocabulary.SAMPLE_DIMS)
def test_sample_dim_is_found(dim: str) -> None:
    array = xr.DataArray(np.zeros((2, 3)), dims=(dim, "channel"))
    assert labels.sample_dim(array) == dim
    assert labels.sample_dim(array.to_dataset(name="a")) == dim
    assert labels.sample_dim(xr.DataTree(array.to_dataset(name="a"))) == dim


@pytest.mark.parametrize("dims", [("x",), ("time", "stimulus")])
def test_no_or_two_sample_dims_are_refused(dims: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="exactly one"):
        labels.sample_dim(xr.DataArray(np.zeros([1] * len(dims)), dims=dims))


def test_dims_are_put_in_order() -> None:
    array = xr.DataArray(np.arange(6).reshape(2, 3), dims=("cell", "time"))
    ordered = labels.require_dims(array, ("time", "cell"), "rates")
    assert ordered.values.tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (xr.DataArray(np.zeros((2, 3)), dims=("cell", "x")), r"rates with dims \('cell', 'x'\)"),
        (xr.DataArray(np.zeros(3), dims="time"), "expected: dims"),
        (np.zeros((2, 3)), "rates of type ndarray"),
    ],
)
def test_wrong_dims_are_refused(data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        labels.require_dims(data, ("time", "cell"), "rates")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_first_bad_number_is_named(value: float) -> None:
    array = xr.DataArray(np.zeros((4, 5)), dims=("time", "cell"))
    array[2, 3:] = value
    with pytest.raises(InputError, match=r"2 NaN .* {'time': 2, 'cell': 3}"):
        labels.require_finite(array, "rates")


def test_finite_numbers_and_whole_ones_pass() -> None:
    labels.require_finite(xr.DataArray(np.zeros(3)), "rates")
    labels.require_finite(xr.DataArray(np.arange(3, dtype=np.uint8)), "stimulus")


@pytest.mark.parametrize(
    "other",
    [
        series(time=[0.0, 0.1, 0.3]),
        series(time=[0.0, 0.1]),
        series(time=[0.1, 0.2, 0.0]),
        series(cell=["a", "b", "c"]),
        series(time=[0.0, 0.1, 0.2, 0.3]),
    ],
)
def test_different_axes_are_never_joined(other: xr.DataArray) -> None:
    mine = series(time=[0.0, 0.1, 0.2])
    for a, b in ((mine, other), (other, mine)):
        with pytest.raises(InputError, match="rates and stimuli have different 'time'"):
            labels.require_same(a, b, "time", "rates and stimuli")


def test_same_axes_pass() -> None:
    mine = series(time=[0.0, 0.1, 0.2])
    labels.require_same(mine, mine + 1, "time", "rates and stimuli")
    labels.require_same(mine, mine.drop_vars("time"), "time", "rates and stimuli")


@dataclass(frozen=True)
class Settings:
    steps: int
    path: str


def test_provenance_is_plain_json() -> None:
    facts = {"method": Settings(20, "input"), "mean": np.array([1.5, 2]), "seed": np.int64(3)}
    result = labels.stamp(xr.DataArray([0.0], attrs={"units": "Hz"}), "nc.respond", **facts)
    record = labels.provenance(result)
    assert record == json.loads(result.attrs["neurocodec"])
    assert record["function"] == "nc.respond"
    assert record["method"] == {"kind": "Settings", "steps": 20, "path": "input"}
    assert record["mean"] == [1.5, 2.0]
    assert record["seed"] == 3
    assert record["versions"]["numpy"] == np.__version__
    assert result.attrs["units"] == "Hz"


@pytest.mark.parametrize("kind", [xr.Dataset, xr.DataTree])
def test_any_result_can_be_stamped(kind: type) -> None:
    bare = kind()
    assert (
        labels.provenance(labels.stamp(bare, "nc.contributions"))["function"] == "nc.contributions"
    )
    assert labels.provenance(bare) == {}


def test_fingerprint_of_bytes_is_their_sha256() -> None:
    assert labels.fingerprint(b"abc") == hashlib.sha256(b"abc").hexdigest()


@given(hnp.arrays(st.sampled_from(["float32", "int64", "<U3", "bool"]), hnp.array_shapes()))
def test_fingerprint_tells_values_shapes_and_types_apart(values: np.ndarray) -> None:
    same = labels.fingerprint(values)
    assert same == labels.fingerprint(values.copy())
    assert same == labels.fingerprint(np.asfortranarray(values))
    assert same != labels.fingerprint(values[np.newaxis])
    assert same != labels.fingerprint(values, values)
    if values.dtype == np.float32 and np.isfinite(values).any():
        assert same != labels.fingerprint(values.astype(np.float64))
        assert same != labels.fingerprint(np.nextafter(values, np.float32(np.inf)))


def test_fingerprint_of_labelled_data_covers_dims_and_coordinates() -> None:
    mine = series(time=[0.0, 0.1])
    others = [
        mine + 1,
        mine.assign_coords(time=[0.0, 0.2]),
        mine.rename(time="stimulus"),
        mine.assign_coords(bin_width=0.01),
        mine.drop_vars("time"),
    ]
    prints = [labels.fingerprint(a) for a in (mine, *others)]
    assert len({*prints}) == len(prints)
    assert labels.fingerprint(mine.assign_attrs(units="Hz")) == prints[0]


def test_fingerprints_take_dates_and_text_of_any_kind():
    days = np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[ns]")
    a, b = (xr.DataArray([1.0, 2.0], {"time": t}, ("time",)) for t in (days, days + 1))
    assert labels.fingerprint(a) == labels.fingerprint(a.copy(deep=True))
    assert labels.fingerprint(a) != labels.fingerprint(b)


def test_fingerprints_of_objects_are_the_same_in_every_process():
    code = (
        "import numpy as np; from neurocodec.labels import fingerprint; "
        "print(fingerprint(np.array(['cell ' + str(i) for i in range(3)], dtype=object)))"
    )
    command = [sys.executable, "-c", code]
    found = {
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    "values",
    [
        ["cat", None, float("nan"), ""],
        pd.array(["cat", None, pd.NA, ""], dtype="string"),
        pd.Categorical(["cat", None, np.nan, ""]),
        np.array(["cat", pd.NaT, None, ""], dtype=object),
        xr.DataArray(np.array([b"cat", None, np.nan, b""], dtype=object)),
    ],
)
def test_what_has_no_name_is_of_no_class(values: Any) -> None:
    assert labels.class_names(values).tolist() == ["cat", "", "", ""]


def test_classes_may_be_numbers_and_the_text_nan_is_a_name() -> None:
    assert labels.class_names([1, 20]).tolist() == ["1", "20"]
    assert labels.class_names(["nan", "None"]).tolist() == ["nan", "None"]
    assert labels.class_names(pd.array([1, None], dtype="Int64")).tolist() == ["1", ""]


def test_values_with_an_index_are_taken_by_it() -> None:
    data = xr.DataArray([0.0, 0.0, 0.0], {"stimulus": ["a", "b", "c"]}, ("stimulus",))
    files = data.assign_coords(stimulus=[4, 5, 6], source=("stimulus", ["a", "b", "c"]))
    flipped = pd.Series([3, 2, 1], index=["c", "b", "a"])
    for values, of in [
        ([1, 2, 3], data),
        (pd.Series([1, 2, 3]), data),
        (flipped, data),
        (flipped, files),
        (pd.Series([0, 3, 2, 1], index=["z", "c", "b", "a"]), data),
        (xr.DataArray([3, 2, 1], {"stimulus": ["c", "b", "a"]}, ("stimulus",)), data),
        (pd.Series([3, 2, 1], index=[2, 1, 0]), data.drop_vars("stimulus")),
    ]:
        assert labels.by_index(values, of, "stimulus", "labels").tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        3,
        pd.Series([1, 2, 3], index=["a", "b", "z"]),
        pd.Series([1, 2, 3], index=["a", "a", "b"]),
        xr.DataArray([1, 2, 3], {"stimulus": [0, 1, 2]}, ("stimulus",)),
    ],
)
def test_values_of_other_samples_are_refused(values: Any) -> None:
    data = xr.DataArray([0.0, 0.0, 0.0], {"stimulus": ["a", "b", "c"]}, ("stimulus",))
    with pytest.raises(InputError, match="for 3 samples"):
        labels.by_index(values, data, "stimulus", "labels")


def test_data_come_in_the_order_of_labels_or_are_refused() -> None:
    data = series(y=[2, 0, 1]).copy(data=[2.0, 0.0, 1.0])
    assert labels.in_order_of(data, np.arange(3), "y", "it").values.tolist() == [0.0, 1.0, 2.0]
    close = series(y=[0.1, 0.2])
    assert labels.in_order_of(close, np.array([0.1, 0.1 + 0.1]), "y", "it") is close
    for other in (np.arange(1, 4), np.arange(2), np.array([0, 1, 1])):
        with pytest.raises(InputError, match="the labels of the samples"):
            labels.in_order_of(data, other, "y", "it")


def test_a_result_is_not_replaced() -> None:
    labels.require_free_names(["label"], ["target"], "the samples")
    with pytest.raises(InputError, match="'target' of the samples"):
        labels.require_free_names(["label", "target"], ["target"], "the samples")


def test_places_are_in_pixels_where_nothing_else_is_said():
    micrometres = xr.Variable("y", [0.0, 50.0], {"units": "um"})
    coords = {"y": micrometres, "x": [0, 1], "x_center": ("y", [1.0, 2.0])}
    coords["cell_type"] = ("y", [*"ab"])
    made = labels.labelled(np.ones((2, 2)), ("y", "x"), coords, name="spatial")
    assert {k: c.attrs.get("units") for k, c in made.coords.items()} == {
        "y": "um", "x": "pixel", "x_center": "pixel", "cell_type": None
    }  # fmt: skip
    own = xr.Variable("x", [0, 1])
    labels.labelled(np.ones(2), ("x",), {"x": own}, name="spatial")
    assert not own.attrs  # what came stays as it is
