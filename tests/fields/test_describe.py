"""Descriptions of fields of known parameters: Gaussians, differences of Gaussians, Gabors."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.fields.describe import first_components
from neurocodec.kernels.separable import recent_sign, separable_components

Y, X = np.mgrid[:50, :50].astype(float)
LAG = np.arange(-19, 1) / 100
COURSE = np.exp(-((LAG + 0.05) ** 2) / 0.0004) - 0.4 * np.exp(-((LAG + 0.11) ** 2) / 0.0008)


def gauss(y=25.0, x=25.0, s1=3.0, s2=3.0, degrees=0.0):
    """Standard deviation s1 along `degrees`, s2 across."""
    a = np.radians(degrees)
    along = (X - x) * np.cos(a) + (Y - y) * np.sin(a)
    across = -(X - x) * np.sin(a) + (Y - y) * np.cos(a)
    return np.exp(-(along**2 / s1**2 + across**2 / s2**2) / 2)


def field(image, course=COURSE) -> xr.DataArray:
    coords = {"lag": ("lag", LAG, {"units": "s"})}
    return xr.DataArray(np.multiply.outer(course, image), coords, dims=("lag", "y", "x"))


@settings(max_examples=25, deadline=None)
@given(
    y=st.floats(20, 30),
    x=st.floats(20, 30),
    s1=st.floats(1.5, 4),
    ratio=st.floats(1, 1.5),
    degrees=st.floats(0, 179),
)
def test_a_gaussian_is_found_as_it_is(y, x, s1, ratio, degrees) -> None:
    found = nc.describe_fields(field(gauss(y, x, s1 * ratio, s1, degrees)))
    assert float(found.y_center) == pytest.approx(y, abs=0.1)
    assert float(found.x_center) == pytest.approx(x, abs=0.1)
    assert float(found.radius) == pytest.approx(s1 * np.sqrt(ratio), rel=0.05)
    assert float(found.orientation_index) == pytest.approx((ratio - 1) / (ratio + 1), abs=0.02)
    assert float(found.surround_strength) == pytest.approx(0, abs=1e-3)
    if ratio > 1.2:
        turn = (float(found.orientation) - degrees + 90) % 180 - 90
        assert abs(turn) < 2


@pytest.mark.parametrize("k", [0.0, 0.3, 0.8])
def test_the_surround_of_a_difference_of_gaussians(k) -> None:
    image = gauss(s1=2.0, s2=2.0) - k * (4 / 36) * gauss(s1=6.0, s2=6.0)
    found = nc.describe_fields(field(image))
    distance = np.hypot(Y - 25, X - 25)
    radii = np.linspace(0, 25, 5001)
    profile = np.exp(-(radii**2) / 8) - k * (4 / 36) * np.exp(-(radii**2) / 72)
    edge = radii[np.argmax(profile < 0)] if (profile < 0).any() else np.inf
    expected = -image[distance >= edge].sum() / image[distance < edge].sum()
    assert float(found.surround_strength) == pytest.approx(expected, abs=1e-6)
    assert float(found.orientation_index) == pytest.approx(0, abs=0.01)
    if k:
        assert 0.5 * k < float(found.surround_strength) <= k


def test_the_orientation_of_a_gabor() -> None:
    for degrees in (0, 30, 90, 150):
        a = np.radians(degrees)
        across = -(X - 25) * np.sin(a) + (Y - 25) * np.cos(a)
        image = gauss(s1=5.0, s2=5.0) * np.cos(2 * np.pi * across / 8)
        found = nc.describe_fields(field(image))
        assert abs((float(found.orientation) - degrees + 90) % 180 - 90) < 1
        assert float(found.orientation_index) > 0.9


def test_polarity_and_phases_are_those_of_the_recent_past() -> None:
    fields = xr.concat([field(gauss()), field(-gauss())], "cell").assign_coords(cell=["a", "b"])
    found = nc.describe_fields(fields)
    assert found.polarity.values.tolist() == ["ON", "OFF"]
    np.testing.assert_allclose(found.biphasic_index, -COURSE.min() / COURSE.max(), rtol=1e-5)
    np.testing.assert_allclose(found.peak_lag, -0.05)
    assert found.peak_lag.units == "s"
    # whichever way round a component is given
    turned = nc.describe_fields(
        xr.Dataset({"temporal": ("lag", -COURSE), "spatial": (("y", "x"), -gauss())})
    )
    assert str(turned.polarity.values) == "ON"


def test_components_and_whole_fields_agree() -> None:
    whole = xr.concat([field(gauss(s1=s)) for s in (2, 3, 4)], "cell").expand_dims(time=2)
    parts = separable_components(whole.transpose("time", "cell", "lag", "y", "x").values, 2)
    dims = ("time", "cell", "component")
    components = xr.Dataset(
        {
            "temporal": ((*dims, "lag"), parts.temporal),
            "spatial": ((*dims, "y", "x"), parts.spatial),
        }
    )
    a, b = nc.describe_fields(whole), nc.describe_fields(components).isel(component=0)
    assert b.radius.dims == ("time", "cell")
    np.testing.assert_allclose(a.radius.transpose("time", "cell"), b.radius, rtol=1e-5)


def test_positions_are_in_the_units_of_the_coordinates() -> None:
    scaled = field(gauss(20, 30, 3.0, 3.0)).assign_coords(
        y=("y", 10.0 * np.arange(50) - 100, {"units": "um"}), x=("x", 10.0 * np.arange(50))
    )
    found = nc.describe_fields(scaled)
    assert float(found.y_center) == pytest.approx(100, abs=0.1)
    assert float(found.x_center) == pytest.approx(300, abs=0.1)
    assert float(found.radius) == pytest.approx(30, rel=0.03)
    assert found.radius.units == "um"


def test_known_centres_give_way_and_other_labels_stay() -> None:
    fields = (
        field(gauss())
        .expand_dims(cell=["a"])
        .assign_coords(y_center=("cell", [1.0]), cell_type=("cell", ["ON"]))
    )
    found = nc.describe_fields(fields)
    assert set(found.coords) == {"cell", "cell_type"}
    assert float(found.y_center[0]) == pytest.approx(25, abs=0.1)


def test_a_field_of_zeros_or_nan_has_no_shape() -> None:
    fields = xr.concat([field(0 * gauss()), field(np.nan * gauss()), field(gauss())], "cell")
    found = nc.describe_fields(fields.assign_coords(cell=["zero", "nan", "fine"]))
    assert found.polarity.values.tolist() == ["", "", "ON"]
    assert np.isnan(found.radius.values).tolist() == [True, True, False]
    assert np.isnan(found.peak_lag.values).tolist() == [True, True, False]


def test_a_checkerboard_has_no_orientation() -> None:
    found = nc.describe_fields(field(np.where((Y + X) % 2, 1.0, -1.0)))
    assert float(found.orientation_index) == pytest.approx(0, abs=1e-6)


def test_other_data_are_refused() -> None:
    with pytest.raises(InputError, match="irf or sta"):
        nc.describe_fields(xr.Dataset({"firing_rate": ("time", [1.0])}))
    with pytest.raises(InputError, match="irf or sta"):
        nc.describe_fields(xr.DataArray(np.zeros((3, 3)), dims=("y", "x")))


def test_the_result_is_saved_whole(tmp_path) -> None:
    found = nc.describe_fields(field(gauss()).expand_dims("cell").assign_coords(cell=["a"]))
    nc.save(found, tmp_path / "shapes.nc")
    xr.testing.assert_identical(nc.open(tmp_path / "shapes.nc"), found)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), rank=st.integers(1, 5))
def test_separable_components_are_the_truncated_svd(seed, rank) -> None:
    fields = np.random.default_rng(seed).normal(size=(2, 5, 4, 3))
    found = separable_components(fields, rank)
    u, s, vt = np.linalg.svd(fields.reshape(2, 5, 12), full_matrices=False)
    best = (u[..., :rank] * s[:, None, :rank]) @ vt[:, :rank]
    mine = np.einsum("nkl,nkyx->nlyx", found.temporal, found.spatial).reshape(2, 5, 12)
    np.testing.assert_allclose(mine, best, atol=1e-8)
    np.testing.assert_allclose(found.energy_share, s[:, :rank] ** 2 / (s**2).sum(1, keepdims=True))
    assert (recent_sign(found.temporal) == 1).all()


def test_fields_that_are_all_zero_have_no_shape() -> None:
    found = nc.describe_fields(field(0 * gauss()).expand_dims("cell"))
    assert found.polarity.values.tolist() == [""]
    assert np.isnan(found.radius).all()


def test_a_field_with_one_number_missing_is_not_described_as_if_it_were_zero() -> None:
    broken = field(gauss())
    broken[3, 25, 25] = np.nan
    assert np.isnan(nc.describe_fields(broken).radius)
    both = nc.describe_fields(xr.concat([broken, field(gauss())], "cell"))
    assert both.polarity.values.tolist() == ["", "ON"]


@pytest.mark.parametrize("middle", [0.0, -0.2])
def test_one_pixel_in_the_middle_does_not_turn_a_field(middle) -> None:
    image = np.zeros((50, 50))
    image[24:27, 24:27] = 1.0
    image[25, 25] = middle
    found = nc.describe_fields(field(image))
    assert str(found.polarity.values) == "ON"
    assert 0.5 < float(found.radius) < 2
    assert float(found.y_center) == pytest.approx(25, abs=0.5)
    assert float(found.surround_strength) == pytest.approx(-middle / 8)


@pytest.mark.parametrize("scale", [1e-25, 1e15])
def test_the_shape_does_not_depend_on_the_unit(scale) -> None:
    image = gauss(degrees=30, s1=4.0) - 0.2 * gauss(s1=8.0, s2=8.0)
    one, other = (nc.describe_fields(field(image * s)) for s in (1, scale))
    for name in ("radius", "orientation", "orientation_index", "surround_strength"):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-3)


def test_whole_fields_have_a_course_and_a_map_each():
    course, image = first_components(xr.DataArray(np.ones((2, 3, 3)), dims=("lag", "y", "x")))
    assert (course.dims, image.dims) == (("lag",), ("y", "x"))
