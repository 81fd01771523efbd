"""One call of `nc.contributions`, checked: what its numbers depend on, one batch, labels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Final, Literal

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurocodec import vocabulary as v
from neurocodec.attribution.own_labels import own_classes
from neurocodec.engine.plan import Arrays, Bound, Plan
from neurocodec.engine.respond import label_response, response_name
from neurocodec.engine.samples import Samples
from neurocodec.engine.session import Session, some_of
from neurocodec.errors import InputError
from neurocodec.labels import fingerprint, labelled, plain, stamp
from neurocodec.network import Network
from neurocodec.nn.attribution.between_layers import Part
from neurocodec.nn.attribution.features import Features, count, place_of
from neurocodec.nn.attribution.integration import IntegratedGradients
from neurocodec.nn.attribution.method import Attribution, Method, each
from neurocodec.nn.attribution.methods import ActGrad
from neurocodec.nn.attribution.passes import Passes, prefix_holds, shared_holds
from neurocodec.nn.attribution.reduction import Split, split_sign, sum_positions
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.attribution.window import Window, window_of
from neurocodec.nn.capture.hooks import Pass
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.prefix import Batch, Prefix
from neurocodec.nn.device import widest
from neurocodec.nn.video.windowed import inside

logger = logging.getLogger(__name__)

Reduce = Literal["channel", "none"]
EXTRAS: Final = ("steps", "converged")
"""What is told of each sample beside the target, where the steps are adaptive."""
HELD: Final = 5
"""Sums and gradients of each feature along a line: at two points, twice as they are stacked."""


def _without_layers(net: Network) -> InputError:
    """Error for a network of which no layer was named: those that it has, if there are any."""
    found = [n for n, part in inside(net.module).named_modules() if n and not [*part.children()]]
    hint = "nc.receptive_fields(net, movie), of a model that has no hidden units"
    if found:
        hint = f"nc.Network(module, layers={found[-1:]}), of {', '.join(map(repr, found[:8]))}"
        hint += ", ..." if len(found) > 8 else ""
    return InputError(
        came=f"{net.name!r} and no layers", expected="at least one hidden layer", hint=hint
    )


@dataclass(frozen=True)
class ContributionPlan(Plan):
    """One call of `nc.contributions`, checked."""

    what: ClassVar[str] = "contributions"

    target: Target
    method: Method
    reduce: Reduce
    split: Split
    baseline: Tensor
    given: bool  # whether the baseline was asked for
    outputs: bool = False  # whether the network's outputs are kept, too

    def __post_init__(self) -> None:
        require_kinds(self.target, self.method, many=True)
        require_no_such_layer(self.target, self.layers)
        if self.reduce == "none":
            require_places(self.target, self.layers, "reduce='channel'")
        super().__post_init__()
        if not self.layers:
            raise _without_layers(self.net)

    @property
    def names(self) -> set[str]:
        """What the result has beside the coordinates of the samples: variables, dims, nodes."""
        own = {v.TARGET, *EXTRAS, v.ACTIVATION, self.method.variable, v.COMPLETENESS_ERROR}
        own |= {v.BYPASS, *feature_dim(self.target)}
        if self.outputs:
            own |= {response_name(self.net), self.net.output_dim, *self.net.output_coords}
        places = {v.SIGN} if self.reduce == "channel" else {v.LAG, v.Y, v.X, v.TOKEN, v.FEATURE}
        return {*own, *self.layers, v.CHANNEL, *places}

    def captured(self) -> dict[str, Layer]:
        """Layers to hook: those that are wanted, and the one that the target reads."""
        return with_layer_of(self.target, self.layers, self.net)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What identifies the run, for its provenance and for the check before it is resumed."""
        facts = {
            **self.of_network,
            "layers": self.layers,
            "target": {"kind": type(self.target).__name__, "parameters": self.target},
            "method": self.method,
            "reduce": self.reduce,
            "split": self.split,
            "baseline_sha256": fingerprint(self.baseline.numpy()) if self.given else None,
            "data_sha256": self.samples.sha256,
        }
        return plain({**facts, "kept_outputs": True} if self.outputs else facts)

    @property
    def asked(self) -> Mapping[str, Any]:
        """Target and method, which may be of a user's own."""
        return {"target": self.target, "method": self.method}

    def bound(self, session: Session) -> Contributions:
        """Bind the target to the network's outputs."""
        passes = passes_for(session, self.target, self.baseline, self.samples, given=self.given)
        passes, size = by_layers(passes, session, self, self.method)
        if self.reduce == "none":  # maps of all features wait for the last
            done = session.traced.done.hidden
            size += (count(self.target) - 1) * sum(done[alias][0].nbytes for alias in self.layers)
        return Contributions(self.told(session), size, passes, session.traced.done)


@dataclass(frozen=True)
class Contributions(Bound):
    """A plan of contributions with the network that it runs on."""

    plan: ContributionPlan
    passes: Passes
    few: Pass

    def answers(self) -> list[list[float]]:
        """Target of the few samples that were traced."""
        return [target_of(self.passes, self.few, self.plan.samples)]

    def rows(self, batch: Batch, into: Arrays) -> Arrays:
        """Compute one batch and reduce it on its device; only the reduced rows leave it."""
        del into
        every = each(self.plan.method, self.passes.of(batch), batch)
        rows = [self._rows(found, batch) for found in every]
        if not feature_dim(self.plan.target):
            return rows[0]
        shared = {f"{alias}/{v.ACTIVATION}" for alias in self.plan.layers}
        shared |= {response_name(self.plan.net)}
        return {n: r if n in shared else stacked(n, rows) for n, r in rows[0].items()}

    def _rows(self, found: Attribution, batch: Batch) -> Arrays:
        """Rows of one feature, or of a target of one number."""
        rows = rows_of_target(found, batch.first)
        if self.plan.outputs:
            known = found.outputs
            if known is None or not known.shape[1]:  # the pass went no further than the layers
                known = self.passes.seen(batch).outputs
            rows[response_name(self.plan.net)] = known.cpu().numpy()
        for alias in self.plan.layers:
            reduced = self._reduced(found, alias, batch.first)
            rows |= {f"{alias}/{name}": values.cpu().numpy() for name, values in reduced.items()}
        return rows

    def _reduced(self, found: Attribution, alias: str, first: int) -> dict[str, Tensor]:
        layer, plan = self.passes.capture.layers[alias], self.plan
        activation = layer.channels_first(found.activation[alias])
        whole = plan.reduce == "none"
        rows = {v.ACTIVATION: activation if whole else sum_positions(activation)}
        if alias not in found.values:
            return rows
        if whole:
            values = layer.channels_first(found.whole(alias))
        else:
            values = layer.split_first(found.values[alias])
        rows[plan.method.variable] = values if whole else split_sign(values, plan.split)
        require_finite_values(rows[plan.method.variable], alias, first)
        if alias in found.change:
            total = rows[plan.method.variable].flatten(1).sum(1, dtype=widest(values.device))
            rows[v.COMPLETENESS_ERROR] = (total - found.change[alias]).to(values.dtype)
        if alias in found.bypass:
            rows[v.BYPASS] = found.bypass[alias].to(values.dtype)
        return rows

    def label(
        self, arrays: Mapping[str, NDArray[Any]], coords: Mapping[str, xr.Variable]
    ) -> xr.DataTree:
        """Put dims, coordinates, units and provenance on the rows of a run."""
        layers = self.plan.layers

        net = self.plan.net

        def variable(alias: str, name: str, values: NDArray[Any]) -> xr.DataArray:
            if self.plan.outputs and not alias and name == response_name(net):
                return label_response(net, values, {})
            return _labelled_rows(self.plan, layers.get(alias), name, values)

        return stamp(tree_of(arrays, coords, variable), "nc.contributions", **self.plan.facts)


def tree_of(
    arrays: Mapping[str, NDArray[Any]],  # by layer/name, or name
    coords: Mapping[str, xr.Variable],
    variable: Callable[[str, str, NDArray[Any]], xr.DataArray],  # of a layer, "" of none, by name
) -> xr.DataTree:
    """Rows of a run as a tree with a node for each layer."""
    nodes: dict[str, dict[str, xr.DataArray]] = {"/": {}}
    for path, values in arrays.items():
        alias, _, name = path.rpartition("/")
        nodes.setdefault(f"/{alias}", {})[name] = variable(alias, name, values)
    data = {path: xr.Dataset(variables) for path, variables in nodes.items()}
    data["/"] = data["/"].assign_coords(coords)
    return xr.DataTree.from_dict(data)


def target_of(passes: Passes, done: Pass, samples: Samples) -> list[float]:
    """Some numbers of a target at the few samples that a pass is of."""
    passes = passes.taking(torch.tensor(samples.few_places))
    with torch.no_grad():
        return some_of(passes.value(done, passes.fixed(done)))


def feature_dim(target: Target) -> dict[str, list[str | int]]:
    """The dim of a target of many numbers, with its labels; none of another."""
    return {v.FEATURE: list(target.labels or ())} if isinstance(target, Features) else {}


def require_no_such_layer(target: Target, layers: Mapping[str, Layer]) -> None:
    """Refuse a layer that has the name of the dim of many features."""
    for name in feature_dim(target):
        if name in layers:
            raise InputError(
                came=f"layer {name!r} beside many features",
                expected=f"another name: {name!r} is the dim of the features",
                hint=f"nc.Network(module, layers={{'hidden': {layers[name].module!r}}})",
            )


def require_places(target: Target, layers: Mapping[str, Layer], hint: str) -> None:
    """Refuse maps of heads beside many features: values of a head are a dim `feature` too."""
    heads = [alias for alias, layer in layers.items() if layer.heads is not None]
    if heads and feature_dim(target):
        raise InputError(
            came=f"maps of the heads of layer {heads[0]!r} for many features",
            expected="one of the two along the dim 'feature'",
            hint=hint,
        )


def rows_of_target(found: Attribution, first: int) -> Arrays:
    """Target of every sample, and the steps that were taken for it."""
    require_finite_target(found.target, first)
    extras = dict(zip(EXTRAS, (found.steps, found.converged), strict=True))
    rows = {v.TARGET: found.target, **{n: x for n, x in extras.items() if x is not None}}
    return {name: values.cpu().numpy() for name, values in rows.items()}


def stacked(name: str, rows: Sequence[Arrays]) -> NDArray[Any]:
    """Rows of every feature, side by side after the samples."""
    return np.stack([one[name] for one in rows], axis=1)


def require_kinds(target: Target, method: Method, *, many: bool = False) -> None:
    """Refuse what is no target or method, and many features where one number is wanted."""
    for what, value, kind in (("target", target, Target), ("method", method, Method)):
        if not isinstance(value, kind):
            raise InputError(
                came=f"{what}={value!r}",
                expected=f"an instance of one of nc.{what}s",
                hint="target=nc.targets.TopK(1), method=nc.methods.ActGrad()",
            )
    if not many:
        require_one(target)


def require_one(target: object) -> None:
    """Refuse many features where a target of one number is wanted."""
    if isinstance(target, Features):
        raise InputError(
            came=f"the {len(target)} features of {target.name!r}",
            expected="a target of one number per sample",
            hint=f"nc.targets.Feature({target.name!r}, vector), one after the other",
        )


def with_layer_of(target: Target, layers: Mapping[str, Layer], net: Network) -> dict[str, Layer]:
    """Layers, and the one that the target reads, if it reads one."""
    own = [] if target.layer is None else [target.layer]
    return {**layers, **net.select_layers(own)}


def passes_for(
    session: Session,
    target: Target,
    baseline: Tensor,
    samples: Samples | None = None,  # whose labels the target may ask for
    *,
    given: bool,
) -> Passes:
    """Passes of a hooked network for a target, which is bound to its outputs."""
    start = baseline.to(session.net.device)
    return Passes(session.capture, bound_target(session, target, samples), start, given)


def bound_target(session: Session, target: Target, samples: Samples | None) -> Target:
    """A target that knows the network's outputs, and the labels of the samples if it asks."""
    bound = target.bind(session.outputs)
    if bound.of_labels and samples is not None:
        bound = bound.labelled(torch.from_numpy(own_classes(samples, session.outputs)))
    return bound


def by_layers(passes: Passes, session: Session, plan: Plan, method: Method) -> tuple[Passes, int]:
    """Passes by a plan's layers, what goes around these, and shortcuts; the bytes of a sample."""
    flow, of = session.traced.flow, passes.target.layer
    around = frozenset(a for a in plan.layers if a != of and flow.passes_by(a, of))
    passes = replace(passes, aliases=tuple(plan.layers), bypassed=around)
    passes, size = with_parts(with_prefix(passes, session, method, plan.samples), session, method)
    return in_blocks(passes, size, session, method)


def in_blocks(passes: Passes, size: int, session: Session, method: Method) -> tuple[Passes, int]:
    """Features that go along a line in input space together; with the bytes of a sample."""
    many = count(passes.target)
    if many == 1 or not isinstance(method, IntegratedGradients) or method.path != "input":
        return passes, size
    done, own = session.traced.done.hidden, session.bytes_per_sample
    held = HELD * sum(done[alias][0].nbytes for alias in passes.aliases)
    block = min(many, max(1, own // held))
    return replace(passes, block=block), own + (block - 1) * held


def with_parts(passes: Passes, session: Session, method: Method) -> tuple[Passes, int]:
    """Run what comes after a layer alone, for lines in it; with the bytes of a sample."""
    size = session.bytes_per_sample
    along = isinstance(method, IntegratedGradients) and method.path == "hidden"
    many = type(method) is ActGrad and isinstance(passes.target, Features)
    if not along and not many and not passes.from_zero:
        return passes, size
    done, flow, read = session.traced.done, session.traced.flow, passes.target.layer
    few = session.few[:2]
    parts = {a: Part.of(passes.capture, flow, a, read, few) for a in passes.aliases}
    if type(method) in (ActGrad, IntegratedGradients):  # another may not know of windows
        parts = {a: part.within(_window(passes, session, part), few) for a, part in parts.items()}
    sums = sum(part.cut(done.hidden[alias])[0].nbytes for alias, part in parts.items())
    block = min(count(passes.target), max(1, size // (2 * sums)))
    # with steps="auto" there are two sums of each feature
    return replace(passes, parts=parts, block=block), size + 2 * (block - 1) * sums


def _window(passes: Passes, session: Session, part: Part) -> Window | None:
    """Find the part of a layer's maps that alone reaches the position which a target reads."""
    if part.end is None or part.start == part.end:
        return None
    layers, read = passes.capture.layers, session.traced.done.hidden[part.end]
    if {layers[part.start].layout, layers[part.end].layout} != {"maps"}:
        return None
    position = place_of(passes.target, (*read.shape[2:],))
    if position is None:
        return None
    return window_of(session.traced.flow, part.start, part.end, position)


def with_prefix(passes: Passes, session: Session, method: Method, samples: Samples) -> Passes:
    """Skip an affine prefix, where there is one and a replay agrees with a full pass."""
    whole = session.one_pass(samples)
    passes = replace(passes, whole=whole, shared=_shared(passes, session, samples))
    if not isinstance(method, IntegratedGradients) or method.path != "input":
        return passes
    if not session.prefixes:
        batch = samples.batch(0, min(4, len(samples)), session.net.device)
        session.prefixes.append(_prefix(passes, session, batch))
    return replace(passes, prefix=session.prefixes[0])


def _shared(passes: Passes, session: Session, samples: Samples) -> Prefix | None:
    """What one pass over the movie makes for all windows, where that is the same."""
    whole, first = session.one_pass(samples), next(iter(session.traced.order), None)
    if whole is None or first is None or not whole.covers(first):
        return None
    if not session.shared:
        found = Prefix.shared(session.capture, session.traced, whole.hidden)
        batch = samples.batch(0, min(4, len(samples)), session.net.device)
        some = passes.of(batch)
        holds = found is not None and shared_holds(replace(some, shared=found), batch)
        session.shared.append(found if holds else None)
    return session.shared[0]


def _prefix(passes: Passes, session: Session, batch: Batch) -> Prefix | None:
    found = Prefix.of(session.capture, session.traced)
    if found is None:
        return None
    movie = None if passes.shared is None else passes.shared.movie
    quick = [replace(found, movie=movie)] if movie is not None else []
    for prefix in (*quick, found, replace(found, convolution=None)):
        if prefix_holds(replace(passes.of(batch), prefix=prefix), batch):
            logger.info(
                "the path in layer %r is straight; what precedes it runs once", prefix.layer
            )
            return prefix
    logger.info("what precedes layer %r is not affine; it runs at every step", found.layer)
    return None


def require_finite_target(target: Tensor, first: int) -> None:
    """Refuse a target with NaN or infinity, naming the sample; `first` is the batch's first."""
    if not bool(target.isfinite().all()):
        place = first + int((~target.isfinite()).nonzero()[0])
        raise InputError(
            came=f"a target that is not finite, first for sample {place}",
            expected="finite numbers from the network and the target",
        )


def require_finite_values(values: Tensor, alias: str, first: int) -> None:
    """Refuse contributions, or sums of them, with NaN or infinity, naming sample and layer."""
    wrong = ~values.isfinite().flatten(1).all(1)
    if bool(wrong.any()):
        place, number = first + int(wrong.nonzero()[0]), int(wrong.sum())
        raise InputError(
            came=f"contributions of layer {alias!r} that are not finite for {number} of"
            f" {len(wrong)} samples, first for sample {place}: the network has no gradient there,"
            " or none at the baseline (a normalisation of a blank input, a square root at 0)",
            expected="a path on which the target can be differentiated",
            hint="baseline='mean', or nc.methods.IntegratedGradients(rule='right'), which"
            " leaves out the baseline itself",
        )


def _labelled_rows(
    plan: ContributionPlan, layer: Layer | None, name: str, values: NDArray[Any]
) -> xr.DataArray:
    dims: tuple[str, ...] = (plan.samples.dim,)
    many = {} if name == v.ACTIVATION else feature_dim(plan.target)
    dims += tuple(many)
    coords: dict[str, Any] = {}
    if values.ndim > len(dims) and layer is not None:
        signed = plan.reduce == "channel" and name == plan.method.variable != v.ACTIVATION
        dims += (v.SIGN,) if signed else ()
        dims += (v.CHANNEL, *position_dims(layer, values.ndim - len(dims) - 1))
        coords = {d: np.arange(n) for d, n in zip(dims[1:], values.shape[1:], strict=True)}
        if v.LAG in coords:
            coords[v.LAG] = plan.samples.lags(len(coords[v.LAG]), plan.net.frame_rate)
        if signed:
            coords[v.SIGN] = list(v.SIGNS)
    coords |= many
    of_target = {v.CONTRIBUTION, v.TARGET, v.COMPLETENESS_ERROR, v.BYPASS}
    units = plan.target.units if name in of_target else None
    return labelled(values, dims, coords, name=name, units=units)


def position_dims(layer: Layer, count: int) -> tuple[str, ...]:
    """Names of so many positions in the maps of a layer."""
    if layer.heads is not None and count:
        across = (v.Y, v.X) if layer.layout == "maps" and not layer.windows else (v.TOKEN,)
        return (*across, v.FEATURE)[-count:]
    if count in (0, 2):
        return (v.Y, v.X)[:count]
    if count == 3:
        return (v.LAG, v.Y, v.X)
    if count == 1:
        return (v.TOKEN,)
    raise InputError(
        came=f"maps with {count} position dims at {layer.module!r}",
        expected="tokens, or maps with dims (y, x) or (time, y, x)",
        hint="reduce='channel'",
    )
