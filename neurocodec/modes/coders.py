"""Scaled rows to loadings and back, for every kind of modes."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from neurocodec.nn.settings import usual
from neurocodec.nn.sparse.model import SparseModel
from neurocodec.nn.sparse.threads import threads_for

STRENGTH: Final = "strength"
_MODEL: Final = "model."


@dataclass(frozen=True)
class Coder(ABC):
    """Modes of scaled rows; each mode's loadings are divided by its `strength`."""

    strength: NDArray[np.float32]  # one number above 0 per mode

    @abstractmethod
    def weak_loadings(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Loadings (rows, modes) before they are divided by `strength`."""

    @abstractmethod
    def weak_atoms(self) -> NDArray[np.float32]:
        """Modes by features before they are multiplied by `strength`."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that the coder consists of, by name."""

    @property
    def offset(self) -> NDArray[np.float32] | None:
        """What is added to loadings times dictionary, (features,); None where nothing is."""
        return None

    @property
    def modes(self) -> int:
        """Number of modes."""
        return len(self.strength)

    def encode(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Loadings (rows, modes) of rows (rows, features)."""
        return self.weak_loadings(rows) / self.strength

    def dictionary(self) -> NDArray[np.float32]:
        """Modes by features."""
        return self.weak_atoms() * self.strength[:, None]

    def decode(self, loadings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows (rows, features) from loadings (rows, modes)."""
        made = loadings @ self.dictionary()
        return made if self.offset is None else made + self.offset

    def strengthened(self, strength: NDArray[np.float32]) -> Self:
        """Make one whose loadings are divided by these numbers as well."""
        return dataclasses.replace(self, strength=self.strength * strength)


@dataclass(frozen=True)
class SparseCoder(Coder):
    """Sparse modes: a fitted model on the device on which loadings are computed."""

    model: SparseModel
    device: torch.device

    @classmethod
    def of(cls, model: SparseModel, device: torch.device) -> Self:
        """Make one whose loadings are the model's."""
        strength = np.ones(len(model.dictionary), dtype=np.float32)
        return cls(strength, model.to(device).eval(), device)

    @torch.no_grad()
    def weak_loadings(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Loadings as the model gives them."""
        with usual(self.device), threads_for(self.model.dictionary.numel()):
            found = self.model.encode(torch.from_numpy(rows).to(self.device))
        return np.asarray(found.cpu().numpy(), dtype=np.float32)

    @torch.no_grad()
    def decode(self, loadings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows from loadings, on the device."""
        with usual(self.device):
            weak = torch.from_numpy(loadings * self.strength).to(self.device)
            return np.asarray(self.model.decode(weak).cpu().numpy(), dtype=np.float32)

    def weak_atoms(self) -> NDArray[np.float32]:
        """Atoms of the model."""
        return np.asarray(self.model.dictionary.detach().cpu().numpy(), dtype=np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """State of the model, and strengths."""
        state = self.model.state_dict()
        return {STRENGTH: self.strength} | {
            f"{_MODEL}{name}": tensor.cpu().numpy().copy() for name, tensor in state.items()
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], model: SparseModel, device: torch.device
    ) -> Self:
        """Fill a model without content with what `arrays` gave."""
        state = {
            name.removeprefix(_MODEL): torch.tensor(values, device="cpu")
            for name, values in arrays.items()
            if name.startswith(_MODEL)
        }
        model.load_state_dict(state)
        model.requires_grad_(requires_grad=False)
        return cls(np.asarray(arrays[STRENGTH]), model.to(device).eval(), device)
