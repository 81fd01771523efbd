"""The shift of the batch norm that ends a layer, which the paper subtracts from its vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurocodec.errors import InputError
from neurocodec.network import Network, require_network
from neurocodec.nn.attribution.pre_activation import ending_norm, net_shift
from neurocodec.rows.origin import require_same_origin

_HINT = "nc.ConceptVectors(center='mean')"


def shift_of(net: Network | None, origin: Mapping[str, Any], channels: int) -> NDArray[np.float32]:
    """What a batch norm adds to vectors of a layer of a network (GIG eq. 8)."""
    if net is None:
        raise InputError(
            came="center='batch_norm' without the network, which has the shift",
            expected="the network that the vectors are of",
            hint="vectors.fit(rows, net=net)",
        )
    layers = require_network(net).layers
    alias = str(origin.get("layer", ""))
    if alias not in layers:
        raise InputError(
            came=f"center='batch_norm' for vectors of the layer {alias!r}",
            expected=f"vectors of one of the network's layers {[*layers]}",
            hint="nc.point_vectors(net, images, 'layer3.1')",
        )
    require_same_origin({"weights_sha256": net.facts.get("weights_sha256")}, origin, "a network")
    norm = ending_norm(net.module, layers[alias], _HINT)
    shift = net_shift(norm).cpu().numpy()
    if len(shift) != channels:
        raise InputError(
            came=f"a batch norm of {len(shift)} channels, for vectors of {channels}",
            expected="vectors of what the batch norm returns",
            hint=_HINT,
        )
    return np.asarray(shift, np.float32)
