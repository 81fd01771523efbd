"""Fitting a retina model to recordings: simulated ones, one real one, bad ones, from the shell."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch
import xarray as xr
from places import DATA

import neurocodec as nc
from neurocodec.cli import parser as cli
from neurocodec.errors import InputError, NeurocodecWarning, StorageError, UnknownNameError
from neurocodec.fitting.data import fitting_data
from neurocodec.fitting.fit_retina import CHECKPOINT, default_kernels, split_blocks
from neurocodec.fitting.segments import cut_into_blocks, hold_out_ends
from neurocodec.kernels.ceiling import repeat_ceiling
from neurocodec.nn.checkpoint import read_tensors, write_tensors
from neurocodec.nn.retina import training
from neurocodec.nn.retina.linear_nonlinear import fit_linear_nonlinear
from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
from neurocodec.nn.retina.separable_filters import SeparableFilters
from neurocodec.nn.retina.training import Blocks, TrainingConfig

REAL = DATA / "salamander-2013" / "whitenoise.h5"
CELLS = ["simulated ON", "simulated OFF", "simulated ON-OFF"]
QUICK = {"history": 6, "epochs": 1, "progress": False}


@pytest.fixture(autouse=True, scope="module")
def few_filters():
    """LN models with few filters to choose from: these are tested where they are fitted."""
    few = {"penalties": (1.0,), "radii": (1,), "ranks": (1,), "basis": 6}
    with pytest.MonkeyPatch.context() as patch:
        for name, values in few.items():
            patch.setitem(fit_linear_nonlinear.__kwdefaults__, name, values)
        yield


def _rates(movie: np.ndarray) -> np.ndarray:
    """Cells that look at one pixel, one and two frames ago; the last one at both signs."""
    recent = 0.7 * np.roll(movie, 1, axis=0) + 0.7 * np.roll(movie, 2, axis=0)
    both = np.maximum(recent[:, 4, 6], -0.7 * recent[:, 4, 6])
    drive = np.stack([recent[:, 3, 3], -recent[:, 5, 4], both], axis=1)
    rates = 40 * np.maximum(drive - 0.3, 0)
    rates[:2] = 0
    return rates


def _part(frames: int, repeats: int, seed: int) -> xr.Dataset:
    return _drawn(frames, repeats, seed).copy(deep=True)


@cache
def _drawn(frames: int, repeats: int, seed: int) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    movie = rng.standard_normal((frames, 9, 9))
    counts = rng.poisson(0.01 * _rates(movie), (repeats, frames, 3))
    return xr.Dataset(
        {
            "stimulus": (("time", "y", "x"), (127 + 30 * movie).clip(0, 255).astype(np.uint8)),
            "spike_count": (("repeat", "time", "cell"), counts),
        },
        {"time": np.arange(frames) / 100, "cell": CELLS, "bin_width": 0.01},
        {"simulated": 1},
    ).assign_coords(reliable=("cell", [True, False, True]))


def _recording(frames: int = 400, repeats: int = 3, test: int = 100) -> xr.DataTree:
    parts = {"train": _part(frames, repeats, 0), "test": _part(test, 20, 1)}
    return xr.DataTree.from_dict(parts)


def _part_with(part: xr.Dataset, **variables: object) -> xr.DataTree:
    return xr.DataTree.from_dict({"train": part.assign(variables), "test": _part(200, 2, 1)})


@pytest.fixture(scope="module")
def fit():
    return nc.fit_retina(
        _recording(3000, 10, 400),
        history=6,
        epochs=12,
        learning_rate=0.05,
        smoothing=0,
        progress=False,
    )


def test_it_predicts_simulated_cells_the_on_off_cell_better_than_an_ln_model(fit):
    scores = fit.scores
    assert float(scores.normalized_correlation.min()) > 0.85
    last = scores.sel(cell="simulated ON-OFF")
    assert float(last.correlation) > float(last.correlation_ln) + 0.15
    assert float(scores.correlation_ln.sel(cell=CELLS[:2]).min()) > 0.6


def test_scores_are_correlations_with_the_mean_of_the_repeats(fit):
    test = _part(400, 20, 1)
    rates = nc.respond(fit.network, test.stimulus)
    mean = test.spike_count.mean("repeat").values[5:]
    for i, cell in enumerate(CELLS):
        expected = np.corrcoef(rates.sel(cell=cell), mean[:, i])[0, 1]
        assert float(fit.scores.correlation.sel(cell=cell)) == pytest.approx(expected, abs=1e-4)
    ceiling = repeat_ceiling(test.spike_count.values[:, 5:])
    np.testing.assert_allclose(fit.scores.ceiling, ceiling)
    np.testing.assert_allclose(
        fit.scores.normalized_correlation_ln, fit.scores.correlation_ln / ceiling
    )


def test_the_result_says_what_it_is_and_where_from(fit):
    assert all(x.attrs["long_name"] for x in fit.scores.values())
    for name, x in fit.scores.items():
        assert x.attrs["units"] == ("bit" if str(name).startswith("bits") else "1")
    record = nc.labels.provenance(fit.scores)
    assert record["function"] == "nc.fit_retina"
    assert record["weights"] == fit.network.weights_sha256
    assert fit.network.frame_rate == 100
    assert fit.network.output_coords["reliable"] == [True, False, True]


def test_a_glm_stands_beside_the_ln_model(fit):
    scores, glm = fit.scores, fit.spike_history
    assert scores.attrs["glm"] == "own spikes of the last 0.05 s"
    assert glm.history.shape == (3, 5)  # all bins in which a window of 6 frames has spikes before
    assert float(abs(scores.correlation_glm - scores.correlation_ln).max()) < 0.05  # Poisson cells
    low, high = scores.bits_per_spike_glm_interval.transpose("bound", "cell").values
    bits = scores.bits_per_spike_ln.values[:2]
    assert ((low[:2] < bits) & (bits < high[:2])).all()
    assert "of the GLM" in repr(fit)


def test_rates_have_no_glm_and_the_log_says_so_once(caplog):
    parts = {k: _part(n, 2, i) for i, (k, n) in enumerate({"train": 300, "test": 60}.items())}
    parts["train"] = parts["train"].assign(firing_rate=parts["train"].spike_count.mean("repeat"))
    parts["train"] = parts["train"].drop_vars("spike_count")
    with caplog.at_level("INFO"):
        fit = nc.fit_retina(xr.DataTree.from_dict(parts), seeds=2, **QUICK)
    why = "what is fitted to are firing rates, not spike counts of single trials"
    assert [r.getMessage() for r in caplog.records].count(f"no GLM: {why}") == 1
    assert fit.scores.attrs["glm"] == f"none: {why}"
    assert fit.spike_history is None
    assert "correlation_glm" not in fit.scores


def test_every_analysis_takes_the_fitted_network(fit):
    movie = _part(60, 1, 2)
    options = {"target": nc.targets.Sum(), "baseline": "mean", "progress": False}
    tree = nc.contributions(fit.network, movie.stimulus, **options)
    drop = float(np.abs(tree["layer1/completeness_error"]).max())
    assert drop < 0.03 * float(np.abs(tree["target"]).max())


def test_a_saved_fit_comes_back(tmp_path):
    fit = nc.fit_retina(_recording(), **QUICK, out=tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"weights.safetensors", "fit.nc"}
    again, movie = nc.load_model(tmp_path), _part(80, 1, 2).stimulus
    xr.testing.assert_identical(nc.respond(again, movie), nc.respond(fit.network, movie))
    found = nc.open(tmp_path / "fit.nc")
    xr.testing.assert_equal(found["scores"].to_dataset(), fit.scores)
    np.testing.assert_array_equal(found["spike_history"].weight, fit.spike_history.history)
    np.testing.assert_array_equal(found["linear_nonlinear/filter"], fit.linear_nonlinear.filters)
    assert found["history/loss"].values.tolist() == fit.history.loss


def test_an_interrupted_fit_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    quick = {**QUICK, "epochs": 2}
    whole = nc.fit_retina(_recording(), **quick)
    epoch = training._Run.epoch

    def killed(run):
        if run.history.epochs == 1:
            raise KeyboardInterrupt
        epoch(run)

    with monkeypatch.context() as patch:
        patch.setattr(training._Run, "epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            nc.fit_retina(_recording(), **quick, out=tmp_path)
    assert (tmp_path / CHECKPOINT).exists()
    with pytest.raises(StorageError, match="another run"):
        nc.fit_retina(_recording(), **{**QUICK, "epochs": 4}, out=tmp_path)
    resumed = nc.fit_retina(_recording(), **quick, out=tmp_path)
    assert resumed.network.weights_sha256 == whole.network.weights_sha256
    assert resumed.history == whole.history
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize("readout", ["factorised", "dense", "convolutional"])
def test_other_readouts_and_other_filters(readout, tmp_path):
    options = {**QUICK, "readout": readout, "temporal_basis": 0, "kernels": (5, 3)}
    fit = nc.fit_retina(_recording(), cells="reliable", out=tmp_path, **options)
    assert fit.scores.cell.values.tolist() == [CELLS[0], CELLS[2]]
    assert nc.load_model(tmp_path).module.config.readout == readout


def test_same_seed_same_weights_and_torchs_random_state_is_left_alone():
    before = torch.get_rng_state()
    fits = [nc.fit_retina(_recording(), **QUICK, **x) for x in ({"seeds": 2}, {}, {"seed": 1})]
    assert torch.equal(torch.get_rng_state(), before)
    both, first, second = fits
    one, other = (fit.network.weights_sha256 for fit in (first, second))
    assert one != other
    assert [net.weights_sha256 for net in both.networks] == [one, other]
    xr.testing.assert_equal(both.scores, first.scores)
    found = np.stack([fit.scores.correlation for fit in (first, second)])
    np.testing.assert_array_equal(both.ensemble.correlation, found)
    np.testing.assert_allclose(both.ensemble.correlation_mean, found.mean(axis=0))
    apart = np.abs(found[0] - found[1]) / np.sqrt(2)  # of two, this is the standard deviation
    np.testing.assert_allclose(both.ensemble.correlation_spread, apart)
    assert "2 seeds" in repr(both)
    assert "seeds" not in repr(first)


def test_networks_of_all_seeds_are_written_and_no_checkpoint_is_left(tmp_path):
    fit = nc.fit_retina(_recording(), **QUICK, seed=4, seeds=2, out=tmp_path)
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert names == {"weights.safetensors", "fit.nc", "seed-5/weights.safetensors"}
    again = nc.load_model(tmp_path / "seed-5")
    assert again.weights_sha256 == fit.networks[1].weights_sha256
    xr.testing.assert_equal(nc.open(tmp_path / "fit.nc")["ensemble"].to_dataset(), fit.ensemble)


def test_held_out_responses_change_nothing_but_the_scores():
    tree, other = _recording(), _recording()
    other["test"] = xr.DataTree(_part(100, 20, 7))
    fits = [nc.fit_retina(t, **QUICK) for t in (tree, other)]
    assert fits[0].network.weights_sha256 == fits[1].network.weights_sha256
    assert not np.allclose(fits[0].scores.correlation, fits[1].scores.correlation)


def test_without_a_test_part_the_end_is_held_out():
    part = _part(500, 1, 0)
    data = fitting_data(part, history=6, smoothing=0)
    assert len(data.test_frames) == 100
    assert max(stop for _, stop in data.blocks) == 400
    np.testing.assert_allclose(data.test_responses, 100 * part.spike_count.values[:, 400:])
    assert np.isnan(nc.fit_retina(part, **QUICK).scores.ceiling).all()


def test_segments_with_another_stimulus_are_left_out():
    part = _part(1200, 2, 0)
    flicker = part.stimulus.copy()
    flicker[600:] = flicker[600:, :1, :1].values
    part["stimulus"] = flicker
    part = part.assign_coords(segment=("time", np.repeat([4, 7], 600)))
    tree = xr.DataTree.from_dict({"train": part, "test": _part(300, 2, 1)})
    assert fitting_data(tree, history=6).segments == (4,)
    assert fitting_data(tree, history=6, segments="all").segments == (4, 7)
    chosen = fitting_data(tree, history=6, segments=[7])
    assert chosen.segments == (7,)
    assert min(start for start, _ in chosen.blocks) == 600
    with pytest.raises(UnknownNameError, match="there is no segment '5'"):
        fitting_data(tree, segments=[5])
    with pytest.raises(UnknownNameError, match="'matching'"):
        fitting_data(tree, segments="matchin")


def test_blocks_are_disjoint_and_cover_the_training_part():
    blocks = [b for run in ((0, 1000), (1000, 1700)) for b in cut_into_blocks(*run, history=40)]
    split = split_blocks(blocks)
    covered = sorted([*split.training, *split.validation])
    assert [a for a, _ in covered[1:]] == [b for _, b in covered[:-1]]
    assert (covered[0][0], covered[-1][1]) == (0, 1700)
    assert all(b - a >= 80 for a, b in blocks)
    share = sum(b - a for a, b in split.validation) / 1700
    assert 0.1 < share < 0.3
    assert hold_out_ends([(0, 50, 1), (50, 100, 2)])[1] == [(40, 50, 1), (90, 100, 2)]


def test_frames_outside_of_the_training_blocks_are_not_learned_from():
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.standard_normal((400, 9, 9))).float()
    counts = torch.from_numpy(rng.poisson(1.0, (400, 2))).float()
    model = RetinaConfig(cells=2, history=4, size=(9, 9), kernels=(3, 3), readout="gaussian")
    blocks = Blocks(training=((0, 150), (250, 350)), validation=((350, 400),))
    config = TrainingConfig(epochs=2, chunk=8, temporal_basis=4)
    states = []
    for value in (0.0, 5.0):
        changed = counts.clone()
        changed[150:250] += value
        module = RetinaCNN(model)
        training.train_retina(module, frames, changed, config, blocks=blocks, progress=False)
        states.append(module.state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    few = Blocks(training=((0, 10),), validation=((350, 400),))
    with pytest.raises(InputError, match="frames 0 to 10 of the movie"):
        training.train_retina(RetinaCNN(model), frames, counts, config, blocks=few, progress=False)


def test_separable_filters_are_products_of_a_smooth_time_course_and_a_map():
    module = RetinaCNN(RetinaConfig(cells=2, size=(9, 9), kernels=(5, 3)))
    filters = SeparableFilters(module, basis=6, seed=1)
    weight = filters.weight().detach().numpy().reshape(8, 40, 25)
    assert (np.linalg.matrix_rank(weight, tol=1e-5) == 1).all()
    filters.store()
    np.testing.assert_array_equal(
        module.first_convolution.weight.detach().numpy().reshape(8, 40, 25), weight
    )
    other = SeparableFilters(module, basis=6, seed=2)
    other.load(filters.state())
    torch.testing.assert_close(other.weight(), filters.weight())


def _silent(part: xr.Dataset) -> xr.Dataset:
    part = part.copy(deep=True)
    part.spike_count[:, :, 1] = 0
    return part


def test_cells_without_spikes_are_left_out_and_named():
    tree = xr.DataTree.from_dict({"train": _silent(_part(1200, 2, 0)), "test": _part(300, 2, 1)})
    with pytest.warns(NeurocodecWarning, match="simulated OFF"):
        data = fitting_data(tree, history=6)
    assert data.cells == [CELLS[0], CELLS[2]]
    assert data.test_responses.shape == (2, 300, 2)
    with pytest.raises(InputError, match="no spikes of the cells simulated OFF"):
        fitting_data(tree, history=6, cells="simulated OFF")


def test_kernels_grow_with_the_frames():
    found = [default_kernels(side) for side in (4, 32, 41, 50)]
    assert found == [(1, 1), (3, 3), (9, 7), (15, 11)]


def test_every_fifth_block_is_held_out_and_neighbours_are_joined():
    blocks = split_blocks([(0, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 60)])
    assert blocks.training == ((0, 40), (50, 60))
    assert blocks.validation == ((40, 50),)


def test_a_folder_that_cannot_be_made_is_told_before_the_fit(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(StorageError, match="cannot be made"):
        nc.fit_retina(_recording(), **QUICK, out=tmp_path / "taken")


def test_what_cannot_be_fitted_is_refused():
    part = _part(400, 2, 0)
    holes = part.spike_count.astype(float).copy()
    holes[1, 30, 2] = np.nan
    bad = {
        "NaN": (_part_with(part, spike_count=holes), {}),
        "constant stimulus": (_part_with(part, stimulus=0 * part.stimulus), {}),
        "history of 300": (_recording(), {"history": 300}),
        "no cell 'nobody'": (_recording(), {"cells": ["nobody"]}),
        "no readout 'gausian'": (_recording(), {"readout": "gausian"}),
        "device='gpu'": (3, {"device": "gpu"}),  # before anything is read
        "which leave": (_recording(), {"kernels": (9, 9), "history": 6}),
        "parts \\['other'\\]": (xr.DataTree.from_dict({"other": xr.Dataset()}), {}),
        "type int": (3, {}),
        "negative": (
            part.drop_vars("spike_count").assign(firing_rate=-part.spike_count[0]),
            {},
        ),
        "without times": (part.drop_vars("time"), {}),
        "the variables \\['stimulus'\\]": (part.drop_vars("spike_count"), {}),
        "does not say which": (part.drop_vars("reliable"), {"cells": "reliable"}),
    }
    for message, (recording, options) in bad.items():
        with pytest.raises(InputError, match=message):
            nc.fit_retina(recording, progress=False, **options)


def test_from_the_command_line(tmp_path, capsys):
    nc.save(_recording(), tmp_path / "tiny.nc")
    out = tmp_path / "fit"
    words = ["fit-retina", str(tmp_path / "tiny.nc"), "--out", str(out), "--epochs", "1"]
    assert cli.main([*words, "--history", "6", "--channels", "3", "2"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*CELLS, "median of 2 reliable cells", "ceiling"))
    assert {p.name for p in out.iterdir()} == {"weights.safetensors", "fit.nc", "scores.png"}
    assert nc.load_model(out).module.config.channels == (3, 2)
    assert nc.load_model(out).name == "tiny"
    assert cli.main([*words, "--cells", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err


def _both(change) -> xr.DataTree:
    parts = {"train": _part(400, 3, 0), "test": _part(100, 5, 1)}
    return xr.DataTree.from_dict({name: change(part) for name, part in parts.items()})


@pytest.mark.parametrize("kind", ["float64", "float16", "uint16"])
def test_the_number_type_of_the_stimulus_does_not_matter(kind):
    fits = [
        nc.fit_retina(_both(lambda p, k=k: p.assign(stimulus=p.stimulus.astype(k))), **QUICK)
        for k in ("uint8", kind)
    ]
    np.testing.assert_array_equal(*(f.scores.correlation for f in fits))
    on_off = _both(lambda p: p.assign(stimulus=p.stimulus > 127))
    assert nc.fit_retina(on_off, **QUICK).scores.correlation_ln.notnull().all()


def test_cells_that_are_named_by_numbers_are_found():
    numbered = _both(lambda p: p.assign_coords(cell=[3, 5, 8]))
    assert fitting_data(numbered, history=6).cells == ["3", "5", "8"]
    for cells in ("8", [8], ["8"]):
        data = fitting_data(numbered, history=6, cells=cells, smoothing=0)
        assert data.cells == ["8"]
        np.testing.assert_allclose(
            data.test_responses[..., 0], 100 * numbered["test"].spike_count.sel(cell=8)
        )


def test_a_test_part_unlike_the_training_part_is_refused():
    tree, small = _recording(), _recording()
    slow = tree["test"].to_dataset()
    tree["test"] = xr.DataTree(slow.assign_coords(time=slow.time * 2))
    with pytest.raises(InputError, match=r"50 frames per second[\s\S]*expected: 100"):
        fitting_data(tree)
    small["test"] = xr.DataTree(slow.isel(y=slice(8)))
    with pytest.raises(InputError, match=r"\(8, 9\) pixels[\s\S]*\(9, 9\)"):
        fitting_data(small)
    with pytest.raises(InputError, match=r"not later than the[\s\S]*sortby"):
        fitting_data(_both(lambda p: p.assign_coords(time=p.time.values[::-1])))


def test_blocks_are_joined_within_a_stretch_only():
    blocks = [(0, 10), (10, 20), (20, 30), (30, 40)]
    assert split_blocks(blocks, [0, 20]).training == ((0, 20), (20, 30))
    part = _part(1200, 2, 0).assign_coords(segment=("time", np.repeat([4, 7], 600)))
    assert fitting_data(part, history=6).borders == (0, 600)


def test_text_and_missing_labels_of_segments_and_dates():
    part = _part(1200, 2, 0)
    names = np.repeat(["noise", "scene"], 600)
    assert fitting_data(part.assign_coords(segment=("time", names))).segments == ("noise", "scene")
    some = np.where(np.arange(1200) < 600, 4.0, np.nan)
    data = fitting_data(part.assign_coords(segment=("time", some)), history=6)
    assert data.segments == (4,)
    assert max(stop for _, stop in data.blocks) <= 600
    dates = np.datetime64("2024-05-01", "ms") + np.arange(1200) * np.timedelta64(10, "ms")
    assert fitting_data(part.assign_coords(time=dates)).frame_rate == 100.0


def test_bins_in_other_units_than_frames_are_refused():
    counts = _part(1200, 2, 0).assign_coords(bin_width=0.01)
    assert fitting_data(counts, history=6).frame_rate == 100.0
    with pytest.raises(InputError, match=r"beside frames of 10 s[\s\S]*/ 1000"):
        fitting_data(counts.assign_coords(time=counts.time * 1000), history=6)
    with pytest.raises(InputError, match="bin_width of 0 s"):
        fitting_data(counts.assign_coords(bin_width=0.0), history=6)


def test_no_window_reaches_over_a_jump_of_time():
    part = _part(1200, 2, 0)
    jump = part.assign_coords(time=part.time + 7 * (np.arange(1200) >= 500))
    data = fitting_data(jump, history=6, smoothing=0)
    assert data.stretches == ((0, 100), (100, 240))  # the last fifth before the jump, and after it
    assert all(stop <= 400 or start >= 500 for start, stop in data.blocks)
    frames = np.concatenate([part.stimulus[400:500], part.stimulus[1060:]])
    np.testing.assert_array_equal(data.test_frames, frames)
    asked = data.predicted(lambda f: f[5:, 0, :2].astype(float))
    np.testing.assert_array_equal(asked, np.r_[frames[5:100, 0, :2], frames[105:, 0, :2]])
    counts = part.spike_count.values
    expected = np.concatenate([counts[:, 405:500], counts[:, 1065:]], axis=1)
    np.testing.assert_allclose(data.measured(6), 100 * expected)
    scores = nc.fit_retina(jump, **QUICK, smoothing=0).scores
    assert scores.ceiling.notnull().all()
    tree = xr.DataTree.from_dict({"train": part, "test": jump})
    assert fitting_data(tree, history=6).stretches == ((0, 500), (500, 1200))


def test_smoothing_carries_nothing_from_what_is_held_out():
    part, other = _part(1000, 2, 0), _part(1000, 2, 0)
    other.spike_count[:, 800:] += 9
    a, b = (fitting_data(p, history=6, smoothing=0.05) for p in (part, other))
    np.testing.assert_array_equal(a.rates[:800], b.rates[:800])
    assert not np.allclose(a.test_responses, b.test_responses)


def test_cells_whose_response_never_changes_are_left_out():
    part = _part(400, 3, 0)
    part.spike_count[:, :, 1] = 2
    tree = xr.DataTree.from_dict({"train": part, "test": _part(200, 2, 1)})
    with pytest.warns(NeurocodecWarning, match=r"always as many[\s\S]*simulated OFF"):
        assert nc.fit_retina(tree, **QUICK).network.outputs == (CELLS[0], CELLS[2])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("history", 0),
        ("history", -3),
        ("epochs", 0),
        ("smoothing", -1),
        ("smoothing", np.nan),
        ("smoothing", "0.01"),
        ("l2", -1),
        ("temporal_basis", -1),
        ("learning_rate", -1.0),
        ("learning_rate", np.nan),
        ("seed", -1),
        ("seeds", 0),
        ("channels", (4,)),
        ("channels", (0, 4)),
        ("channels", 4),
        ("kernels", 15),
        ("kernels", (0, 3)),
        ("noise", -1),
        ("device", "gpu"),
        ("cells", []),
        ("cells", [CELLS[0]] * 2),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=name) as raised:
        nc.fit_retina(_recording(), **{**QUICK, name: value})
    assert "RetinaConfig" not in raised.value.hint  # of which fit_retina takes none


def test_segments_are_checked_without_a_test_part_too():
    with pytest.raises(UnknownNameError, match="'matchin'"):
        fitting_data(_part(1000, 1, 0), segments="matchin")


def test_a_checkpoint_of_another_model_is_refused_and_one_of_before_is_not(tmp_path):
    frames, counts = torch.rand(200, 9, 9), torch.ones(200, 2)
    path = tmp_path / "run.safetensors"
    model = RetinaConfig(cells=2, history=3, size=(9, 9), kernels=(3, 3))

    def train(**changes):
        module = RetinaCNN(dataclasses.replace(model, **changes))
        config = TrainingConfig(epochs=2, chunk=8)
        return training.train_retina(
            module, frames, counts, config, checkpoint=path, progress=False
        )

    first = train()
    with pytest.raises(StorageError, match="model differ"):
        train(noise=0.5)
    tensors, facts = read_tensors(path)
    del facts["run"]["model"]
    write_tensors(path, tensors, facts)
    assert train().loss == first.loss


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason=f"no real recording at {REAL}")
@pytest.mark.filterwarnings("ignore:left out, without spikes")
def test_on_the_real_recording_the_cnn_is_at_least_as_good_as_the_ln_model():
    """Its first 80 s: docs/benchmarks.md has all of it."""
    recording = nc.read_recording(REAL, cells="reliable")
    train = recording["train"].to_dataset().isel(time=slice(8000))
    parts = {"/train": train, "/test": recording["test"].to_dataset()}
    fit = nc.fit_retina(xr.DataTree.from_dict(parts), epochs=10, progress=False)
    assert fit.scores.sizes["cell"] == 15
    assert float(fit.scores.correlation_ln.median()) > 0.31
    assert float(fit.scores.correlation.median()) >= float(fit.scores.correlation_ln.median())
    assert float(fit.scores.ceiling.min()) > 0.9
