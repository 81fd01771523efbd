"""The bundled data set and model, saving and loading, and what is refused."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
import xarray as xr

from neurocodec import zoo
from neurocodec.engine.respond import respond
from neurocodec.errors import InputError, StorageError, UnknownNameError
from neurocodec.network import Network
from neurocodec.nn.checkpoint import write_tensors
from neurocodec.nn.fast.movie import windows
from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
from neurocodec.simulation import simulate_retina
from neurocodec.zoo import load_dataset, load_model, retina_network, save_model

SMALL = RetinaConfig(cells=3, history=4, size=(9, 9), kernels=(3, 3), channels=(3, 2))


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return load_dataset("simulated-retina")


@pytest.fixture
def network() -> Network:
    return retina_network(
        RetinaCNN(SMALL, seed=4).eval(),
        name="mine",
        outputs=["a", "b", "c"],
        frame_rate=60.0,
        output_coords={"cell_type": ["ON", "OFF", "ON"], "y_center": [1.0, 2.0, 3.0]},
    )


def test_the_default_data_set_is_30_seconds_of_natural_scenes_and_of_20_repeats(data):
    assert (data.sizes["time"], data.sizes["repeat"]) == (3000, 20)
    xr.testing.assert_equal(data, simulate_retina(0, duration=30.0, repeats=20))


def test_a_data_set_by_seed_split_stimulus_and_duration():
    choice = {"seed": 2, "split": "train", "stimulus": "white noise"}
    data = load_dataset("simulated-retina", duration=1.5, **choice)
    repeats = data.sizes["repeat"]
    xr.testing.assert_equal(data, simulate_retina(duration=1.5, repeats=repeats, **choice))


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_saved_model_comes_back_the_same(network, tmp_path, as_folder):
    path = tmp_path if as_folder else tmp_path / "mine.safetensors"
    file = save_model(network, path)
    again = load_model(path)
    assert file == (tmp_path / ("weights.safetensors" if as_folder else "mine.safetensors"))
    assert again.weights_sha256 == network.weights_sha256
    for name in ("name", "layers", "history", "outputs", "frame_rate", "input_shape"):
        assert getattr(again, name) == getattr(network, name)
    assert again.output_coords == network.output_coords
    x = torch.randn(5, 4, 9, 9)
    assert torch.equal(again.module(x), network.module(x))


def test_cards_say_simulated():
    for kind in ("models", "datasets"):
        assert zoo.card(kind, "simulated-retina")["simulated"] is True


def test_a_data_set_has_a_card():
    assert zoo.card("datasets", "simulated-retina")["simulated"] is True


def test_a_retina_model_is_a_network_with_its_history():
    assert retina_network(RetinaCNN(RetinaConfig(cells=2)), name="mine").history == 40


def test_the_checkout_comes_before_the_package_and_a_folder_without_a_card_is_not_ours(
    tmp_path, monkeypatch
):
    for place in ("checkout", "package"):
        folder = tmp_path / place / "models" / "mine"
        folder.mkdir(parents=True)
        (folder / "card.toml").write_text(f'place = "{place}"')
    (tmp_path / "checkout" / "models" / "stranger").mkdir()
    monkeypatch.setattr(zoo, "PLACES", (tmp_path / "checkout", tmp_path / "package"))
    assert zoo.models_available() == ["mine"]
    assert zoo.card("models", "mine") == {"place": "checkout"}


def test_unknown_names_list_what_there_is():
    with pytest.raises(UnknownNameError, match="simulated-retina"):
        load_dataset("simulated-retna")
    with pytest.raises(UnknownNameError, match="simulated-retina"):
        load_model("simulated-retna")
    for nothing in ("", " "):  # the path of which is the current folder
        with pytest.raises(UnknownNameError, match="simulated-retina"):
            load_model(nothing)
    with pytest.raises(UnknownNameError, match="'test'"):
        load_dataset("simulated-retina", split="tset")
    with pytest.raises(UnknownNameError, match="natural scenes"):
        load_dataset("simulated-retina", stimulus="natural-scenes")


def test_a_damaged_or_foreign_file_is_refused(network, tmp_path):
    file = save_model(network, tmp_path)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(StorageError, match=r"weights\.safetensors"):
        load_model(tmp_path)
    write_tensors(file, {"w": torch.ones(1)}, {"format": "something else"})
    with pytest.raises(StorageError, match="something else"):
        load_model(tmp_path)


def test_weights_of_another_library_are_told_how_to_be_loaded(tmp_path):
    module, path = torch.nn.Linear(3, 2), tmp_path / "other.pth"
    torch.save(module.state_dict(), path)
    with pytest.raises(StorageError, match="model_type") as raised:
        load_model(path)
    eval(raised.value.hint.split(", then")[0])  # noqa: S307 - what it says to type


def test_only_retina_models_are_saved(tmp_path):
    other = Network(torch.nn.Sequential(torch.nn.Linear(2, 1)), layers=["0"])
    with pytest.raises(InputError, match="network of Sequential"):
        save_model(other, tmp_path)


def test_the_bundled_model_knows_the_cells_of_the_data_set():
    net, data = load_model("simulated-retina"), load_dataset("simulated-retina", duration=0.5)
    assert list(net.outputs) == data.cell.values.tolist()
    for name, values in net.output_coords.items():
        assert values == data[name].values.tolist()
    assert net.frame_rate == data.stimulus.attrs["frame_rate"]
    assert not net.module.training


def test_the_bundled_weights_are_those_of_the_card():
    file = zoo._model_file("simulated-retina")
    assert (
        hashlib.sha256(file.read_bytes()).hexdigest()
        == zoo.card("models", "simulated-retina")["weights_sha256"]
    )
    assert file.stat().st_size < 3_000_000


@pytest.mark.slow
def test_the_bundled_model_reaches_most_of_the_ceiling(data):
    net = load_model("simulated-retina")
    cut = windows(torch.from_numpy(data.stimulus.values), net.history)
    rates = respond(net, data.stimulus).values
    with torch.no_grad():
        np.testing.assert_allclose(rates[::60], net.module(cut[::60]), rtol=1e-3, atol=1e-3)
    repeats = data.spike_count.values[:, net.history - 1 :].astype(float)
    n, mean = len(repeats), repeats.mean(axis=0)
    signal = (n * mean.var(axis=0) - repeats.var(axis=1).mean(axis=0)) / (n - 1)
    reached = [np.corrcoef(r, m)[0, 1] for r, m in zip(rates.T, mean.T, strict=True)]
    score = np.median(reached / np.sqrt(signal / mean.var(axis=0)))
    assert score >= 0.8
    card = zoo.card("models", "simulated-retina")["scores"]
    assert score == pytest.approx(card["correlation_over_ceiling"], abs=2e-3)


def test_models_without_sessions_refuse_one():
    with pytest.raises(InputError, match="session='left' of 'simulated-retina'"):
        load_model("simulated-retina", session="left")
