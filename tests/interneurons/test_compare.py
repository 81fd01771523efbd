"""Recorded interneurons against units and modes: planted ones are found, noise is not."""

from __future__ import annotations

import tracemalloc
from functools import cache

import numpy as np
import pytest
import torch
import xarray as xr
from small_retina import HISTORY, small_network, small_recording
from torch import nn

import neurocodec as nc
from neurocodec.engine.samples import Samples
from neurocodec.errors import InputError, NeurocodecWarning, UnknownNameError
from neurocodec.interneurons.activations import rectified_layers
from neurocodec.interneurons.views import View
from neurocodec.kernels.lagged import interleaved_halves
from neurocodec.labels import provenance

FRAMES = 1500
QUICK = {"block": 0.8, "max_lag": 0.03, "controls": ("shift",), "progress": False}


@cache
def units() -> dict[str, np.ndarray]:
    """Activations (time, channel, y, x), computed window by window, without neurocodec."""
    module = small_network().module
    movie = small_recording(FRAMES).stimulus.values
    windows = np.stack([movie[i : i + HISTORY] for i in range(FRAMES - HISTORY + 1)])
    with torch.no_grad():
        first = module.layer1.convolution(torch.tensor(windows))
        second = module.layer2.convolution(module.layer1[1:](first))
        parts = {"layer1": first, "layer2": second, "layer2_rectified": module.layer2[1:](second)}
    return {name: part.numpy() for name, part in parts.items()}


def recorded(*traces, frames=FRAMES, **variables) -> xr.Dataset:
    """A recording of these traces, each without the frames to which the model has no response."""
    data = small_recording(frames)
    padded = [np.r_[np.zeros(HISTORY - 1), np.asarray(t, dtype=float)] for t in traces]
    names = np.array([f"simulated {i}" for i in range(len(traces))])
    voltage = xr.DataArray(
        np.stack(padded, axis=1),
        {"time": data.time, "interneuron": names},
        ("time", "interneuron"),
    )
    types = ("interneuron", np.array(["bipolar"] * len(traces)))
    voltage = voltage.assign_coords(interneuron_cell_type=types)
    return data[["stimulus"]].assign(membrane_potential=voltage, **variables)


def noise(count, seed=1, times=FRAMES - HISTORY + 1):
    """Smooth noise, as neighbouring times of a recording are alike."""
    steps = np.random.default_rng(seed).normal(size=(times + 8, count))
    return np.stack([steps[i : i + 8].mean(axis=0) for i in range(times)])


@cache
def planted() -> xr.DataTree:
    """A unit that leads the model, one that it leads, a pooled one, noise."""
    late = np.roll(units()["layer1"][:, 1, 3, 4], 2)
    early = np.roll(units()["layer2"][:, 0, 1, 2], -3)
    late = late + 0.5 * late.std() * noise(1)[:, 0] / noise(1).std()
    pooled = units()["layer1"][:, 0, 1:6, 1:6].mean(axis=(1, 2))
    recording = recorded(late, 5 * early - 60, pooled, noise(1, 2)[:, 0])
    return nc.compare_interneurons(small_network(), recording, chance=60, **QUICK)


def test_planted_units_are_found_with_their_place_and_lag():
    found = planted()
    places = zip(*(found[f"best_{k}"].values for k in ("channel", "y", "x")), strict=True)
    assert [*places][:2] == [(1, 3, 4), (0, 1, 2)]
    assert found.best_layer.values[:3].tolist() == ["layer1", "layer2", "layer1"]
    np.testing.assert_allclose(found.best_lag[:2], [0.02, -0.03])  # recorded after the unit
    assert found.correlation.values[0] == pytest.approx(1 / np.sqrt(1.25), abs=0.03)
    assert found.correlation.values[1] > 0.999
    np.testing.assert_allclose(found.unit_y_center[:2], [4, 3], atol=1.0)
    np.testing.assert_allclose(found.unit_x_center[:2], [5, 4], atol=1.0)
    np.testing.assert_allclose(found.p_value[:3], 1 / 61)


def test_a_channel_is_pooled_where_the_interneuron_pools():
    found = planted().isel(interneuron=2)
    assert found.best_pooling > 0
    assert found.best_channel == 0
    assert abs(found.best_y - 3) <= 1
    single = nc.compare_interneurons(
        small_network(),
        recorded(units()["layer1"][:, 0, 1:6, 1:6].mean(axis=(1, 2))),
        chance=0,
        pooling=(0,),
        **QUICK,
    )
    assert found.correlation > single.correlation[0] + 0.05
    assert single.best_pooling[0] == 0


def test_noise_is_not_reported_as_skill():
    found = planted().isel(interneuron=3)
    assert found.correlation_selected > 0.15
    assert abs(found.correlation) < 0.15
    assert found.correlation < found.chance_correlation
    assert found.p_value > 0.05


def test_p_values_of_noise_are_those_of_chance():
    recording = recorded(*noise(150, 3).T)
    options = {**QUICK, "pooling": (0,), "rectified": False, "max_lag": 0}
    found = nc.compare_interneurons(small_network(), recording, chance=39, **options)
    p = found.p_value.values
    assert 0.03 < (p <= 0.1).mean() < 0.19
    assert 0.38 < (p <= 0.5).mean() < 0.62
    level = np.sort(found.null_correlation, axis=1)[:, 37]  # 2 of 40 are at or above it
    np.testing.assert_allclose(found.chance_correlation, level)
    assert found.null_correlation.sizes["circular_shift"] == 39


def test_maps_are_correlations_with_each_unit():
    trace = units()["layer1"][:, 1, 3, 4] + noise(1)[:, 0]
    found = nc.compare_interneurons(
        small_network(), recorded(trace), ["layer2"], chance=0, pooling=(0,), block=0.8,
        max_lag=0, progress=False,
    )  # fmt: skip
    half = interleaved_halves(len(trace), 80, HISTORY - 1)
    used = units()["layer2"][half >= 0].reshape((half >= 0).sum(), -1)
    expected = np.corrcoef(trace[half >= 0], used.T)[0, 1:].reshape(2, 5, 5)
    np.testing.assert_allclose(found["layer2"].correlation_map[0], expected, atol=1e-5)
    best = np.unravel_index(expected.argmax(), expected.shape)
    assert [int(found[f"best_{k}"][0]) for k in ("channel", "y", "x")] == [*map(int, best)]
    assert {*found.children} == {"layer2", "layer2_rectified"}
    folds = [
        np.corrcoef(trace[half == h], units()["layer2"][half == h, *best])[0, 1] for h in (0, 1)
    ]
    chosen = found["layer2"].fold_correlation.values[0]
    assert np.isclose(chosen, folds[::-1], atol=1e-5).any()


def test_units_are_compared_before_and_after_rectification():
    heard = units()["layer2_rectified"]
    half_time = np.abs((heard == 0).mean(axis=0) - 0.5)  # silent about half of the time
    trace = heard[:, *np.unravel_index(half_time.argmin(), half_time.shape)]
    found = nc.compare_interneurons(small_network(), recorded(trace), chance=0, **QUICK)
    assert found.best_layer[0] == "layer2_rectified"
    assert found.correlation[0] > 0.999
    plain = nc.compare_interneurons(
        small_network(), recorded(trace), chance=0, rectified=False, **QUICK
    )
    assert {*plain.children} == {"layer1", "layer2"}
    assert plain.correlation[0] < found.correlation[0]


def test_opposite_signs_count_where_they_are_asked_for():
    recording = recorded(-units()["layer1"][:, 1, 3, 4])
    options = {**QUICK, "chance": 0, "rectified": False, "pooling": (0,)}
    signed = nc.compare_interneurons(small_network(), recording, **options)
    either = nc.compare_interneurons(small_network(), recording, signed=False, **options)
    assert either.correlation[0] > 0.999
    assert either["layer1"].correlation_map[0, 1, 3, 4] < -0.999
    assert signed.correlation[0] < 0.95


def test_results_do_not_depend_on_batches_or_passes(monkeypatch):
    recording = recorded(units()["layer1"][:, 1, 3, 4] + noise(1)[:, 0], noise(1)[:, 0])
    recording = recording.isel(time=slice(600))
    runs = []
    for size, memory in ((7, 2**29), (None, 2**29), (500, 1)):
        monkeypatch.setattr("neurocodec.interneurons.search.MEMORY", memory)
        found = nc.compare_interneurons(
            small_network(), recording, ["layer1"], chance=19, batch_size=size, **QUICK
        )
        runs.append(found)
    for name in ("correlation", "null_correlation", "p_value"):
        np.testing.assert_allclose(runs[0][name], runs[1][name], atol=1e-4)
        np.testing.assert_allclose(runs[1][name], runs[2][name], atol=1e-4)


def test_memory_does_not_grow_with_the_movie():
    peaks = []
    for frames in (600, 2400):
        recording = recorded(noise(1, times=frames - HISTORY + 1)[:, 0], frames=frames)
        movie = recording.stimulus.nbytes
        tracemalloc.start()
        nc.compare_interneurons(small_network(), recording, chance=20, batch_size=64, **QUICK)
        peaks.append(tracemalloc.get_traced_memory()[1] - movie)
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_a_cell_beyond_the_map_is_found_where_the_stimulus_moves():
    data = small_recording(FRAMES).stimulus.values
    moved = np.full_like(data, data.mean())
    moved[:, 2:, :-2] = data[:, :-2, 2:]  # two pixels down and to the left, as far as is searched
    windows = np.stack([moved[i : i + HISTORY] for i in range(FRAMES - HISTORY + 1)])
    with torch.no_grad():
        unit = small_network().module.layer1.convolution(torch.tensor(windows))[:, 0, 0, 6]
    options = {**QUICK, "chance": 0, "rectified": False, "pooling": (0,)}
    still = nc.compare_interneurons(small_network(), recorded(unit), **options)
    found = nc.compare_interneurons(small_network(), recorded(unit), max_shift=2, **options)
    assert found.correlation[0] > 0.999 > still.correlation[0] + 0.02
    assert found.stimulus_shift_y[0] == 2
    assert found.stimulus_shift_x[0] == -2
    centers = [float(found[k][0]) for k in ("unit_y_center", "unit_x_center")]
    np.testing.assert_allclose(centers, [0 + 1 - 2, 6 + 1 + 2], atol=1.0)
    assert "stimulus_shift_y" not in still


def test_pooled_units_are_judged_as_if_they_were_computed():
    trace = noise(1)[:, 0]
    options = {**QUICK, "max_lag": 0, "rectified": False, "chance": 19}
    found = nc.compare_interneurons(
        small_network(), recorded(trace), ["layer1"], pooling=2, **options
    )
    pooled = View(pooling=2).pool(units()["layer1"])
    half = interleaved_halves(len(trace), 80, HISTORY - 1)
    shifts = np.round(found.circular_shift.values * 100).astype(int)
    for number, shift in enumerate([0, *shifts]):
        moved = np.roll(trace, -shift)
        r = [np.corrcoef(moved[half == h], pooled[half == h].T)[0, 1:] for h in (0, 1)]
        expected = [r[1][r[0].argmax()], r[0][r[1].argmax()]]
        if number:
            null = found.null_correlation.values[0, number - 1]
            assert null == pytest.approx(np.mean(expected), abs=1e-5)
        else:
            np.testing.assert_allclose(found.fold_correlation[0], expected, atol=1e-5)


def test_a_unit_that_is_mostly_silent_has_a_place():
    heard = units()["layer2_rectified"]
    active = (heard > 0).mean(axis=0)
    place = np.unravel_index(np.where(active > 0.02, active, 1).argmin(), active.shape)
    recording = recorded(heard[:, *place])
    found = nc.compare_interneurons(
        small_network(), recording, ["layer2"], pooling=0, block=0.8, chance=0, progress=False
    )
    assert found.best_layer[0] == "layer2_rectified"
    assert np.isfinite(found.unit_y_center[0])
    # 5 x 5 pixels are seen: the middle is two further down and to the right
    assert abs(found.unit_y_center[0] - place[1] - 2) < 1.5
    assert abs(found.unit_x_center[0] - place[2] - 2) < 1.5


def test_a_uniform_stimulus_gives_no_unit_a_place():
    recording = recorded(units()["layer1"][:, 1, 3, 4])
    light = recording.stimulus.values[:, :1, :1]
    flat = recording.assign(stimulus=recording.stimulus.copy(data=np.tile(light, (1, 9, 9))))
    options = {**QUICK, "chance": 0, "pooling": (0,)}
    found = nc.compare_interneurons(small_network(), flat, **options)
    assert np.isnan(found.unit_y_center).all()
    assert found.attrs["uniform_stimulus"] == 1
    axes = nc.plotting.plot_interneuron_maps(found).axes
    assert not any(ax.lines for ax in axes)
    assert found["layer1"].correlation_map.y.attrs["units"] == "position"


def test_repeats_give_a_ceiling():
    clean, rng = units()["layer1"][:, 1, 3, 4], np.random.default_rng(0)
    repeats = clean + 2 * clean.std() * rng.normal(size=(4, len(clean)))
    recording = recorded(clean)
    voltage = np.zeros((4, FRAMES, 1))
    voltage[:, HISTORY - 1 :, 0] = repeats
    coords = recording.membrane_potential.coords
    recording["membrane_potential"] = xr.DataArray(
        voltage, coords, ("repeat", "time", "interneuron")
    )
    found = nc.compare_interneurons(small_network(), recording, chance=0, **QUICK)
    assert found.ceiling[0] == pytest.approx(np.sqrt(1 / (1 + 4 / 4)), abs=0.05)
    assert found.correlation[0] == pytest.approx(float(found.ceiling[0]), abs=0.05)
    assert found.normalized_correlation[0] == pytest.approx(1, abs=0.1)
    assert "ceiling" not in planted()


def test_modes_are_compared_like_units():
    net, recording = small_network(), recorded(noise(1)[:, 0])
    target = nc.targets.Sum()
    tree = nc.contributions(net, recording.stimulus, target=target, progress=False)
    modes = nc.SparseModes(expansion=2, epochs=3, progress=False).fit(tree["layer2"])
    alive = int(modes.loadings.values.var(axis=0).argmax())
    trace = modes.loadings[:, alive].values + 0.01 * noise(1)[:, 0]
    options = {**QUICK, "chance": 20}
    found = nc.compare_interneurons(
        net, recorded(trace), ["layer1"], modes={"layer2": modes}, target=target, **options
    )
    node = found["modes/layer2"]
    assert node.best_mode[0] == alive
    assert node.correlation[0] > 0.9
    assert node.p_value[0] == pytest.approx(1 / 21)
    half = interleaved_halves(len(trace), 80, HISTORY - 1 + 6, margin=3) >= 0
    expected = nc.correlate(
        modes.loadings[half], xr.DataArray(trace[half, None], dims=("time", "i"))
    )
    np.testing.assert_allclose(node.mode_correlation[0], expected[:, 0], atol=1e-4)
    given = nc.compare_interneurons(
        net, recorded(trace), ["layer1"], modes={"layer2": modes.loadings}, **options
    )
    xr.testing.assert_allclose(given["modes/layer2"].to_dataset(), node.to_dataset(), atol=1e-4)
    with pytest.raises(InputError, match=r"modes of \['layer2'\] without a target"):
        nc.compare_interneurons(net, recorded(trace), modes={"layer2": modes}, **options)


def test_results_are_labelled_and_come_back_from_files(tmp_path):
    found = planted()
    assert found.interneuron_cell_type.values.tolist() == ["bipolar"] * 4
    assert found["layer1"].interneuron_cell_type.values.tolist() == ["bipolar"] * 4
    assert found.best_lag.attrs["units"] == "s"
    assert provenance(found)["model"] == "simulated-small"
    for suffix in ("nc", "zarr"):
        nc.save(found, tmp_path / f"found.{suffix}")
        xr.testing.assert_identical(nc.open(tmp_path / f"found.{suffix}").load(), found)


def test_a_part_of_a_recording_that_was_read_is_taken():
    recording = recorded(units()["layer1"][:, 1, 3, 4])
    tree = xr.DataTree.from_dict({"/boxes": recording})
    options = {**QUICK, "chance": 0}
    found = nc.compare_interneurons(small_network(), tree["boxes"], **options)
    assert found.correlation[0] > 0.999
    glow = recording.rename(membrane_potential="fluorescence")
    assert nc.compare_interneurons(small_network(), glow, **options).correlation[0] > 0.999
    with pytest.raises(InputError, match=r"parts \['boxes'\][\s\S]*recording\['boxes'\]"):
        nc.compare_interneurons(small_network(), tree, **options)


def test_the_network_is_given_back_as_it_was():
    net = small_network()
    net.module.train()
    before = {k: x.clone() for k, x in net.module.state_dict().items()}
    state = torch.get_rng_state()
    nc.compare_interneurons(net, recorded(noise(1)[:, 0]), chance=0, **QUICK)
    assert net.module.training
    assert all(p.requires_grad and p.grad is None for p in net.module.parameters())
    assert all((before[k] == x).all() for k, x in net.module.state_dict().items())
    assert (torch.get_rng_state() == state).all()
    assert not any(m._forward_hooks for m in net.module.modules())


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Softplus()], "3"),
        ([nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3), nn.ReLU()], None),
        ([nn.Conv2d(2, 2, 3), nn.Flatten(), nn.ReLU()], None),
        ([nn.Conv2d(2, 2, 3)], None),
    ],
)
def test_the_rectifier_after_a_layer_is_found(parts, expected):
    module = nn.Sequential(*parts, nn.Flatten())
    net = nc.Network(module.eval(), {"first": "0"}, history=2)
    movie = xr.DataArray(np.ones((4, 7, 7)), dims=("time", "y", "x"))
    found = rectified_layers(net, Samples.of(net, movie), net.layers)
    assert {k: layer.module for k, layer in found.items()} == (
        {"first_rectified": expected} if expected else {}
    )


def refused(message, recording, error=InputError, net=None, **options):
    with pytest.raises(error, match=message):
        nc.compare_interneurons(
            net or small_network(), recording, **{**QUICK, "chance": 0, **options}
        )


def test_nan_in_voltages_is_refused_with_its_place():
    recording = recorded(*noise(3).T)
    recording.membrane_potential[700, 1] = np.nan
    refused(r"1 NaN[\s\S]*'time': 7.0[\s\S]*'simulated 1'[\s\S]*interpolate_na", recording)
    recording.membrane_potential[700, 1] = 0.0
    recording.membrane_potential[: HISTORY - 1] = np.nan  # the model has no response there
    nc.compare_interneurons(small_network(), recording, chance=0, **QUICK)


def test_constant_traces_are_refused_by_name():
    flat = np.r_[np.zeros(400), noise(1)[400:, 0]]
    refused(r"\['simulated 1'\][\s\S]*drop_sel", recorded(noise(1)[:, 0], 0 * flat))
    refused("constant", recorded(np.r_[np.zeros(80), np.ones(len(flat) - 80)]), block=7.4)


def test_short_recordings_are_refused():
    recording = recorded(noise(1)[:, 0]).isel(time=slice(150))
    refused(r"at least two blocks[\s\S]*block=", recording)
    refused(r"400 circular shifts[\s\S]*chance=", recorded(noise(1)[:, 0])
            .isel(time=slice(500)), chance=400)  # fmt: skip
    refused("at least 4, the history", recording.isel(time=slice(3)))


def test_other_times_and_frame_rates_are_refused():
    recording = recorded(noise(1)[:, 0])
    late = recording.membrane_potential.isel(time=slice(10, None)).drop_vars("time")
    refused(
        r"dims \('frame', 'interneuron'\)",
        recording[["stimulus"]].assign(membrane_potential=late.rename(time="frame")),
    )
    slow = recording.assign_coords(time=recording.time * 2)
    refused("100 frames per second", slow)
    bare = recording.drop_vars("time")
    net = small_network()
    assert nc.compare_interneurons(net, bare, chance=0, **QUICK).sizes["interneuron"] == 1


def test_missing_parts_are_named():
    recording = recorded(noise(1)[:, 0])
    refused(r"variables \['stimulus'\][\s\S]*membrane_potential", recording[["stimulus"]])
    refused(r"'stimulus'", recording[["membrane_potential"]])
    refused("'voltage'", recording, UnknownNameError, variable="voltage")
    refused("no layers", recording, layers=[])
    refused("'layer11'", recording, UnknownNameError, layers=["layer11"])
    refused("'layer9'", recording, UnknownNameError, modes={"layer9": recording.stimulus})
    refused("type DataArray", recording.stimulus)
    images = nc.Network(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), ["0"])
    refused("still images", recording, net=images)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_lag", -1),
        ("max_lag", np.nan),
        ("block", np.nan),
        ("block", np.inf),
        ("block", 0.0),
        ("max_shift", -1),
        ("quantile", 1.5),
        ("quantile", 1.0),
        ("quantile", 0.5),  # the median: the upper end would be the lower
        ("quantile", 0.0),
        ("chance", -3),
        ("chance", True),
        ("max_lag", "0.02"),
        ("batch_size", 0),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    refused(name, recorded(noise(1)[:, 0]), **{name: value})


def test_too_few_shifts_for_a_level_are_said():
    recording = recorded(noise(1)[:, 0])
    with pytest.warns(NeurocodecWarning, match="no interneuron counts as above.*chance=19"):
        found = nc.compare_interneurons(small_network(), recording, chance=18, **QUICK)
    assert not found.exceeds_all.any()
    nc.compare_interneurons(small_network(), recording, chance=19, **QUICK)  # as it says


@pytest.mark.parametrize("widths", [(), (-1,)])
def test_impossible_poolings_are_refused(widths):
    refused("pooling", recorded(noise(1)[:, 0]), pooling=widths)
