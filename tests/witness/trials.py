"""Ask the toolkit what a case asks, and compare with the plain reference."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from plain_reference import Reference, channel_map, contributions
from random_cases import Case, case_of
from torch import Tensor

import neurocodec as nc

TOLERANCE = 1e-9
SINGLE_TOLERANCE = 2e-3
"""Largest differences relative to the largest number of a sample, in float64 and in float32."""

Kind = Literal["same", "differs", "refused", "kink", "crashed"]


@dataclass(frozen=True)
class Outcome:
    """What came of one case."""

    seed: int
    kind: Kind
    detail: str
    case: Case


@dataclass
class Difference:
    """The largest that was found."""

    size: float = 0.0
    where: str = ""

    def of(self, where: str, found: Any, expected: Any, scale: Any = None) -> None:
        """Compare arrays (sample, ...), relative to the largest number of the sample."""
        found = np.asarray(found, np.float64)
        expected = np.asarray(expected, np.float64)
        if found.shape != expected.shape:
            self._larger(np.inf, f"{where}: shape {found.shape}, expected {expected.shape}")
            return
        both_nan = np.isnan(found) & np.isnan(expected)
        size = np.where(both_nan, 0.0, np.abs(found - expected)).reshape(len(found), -1).max(1)
        own = np.abs(expected).reshape(len(found), -1).max(1) if scale is None else scale
        least = max(1e-4 * float(np.nanmax(own)), 1e-6)
        relative = size / np.maximum(own, least)
        place = int(np.nanargmax(np.where(np.isnan(relative), np.inf, relative)))
        worst = np.inf if np.isnan(relative).any() else float(relative[place])
        self._larger(worst, f"{where}, sample {place} of {len(found)}: {worst:.3g}")

    def _larger(self, size: float, where: str) -> None:
        if size > self.size:
            self.size, self.where = size, where


def run_case(seed: int) -> Outcome:
    """Make and run the case of a seed."""
    with one_thread():
        return run(case_of(seed))


def run(case: Case) -> Outcome:
    """Compare; look again where there is a difference, whether it is at a kink."""
    expected = _expected(case, case.reference)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = ASK[case.asked](case)
        except nc.errors.NeurocodecError as error:
            return Outcome(case.seed, "refused", f"{type(error).__name__}: {error}", case)
        except Exception as error:  # noqa: BLE001
            last = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
            return Outcome(case.seed, "crashed", f"{type(error).__name__} at {at}: {error}", case)
    tolerance = SINGLE_TOLERANCE if case.single else TOLERANCE
    difference = _compared(found, expected)
    if difference.size <= tolerance:
        return Outcome(case.seed, "same", f"{difference.size:.2g}", case)
    if _at_kink(case, expected, found):
        return Outcome(case.seed, "kink", difference.where, case)
    return Outcome(case.seed, "differs", difference.where, case)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread, as the networks are tiny."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


Numbers = dict[str, np.ndarray]
"""Name -> (sample, ...)."""


def _expected(case: Case, reference: Reference) -> Callable[[Any], Numbers]:
    """Compute what is expected, given what was found (steps that were taken, what was mapped)."""
    return lambda found: EXPECT[case.asked](case, reference, found)


def _compared(found: Numbers, expected: Callable[[Any], Numbers]) -> Difference:
    difference = Difference()
    wanted = expected(found)
    for name, values in wanted.items():
        if name.startswith("scale of "):
            continue
        scale = wanted.get(f"scale of {name}")
        if name not in found:
            difference.of(f"{name} is missing", np.zeros((1, 1)), np.full((1, 1), np.inf))
        else:
            difference.of(name, found[name], values, scale)
    return difference


def _at_kink(case: Case, expected: Callable[[Any], Numbers], found: Numbers) -> bool:
    """Whether what is expected changes when the input changes by little more than rounding."""
    plain = expected(found)
    tolerance, amount = (SINGLE_TOLERANCE, 1e-5) if case.single else (TOLERANCE, 1e-12)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        near = replace(case)
        near.inputs = [_moved(x, amount, rng) for x in case.inputs]
        near.start = _moved(case.start, amount, rng)
        other = EXPECT[case.asked](near, case.reference, found)
        difference = Difference()
        for name, values in plain.items():
            if not name.startswith("scale of "):
                difference.of(name, other[name], values, plain.get(f"scale of {name}"))
        if difference.size > tolerance:
            return True
    return False


def _moved(x: Tensor, amount: float, rng: np.random.Generator) -> Tensor:
    return x + amount * torch.from_numpy(rng.normal(size=tuple(x.shape)))


# contributions


def _ask_contributions(case: Case, net: Any = None) -> Numbers:
    options = {k: v for k, v in case.options.items() if k not in ("layer", "channel")}
    net = case.network if net is None else net
    tree = nc.contributions(
        net,
        case.samples,
        target=case.explained.toolkit(),
        method=case.method,
        layers=case.layers,
        progress=False,
        **options,
    )
    found = {"target": tree["target"].values}
    for name in ("steps", "converged"):
        if name in tree:
            found[name] = tree[name].values
    for alias in case.layers:
        for name, values in tree[alias].data_vars.items():
            found[f"{alias}/{name}"] = values.values
    return found


def _expect_contributions(case: Case, reference: Reference, found: Numbers) -> Numbers:
    rows: dict[str, list[Any]] = {}
    for i, x in enumerate(case.inputs):
        way = case.way
        if case.auto:
            way = replace(way, steps=int(found["steps"][i]))
        result = contributions(reference, way, case.explained.at, x, case.start, given=case.given)
        for alias in case.layers:
            one = result[alias]
            rows.setdefault("target", []).append(one.y) if alias == case.layers[0] else None
            for name, values in _rows(case, alias, one).items():
                rows.setdefault(name, []).append(values)
    return {name: np.asarray(values) for name, values in rows.items()}


def _rows(case: Case, alias: str, one: Any) -> dict[str, Any]:
    place = case.places[alias]
    whole = case.options.get("reduce", "channel") == "none"
    h, values = place.units(one.activation), place.units(one.values)
    rows: dict[str, Any] = {f"{alias}/activation": h if whole else _sum(h)}
    if case.way.name == "Activation":
        return {k: v.numpy() for k, v in rows.items()}
    name = "gradient" if case.way.name == "Gradient" else "contribution"
    if whole:
        reduced = values
    elif case.options["split"] == "after":
        total = _sum(values)
        reduced = torch.stack([total.clamp(min=0), total.clamp(max=0)])
    else:  # of a head its features at a token together: their basis is not the network's
        apart = values if place.heads is None else values.sum(-1, keepdim=True)
        reduced = torch.stack([_sum(apart.clamp(min=0)), _sum(apart.clamp(max=0))])
    rows[f"{alias}/{name}"] = reduced
    total = whole or case.options["split"] == "before"
    size = float(values.abs().max() if total else values.abs().sum())
    rows[f"scale of {alias}/{name}"] = np.asarray(max(size, 1e-3 * one.size, 1e-300))
    if one.change is not None:
        rows[f"{alias}/completeness_error"] = np.asarray(float(reduced.sum()) - one.change)
        size = float(values.abs().sum()) + abs(one.change) + abs(one.y)
        rows[f"scale of {alias}/completeness_error"] = np.asarray(size)
    rows[f"scale of {alias}/activation"] = np.asarray(float(h.abs().sum()))
    return {k: v.numpy() if isinstance(v, Tensor) else v for k, v in rows.items()}


def _sum(units: Tensor) -> Tensor:
    return units.reshape(len(units), -1).sum(1)


# other questions


def _ask_ablated(case: Case) -> Numbers:
    mask = case.mask
    way = nc.preserve if mask.kept else nc.ablate
    with way(case.network, case.options["layer"], mask.channels, fill=mask.fill) as net:
        found = {"responses": nc.respond(net, case.samples, batch_size=3).values}
        return found | _ask_contributions(case, net)


def _expect_responses(case: Case, reference: Reference, found: Numbers) -> Numbers:
    del found
    with torch.no_grad():
        return {"responses": np.stack([reference.run(x)[0].detach() for x in case.inputs])}


def _expect_ablated(case: Case, reference: Reference, found: Numbers) -> Numbers:
    responses = _expect_responses(case, reference, found)
    return responses | _expect_contributions(case, reference, found)


def _ask_responses(case: Case) -> Numbers:
    size = case.options["batch_size"] or 64
    found = {"responses": nc.respond(case.network, case.samples, batch_size=size).values}
    return found | _ask_contributions(case)


def _ask_maps(case: Case) -> Numbers:
    alias = case.layers[0]
    steps = {"steps": case.way.steps} if case.way.name == "ActGrad" else {}
    found = nc.contribution_maps(
        case.network,
        case.samples,
        alias,
        channels=[0],
        target=case.explained.toolkit(),
        method=case.method,
        baseline=case.options["baseline"],
        batch_size=case.options["batch_size"],
        progress=False,
        **steps,
    )
    order = ("sign", "channel")
    maps = found.contribution_map
    maps = maps.transpose(maps.dims[0], *order, ...) if "channel" in maps.dims else maps
    values = found.contribution
    values = values.transpose(values.dims[0], *order, ...) if "channel" in values.dims else values
    return {
        "maps": maps.values.reshape(len(maps), 2, -1),
        "contribution": values.values.reshape(len(values), 2),
        "target": found.target.values,
    }


def _expect_maps(case: Case, reference: Reference, found: Numbers) -> Numbers:
    del found
    alias, rows = case.layers[0], []
    targets = []
    for x in case.inputs:
        rows.append(channel_map(reference, case.way, case.explained.at, alias, 0, x, case.start))
        outputs = reference.run(x)[0].detach()
        targets.append(float(reference.point(x, case.explained.at(outputs)).value))
    maps = np.stack([m.numpy() for m, _ in rows])
    scale = np.abs(maps).reshape(len(maps), -1).sum(1)
    return {
        "maps": maps.reshape(len(maps), 2, -1),
        "contribution": np.stack([c.numpy() for _, c in rows]),
        "scale of contribution": scale,
        "target": np.asarray(targets),
    }


def _ask_fields(case: Case) -> Numbers:
    common: dict[str, Any] = {"batch_size": case.options["batch_size"], "progress": False}
    net, movie, alias = case.network, case.samples, case.layers[0]
    whole = nc.receptive_fields(net, movie, **common).irf
    through = nc.receptive_fields(net, movie, through=[0], layer=alias, **common).irf
    of = nc.receptive_fields(net, movie, of=case.explained.toolkit(), **common).irf
    count = whole.sizes["time"]
    flat = {"whole": whole, "through": through, "of": of}
    return {name: values.values.reshape(count, -1) for name, values in flat.items()}


def _expect_fields(case: Case, reference: Reference, found: Numbers) -> Numbers:
    del found
    alias = case.layers[0]
    rows: dict[str, list[Any]] = {"whole": [], "through": [], "of": []}
    for x in case.inputs:
        outputs = reference.run(x)[0].detach()
        cells = [lambda y, _h, i=i: y[i] for i in range(len(outputs))]
        rows["whole"].append([reference.field(x, c).numpy() for c in cells])
        rows["through"].append([reference.field(x, c, alias, 0).numpy() for c in cells])
        rows["of"].append(reference.field(x, case.explained.at(outputs)).numpy())
    return {name: np.asarray(r).reshape(len(r), -1) for name, r in rows.items()}


def _ask_curve(case: Case) -> Numbers:
    alias, count = case.layers[0], _channels(case)
    _, labels, scores = _ranking(case, count)
    curve = nc.perturbation_curve(
        case.network,
        case.samples,
        alias,
        scores,
        labels=labels,
        batch_size=case.options["batch_size"],
        kind=["ablate", "preserve"],
        fractions=[0.0, 0.5, 1.0],
        bootstrap=1,
        draws=1,
        progress=False,
    )
    target = curve.accuracy.sel(group="target").isel(ranking=0)
    target = target.transpose("category", "kind", "fraction")
    return {"accuracy": target.values, "n": curve.n_channels.values.ravel()[None]}


def _expect_curve(case: Case, reference: Reference, found: Numbers) -> Numbers:
    del reference
    count = _channels(case)
    names, labels, scores = _ranking(case, count)
    counts = [int(c) for c in found["n"].ravel()[:3]]
    rows = []
    for name, order in zip(names, scores.values, strict=True):
        own = [x for x, label in zip(case.inputs, labels, strict=True) if label == name]
        ranked = np.argsort(-order)
        row = [
            np.mean([_answer(case, x, ranked[:n], kept=kept) == int(name) for x in own])
            for kept in (False, True)
            for n in counts
        ]
        rows.append(np.asarray(row).reshape(2, -1))
    return {"accuracy": np.asarray(rows)}


def _answer(case: Case, x: Tensor, channels: Any, *, kept: bool) -> int:
    """Class of a sample, where channels (or all others) are replaced by zeros."""
    alias, reference = case.layers[0], case.reference
    h = reference.run(x)[1][alias].detach().clone()
    units = case.places[alias].units(h)
    for channel in range(len(units)):
        if (channel in channels) != kept:
            units[channel] = 0.0
    return int(reference.run(x, {alias: h})[0].argmax())


def _channels(case: Case) -> int:
    alias = case.layers[0]
    return len(case.places[alias].units(case.reference.run(case.inputs[0])[1][alias]))


def _ranking(case: Case, count: int) -> tuple[list[str], list[str], Any]:
    answers = [str(int(case.reference.run(x)[0].argmax())) for x in case.inputs]
    names = sorted(set(answers))
    rng = np.random.default_rng(case.seed)
    scores = xr.DataArray(
        np.stack([rng.permutation(count).astype(float) for _ in names]),
        {"category": names},
        ("category", "channel"),
    )
    return names, answers, scores


ASK: dict[str, Callable[[Case], Numbers]] = {
    "contributions": _ask_contributions,
    "ablated": _ask_ablated,
    "responses": _ask_responses,
    "maps": _ask_maps,
    "fields": _ask_fields,
    "curve": _ask_curve,
}
EXPECT: dict[str, Callable[[Case, Reference, Numbers], Numbers]] = {
    "contributions": _expect_contributions,
    "ablated": _expect_ablated,
    "responses": lambda c, r, f: _expect_responses(c, r, f) | _expect_contributions(c, r, f),
    "maps": _expect_maps,
    "fields": _expect_fields,
    "curve": _expect_curve,
}
