"""Training of a retina model on spikes: Poisson loss, early stopping, exact resumption."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from neurocodec.arguments import between, number, whole
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
from neurocodec.nn.fast.movie import convolve_movie
from neurocodec.nn.retina.model import RetinaCNN, RetinaConfig
from neurocodec.nn.retina.separable_filters import SeparableFilters
from neurocodec.nn.retina.spikes import (
    TINY,
    Recording,
    correlation,
    cut_blocks,
    hold_out,
    mode,
    noise_from,
    poisson_loss,
    predict,
)
from neurocodec.nn.retina.whitening import FirstFilters
from neurocodec.nn.settings import usual


@dataclass(frozen=True)
class TrainingConfig:
    """How a retina model is trained."""

    epochs: int = 30  # passes over the movie, at most
    learning_rate: float = 1e-2  # of Adam, at the start; it falls to zero along half a cosine
    chunk: int = 32  # consecutive responses that share one Fourier transform of the first layer
    chunks_per_step: int = 4  # chunks, from random places of the movie, that make one batch
    whiten: bool = True  # move the first filters in the coordinates of `nn.retina.whitening`
    # Where not 0, every first filter is the product of a map and of a time course made of so many
    # smooth functions of the lag (`nn.retina.separable_filters`), for recordings that are too short
    # to learn every frame and pixel on its own; `whiten` then has no effect.
    temporal_basis: int = 0
    # Divide the loss of every cell by the module's gain for it, so that cells with low rates count
    # as much as cells with high ones.
    balance: bool = False
    # Weight of the sum of squares of all weights (not of biases and batch norms), in the
    # coordinates in which they are learned: of the first filters, of their change, or, with a
    # temporal basis, of the coefficients of their time courses and of their maps.
    l2: float = 1e-5
    l1: float = 1e-3  # weight of the mean spike count that the model predicts
    patience: int = 8  # epochs without a lower held-out loss after which training stops
    validation: float = 0.1  # share of the movie, at its end, that is held out unless one is given
    seed: int = 0  # of the order of chunks and the noise

    def __post_init__(self) -> None:
        """Refuse numbers that nothing can be trained with."""
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if isinstance(value, np.generic):  # so that a checkpoint can hold it
                object.__setattr__(self, each.name, value.item())
        for name in ("epochs", "chunk", "chunks_per_step", "patience"):
            whole(name, getattr(self, name))
        for name in ("temporal_basis", "seed"):
            whole(name, getattr(self, name), 0)
        for name in ("l1", "l2"):
            if number(name, getattr(self, name), "at least 0") < 0:
                raise InputError(came=f"{name}={getattr(self, name)!r}", expected="at least 0")
        if number("learning_rate", self.learning_rate, "above 0") <= 0:
            raise InputError(came=f"learning_rate={self.learning_rate!r}", expected="above 0")
        between("validation", self.validation)

    def facts(self) -> dict[str, Any]:
        """Settings as a checkpoint holds them; later ones only where they are used."""
        later = {"temporal_basis": 0, "balance": False}  # not in checkpoints of before
        return {k: x for k, x in dataclasses.asdict(self).items() if later.get(k, ...) != x}


@dataclass(frozen=True)
class Blocks:
    """Parts of a movie to train on, and to hold out: first frame, and frame after the last."""

    # A window of frames never reaches from one block into another, so blocks that share no frame
    # share no window.

    training: tuple[tuple[int, int], ...]
    validation: tuple[tuple[int, int], ...]


@dataclass
class History:
    """What happened, epoch by epoch."""

    loss: list[float] = field(default_factory=list)  # in training, with its penalties
    validation_loss: list[float] = field(default_factory=list)  # Poisson, in nats per cell and bin
    # median over cells of the held-out correlation of rate and spike count
    validation_correlation: list[float] = field(default_factory=list)
    best_epoch: int = -1  # with the lowest held-out loss; -1 before any

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return len(self.loss)


def train_retina(
    module: RetinaCNN,
    frames: Tensor,  # (time, y, x), as the module takes them
    spike_counts: Tensor,  # per bin, (time, cell), or means over repeats; row t answers frames to t
    config: TrainingConfig | None = None,
    *,
    bin_width: float = 0.01,  # of the spike counts, in seconds
    validation: Recording | None = None,  # held out, instead of the end of this movie
    blocks: Blocks | None = None,  # of this movie, instead of its beginning and end
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> History:
    """Train a model in place; it ends with the weights of the lowest held-out loss."""
    # The checkpoint is written after every epoch. If it is there, training goes on from it, and
    # ends with the very weights of a run that was never interrupted.
    config = config or TrainingConfig()
    parts = _parts(module.config, (frames, spike_counts), config, validation, blocks)
    path = None if checkpoint is None else Path(checkpoint)
    with usual(module.first_convolution.weight.device), torch.enable_grad():
        run = _Run(module, config, bin_width, *parts)
        run.start(path)
        _train(run, path, progress=progress)
    return run.history


def _train(run: _Run, path: Path | None, *, progress: bool) -> None:
    with (
        mode(run.module, training=True),
        tqdm(
            total=run.config.epochs,
            initial=run.history.epochs,
            disable=not progress,
            desc="training",
        ) as bar,
    ):
        while not run.finished:
            run.epoch()
            if path:
                run.write(path)
            bar.set_postfix(run.summary())
            bar.update()
    run.optimizer.zero_grad(set_to_none=True)
    run.module.load_state_dict(run.best)


def _parts(
    model: RetinaConfig,
    movie: Recording,
    config: TrainingConfig,
    validation: Recording | None,
    blocks: Blocks | None,
) -> tuple[list[Recording], list[Recording]]:
    """Recordings to train on, and held-out ones."""
    # the random shift of the chunks loses up to one of them
    least = model.history + 2 * config.chunk
    if blocks is None:
        parts = hold_out(model, movie, validation, share=config.validation, least=least)
        return [parts[0]], [parts[1]]
    training = cut_blocks(model, movie, blocks.training, least=least)
    return training, cut_blocks(model, movie, blocks.validation, least=model.history + 1)


class _Run:
    """State of one training run: all that a checkpoint must hold to go on exactly."""

    def __init__(
        self,
        module: RetinaCNN,
        config: TrainingConfig,
        bin_width: float,
        training: Sequence[Recording],
        held_out: Sequence[Recording],
    ) -> None:
        self.module, self.config, self.bin_width = module, config, bin_width
        self.training, self.held_out = training, held_out
        self.device = module.first_convolution.weight.device
        self.filters = _filters(module, training[0][0], config)
        others = [p for p in module.parameters() if p is not module.first_convolution.weight]
        learned = [*self.filters.learned, *others]
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
            counts = torch.cat([counts for _, counts in self.training])
            _match_output(self.module, counts / self.bin_width)

    def epoch(self) -> None:
        """Pass over the movie once, and look whether the held-out loss is the lowest so far."""
        history, done = self.history, self.history.epochs
        # A pure function of seed and epoch: nothing random has to be kept in a checkpoint.
        order = torch.Generator("cpu").manual_seed(_mix(self.config.seed, done, 0))
        noise = torch.Generator(self.device).manual_seed(_mix(self.config.seed, done, 1))
        rate = self.config.learning_rate * (1 + math.cos(math.pi * done / self.config.epochs)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with noise_from(self.module, noise):
            losses = [self._step(*batch) for batch in self._batches(order)]
        self.filters.store()
        history.loss.append(sum(losses) / len(losses))
        self._validate()

    def _batches(self, order: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        chunk, overlap = self.config.chunk, self.module.config.history - 1
        shift = int(torch.randint(chunk, (), generator=order))
        # Views: only the chunks of one batch are ever copied.
        pieces = [
            (
                frames[shift:].unfold(0, chunk + overlap, chunk).movedim(-1, 1),
                counts[shift + overlap :].unfold(0, chunk, chunk).movedim(-1, 1),
            )
            for frames, counts in self.training
        ]
        movies, answers = ([x for piece in p for x in piece] for p in zip(*pieces, strict=True))
        permutation = torch.randperm(len(movies), generator=order).tolist()
        for start in range(0, len(movies), self.config.chunks_per_step):
            picked = permutation[start : start + self.config.chunks_per_step]
            yield (
                torch.stack([movies[i] for i in picked]),
                torch.stack([answers[i] for i in picked]),
            )

    def _step(self, movies: Tensor, answers: Tensor) -> float:
        bias = self.module.first_convolution.bias
        frames = self.module.standardised(movies.to(self.device))
        hidden = convolve_movie(frames, self.filters.weight(), bias)
        rates = self.module.from_first_convolution(hidden.flatten(0, 1))
        loss = self._loss(rates, answers.flatten(0, 1).to(self.device))
        loss = loss + self.config.l1 * self.bin_width * rates.mean()
        weights = [p for p in self.optimizer.param_groups[0]["params"] if p.ndim > 1]
        loss = loss + self.config.l2 * torch.stack([w.square().sum() for w in weights]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.item()

    def _loss(self, rates: Tensor, counts: Tensor) -> Tensor:
        if not self.config.balance:
            return poisson_loss(rates, counts, self.bin_width)
        gain = torch.as_tensor(
            self.module.config.gain, dtype=torch.float32, device=rates.device
        ).clamp_min(TINY)
        share = (1 / gain) / (1 / gain).mean()
        return poisson_loss(rates, counts, self.bin_width, share)

    def _validate(self) -> None:
        first = self.module.config.history - 1
        rates = torch.cat([predict(self.module, frames) for frames, _ in self.held_out])
        answers = torch.cat([counts[first:] for _, counts in self.held_out])
        loss = self._loss(rates, answers).item()
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
        data = digest(*(x for part in (*self.training, *self.held_out) for x in part))
        return {
            "config": self.config.facts(),
            "model": json.loads(json.dumps(self.module.config.to_dict())),
            "shapes": shapes,
            "data": data,
            "bin_width": self.bin_width,
        }

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
        identity, run = self._identity, facts.get("run", {})
        run.setdefault("model", identity["model"])  # not in checkpoints of before
        other = [k for k, value in identity.items() if run.get(k) != value]
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
    gain = torch.as_tensor(module.config.gain, dtype=rates.dtype, device=rates.device)
    mean = (rates.mean(0) / gain).clamp_min(TINY)
    softplus = module.config.nonlinearity == "softplus"
    bias = mean + torch.log(-torch.expm1(-mean)) if softplus else mean.log()
    cast("nn.BatchNorm1d", module.readout.normalisation).bias.copy_(bias)


def _filters(
    module: RetinaCNN, frames: Tensor, config: TrainingConfig
) -> FirstFilters | SeparableFilters:
    if config.temporal_basis:
        return SeparableFilters(module, config.temporal_basis, seed=config.seed)
    return FirstFilters(module, module.standardised(frames), whiten=config.whiten)


def _mix(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
