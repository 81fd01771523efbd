"""Elastic net where a row has few of many modes: each row is solved on its candidates alone."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from neurocodec.nn.sparse.coding import descend

FEW: Final = 64
"""Up to so many modes one product with all of them costs less than a product for each row."""
_TINY: Final = 1e-8
_EXTRA: Final = 32
"""Candidates of a row beside its active modes."""
_WIDTHS: Final = 8
"""Numbers of candidates are multiples of this."""
_ROUNDS: Final = 12
_STEPS: Final = 40
_TOLERANCE: Final = 3e-4
"""Correlation, in lengths of the row, by which a mode at rest may exceed its penalty. What it could
gain then is below 1e-7 of the energy of the row."""


class Codes(NamedTuple):
    """Codes of rows at their active modes."""

    index: Tensor  # (rows, width) of modes; what is padding has the value 0
    value: Tensor  # (rows, width), at least 0

    @classmethod
    def none(cls, rows: int, width: int, device: torch.device) -> Self:
        """Codes of rows on which no mode is active."""
        index = torch.zeros(rows, width, dtype=torch.int32, device=device)
        return cls(index, torch.zeros(rows, width, dtype=torch.float32, device=device))

    @classmethod
    def of(cls, dense: Tensor, width: int | None = None) -> Self:
        """Take the largest codes of each row (rows, modes): all that are above 0 where None."""
        width = int((dense > 0).sum(dim=1).max()) if width is None and len(dense) else width
        value, index = dense.topk(min(max(width or 0, 1), dense.shape[1]), dim=1, sorted=False)
        return cls(index.int(), value)

    def cut(self, width: int) -> Self:
        """Keep so many of each row, the largest; filled up where there are fewer."""
        value, place = self.value.topk(min(width, self.value.shape[1]), dim=1, sorted=False)
        fill = (0, width - value.shape[1])
        return type(self)(F.pad(self.index.gather(1, place), fill), F.pad(value, fill))

    def dense(self, modes: int) -> Tensor:
        """Codes (rows, modes)."""
        found = self.value.new_zeros(len(self.value), modes)
        return found.scatter_add_(1, self.index.long(), self.value)

    def times(self, atoms: Tensor) -> Tensor:
        """Rows (rows, channels) that these codes of atoms (modes, channels) make."""
        made: Tensor = F.embedding_bag(
            self.index, atoms, per_sample_weights=self.value, mode="sum"
        )
        return made


def active_net(
    rows: Tensor,  # x, (rows, channels)
    atoms: Tensor,  # D, (modes, channels)
    l1: Tensor,  # a number
    l2: Tensor | float,
    *,
    start: Codes | None = None,
    rounds: int = _ROUNDS,  # at most; a row is settled earlier where no mode at rest should fire
    steps: int = _STEPS,
) -> Codes:
    """Argmin over z >= 0 of 1/2 |x - z D|^2 + l1 sum(z) + l2/2 |z|^2, as `elastic_net`."""
    # In each round the candidates of a row are its active modes and those at rest that its residual
    # goes along with most. Settled is a row for which these no longer exceed the penalty: then the
    # conditions of optimality (Karush, Kuhn, Tucker) hold for all modes. A settled row is left
    # alone, so that its codes do not depend on how long others take.
    found = Codes.none(len(rows), 1, rows.device) if start is None else start
    open_rows, limit = torch.arange(len(rows), device=rows.device), _limit(rows)
    gram = None
    for place in range(rounds):
        part, before = rows[open_rows], Codes(*(t[open_rows] for t in found))
        slack = (part - before.times(atoms)) @ atoms.T - l1
        codes = before.dense(len(atoms))
        score = torch.where(codes > 0, torch.inf, slack)
        if place:
            over = ((score > limit[open_rows]) & (codes == 0)).any(dim=1)
            if not over.any():
                break
            open_rows, slack, codes, score = (t[over] for t in (open_rows, slack, codes, score))
        width = _width(codes)
        index = score.topk(width, dim=1, sorted=False).indices.sort(dim=1).values
        if gram is None and len(atoms) ** 2 <= len(rows) * width**2:
            gram = atoms @ atoms.T
        better = _solved(Codes(index, codes.gather(1, index)), slack, atoms, gram, l2, steps)
        found = _put(found, open_rows, better)
    return found


def refitted(rows: Tensor, atoms: Tensor, l2: float, codes: Tensor, steps: int) -> Tensor:
    """Codes (rows, modes) fitted again with the ridge alone where they are above 0."""
    before = Codes.of(codes)
    before = Codes(before.index.long(), before.value)
    slack = (rows - before.times(atoms)) @ atoms.T
    gram = atoms @ atoms.T if len(atoms) ** 2 <= before.index.numel() * before.index.shape[1] else None
    return _solved(before, slack, atoms, gram, l2, steps, fixed=True).dense(len(atoms))


def _limit(rows: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return _TOLERANCE * length


def _width(codes: Tensor) -> int:
    """Number of candidates, such that every row has more than its active modes."""
    most = int((codes > 0).sum(dim=1).max())
    return min(codes.shape[1], -(-(most + _EXTRA) // _WIDTHS) * _WIDTHS)


def _solved(
    codes: Codes,
    slack: Tensor,  # (x - z D) D' - l1, (rows, modes), with these codes
    atoms: Tensor,
    gram: Tensor | None,  # D D', where it is known
    l2: Tensor | float,
    steps: int,
    *,
    fixed: bool = False,  # whether what is 0 stays 0
) -> Codes:
    """Solve each row on its modes alone: products of width by width."""
    index, start = codes.index, codes.value[:, None]
    if gram is None:
        chosen = atoms[index]
        inner = chosen @ chosen.transpose(1, 2)
    else:
        flat = index[:, :, None] * len(atoms) + index[:, None, :]
        inner = gram.view(-1).index_select(0, flat.view(-1)).view(flat.shape)
    drive = slack.gather(1, index)[:, None] + start @ inner
    inner.diagonal(dim1=1, dim2=2).add_(l2)
    support = start > 0 if fixed else None
    value = descend(drive, inner, l2, _bound(inner), start, support=support, iterations=steps)
    return Codes(index, value[:, 0])


def _bound(inner: Tensor) -> Tensor:
    """Bound of the largest eigenvalue of each of many matrices (rows, n, n): (rows, 1, 1)."""
    # Of a non-negative matrix it is at most the largest (G v)_i / v_i, whatever v > 0 is
    # (Collatz 1942, Wielandt 1950); nearer to it with every product.
    size = inner.abs()
    vector = size.sum(dim=2, keepdim=True).add_(_TINY)
    for _ in range(2):
        new = size @ vector
        ratio = (new / vector).amax(dim=1, keepdim=True)
        vector = new / new.amax(dim=1, keepdim=True) + _TINY
    return ratio.clamp_min(_TINY)


def _put(found: Codes, places: Tensor, better: Codes) -> Codes:
    """Codes with some rows replaced, as wide as the widest."""
    wide = max(found.index.shape[1], better.index.shape[1])
    fill, last = (0, wide - found.index.shape[1]), (0, wide - better.index.shape[1])
    if len(places) == len(found.index):
        return Codes(F.pad(better.index, last), F.pad(better.value, last))
    index, value = F.pad(found.index.long(), fill), F.pad(found.value, fill)
    index[places], value[places] = F.pad(better.index, last), F.pad(better.value, last)
    return Codes(index, value)
