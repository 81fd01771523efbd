"""One case of a seed: a network, where it is looked at, what is explained, how, and of what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
import xarray as xr
from blocks import Random, TokenMixer, chance, pick
from plain_reference import Mask, Place, Reference, Value, Way, written_out
from random_networks import Built, random_network
from torch import Tensor, nn

import neurocodec as nc

ALIASES = ("one", "two", "three")
READ = "read_by_the_target"
ASKED = {
    "contributions": 12,
    "maps": 2,
    "fields": 2,
    "ablated": 2,
    "responses": 1,
    "curve": 1,
}
"""What is asked, and how often in 20."""


@dataclass(frozen=True)
class Explained:
    """A target, for the toolkit and by its formula."""

    name: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def toolkit(self) -> Any:
        return getattr(nc.targets, self.name)(**self.numbers)

    def at(self, outputs: Tensor) -> Value:
        """The formula; `outputs` are those at the sample, where classes may be held."""
        held = torch.argsort(outputs, descending=True, stable=True)[: self.numbers.get("k", 1)]
        numbers = self.numbers

        def value(y: Tensor, hidden: Mapping[str, Tensor]) -> Tensor:  # noqa: PLR0911
            match self.name:
                case "Sum":
                    return y.sum()
                case "Output":
                    return y[numbers["which"]]
                case "TopK":
                    now = torch.argsort(y.detach(), descending=True, stable=True)[: numbers["k"]]
                    y = _softmax(y) if numbers["of"] == "probability" else y
                    return y[held if numbers["hold"] else now].sum()
                case "Margin":
                    best = y.sort(descending=True, stable=True).values
                    return best[0] - best[1]
                case "Entropy":
                    p = _softmax(y)
                    return -(p * p.log()).sum() / math.log(2)
                case "Mahalanobis" | "Surprisal":
                    return _distance(y, numbers, whole=self.name == "Surprisal")
            return self._feature(hidden[READ])

        return value

    def _feature(self, h: Tensor) -> Tensor:
        units = self.numbers["place"].units(h)
        vector = torch.tensor(self.numbers["vector"], dtype=h.dtype)
        projected = torch.tensordot(vector, units, 1)
        where = self.numbers["position"]
        return projected.sum() if where is None else projected[where]


def _softmax(y: Tensor) -> Tensor:
    e = (y - y.max()).exp()
    return e / e.sum()


def _distance(y: Tensor, numbers: Mapping[str, Any], *, whole: bool) -> Tensor:
    mean, covariance = (torch.as_tensor(numbers[k]) for k in ("mean", "covariance"))
    square = (y - mean) @ torch.linalg.inv(covariance) @ (y - mean)
    if not whole:
        return square
    size = len(mean) * math.log(2 * math.pi) + torch.logdet(covariance)
    return (square + size) / (2 * math.log(2))


class FeatureOf(Explained):
    """A projection of a layer, whose name in the toolkit is an alias."""

    def toolkit(self) -> Any:
        numbers = self.numbers
        return nc.targets.Feature(READ, tuple(numbers["vector"]), numbers["position"])


@dataclass
class Case:
    """Everything that a comparison needs."""

    seed: int
    built: Built
    places: dict[str, Place]
    explained: Explained
    way: Way
    samples: xr.DataArray
    focus: str = "any"
    single: bool = False  # the toolkit computes in float32
    asked: str = "contributions"
    options: dict[str, Any] = field(default_factory=dict)
    auto: dict[str, Any] = field(default_factory=dict)  # of a method with steps="auto"
    mask: Mask | None = None
    layouts: dict[str, str | None] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)  # of every module, in one pass

    @property
    def layers(self) -> list[str]:
        """Aliases of the layers that are asked for, without the one that a target reads."""
        return [alias for alias in self.places if alias != READ]

    @property
    def tags(self) -> list[str]:
        """What the case has, for counting what failures have in common."""
        found = [self.asked, self.method_name, f"target: {self.explained.name}", *self.built.tags]
        found += [f"{alias} at input" for alias, p in self.places.items() if p.at == "input"]
        for name in ("token", "heads", "item"):
            if any(getattr(p, name) is not None for p in self.places.values()):
                found.append(f"layer with {name}=")
        if any(p.occurrence for p in self.places.values()):
            found.append("occurrence=")
        if self.built.history is not None:
            found.append("movie")
        if self.single:
            found.append("float32")
        if len(self.samples) == 1 or self.options.get("batch_size") == 1:
            found.append("batch of one")
        return found

    @property
    def method_name(self) -> str:
        if self.way.name != "IntegratedGradients":
            return self.way.name
        return f"IntegratedGradients {self.way.path} {self.way.rule}"

    @property
    def size(self) -> int:
        """Number of modules, to find the smallest network that fails."""
        return len([*self.built.module.modules()])

    @cached_property
    def network(self) -> nc.Network:
        """The network for the toolkit."""
        module = self.built.module.float() if self.single else self.built.module
        layers = {alias: self._layer(alias, place) for alias, place in self.places.items()}
        options: dict[str, Any] = {"history": self.built.history, "select": self.built.select}
        return nc.Network(module, layers, **options)

    def _layer(self, alias: str, place: Place) -> nc.Layer:
        several = self.calls[place.module] > 1
        return nc.Layer(
            place.module,
            at=place.at,
            occurrence=place.occurrence if several else None,
            item=place.item,
            layout=self.layouts[alias],
            token=place.token,
            heads=place.heads,
        )

    @cached_property
    def reference(self) -> Reference:
        """The network the plain way; made before the toolkit has seen it."""
        return self.looking_at(self.places, self.mask)

    def looking_at(self, places: Mapping[str, Place], mask: Mask | None = None) -> Reference:
        """Reference that is looked at in some places."""
        return Reference(self.plain, places, self.built.select, mask, written=True)

    @cached_property
    def plain(self) -> nn.Module:
        """Copy of the network for references."""
        return written_out(self.built.module)

    @property
    def method(self) -> Any:
        """The method for the toolkit."""
        made = getattr(nc.methods, self.way.name)
        if self.way.name == "SmoothGrad":
            return made(sigma=0.0, samples=2)
        if self.way.name != "IntegratedGradients":
            return made()
        steps = "auto" if self.auto else self.way.steps
        return made(steps=steps, path=self.way.path, rule=self.way.rule, **self.auto)

    @cached_property
    def inputs(self) -> list[Tensor]:
        """Samples as the network sees them, each (1, ...), in float64."""
        values = torch.from_numpy(np.asarray(self.samples.values, np.float64))
        if self.built.history is None:
            return [v[None].contiguous() for v in values]
        count = len(values) - self.built.history + 1
        return [values[i : i + self.built.history][None].contiguous() for i in range(count)]

    def answer(self, which: int) -> int:
        """Class of a sample."""
        return int(self.looking_at({}).run(self.inputs[which])[0].argmax())

    @cached_property
    def start(self) -> Tensor:
        """Where paths start, (1, ...)."""
        wanted, one = self.options.get("baseline"), self.inputs[0]
        if wanted is None or (isinstance(wanted, str) and wanted == "zeros"):
            return torch.zeros_like(one)
        if isinstance(wanted, str):
            mean = torch.from_numpy(np.asarray(self.samples.values, np.float64)).mean(0)
            return mean.expand_as(one).contiguous()
        return torch.from_numpy(np.asarray(wanted, np.float64)).expand_as(one).contiguous()

    @property
    def given(self) -> bool:
        return self.options.get("baseline") is not None

    def described(self) -> str:
        """The whole case in words."""
        lines = [
            f"seed {self.seed}: {self.asked}, {self.method}, {self.explained}",
            f"options: { {k: _short(v) for k, v in self.options.items()} }",
            f"samples: {dict(self.samples.sizes)}, history {self.built.history}",
            *[f"{a}: {p}, layout={self.layouts[a]}" for a, p in self.places.items()],
            *([] if self.mask is None else [str(self.mask)]),
            f"tags: {self.tags}",
            str(self.built.module),
        ]
        return "\n".join(lines)


def _short(value: Any) -> Any:
    return f"array {np.shape(value)}" if isinstance(value, np.ndarray) else value


class Unsuitable(Exception):
    """The network cannot be looked at: no layer of it acts on the answer."""


def case_of(seed: int) -> Case:
    """Make the case of a seed; where a network is unsuitable, the next that is not."""
    for attempt in range(50):
        try:
            return _case(seed, attempt)
        except Unsuitable:
            continue
    raise Unsuitable(f"seed {seed}")


def _case(seed: int, attempt: int) -> Case:
    rng = np.random.default_rng([seed, attempt])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        focus = pick(rng, ["any"] * 5 + ["prefix"] * 3 + ["folded"] * 2)
        built = random_network(rng, focus)
        samples = _samples(rng, built, focus)
        asked = pick(rng, [name for name, times in ASKED.items() for _ in range(times)])
        if focus == "prefix" and asked != "curve":
            asked = pick(rng, ["contributions", "contributions", "contributions", "fields"])
        if asked == "maps" and len(built.shape) < 2:
            asked = "contributions"
        if asked == "fields" and (built.history is None or len(built.shape) != 3):
            asked = "contributions"
        if asked == "curve" and built.history is not None:
            asked = "ablated"
        case = Case(seed, built, {}, Explained("Sum"), Way("ActGrad"), samples, asked=asked)
        case.focus = focus
        _look(rng, case)
    return case


def _samples(rng: Random, built: Built, focus: str) -> xr.DataArray:
    """Alike, or dark with one that is bright and that is not among those that are traced."""
    light = pick(rng, ["alike", "one bright", "one bright", "mixed"])
    light = "one bright" if focus != "any" and chance(rng, 0.5) else light
    count = 6 if light == "one bright" and chance(rng, 0.6) else pick(rng, [1, 2, 3])
    frames = count if built.history is None else count + built.history - 1
    shape = built.shape if built.history is None else built.shape[1:]
    values = rng.normal(size=(frames, *shape))
    if light == "one bright":
        scale = np.full(frames, 0.06)
        scale[frames - 1 - (frames > 1) : frames - (frames > 1)] = 2.0
    elif light == "mixed":
        scale = rng.choice([0.1, 0.5, 2.0], frames)
    else:
        scale = np.ones(frames)
    level = pick(rng, [0.0, 0.0, 0.4, 1.0]) if light != "one bright" else 0.0
    values = values * scale.reshape(-1, *[1] * len(shape)) + level
    first = "stimulus" if built.history is None else "time"
    names = {1: ("y",), 2: ("y", "x"), 3: ("color", "y", "x")}[len(shape)]
    dims = (first, *(names if built.history is None else ("y", "x")))
    found = xr.DataArray(np.ascontiguousarray(values), dims=dims)
    if chance(rng, 0.2) and len(shape) == 3:
        found = found.transpose(first, "y", "x", "color").copy()
        found = found.transpose(*dims)  # channels last in memory
    if first == "time":
        found = found.assign_coords(time=np.arange(frames) / 50)
    return found


# layers


@dataclass
class _Seen:
    """What a module did in one pass."""

    name: str
    calls: int = 0
    given: list[int | None] = field(default_factory=list)  # axes of what it took
    made: list[Any] = field(default_factory=list)  # axes, by item


def _axes(value: Any) -> int | None:
    fits = isinstance(value, Tensor) and value.is_floating_point() and value.ndim >= 2
    return value.ndim if fits and len(value) == 1 else None


def _ran(built: Built, x: Tensor) -> dict[str, _Seen]:
    seen = {name: _Seen(name) for name, _ in built.module.named_modules() if name}
    with ExitStack() as stack, torch.no_grad():
        for name, part in built.module.named_modules():
            if not name:
                continue

            def note(_part: Any, args: Any, options: Any, made: Any, name: str = name) -> None:
                one = seen[name]
                one.calls += 1
                one.given.append(_axes(args[0] if args else next(iter(options.values()))))
                items = made.items() if isinstance(made, dict) else enumerate(made)
                several = isinstance(made, dict | tuple)
                one.made.append({k: _axes(v) for k, v in items} if several else _axes(made))

            hook = part.register_forward_hook(note, with_kwargs=True)
            stack.callback(hook.remove)
        built.module(x.clone())
    return seen


def _candidates(built: Built, seen: Mapping[str, _Seen]) -> list[Place]:
    found = []
    parts = dict(built.module.named_modules())
    for name, one in seen.items():
        part = parts[name]
        kind = built.layouts.get(part, "vector" if name.startswith(("head", "side")) else "maps")
        for call in range(one.calls):
            made = one.made[call]
            items = made.items() if isinstance(made, dict) else [(None, made)]
            for item, axes in items:
                if axes is not None:
                    found.append(Place(name, "output", call, item, _kind(kind, axes)))
            mixes = isinstance(part, nn.modules.conv._ConvNd | nn.Linear | nn.ReLU)
            if one.given[call] is not None and mixes and one.given[call] == made:
                found.append(Place(name, "input", call, None, _kind(kind, one.given[call])))
    return found


def _kind(kind: str, axes: int) -> str:
    return "vector" if axes == 2 else kind


def _look(rng: Random, case: Case) -> None:
    """Choose layers that act on the answer, what is explained, and how."""
    built = case.built
    x = case.inputs[0]
    seen = _ran(built, x)
    case.calls = {name: one.calls for name, one in seen.items()}
    places = _candidates(built, seen)
    if not places:
        raise Unsuitable
    starts = ("parts.0", "parts.1") if case.focus == "prefix" else ("parts.0",)
    first = [p for p in places if p.module.startswith(starts)]
    wanted: list[Place] = []
    for _ in range(int(rng.integers(1, 4))):
        near = first if first and chance(rng, 0.5) else places
        wanted.append(pick(rng, near))
    reference = case.looking_at({})
    outputs = reference.run(x)[0].detach()
    case.explained = _explained(rng, outputs)
    _feature(rng, case, places)
    for alias, place in zip(ALIASES, wanted, strict=False):
        chosen = _finer(rng, case, place)
        if _acts(case, chosen, x, outputs):
            case.places[alias] = chosen
    if not case.places or (case.places.keys() == {READ}):
        raise Unsuitable
    case.layouts = {a: _layout(rng, p, built, seen) for a, p in case.places.items()}
    if case.asked == "curve" and len({int(case.answer(i)) for i in range(len(case.inputs))}) < 2:
        case.asked = "ablated"  # there are no images of another class
    case.way = _way(rng, case)
    case.options = _options(rng, case)
    if case.asked == "ablated":
        _mask(rng, case)
    case.single = chance(rng, 0.03) and case.asked == "contributions"


def _feature(rng: Random, case: Case, places: list[Place]) -> None:
    if not chance(rng, 0.15) or case.asked == "curve":
        return
    place = pick(rng, places)
    units = place.units(_activation(case, place))
    position = None
    if chance(rng, 0.5):
        position = tuple(int(rng.integers(n)) for n in units.shape[1:]) or None
    numbers = {"vector": rng.normal(size=len(units)).tolist(), "position": position}
    case.explained = FeatureOf("Feature", {**numbers, "place": place})
    case.places[READ] = place


def _activation(case: Case, place: Place) -> Tensor:
    """Activation of the first sample."""
    return case.looking_at({"a": place}).run(case.inputs[0])[1]["a"].detach()


def _finer(rng: Random, case: Case, place: Place) -> Place:
    """Take one token, or heads, of tokens."""
    if place.kind != "tokens":
        return place
    h = _activation(case, place)
    if h.ndim != 3:
        return place
    if chance(rng, 0.3):
        place = Place(**{**place.__dict__, "token": int(rng.integers(h.shape[1]))})
    if chance(rng, 0.3):
        heads = pick(rng, [n for n in (1, 2, 3, 4) if h.shape[2] % n == 0])
        place = Place(**{**place.__dict__, "heads": heads})
    return place


def _acts(case: Case, place: Place, x: Tensor, outputs: Tensor) -> bool:
    """Whether the target depends on a place, and looking there does not change the answer."""
    places = {**{a: p for a, p in case.places.items() if a == READ}, "new": place}
    reference = case.looking_at(places)
    try:
        point = reference.point(x, case.explained.at(outputs))
    except RuntimeError:  # changed in place although a derivative needs it
        return False
    same = torch.allclose(point.outputs, outputs, rtol=1e-12, atol=1e-12)
    return same and "new" in point.gradient


def _layout(rng: Random, place: Place, built: Built, seen: Mapping[str, _Seen]) -> str | None:
    one, part = seen[place.module], built.module.get_submodule(place.module)
    made = one.given if place.at == "input" else one.made
    axes = made[place.occurrence]
    axes = axes[place.item] if isinstance(axes, dict) else axes
    if axes == 2:
        return None
    guessed = {3: "tokens", 4: "maps"}.get(axes) == place.kind
    guessed &= not (axes == 3 and isinstance(part, nn.Conv1d | nn.MaxPool1d))
    mixers = [m for m in built.module.modules() if isinstance(m, TokenMixer)]
    guessed &= not any(m.mix is part for m in mixers)  # whose last axis are the tokens
    return None if guessed and chance(rng, 0.6) else place.kind


def _explained(rng: Random, outputs: Tensor) -> Explained:
    count = len(outputs)
    match pick(rng, ["Sum", "Output", "Output", "TopK", "TopK", "Margin", "Entropy", "Surprisal"]):
        case "Output":
            return Explained("Output", {"which": int(rng.integers(count))})
        case "TopK":
            k, of = int(rng.integers(1, count)), pick(rng, ["logits", "logits", "probability"])
            return Explained("TopK", {"k": k, "of": of, "hold": chance(rng, 0.5)})
        case "Margin":
            return Explained("Margin")
        case "Entropy":
            return Explained("Entropy")
        case "Surprisal":
            half = rng.normal(size=(count, count))
            numbers = {"mean": rng.normal(size=count), "covariance": half @ half.T + np.eye(count)}
            return Explained(pick(rng, ["Surprisal", "Mahalanobis"]), numbers)
    return Explained("Sum")


def _way(rng: Random, case: Case) -> Way:
    known = ["ActGrad", "InputGrad"] + ["IntegratedGradients"] * 7
    known += ["IntegratedGradients"] * (9 if case.focus == "prefix" else 0)
    if case.asked != "maps":
        known += ["NormGrad", "Gradient", "SmoothGrad"]
    if case.asked == "responses":
        known = ["Activation"]
    name = pick(rng, known)
    if name == "ActGrad" and case.asked == "maps":
        return Way(name, steps=int(rng.integers(1, 4)))
    if name != "IntegratedGradients":
        return Way(name)
    path = pick(rng, ["input", "input", "input", "hidden" if case.focus == "any" else "input"])
    steps = int(rng.integers(1, 3 if case.asked == "maps" else 5))
    way = Way(name, steps, path, pick(rng, ["trapezoid", "trapezoid", "right"]))
    if chance(rng, 0.06) and case.asked == "contributions" and len(case.layers) == 1:
        case.auto = {"tolerance": pick(rng, [0.1, 1e-2]), "max_steps": 32}
    return way


def _options(rng: Random, case: Case) -> dict[str, Any]:
    options: dict[str, Any] = {"batch_size": pick(rng, [None, None, 1, 2, 3])}
    options["baseline"] = pick(rng, [None, None, "zeros", "mean", "sample"])
    if options["baseline"] == "sample":
        shape = case.samples.shape[1:]
        options["baseline"] = rng.normal(size=shape)
    if case.asked in ("contributions", "ablated"):
        deep = any(p.kind == "maps" for p in case.places.values()) and len(case.built.shape) == 3
        volumes = case.built.module.volumes
        whole = chance(rng, 0.3) and not (deep and volumes)
        options["reduce"] = "none" if whole else "channel"
        options["split"] = pick(rng, ["before", "before", "after"])
    return options


def _mask(rng: Random, case: Case) -> None:
    alias = pick(rng, case.layers)
    place = case.places[alias]
    count = len(place.units(_activation(case, place)))
    channels = rng.choice(count, max(1, int(rng.integers(count + 1)) // 2), replace=False)
    fill = pick(rng, [0.0, 0.0, 0.7])
    chosen = tuple(sorted(int(c) for c in channels))
    case.mask = Mask(place, chosen, fill, kept=chance(rng, 0.4))
    case.options["layer"] = alias
