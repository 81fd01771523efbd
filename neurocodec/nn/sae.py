"""A sparse autoencoder of contributions: encoder with gates, dictionary of modes (CODEC sec. 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from neurocodec.errors import InputError, unknown_name

Sign = Literal["excitatory", "inhibitory", "net", "both"]

_SOFTPLUS_BETA: Final = 4.0
_GATE_GAIN: Final = 4.0
"""Slope of a gate's logit with the cosine between row and mode, before training."""


@dataclass(frozen=True)
class SparseConfig:
    """Everything that a fit of sparse modes depends on, apart from the data.

    Parameters
    ----------
    expansion
        Number of modes per channel (CODEC: 3 for ResNet-50, 10 for the retina).
    threshold
        A mode whose gate is below this has a loading of zero; between 0 and 1. Gates are trained
        relative to it, so that it sets the range of open gates; how many modes are active is set
        by `l1_loading`.
    seed
        Seed of the split, the start and the order of the rows.
    sign
        Which part of the contributions is decomposed: "excitatory" (positive part),
        "inhibitory" (negative part), "net" (their sum) or "both" (side by side).
    nonnegative
        Whether the dictionary is not negative (apart from the sign of the inhibitory part).
    l1_loading
        L1 penalty on the loadings while the dictionary is learned, in standard deviations of
        the data: what sets how many modes are active.
    l1_dictionary
        L1 penalty on the dictionary while the autoencoder is trained.
    support_weight
        Weight, against the mean squared error, of the cross-entropy between the gates and which
        modes the sparse codes use.
    learning_rate
        Of Adam for the encoder, at its highest; it falls to zero along half a cosine.
    dictionary_epochs
        Passes over the rows that learn the dictionary by sparse coding.
    epochs
        Passes over the rows that train the autoencoder.
    batch_size
        Rows per step; fewer where an epoch would have less than 16 steps.
    hidden
        Width of the encoder's two hidden layers; where None, that of `width`.
    validation
        Part of the rows that is held out.

    Raises
    ------
    InputError
        Where a value is out of its range.

    Examples
    --------
    >>> SparseConfig(expansion=3, threshold=0.8).modes(64)
    192
    """

    expansion: float = 10
    threshold: float = 0.9
    seed: int = 0
    sign: Sign = "excitatory"
    nonnegative: bool = True
    l1_loading: float = 0.2
    l1_dictionary: float = 1e-4
    support_weight: float = 3.0
    learning_rate: float = 3e-3
    dictionary_epochs: int = 100
    epochs: int = 60
    batch_size: int = 256
    hidden: int | None = None
    validation: float = 0.1

    def __post_init__(self) -> None:
        if self.sign not in get_args(Sign):
            raise unknown_name("sign", self.sign, get_args(Sign))
        _require("seed", self.seed, 0 <= self.seed < 2**63, "an integer of at least 0")
        _require("threshold", self.threshold, 0 < self.threshold < 1, "between 0 and 1, open")
        _require("validation", self.validation, 0 <= self.validation < 1, "from 0 to below 1")
        for name in ("expansion", "learning_rate"):
            value = getattr(self, name)
            _require(name, value, value > 0 and math.isfinite(value), "a number above 0")
        for name in ("l1_loading", "l1_dictionary", "support_weight"):
            value = getattr(self, name)
            _require(name, value, 0 <= value < math.inf, "a number of at least 0")
        for name in ("dictionary_epochs", "epochs", "batch_size", "hidden"):
            value = getattr(self, name)
            if name != "hidden" or value is not None:
                _require(name, value, isinstance(value, int) and value > 0, "an integer above 0")

    def modes(self, channels: int) -> int:
        """Number of modes for so many channels, at least one."""
        return max(1, round(self.expansion * channels))

    def width(self, channels: int) -> int:
        """Width of the hidden layers: 8 per channel, from 64 to 256 or the number of channels.

        Wider encoders of few channels learn the rows by heart.
        """
        if self.hidden is not None:
            return self.hidden
        return max(64, min(8 * channels, max(256, channels)))


def _require(name: str, value: object, right: bool, expected: str) -> None:
    if not right:
        raise InputError(came=f"{name}={value!r}", expected=expected)


class GatedEncoder(nn.Module):
    """Loadings of rows: for each mode a gate (whether) times a magnitude (how much).

    A multilayer perceptron with layer norm, ending in a sigmoid, beside a linear path that starts
    as the dictionary's transpose. Layer norm forgets the length of a row; the gate gets it back
    as an input and the magnitude as a factor, so that a row twice as large has loadings about
    twice as large.

    Parameters
    ----------
    channels
        Length of a row.
    modes
        Number of modes.
    hidden
        Width of the hidden layers.
    generator
        Random numbers of the start; the global ones are not touched.

    Examples
    --------
    >>> encoder = GatedEncoder(3, 6, 8, torch.Generator().manual_seed(0))
    >>> logit, magnitude = encoder(torch.ones(2, 3))
    >>> tuple(logit.shape), bool((magnitude >= 0).all())
    ((2, 6), True)
    """

    def __init__(self, channels: int, modes: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.inward = _linear(channels + 1, hidden, generator)
        self.first_norm = nn.LayerNorm(hidden)
        self.middle = _linear(hidden, hidden, generator)
        self.second_norm = nn.LayerNorm(hidden)
        self.outward = _linear(hidden, 2 * modes, generator, gain=0.1)
        self.direct = _linear(channels, 2 * modes, generator)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the gates and magnitudes, both (rows, modes)."""
        length = rows.norm(dim=1, keepdim=True)
        direction = rows / (length + 1e-3)
        hidden = F.gelu(self.first_norm(self.inward(torch.cat([direction, length.log1p()], dim=1))))
        hidden = hidden + F.gelu(self.second_norm(self.middle(hidden)))
        logit, size = (self.outward(hidden) + self.direct(direction)).chunk(2, dim=1)
        return logit, length * F.softplus(size, beta=_SOFTPLUS_BETA)

    @torch.no_grad()
    def tie(self, modes: Tensor, atoms: Tensor) -> None:
        """Let the linear path of these modes measure the cosine with their atoms."""
        count = self.direct.out_features // 2
        for offset, gain in ((0, _GATE_GAIN), (count, 1.0)):
            self.direct.weight[modes + offset] = gain * atoms
            self.direct.bias[modes + offset] = 0.0

    @torch.no_grad()
    def calibrate(self, modes: Tensor, rows: Tensor, share: Tensor, logit: float) -> None:
        """Shift the gates of these modes so that each opens on its share of the rows."""
        logits = self(rows)[0][:, modes].sort(dim=0, descending=True).values
        rank = (share * len(rows)).long().clamp(0, len(rows) - 1)
        self.direct.bias[modes] += logit - logits.gather(0, rank[None])[0]


def _linear(inputs: int, outputs: int, generator: torch.Generator, gain: float = 1.0) -> nn.Linear:
    """Build a linear layer whose start comes from the given generator alone."""
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device=generator.device)
    bound = gain / math.sqrt(inputs)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


class SparseAutoencoder(nn.Module):
    """Encoder, threshold and dictionary.

    A loading is gate * magnitude where the gate reaches the threshold, else exactly zero
    (CODEC sec. 4 has the gate alone; without a magnitude a mode cannot say how strong it is,
    and rows that differ tenfold in size need ten times as many modes).

    Parameters
    ----------
    channels
        Length of a row.
    modes
        Number of modes.
    config
        Threshold, width and whether the dictionary is non-negative.
    generator
        Random numbers of the start.

    Examples
    --------
    >>> model = SparseAutoencoder(3, 6, SparseConfig(), torch.Generator().manual_seed(0))
    >>> model.decode(model.encode(torch.zeros(2, 3))).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    strength: Tensor

    def __init__(
        self, channels: int, modes: int, config: SparseConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = GatedEncoder(channels, modes, config.width(channels), generator)
        start = torch.zeros(modes, channels, device=generator.device)
        self.dictionary = nn.Parameter(start)
        self.register_buffer("strength", start.new_ones(modes))

    @property
    def open_logit(self) -> float:
        """Logit at which a gate reaches the threshold."""
        return math.log(self.config.threshold / (1.0 - self.config.threshold))

    def encode(self, rows: Tensor) -> Tensor:
        """Loadings of rows, (rows, modes)."""
        return self.loadings(*self.encoder(rows))

    def loadings(self, logit: Tensor, magnitude: Tensor) -> Tensor:
        """Loadings from the logits of the gates and the magnitudes."""
        gate = torch.sigmoid(logit)
        return torch.where(gate >= self.config.threshold, gate * magnitude, 0.0) / self.strength

    def decode(self, loadings: Tensor) -> Tensor:
        """Rows from loadings, (rows, channels)."""
        return loadings @ self.dictionary

    @torch.no_grad()
    def start_modes(self, modes: Tensor, atoms: Tensor, rows: Tensor, codes: Tensor) -> None:
        """Start modes at atoms of norm 1, with gates open on as many rows as their codes."""
        self.dictionary[modes] = atoms
        self.encoder.tie(modes, atoms)
        share = (codes[:, modes] > 0).float().mean(dim=0)
        self.encoder.calibrate(modes, rows, share, self.open_logit)

    @torch.no_grad()
    def constrain(self) -> None:
        """Put the dictionary back at or above zero, where it has to be."""
        if self.config.nonnegative:
            self.dictionary.clamp_(min=0.0)

    @torch.no_grad()
    def standardise(self, rows: Tensor) -> None:
        """Scale each mode so that its loading, where it is active, is 1 on average."""
        loadings = self.encode(rows)
        active = (loadings > 0).sum(dim=0)
        typical = torch.where(active > 0, loadings.sum(dim=0) / active.clamp_min(1), 1.0)
        self.strength.mul_(typical)
        self.dictionary.mul_(typical[:, None])


def autoencoder_loss(model: SparseAutoencoder, rows: Tensor, codes: Tensor) -> Tensor:
    """Mean squared error, cross-entropy of the gates and L1 norm of the dictionary.

    To predict sparse codes is predictive sparse decomposition (Kavukcuoglu, Ranzato and LeCun
    2010, arXiv:1010.3467); the L1 norm of the loadings is in the codes. Gates learn from the
    cross-entropy alone: it reaches every gate of every row, also those that are shut, so that no
    mode is ever without a gradient, while the squared error would only tell open gates to close.
    Its logits are measured from the threshold, so that a gate opens where its mode is more
    likely active than not, whatever the threshold.

    Parameters
    ----------
    model
        The autoencoder.
    rows
        Shape (batch, channels).
    codes
        Sparse codes of the rows, shape (batch, modes); only which are positive counts.

    Returns
    -------
    torch.Tensor
        A scalar.

    Examples
    --------
    >>> model = SparseAutoencoder(3, 6, SparseConfig(), torch.Generator().manual_seed(0))
    >>> autoencoder_loss(model, torch.ones(2, 3), torch.zeros(2, 6)).shape
    torch.Size([])
    """
    logit, magnitude = model.encoder(rows)
    error = F.mse_loss(model.decode(model.loadings(logit.detach(), magnitude)), rows)
    support = F.binary_cross_entropy_with_logits(logit - model.open_logit, (codes > 0).float())
    size = model.dictionary.abs().sum(dim=1).mean()
    return error + model.config.support_weight * support + model.config.l1_dictionary * size
