"""Gradient descent on autoencoders, one or several side by side."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from neurocodec.errors import InputError
from neurocodec.nn.checkpoint import optimizer_tensors, prefixed, restore_optimizer, unprefixed
from neurocodec.nn.sparse.autoencoder.encoders import MlpEncoder, draw_dropout
from neurocodec.nn.sparse.autoencoder.model import Autoencoder, stacked
from neurocodec.nn.sparse.autoencoder.scoring import Reached, reached
from neurocodec.nn.sparse.autoencoder.starting import begin, revive
from neurocodec.nn.sparse.config import SparseConfig
from neurocodec.nn.sparse.dictionary import draw_orders
from neurocodec.nn.sparse.loop import Epoch
from neurocodec.nn.sparse.model import SparseModel
from neurocodec.nn.sparse.schedule import passes, rows_of_a_step
from neurocodec.nn.sparse.source import Source, sample_rows
from neurocodec.nn.sparse.threads import threads_for

_PER_FIT: Final = frozenset(
    {
        "seed",
        "threshold",
        "l1_loading",
        "l2_loading",
        "l1_dictionary",
        "learning_rate",
        "validation",
        "patience",
    }
)
"""Settings that may differ between fits side by side; the split and stopping are not ours."""
_WARMUP_STEPS: Final = 20
_REVIVALS: Final = 50
_REVIVE_UNTIL: Final = 0.9
"""Modes start again in this first part of the epochs, so that the last of them still learn."""
_PROJECT_EVERY: Final = 8
"""Steps between two projections on archetypal modes, which cost more than a step."""
_START_ROWS: Final = 8192
_SCORED_ROWS: Final = 2048


class AutoencoderTraining:
    """Adam on autoencoders that share shapes, with their parameters in one tensor each."""

    # Each fit has its own generator, which alone decides its start, the order of its rows, its
    # dropout and where dead modes start again: a fit beside others has the same draws as alone.
    # Of each pass, less than one batch of rows is left out, other rows each time.

    def __init__(self, source: Source, held: Source, configs: Sequence[SparseConfig]) -> None:
        _check(source, configs)
        self.source, self.held, self.config = source, held, configs[0]
        self.generators = [torch.Generator(source.device).manual_seed(c.seed) for c in configs]
        self.sample = sample_rows(source, _START_ROWS)
        with threads_for(source.channels * self.config.modes(source.channels)):
            self.fits = [
                begin(*of_fit) for of_fit in zip(self.sample, configs, self.generators, strict=True)
            ]
        self.whole = stacked(self.fits).train()
        self.penalties = (
            self._numbers(configs, "l1_loading"),
            self._numbers(configs, "l1_dictionary"),
        )
        rates = self._numbers(configs, "learning_rate")
        self.highest_rate = float(rates.max())
        self.rate_ratios = None if bool((rates == rates[0]).all()) else rates / rates.max()
        self.optimizer = torch.optim.Adam(self.whole.parameters(), lr=self.highest_rate, fused=True)
        self.steps, self.epochs = 0, 0
        self.passes = passes(self.config, source)
        self.kept: dict[int, dict[str, Tensor]] = {}

    def epoch(self) -> list[Epoch]:
        """One pass over the rows; what each fit reached."""
        fired = self.whole.dictionary.new_zeros(self.whole.dictionary.shape[:-1], dtype=torch.bool)
        with threads_for(self.fits[0].dictionary.numel()):
            for rows in self._batches():
                fired |= self._step(rows)
            self.epochs += 1
            self._revive(fired)
            self.whole.make_archetypal()
            return self._scores(fired)

    def keep(self, fit: int) -> None:
        """Remember the present state of a fit: `models` gives that one back."""
        self.kept[fit] = {n: t.clone() for n, t in self.fits[fit].state_dict().items()}

    def models(self) -> list[SparseModel]:
        """The fitted models, in evaluation mode, without gradients."""
        return [self._model(fit) for fit in range(len(self.fits))]

    def codes(self, _fit: int) -> None:
        """None: nothing has computed the loadings of all rows."""

    def tensors(self) -> dict[str, Tensor]:
        """All state that is a tensor, by name: what `restore` needs to go on bit for bit."""
        found = prefixed("whole.", dict(_state(self.whole)))
        found |= prefixed("optimizer.", optimizer_tensors(self.optimizer))
        for fit, generator in enumerate(self.generators):
            found[f"generator.{fit}"] = generator.get_state()
        for fit, state in self.kept.items():
            found |= prefixed(f"kept.{fit}.", state)
        return found

    def facts(self) -> dict[str, Any]:
        """All other state, as JSON can hold it."""
        return {"steps": self.steps, "epochs": self.epochs, "kept": sorted(self.kept)}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go back to a state that `tensors` and `facts` gave."""
        saved = unprefixed("whole.", tensors)
        for name, tensor in _state(self.whole):
            tensor.copy_(saved[name])
        restore_optimizer(self.optimizer, unprefixed("optimizer.", tensors))
        for fit, generator in enumerate(self.generators):
            generator.set_state(tensors[f"generator.{fit}"])
        self.steps, self.epochs = facts["steps"], facts["epochs"]
        device = self.source.device
        self.kept = {
            fit: {n: t.to(device) for n, t in unprefixed(f"kept.{fit}.", tensors).items()}
            for fit in facts["kept"]
        }

    def _model(self, fit: int) -> Autoencoder:
        """A model of its own: fits are views of the stack, whose memory a copy would drag along."""
        generator = torch.Generator(self.source.device)
        model = Autoencoder(self.source.channels, self.fits[fit].config, generator)
        model.load_state_dict(self.kept.get(fit, self.fits[fit].state_dict()))
        return model.eval().requires_grad_(requires_grad=False)

    def _numbers(self, configs: Sequence[SparseConfig], name: str) -> Tensor:
        return torch.tensor(
            [getattr(c, name) for c in configs], dtype=torch.float32, device=self.source.device
        )

    def _batches(self) -> Iterator[Tensor]:
        size = rows_of_a_step(self.config, self.source)
        each = torch.arange(self.source.fits, device=self.source.device)[:, None]
        for block in self.source.blocks(self.generators[0]):
            order = draw_orders(block.shape[1], self.generators)
            for picked in torch.split(order, size, dim=1):
                if picked.shape[1] == min(size, block.shape[1]):
                    yield block[each, picked]

    def _step(self, rows: Tensor) -> Tensor:
        """One step of every fit; which modes fired."""
        self._set_rate()
        self.optimizer.zero_grad(set_to_none=True)
        kept = self._dropout(rows.shape[1])
        with torch.autocast(
            rows.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"
        ):
            losses, loadings = self.whole.loss(rows, *self.penalties, kept)
        torch.autograd.backward(losses.sum())
        with self._own_rates():
            self.optimizer.step()
        self.whole.constrain()
        if self.steps % _PROJECT_EVERY == 0:
            self.whole.make_archetypal()
        self.whole.follow(loadings)
        self.steps += 1
        return (loadings > 0).any(dim=1)

    def _set_rate(self) -> None:
        """Warm up, then fall along half a cosine over the epochs."""
        size = rows_of_a_step(self.config, self.source)
        total = self.passes * max(1, self.source.count // size)
        warm = min(1.0, (self.steps + 1) / _WARMUP_STEPS)
        fall = 0.5 * (1.0 + math.cos(math.pi * min(1.0, self.steps / total)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.highest_rate * warm * fall

    @contextmanager
    def _own_rates(self) -> Iterator[None]:
        """Let each fit move by its own learning rate: Adam's steps are proportional to it."""
        if self.rate_ratios is None:
            yield
            return
        before = [p.detach().clone() for p in self.whole.parameters()]
        yield
        with torch.no_grad():
            for parameter, old in zip(self.whole.parameters(), before, strict=True):
                part = self.rate_ratios.view(-1, *[1] * (parameter.ndim - 1))
                parameter.copy_(torch.lerp(old, parameter, part))

    def _dropout(self, rows: int) -> Tensor | None:
        if not isinstance(self.whole.encoder, MlpEncoder):
            return None
        shape = rows, self.whole.encoder.hidden
        return torch.stack([draw_dropout(shape, g) for g in self.generators])

    def _revive(self, fired: Tensor) -> None:
        every = max(1, self.passes // _REVIVALS)
        if self.epochs % every or self.epochs > _REVIVE_UNTIL * self.passes:
            return
        for fit, model in enumerate(self.fits):
            dead = (~fired[fit]).nonzero()[:, 0]
            if len(dead):
                revive(model.eval(), dead, self.sample[fit], self.generators[fit])

    def _scores(self, fired: Tensor) -> list[Epoch]:
        self.whole.eval()
        stride = math.ceil(self.sample.shape[1] / _SCORED_ROWS)
        train = reached(self.whole, [self.sample[:, ::stride]], self.penalties)
        held = reached(self.whole, self.held.blocks(), self.penalties)
        self.whole.train()
        alive = fired.float().mean(dim=1).tolist()
        return [_epoch(t, h, a) for t, h, a in zip(train, held, alive, strict=True)]


def _epoch(train: Reached, held: Reached, alive: float) -> Epoch:
    return Epoch(train.loss, held.loss, train.r2, held.r2, train.l0, alive)


def _state(model: Autoencoder) -> Iterator[tuple[str, Tensor]]:
    """Parameters and all buffers, also those that a finished model does without."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def _check(source: Source, configs: Sequence[SparseConfig]) -> None:
    if len(configs) != source.fits:
        raise InputError(
            came=f"{len(configs)} configurations for {source.fits} fits",
            expected="one configuration for each fit",
        )
    first = configs[0]
    if first.encoder == "inference":
        raise InputError(came="encoder='inference'", expected="a trained encoder: 'mlp', 'linear'")
    for field in dataclasses.fields(first):
        values = {getattr(c, field.name) for c in configs}
        if field.name not in _PER_FIT and len(values) > 1:
            raise InputError(
                came=f"fits side by side with {field.name} of {sorted(map(str, values))}",
                expected=f"one value; only {', '.join(sorted(_PER_FIT))} may differ",
            )
