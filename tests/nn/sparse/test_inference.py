import dataclasses

import numpy as np
import pytest
import torch
from array_reader import ArrayReader
from planted import matched_cosine, planted_rows
from scipy.optimize import nnls

from neurocodec.errors import StorageError
from neurocodec.kernels import scores
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.fit import build, fit
from neurocodec.nn.sparse.inference import training as learning
from neurocodec.nn.sparse.inference.model import InferenceModel, sparsify
from neurocodec.nn.sparse.inference.training import InferenceTraining
from neurocodec.nn.sparse.loop import Checkpoint
from neurocodec.nn.sparse.source import Resident, Streamed


@pytest.fixture(autouse=True)
def one_thread():
    """Small products in many threads crawl where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows_of(*, rows=700, channels=16, modes=24, active=2, noise=0.05, seed=0):
    x, atoms = planted_rows(rows, channels, modes, active=active, noise=noise, seed=seed)
    return torch.tensor(x / x.std(), dtype=torch.float32), atoms


def sources(x, fits=1):
    return tuple(Resident(part.expand(fits, -1, -1)) for part in (x[100:], x[:100]))


def fitted(x, *configs, **options):
    return fit(*sources(x, len(configs)), configs, progress=False, **options)


QUICK = SparseConfig(expansion=1.5, epochs=10)


@pytest.fixture(scope="module")
def quick():
    """A fit to the rows of `rows_of()`."""
    return fitted(rows_of()[0], QUICK)[0].model


@pytest.mark.slow
def test_planted_modes_are_found_and_none_is_dead():
    x, atoms = rows_of(rows=5000, channels=64, modes=96, active=5, noise=0.1)
    model = fitted(x, SparseConfig(expansion=1.5))[0].model
    assert (matched_cosine(model.dictionary.numpy(), atoms) >= 0.9).mean() >= 0.9
    assert ((model.encode(x[100:]) > 0).any(dim=0)).float().mean() >= 0.95


def test_few_modes_explain_rows_that_no_fit_has_seen():
    x, _ = rows_of(rows=1000, channels=24, modes=36, active=3)
    model = fitted(x, QUICK)[0].model
    loadings = model.encode(x[:100])
    assert scores.r2(x[:100].numpy(), model.decode(loadings).numpy()) > 0.85
    assert 1 < (loadings > 0).sum(dim=1).float().mean() < 9


def test_a_row_twice_as_large_has_larger_loadings_and_silence_has_none(quick):
    x, _ = rows_of()
    model = quick
    assert not model.encode(torch.zeros(3, 16)).any()
    once, twice = model.encode(x[:50]), model.encode(2 * x[:50])
    assert twice.sum() > 1.9 * once.sum()


def test_loadings_are_the_ridge_fit_of_the_modes_that_are_active(quick):
    x, _ = rows_of()
    model = quick
    for row, loading in zip(x[:20].double().numpy(), model.encode(x[:20]).numpy(), strict=True):
        on = loading > 0
        atoms = model.atoms.double().numpy()[on]
        # a ridge is least squares with one more row per mode
        ridge = np.sqrt(QUICK.l2_loading) * np.eye(on.sum())
        design, goal = np.vstack([atoms.T, ridge]), np.append(row, np.zeros(on.sum()))
        np.testing.assert_allclose(loading[on], nnls(design, goal)[0], atol=2e-3 * loading.max())


def test_penalties_start_strict_and_fall_to_their_values():
    x, _ = rows_of()
    training = InferenceTraining(*sources(x), [QUICK])
    l1, l2 = training._penalties()
    assert l1 / training.l1 == pytest.approx(5)
    assert l2 / training.l2 == pytest.approx(3)
    training.done = 2
    assert training.l1 < training._penalties()[0] < l1
    training.done = 4
    assert training._penalties() == (training.l1, training.l2)


def test_the_last_step_explains_more_than_the_atoms_do(monkeypatch):
    x, _ = rows_of()
    made = {}
    for tie in (learning._TIE, 1e6):
        monkeypatch.setattr(learning, "_TIE", tie)
        model = fitted(x, QUICK)[0].model
        made[tie] = scores.r2(x[:100].numpy(), model.decode(model.encode(x[:100])).numpy())
    assert made[0.25] > made[1e6] + 0.005


def test_rows_on_which_no_mode_fires_leave_a_model_without_loadings():
    x, _ = rows_of()
    for nonnegative in (True, False):
        config = dataclasses.replace(QUICK, l1_loading=50.0, epochs=3, nonnegative=nonnegative)
        model = fitted(x, config)[0].model
        assert not model.encode(x).any()
        assert torch.isfinite(model.dictionary).all()


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_state_alone():
    x, _ = rows_of()
    state = torch.get_rng_state()
    first, second, other = (
        fitted(x, dataclasses.replace(QUICK, seed=s, epochs=3))[0] for s in (3, 3, 4)
    )
    assert torch.equal(first.model.dictionary, second.model.dictionary)
    assert first.history == second.history
    assert not torch.equal(first.model.dictionary, other.model.dictionary)
    assert torch.equal(torch.get_rng_state(), state)


def test_fits_side_by_side_are_those_made_alone():
    x, _ = rows_of()
    configs = [
        dataclasses.replace(QUICK, seed=s, l1_loading=l1, threshold=threshold, epochs=2)
        for s, l1, threshold in [(0, 0.05, 0.9), (1, 0.1, 0.9), (2, 0.05, 0.8)]
    ]
    for together, config in zip(fitted(x, *configs), configs, strict=True):
        alone = fitted(x, config)[0]
        torch.testing.assert_close(
            together.model.dictionary, alone.model.dictionary, rtol=1e-2, atol=1e-3
        )
        assert together.history[-1].r2 == pytest.approx(alone.history[-1].r2, abs=1e-3)


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("atoms", ["free", "archetypal"])
def test_a_killed_fit_goes_on_to_the_same_bits(tmp_path, monkeypatch, atoms):
    x, _ = rows_of()
    config = dataclasses.replace(QUICK, atoms=atoms, patience=50, epochs=5)
    whole = fitted(x, config)[0]
    checkpoint = Checkpoint(tmp_path / "fit.safetensors", {"data": 1}, every=0)
    step, calls = InferenceTraining.epoch, []

    def epoch(self):
        calls.append(1)
        if len(calls) == 3:
            raise Killed
        return step(self)

    monkeypatch.setattr(InferenceTraining, "epoch", epoch)
    with pytest.raises(Killed):
        fitted(x, config, checkpoint=checkpoint)
    assert checkpoint.path.exists()
    continued = fitted(x, config, checkpoint=checkpoint)[0]
    assert len(calls) == 3 + 3, "two epochs were not done again"
    assert torch.equal(continued.model.dictionary, whole.model.dictionary)
    assert continued.history == whole.history


def test_a_checkpoint_of_another_fit_is_refused_and_kept(tmp_path):
    x, _ = rows_of()
    brief = dataclasses.replace(QUICK, epochs=1)
    path = tmp_path / "fit.safetensors"
    fitted(x, brief, checkpoint=Checkpoint(path, {"seed": 1, "rows": 600}, every=0))
    before = path.read_bytes()
    with pytest.raises(StorageError, match="seed was 1, is 2"):
        fitted(x, brief, checkpoint=Checkpoint(path, {"seed": 2, "rows": 600}, every=0))
    assert path.read_bytes() == before


def test_a_stream_learns_as_well_as_memory():
    x, atoms = rows_of(rows=2000)
    array = x.numpy()
    wanted = np.ones(len(array), dtype=bool)
    wanted[:100] = False
    read = ArrayReader(array)
    train, held = (
        Streamed(read, 16, mask, block=300, device=torch.device("cpu"))
        for mask in (wanted, ~wanted)
    )
    streamed = fit(train, held, [QUICK], progress=False)[0]
    resident = fitted(x, QUICK)[0]
    r2 = [
        scores.r2(array[:100], f.model.decode(f.model.encode(x[:100])).numpy())
        for f in (streamed, resident)
    ]
    assert abs(r2[0] - r2[1]) < 0.05
    assert (matched_cosine(streamed.model.dictionary.numpy(), atoms) >= 0.9).mean() > 0.8


def test_the_past_is_replaced_four_times_in_the_first_pass_and_once_in_the_last():
    training = InferenceTraining(*sources(rows_of(rows=340)[0]), [QUICK])
    assert training._forget(24) == pytest.approx(4 * 24 / 240)
    assert training._forget(100) == 1.0
    training.done = QUICK.epochs
    assert training._forget(24) == pytest.approx(24 / 240)


def test_a_fit_that_gets_no_better_stops_and_goes_back_to_its_best():
    x, _ = rows_of()
    stopping = dataclasses.replace(QUICK, epochs=80, patience=2)
    found = fitted(x, stopping)[0]
    losses = [e.loss for e in found.history]
    assert len(losses) < 80
    assert int(np.argmin(losses)) == len(losses) - 3
    training = InferenceTraining(*sources(x), [stopping])
    for _ in range(len(losses) - 2):
        training.epoch()
    best = training.learner.atoms[0].clone()
    assert torch.equal(found.model.atoms, best)
    training.epoch()
    assert not torch.equal(training.learner.atoms[0], best)


def test_dead_modes_are_revived(monkeypatch):
    x = torch.nn.functional.pad(rows_of()[0], (0, 1))
    start = learning.centre_directions

    def partly_deaf(rows, count, generator):
        """Start half of the modes at a channel that is always silent."""
        found = start(rows, count, generator)
        found[: count // 2] = torch.eye(rows.shape[1])[-1]
        return found

    monkeypatch.setattr(learning, "centre_directions", partly_deaf)
    assert fitted(x, QUICK)[0].history[-1].alive > 0.95
    monkeypatch.setattr(InferenceTraining, "_revive", lambda *_: None)
    assert fitted(x, QUICK)[0].history[-1].alive < 0.6


def test_a_signed_dictionary_explains_signed_rows():
    x, _ = rows_of()
    signed = x * torch.tensor([1.0, -1.0]).repeat(8)
    model = fitted(signed, dataclasses.replace(QUICK, nonnegative=False))[0].model
    made = model.decode(model.encode(signed[:100]))
    assert scores.r2(signed[:100].numpy(), made.numpy()) > 0.8
    assert (model.dictionary < 0).any()


def test_archetypal_modes_stay_near_combinations_of_rows():
    x, _ = rows_of()
    config = dataclasses.replace(QUICK, atoms="archetypal", candidates=30, relaxation=0.05)
    training = InferenceTraining(*sources(x), [config])
    for _ in range(3):
        training.epoch()
    candidates = training.hull.candidates[0]
    for mode in training.models()[0].dictionary.numpy():
        distance = nnls(candidates.numpy().T, mode)[1]
        assert distance <= 0.06 * np.linalg.norm(mode)


def test_a_fixed_number_of_modes_is_active_with_topk():
    x, _ = rows_of()
    config = dataclasses.replace(QUICK, sparsifier="topk", active=2)
    model = fitted(x, config)[0].model
    assert (model.encode(x) > 0).sum(dim=1).max() == 2


def test_an_empty_model_takes_the_state_of_a_fitted_one(quick):
    x, _ = rows_of()
    model = quick
    other = build(16, QUICK)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.encode(x), model.encode(x))
    assert torch.equal(other.decode(other.encode(x)), model.decode(model.encode(x)))


@pytest.mark.gpu
@pytest.mark.parametrize("preset", ["sparse_coding", "archetypal", "topk", "paper_resnet50"])
def test_a_gpu_finds_modes_as_good(preset):
    x, _ = rows_of(rows=2100)
    config = SparseConfig.preset(preset, expansion=1.5, epochs=40)
    found = {}
    for device in ("cpu", "cuda"):
        rows = x.to(device)
        model = fitted(rows, config)[0].model
        made = model.decode(model.encode(rows[:100]))
        found[device] = scores.r2(x[:100].numpy(), made.cpu().numpy())
        assert model.dictionary.device.type == device
    assert found["cuda"] == pytest.approx(found["cpu"], abs=0.05)


def test_loadings_of_a_row_are_fitted_again_without_the_penalty():
    model = InferenceModel(2, SparseConfig(expansion=1, l1_loading=0.1, l2_loading=0.0))
    model.start(torch.eye(2), torch.eye(2), row_length=1.0)
    assert model.encode(torch.tensor([[1.0, 0.05]])).tolist() == [[1.0, 0.0]]


def test_weak_codes_are_cut_as_the_settings_say():
    codes = torch.tensor([[6.0, 1.0, 3.0]])
    assert sparsify(codes, SparseConfig(threshold=0.9)).tolist() == [[6.0, 0.0, 3.0]]
