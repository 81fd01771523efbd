"""Concept vectors put into a layer, or taken out of it, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from neurocodec.nn.attribution.concepts import Line, laid


def places(scores: Tensor, among: Tensor) -> Tensor:
    """Place (sample, vector) of every vector in the order of its score, the largest first.

    Those that are not among what counts come last, and of equal ones the first.
    """
    order = scores.masked_fill(~among, -torch.inf).argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1)


def sizes(line: Line) -> Tensor:
    """Length (sample, vector) of the loadings of every vector over positions."""
    loadings = line.codes.parts.square().sum(3).flatten(1)
    found = loadings.new_zeros(len(loadings), line.codes.count)
    return found.scatter_add_(1, line.codes.modes, loadings).sqrt_()


@dataclass(frozen=True)
class Written:
    """What is read with some of the vectors of a layer in it, the offset and what stays besides."""

    line: Line

    def read(self, kept: Tensor) -> Tensor:
        """Read with those (sample, vector) that are kept."""
        line, codes = self.line, self.line.codes
        slots = codes.parts.shape[:3]
        weights = kept.gather(1, codes.modes).view(slots).to(codes.parts.dtype)
        made = torch.matmul(weights[:, :, None], codes.parts)[:, :, 0]
        if codes.residual is not None:
            made = made + codes.residual
        with torch.no_grad():
            activation = laid(line.layer, made + self._offset, line.end)
            return line.part.run(line.x, activation)[0]

    @property
    def _offset(self) -> Tensor:
        line = self.line
        maps = line.layer.channels_first(line.start)
        return maps.flatten(2).mT if maps.ndim > 2 else maps[:, None]

    def ends(self) -> tuple[Tensor, Tensor]:
        """Read without any vector, and with all of them."""
        codes = self.line.codes
        none = torch.zeros(
            len(codes.modes), codes.count, dtype=torch.bool, device=codes.modes.device
        )
        return self.read(none), self.read(~none)

    def between(
        self, order: Tensor, total: Tensor, shares: list[float]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Read with the first vectors of an order, and with all but these, share by share."""
        for share in shares:
            first = order < torch.round(share * total)[:, None]
            yield self.read(first), self.read(~first)
