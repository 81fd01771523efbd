"""Trained encoders: against torch's own layers, planted modes, and themselves after a kill."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from array_reader import ArrayReader
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from neurocodec.errors import InputError
from neurocodec.kernels.matching import match_modes
from neurocodec.kernels.scores import r2
from neurocodec.nn.sparse.autoencoder.encoders import (
    LinearEncoder,
    MlpEncoder,
    draw_dropout,
    trained_encoder,
)
from neurocodec.nn.sparse.autoencoder.model import Autoencoder, stacked
from neurocodec.nn.sparse.autoencoder.scoring import reached
from neurocodec.nn.sparse.autoencoder.starting import begin, revive
from neurocodec.nn.sparse.autoencoder.training import AutoencoderTraining
from neurocodec.nn.sparse.config import PRESETS, SparseConfig
from neurocodec.nn.sparse.loop import Checkpoint, Fit, run
from neurocodec.nn.sparse.source import Resident, Streamed
from neurocodec.simulation.planted import planted_rows

TRAINED = [name for name in PRESETS if SparseConfig.preset(name).encoder != "inference"]
ARCHETYPAL = {"atoms": "archetypal", "candidates": 40}
ALSO: dict[str, dict[str, Any]] = {
    "mlp_topk": {"encoder": "mlp", "sparsifier": "topk"},
    "mlp_batch_topk": {"encoder": "mlp", "sparsifier": "batch_topk"},
    "mlp_jump_relu": {"encoder": "mlp", "sparsifier": "jump_relu"},
    "archetypal_topk": {"encoder": "linear", "sparsifier": "topk", **ARCHETYPAL},
    "archetypal_gate": {"encoder": "mlp", "sparsifier": "gate", **ARCHETYPAL},
}
EACH = [*TRAINED, *ALSO]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small products are faster on one thread, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def configured(name: str, **changes: Any) -> SparseConfig:
    if name in ALSO:
        return SparseConfig(**{"expansion": 10, "epochs": 100, **ALSO[name], **changes})
    return SparseConfig.preset(name, **changes)


def planted(rows: int = 600, channels: int = 12, modes: int = 16) -> tuple[torch.Tensor, Any]:
    x, atoms = planted_rows(rows, channels, modes, active=2, noise=0.1, seed=0)
    return torch.from_numpy(x / x.std()).float(), atoms


def training(
    configs: list[SparseConfig], rows: torch.Tensor | None = None, held: int = 100
) -> AutoencoderTraining:
    rows = planted()[0] if rows is None else rows
    each = rows.expand(len(configs), *rows.shape)
    kept = each.shape[1] - held
    return AutoencoderTraining(Resident(each[:, :kept]), Resident(each[:, kept:]), configs)


def fitted(config: SparseConfig, rows: torch.Tensor | None = None, **options: Any) -> Fit:
    [fit] = run(training([config], rows), 1, config.epochs, progress=False, **options)
    return fit


@cache
def brief(name: str) -> Fit:
    """Two passes over the planted rows; not to be changed."""
    return fitted(configured(name, epochs=2))


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_mlp_is_that_of_the_paper() -> None:
    ours = MlpEncoder(5, 8, 6, generator(), gated=True)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(generator=generator(1))
    theirs = torch.nn.Sequential(
        torch.nn.Linear(5, 6), torch.nn.LayerNorm(6), torch.nn.ReLU(), torch.nn.Linear(6, 8)
    )
    state = {
        "0.weight": ours.inward.T,
        "0.bias": ours.inward_bias,
        "1.weight": ours.norm_weight,
        "1.bias": ours.norm_bias,
        "3.weight": ours.outward.T,
        "3.bias": ours.outward_bias,
    }
    theirs.load_state_dict(state)
    rows = torch.randn(4, 5, generator=generator(2))
    torch.testing.assert_close(ours(rows), theirs(rows))


def test_without_gates_a_longer_row_has_larger_loadings() -> None:
    encoder = MlpEncoder(5, 8, 6, generator(), gated=False)
    rows = torch.rand(4, 5, generator=generator(1))
    torch.testing.assert_close(encoder(3 * rows), 3 * encoder(rows), rtol=1e-3, atol=1e-3)


def test_a_tied_linear_encoder_projects_on_its_atoms() -> None:
    encoder = LinearEncoder(3, 2, generator())
    atoms = torch.tensor([[0.6, 0.8, 0.0]])
    encoder.tie(torch.tensor([1]), atoms, atoms, atoms)
    assert encoder(torch.tensor([[1.0, 2.0, 3.0]]))[0, 1].item() == pytest.approx(2.2)


@pytest.mark.parametrize("name", EACH)
def test_every_part_has_a_gradient_at_the_first_step(name: str) -> None:
    rows = planted()[0]
    model = begin(rows, configured(name), generator())
    model.loss(rows, 0.0, 0.0)[0].backward()
    for part, parameter in model.named_parameters():
        assert parameter.grad is not None, part
        assert parameter.grad.abs().max() > 1e-7, part


@pytest.mark.parametrize("name", EACH)
def test_every_mode_fires_at_the_start_where_gates_decide(name: str) -> None:
    rows = planted()[0]
    model = begin(rows, configured(name), generator())
    loadings = model.encode(rows)
    assert 0.5 < float((loadings > 0).float().sum(dim=1).mean()) / model.active < 1.5
    assert bool((loadings >= 0).all())
    if model.gated:
        assert bool((loadings > 0).any(dim=0).all())


@pytest.mark.parametrize("name", EACH)
def test_few_modes_are_dead_at_the_end_and_rows_are_explained(name: str) -> None:
    rows = planted()[0]
    config = configured(name, expansion=1.5, active=2, epochs=32, learning_rate=3e-3)
    fit = fitted(config, rows)
    loadings = fit.model.encode(rows[:500])
    assert int((loadings > 0).any(dim=0).sum()) >= 17  # of 18
    floor = 0.3 if config.sparsifier == "gate" or config.atoms == "archetypal" else 0.65
    assert fit.history[-1].r2 > floor
    assert fit.history[-1].r2 > fit.history[0].r2
    assert fit.history[-1].l0 == pytest.approx(float((loadings > 0).sum()) / 500, rel=1e-4)


@pytest.mark.parametrize("name", ["topk", "jump_relu"])
def test_planted_modes_are_found(name: str) -> None:
    rows, atoms = planted(1000)
    configs = [
        configured(name, expansion=16 / 12, active=2, epochs=30, learning_rate=6e-3, seed=seed)
        for seed in range(5)
    ]
    fits = run(training(configs, rows), 5, 30, progress=False)
    alike = [match_modes(atoms, fit.model.dictionary.numpy())[1] for fit in fits]
    assert np.mean(np.array(alike) >= 0.9) >= 0.6  # single fits vary by 0.1


@pytest.mark.parametrize("name", ["batch_topk", "jump_relu"])
def test_as_many_modes_are_active_as_were_asked_for(name: str) -> None:
    fit = fitted(configured(name, expansion=2, active=3, epochs=40, learning_rate=6e-3))
    assert fit.history[-1].l0 == pytest.approx(3, abs=0.6)


@pytest.mark.parametrize("name", EACH)
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(name: str) -> None:
    first, second = brief(name), fitted(configured(name, epochs=2))
    assert same(first.model, second.model)
    assert first.history == second.history
    assert not same(first.model, fitted(configured(name, epochs=2, seed=1)).model)


@pytest.mark.parametrize("name", EACH)
def test_a_fit_beside_others_is_the_fit_alone(name: str) -> None:
    configs = [configured(name, epochs=2, seed=seed) for seed in (3, 4)]
    together = run(training(configs), 2, 2, progress=False)
    for fit, config in zip(together, configs, strict=True):  # the same bits on the CPUs seen so far
        alone = fitted(config)
        for part, value in alone.model.state_dict().items():
            torch.testing.assert_close(fit.model.state_dict()[part], value, msg=part)
        assert fit.history[-1].r2 == pytest.approx(alone.history[-1].r2, abs=1e-5)


def test_fits_side_by_side_keep_their_own_settings() -> None:
    values = ({"threshold": 0.7, "learning_rate": 1e-3}, {"threshold": 0.9, "l1_loading": 0.1})
    configs = [configured("paper_retina", **{"epochs": 4, "seed": 2, **v}) for v in values]
    for fit, config in zip(run(training(configs), 2, 4, progress=False), configs, strict=True):
        alone = fitted(config).model.state_dict()
        for part, value in fit.model.state_dict().items():
            torch.testing.assert_close(value, alone[part], atol=1e-4, rtol=1e-3, msg=part)
        loadings = fit.model.encode(planted()[0])
        assert float(loadings[loadings > 0].min()) >= config.threshold


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("name", EACH)
def test_a_killed_fit_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    configs = [configured(name, epochs=4, seed=seed) for seed in (0, 1)]
    checkpoint = Checkpoint(tmp_path / "fit.safetensors", {"of": name}, every=0)
    whole = run(training(configs), 2, 4, 2, progress=False)
    killed = training(configs)
    epoch, done = killed.epoch, []

    def dying() -> Any:
        if len(done) == 2:
            raise Killed
        done.append(1)
        return epoch()

    killed.epoch = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        run(killed, 2, 4, 2, checkpoint=checkpoint, progress=False)
    resumed = run(training(configs), 2, 4, 2, checkpoint=checkpoint, progress=False)
    for a, b in zip(whole, resumed, strict=True):
        assert same(a.model, b.model)
        assert a.history == b.history


@pytest.mark.parametrize("name", ["topk", "batch_topk"])
def test_rows_of_a_file_are_as_good_as_rows_in_memory(name: str) -> None:
    rows = planted()[0]
    config = configured(name, expansion=2, active=2, epochs=25, learning_rate=6e-3)
    held = np.arange(600) >= 500
    read = ArrayReader(rows.numpy())
    sources = [Streamed(read, 12, wanted, 75, torch.device("cpu")) for wanted in (~held, held)]
    [streamed] = run(AutoencoderTraining(*sources, [config]), 1, 25, progress=False)
    resident = fitted(config, rows)
    assert streamed.history[-1].r2 == pytest.approx(resident.history[-1].r2, abs=0.05)
    assert streamed.history[-1].r2 > 0.65


def test_scores_are_those_of_the_kernels_whatever_the_blocks() -> None:
    rows = planted()[0]
    rows[:, 3] = 1.0  # a constant column has no R2
    model = begin(rows, configured("topk"), generator())
    whole = stacked([model])
    none = (torch.zeros(1), torch.zeros(1))
    [found] = reached(whole.eval(), torch.split(rows[None], 170, dim=1), none)
    made = model.decode(model.encode(rows))
    assert found.r2 == pytest.approx(r2(rows.numpy(), made.numpy()), abs=1e-5)
    assert found.loss == pytest.approx(float((rows - made).square().mean()), rel=1e-5)
    assert found.l0 == pytest.approx(float((model.encode(rows) > 0).sum()) / 600)


def test_penalties_are_added_as_documented() -> None:
    rows = planted()[0]
    model = begin(rows, configured("topk"), generator())
    plain, loadings = model.loss(rows, 0.0, 0.0)
    penalised, _ = model.loss(rows, 2.0, 3.0)
    extra = 2.0 * loadings.mean() + 3.0 * model.dictionary.abs().mean()
    torch.testing.assert_close(penalised - plain, extra)


def test_a_penalty_on_loadings_makes_fewer_of_them() -> None:
    few, many = (
        configured("paper_resnet50", epochs=8, learning_rate=3e-3, l1_loading=w)
        for w in (10.0, 0.0)
    )
    assert fitted(few).history[-1].l0 < 0.7 * fitted(many).history[-1].l0


@pytest.mark.parametrize("name", EACH)
def test_state_and_settings_make_the_same_model_again(name: str) -> None:
    rows = planted()[0]
    model = brief(name).model
    again = Autoencoder(12, configured(name), generator(9))
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval().encode(rows), model.encode(rows))


def test_the_dictionary_is_where_it_has_to_be() -> None:
    signed = fitted(configured("topk", epochs=2, nonnegative=False)).model.dictionary
    for name in EACH:
        dictionary = brief(name).model.dictionary
        assert bool((dictionary >= 0).all()), name
        if configured(name).sparsifier != "gate":
            torch.testing.assert_close(dictionary.norm(dim=1), torch.ones(len(dictionary)))
    assert bool((signed < 0).any())


def test_dead_modes_start_again_and_fire() -> None:
    rows = planted()[0]
    for name in EACH:
        model = begin(rows, configured(name), generator()).eval()
        dead = torch.tensor([1, 5])
        model.encoder.scale(dead, torch.tensor(0.0))
        model.encoder.shift(dead, torch.tensor(-50.0))
        before = model.dictionary[[0, 2]].clone()
        assert not bool((model.encode(rows)[:, dead] > 0).any())
        revive(model, dead, rows, generator(1))
        assert bool((model.encoder(rows)[:, dead] > 0).any())
        assert torch.equal(model.dictionary[[0, 2]], before) or name.startswith("arch")


def test_training_revives_modes_that_died() -> None:
    config = configured("paper_resnet50", epochs=20, learning_rate=1e-3)
    fits = training([config])
    with torch.no_grad():
        fits.fits[0].encoder.shift(torch.arange(30), torch.tensor(-50.0))
    alive = [fits.epoch()[0].alive for _ in range(5)]
    assert alive[0] < 0.2
    assert alive[-1] > 0.9


def test_nothing_held_out_has_no_score() -> None:
    fits = training([configured("topk", epochs=2)], held=0)
    epoch = fits.epoch()[0]
    assert math.isnan(epoch.loss)
    assert math.isnan(epoch.r2)
    assert epoch.r2_train > 0


def test_half_precision_products_fit_as_well() -> None:
    exact, mixed = (
        fitted(configured("topk", expansion=2, epochs=12, precision=p))
        for p in ("float32", "bfloat16")
    )
    assert mixed.model.dictionary.dtype == torch.float32
    assert not same(exact.model, mixed.model)
    assert mixed.history[-1].r2 == pytest.approx(exact.history[-1].r2, abs=0.03)


def test_random_numbers_and_threads_of_others_are_left_alone() -> None:
    state = torch.random.get_rng_state()
    torch.set_num_threads(2)  # the fixture puts it back
    fitted(configured("paper_resnet50", epochs=2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == 2


def test_what_cannot_go_side_by_side_is_refused() -> None:
    topk = configured("topk")
    with pytest.raises(InputError, match="active of"):
        training([topk, configured("topk", active=2)])
    with pytest.raises(InputError, match="inference"):
        training([SparseConfig(expansion=10)])
    rows = Resident(planted()[0][None])
    with pytest.raises(InputError, match="2 configurations for 1 fits"):
        AutoencoderTraining(rows, rows, [topk, topk])


def finite(fit: Fit, rows: torch.Tensor) -> bool:
    made = fit.model.decode(fit.model.encode(rows))
    return all(bool(t.isfinite().all()) for t in (made, *fit.model.state_dict().values()))


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("epochs", [1, 4])
def test_many_modes_on_few_rows_are_numbers(name: str, epochs: int) -> None:
    for seed in range(2):
        rows = torch.rand(8, 4, generator=generator(seed))
        config = configured(name, expansion=10, active=1, epochs=epochs, seed=seed)
        assert finite(run(training([config], rows, held=0), 1, epochs, progress=False)[0], rows)


@pytest.mark.parametrize("name", ["jump_relu", "mlp_jump_relu"])
def test_each_mode_fires_on_the_row_that_it_starts_from(name: str) -> None:
    rows = torch.rand(8, 4, generator=generator())
    model = begin(rows, configured(name, expansion=10, active=1), generator())
    assert (model.encode(rows) > 0).sum(dim=0).tolist() == [1] * 40


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(EACH),
    shape=st.tuples(st.integers(3, 60), st.integers(1, 6)),
    expansion=st.floats(0.5, 10),
    empty=st.sampled_from([0.5, 0.9, 1.0]),
    seed=st.integers(0, 99),
)
def test_rows_that_are_few_and_mostly_zero_give_numbers(
    name: str, shape: tuple[int, int], expansion: float, empty: float, seed: int
) -> None:
    rows = torch.rand(shape, generator=generator(seed))
    rows *= torch.rand(shape, generator=generator(seed + 1)) >= empty
    config = configured(name, expansion=expansion, epochs=2, seed=seed)
    fits = training([config], rows, held=len(rows) // 10 * (seed % 2))
    assert finite(run(fits, 1, 2, progress=False)[0], rows)


@pytest.mark.parametrize("name", ["mlp_topk", "mlp_batch_topk", "mlp_jump_relu"])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mlp_of_few_channels_reconstructs_better_than_nothing(name: str, channels: int) -> None:
    rows = planted(300, channels, channels + 1)[0]
    model = fitted(configured(name, expansion=4, active=2, epochs=10), rows).model
    left = rows - model.decode(model.encode(rows))
    assert float(left.square().mean()) < 0.5 * float(rows.square().mean())


def test_a_tied_mlp_has_bounded_weights_where_hidden_units_tell_rows_apart_badly() -> None:
    rows = planted(300, 2, 3)[0]
    length = rows.square().mean(dim=1).sqrt()
    for hidden in (1, 2, 8):
        encoder = MlpEncoder(2, 300, hidden, generator(), gated=False)
        encoder.tie(torch.arange(300), rows, rows, rows)
        assert encoder.outward.abs().max().item() < 20, hidden
        torch.testing.assert_close(encoder(rows).diagonal(), length, rtol=1e-4, atol=1e-4)


def test_an_mlp_has_hidden_units_enough_to_normalise() -> None:
    def width(channels: int, **changes: Any) -> int:
        encoder = trained_encoder(channels, configured("mlp_topk", **changes), generator())
        assert isinstance(encoder, MlpEncoder)
        return encoder.hidden

    assert [width(1), width(8), width(20), width(20, hidden=3)] == [8, 8, 20, 3]


class HostReads(TorchDispatchMode):
    """Counts how often the value of a tensor is asked for: a GPU has to finish first."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("rates", [(1e-3, 1e-3), (1e-3, 1e-4)])
def test_a_step_asks_for_no_value(name: str, rates: tuple[float, float]) -> None:
    fits = training([configured(name, learning_rate=rate) for rate in rates])
    rows = fits.source.rows[:, :64]  # type: ignore[attr-defined]
    with HostReads() as reads:
        fits._step(rows)
        assert reads.count == 0
        float(rows.sum())
        assert reads.count == 1


@pytest.mark.parametrize("kept", [False, True])
def test_a_finished_model_has_memory_for_itself_alone(*, kept: bool) -> None:
    fits = training([configured("archetypal_topk", seed=seed) for seed in range(3)])
    fits.epoch()
    if kept:
        fits.keep(1)
    expected = fits.fits[1].dictionary.clone()
    model = fits.models()[1]
    fits.epoch()
    assert torch.equal(model.dictionary, expected)
    assert [name for name, _ in model.named_buffers()] == ["threshold"]
    for name, tensor in model.state_dict().items():
        assert tensor.untyped_storage().nbytes() == tensor.nbytes, name


def test_a_fit_that_diverges_says_so() -> None:
    config = configured("jump_relu", epochs=12, learning_rate=1e4)
    with pytest.raises(InputError, match=r"a loss of (nan|inf) in epoch \d+"):
        fitted(config)


def test_a_linear_encoder_gives_a_drive_for_each_mode() -> None:
    assert LinearEncoder(3, 6, generator())(torch.ones(2, 3)).shape == (2, 6)


def test_an_mlp_gives_a_drive_for_each_mode() -> None:
    assert MlpEncoder(3, 6, 3, generator(), gated=True)(torch.ones(2, 3)).shape == (2, 6)


def test_the_encoder_is_the_one_that_the_settings_name() -> None:
    encoder = trained_encoder(3, SparseConfig.preset("topk"), generator())
    assert type(encoder) is LinearEncoder


def test_hidden_units_are_left_out_or_make_up_for_those_that_are() -> None:
    drawn = draw_dropout((50, 8), generator()).unique().tolist()
    assert drawn == [0.0, pytest.approx(1 / 0.95)]


def test_rows_of_silence_come_back_as_silence() -> None:
    model = Autoencoder(3, SparseConfig.preset("topk", expansion=2, active=1), generator())
    assert not model.decode(model.encode(torch.zeros(2, 3))).any()


def test_what_is_written_into_the_whole_is_in_the_model() -> None:
    config = SparseConfig.preset("topk", expansion=2)
    models = [Autoencoder(3, config, generator(seed)) for seed in (0, 1)]
    whole = stacked(models)
    with torch.no_grad():
        whole.dictionary[1, 0, 0] = 5.0
    assert whole.encode(torch.zeros(2, 4, 3)).shape == (2, 4, 6)
    assert models[1].dictionary[0, 0].item() == 5.0


def test_every_gate_opens_on_some_row_at_the_start() -> None:
    rows = torch.rand(64, 3, generator=generator())
    model = begin(rows, SparseConfig.preset("paper_retina"), generator())
    assert bool((model.encode(rows) > 0).any(dim=0).all())


def test_a_pass_gives_one_score_for_each_fit() -> None:
    rows = torch.rand(1, 64, 3, generator=generator())
    config = SparseConfig.preset("topk", expansion=2, epochs=3)
    fits = AutoencoderTraining(Resident(rows[:, :48]), Resident(rows[:, 48:]), [config])
    assert len(fits.epoch()) == 1
    assert fits.models()[0].encode(rows[0]).shape == (64, 6)
