import numpy as np
import pytest
import torch
from planted import matched_cosine, planted_rows
from scipy.optimize import nnls

from neurocodec.errors import InputError
from neurocodec.nn.sae import SparseAutoencoder, SparseConfig, autoencoder_loss
from neurocodec.nn.sae_training import _AutoencoderPhase, choose_device, fit
from neurocodec.nn.sparse_coding import OnlineDictionary, sparse_codes, spread_rows, unit_rows


@pytest.fixture(autouse=True)
def one_thread():
    """Small products in many threads crawl where other processes use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows_of(*, rows=600, channels=8, modes=12, active=2, noise=0.05, seed=0):
    x, atoms = planted_rows(rows, channels, modes, active=active, noise=noise, seed=seed)
    return torch.tensor(x / x.std(), dtype=torch.float32), atoms


def test_codes_without_penalty_are_non_negative_least_squares():
    random = np.random.default_rng(0)
    atoms, rows = random.random((5, 9)), random.random((20, 9))
    codes = sparse_codes(torch.tensor(rows), torch.tensor(atoms), 0.0, iterations=5000)
    expected = [nnls(atoms.T, row)[0] for row in rows]
    np.testing.assert_allclose(codes.numpy(), expected, atol=1e-6)


def test_codes_meet_the_optimality_conditions_of_the_penalised_problem():
    random = np.random.default_rng(1)
    atoms, rows = (torch.tensor(random.standard_normal(s)) for s in ((12, 6), (30, 6)))
    codes = sparse_codes(rows, atoms, 0.4, iterations=10000)
    slope = (codes @ atoms - rows) @ atoms.T + 0.4
    active = codes > 0
    assert active.any(), "a penalty that shuts everything off tests nothing"
    assert slope[active].abs().max() < 1e-6
    assert slope[~active].min() > -1e-6


def test_start_rows_are_data_rows_of_different_directions():
    directions = torch.eye(6)
    rows = directions.repeat(50, 1) * torch.rand(300, 1, generator=generator())
    chosen = spread_rows(rows, 6, generator())
    assert sorted(chosen.argmax(dim=1).tolist()) == list(range(6))


def test_a_dictionary_update_with_the_right_codes_moves_towards_the_truth():
    rows, atoms = rows_of(noise=0.0)
    truth = torch.tensor(atoms, dtype=torch.float32)
    codes = sparse_codes(rows, truth, 0.01, iterations=500)
    noise = torch.rand(truth.shape, generator=generator())
    learner = OnlineDictionary(truth + 0.3 * noise, nonnegative=True)
    before = matched_cosine(learner.atoms.numpy(), atoms).mean()
    learner.update(rows, codes, forget=1.0, iterations=200)
    after = matched_cosine(learner.atoms.numpy(), atoms).mean()
    assert after > 0.995 > before
    assert learner.atoms.min() >= 0


@pytest.mark.parametrize("expansion", [0.5, 3, 10])
@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.95, 0.999])
def test_encoder_and_dictionary_have_a_gradient_at_the_first_step(expansion, threshold):
    rows, _ = rows_of()
    config = SparseConfig(expansion=expansion, threshold=threshold)
    atoms = spread_rows(rows, config.modes(8), generator())
    phase = _AutoencoderPhase(rows, rows[:0], config, generator(), atoms)
    autoencoder_loss(phase.model, rows, phase.codes).backward()
    for name, parameter in phase.model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    fires = (phase.model.encode(rows) > 0).any(dim=0)
    used = (phase.codes > 0).any(dim=0)
    assert fires[used].all(), "every mode that the codes use fires before the first step"


def test_every_mode_has_a_gradient_even_where_none_fires():
    rows, _ = rows_of()
    model = SparseAutoencoder(8, 80, SparseConfig(threshold=0.95), generator())
    with torch.no_grad():
        model.encoder.direct.bias[:80] = -20.0
    codes = torch.rand(600, 80, generator=generator())
    assert not model.encode(rows).any()
    autoencoder_loss(model, rows, codes).backward()
    assert (model.encoder.direct.bias.grad[:80].abs() > 0).all()


def test_loadings_are_zero_or_from_an_open_gate():
    rows, _ = rows_of()
    config = SparseConfig(expansion=2, threshold=0.8)
    model = SparseAutoencoder(8, 16, config, generator())
    with torch.no_grad():
        model.encoder.direct.weight.mul_(10.0)
        logit, magnitude = model.encoder(rows)
        gate, loadings = torch.sigmoid(logit), model.encode(rows)
    shut = gate < 0.8
    assert shut.any()
    assert (~shut).any()
    assert (loadings[shut] == 0).all()
    torch.testing.assert_close(loadings[~shut], (gate * magnitude)[~shut])


def test_standardising_changes_the_scale_of_loadings_but_no_reconstruction():
    rows, _ = rows_of()
    result = fit(rows, rows[:0], SparseConfig(expansion=1.5, epochs=5), progress=False)
    with torch.no_grad():
        model = result.model
        loadings, made = model.encode(rows), model.decode(model.encode(rows))
        typical = loadings.sum(dim=0) / (loadings > 0).sum(dim=0).clamp_min(1)
        torch.testing.assert_close(typical[typical > 0], torch.ones(int((typical > 0).sum())))
        model.dictionary /= model.strength[:, None]
        model.strength.fill_(1.0)
        torch.testing.assert_close(model.decode(model.encode(rows)), made)


def test_planted_modes_are_found_and_none_is_dead():
    rows, atoms = rows_of(rows=3000, channels=24, modes=36, active=3, noise=0.1, seed=2)
    result = fit(rows[300:], rows[:300], SparseConfig(expansion=1.5, epochs=40), progress=False)
    recovered = matched_cosine(result.model.dictionary.numpy(), atoms) >= 0.9
    assert recovered.mean() >= 0.9
    last = result.history[-1]
    assert last.alive >= 0.95
    assert last.r2 > 0.85
    assert last.l0 < 6


def test_dead_modes_are_revived():
    rows, _ = rows_of()
    config = SparseConfig(expansion=1.5, epochs=20)
    atoms = spread_rows(rows, 12, generator())
    phase = _AutoencoderPhase(rows, rows[:0], config, generator(), atoms)
    with torch.no_grad():
        phase.model.encoder.direct.bias[:3] = -100.0
    silent = (phase.model.encode(rows) > 0).any(dim=0).logical_not()
    assert silent[:3].all()
    phase.revive()
    assert (phase.model.encode(rows) > 0).any(dim=0)[:3].all()


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_state_alone():
    rows, _ = rows_of()
    config = SparseConfig(expansion=2, epochs=3, dictionary_epochs=3, seed=5)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    a, b = (fit(rows[60:], rows[:60], config, progress=False) for _ in range(2))
    assert a.history == b.history
    for name, tensor in a.model.state_dict().items():
        assert torch.equal(tensor, b.model.state_dict()[name]), name
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    other = fit(
        rows, rows[:0], SparseConfig(expansion=2, epochs=3, dictionary_epochs=3), progress=False
    )
    assert not torch.equal(other.model.dictionary, a.model.dictionary)


def test_a_signed_dictionary_explains_signed_rows():
    atoms = unit_rows(torch.randn(6, 5, generator=generator()))
    codes = torch.rand(800, 6, generator=generator(1)) * (
        torch.rand(800, 6, generator=generator(2)) < 0.3
    )
    rows = codes @ atoms
    config = SparseConfig(expansion=2, nonnegative=False, l1_loading=0.05, epochs=30)
    result = fit(rows[80:] / rows.std(), rows[:80] / rows.std(), config, progress=False)
    assert result.model.dictionary.min() < 0
    assert result.history[-1].r2 > 0.8


def test_a_device_that_is_not_there_is_refused():
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="cuda"):
            choose_device("cuda")
    with pytest.raises(InputError, match="abacus"):
        choose_device("abacus")


@pytest.mark.gpu
def test_a_gpu_finds_modes_as_good():
    rows, _ = rows_of(rows=3000, channels=24, modes=36, active=3, noise=0.1, seed=2)
    config = SparseConfig(expansion=1.5)
    cpu, gpu = (fit(x[300:], x[:300], config, progress=False) for x in (rows, rows.to("cuda")))
    assert gpu.history[-1].r2 == pytest.approx(cpu.history[-1].r2, abs=0.03)


@pytest.mark.parametrize(
    "setting",
    [
        {"threshold": 0.0},
        {"threshold": 1.0},
        {"validation": 1.0},
        {"expansion": 0},
        {"learning_rate": float("nan")},
        {"l1_loading": -0.1},
        {"epochs": 0},
        {"batch_size": 2.5},
        {"sign": "positive"},
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        SparseConfig(**setting)
