"""Fit a sparse autoencoder: first its dictionary by sparse coding, then the whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import torch
from torch import Tensor
from tqdm.auto import tqdm

from neurocodec.errors import InputError
from neurocodec.kernels import scores
from neurocodec.nn.sae import SparseAutoencoder, SparseConfig, autoencoder_loss
from neurocodec.nn.sparse_coding import (
    OnlineDictionary,
    residual_directions,
    sparse_codes,
    spread_rows,
    unit_rows,
)

_DICTIONARY_RATE: Final = 0.3
"""Learning rate of the dictionary relative to the encoder's. What sparse coding found is nearly
the same for every seed; the faster it follows the encoder's errors, the less it stays so."""
_REVIVE_UNTIL: Final = 0.7
"""Modes are revived in this first part of the epochs, so that the last of them can still learn."""
_REVIVE_EVERY: Final = 10
_WARMUP_STEPS: Final = 20
_LEAST_STEPS: Final = 16
"""Steps that an epoch has at least; batches of few rows are smaller."""
_CODE_STEPS: Final = 10
"""FISTA steps on a batch, which starts at its codes of the epoch before."""
_SMALL: Final = 50_000
"""Channels times modes up to which one CPU thread is as fast as several. Then one is used: the
numbers do not depend on the number of cores, and a busy machine does not slow the fit tenfold."""
_SAMPLE: Final = 2000
"""Training rows, at equal distances, that the scores of an epoch are taken on."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the rows reached.

    Parameters
    ----------
    phase
        "dictionary": loadings are sparse codes. "autoencoder": loadings are the encoder's.
    loss
        Of the phase, on a sample of the training rows.
    r2_train, r2
        R2 per feature, averaged, on a sample of the training rows and on the held-out rows.
    l0
        Mean number of active modes of a training row.
    alive
        Part of the modes that are active on some training row of the sample.

    Examples
    --------
    >>> Epoch("dictionary", 1.0, 0.5, 0.4, 3.0, 1.0).alive
    1.0
    """

    phase: Literal["dictionary", "autoencoder"]
    loss: float
    r2_train: float
    r2: float
    l0: float
    alive: float


@dataclass
class Fit:
    """A fitted autoencoder and how it got there.

    Parameters
    ----------
    model
        In evaluation mode, without gradients.
    history
        One entry per epoch.
    """

    model: SparseAutoencoder
    history: list[Epoch] = field(default_factory=list)


def choose_device(name: str | torch.device | None) -> torch.device:
    """Device to fit on: the first CUDA device where there is one, unless a name is given.

    Parameters
    ----------
    name
        "cpu", "cuda", "cuda:1", ..., or None.

    Raises
    ------
    InputError
        Where the device does not exist here.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            came=f"device={str(name)!r}, which this machine does not have",
            expected="the name of a device that PyTorch can use here",
            hint="device='cpu'",
        ) from error
    return device


def fit(rows: Tensor, held_out: Tensor, config: SparseConfig, *, progress: bool = True) -> Fit:
    """Fit a sparse autoencoder to rows.

    Parameters
    ----------
    rows
        Training rows, scaled, shape (rows, channels), on the device to fit on.
    held_out
        Rows that are only scored, shape (rows, channels); may be empty.
    config
        All settings.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Fit
        The same for the same rows, settings and device; global random state is not used.

    Examples
    --------
    >>> config = SparseConfig(expansion=2, epochs=2, dictionary_epochs=2)
    >>> rows = torch.rand(64, 3, generator=torch.Generator().manual_seed(0))
    >>> len(fit(rows[:48], rows[48:], config, progress=False).history)
    4
    """
    generator = torch.Generator(rows.device).manual_seed(config.seed)
    total = config.dictionary_epochs + config.epochs
    bar: tqdm[Any]
    with (
        _threads_for(rows.shape[1] * config.modes(rows.shape[1])),
        tqdm(total=total, desc="sparse modes", unit="epoch", disable=not progress) as bar,
    ):
        learning = _DictionaryPhase(rows, held_out, config, generator)
        history = [_shown(bar, epoch) for epoch in learning.epochs()]
        training = _AutoencoderPhase(rows, held_out, config, generator, learning.learner.atoms)
        history += [_shown(bar, epoch) for epoch in training.epochs()]
        training.model.standardise(rows)
    return Fit(training.model.eval().requires_grad_(requires_grad=False), history)


@contextmanager
def _threads_for(work: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1 if work <= _SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _shown(bar: tqdm[Any], epoch: Epoch) -> Epoch:
    bar.update()
    bar.set_postfix(r2=f"{epoch.r2:.3f}", l0=f"{epoch.l0:.1f}", alive=f"{epoch.alive:.2f}")
    return epoch


def _batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    order = torch.randperm(count, generator=generator, device=generator.device)
    yield from torch.split(order, _batch_size(count, size))


def _batch_size(count: int, size: int) -> int:
    return max(1, min(size, count // _LEAST_STEPS))


def _score(rows: Tensor, reconstruction: Tensor) -> float:
    if not len(rows):
        return float("nan")
    return scores.r2(rows.cpu().numpy(), reconstruction.cpu().numpy())


class _DictionaryPhase:
    """Sparse coding and online dictionary learning, with the codes of all rows kept."""

    def __init__(
        self, rows: Tensor, held_out: Tensor, config: SparseConfig, generator: torch.Generator
    ) -> None:
        self.rows, self.held_out = rows, held_out
        self.config, self.generator = config, generator
        modes = config.modes(rows.shape[1])
        atoms = spread_rows(rows, modes, generator)
        self.learner = OnlineDictionary(atoms, nonnegative=config.nonnegative)
        self.codes = rows.new_zeros(len(rows), modes)
        self.held_codes = rows.new_zeros(len(held_out), modes)

    @torch.no_grad()
    def epochs(self) -> Iterator[Epoch]:
        for number in range(self.config.dictionary_epochs):
            for batch in _batches(len(self.rows), self.config.batch_size, self.generator):
                self.step(batch)
            if number < _REVIVE_UNTIL * self.config.dictionary_epochs:
                self.revive()
            yield self.score()

    def step(self, batch: Tensor) -> None:
        rows = self.rows[batch]
        codes = self.infer(rows, self.codes[batch])
        self.codes[batch] = codes
        self.learner.update(rows, codes, forget=len(batch) / len(self.rows))

    def infer(self, rows: Tensor, start: Tensor) -> Tensor:
        return sparse_codes(
            rows,
            self.learner.atoms,
            self.config.l1_loading,
            start=start,
            iterations=_CODE_STEPS,
        )

    def revive(self) -> None:
        dead = (self.codes > 0).sum(dim=0).eq(0).nonzero()[:, 0]
        if len(dead):
            self.learner.revive(dead, self.rows, self.codes, self.generator)

    def score(self) -> Epoch:
        self.held_codes = self.infer(self.held_out, self.held_codes)
        rows, codes = _sample(self.rows), _sample(self.codes)
        made = codes @ self.learner.atoms
        error = 0.5 * (rows - made).square().sum(dim=1)
        return Epoch(
            "dictionary",
            float((error + self.config.l1_loading * codes.sum(dim=1)).mean()),
            _score(rows, made),
            _score(self.held_out, self.held_codes @ self.learner.atoms),
            *_activity(codes),
        )


def _sample(rows: Tensor) -> Tensor:
    return rows[:: math.ceil(len(rows) / _SAMPLE)]


def _activity(loadings: Tensor) -> tuple[float, float]:
    """Mean number of active modes of a row, and the part of the modes that is ever active."""
    active = loadings > 0
    return float(active.sum(dim=1).float().mean()), float(active.any(dim=0).float().mean())


class _AutoencoderPhase:
    """Gradient descent on encoder and dictionary, from the dictionary that was learned."""

    def __init__(
        self,
        rows: Tensor,
        held_out: Tensor,
        config: SparseConfig,
        generator: torch.Generator,
        atoms: Tensor,
    ) -> None:
        self.rows, self.held_out = rows, held_out
        self.config, self.generator = config, generator
        self.model = SparseAutoencoder(rows.shape[1], len(atoms), config, generator)
        rate = config.learning_rate
        groups: list[dict[str, Any]] = [
            {"params": [*self.model.encoder.parameters()]},
            {"params": [self.model.dictionary], "lr": _DICTIONARY_RATE * rate},
        ]
        self.optimiser = torch.optim.Adam(groups, lr=rate)
        steps = math.ceil(len(rows) / _batch_size(len(rows), config.batch_size))
        self.total_steps = config.epochs * steps
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._rate)
        self.start(torch.arange(len(atoms), device=rows.device), atoms)

    def _rate(self, step: int) -> float:
        warm = min(1.0, (step + 1) / _WARMUP_STEPS)
        return warm * 0.5 * (1.0 + math.cos(math.pi * step / self.total_steps))

    def start(self, modes: Tensor, atoms: Tensor) -> None:
        """Start modes at atoms and infer the codes of all rows anew."""
        with torch.no_grad():
            self.model.dictionary[modes] = atoms
            self.codes = sparse_codes(
                self.rows, unit_rows(self.model.dictionary), self.config.l1_loading
            )
        self.model.start_modes(modes, atoms, self.rows, self.codes)

    def epochs(self) -> Iterator[Epoch]:
        for number in range(self.config.epochs):
            for batch in _batches(len(self.rows), self.config.batch_size, self.generator):
                self.step(batch)
            late = number >= _REVIVE_UNTIL * self.config.epochs
            if number % _REVIVE_EVERY == _REVIVE_EVERY - 1 and not late:
                self.revive()
            yield self.score()

    def step(self, batch: Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss = autoencoder_loss(self.model, self.rows[batch], self.codes[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.schedule.step()
        self.model.constrain()

    @torch.no_grad()
    def revive(self) -> None:
        """Start modes that fire on no row again, at badly reconstructed rows."""
        loadings = self.model.encode(self.rows)
        silent = (loadings > 0).sum(dim=0).eq(0).nonzero()[:, 0]
        if not len(silent):
            return
        left = self.rows - self.model.decode(loadings)
        atoms = residual_directions(
            left, len(silent), self.generator, nonnegative=self.config.nonnegative
        )
        self.start(silent, atoms)

    @torch.no_grad()
    def score(self) -> Epoch:
        rows, codes = _sample(self.rows), _sample(self.codes)
        loadings = self.model.encode(rows)
        return Epoch(
            "autoencoder",
            float(autoencoder_loss(self.model, rows, codes)),
            _score(rows, self.model.decode(loadings)),
            _score(self.held_out, self.model.decode(self.model.encode(self.held_out))),
            *_activity(loadings),
        )
