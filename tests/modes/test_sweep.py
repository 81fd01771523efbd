"""A sweep is the fits made one by one; it continues after an interruption; bad grids are named."""

import numpy as np
import pytest
import torch
import xarray as xr

import neurocodec as nc
from neurocodec import labels
from neurocodec.errors import InputError, NeurocodecWarning, StorageError, UnknownNameError
from neurocodec.kernels.matching import distinct_modes, replication
from neurocodec.modes import sweep
from neurocodec.modes.fit_modes import alive_atoms, fit_all
from neurocodec.simulation.planted import planted_rows

QUICK = {"expansion": 1, "epochs": 8}
GRID = {"expansion": [1, 2], "l1_loading": (0.1, 0.4)}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small products in many threads crawl where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def some_rows(seed=0):
    values, _ = planted_rows(200, 5, 6, active=2, noise=0.05, seed=seed)
    return xr.DataArray(values, dims=("time", "channel"))


def run(**settings):
    given = {"modes": nc.SparseModes(**QUICK), "progress": False, **settings}
    return nc.sweep(some_rows(), **given)


@pytest.fixture(scope="module")
def found():
    return run(**GRID)


def test_every_point_is_the_fit_made_by_hand(found):
    assert found.r2.dims == ("expansion", "l1_loading", "seed")
    assert found.replicated_share.dims == ("expansion", "l1_loading")
    here = found.sel(expansion=2, l1_loading=0.4)
    fits = [
        nc.SparseModes(
            **{**QUICK, "expansion": 2, "l1_loading": 0.4}, seed=seed, progress=False
        ).fit(some_rows())
        for seed in (0, 1)
    ]
    for name in ("r2", "r2_pooled", "r2_train", "l0", "alive"):
        np.testing.assert_allclose(here[name], [getattr(f, name) for f in fits], rtol=1e-4)
    np.testing.assert_allclose(here.l0_share, [f.l0 / 10 for f in fits])
    distinct = [distinct_modes(alive_atoms(f)).mean() for f in fits]
    np.testing.assert_allclose(here.distinct_share, distinct)
    pairs = replication([alive_atoms(f) for f in fits], 0.9)
    assert float(here.replicated_share) == pytest.approx((pairs[0, 1] + pairs[1, 0]) / 2)
    assert not any(array.isnull().any() for array in found.data_vars.values())


def test_a_higher_penalty_has_fewer_active_modes(found):
    l0 = found.l0.mean("seed")
    assert (l0.sel(l1_loading=0.4) < l0.sel(l1_loading=0.1)).all()


def test_everything_is_labelled_and_comes_back_from_a_file(found, tmp_path):
    for name, array in found.data_vars.items():
        assert array.name == name
        assert {"units", "long_name"} <= set(array.attrs)
    facts = labels.provenance(found)
    assert facts["settings"] == {"expansion": [1, 2], "l1_loading": [0.1, 0.4]}
    nc.save(found, tmp_path / "sweep.nc")
    assert nc.open(tmp_path / "sweep.nc").identical(found)


def test_settings_that_are_no_numbers_become_text():
    mlp = nc.SparseModes.preset("topk", **{**QUICK, "encoder": "mlp"})
    found = run(modes=mlp, hidden=[None, 16], seeds=1)
    assert found.hidden.values.tolist() == ["None", "16"]
    assert found.replicated_share.isnull().all()  # one seed has no pair
    values = some_rows().values
    parts = xr.DataArray(
        np.stack([values, -values[:, ::-1]], axis=1),
        {"sign": ["excitatory", "inhibitory"]},
        ("time", "sign", "channel"),
    )
    signs = ["excitatory", "both"]
    both = nc.sweep(parts, modes=nc.SparseModes(**QUICK), sign=signs, seeds=1, progress=False)
    assert both.sign.values.tolist() == signs
    assert both.l0.sel(sign="both") > both.l0.sel(sign="excitatory")


def count_fits(monkeypatch, fail_at=None):
    """Fits are counted, and one of them may be interrupted."""
    made = []

    def counted(rows, configs, **kwargs):
        if len(made) == fail_at:
            raise KeyboardInterrupt
        made.append([c.l1_loading for c in configs])
        return fit_all(rows, configs, **kwargs)

    monkeypatch.setattr(sweep, "fit_all", counted)
    return made


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_an_interrupted_sweep_continues(found, ending, tmp_path, monkeypatch):
    out = tmp_path / f"sweep.{ending}"
    with monkeypatch.context() as patch:
        first = count_fits(patch, fail_at=3)
        with pytest.raises(KeyboardInterrupt):
            run(out=out, **GRID)
    assert int(nc.open(out).l0.notnull().sum()) == 2 * len(first) == 6
    with monkeypatch.context() as patch:
        second = count_fits(patch)
        result = run(out=out, **GRID)
        assert len(second) == 1
        assert run(out=out, **GRID).identical(result)
        assert len(second) == 1
    assert result.identical(found)
    assert nc.open(out).identical(found)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"l1_loading": [0.1, 0.3]}, "settings differ"),
        ({"l1_loading": [0.1], "seeds": [5]}, "seeds"),
        ({"l1_loading": [0.1], "modes": nc.SparseModes(**{**QUICK, "epochs": 3})}, "config"),
    ],
)
def test_two_runs_are_not_mixed(other, message, tmp_path):
    out = tmp_path / "sweep.nc"
    run(out=out, l1_loading=[0.1], seeds=1)
    before = nc.open(out)
    with pytest.raises(StorageError, match=message):
        run(**{"out": out, "seeds": 1, **other})
    with pytest.raises(StorageError, match="data differ"):
        nc.sweep(
            some_rows(1),
            modes=nc.SparseModes(**QUICK),
            l1_loading=[0.1],
            seeds=1,
            out=out,
            progress=False,
        )
    assert nc.open(out).identical(before)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, InputError, "nothing to try"),
        ({"expansion": []}, InputError, "nothing to try"),
        ({"expansion": 3}, InputError, r"try: expansion=\[3\]"),
        ({"sign": "both"}, InputError, "a list of values"),
        ({"expansion": [1, 1]}, InputError, "each value once"),
        ({"expansions": [1]}, UnknownNameError, "'expansion'"),
        ({"seed": [1, 2]}, InputError, r"seeds=\[1, 2\]"),
        ({"threshold": [0.5, 2.0]}, InputError, "threshold=2.0"),
        ({"expansion": [1], "seeds": 0}, InputError, "seeds=0"),
        ({"expansion": [1], "seeds": 1.5}, InputError, "seeds=1.5"),
        ({"hidden": [8, 16], "expansion": [1]}, InputError, "hidden=8.* expansion=1"),
        ({"learning_rate": [3e-3]}, InputError, "learning_rate=.*no combination uses"),
        ({"sparsifier": ["share", "gate"]}, InputError, "combination sparsifier='gate'"),
        ({"expansion": [1], "cosine": 0.0}, InputError, "cosine=0.0"),
    ],
)
def test_bad_grids_are_named_before_any_fit(settings, error, message, monkeypatch):
    made = count_fits(monkeypatch)
    with pytest.raises(error, match=message):
        run(**settings)
    assert not made


def test_rows_are_checked_before_any_fit(monkeypatch):
    made = count_fits(monkeypatch)
    signed = some_rows() - 1.0
    with pytest.raises(InputError, match="non-negative dictionary"):
        nc.sweep(signed, nc.SparseModes(**QUICK), nonnegative=[False, True], progress=False)
    assert not made


def test_a_file_and_a_layer_are_taken(tmp_path, monkeypatch):
    tree = xr.DataTree.from_dict({"/conv1": xr.Dataset({"contribution": some_rows()})})
    nc.save(tree, tmp_path / "run.nc")
    quick = nc.SparseModes(**QUICK, progress=False)
    expected = nc.sweep(tree["conv1"], quick, l1_loading=[0.1])
    streamed = quick.copy(memory=10_000)  # too little for the rows
    for data in (tree, tmp_path / "run.nc"):
        assert nc.sweep(data, quick, layer="conv1", l1_loading=[0.1]).identical(expected)
        again = nc.sweep(data, streamed, layer="conv1", l1_loading=[0.1])
        np.testing.assert_allclose(again.r2, expected.r2, atol=0.1)
    out = tmp_path / "sweep.nc"
    nc.sweep(tree, quick, layer="conv1", l1_loading=[0.1], out=out)
    made = count_fits(monkeypatch)
    nc.sweep(tmp_path / "run.nc", quick, layer="conv1", l1_loading=[0.1], out=out)
    assert not made  # the same rows, wherever they are


def test_few_rows_are_said_once_where_the_call_is():
    with pytest.warns(NeurocodecWarning, match="fewer than") as caught:
        nc.sweep(
            some_rows()[:30],
            nc.SparseModes(epochs=1, progress=False),
            expansion=[10, 12],
            l1_loading=[0.1, 0.2],
        )
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_file_of_other_figures_is_not_continued(tmp_path):
    out = tmp_path / "sweep.nc"
    nc.save(run(l1_loading=[0.1], seeds=1).drop_vars("distinct_share"), out)
    with pytest.raises(StorageError, match="figures differ"):
        run(l1_loading=[0.1], seeds=1, out=out)


def test_bars_of_combinations_have_their_number(capfd):
    modes = nc.SparseModes(expansion=1, epochs=1)
    nc.sweep(some_rows(), modes, l1_loading=[0.1, 0.2])
    shown = capfd.readouterr().err
    assert "1/2" in shown
    assert "2/2" in shown
    nc.sweep(some_rows(), modes.copy(progress=False), l1_loading=[0.1, 0.2])
    assert not capfd.readouterr().err
