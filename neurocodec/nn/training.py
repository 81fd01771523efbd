"""Training of a retina model on spikes: Poisson loss, early stopping, exact resumption."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from neurocodec.errors import InputError, StorageError
from neurocodec.nn.checkpoint import (
    digest,
    optimizer_tensors,
    prefixed,
    read_tensors,
    restore_optimizer,
    unprefixed,
    write_tensors,
)
from neurocodec.nn.movie import convolve_movie
from neurocodec.nn.retina import RetinaCNN
from neurocodec.nn.spikes import (
    TINY,
    Recording,
    correlation,
    hold_out,
    mode,
    noise_from,
    poisson_loss,
    predict,
)
from neurocodec.nn.whitening import FirstFilters

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


@dataclass(frozen=True)
class TrainingConfig:
    """How a retina model is trained.

    Parameters
    ----------
    epochs
        Passes over the movie, at most; the learning rate falls to zero over them (cosine).
    learning_rate
        Of Adam, at the start.
    chunk
        Consecutive responses that share one Fourier transform of the first convolution.
    chunks_per_step
        Chunks, from random places of the movie, that make one batch.
    whiten
        Move the first filters in the coordinates of `neurocodec.nn.whitening`.
    l2
        Weight of the sum of squares of all weights (not of biases and batch norms); of the first
        filters it is that of their change, in the coordinates in which they are learned.
    l1
        Weight of the mean spike count that the model predicts.
    patience
        Epochs without a lower held-out loss after which training stops.
    validation
        Share of the movie, at its end, that is held out where no `validation` movie is given.
    seed
        Of the order of chunks and the noise; torch's own random state is left alone.
    """

    epochs: int = 30
    learning_rate: float = 1e-2
    chunk: int = 32
    chunks_per_step: int = 4
    whiten: bool = True
    l2: float = 1e-5
    l1: float = 1e-3
    patience: int = 8
    validation: float = 0.1
    seed: int = 0


@dataclass
class History:
    """What happened, epoch by epoch.

    Parameters
    ----------
    loss
        Training loss with its penalties.
    validation_loss
        Held-out Poisson loss, in nats per cell and bin.
    validation_correlation
        Median over cells of the held-out correlation of rate and spike count.
    best_epoch
        Epoch with the lowest held-out loss, whose weights the module ends with; -1 before any.
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_correlation: list[float] = field(default_factory=list)
    best_epoch: int = -1

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return len(self.loss)


def train_retina(
    module: RetinaCNN,
    frames: Tensor,
    spike_counts: Tensor,
    config: TrainingConfig | None = None,
    *,
    bin_width: float = 0.01,
    validation: Recording | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> History:
    """Train a retina model on spikes, in place.

    Parameters
    ----------
    module
        The model; it ends with the weights of the epoch that has the lowest held-out loss.
    frames
        Movie (time, y, x) in units of contrast.
    spike_counts
        Spikes per bin (time, cell), or their mean over repeats. Row `t` is the response to the
        frames up to `t`; the first `history - 1` rows are not used.
    config
        How to train.
    bin_width
        Of the spike counts, in seconds.
    validation
        Held-out movie and spike counts, instead of the end of this movie.
    checkpoint
        A file written after every epoch. If it is there, training goes on from it, and ends
        with the very weights of a run that was never interrupted.
    progress
        Show a progress bar.

    Returns
    -------
    History
        Losses and held-out correlations by epoch.

    Raises
    ------
    InputError
        Where shapes do not match, a number is not finite, or the movie is too short.
    StorageError
        Where the checkpoint belongs to another run.

    Examples
    --------
    >>> from neurocodec.nn.retina import RetinaConfig
    >>> module = RetinaCNN(RetinaConfig(cells=2, history=3, size=(9, 9), kernels=(3, 3)))
    >>> config = TrainingConfig(epochs=2, chunk=8)
    >>> frames, spike_counts = torch.rand(200, 9, 9), torch.ones(200, 2)
    >>> train_retina(module, frames, spike_counts, config, progress=False).epochs
    2
    """
    config = config or TrainingConfig()
    training, held_out = hold_out(
        module.config,
        (frames, spike_counts),
        validation,
        share=config.validation,
        # The random shift of the chunks loses up to one of them.
        least=module.config.history + 2 * config.chunk,
    )
    run = _Run(module, config, bin_width, training, held_out)
    path = None if checkpoint is None else Path(checkpoint)
    run.start(path)
    with (
        mode(module, training=True),
        tqdm(
            total=config.epochs, initial=run.history.epochs, disable=not progress, desc="training"
        ) as bar,
    ):
        while not run.finished:
            run.epoch()
            if path:
                run.write(path)
            bar.set_postfix(run.summary())
            bar.update()
    run.optimizer.zero_grad(set_to_none=True)
    module.load_state_dict(run.best)
    return run.history


class _Run:
    """State of one training run: all that a checkpoint must hold to go on exactly."""

    def __init__(
        self,
        module: RetinaCNN,
        config: TrainingConfig,
        bin_width: float,
        training: Recording,
        held_out: Recording,
    ) -> None:
        self.module, self.config, self.bin_width = module, config, bin_width
        self.training, self.held_out = training, held_out
        self.device = module.first_convolution.weight.device
        self.filters = FirstFilters(module, training[0], whiten=config.whiten)
        others = [p for p in module.parameters() if p is not module.first_convolution.weight]
        learned = [self.filters.steps, *others]
        self.optimizer = torch.optim.Adam(learned, lr=config.learning_rate)
        self.history = History()
        self.best: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        """Whether the epochs are over or the patience is."""
        waited = self.history.epochs - 1 - self.history.best_epoch
        return self.history.epochs >= self.config.epochs or waited >= self.config.patience

    def summary(self) -> dict[str, str]:
        """Say where the run stands, for the progress bar."""
        history = self.history
        return {
            "held-out loss": f"{history.validation_loss[-1]:.4f}",
            "correlation": f"{history.validation_correlation[-1]:.3f}",
        }

    def start(self, path: Path | None) -> None:
        """Go on from a checkpoint if there is one, else start at the mean rates."""
        if path is not None and path.exists():
            self._read(path)
        else:
            _match_output(self.module, self.training[1] / self.bin_width)

    def epoch(self) -> None:
        """Pass over the movie once, and look whether the held-out loss is the lowest so far."""
        history, number = self.history, self.history.epochs
        # A pure function of seed and epoch: nothing random has to be kept in a checkpoint.
        order = torch.Generator().manual_seed(_mix(self.config.seed, number, 0))
        noise = torch.Generator(self.device).manual_seed(_mix(self.config.seed, number, 1))
        rate = self.config.learning_rate * (1 + math.cos(math.pi * number / self.config.epochs)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with noise_from(self.module, noise):
            losses = [self._step(*batch) for batch in self._batches(order)]
        self.filters.store()
        history.loss.append(sum(losses) / len(losses))
        self._validate()

    def _batches(self, order: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        frames, counts = self.training
        chunk, overlap = self.config.chunk, self.module.config.history - 1
        shift = int(torch.randint(chunk, (), generator=order))
        # Views: only the chunks of one batch are ever copied.
        movies = frames[shift:].unfold(0, chunk + overlap, chunk).movedim(-1, 1)
        answers = counts[shift + overlap :].unfold(0, chunk, chunk).movedim(-1, 1)
        permutation = torch.randperm(len(movies), generator=order)
        for start in range(0, len(movies), self.config.chunks_per_step):
            picked = permutation[start : start + self.config.chunks_per_step]
            yield movies[picked], answers[picked]

    def _step(self, movies: Tensor, answers: Tensor) -> float:
        bias = self.module.first_convolution.bias
        hidden = convolve_movie(movies.to(self.device), self.filters.weight(), bias)
        rates = self.module.from_first_convolution(hidden.flatten(0, 1))
        loss = poisson_loss(rates, answers.flatten(0, 1).to(self.device), self.bin_width)
        loss = loss + self.config.l1 * self.bin_width * rates.mean()
        weights = [p for p in self.optimizer.param_groups[0]["params"] if p.ndim > 1]
        loss = loss + self.config.l2 * torch.stack([w.square().sum() for w in weights]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.item()

    def _validate(self) -> None:
        frames, counts = self.held_out
        rates, answers = predict(self.module, frames), counts[self.module.config.history - 1 :]
        loss = poisson_loss(rates, answers, self.bin_width).item()
        history = self.history
        if not math.isfinite(loss):
            raise InputError(
                came=f"training that diverged: held-out loss {loss} after epoch {history.epochs}",
                expected="a finite loss",
                hint=f"TrainingConfig(learning_rate={self.config.learning_rate / 10:g})",
            )
        if loss < min(history.validation_loss, default=math.inf):
            history.best_epoch = history.epochs - 1
            self.best = {k: v.detach().clone() for k, v in self.module.state_dict().items()}
        history.validation_loss.append(loss)
        history.validation_correlation.append(correlation(rates, answers).nanmedian().item())

    @cached_property
    def _identity(self) -> dict[str, Any]:
        shapes = {name: list(p.shape) for name, p in self.module.named_parameters()}
        data = digest(*self.training, *self.held_out)
        config = dataclasses.asdict(self.config)
        return {"config": config, "shapes": shapes, "data": data, "bin_width": self.bin_width}

    def write(self, path: Path) -> None:
        """Replace the checkpoint."""
        tensors = {
            **prefixed("model.", self.module.state_dict()),
            **prefixed("best.", self.best),
            **prefixed("filters.", self.filters.state()),
            **prefixed("adam.", optimizer_tensors(self.optimizer)),
        }
        facts = {"run": self._identity, "history": dataclasses.asdict(self.history)}
        write_tensors(path, tensors, facts)

    def _read(self, path: Path) -> None:
        tensors, facts = read_tensors(path)
        identity = self._identity
        other = [k for k, value in identity.items() if facts.get("run", {}).get(k) != value]
        if other:
            raise StorageError(
                came=f"the checkpoint {path} of another run: {', '.join(other)} differ",
                expected="the same model, data and training config as when it was written",
                hint="another file name for checkpoint=...",
            )
        self.module.load_state_dict(unprefixed("model.", tensors))
        self.best = unprefixed("best.", tensors)
        self.filters.load(unprefixed("filters.", tensors))
        restore_optimizer(self.optimizer, unprefixed("adam.", tensors))
        self.history = History(**facts["history"])


@torch.no_grad()
def _match_output(module: RetinaCNN, rates: Tensor) -> None:
    """Start every cell at its mean rate."""
    mean = (rates.mean(0) / module.config.gain).clamp_min(TINY)
    softplus = module.config.nonlinearity == "softplus"
    bias = mean + torch.log(-torch.expm1(-mean)) if softplus else mean.log()
    cast("nn.BatchNorm1d", module.readout.normalisation).bias.copy_(bias)


def _mix(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
