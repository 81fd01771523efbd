"""Elastic net where a row has few of many modes: each row is solved on its candidates alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from neurocodec.nn.sparse.coding import descend, nonnegative_bound

_EXTRA: Final = 16
"""Candidates of a row beside its active modes."""
_WIDTHS: Final = 8
"""Numbers of candidates are multiples of this."""
_ROUNDS: Final = 40
_STEPS: Final = 60
_NEAR: Final = 2**19
"""Products of candidates that are worked on at a time, so that they stay in the processor's cache.
"""
_GATHERED: Final = 32
"""Rows whose candidates are gathered at a time, likewise."""
_TOLERANCE: Final = (1e-4, 1e-5)
"""Gradient of a mode, in lengths of the row, that is left, with a ridge and with next to none. What
the mode could gain then is below 1e-8 of the energy of the row."""
WEAK: Final = 0.1
"""Ridge below which more steps are needed: of 80 modes of 8 channels, 150 without a ridge leave the
objective 3e-2 above its least value, rounds of 60 1e-3, rounds of 200 1e-6."""
_LONG: Final = 200


@dataclass(frozen=True)
class Codes:
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
        return cls(index, value)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Codes of the rows of several parts, as wide as the widest."""
        width = max(part.value.shape[1] for part in parts)
        fills = [(0, width - part.value.shape[1]) for part in parts]
        index = [F.pad(part.index, fill) for part, fill in zip(parts, fills, strict=True)]
        value = [F.pad(part.value, fill) for part, fill in zip(parts, fills, strict=True)]
        return cls(torch.cat(index), torch.cat(value))

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
        made: Tensor = F.embedding_bag(self.index, atoms, per_sample_weights=self.value, mode="sum")
        return made


def active_net(
    rows: Tensor,  # x, (rows, channels)
    atoms: Tensor,  # D, (modes, channels)
    l1: Tensor,  # a number
    l2: Tensor | float,
    *,
    start: Codes | None = None,
    rounds: int = _ROUNDS,  # at most; a row is settled earlier where no mode at rest should fire
    steps: int | None = None,  # of a round; as many as the ridge asks for where None
) -> Codes:
    """Argmin over z >= 0 of 1/2 |x - z D|^2 + l1 sum(z) + l2/2 |z|^2, as `elastic_net`."""
    # In each round the candidates of a row are its active modes and those at rest that its residual
    # goes along with most. Settled is a row for which the conditions of optimality (Karush, Kuhn,
    # Tucker) hold for all modes: the gradient is 0 where a mode is active, and not above where it
    # is at rest. A settled row is left alone, so that its codes do not depend on how long others
    # take.
    found = Codes.none(len(rows), 1, rows.device) if start is None else start
    weak = steps is None and float(l2) < WEAK
    steps = (_LONG if weak else _STEPS) if steps is None else steps
    left, limit = torch.arange(len(rows), device=rows.device), _limit(rows, _TOLERANCE[weak])
    problem: _Problem | None = None
    for done in range(rounds):
        before = Codes(found.index[left], found.value[left])
        slack = (rows[left] - before.times(atoms)) @ atoms.T - l1
        codes = before.dense(len(atoms))
        if done:
            wrong = slack - l2 * codes
            over = (torch.where(codes > 0, wrong.abs(), wrong) > limit[left]).any(dim=1)
            if not over.any():
                break
            left, slack, codes = left[over], slack[over], codes[over]
        width = _width(codes)
        score = torch.where(codes > 0, torch.inf, slack)
        index = score.topk(width, dim=1, sorted=False).indices.sort(dim=1).values
        problem = problem or _Problem(atoms, l2, _gram(atoms, len(rows), width))
        better = problem.solved(Codes(index, codes.gather(1, index)), slack, steps)
        found = _put(found, left, better)
    return found


def refitted(rows: Tensor, atoms: Tensor, l2: float, codes: Tensor, steps: int) -> Tensor:
    """Codes (rows, modes) fitted again with the ridge alone where they are above 0."""
    before = Codes.of(codes)
    slack = (rows - before.times(atoms)) @ atoms.T
    problem = _Problem(atoms, l2, _gram(atoms, *before.index.shape))
    return problem.solved(before, slack, steps, fixed=True).dense(len(atoms))


def _gram(atoms: Tensor, rows: int, width: int) -> Tensor | None:
    """Products of all modes, where these are fewer than those of the candidates of each row."""
    return atoms @ atoms.T if len(atoms) ** 2 <= rows * width**2 else None


def _limit(rows: Tensor, part: float) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return part * length


def _width(codes: Tensor) -> int:
    """Number of candidates, such that every row has more than its active modes."""
    most = int((codes > 0).sum(dim=1).max())
    return min(codes.shape[1], -(-(most + _EXTRA) // _WIDTHS) * _WIDTHS)


@dataclass(frozen=True)
class _Problem:
    """What all rows have in common."""

    atoms: Tensor
    l2: Tensor | float
    gram: Tensor | None  # D D', where it is known

    def solved(self, codes: Codes, slack: Tensor, steps: int, *, fixed: bool = False) -> Codes:
        """Solve rows on the modes of their codes; `slack` is (x - z D) D' - l1, of all modes."""
        index, value = codes.index.int(), torch.empty_like(codes.value)
        size = max(1, _NEAR // index.shape[1] ** 2) if index.device.type == "cpu" else len(index)
        for place in range(0, len(index), max(1, size)):
            part = slice(place, place + size)
            start, inner = codes.value[part, None], self._inner(index[part])
            drive = slack[part].gather(1, codes.index[part])[:, None] + start @ inner
            inner.diagonal(dim1=1, dim2=2).add_(self.l2)
            support = start > 0 if fixed else None  # what is 0 stays 0
            bound = nonnegative_bound(inner)
            better = descend(drive, inner, self.l2, bound, start, support=support, iterations=steps)
            value[part] = better[:, 0]
        return Codes(codes.index, value)

    def _inner(self, index: Tensor) -> Tensor:
        """Products of the candidates of each row, (rows, n, n)."""
        if self.gram is None:
            found = self.atoms.new_empty(*index.shape, index.shape[1])
            some = _GATHERED if index.device.type == "cpu" else len(index)
            for part, made in zip(torch.split(index, some), torch.split(found, some), strict=True):
                chosen = self.atoms[part]
                torch.bmm(chosen, chosen.transpose(1, 2), out=made)
            return found
        flat = index[:, :, None] * len(self.gram) + index[:, None, :]
        return self.gram.view(-1).index_select(0, flat.view(-1)).view(flat.shape)


def _put(found: Codes, places: Tensor, better: Codes) -> Codes:
    """Codes with some rows replaced, as wide as the widest."""
    wide = max(found.index.shape[1], better.index.shape[1])
    fill, last = (0, wide - found.index.shape[1]), (0, wide - better.index.shape[1])
    index, value = F.pad(found.index.long(), fill), F.pad(found.value, fill)
    index[places], value[places] = F.pad(better.index, last), F.pad(better.value, last)
    return Codes(index, value)
