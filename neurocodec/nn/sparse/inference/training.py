"""Learn dictionaries by sparse coding, several fits side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from neurocodec.kernels import scores
from neurocodec.nn.device import widest
from neurocodec.nn.sparse.active import Codes
from neurocodec.nn.sparse.archetypes import project, typical_rows
from neurocodec.nn.sparse.coding import unit_rows
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.dictionary import (
    OnlineDictionary,
    add_moments,
    centre_directions,
    draw_orders,
    least_squares_dictionary,
    residual_directions,
)
from neurocodec.nn.sparse.inference.memory import Memory
from neurocodec.nn.sparse.inference.model import CHUNK, FEW, InferenceModel, sparsify
from neurocodec.nn.sparse.loop import Epoch
from neurocodec.nn.sparse.model import SparseModel
from neurocodec.nn.sparse.schedule import passes, rows_of_a_step, steps_of_a_visit
from neurocodec.nn.sparse.source import Source, sample_rows

_EASING: Final = 0.4
"""Part of the epochs in which the penalties fall to their values. They start at `_STRICT` times
these, where rows are nearly cluster members and every seed finds the same modes, and the modes
split from there. Without, fewer modes come back in a fit to other rows (CIFAR ResNet-56, two fits
to nine tenths of the rows each: 0.57 in place of 0.69 at block 22), at the same R2."""
_STRICT: Final = (5.0, 3.0)
_FORGETTING: Final = 4.0
"""Times that the rows of a pass replace what the atoms are learned from, in the first pass; once in
the last. What codes of earlier atoms say holds atoms back: with 1 all along half as many steps more
are needed for the same R2 and as many modes that come back."""
_REVIVE_UNTIL: Final = 0.8
"""Modes are revived in this first part of the epochs, so that the last of them can still learn."""
_COLD_STEPS: Final = 40
_SAMPLE: Final = 250
"""Rows, at equal distances, that the scores of an epoch are taken on."""
_START_ROWS: Final = 20_000
"""Rows that the start of a dictionary is drawn from."""
_TIE: Final = 0.25
"""See `least_squares_dictionary`: below, modes differ between seeds; above, R2 falls."""

_HELD_FAST: Final = 1e6
"""The same tie for archetypal modes, which a least-squares step would take from their rows."""
_PROJECTION_STEPS: Final = 50
"""Once per epoch, as it costs as much as the rest of it; the weights of the last are close."""


class InferenceTraining:
    """Sparse coding and online dictionary learning in turn, for a stack of fits: a `Training`."""

    def __init__(self, source: Source, held: Source, configs: Sequence[SparseConfig]) -> None:
        self.source, self.held, self.configs = source, held, list(configs)
        self.generators = [
            torch.Generator(source.device).manual_seed(config.seed) for config in configs
        ]
        self.modes = configs[0].modes(source.channels)
        self.passes = passes(configs[0], source)
        self.size = rows_of_a_step(configs[0], source)
        self.steps = steps_of_a_visit(self.modes)
        self.row_length = _root_mean_square(source)
        self.l1 = self.row_length * self._column([c.l1_loading for c in configs])
        self.l2 = self._column([c.l2_loading for c in configs])
        start = sample_rows(source, _START_ROWS)
        self.hull = _Hull(start, configs[0], self.generators)
        self.learner = OnlineDictionary(self._start(start), nonnegative=configs[0].nonnegative)
        self.memory = self._memory(source.count if source.resident else 0)
        self.samples = [sample_rows(s, _SAMPLE) for s in (source, held)]
        self.sample_memories = [self._memory(s.shape[1]) for s in self.samples]
        self.used = torch.zeros(source.fits, self.modes, dtype=torch.int64, device=source.device)
        self.kept: dict[int, Tensor] = {}
        self.known: dict[int, list[Codes]] = {}
        self.done = 0

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.source.device)[:, None, None]

    def _memory(self, rows: int) -> Memory:
        return Memory(self.source.fits, rows, self.modes, self.source.device)

    def _start(self, rows: Tensor) -> Tensor:
        pairs = zip(rows, self.generators, strict=True)
        return torch.stack([centre_directions(r, self.modes, g) for r, g in pairs])

    def _penalties(self, seen: float = 0.0) -> tuple[Tensor, Tensor]:
        """L1 and L2 after so many passes, and that part of the one that goes on."""
        left = max(0.0, 1.0 - (self.done + seen) / (_EASING * self.passes))
        return self.l1 * _STRICT[0] ** left, self.l2 * _STRICT[1] ** left

    @torch.no_grad()
    def epoch(self) -> list[Epoch]:
        """One pass over the rows; what each fit reached."""
        self.used.zero_()
        seen = 0
        for rows in self.source.blocks(self.generators[0]):
            memory = self.memory if self.source.resident else self._cold(rows, seen)
            self._learn(rows, memory, seen)
            seen += rows.shape[1]
        if self.done + 1 < _REVIVE_UNTIL * self.passes:
            self._revive(rows, memory)
        self.learner.atoms = self.hull.project(self.learner.atoms)
        self.done += 1
        return self._scores()

    def _cold(self, rows: Tensor, seen: int) -> Memory:
        """Codes of rows of a file, which none are kept of."""
        memory, every = self._memory(rows.shape[1]), _every(rows)
        penalties = self._penalties(seen / self.source.count)
        memory.solve(rows, self.learner.atoms, penalties, every, _COLD_STEPS)
        return memory

    def _learn(self, rows: Tensor, memory: Memory, seen: int) -> None:
        """Go through the rows in batches, and bring their codes up to date."""
        order = draw_orders(rows.shape[1], self.generators)
        fit = torch.arange(len(order), device=order.device)[:, None]
        for batch in torch.split(order, self.size, dim=1):
            part, penalties = rows[fit, batch], self._penalties(seen / self.source.count)
            found = memory.solve(part, self.learner.atoms, penalties, batch, self.steps)
            self.used += (found > 0).sum(dim=1)
            turn = (self.done * self.source.count + seen) // self.size
            self.learner.update(part, found, forget=self._forget(batch.shape[1]), turn=turn)
            seen += batch.shape[1]

    def _forget(self, rows: int) -> float:
        """Part of the past that so many rows replace."""
        # once all along of a file, whose blocks are unlike one another
        left = 1.0 - self.done / self.passes if self.source.resident else 0.0
        return min(1.0, (1.0 + (_FORGETTING - 1.0) * left) * rows / self.source.count)

    def _revive(self, rows: Tensor, memory: Memory) -> None:
        """Start modes that no row used again, at badly explained rows."""
        some = slice(0, _START_ROWS)
        for fit, used in enumerate(self.used):
            dead = (used == 0).nonzero()[:, 0]
            if len(dead):
                left = rows[fit, some] - memory.made(fit, self.learner.atoms[fit], some)
                atoms = residual_directions(
                    left,
                    len(dead),
                    self.generators[fit],
                    nonnegative=self.learner.nonnegative,
                )
                self.learner.restart(fit, dead, atoms)

    def _scores(self) -> list[Epoch]:
        """Scores with the penalties as they will be, before the last least-squares step."""
        losses, r2s = [], []
        for memory, rows in zip(self.sample_memories, self.samples, strict=True):
            penalties, atoms = (self.l1, self.l2), self.learner.atoms
            codes = memory.solve(rows, atoms, penalties, _every(rows), self.steps)
            losses.append(self._losses(rows, codes))
            r2s.append(self._r2(rows, codes))
            if rows is self.samples[0]:
                pairs = zip(codes, self.configs, strict=True)
                active = [sparsify(code, config) > 0 for code, config in pairs]
        return [
            Epoch(
                loss_train,
                loss,
                r2_train,
                r2,
                float(on.sum(dim=1).float().mean()),
                float((used > 0).float().mean()),
            )
            for loss_train, loss, r2_train, r2, on, used in zip(
                *losses, *r2s, active, self.used, strict=True
            )
        ]

    def _losses(self, rows: Tensor, codes: Tensor) -> list[float]:
        error = (rows - codes @ self.learner.atoms).square().sum(dim=-1)
        size = self.l1[..., 0] * codes.sum(dim=-1) + 0.5 * self.l2[..., 0] * codes.square().sum(-1)
        return [float(v) for v in (0.5 * error + size).mean(dim=1)]

    def _r2(self, rows: Tensor, codes: Tensor) -> list[float]:
        made = codes @ self.learner.atoms
        scale = (rows * made).sum(dim=(1, 2)) / made.square().sum(dim=(1, 2)).clamp_min(1e-12)
        pairs = zip(rows, made * scale[:, None, None], strict=True)
        return [_score(x, y) for x, y in pairs]

    def keep(self, fit: int) -> None:
        """Remember the present atoms of a fit."""
        self.kept[fit] = self.learner.atoms[fit].clone()

    def tensors(self) -> dict[str, Tensor]:
        """All state that is a tensor."""
        found = {
            "atoms": self.learner.atoms,
            "second": self.learner.second,
            "cross": self.learner.cross,
        }
        for name, memory in self._memories().items():
            found |= memory.tensors(name)
        found |= self.hull.tensors()
        found |= {f"kept.{fit}": atoms for fit, atoms in self.kept.items()}
        return found | {f"generator.{i}": g.get_state() for i, g in enumerate(self.generators)}

    def _memories(self) -> dict[str, Memory]:
        sample, held = self.sample_memories
        return {"codes": self.memory, "sample_codes": sample, "held_codes": held}

    def facts(self) -> dict[str, Any]:
        """Number of epochs done."""
        return {"done": self.done}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go back to a state."""
        # cloned, as products of what lies elsewhere in memory may differ in the last bit
        here = {
            k: t.to(self.source.device).clone() for k, t in tensors.items() if "generator" not in k
        }
        self.learner.atoms, self.learner.second = here["atoms"], here["second"]
        self.learner.cross = here["cross"]
        for name, memory in self._memories().items():
            memory.restore(here, name)
        self.hull.restore(here)
        self.kept = {int(k[5:]): t for k, t in here.items() if k.startswith("kept.")}
        for i, generator in enumerate(self.generators):
            generator.set_state(tensors[f"generator.{i}"])
        self.done = int(facts["done"])

    @torch.no_grad()
    def models(self) -> list[SparseModel]:
        """The models, each with the dictionary that reconstructs best from its loadings."""
        models = [InferenceModel(self.source.channels, c) for c in self.configs]
        self.known.clear()
        for fit, model in enumerate(models):
            atoms = self.kept.get(fit, self.learner.atoms[fit])
            model.to(atoms.device).start(atoms, atoms, float(self.row_length[fit]))
            second = atoms.new_zeros(len(atoms), len(atoms))
            cross = torch.zeros_like(atoms)
            known = self.source.resident and len(atoms) > FEW
            for rows in self.source.blocks():
                for place in range(0, rows.shape[1], CHUNK):
                    part = slice(place, place + CHUNK)
                    near = self.memory.codes(fit, part) if self.source.resident else None
                    codes = model.encode(rows[fit, part], near)
                    add_moments(second, cross, rows[fit, part], codes)
                    if known:
                        self.known.setdefault(fit, []).append(Codes.of(codes))
            tie = _TIE if model.config.atoms == "free" else _HELD_FAST
            model.dictionary = least_squares_dictionary(
                second, cross, atoms, tie=tie, nonnegative=self.learner.nonnegative
            )
            model.eval()
        return [*models]

    def codes(self, fit: int) -> Codes | None:
        """Loadings of all rows with which the last step of a fit of many modes was made."""
        return Codes.joined(self.known[fit]) if fit in self.known else None


class _Hull:
    """Keeps archetypal atoms near the combinations of typical rows; leaves free ones alone."""

    def __init__(
        self, rows: Tensor, config: SparseConfig, generators: Sequence[torch.Generator]
    ) -> None:
        self.relaxation = config.relaxation
        self.candidates: Tensor | None = None
        self.weights: Tensor | None = None
        if config.atoms == "archetypal":
            pairs = zip(rows, generators, strict=True)
            self.candidates = torch.stack([typical_rows(r, config.candidates, g) for r, g in pairs])

    def project(self, atoms: Tensor) -> Tensor:
        """Nearest archetypal atoms, of norm 1."""
        if self.candidates is None:
            return atoms
        found, self.weights = project(
            atoms,
            self.candidates,
            self.relaxation,
            start=self.weights,
            iterations=_PROJECTION_STEPS,
        )
        return unit_rows(found)

    def tensors(self) -> dict[str, Tensor]:
        """All state, by name."""
        state = {"hull.candidates": self.candidates, "hull.weights": self.weights}
        return {name: tensor for name, tensor in state.items() if tensor is not None}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to a state."""
        self.candidates = tensors.get("hull.candidates")
        self.weights = tensors.get("hull.weights")


def _root_mean_square(source: Source) -> Tensor:
    kind = widest(source.device)
    total = torch.zeros(source.fits, dtype=kind, device=source.device)
    for rows in source.blocks():
        for part in torch.split(rows, CHUNK, dim=1):
            total += part.to(kind).square().sum(dim=(1, 2))
    return (total / source.count).sqrt().float()[:, None, None]


def _every(rows: Tensor) -> Tensor:
    """Places of all rows (fits, rows, channels), of each fit."""
    return torch.arange(rows.shape[1], device=rows.device).expand(len(rows), -1)


def _score(rows: Tensor, made: Tensor) -> float:
    if not len(rows):
        return float("nan")
    return scores.r2(rows.cpu().numpy(), made.cpu().numpy())
