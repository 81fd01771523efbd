"""Concept vectors of a layer, checked against the network that they are used with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from neurocodec import vocabulary as v
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import fingerprint, provenance
from neurocodec.modes.concept_vectors.vectors import ConceptVectors
from neurocodec.network import Network
from neurocodec.rows.origin import source_of


@dataclass(frozen=True)
class Vectors:
    """Concept vectors of a layer of a network."""

    what: str  # source or target
    layer: str
    rows: NDArray[np.float32]  # (mode, channel), of length 1
    offset: NDArray[np.float32]
    modes: tuple[Any, ...]  # their labels
    coder: Any  # `ConceptVectors.coder`
    weights: str  # fingerprint of the network that they were fitted to; empty where not known

    @classmethod
    def of(cls, what: str, given: Any, net: Network) -> Self:
        """Take fitted concept vectors; refuse those of another layer or of other weights."""
        if not isinstance(given, ConceptVectors) or not given.is_fitted:
            raise InputError(
                came=f"{what} of type {type(given).__name__}"
                + (", not fitted" if isinstance(given, ConceptVectors) else ""),
                expected="fitted concept vectors"
                + ("" if what == "source" else ", or an instance of one of nc.targets"),
                hint=f"{what}=nc.ConceptVectors().fit(nc.point_vectors(net, images, 'layer1'))",
            )
        dictionary, layer = given.dictionary, given.layer
        if layer not in net.layers:
            raise unknown_name(f"layer of the {what}'s", layer, net.layers)
        origin = source_of(dict(provenance(dictionary).get("contributions") or {}))
        modes = tuple(np.asarray(dictionary[v.MODE]).tolist())
        rows, offset = np.asarray(dictionary), np.asarray(given.offset)
        return cls(what, layer, rows, offset, modes, given.coder, origin.get("weights_sha256", ""))

    def __len__(self) -> int:
        return len(self.modes)

    @property
    def facts(self) -> dict[str, Any]:
        """What tells them from others."""
        return {"layer": self.layer, "sha256": fingerprint(self.rows, self.offset)}

    def require_of(self, weights: str, channels: int) -> None:
        """Refuse vectors of a network with other weights, or of another length than the layer."""
        hint = f"{self.what}=nc.ConceptVectors().fit(nc.point_vectors(net, images, {self.layer!r}))"
        if self.weights and self.weights != weights:
            raise InputError(
                came=f"{self.what} of a network with the weights {self.weights[:12]}, for one with"
                f" {weights[:12]}",
                expected="concept vectors of the network that they are used with",
                hint=hint,
            )
        if self.rows.shape[1] != channels:
            raise InputError(
                came=f"{self.what} of {self.rows.shape[1]} channels for layer {self.layer!r}",
                expected=f"one number for each of its {channels} channels",
                hint=hint,
            )
