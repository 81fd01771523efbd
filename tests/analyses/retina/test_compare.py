"""Models of one recording beside each other: what they share is found, what they do not is not."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from small_retina import few_epochs, small_network, small_recording

import neurocodec as nc
from neurocodec.analyses.retina.compare import _frames, returning
from neurocodec.errors import InputError

QUICK = {"expansion": 1, "method": nc.methods.ActGrad(), "progress": False}


@pytest.fixture(scope="module")
def analysed():
    with few_epochs():
        yield nc.analyse_retina(
            small_network(), small_recording(), layers=["layer1", "layer2"], moments=0,
            mode_seeds=0, **QUICK,
        )  # fmt: skip


@pytest.fixture(scope="module")
def table(analysed):
    return nc.compare_models({"one": analysed, "other": analysed}, layers={"other": "layer1"})


def test_modes_of_one_source_come_back_and_noise_does_not():
    random = np.random.default_rng(0)
    source = random.gamma(0.5, 1.0, (2000, 6))
    mixed = source[:, ::-1] + 0.3 * random.gamma(0.5, 1.0, source.shape)
    shifts = np.arange(20, 1980, 20)
    number, typical = returning(source, mixed, shifts)
    assert number == 6
    assert typical > 0.9
    noise = random.gamma(0.5, 1.0, (2000, 200))
    number, _ = returning(noise, source, shifts)
    assert number <= 20  # 5 % of 200 and three standard errors


def test_a_mode_that_is_never_used_does_not_come_back():
    used = np.random.default_rng(0).gamma(0.5, 1.0, (200, 2))
    assert returning(np.zeros((200, 3)), used, np.arange(50, 70))[0] == 0


def test_the_table_has_what_the_analyses_have(table, analysed):
    assert table.layer.values.tolist() == ["layer2", "layer1"]
    match = analysed.responses().correlation
    np.testing.assert_allclose(table.correlation, [match.median()] * 2)
    assert table.n_cells.values.tolist() == [4, 4]
    modes = [(analysed.modes[name].loadings > 0).any("time").sum() for name in table.layer.values]
    assert table.n_modes.values.tolist() == modes
    assert np.isnan(table.n_interneurons).all()


def test_a_model_is_its_own_twin(table):
    twins = np.diag(table.mode_correlation)
    np.testing.assert_allclose(twins, 1)
    np.testing.assert_array_equal(np.diag(table.n_returning), table.n_modes)


def test_networks_are_analysed_first(analysed):
    nets = {"first": small_network(), "second": small_network()}
    with few_epochs():
        table = nc.compare_models(nets, small_recording(), shifts=19, **QUICK)
    np.testing.assert_allclose(table.mode_correlation, 1)
    np.testing.assert_allclose(table.correlation, analysed.responses().correlation.median())


@pytest.mark.parametrize(
    ("models", "options", "said"),
    [
        ({"one": 1, "two": 2}, {}, "a int"),
        ([small_network(), small_network()], {}, "a name for each"),
        ({"one": small_network()}, {}, "1 model"),
        ({"one": small_network(), "two": small_network()}, {}, "without a movie"),
        (small_network(), {}, "1 model"),
        ({"one": small_network(), "two": small_network()}, {"shifts": 5}, "shifts"),
    ],
)
def test_bad_input_is_named(models, options, said):
    with pytest.raises(InputError, match=said):
        nc.compare_models(models, **options)


def test_bad_layers_and_times_are_named(analysed):
    both = {"one": analysed, "other": analysed}
    with pytest.raises(InputError, match="layer of 'third'"):
        nc.compare_models(both, layers={"third": "layer1"})
    nets, short = {"one": small_network(), "two": small_network()}, small_recording(200)
    with pytest.raises(InputError, match="at least 219"):
        nc.compare_models(nets, short)
    with pytest.raises(InputError, match="by the model's name"):
        nc.compare_models(both, layers=["layer1"])
    with pytest.raises(InputError, match="layer2"):
        nc.compare_models(both, layers={"one": "layer3"})


def test_loadings_of_two_analyses_are_of_the_same_frames_where_times_differ_by_rounding():
    exact = np.arange(250) / 100
    found = []
    for times in (exact, exact.astype("float32").astype(float)):
        stimulus = xr.DataArray(np.zeros(250), {"time": times}, ("time",))
        loadings = xr.DataArray(np.zeros(247), {"time": times[3:]}, ("time",))
        modes = {"layer1": SimpleNamespace(loadings=loadings)}
        found.append(_frames(SimpleNamespace(stimulus=stimulus, modes=modes), "layer1"))
    assert not np.isin(exact, exact.astype("float32")).all()
    for frames in found:
        np.testing.assert_array_equal(frames, np.arange(3, 250))
