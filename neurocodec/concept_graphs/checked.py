"""Concept vectors of a layer, checked against the network that they are used with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import fingerprint
from neurocodec.network import Network


@dataclass(frozen=True)
class Vectors:
    """Concept vectors of a layer of a network."""

    layer: str
    rows: NDArray[np.float64]  # (mode, channel), of length 1
    offset: NDArray[np.float64]
    modes: tuple[Any, ...]  # their labels
    coder: Any

    @classmethod
    def of(cls, what: str, given: Any, net: Network) -> Vectors:
        """Take fitted concept vectors; refuse those of another layer or of other weights."""
        dictionary = getattr(given, "dictionary", None)
        if dictionary is None or not hasattr(given, "coder"):
            raise InputError(
                came=f"{what} of type {type(given).__name__}",
                expected="fitted concept vectors",
                hint=f"{what}=nc.ConceptVectors().fit(nc.point_vectors(net, images, 'layer1'))",
            )
        if given.layer not in net.layers:
            raise unknown_name(f"layer of {what}", given.layer, net.layers)
        here, there = net.weights_sha256, given.weights_sha256
        if there and here != there:
            raise InputError(
                came=f"{what} of a network with the weights {there[:12]}, for one with {here[:12]}",
                expected="concept vectors of the network that they are used with",
                hint=f"{what}=nc.ConceptVectors().fit(nc.point_vectors(net, images, "
                f"{given.layer!r}))",
            )
        modes = tuple(np.asarray(dictionary[v.MODE]).tolist())
        rows, offset = np.asarray(dictionary, float), np.asarray(given.offset, float)
        return cls(given.layer, rows, offset, modes, given.coder)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.modes)

    @property
    def facts(self) -> dict[str, Any]:
        """What tells them from others."""
        return {"layer": self.layer, "sha256": fingerprint(self.rows, self.offset)}

    def require_channels(self, what: str, channels: int) -> None:
        """Refuse vectors that have another length than the layer."""
        if self.rows.shape[1] != channels:
            raise InputError(
                came=f"{what} of {self.rows.shape[1]} channels for layer {self.layer!r}",
                expected=f"one number for each of its {channels} channels",
            )
