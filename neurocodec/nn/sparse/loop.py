"""The loop of every fit: epochs, progress bar, early stopping, checkpoints and resume."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from torch import Tensor
from tqdm.auto import tqdm

from neurocodec.errors import InputError, StorageError
from neurocodec.nn.checkpoint import read_tensors, write_tensors
from neurocodec.nn.sparse.active import Codes
from neurocodec.nn.sparse.model import SparseModel


@dataclass(frozen=True)
class Epoch:
    """What one pass over the rows reached."""

    loss_train: float  # what the fit minimises, on a sample of the training rows
    loss: float  # the same on the held-out rows
    r2_train: float  # R2 per feature, averaged, likewise
    r2: float
    l0: float  # mean number of active modes of a training row
    alive: float  # part of the modes that are active on some training row


@dataclass
class Fit:
    """A fitted model, in evaluation mode and without gradients, and how it got there."""

    model: SparseModel
    history: list[Epoch] = field(default_factory=list)  # one entry per epoch
    codes: Codes | None = None  # loadings of the rows fitted, where they are known already


class Training(Protocol):
    """One or several fits that go on side by side."""

    def epoch(self) -> list[Epoch]:
        """One pass over the rows; what each fit reached."""

    def keep(self, fit: int) -> None:
        """Remember the present state of a fit: `models` gives that one back."""

    def tensors(self) -> dict[str, Tensor]:
        """All state that is a tensor, by name: what `restore` needs to go on bit for bit."""

    def facts(self) -> dict[str, Any]:
        """All other state, as JSON can hold it."""

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go back to a state that `tensors` and `facts` gave."""

    def models(self) -> list[SparseModel]:
        """The fitted models, in evaluation mode, without gradients."""

    def codes(self, fit: int) -> Codes | None:
        """Loadings of all rows of a fit, where `models` has computed them."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a fit writes its state, so that a killed one goes on."""

    path: Path  # ".safetensors"; whoever asked for the fit removes it when the result is safe
    identity: Mapping[str, Any]  # settings and data; a file with another identity is refused
    every: float = 30.0  # seconds between two writings


_STATE: Final = "progress"


@dataclass
class _Progress:
    """Where the loop is."""

    histories: list[list[Epoch]]
    best: list[float]
    waited: list[int]
    done: int = 0

    def stopped(self, patience: int | None) -> list[bool]:
        return [patience is not None and waited >= patience for waited in self.waited]


def run(
    training: Training,
    fits: int,
    epochs: int,
    patience: int | None = None,  # epochs without a lower loss; a fit then goes back to its best
    *,
    checkpoint: Checkpoint | None = None,
    progress: bool = True,
) -> list[Fit]:
    """Train until the last epoch, or until every fit has stopped getting better."""
    state = _Progress([[] for _ in range(fits)], [math.inf] * fits, [0] * fits)
    if checkpoint is not None and checkpoint.path.exists():
        _resume(training, state, checkpoint)
    bar: tqdm[Any]
    written = time.monotonic()
    title = "sparse modes" if fits == 1 else f"sparse modes, {fits} fits"
    with tqdm(
        total=epochs, initial=state.done, desc=title, unit="epoch", disable=not progress
    ) as bar:
        while state.done < epochs and not all(state.stopped(patience)):
            _one_epoch(training, state, patience, bar)
            if checkpoint is not None and time.monotonic() - written >= checkpoint.every:
                _write(training, state, checkpoint)
                written = time.monotonic()
    pairs = zip(training.models(), state.histories, strict=True)
    return [Fit(model, known, training.codes(fit)) for fit, (model, known) in enumerate(pairs)]


def _one_epoch(training: Training, state: _Progress, patience: int | None, bar: tqdm[Any]) -> None:
    stopped = state.stopped(patience)
    results = training.epoch()
    for fit, result in enumerate(results):
        if stopped[fit]:
            continue
        if not math.isfinite(result.loss_train):
            raise InputError(
                came=f"a loss of {result.loss_train} in epoch {state.done + 1}",
                expected="a fit that stays finite",
                hint="a smaller learning_rate, or other rows",
            )
        state.histories[fit].append(result)
        # the held-out loss decides; the training loss where nothing is held out
        loss = result.loss_train if math.isnan(result.loss) else result.loss
        if loss < state.best[fit]:
            state.best[fit], state.waited[fit] = loss, 0
            if patience is not None:
                training.keep(fit)
        else:
            state.waited[fit] += 1
    state.done += 1
    bar.update()
    bar.set_postfix(_shown(results))


def _shown(results: list[Epoch]) -> dict[str, str]:
    def mean(name: str) -> float:
        return float(sum(getattr(r, name) for r in results)) / len(results)

    return {"R2": f"{mean('r2'):.3f}", "L0": f"{mean('l0'):.1f}", "alive": f"{mean('alive'):.2f}"}


def _write(training: Training, state: _Progress, checkpoint: Checkpoint) -> None:
    facts = {
        "identity": dict(checkpoint.identity),
        "training": training.facts(),
        _STATE: dataclasses.asdict(state),
    }
    write_tensors(checkpoint.path, training.tensors(), facts)


def _resume(training: Training, state: _Progress, checkpoint: Checkpoint) -> None:
    tensors, facts = read_tensors(checkpoint.path)
    found, wanted = facts.get("identity", {}), dict(checkpoint.identity)
    if found != wanted:
        other = [k for k in sorted({*found, *wanted}) if found.get(k) != wanted.get(k)]
        raise StorageError(
            came=f"{str(checkpoint.path)!r}, a checkpoint of another fit: "
            + ", ".join(f"{k} was {found.get(k)!r}, is {wanted.get(k)!r}" for k in other),
            expected="the same settings and data, to go on with it",
            hint="another file, or remove this one to start anew",
        )
    training.restore(tensors, facts["training"])
    saved = facts[_STATE]
    state.histories = [[Epoch(**e) for e in history] for history in saved["histories"]]
    state.best, state.waited, state.done = saved["best"], saved["waited"], saved["done"]
