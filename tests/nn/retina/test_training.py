"""Training: exact resumption, early stopping, a planted model, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from neurocodec.errors import InputError, StorageError
from neurocodec.nn.checkpoint import read_tensors, write_tensors
from neurocodec.nn.retina import training
from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
from neurocodec.nn.retina.spikes import correlation, poisson_loss, predict
from neurocodec.nn.retina.training import TrainingConfig, train_retina

MODEL = RetinaConfig(cells=3, history=4, size=(9, 9), kernels=(3, 3), channels=(3, 2), gain=50.0)
CONFIG = TrainingConfig(epochs=4, chunk=8, chunks_per_step=4, learning_rate=1e-2, seed=5)


def _recording(frames: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """White noise; rates of rectified cells that look at one pixel a frame ago; spikes."""
    rng = np.random.default_rng(seed)
    movie = rng.normal(size=(frames, 9, 9))
    drive = np.stack([movie[:, 4, 4], -movie[:, 4, 5], movie[:, 5, 4]], axis=1)
    rates = 60 * np.maximum(np.roll(drive, 1, axis=0), 0)
    parts = (movie, rates, rng.poisson(0.01 * rates))
    return tuple(torch.from_numpy(x).float() for x in parts)


@pytest.fixture(scope="module")
def movie() -> tuple[torch.Tensor, torch.Tensor]:
    frames, _, counts = _recording(1500, seed=0)
    return frames, counts


def _state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def _same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def _train(movie, module=None, **options):
    module = module or RetinaCNN(MODEL)
    history = train_retina(module, *movie, options.pop("config", CONFIG), progress=False, **options)
    return module, history


@pytest.mark.slow
def test_it_learns_cells_that_look_at_one_pixel():
    frames, _, counts = _recording(5000, seed=1)
    module = RetinaCNN(dataclasses.replace(MODEL, batch_norm="channel", channels=(4, 4)))
    config = TrainingConfig(epochs=15, chunk=8, learning_rate=1e-2)
    _, history = _train((frames, counts), module, config=config)
    held_out, rates, _ = _recording(800, seed=2)
    assert correlation(predict(module, held_out), rates[3:]).min() > 0.9
    assert min(history.validation_loss) < history.validation_loss[0]


def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(movie, tmp_path, monkeypatch):
    whole, expected = _train(movie)
    file, epoch = tmp_path / "run.safetensors", training._Run.epoch

    def killed(run):
        if run.history.epochs == 2:
            raise KeyboardInterrupt
        epoch(run)

    with monkeypatch.context() as patch:
        patch.setattr(training._Run, "epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            _train(movie, checkpoint=file)
    resumed, history = _train(movie, RetinaCNN(MODEL, seed=8), checkpoint=file)
    assert history == expected
    assert _same(_state(resumed), _state(whole))
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_a_finished_run_is_not_trained_again(movie, tmp_path):
    first, _ = _train(movie, checkpoint=tmp_path / "run.safetensors")
    again, history = _train(
        movie, RetinaCNN(MODEL, seed=8), checkpoint=tmp_path / "run.safetensors"
    )
    assert history.epochs == CONFIG.epochs
    assert _same(_state(again), _state(first))


def test_same_seed_same_weights_other_seed_others(movie):
    first, again = _train(movie)[0], _train(movie)[0]
    other = _train(movie, config=TrainingConfig(epochs=4, chunk=8, chunks_per_step=4, seed=6))[0]
    assert _same(_state(first), _state(again))
    assert not _same(_state(first), _state(other))


def test_early_stopping_gives_back_the_best_weights(movie):
    config = TrainingConfig(epochs=40, chunk=8, learning_rate=3e-2, patience=3)
    module, history = _train(movie, config=config)
    assert history.best_epoch == int(np.argmin(history.validation_loss))
    assert history.epochs == min(history.best_epoch + 1 + 3, 40) < 40
    frames, counts = (x[1350:] for x in movie)
    loss = poisson_loss(predict(module, frames), counts[3:], 0.01).item()
    assert loss == pytest.approx(min(history.validation_loss), rel=1e-6)


def test_a_validation_movie_of_its_own(movie):
    training_part, validation = ([x[:900] for x in movie], [x[900:] for x in movie])
    module, history = _train(training_part, validation=tuple(validation))
    loss = poisson_loss(predict(module, validation[0]), validation[1][3:], 0.01).item()
    assert loss == pytest.approx(history.validation_loss[history.best_epoch], rel=1e-6)


def test_the_module_and_torch_are_left_as_they_were(movie):
    module = RetinaCNN(MODEL)
    module.layer1.eval()
    before, random = [m.training for m in module.modules()], torch.get_rng_state()
    _train(movie, module)
    assert [m.training for m in module.modules()] == before
    assert torch.equal(torch.get_rng_state(), random)
    assert module.layer1.noise.generator is None
    assert all(p.grad is None and p.requires_grad for p in module.parameters())


def test_penalties_shrink_weights_and_rates(movie):
    base = TrainingConfig(epochs=3, chunk=8, learning_rate=2e-2, l1=0, l2=0)
    free = _train(movie, config=base)[0]
    light = _train(movie, config=dataclasses.replace(base, l2=10.0))[0]
    quiet = _train(movie, config=dataclasses.replace(base, l1=10.0))[0]
    assert light.readout.linear.weight.norm() < 0.5 * free.readout.linear.weight.norm()
    assert predict(quiet, movie[0]).mean() < 0.8 * predict(free, movie[0]).mean()


def test_training_that_diverges_says_so(movie):
    config = dataclasses.replace(CONFIG, learning_rate=1e30)
    with pytest.raises(InputError, match="diverged"):
        _train(movie, config=config)


def test_a_checkpoint_of_another_run_is_refused(movie, tmp_path):
    file = tmp_path / "run.safetensors"
    _train(movie, checkpoint=file)
    with pytest.raises(StorageError, match="data differ"):
        _train((movie[0] + 1, movie[1]), checkpoint=file)
    with pytest.raises(StorageError, match="config differ"):
        _train(movie, config=TrainingConfig(epochs=9, chunk=8), checkpoint=file)


def test_a_damaged_checkpoint_is_refused(movie, tmp_path):
    file = tmp_path / "run.safetensors"
    _train(movie, checkpoint=file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StorageError, match=r"run\.safetensors"):
        _train(movie, checkpoint=file)


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    file = tmp_path / "x.safetensors"
    write_tensors(file, {"w": torch.ones(2)}, {"epoch": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_tensors(file, {"w": torch.zeros(2)}, {"epoch": 2})
    tensors, facts = read_tensors(file)
    assert torch.equal(tensors["w"], torch.ones(2))
    assert facts == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f, c: (f[:, :8], c), "9, 9"),
        (lambda f, c: (f, c[:-1]), "one row of spike counts per frame"),
        (lambda f, c: (f, c[:, :2]), r"\(time, 3\)"),
        (lambda f, c: (f[:20], c[:20]), "at least 20 times"),
        (lambda f, c: (f.clone().fill_(float("nan")), c), "NaN"),
        (lambda f, c: (f, -c), "negative"),
    ],
)
def test_recordings_that_do_not_fit_are_refused(movie, spoil, message):
    with pytest.raises(InputError, match=message):
        _train(spoil(*movie))


def test_training_ends_after_its_epochs():
    module = RetinaCNN(RetinaConfig(cells=2, history=3, size=(9, 9), kernels=(3, 3)))
    config = TrainingConfig(epochs=2, chunk=8)
    frames, spike_counts = torch.rand(200, 9, 9), torch.ones(200, 2)
    assert train_retina(module, frames, spike_counts, config, progress=False).epochs == 2


@pytest.mark.parametrize(
    "setting",
    [
        {"epochs": 0},
        {"epochs": 2.5},
        {"patience": True},
        {"chunk": "8"},
        {"temporal_basis": -1},
        {"seed": -1},
        {"l1": -0.1},
        {"l2": float("nan")},
        {"learning_rate": 0},
        {"validation": 1.0},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        TrainingConfig(**setting)


def test_numpy_numbers_are_the_same_run(movie, tmp_path):
    file = tmp_path / "run.safetensors"
    _train(movie, checkpoint=file)
    numbers = {"epochs": np.int64(4), "chunk": np.int32(8), "seed": np.uint8(5)}
    config = dataclasses.replace(CONFIG, **numbers, learning_rate=np.float64(1e-2))
    _, history = _train(movie, config=config, checkpoint=file)
    assert history.epochs == 4
