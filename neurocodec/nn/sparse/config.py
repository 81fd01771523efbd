"""Settings of a fit of sparse modes: one frozen configuration, and presets by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

import numpy as np

from neurocodec.arguments import between, is_whole, number, one_of, whole, whole_or_none
from neurocodec.errors import InputError
from neurocodec.vocabulary import Sign

Encoder = Literal["inference", "mlp", "linear"]
Sparsifier = Literal["share", "gate", "topk", "batch_topk", "jump_relu", "pursuit"]
Atoms = Literal["free", "archetypal"]
Precision = Literal["float32", "bfloat16"]
Expansion = float | Literal["auto"]

AUTO: Final = "auto"
_MOST_PER_CHANNEL: Final = 10
_MOST_OF_FEW: Final = 512
_ROWS_OF_A_MODE: Final = 10
"""Bounds of the number of modes that rows are found to have."""

SPARSIFIERS: Final[Mapping[str, tuple[Sparsifier, ...]]] = MappingProxyType(
    {
        "inference": ("share", "topk", "pursuit"),
        "mlp": ("gate", "topk", "batch_topk", "jump_relu"),
        "linear": ("topk", "batch_topk", "jump_relu"),
    }
)
"""Which sparsifiers an encoder can have."""


@dataclass(frozen=True)
class SparseConfig:
    """Everything that a fit of sparse modes depends on, apart from the data.

    Parameters
    ----------
    expansion
        Modes per channel (CODEC: 3 for ResNet-50, 10 for the retina). With "auto" as many modes as
        both halves of the rows have, where more would explain no more of the other half; at most
        10 per channel (of more than 51 channels 512 modes, or one per channel) and one per 10 rows
        that are fitted. Only for "inference".
    threshold
        With sparsifier "share": the strongest loadings of a row that together have this share of
        its energy (sum of squares) are kept, the others are zero. With "gate" (CODEC sec. 4): a
        loading whose gate is below this is zero.
    seed
        Of the split, the start and the order of the rows.
    sign
        Part of the contributions: "excitatory" (positive part), "inhibitory" (negative part),
        "net" (their sum) or "both" (side by side).
    nonnegative
        Whether the dictionary is not negative (apart from the sign of the inhibitory part).
    encoder
        Loadings are solved for (elastic net) with "inference"; "mlp" and "linear" are trained to
        predict them.
    sparsifier
        What makes most loadings zero: "share" (see `threshold`), "gate" (hard threshold on a
        sigmoid), "topk" (the `active` largest of a row), "batch_topk" (the `active` largest per
        row on average over a batch, a fixed threshold afterwards), "jump_relu" (a threshold per
        mode, learned).
    active
        Active modes of a row, which "jump_relu" only aims at; where None, a tenth of the modes.
    l1_loading
        L1 penalty on the loadings. With "inference" in units of the typical length of a row: a
        mode fires that explains more than this part of it. Else weight of the mean loading.
    l2_loading
        Ridge penalty on the loadings, only for "inference": similar modes fire together (Zou and
        Hastie 2005, doi:10.1111/j.1467-9868.2005.00503.x), so that modes and loadings are stable.
    l1_dictionary
        Weight of the L1 norm of the dictionary in the loss; only for trained encoders.
    atoms
        "free", or "archetypal": each mode is a convex combination of `candidates` plus a
        deviation of norm up to `relaxation` (Fel et al. 2025, arXiv:2502.12892).
    candidates
        Number of k-means centres of the rows that archetypal modes are combined from.
    relaxation
        Largest norm of the deviation, in units of the norm of a mode.
    learning_rate
        Of Adam, at its highest; it falls to zero along half a cosine. Only for trained encoders.
    epochs
        Passes over the rows, at most. Where None, 80 for trained encoders; with "inference" as many
        as give 960 steps, of more than 512 modes 256, from 5 to 80: what counts is how often the
        atoms move.
    patience
        Epochs without a lower held-out loss after which a fit stops; None: never.
    batch_size
        Rows per step; with "inference" at least a third of the modes, as the atoms then take no
        longer than the loadings. Fewer where a pass would have less than 16 steps.
    hidden
        Width of the hidden layer of "mlp"; where None, the number of channels, at least 8.
    precision
        Of the products while fitting: "float32" or "bfloat16" (mixed). Only for trained encoders.
    validation
        Part of the rows that is held out.
    """

    expansion: Expansion = AUTO
    threshold: float = 0.9
    seed: int = 0
    sign: Sign = "excitatory"
    nonnegative: bool = True
    encoder: Encoder = "inference"
    sparsifier: Sparsifier = "share"
    active: int | None = None
    l1_loading: float = 0.045
    l2_loading: float = 0.35
    l1_dictionary: float = 0.0
    atoms: Atoms = "free"
    candidates: int = 500
    relaxation: float = 0.3
    learning_rate: float = 3e-3
    epochs: int | None = None
    patience: int | None = None
    batch_size: int = 256
    hidden: int | None = None
    precision: Precision = "float32"
    validation: float = 0.1

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):  # so that every setting can be written as JSON
                object.__setattr__(self, field.name, value.item())
        for name, choices in _CHOICES.items():
            one_of(name, getattr(self, name), choices)
        self._require_ranges()
        self._require_solved()
        if self.sparsifier not in SPARSIFIERS[self.encoder]:
            raise InputError(
                came=f"sparsifier={self.sparsifier!r} with encoder={self.encoder!r}",
                expected=f"one of {', '.join(map(repr, SPARSIFIERS[self.encoder]))}",
                hint=f"nc.SparseModes.preset({self.sparsifier!r})"
                if self.sparsifier in PRESETS
                else f"sparsifier={SPARSIFIERS[self.encoder][0]!r}",
            )
        self._require_used()

    def _require_ranges(self) -> None:
        for name in ("candidates", "batch_size"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        for name in ("active", "epochs", "hidden", "patience"):
            object.__setattr__(self, name, whole_or_none(name, getattr(self, name)))
        if not is_whole(self.seed) or not 0 <= int(self.seed) < 2**63:
            raise InputError(
                came=f"seed={self.seed!r}", expected="a whole number of at least 0, below 2**63"
            )
        object.__setattr__(self, "seed", int(self.seed))
        if not isinstance(self.nonnegative, bool):
            raise InputError(came=f"nonnegative={self.nonnegative!r}", expected="True or False")
        between("threshold", self.threshold)
        for name, (right, expected) in _RANGES.items():
            if name == "expansion" and self.expansion == AUTO:
                continue
            if not right(number(name, getattr(self, name), expected)):
                raise InputError(came=f"{name}={getattr(self, name)!r}", expected=expected)

    def _require_solved(self) -> None:
        """Refuse a number of modes that rows decide where loadings are not solved for."""
        if self.expansion != AUTO or self.encoder == "inference":
            return
        known = SPARSIFIERS[self.encoder]
        chosen = self.sparsifier if self.sparsifier in known else known[0]
        raise InputError(
            came=f"expansion='auto' with encoder={self.encoder!r}",
            expected="a number of modes per channel, or encoder='inference'",
            hint=f"nc.SparseModes(expansion=10, encoder={self.encoder!r}, sparsifier={chosen!r})",
        )

    def _require_used(self) -> None:
        """Refuse settings that would change nothing, so that nobody believes they did."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default and field.name in self.unused():
                raise InputError(
                    came=f"{field.name}={value!r}, which encoder={self.encoder!r} with "
                    f"sparsifier={self.sparsifier!r} and atoms={self.atoms!r} does not use",
                    expected="settings that have an effect",
                    hint=f"leave out {field.name}=",
                )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> SparseConfig:
        """Settings by name (a key of `PRESETS`), some of them changed."""
        settings = PRESETS[one_of("preset", name, PRESETS)]
        known = [f.name for f in dataclasses.fields(cls)]
        for field in changes:
            one_of("setting", field, known)
        return cls(**{**settings, **changes})

    def unused(self) -> tuple[str, ...]:
        """Names of the settings that this encoder, sparsifier and dictionary do not use."""
        found = ["l2_loading"]
        if self.encoder == "inference":
            found = ["l1_dictionary", "learning_rate", "precision"]
        if self.encoder != "mlp":
            found.append("hidden")
        if self.sparsifier == "share":
            found.append("active")
        elif self.sparsifier != "gate":
            found.append("threshold")
        if self.atoms == "free":
            found += ["candidates", "relaxation"]
        return tuple(found)

    def modes(self, channels: int) -> int:
        """Number of modes for so many channels, at least one."""
        if isinstance(self.expansion, str):
            raise InputError(
                came="expansion='auto', of which the number of modes follows from the rows",
                expected="a number",
                hint="modes.fit(data).chosen, or expansion=10",
            )
        return max(1, round(self.expansion * channels))

    def most_modes(self, channels: int, rows: int) -> int:
        """Number of modes that so many rows to fit may get, at most."""
        if self.expansion != AUTO:
            return self.modes(channels)
        by_channels = min(_MOST_PER_CHANNEL * channels, max(_MOST_OF_FEW, channels))
        if channels == 1 and self.nonnegative:  # of which there is a single direction
            return 1
        return max(1, min(by_channels, rows // _ROWS_OF_A_MODE))

    def active_modes(self, modes: int) -> int:
        """Number of active modes of a row that "topk", "batch_topk" and "jump_relu" aim at."""
        return min(modes, max(1, round(0.1 * modes)) if self.active is None else self.active)


_AUTHORS: Final = {"encoder": "mlp", "sparsifier": "gate", "batch_size": 128, "l1_loading": 0.0}
_TRAINED: Final = {"encoder": "linear", "expansion": 10, "epochs": 100, "l1_loading": 0.0}

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "sparse_coding": {},
        "topk": {**_TRAINED, "sparsifier": "topk"},
        "batch_topk": {**_TRAINED, "sparsifier": "batch_topk"},
        "jump_relu": {**_TRAINED, "sparsifier": "jump_relu"},
        "archetypal": {"atoms": "archetypal"},
        "paper_resnet50": {
            **_AUTHORS,
            "expansion": 3,
            "threshold": 0.8,
            "learning_rate": 5e-5,
            "epochs": 300,
            "l1_dictionary": 5e-5,
        },
        "paper_retina": {
            **_AUTHORS,
            "expansion": 10,
            "threshold": 0.9,
            "learning_rate": 1e-5,
            "epochs": 800,
            "l1_dictionary": 1e-4,
        },
    }
)
"""Settings by name; those of the paper are the authors' (design sec. 6)."""

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "sign": get_args(Sign),
        "encoder": get_args(Encoder),
        "sparsifier": get_args(Sparsifier),
        "atoms": get_args(Atoms),
        "precision": get_args(Precision),
    }
)


_POSITIVE: Final = (lambda x: x > 0, "a number above 0")
_WEIGHT: Final = (lambda x: x >= 0, "a number of at least 0")

_RANGES: Final[Mapping[str, tuple[Any, str]]] = MappingProxyType(
    {
        "validation": (lambda x: 0 <= x < 1, "from 0 to below 1"),
        "expansion": (_POSITIVE[0], f"{_POSITIVE[1]}, or 'auto'"),
        "learning_rate": _POSITIVE,
        "l1_loading": _WEIGHT,
        "l2_loading": _WEIGHT,
        "l1_dictionary": _WEIGHT,
        "relaxation": _WEIGHT,
    }
)
