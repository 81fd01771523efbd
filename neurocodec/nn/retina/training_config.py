"""How a retina model is trained, on which parts of a movie, and what happened."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from neurocodec.errors import InputError


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
        Move the first filters in the coordinates of `neurocodec.nn.retina.whitening`.
    temporal_basis
        Where not 0, every first filter is the product of a map and of a time course made of so
        many smooth functions of the lag (`neurocodec.nn.retina.separable_filters`), for recordings
        that are too short to learn every frame and pixel on its own; `whiten` then has no effect.
    balance
        Divide the loss of every cell by the module's gain for it, so that cells with low rates
        count as much as cells with high ones.
    l2
        Weight of the sum of squares of all weights (not of biases and batch norms), in the
        coordinates in which they are learned: of the first filters, of their change, or, with a
        temporal basis, of the coefficients of their time courses and of their maps.
    l1
        Weight of the mean spike count that the model predicts.
    patience
        Epochs without a lower held-out loss after which training stops.
    validation
        Share of the movie, at its end, that is held out where no `validation` movie is given.
    seed
        Of the order of chunks and the noise; torch's own random state is left alone.

    Raises
    ------
    InputError
        Where a number is out of its range.
    """

    epochs: int = 30
    learning_rate: float = 1e-2
    chunk: int = 32
    chunks_per_step: int = 4
    whiten: bool = True
    temporal_basis: int = 0
    balance: bool = False
    l2: float = 1e-5
    l1: float = 1e-3
    patience: int = 8
    validation: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that nothing can be trained with."""
        least = {"epochs": 1, "chunk": 1, "chunks_per_step": 1, "patience": 1}
        least |= {"temporal_basis": 0, "l1": 0, "l2": 0, "seed": 0}
        for name, smallest in least.items():
            if not smallest <= getattr(self, name) < math.inf:
                raise InputError(
                    came=f"{name}={getattr(self, name)!r}", expected=f"at least {smallest}"
                )
        if not 0 < self.learning_rate < math.inf or not 0 < self.validation < 1:
            raise InputError(
                came=f"learning_rate={self.learning_rate!r}, validation={self.validation!r}",
                expected="a learning rate above 0, and a share between 0 and 1",
            )


@dataclass(frozen=True)
class Blocks:
    """Parts of a movie to train on and to hold out: first frame, and frame after the last, of each.

    A window of frames never reaches from one block into another, so blocks that share no frame
    share no window.

    Parameters
    ----------
    training
        Blocks to train on.
    validation
        Held-out blocks.
    """

    training: tuple[tuple[int, int], ...]
    validation: tuple[tuple[int, int], ...]


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
