"""What the explorer shows is what the arrays hold: decoded here, and read off a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from browsers import Opened
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.signal import argrelmax

from neurocodec.analyses.retina.dynamics import lively_times
from neurocodec.errors import InputError, NeurocodecWarning
from neurocodec.plotting import style
from neurocodec.reports import explorer
from neurocodec.reports.explorer import explorer_data, render_explorer
from neurocodec.reports.explorer_arrays import LEVELS, mode_groups, unpack

EVIL = "</script><img src=x onerror=window.hacked=1>&\"'"
TIMES = np.round(np.arange(39, 239) / 100, 2)
MOMENTS = TIMES[5::7]
LAGS = np.arange(-9, 1) / 100
SIZE = (12, 14)


def field_set(seed=0, cells=3, components=2):
    """Fields in a corner of the frame: off-centre, so that swapped axes are seen."""
    rng = np.random.default_rng(seed)
    shape = (len(MOMENTS), cells, components)
    temporal = rng.normal(size=(*shape, len(LAGS)))
    temporal /= np.linalg.norm(temporal, axis=-1, keepdims=True)
    spatial = np.zeros((*shape, *SIZE))
    spatial[..., 2:7, 6:13] = rng.normal(size=(*shape, 5, 7)) * rng.lognormal(size=(*shape, 1, 1))
    dims = ("time", "cell", "component")
    names = ["cell 1", EVIL, "cell 3"][:cells]
    return xr.Dataset(
        {
            "temporal": ((*dims, "lag"), temporal),
            "spatial": ((*dims, "y", "x"), spatial, {"units": "Hz per unit of stimulus"}),
            "energy_share": (dims, np.sort(rng.uniform(0.01, 0.5, shape))[..., ::-1]),
        },
        {"time": MOMENTS, "cell": names, "lag": LAGS},
    ).assign_coords(cell_type=("cell", ["ON", "OFF <i>", "ON"][:cells]))


def rate_set(seed=1):
    """Rates of one cell more than there are fields, in another order."""
    values = np.random.default_rng(seed).gamma(1.0, 20.0, (len(TIMES), 4)).astype("f4")
    names = ["cell 3", "cell 1", "cell 9", EVIL]
    return xr.DataArray(
        values, {"time": TIMES, "cell": names}, ("time", "cell"), attrs={"units": "Hz"}
    )


def mode_set(modes, channels, seed, share=0.25):
    """Sparse loadings, some times without any; mode 1 is a copy of mode 0, twice as strong."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, 1.0, (len(TIMES), modes)) * (rng.random((len(TIMES), modes)) < share)
    numbers = {"mode": np.arange(modes) + 10}
    rows = rng.gamma(0.4, 1.0, (modes, channels))
    rows[1] = 2 * rows[0]
    dictionary = xr.DataArray(rows.astype("f4"), numbers, ("mode", "channel"))
    return (
        xr.DataArray(values.astype("f4"), {"time": TIMES, **numbers}, ("time", "mode")),
        dictionary,
    )


L1, D1 = mode_set(9, 5, seed=2)
L2, D2 = mode_set(6, 20, seed=3, share=0.1)
D2 = D2.assign_coords(cell_type=("channel", [f"type {i} <b>" for i in range(20)]))
LOADINGS, DICTIONARIES = {"conv <1>": L1, "layer2": L2}, {"conv <1>": D1, "layer2": D2}
FIELDS, RATES = field_set(), rate_set()
STIMULUS = xr.DataArray(
    np.random.default_rng(4).normal(size=(240, *SIZE)),
    {"time": np.round(np.arange(240) / 100, 2)},
    ("time", "y", "x"),
)
RECORDED = (RATES * 0.5).isel(cell=[3, 1]).assign_attrs(units="Hz")


def whole(**changes):
    given = {
        "fields": FIELDS,
        "rates": RATES,
        "loadings": LOADINGS,
        "dictionaries": DICTIONARIES,
        "stimulus": STIMULUS,
        "recorded": RECORDED,
        "recorded_name": f"<i>{EVIL}",
        "note": f"simulated {EVIL}",
    }
    return explorer_data(**{**given, **changes})


@pytest.fixture(scope="module")
def data():
    return json.loads(json.dumps(whole()))  # as it stands on the page


# ---- what is packed


def spatial_maps(data, cell):
    """Spatial maps (time, component, y, x) of a cell, unpacked as the page's script does it."""
    fields, place = data["fields"], data["cells"]["names"].index(cell)
    peak = unpack(fields["peak"])[place].astype(float)
    top, left = fields["corner"][place]
    levels = unpack(fields["maps"][place])
    height, width = levels.shape[-2:]
    maps = np.zeros((*peak.shape, *fields["size"]))
    maps[..., top : top + height, left : left + width] = levels
    return maps * (peak / LEVELS)[..., None, None]


@pytest.mark.parametrize("cell", range(3))
def test_maps_are_the_fields_to_half_a_step(data, cell):
    true = FIELDS.spatial.values[:, cell]
    step = np.abs(true).max(axis=(-2, -1), keepdims=True) / 127
    shown = spatial_maps(data, FIELDS.cell.values[cell])
    assert (np.abs(shown - true) <= 0.5001 * step).all()


def test_maps_are_cropped_to_where_there_is_a_field(data):
    assert data["fields"]["corner"] == [[2, 6]] * 3
    assert unpack(data["fields"]["maps"][0]).shape == (len(MOMENTS), 2, 5, 7)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.floats(1e-20, 1e20))
def test_maps_of_any_scale_survive(seed, scale):
    fields = field_set(seed, cells=1)
    fields["spatial"] = fields.spatial * scale
    fields.spatial[3] = 0.0  # a silent moment
    shown = spatial_maps(whole(fields=fields), "cell 1")
    step = np.abs(fields.spatial.values[:, 0]).max(axis=(-2, -1), keepdims=True) / 127
    assert (np.abs(shown - fields.spatial.values[:, 0]) <= 0.5001 * step).all()


def test_a_cell_without_any_field_is_shown_as_zero():
    shown = spatial_maps(whole(fields=FIELDS.assign(spatial=FIELDS.spatial * 0)), "cell 3")
    assert shown.shape == (len(MOMENTS), 2, *SIZE)
    assert not shown.any()


def test_all_other_numbers_are_exact_or_nearly(data):
    rates = unpack(data["rate"]["values"])
    np.testing.assert_array_equal(rates.T, RATES.sel(cell=FIELDS.cell).values)
    np.testing.assert_array_equal(unpack(data["time"])[data["moments"]], MOMENTS)
    for layer, name in zip(data["layers"], LOADINGS, strict=True):
        np.testing.assert_array_equal(unpack(layer["loadings"]).T, LOADINGS[name].values)
        np.testing.assert_array_equal(unpack(layer["dictionary"]), DICTIONARIES[name].values)
    temporal = unpack(data["fields"]["temporal"]) / 32767
    true = FIELDS.temporal.transpose("cell", "time", "component", "lag").values
    np.testing.assert_allclose(temporal, true, atol=0.501 / 32767)


def test_cells_that_were_not_recorded_have_no_recorded_rate(data):
    recorded = unpack(data["recorded"]["values"])
    assert np.isnan(recorded[2]).all()
    np.testing.assert_array_equal(recorded[0], RATES.sel(cell="cell 1").values / 2)


def test_one_field_of_one_cell_is_packed():
    times, dims = [0.1, 0.2], ("time", "cell", "component")
    fields = xr.Dataset(
        {
            "temporal": ((*dims, "lag"), np.ones((1, 1, 1, 1))),
            "spatial": ((*dims, "y", "x"), np.ones((1, 1, 1, 2, 2))),
            "energy_share": (dims, np.ones((1, 1, 1))),
        },
        {"time": times[:1], "cell": ["a"], "lag": [0.0]},
    )
    rates = xr.DataArray([[3.0], [4.0]], {"time": times, "cell": ["a"]}, ("time", "cell"))
    loadings = xr.DataArray([[0.5], [0.0]], {"time": times, "mode": [0]}, ("time", "mode"))
    dictionary = xr.DataArray([[1.0, 2.0]], {"mode": [0]}, ("mode", "channel"))
    data = explorer_data(fields, rates, {"layer1": loadings}, {"layer1": dictionary})
    assert data["cells"]["names"] == ["a"]
    assert unpack(data["fields"]["peak"]).ravel().tolist() == [1.0]


def test_fields_are_put_in_the_order_of_time():
    shuffled = FIELDS.isel(time=np.random.default_rng(0).permutation(len(MOMENTS)))
    assert whole(fields=shuffled) == whole()


def test_both_signs_of_a_channel_are_named():
    signed = xr.concat([D1, -D1], "sign").assign_coords(sign=["excitatory", "inhibitory"])
    layers = whole(loadings={"a": L1}, dictionaries={"a": signed})["layers"]
    assert layers[0]["channels"] == [f"{c} {s}" for s in "+\N{MINUS SIGN}" for c in range(5)]
    np.testing.assert_array_equal(
        unpack(layers[0]["dictionary"]), np.hstack([D1.values, -D1.values])
    )


def test_pixels_have_the_units_of_the_coordinate():
    x = ("x", np.arange(14) * 50.0, {"units": "um"})
    pixel = whole(fields=FIELDS.assign_coords(x=x))["fields"]["pixel"]
    assert pixel == {"width": 50.0, "units": "um"}


def test_near_copies_go_by_their_most_used_mode_and_silent_modes_by_themselves():
    rows = np.array([[1, 0, 0], [2, 0.1, 0], [0, 1, 0], [3, 0, 0], [0, 1, 1.0]])
    dictionary = xr.DataArray(rows, {"mode": list("abcde")}, ("mode", "channel"))
    loadings = xr.DataArray([[1, 2, 1, 0, 1.0]], {"mode": list("abcde")}, ("time", "mode"))
    assert mode_groups(loadings, dictionary, 0.95).tolist() == [1, 1, 2, 3, 4]
    assert mode_groups(loadings, dictionary, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert mode_groups(0 * loadings, dictionary, 0.95).tolist() == [0, 1, 2, 3, 4]


def test_lively_times_are_peaks_of_every_cell_in_turn():
    times = lively_times(RATES, 12, apart=0.05)
    assert len(times) == 12
    assert (np.diff(times) >= 0.05 - 1e-9).all()
    padded = np.pad(RATES.values.T, ((0, 0), (1, 1)))  # the ends may be peaks
    peaks = [RATES.time.values[argrelmax(r)[0] - 1] for r in padded]
    assert set(times) <= set(np.concatenate(peaks))
    tops = RATES.time.values[RATES.values.argmax(axis=0)]
    assert all(np.abs(times - top).min() <= 0.05 for top in tops)


# ---- bad input

NAN = FIELDS.assign(spatial=FIELDS.spatial.where(FIELDS.time != MOMENTS[3]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fields": FIELDS.rename(spatial="irf")}, r"'irf'.*'spatial'.*rank=1"),
        ({"fields": FIELDS.spatial}, "DataArray.*'temporal'"),
        ({"fields": FIELDS.isel(component=0)}, "temporal with dims"),
        ({"fields": FIELDS.isel(time=[])}, "at least one field"),
        ({"fields": FIELDS.drop_vars("lag")}, "'lag'"),
        ({"fields": NAN}, "spatial with .* NaN"),
        ({"rates": RATES.isel(time=slice(50, None))}, r"0\.44.* rates do not have"),
        ({"rates": RATES.isel(cell=[0, 1])}, "onerror.*rates do not have"),
        ({"rates": RATES.isel(time=slice(None, None, -1))}, "do not rise"),
        ({"rates": RATES.rename(cell="neuron")}, "neuron"),
        ({"rates": RATES.drop_vars("cell")}, "without labels along 'cell'"),
        ({"loadings": {"layer2": L2}}, "layers"),
        ({"loadings": {**LOADINGS, "layer2": L1}}, "different 'mode'"),
        ({"loadings": {**LOADINGS, "layer2": L2[5:]}}, "different 'time'"),
        ({"stimulus": STIMULUS[:100]}, "frames do not have"),
        ({"stimulus": STIMULUS[:, 1:]}, r"\(11, 14\) pixels"),
        ({"recorded": RECORDED[:50]}, "different 'time'"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        whole(**changes)


def test_a_large_page_is_warned_of(data, monkeypatch):
    monkeypatch.setattr(explorer, "LARGE", 1000)
    with pytest.warns(NeurocodecWarning, match="rank=1"):
        render_explorer(data)


# ---- the page as text


class Page(HTMLParser):
    """Tags and the addresses that they name."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.addresses = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        names = {"src", "href", "srcset", "data", "action", "poster"}
        self.addresses += [value for name, value in attrs if name in names]


def test_names_cannot_leave_their_place(data):
    page = Page(render_explorer(data, title=EVIL))
    assert page.tags.count("script") == 2
    assert not {"img", "b"} & {*page.tags}
    assert page.addresses == []


def test_a_fragment_is_a_section():
    assert render_explorer({"cells": {"names": []}}).lstrip().startswith("<section")


def test_a_fragment_has_no_head_and_no_identifiers_to_clash_with(data):
    fragment = render_explorer(data)
    assert not {"html", "head", "body", "main"} & {*Page(fragment).tags}
    assert " id=" not in fragment


def test_the_colours_are_those_of_the_figures():
    code = (Path(explorer.__file__).parent / "templates" / "explorer.js").read_text("utf-8")
    anchors = re.findall(r'"([0-9a-f]{6})"', code)
    true = mpl.colormaps[style.CONTRIBUTIONS](np.linspace(0, 1, 11))
    shown = [[int(a[i : i + 2], 16) / 255 for i in (0, 2, 4)] for a in anchors]
    np.testing.assert_allclose(shown, true[:, :3], atol=0.01)


# ---- the page in a browser


@pytest.fixture(scope="module")
def address(data, tmp_path_factory):
    file = tmp_path_factory.mktemp("explorer") / "explorer.html"
    file.write_text(render_explorer(data, title=f"Explorer {EVIL}"), "utf-8")
    return file.as_uri()


class View(Opened):
    """The explorer as a reader sees and uses it."""

    def ready(self):
        self.page.wait_for_selector(".explorer[data-ready]")
        return self

    def text(self, name):
        return self.page.locator(f".x-{name}").inner_text()

    def value(self, name):
        return float(self.page.locator(f".x-{name} data").first.get_attribute("value"))

    def settled(self, cell, moment, component=0):
        self.page.wait_for_selector(f'.explorer[data-shown="{cell} {moment} {component}"]')
        return self

    def rows(self, layer):
        """Mode -> (loading, {channel: weight}) as the table of a layer says it."""
        rows = self.page.locator(f'[data-layer="{layer}"] tr.x-row').evaluate_all(
            """rows => rows.map(row => [row.dataset.mode, row.querySelector(".x-load data").value,
            [...row.querySelectorAll(".x-weight")].map(
                cell => [cell.dataset.channel, cell.querySelector("data").value])])"""
        )
        return {
            int(mode): (float(loading), {name: float(weight) for name, weight in weights})
            for mode, loading, weights in rows
        }

    def pixels(self, name):
        """Colours (y, x, rgb) of a canvas."""
        png = self.page.locator(f".x-{name}").evaluate("canvas => canvas.toDataURL()")
        picture = Image.open(io.BytesIO(base64.b64decode(png.partition(",")[2])))
        return np.asarray(picture.convert("RGB"), dtype=float)

    def click_time(self, moment, *, drag_from=None):
        """Press on the time axis where the page drew the mark of a moment."""
        self.page.locator(".x-timeline").scroll_into_view_if_needed()
        mark = self.page.locator(".x-timeline .x-moment").nth(moment).bounding_box()
        x, y = mark["x"] + mark["width"] / 2, mark["y"] - 20
        if drag_from is not None:
            start = self.page.locator(".x-timeline .x-moment").nth(drag_from).bounding_box()
            self.page.mouse.move(start["x"], y)
            self.page.mouse.down()
        self.page.mouse.move(x, y, steps=5)
        if drag_from is None:
            self.page.mouse.down()
        self.page.mouse.up()


@pytest.fixture
def view(browser, address):
    opened = View(browser, address).ready()
    yield opened
    assert opened.errors == []
    assert opened.requests == [address]
    opened.context.close()


def moment_of_most(cell):
    return int(RATES.sel(time=MOMENTS, cell=cell).values.argmax())


def check(view, cell, moment, component=0):
    """All numbers on the page are those of the arrays."""
    view.settled(cell, moment, component)
    name, time = FIELDS.cell.values[cell], MOMENTS[moment]
    one = FIELDS.isel(cell=cell, time=moment, component=component)
    rate = float(RATES.sel(time=time, cell=name))
    assert view.value("now") == time
    assert view.text("now").startswith(f"{time:g} s")
    assert view.value("fact-rate") == rate
    assert float(view.text("fact-rate").removesuffix(" Hz")) == pytest.approx(rate, rel=5e-3)
    if view.page.locator(".x-fact-recorded").count():
        assert name != "cell 3"
        assert view.value("fact-recorded") == rate / 2
    peak = float(np.abs(one.spatial).max())
    assert view.value("fact-peak") == np.float32(peak)
    assert float(view.text("fact-peak")) == pytest.approx(peak, rel=5e-3)
    assert float(view.text("high")) == pytest.approx(peak, rel=5e-3)
    assert view.value("fact-share") == np.float32(one.energy_share)
    y, x = np.unravel_index(np.abs(one.spatial.values).argmax(), SIZE)
    assert view.text("fact-where") == f"{x}, {y}"
    lag = int(np.abs(one.temporal.values).argmax())
    assert view.value("fact-lag") == LAGS[lag]
    sign = one.spatial.values[y, x] * one.temporal.values[lag]
    assert view.text("fact-polarity") == ("ON" if sign > 0 else "OFF")
    for layer, loadings in LOADINGS.items():
        now = loadings.sel(time=time).values
        count = view.page.locator(f'[data-layer="{layer}"] .x-count data').get_attribute("value")
        assert int(count) == (now > 0).sum()
        rows = view.rows(layer)
        assert [r[0] for r in rows.values()] == sorted((r[0] for r in rows.values()), reverse=True)
        for mode, (loading, weights) in rows.items():
            assert loading == float(loadings.sel(time=time, mode=mode))
            row = DICTIONARIES[layer].sel(mode=mode).values
            names = [f"type {i} <b>" for i in range(20)] if layer == "layer2" else "01234"
            assert weights.items() <= dict(zip(names, row.astype(float), strict=True)).items()
            assert row.max() in weights.values()


def test_the_page_opens_at_the_liveliest_time_of_the_first_cell(view):
    check(view, 0, moment_of_most("cell 1"))
    assert EVIL in view.text("note")
    assert view.page.evaluate("window.hacked") is None


def test_another_cell_is_picked(view):
    view.page.locator(".x-cell").select_option(index=1)
    check(view, 1, moment_of_most("cell 1"))
    assert EVIL in view.text("legend")
    assert view.page.locator(".x-fact-recorded").count() == 1
    view.page.locator(".x-cell").select_option(index=2)
    check(view, 2, moment_of_most("cell 1"))  # which was not recorded
    assert view.page.locator(".x-fact-recorded").count() == 0
    texts = view.page.locator(".x-cell option").all_inner_texts()
    assert texts == ["cell 1 · ON", f"{EVIL} · OFF <i>", "cell 3 · ON"]
    assert view.page.evaluate("window.hacked") is None


def test_a_reader_who_goes_on_sees_the_last_choice(view):
    before = view.page.locator(".x-map").evaluate("canvas => canvas.toDataURL()")
    view.page.evaluate(
        """() => { const choice = document.querySelector(".x-cell");
        for (const cell of ["1", "0"]) {  // the maps of 1 are not unpacked yet, those of 0 are
            choice.value = cell; choice.dispatchEvent(new Event("change")); } }"""
    )
    view.page.wait_for_timeout(300)
    check(view, 0, moment_of_most("cell 1"))
    assert view.page.locator(".x-map").evaluate("canvas => canvas.toDataURL()") == before


def test_a_click_on_the_time_axis_goes_there(view):
    for moment in (2, 19, len(MOMENTS) - 1):
        view.click_time(moment)
        check(view, 0, moment)


def test_dragging_along_the_time_axis_follows(view):
    view.click_time(4, drag_from=20)
    check(view, 0, 4)


def test_keys_step_from_field_to_field(view):
    view.page.locator(".x-timeline").focus()
    for key, moment in [
        ("Home", 0),
        ("ArrowLeft", 0),
        ("ArrowRight", 1),
        ("PageUp", 11),
        ("ArrowLeft", 10),
        ("End", len(MOMENTS) - 1),
        ("ArrowRight", len(MOMENTS) - 1),
    ]:
        view.page.keyboard.press(key)
        check(view, 0, moment)
    slider = view.page.get_by_role("slider")
    assert float(slider.get_attribute("aria-valuenow")) == MOMENTS[-1]


def test_buttons_step_and_stop_at_the_ends(view):
    view.page.locator(".x-timeline").focus()
    view.page.keyboard.press("Home")
    check(view, 0, 0)
    assert view.page.locator(".x-previous").is_disabled()
    view.page.locator(".x-next").click()
    check(view, 0, 1)


def test_the_other_component_is_shown(view):
    view.page.locator(".x-components button").nth(1).click()
    check(view, 0, moment_of_most("cell 1"), 1)


def test_a_view_can_be_linked(browser, address):
    link = f"{address}#cell={quote(EVIL)}&time={MOMENTS[7]}&component=2&mode={quote('conv <1>')}:12"
    opened = View(browser, link).ready()
    check(opened, 1, 7, 1)
    assert "mode 12" in opened.text("legend")
    opened.page.locator(".x-next").click()
    check(opened, 1, 8, 1)
    assert f"time={MOMENTS[8]:g}" in opened.page.evaluate("location.hash")
    again = View(browser, opened.page.url).ready()
    check(again, 1, 8, 1)
    opened.page.evaluate("location.hash = '#modes'")  # a link elsewhere on the page
    check(opened, 1, 8, 1)
    opened.page.evaluate(f"location.hash = '#cell=cell+3&time={MOMENTS[2] + 0.004}'")
    check(opened, 2, 2, 1)
    assert not opened.errors + again.errors
    opened.context.close()
    again.context.close()


def test_the_map_has_the_colours_of_the_field(view):
    moment = moment_of_most("cell 1")
    check(view, 0, moment)
    field = FIELDS.spatial.values[moment, 0, 0]
    limit = np.abs(field).max()
    anchors = mpl.colormaps["RdBu_r"](np.linspace(0, 1, 11))[:, :3] * 255
    at = (field / limit + 1) * 5
    true = np.stack([np.interp(at, np.arange(11), a) for a in anchors.T], -1)
    # half of 127 steps from 0, and half a grey for rounding; the map's colours change by up to
    # 90 in a fifth of the range
    assert np.abs(view.pixels("map") - true).max() < 0.5 / 127 * 5 * 90 + 1.6
    view.page.locator(".x-same").check()
    limit = np.abs(FIELDS.spatial.values[:, 0, 0]).max()
    assert float(view.text("high")) == pytest.approx(limit, rel=5e-3)


def test_the_frame_is_the_newest_of_the_window(view):
    moment = moment_of_most("cell 1")
    check(view, 0, moment)
    shown = STIMULUS.sel(time=MOMENTS)
    low, high = float(shown.min()), float(shown.max())
    grey = (shown.values[moment] - low) / (high - low) * 255
    frame = view.pixels("frame")
    zoom = frame.shape[0] // SIZE[0]
    middle = frame[zoom // 2 :: zoom, zoom // 2 :: zoom]
    assert np.abs(middle - grey[..., None]).max() <= 0.51
    field = np.abs(FIELDS.spatial.values[moment, 0, 0])
    edge = frame[zoom // 2 :: zoom, ::zoom]  # left edges of pixels
    coloured = (edge != edge[..., :1]).any(-1)
    inside = np.pad(field >= field.max() / 2, ((0, 0), (1, 0)))
    assert (coloured == (inside[:, 1:] & ~inside[:, :-1]))[:, 1:].mean() > 0.97


def groups_on(layer, alike):
    """Whether any mode of each group is active (moment, group): groups by mode position."""
    on = LOADINGS[layer].sel(time=MOMENTS).values > 0
    group = np.array(alike)
    return np.stack([on[:, group == g].any(1) for g in np.unique(group)], 1)


def test_near_copies_stand_in_one_row_until_all_are_asked_for(view, data):
    alike = data["layers"][0]["alike"]
    assert alike[0] == alike[1]
    both = (L1.sel(time=MOMENTS).values[:, :2] > 0).all(1)
    moment = int(np.flatnonzero(both)[0])
    view.click_time(moment)
    check(view, 0, moment)
    now = dict(zip(L1.mode.values.tolist(), L1.sel(time=MOMENTS[moment]).values, strict=True))
    active = {m for m, x in now.items() if x > 0}
    strongest = max((10, 11), key=now.__getitem__)
    assert set(view.rows("conv <1>")) == active - ({10, 11} - {strongest})
    view.page.locator('[data-layer="conv <1>"] .x-more').click()
    assert set(view.rows("conv <1>")) == active
    check(view, 0, moment)


@pytest.mark.parametrize("layer", range(2))
def test_buttons_lead_to_times_of_the_same_modes(view, data, layer):
    name = list(LOADINGS)[layer]
    on = groups_on(name, data["layers"][layer]["alike"])
    box = f'[data-layer="{name}"]'
    alone = np.flatnonzero(on.sum(1) == 1)
    moment = int(alone[0])
    view.click_time(moment)
    check(view, 0, moment)
    view.page.locator(f"{box} tr.x-row button").first.click()
    mine = int(np.flatnonzero(on[moment])[0])
    cases = {
        "alone": [m for m in alone if on[m, mine]],
        "again": np.flatnonzero(on[:, mine]),
        "together": [m for m in range(len(MOMENTS)) if (on[m] >= on[moment]).all()],
    }
    for button, targets in cases.items():
        view.click_time(moment)
        check(view, 0, moment)
        pressed = view.page.locator(f"{box} .x-{button}")
        assert f"({len(targets)})" in pressed.inner_text()
        later = [int(m) for m in targets if m > moment] or [int(targets[0])]
        if later == [moment]:
            assert pressed.is_disabled()
        else:
            pressed.click()
            check(view, 0, later[0])
            focus = view.page.evaluate("document.activeElement.className")
            assert focus == (f"x-{button}" if pressed.is_enabled() else "x-layer")


def test_times_with_the_same_modes_have_all_of_them(view, data):
    on = groups_on("conv <1>", data["layers"][0]["alike"])
    several = np.flatnonzero(on.sum(1) == 3)
    for moment in map(int, several[:3]):
        view.click_time(moment)
        check(view, 0, moment)
        count = (on[:, on[moment]]).all(1).sum()
        button = view.page.locator('[data-layer="conv <1>"] .x-together')
        assert button.inner_text() == f"next time with these modes ({count})"


def test_a_closer_look_at_the_time_axis_keeps_the_time(view):
    view.page.locator(".x-zoom").select_option("10")
    moment = moment_of_most("cell 1")
    check(view, 0, moment)
    view.page.locator(".x-zoom").select_option("3")
    check(view, 0, moment)


@pytest.mark.parametrize("width", [390, 320, 768, 1280])
def test_nothing_sticks_out_on_any_screen(browser, address, width):
    opened = View(browser, address, viewport={"width": width, "height": 800}).ready()
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.page.locator(".x-map").bounding_box()["width"] > 100
    assert opened.errors == []
    opened.context.close()


def test_every_control_has_a_name_and_takes_the_focus(view):
    nameless = view.page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, [role=slider], [role=img]")]
        .filter(e => !(e.getAttribute("aria-label") || e.labels?.[0]?.textContent.trim()
            || (e.tagName === "BUTTON" && e.textContent.trim()))).map(e => e.outerHTML)"""
    )
    assert nameless == []
    view.page.keyboard.press("Tab")
    seen = {view.page.evaluate("document.activeElement.className")}
    for _ in range(12):
        view.page.keyboard.press("Tab")
        seen.add(str(view.page.evaluate("document.activeElement.getAttribute('class')")))
    assert {"x-cell", "x-timeline", "x-zoom", "x-same"} <= seen


def test_a_browser_without_scripts_or_without_inflation_is_told(browser, address):
    without = View(browser, address, java_script_enabled=False)
    assert "needs JavaScript" in without.page.locator("noscript").inner_text()
    without.context.close()
    old = browser.new_page()
    old.add_init_script("delete window.DecompressionStream")
    old.goto(address)
    old.wait_for_selector(".x-failed:not([hidden])")
    assert "browser of 2023" in old.locator(".x-failed").inner_text()
    old.close()


def test_the_fragment_works_inside_of_another_page(browser, tmp_path):
    file = tmp_path / "host.html"
    plain = whole(stimulus=None, recorded=None, note="")
    host = f"<!doctype html><h2 id=modes>Modes</h2>{render_explorer(plain)}<p>after</p>"
    file.write_text(host, "utf-8")
    opened = View(browser, file.as_uri()).ready()
    check(opened, 0, moment_of_most("cell 1"))
    assert not opened.page.locator(".x-shown").is_visible()
    assert not opened.page.locator(".x-note").is_visible()
    assert opened.errors == []
    opened.context.close()
