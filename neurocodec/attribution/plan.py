"""An analysis of contributions: what its numbers depend on, and how one batch is computed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.engine.plan import Arrays, Plan
from neurocodec.errors import InputError, unknown_name
from neurocodec.labels import fingerprint, labelled, plain, stamp
from neurocodec.nn.attribution.integration import IntegratedGradients
from neurocodec.nn.attribution.method import Attribution, Method
from neurocodec.nn.attribution.passes import Batch, Passes, Prefix, prefix_holds
from neurocodec.nn.attribution.reduction import Split, split_sign, sum_positions
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.tracing import Trace, quickened, trace

logger = logging.getLogger(__name__)

Reduce = Literal["channel", "none"]

BATCH_BYTES = {"cpu": 2**30, "cuda": 2**33}
"""What the passes of one batch may keep, which sets the automatic batch size."""
LARGEST_BATCH = 128


@dataclass(frozen=True)
class ContributionPlan(Plan):
    """One call of `nc.contributions`, checked."""

    what: ClassVar[str] = "contributions"

    target: Target
    method: Method
    reduce: Reduce
    split: Split
    baseline: Tensor
    given: bool

    def captured(self) -> dict[str, Layer]:
        """Layers to hook: those that are wanted, and the one that the target reads."""
        if self.target.layer is None:
            return self.layers
        return {**self.layers, **self.net.select_layers([self.target.layer])}

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""
        facts = {
            "model": self.net.name,
            "module_sha256": fingerprint(repr(self.net.module)),
            "outputs": self.net.outputs,
            "select": self.net.select,
            "perturbation": self.net.perturbation,
            "history": self.net.history,
            "weights_sha256": self.net.weights_sha256,
            "layers": self.layers,
            "target": {"kind": type(self.target).__name__, "parameters": self.target},
            "method": self.method,
            "reduce": self.reduce,
            "split": self.split,
            "baseline_sha256": fingerprint(self.baseline.numpy()) if self.given else None,
            "data_sha256": self.samples.sha256,
        }
        return plain(facts)

    def opened(self) -> Any:
        """Hook the network, see how it runs, and bind the target to its outputs."""
        return prepared(self)

    def batch_size(self, traced: Trace, device: str | None = None) -> int:
        """Samples whose passes fit a fixed size of memory."""
        return automatic_batch_size(self, traced, device)

    def rows(self, passes: Passes, batch: Batch) -> Arrays:
        """Compute one batch and reduce it on its device; only the reduced rows leave it."""
        found = self.method.attribute(passes, batch)
        require_finite_target(found.target, batch.first)
        rows = {v.TARGET: found.target}
        extras = {"steps": found.steps, "converged": found.converged}
        rows |= {name: values for name, values in extras.items() if values is not None}
        rows |= {
            f"{alias}/{name}": values
            for alias, layer in self.layers.items()
            for name, values in _reduced(self, found, alias, layer).items()
        }
        return {name: values.cpu().numpy() for name, values in rows.items()}

    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates, units and provenance on the rows of a run."""
        nodes: dict[str, dict[str, xr.DataArray]] = {"/": {}}
        for path, values in arrays.items():
            alias, _, name = path.rpartition("/")
            variable = _labelled_rows(self, self.layers.get(alias), name, values)
            nodes.setdefault(f"/{alias}", {})[name] = variable
        data = {path: xr.Dataset(variables) for path, variables in nodes.items()}
        data["/"] = data["/"].assign_coords(coords)
        tree = xr.DataTree.from_dict(data)
        return stamp(tree, "nc.contributions", **self.facts)


def one_of(what: str, value: Any, known: tuple[str, ...]) -> Any:
    """Return a value that is one of those known, or say which there are.

    Parameters
    ----------
    what
        What it is, for the message.
    value
        What came.
    known
        What may come.
    """
    if value not in known:
        raise unknown_name(what, value, known)
    return value


def check(plan: ContributionPlan) -> None:
    """Refuse what is no target or method, and an analysis of nothing.

    Parameters
    ----------
    plan
        The analysis.
    """
    require_kinds(plan.target, plan.method)
    if not plan.layers:
        raise InputError(came="no layers", expected="at least one", hint="nc.Network(layers=[...])")


def require_kinds(target: Target, method: Method) -> None:
    """Refuse what is no target or method.

    Parameters
    ----------
    target, method
        What came.
    """
    for what, value, kind in (("target", target, Target), ("method", method, Method)):
        if not isinstance(value, kind):
            raise InputError(
                came=f"{what}={value!r}",
                expected=f"an instance of one of nc.{what}s",
                hint="target=nc.targets.TopK(1), method=nc.methods.ActGrad()",
            )


@contextmanager
def prepared(plan: ContributionPlan) -> Iterator[tuple[Passes, Trace]]:
    """Hook the network, see how it runs, and bind the target to its outputs."""
    device = plan.net.device
    with Capture(plan.net.module, plan.captured(), plan.net.select).attached() as capture:
        few = plan.samples.few(device)
        traced = trace(capture, few)
        target = plan.target.bind(plan.net.output_names(traced.done.outputs.shape[1]))
        start, wanted = plan.baseline.to(device), tuple(plan.layers)
        passes = Passes(capture, target, start, plan.given, aliases=wanted)
        with quickened(capture, traced, few):
            yield _with_prefix(plan, passes, traced), traced


def _with_prefix(plan: ContributionPlan, passes: Passes, traced: Trace) -> Passes:
    """Skip an affine prefix, where there is one and a replay agrees with a full pass."""
    along_input = isinstance(plan.method, IntegratedGradients) and plan.method.path == "input"
    found = Prefix.of(traced) if along_input else None
    if found is None:
        return passes
    batch = plan.samples.batch(0, min(4, len(plan.samples)), plan.net.device)
    for prefix in (found, replace(found, convolution=None)):
        candidate = replace(passes, prefix=prefix)
        if prefix_holds(candidate, batch):
            logger.info(
                "the path in layer %r is straight; what precedes it runs once", prefix.layer
            )
            return candidate
    logger.info("what precedes layer %r is not affine; it runs at every step", found.layer)
    return passes


def automatic_batch_size(plan: ContributionPlan, traced: Trace, device: str | None = None) -> int:
    """Samples whose passes fit a fixed size of memory, on this kind of device.

    Parameters
    ----------
    plan
        The analysis.
    traced
        How the network runs.
    device
        Kind of device, where it is another than the network's.
    """
    budget = BATCH_BYTES.get(device or plan.net.device.type, BATCH_BYTES["cpu"])
    return int(np.clip(budget // max(1, traced.bytes_per_sample), 1, LARGEST_BATCH))


def _reduced(
    plan: ContributionPlan, found: Attribution, alias: str, layer: Layer
) -> dict[str, Tensor]:
    activation = layer.channels_first(found.activation[alias])
    whole = plan.reduce == "none"
    rows = {v.ACTIVATION: activation if whole else sum_positions(activation)}
    if alias not in found.values:
        return rows
    values = layer.channels_first(found.values[alias])
    rows[plan.method.variable] = values if whole else split_sign(values, plan.split)
    if alias in found.change:
        total = rows[plan.method.variable].flatten(1).sum(1, dtype=torch.float64)
        rows[v.COMPLETENESS_ERROR] = (total - found.change[alias]).to(values.dtype)
    return rows


def require_finite_target(target: Tensor, first: int) -> None:
    """Refuse a target with NaN or infinity, naming the sample.

    Parameters
    ----------
    target
        Of every sample of a batch.
    first
        Position of the first of them.

    Examples
    --------
    >>> require_finite_target(torch.zeros(2), 0)
    """
    if not bool(target.isfinite().all()):
        place = first + int((~target.isfinite()).nonzero()[0])
        raise InputError(
            came=f"a target that is not finite, first for sample {place}",
            expected="finite numbers from the network and the target",
        )


def _labelled_rows(
    plan: ContributionPlan, layer: Layer | None, name: str, values: NDArray[Any]
) -> xr.DataArray:
    dims: tuple[str, ...] = (plan.samples.dim,)
    coords: dict[str, Any] = {}
    if values.ndim > 1 and layer is not None:
        signed = plan.reduce == "channel" and name == plan.method.variable != v.ACTIVATION
        dims += (v.SIGN,) if signed else ()
        dims += (v.CHANNEL, *_position_dims(layer, values.ndim - len(dims) - 1))
        coords = {d: np.arange(n) for d, n in zip(dims[1:], values.shape[1:], strict=True)}
        if signed:
            coords[v.SIGN] = list(v.SIGNS)
    of_target = {v.CONTRIBUTION, v.TARGET, v.COMPLETENESS_ERROR}
    units = plan.target.units if name in of_target else None
    return labelled(values, dims, coords, name=name, units=units)


def _position_dims(layer: Layer, count: int) -> tuple[str, ...]:
    if layer.heads is not None and count:
        return (v.TOKEN, v.FEATURE)[-count:]
    if count in (0, 2):
        return (v.Y, v.X)[:count]
    if count == 1:
        return (v.TOKEN,)
    raise InputError(
        came=f"maps with {count} position dims at {layer.module!r}",
        expected="tokens, or maps with dims (y, x)",
        hint="reduce='channel'",
    )
