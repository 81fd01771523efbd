"""The CODEC authors' sparse autoencoder, as a reference for the benchmarks only.

Written anew from CODEC sec. 4 and the settings in the authors' published scripts (repositories
baccuslab/CODEC_ICLR_2026 and baccuslab/bscope): rows divided by one standard deviation; encoder
linear (as wide as the data), layer norm, dropout 0.05, rectifier, linear without bias, sigmoid;
loadings below the threshold are zero, without a gradient through the threshold; dictionary drawn
by Xavier's rule and kept non-negative by clamping after every step, as the paper has it; mean
squared error plus L1 on the dictionary; Adam; a `DataLoader` that shuffles.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

Matrix = NDArray[np.floating]


@dataclass(frozen=True)
class Recipe:
    """Settings of a fit; the defaults are what both of the authors' recipes share.

    Parameters
    ----------
    expansion, threshold, learning_rate, epochs
        Modes per channel, least loading, Adam's rate, passes over the rows.
    l1_dictionary, l1_loading
        Weights of the mean absolute value of the dictionary and of the loadings.
    hidden
        Width of the encoder's hidden layer; None is as wide as the data, as in the scripts.
    batch_size, dropout, seed
        Of the training.
    plateau
        Whether the rate is halved where the loss has not fallen for 10 epochs (the ResNet-50
        script); else it is multiplied by 0.98 every 25 epochs (the retina script).
    drop_last
        Whether an incomplete last batch of an epoch is left out (the retina script).
    """

    expansion: float
    threshold: float
    learning_rate: float
    epochs: int
    l1_dictionary: float
    l1_loading: float = 0.0
    hidden: int | None = None
    batch_size: int = 128
    dropout: float = 0.05
    plateau: bool = True
    drop_last: bool = False
    seed: int = 0


RESNET50 = Recipe(3, 0.8, 5e-5, 300, 5e-5)
RETINA = Recipe(10, 0.9, 1e-5, 800, 1e-4, plateau=False, drop_last=True)


class AuthorsAutoencoder(nn.Module):
    """Encoder with a sigmoid and a hard threshold, and a non-negative dictionary.

    Parameters
    ----------
    channels
        Columns of the rows.
    recipe
        Settings.
    """

    def __init__(self, channels: int, recipe: Recipe) -> None:
        super().__init__()
        modes = round(recipe.expansion * channels)
        hidden = recipe.hidden or channels
        self.threshold = recipe.threshold
        self.encoder = nn.Sequential(
            nn.Linear(channels, hidden),
            nn.LayerNorm(hidden),
            nn.Dropout(recipe.dropout),
            nn.ReLU(),
            nn.Linear(hidden, modes, bias=False),
            nn.Sigmoid(),
        )
        self.dictionary = nn.Parameter(nn.init.xavier_uniform_(torch.empty(modes, channels)))
        self.keep_nonnegative()

    def loadings(self, x: Tensor) -> Tensor:
        """Loadings (rows, modes), zero below the threshold."""
        codes: Tensor = self.encoder(x)
        return codes * (codes >= self.threshold)

    def keep_nonnegative(self) -> None:
        """Set negative entries of the dictionary to zero."""
        with torch.no_grad():
            self.dictionary.clamp_(min=0)


@dataclass(frozen=True)
class Fitted:
    """A trained autoencoder and how long its training took.

    Parameters
    ----------
    model
        The autoencoder, in evaluation mode.
    scale
        What the rows were divided by.
    seconds
        Time spent on training, without the calls of `watch`.
    """

    model: AuthorsAutoencoder
    scale: float
    seconds: float

    @property
    def dictionary(self) -> Matrix:
        """Modes (mode, channel) in the units of the data."""
        return self.scale * self.model.dictionary.detach().cpu().numpy()

    @torch.no_grad()
    def loadings(self, rows: Matrix) -> Matrix:
        """Loadings (rows, modes)."""
        device = self.model.dictionary.device
        x = torch.as_tensor(rows / self.scale, dtype=torch.float32)
        parts = [self.model.loadings(part.to(device)).cpu() for part in torch.split(x, 4096)]
        return torch.cat(parts).numpy()


Watch = Callable[[Fitted, int], None]


def fit(
    rows: Matrix,
    recipe: Recipe,
    *,
    device: str = "cpu",
    watch: Watch | None = None,
    every: int = 10,
) -> Fitted:
    """Train the authors' autoencoder.

    Parameters
    ----------
    rows
        (rows, channels), at least 0.
    recipe
        Settings.
    device
        Where the autoencoder is; rows come to it batch by batch.
    watch
        Called with the present state and the epochs done, after every `every` epochs and at the
        end; its time is not counted.
    """
    scale = float(rows.std())
    x = torch.as_tensor(rows / scale, dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        start = time.perf_counter()
        model = AuthorsAutoencoder(rows.shape[1], recipe).to(device)
        step = _trainer(model, x, recipe, device)
        spent = time.perf_counter() - start
        for epoch in range(1, recipe.epochs + 1):
            start = time.perf_counter()
            step()
            spent += time.perf_counter() - start
            if watch is not None and (epoch % every == 0 or epoch == recipe.epochs):
                watch(Fitted(model.eval(), scale, spent), epoch)
                model.train()
    return Fitted(model.eval(), scale, spent)


def _trainer(
    model: AuthorsAutoencoder, x: Tensor, recipe: Recipe, device: str
) -> Callable[[], None]:
    """Make the function that trains for one epoch."""
    loader = DataLoader(
        TensorDataset(x),
        batch_size=recipe.batch_size,
        shuffle=True,
        drop_last=recipe.drop_last,
        pin_memory=device.startswith("cuda"),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=10)
    decay = lr_scheduler.StepLR(optimizer, step_size=25, gamma=0.98)

    def epoch() -> None:
        total = 0.0
        for (batch,) in loader:
            optimizer.zero_grad()
            loss = _loss(model, batch.to(device), recipe)
            torch.autograd.backward(loss)
            optimizer.step()
            model.keep_nonnegative()
            total += loss.item()
        if recipe.plateau:
            plateau.step(total / len(loader))
        else:
            decay.step()

    return epoch


def _loss(model: AuthorsAutoencoder, x: Tensor, recipe: Recipe) -> Tensor:
    """Mean squared error, and mean absolute values of dictionary and loadings."""
    z = model.loadings(x)
    loss = nn.functional.mse_loss(z @ model.dictionary, x)
    loss = loss + recipe.l1_dictionary * model.dictionary.abs().mean()
    return loss + recipe.l1_loading * z.mean() if recipe.l1_loading else loss
