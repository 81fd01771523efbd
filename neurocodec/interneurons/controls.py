"""What else correlates with interneurons: nulls that a model has to exceed to say anything."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError, warn
from neurocodec.interneurons.recordings import RecordedInterneurons
from neurocodec.interneurons.search import Found, beside_name
from neurocodec.kernels.intervals import (
    jackknife_interval,
    level_of_chance,
    prediction_interval,
    without_stretches,
)
from neurocodec.kernels.lagged import GAP, HALVES
from neurocodec.kernels.linear_control import held_out_correlation, held_out_predictions
from neurocodec.network import Network

SHIFT, PERMUTED, LINEAR = CONTROLS = ("shift", "permuted", "linear")
CONTROL: Final = "control"
DRAW: Final = "permutation"


def wanted_controls(controls: Iterable[str], chance: int, quantile: float) -> list[str]:
    """Names of the controls in the order of `CONTROLS`; without shifts there is no such null."""
    given = arguments.several(
        "controls", controls, "names of controls", hint=f"controls={CONTROLS}"
    )
    for name in given:
        arguments.one_of("control", name, CONTROLS)
    if SHIFT in given and chance and np.isnan(level_of_chance(np.zeros(chance), quantile)):
        enough = (n for n in count(chance) if level_of_chance(np.zeros(n), quantile) == 0)
        warn(
            f"{chance} circular shifts do not say what 1 in {1 / (1 - quantile):.3g} exceeds: "
            f"no interneuron counts as above the control 'shift'; take chance={next(enough)}, or "
            "controls=('permuted', 'linear')"
        )
    return [name for name in CONTROLS if name in given and (name != SHIFT or chance)]


def permuted_networks(net: Network, draws: int, seed: int) -> list[Network]:
    """Copies of a network in which the weights of every tensor have changed places."""
    # The architecture, and the distribution of each tensor's weights, are those of the network;
    # what it has learned is gone. Buffers, such as running means, stay.
    known = [p for p in net.module.parameters() if p.is_floating_point() and p.numel() > 1]
    if draws and not any(bool((p != p.flatten()[0]).any()) for p in known):
        raise InputError(
            came=f"the network {net.name!r}, of whose parameters no two differ",
            expected="weights that can be permuted, for the control 'permuted'",
            hint='controls=("shift", "linear")',
        )
    return [_permuted(net, [seed, i]) for i in range(draws)]


def _permuted(net: Network, seed: list[int]) -> Network:
    module, random = copy.deepcopy(net.module), np.random.default_rng(seed)
    with torch.no_grad():
        for weight in module.parameters():
            if weight.is_floating_point():
                order = torch.from_numpy(random.permutation(weight.numel())).to(weight.device)
                weight.copy_(weight.flatten()[order].reshape(weight.shape))
    return replace(net, module=module)


@dataclass(frozen=True)
class Linear:
    """One linear filter of the stimulus for each interneuron, and how it does on held-out time."""

    correlation: NDArray[np.float64]  # (trace,)
    interval: NDArray[np.float64]  # (2, trace)

    @classmethod
    def of(
        cls, data: RecordedInterneurons, halves: NDArray[np.int8], history: int, quantile: float
    ) -> Linear:
        """Fit it on each half, judge it on the other."""
        movie, traces = data.samples.values.cpu().numpy(), data.traces.values
        made = held_out_predictions(movie, data.samples.ends, history, traces, halves)
        used = np.flatnonzero(halves != GAP)
        without = []
        for weights in without_stretches(len(used)):
            out = np.zeros(len(halves), bool)
            out[used[weights == 0]] = True
            if all(((halves == half) & ~out).sum() > 1 for half in HALVES):
                without.append(held_out_correlation(made, traces, halves, out))
        whole = held_out_correlation(made, traces, halves)
        # both ends are left by one more value with 1 - quantile, as those of the other nulls
        ends = jackknife_interval(whole, np.reshape(without, (-1, len(whole))), 2 * quantile - 1)
        return cls(whole, np.clip(ends, -1, 1))


@dataclass(frozen=True)
class Controls:
    """Nulls for one set of units (a layer, all layers, or modes)."""

    wanted: list[str]
    quantile: float  # of a null, which is exceeded above it
    linear: Linear | None = None
    draws: int = 0  # permuted networks
    found: Mapping[str, Found] = field(default_factory=dict)  # theirs among what was found

    def permuted(self, layers: Iterable[str]) -> NDArray[np.float64]:
        """Correlation (network, trace) of the best unit of any of the layers, on held-out time."""
        rows = []
        for i in range(self.draws):
            choices = [self.found[beside_name(i, alias)].choice for alias in layers]
            best = choices[0]
            for choice in choices[1:]:
                best = best.better(choice)
            rows.append(best.held_out[:, 0].mean(axis=0))
        return np.array(rows)

    def arrays(
        self,
        correlation: NDArray[np.float64],  # (trace,), that is to exceed them
        shifted: NDArray[np.float64],  # (shift, trace)
        layers: Iterable[str],  # whose units it is of
    ) -> dict[str, tuple[tuple[str, ...], NDArray[Any]]]:
        """Dims and values of every null, by name of the variable."""
        means, ends, names = [], [], []
        drawn = self.permuted(layers)
        low_high = {
            SHIFT: (shifted, self._ranked),
            PERMUTED: (drawn, lambda x: prediction_interval(x, self.quantile)),
        }
        for name in self.wanted:
            if name == LINEAR and self.linear is not None:
                means.append(self.linear.correlation)
                ends.append(self.linear.interval)
            elif name != LINEAR and len(low_high[name][0]):
                values, interval = low_high[name]
                means.append(values.mean(axis=0))
                ends.append(interval(values))
            else:
                continue
            names.append(name)
        if not names:
            return {}
        made = np.stack(ends)
        above = np.asarray(correlation > made[:, 1])
        found: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
            CONTROL: ((CONTROL,), np.array(names)),
            "control_correlation": ((CONTROL, v.INTERNEURON), np.stack(means)),
            "control_interval": ((CONTROL, v.BOUND, v.INTERNEURON), made),
            "exceeds": ((CONTROL, v.INTERNEURON), above),
            "exceeds_all": ((v.INTERNEURON,), np.asarray(above.all(axis=0))),
        }
        if PERMUTED in names:
            found["permuted_correlation"] = ((DRAW, v.INTERNEURON), drawn)
        return found

    def _ranked(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(
            [-level_of_chance(-values, self.quantile), level_of_chance(values, self.quantile)]
        )
