"""Random small networks, from a seed: what is in front, two to six parts, and the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from blocks import (
    FUNCTIONS,
    Again,
    Attention,
    ByKeyword,
    Call,
    ChannelsLastNorm,
    Heads,
    Pair,
    Pool,
    Random,
    Residual,
    SqueezeExcite,
    Take,
    TokenMixer,
    Twice,
    activation,
    chance,
    pick,
    strength,
    threshold,
)
from torch import Tensor, nn

Kind = Literal["vector", "tokens", "maps"]


class Front:
    """What happens to the input before the first layer; no module, as only layers are."""

    AFFINE = (
        "nothing",
        "standardised",
        "in channels-last",
        "changed in place",
        "padded",
        "flipped",
    )
    OTHER = (
        "masked by itself",
        "gain by detach",
        "scaled by item",
        "gate by its maximum",
        "gate by its mean",
        "rounded in part",
        "rectified",
        "where",
        "squares beside",
        "argmax",
        "counted",
        "clipped in place",
    )

    def __init__(self, way: str, rng: Random) -> None:
        self.way, self.level = way, threshold(rng)
        whole = way in self.AFFINE or way == "squares beside"
        self.strength = 1.0 if whole else strength(rng)
        self.mean = float(rng.normal())
        self.table = torch.from_numpy(rng.uniform(0.5, 1.5, 512))

    def __repr__(self) -> str:
        return f"{self.way}, level={self.level:.3g}, strength={self.strength:g}"

    def __call__(self, x: Tensor) -> Tensor:
        found = self._changed(x)
        return found if self.strength == 1 else x + self.strength * (found - x)

    def _changed(self, x: Tensor) -> Tensor:  # noqa: PLR0911, PLR0912
        rest = (slice(None), *[None] * (x.ndim - 1))
        match self.way:
            case "standardised":
                return (x - self.mean) / 1.7
            case "in channels-last":
                return x.to(memory_format=torch.channels_last) if x.ndim == 4 else x
            case "changed in place":
                return x.mul_(0.8).sub_(0.1)
            case "padded":
                return nn.functional.pad(x, (1, 1), value=0.3)
            case "flipped":
                return x.flip(-1) + 0.1
            case "masked by itself":
                return x * (x < self.level)
            case "gain by detach":
                return x / (0.5 + x.detach().square().flatten(1).mean(1)[rest])
            case "scaled by item":
                gains = [0.5 if one.max().item() > self.level else 1.5 for one in x]
                return x * torch.tensor(gains, dtype=x.dtype)[rest]
            case "gate by its maximum":
                return x * (0.3 + 1.0 * (x.flatten(1).amax(1) > self.level)[rest])
            case "gate by its mean":
                return x + 0.5 * (x.detach().flatten(1).mean(1) > 0.3 * self.level)[rest]
            case "rounded in part":
                return x + 0.2 * torch.floor(x + 0.37)
            case "rectified":
                return torch.relu(x - self.level)
            case "where":
                return torch.where(x > self.level, 0.3 * x, x)
            case "squares beside":
                return torch.cat([x, x.square()], 1)
            case "argmax":
                table = self.table.to(x)
                place = (x.flatten(1) + 0.01 * table[: x[0].numel()]).argmax(1)
                return x * table[place][rest]
            case "counted":
                return x - 0.01 * (x > self.level).long().flatten(1).sum(1)[rest]
            case "clipped in place":
                return x.clone().clamp_(max=abs(self.level))
            case _:
                return x


class Side(nn.Module):
    """What comes to the answer by another way than through the layers."""

    WAYS = (
        "gate by the input's maximum",
        "gate by the input's mean",
        "gain by the detached input",
        "input read beside",
        "input read beside, squared",
        "table by argmax",
        "answer masked",
        "answer gated",
        "input read beside where bright",
        "answers swapped where bright",
    )

    def __init__(self, way: str, inputs: int, outputs: int, rng: Random) -> None:
        super().__init__()
        self.way, self.level, self.strength = way, threshold(rng), strength(rng)
        self.read = nn.Linear(inputs, outputs)
        self.register_buffer("table", torch.from_numpy(rng.uniform(0.5, 1.5, inputs)).float())

    def extra_repr(self) -> str:
        return f"{self.way}, level={self.level:.3g}, strength={self.strength:g}"

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        found = self._changed(y, x)
        return found if self.strength == 1 else y + self.strength * (found - y)

    def _changed(self, y: Tensor, x: Tensor) -> Tensor:  # noqa: PLR0911
        flat = x.flatten(1)
        match self.way:
            case "gate by the input's maximum":
                return y * (flat.amax(1) > self.level)[:, None]
            case "gate by the input's mean":
                return y * (0.4 + 1.0 * (flat.mean(1) > 0.3 * self.level)[:, None])
            case "gain by the detached input":
                return y / (0.5 + flat.detach().square().mean(1)[:, None])
            case "input read beside":
                return y + self.read(flat)
            case "input read beside, squared":
                return y + self.read(flat).square()
            case "table by argmax":
                return y * self.table[(flat + 0.01 * self.table).argmax(1)][:, None]
            case "answer masked":
                return y * (y < self.level)
            case "input read beside where bright":
                return y + self.read(flat) * (flat.amax(1) > abs(self.level))[:, None]
            case "answers swapped where bright":
                return torch.where((flat.amax(1) > abs(self.level))[:, None], y.flip(1), y)
            case "answer gated":
                return y * (y.detach().amax(1) < self.level)[:, None]
            case _:
                return y


class RandomNetwork(nn.Module):
    """Front, parts, readout, and what is beside."""

    def __init__(self, front: Front, parts: list[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.front, self.parts, self.head = front, nn.Sequential(*parts), head
        self.volumes = False  # whether the windows get an axis of channels
        self.between: dict[int, str] = {}  # functions after some parts
        self.side: Side | None = None
        self.rerun: tuple[int, int] | None = None  # a part that runs again, after another
        # the first part runs again at the end, on what it took before: always, or where bright
        self.late: str | None = None
        self.returns = "tensor"

    def extra_repr(self) -> str:
        front = f"front: {self.front}, between: {self.between}, volumes: {self.volumes}"
        return f"{front}, rerun: {self.rerun}, late: {self.late}, returns: {self.returns}"

    def forward(self, x: Tensor) -> Any:
        given = x.clone() if self.side is not None and self.front.way == "changed in place" else x
        z = self.front(x)
        z = z.unsqueeze(1) if self.volumes else z
        kept = 0.5 * z + 0.1 if self.late else z
        for place, part in enumerate(self.parts):
            z = part(z)
            z = FUNCTIONS[self.between[place]](z) if place in self.between else z
            if self.rerun is not None and self.rerun[1] == place:
                z = self.parts[self.rerun[0]](z)
        y = self.head(z)
        if self.late is not None:
            again = torch.tanh(self.parts[0](kept)).flatten(1).mean(1)[:, None]
            seen = kept.flatten(1).amax(1) > 0.4
            y = y + (again * seen[:, None] if self.late == "where bright" else again)
        y = y if self.side is None else self.side(y, given)
        return {"tensor": y, "tuple": (y, z), "dict": {"y": y, "z": z}}[self.returns]


@dataclass
class Built:
    """A network, and what is to be known of it."""

    module: RandomNetwork
    shape: tuple[int, ...]  # of one sample
    history: int | None
    outputs: int
    layouts: dict[nn.Module, Kind]  # how three axes and more of what a module returns are meant
    tags: list[str]

    @property
    def select(self) -> Any:
        """Which item of what the network returns is its answer."""
        return {"tensor": None, "tuple": 0, "dict": "y"}[self.module.returns]


@dataclass
class _Builder:
    rng: Random
    z: Tensor  # what has been made so far of two samples
    kind: Kind
    parts: list[nn.Module] = field(default_factory=list)
    layouts: dict[nn.Module, Kind] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    between: dict[int, str] = field(default_factory=dict)
    shapes: list[tuple[int, ...]] = field(init=False)  # before and after each part

    def __post_init__(self) -> None:
        self.shapes = [tuple(self.z.shape)]

    def add(self, part: nn.Module, tag: str, kind: Kind | None = None) -> None:
        """Append a part; `kind` is of what it returns."""
        part = _stirred(part.double().eval(), self.rng)
        with torch.no_grad():
            self.z = part(self.z.clone())
        self.kind = kind or self.kind
        for inner in part.modules():
            self.layouts.setdefault(inner, self.kind)
            if isinstance(inner, ChannelsLastNorm):
                self.layouts[inner.norm] = "tokens"
        self.parts.append(part)
        self.shapes.append(tuple(self.z.shape))
        self.tags.append(tag)

    @property
    def channels(self) -> int:
        return self.z.shape[-1 if self.kind == "tokens" else 1]


def _stirred(part: nn.Module, rng: Random) -> nn.Module:
    """Give norms numbers of their own, and every bias a value."""

    def normal(like: Tensor) -> Tensor:
        return torch.from_numpy(rng.normal(size=tuple(like.shape))).to(like)

    with torch.no_grad():
        for inner in part.modules():
            if isinstance(getattr(inner, "running_mean", None), Tensor):
                inner.running_mean.copy_(0.5 * normal(inner.running_mean))
                inner.running_var.copy_(0.4 + normal(inner.running_var).square())
            if type(inner).__name__.endswith("Norm") or "Norm" in type(inner).__name__:
                for name in ("weight", "bias"):
                    value = getattr(inner, name, None)
                    if isinstance(value, Tensor):
                        value.copy_(normal(value) + (1.0 if name == "weight" else 0.0))
            if isinstance(inner, nn.MultiheadAttention):
                inner.in_proj_bias.copy_(0.3 * normal(inner.in_proj_bias))
    return part


def random_network(rng: Random, focus: str = "any") -> Built:
    """Build a network of two to six parts, in evaluation mode and float64.

    With the focus "prefix" it begins with affine parts, with "folded" with a convolution and a
    batch norm, each with or without something that forbids the shortcut.
    """
    family = pick(rng, ["images"] * 5 + ["movie"] * 3 + ["signals", "vectors", "volumes", "tokens"])
    history = int(rng.integers(3, 6)) if family in ("movie", "volumes") else None
    shape = _shape(rng, family, history)
    front = Front(_front(rng, 0.75 if focus == "prefix" else 0.5), rng)
    x = torch.from_numpy(rng.normal(size=(2, *shape)))
    with torch.no_grad():
        z = front(x.clone())
        z = z.unsqueeze(1) if family == "volumes" else z
    kind: Kind = "vector" if family == "vectors" else "maps"
    build = _Builder(rng, z, kind, tags=[f"front: {front.way}"])
    if focus == "prefix":
        _affine(build, family)
    elif focus == "folded" and len(shape) == 3 and family != "volumes":
        _folded(build)
    else:
        _first(build, family)
    for _ in range(int(rng.integers(1, 5))):
        _middle(build)
    outputs = int(rng.integers(2, 5))
    head = _head(build, outputs)
    module = RandomNetwork(front, build.parts, head).double().eval()
    module.volumes, module.between = family == "volumes", build.between
    _finish(module, build, math.prod(shape), outputs)
    return Built(module, shape, history, outputs, build.layouts, build.tags)


def _shape(rng: Random, family: str, history: int | None) -> tuple[int, ...]:
    height, width = (int(n) for n in rng.integers(4, 8, 2))
    match family:
        case "movie" | "volumes":
            return (history or 1, height, width)
        case "signals":
            return (int(rng.integers(1, 4)), int(rng.integers(7, 13)))
        case "vectors":
            return (int(rng.integers(4, 9)),)
        case _:
            narrow = 1 if chance(rng, 0.1) else width
            return (int(rng.integers(1, 4)), height, narrow)


def _front(rng: Random, share: float) -> str:
    if not chance(rng, share):
        return "nothing"
    return pick(rng, Front.AFFINE if chance(rng, 1 - share) else Front.OTHER)


def _first(build: _Builder, family: str) -> None:
    """The first layer: a convolution of each kind, a linear map, patches."""
    rng, z = build.rng, build.z
    if family == "vectors":
        build.add(_linear_part(build), "linear")
    elif family == "signals":
        build.add(_signal_part(build), "conv1d")
    elif family == "volumes":
        build.add(_volume_part(build), "conv3d")
        build.add(Call("depth to channels", lambda z: z.flatten(1, 2)), "flatten depth")
    elif family == "tokens" and min(z.shape[2:]) >= 2:
        size = (int(rng.integers(2, 4)), 2)
        build.add(nn.Conv2d(z.shape[1], 2 * int(rng.integers(2, 4)), size, size), "patches")
        _to_tokens(build)
    elif family == "movie":
        build.add(_window_part(build), "window conv")
    else:
        build.add(_map_part(build), "conv2d")


def _affine(build: _Builder, family: str) -> None:
    """One to three affine parts, in which there may be something that is not."""
    rng, dims = build.rng, build.z.ndim
    if family == "volumes":
        build.add(nn.Conv3d(1, 2, (2, 2, 2)), "affine conv3d")
        build.add(Call("depth to channels", lambda z: z.flatten(1, 2)), "flatten depth")
    elif dims == 4:
        size = tuple(int(rng.integers(1, min(5, n) + 1)) for n in build.z.shape[2:])
        out = int(rng.integers(2, 5))
        plain = nn.Conv2d(build.z.shape[1], out, size)
        build.add(plain if chance(rng, 0.6) else _convolution(build), "affine conv2d")
        if chance(rng, 0.4):
            build.add(nn.BatchNorm2d(build.channels), "affine norm")
        if chance(rng, 0.2) and min(build.z.shape[2:]) > 1:
            build.add(nn.AvgPool2d(2), "affine pool")
    elif dims == 3:
        build.add(nn.Conv1d(build.z.shape[1], 4, 3), "affine conv1d")
    else:
        build.add(nn.Linear(build.z.shape[1], 6), "affine linear")
    if chance(rng, 0.3):
        name = pick(rng, [*FUNCTIONS])
        build.tags.append(f"between: {name}")
        build.between[len(build.parts) - 1] = name
        build.z = FUNCTIONS[name](build.z.clone())
    if build.z.ndim > 3 and chance(rng, 0.4):
        build.add(_convolution(build), "affine conv2d")


def _folded(build: _Builder) -> None:
    """A convolution and a batch norm that others may read too."""
    conv = _convolution(build)
    shape = _shape_after(conv, build.z)
    ways = [w for w in Twice.WAYS if w != "mix again" or shape == build.z.shape]
    way = pick(build.rng, [None, *ways])
    build.tags.append(f"folded, read also: {way}")
    unit = Twice(conv, nn.BatchNorm2d(shape[1]), way, build.rng)
    build.add(nn.Sequential(unit, activation(build.rng)), "conv2d")


def _window_part(build: _Builder) -> nn.Module:
    """What a Fourier transform may compute: stride 1, no padding."""
    rng, (_, channels, height, width) = build.rng, build.z.shape
    if chance(rng, 0.25):
        return _map_part(build)
    size = tuple(int(rng.integers(1, min(6, n) + 1)) for n in (height, width))
    conv = nn.Conv2d(channels, int(rng.integers(2, 4)), size, bias=chance(rng, 0.7))
    if chance(rng, 0.4):
        return conv
    return _unit(build, conv)


def _convolution(build: _Builder, out: int | None = None, *, same: bool = False) -> nn.Module:
    """A two-dimensional convolution of any kind that fits."""
    rng, (_, channels, height, width) = build.rng, build.z.shape
    out = out or 2 * int(rng.integers(1, 4))
    options: dict[str, Any] = {"bias": True}
    largest = min(height, width)
    if same:
        kernel = pick(rng, [1, 3, 3, 5])
        padding = kernel // 2 if chance(rng, 0.7) else "same"
        return nn.Conv2d(channels, out, kernel, padding=padding, **options)
    kernel = tuple(int(min(pick(rng, [1, 2, 3, 3, 5]), n)) for n in (height, width))
    if chance(rng, 0.15) and height < 20:
        stride = pick(rng, [1, 2])
        return nn.ConvTranspose2d(channels, out, kernel, stride, padding=0, **options)
    if chance(rng, 0.3) and largest >= 4:
        options["padding"] = tuple(k // 2 for k in kernel)
        options["padding_mode"] = pick(rng, ["zeros", "zeros", "circular", "reflect", "replicate"])
        options["stride"] = pick(rng, [1, 2])
    elif chance(rng, 0.2):
        options["stride"] = pick(rng, [1, 2, (2, 1)])
    if chance(rng, 0.2) and channels % 2 == 0 and out % 2 == 0:
        options["groups"] = 2
    conv = nn.Conv2d(channels, out, kernel, **options)
    return conv.to(memory_format=torch.channels_last) if chance(rng, 0.15) else conv


def _norm(  # noqa: PLR0911
    build: _Builder, channels: int, shape: tuple[int, ...]
) -> nn.Module:
    rng, dims = build.rng, len(shape) - 2
    several = math.prod(shape[2:]) > 1
    batch = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims]
    instance = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}.get(dims)
    known = ["batch"] * 5 + ["none"] * 3 + ["group", "layer"]
    if instance is not None and several:
        known += ["instance", "instance", "tracked instance"]
    if dims == 2:
        known += ["channels-last layer", "local response"]
    match pick(rng, known):
        case "batch":
            return batch(channels, affine=chance(rng, 0.9))
        case "instance" if instance is not None:
            return instance(channels, affine=True)
        case "tracked instance" if instance is not None:
            return instance(channels, affine=True, track_running_stats=True)
        case "group" if channels * math.prod(shape[2:]) > 2:
            return nn.GroupNorm(1 if channels % 2 or not several else 2, channels)
        case "layer" if math.prod(shape[1:]) > 2:
            return nn.LayerNorm(shape[1:])
        case "channels-last layer" if channels > 2:
            return ChannelsLastNorm(channels)
        case "local response":
            return nn.LocalResponseNorm(3, alpha=0.5)
    return nn.Identity()


def _unit(build: _Builder, mix: nn.Module) -> nn.Module:
    """Convolution, norm and nonlinearity."""
    rng = build.rng
    shape = _shape_after(mix, build.z)
    norm = _norm(build, shape[1], shape)
    ways = [None] * 18 + [w for w in Twice.WAYS if w != "mix again" or shape == build.z.shape]
    ways = [w for w in ways if w != "norm again" or not isinstance(norm, nn.Identity)]
    way = pick(rng, ways)
    build.tags.append(f"norm: {type(norm).__name__}")
    if way is not None:
        build.tags.append(f"read also: {way}")
    if way is None and chance(rng, 0.3):
        return nn.Sequential(mix, norm, activation(rng))
    return nn.Sequential(Twice(mix, norm, way, rng), activation(rng))


def _shape_after(module: nn.Module, z: Tensor) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(module.double()(z.clone()).shape)


def _map_part(build: _Builder) -> nn.Module:
    return _unit(build, _convolution(build))


def _signal_part(build: _Builder) -> nn.Module:
    rng, (_, channels, length) = build.rng, build.z.shape
    kernel = min(pick(rng, [1, 2, 3, 5]), length)
    out = 2 * int(rng.integers(1, 4))
    if chance(rng, 0.2):
        return _unit(build, nn.ConvTranspose1d(channels, out, kernel, pick(rng, [1, 2])))
    return _unit(build, nn.Conv1d(channels, out, kernel, padding=pick(rng, [0, kernel // 2])))


def _volume_part(build: _Builder) -> nn.Module:
    rng, (_, channels, *sizes) = build.rng, build.z.shape
    kernel = tuple(min(pick(rng, [1, 2, 3]), n) for n in sizes)
    out = int(rng.integers(2, 4))
    if chance(rng, 0.2):
        return _unit(build, nn.ConvTranspose3d(channels, out, kernel))
    return _unit(build, nn.Conv3d(channels, out, kernel))


def _linear_part(build: _Builder) -> nn.Module:
    out = 2 * int(build.rng.integers(2, 5))
    return _unit(build, nn.Linear(build.z.shape[1], out))


def _token_part(build: _Builder) -> nn.Module:
    rng, (_, tokens, channels) = build.rng, build.z.shape
    heads = pick(rng, [n for n in (1, 2, 3, 4) if channels % n == 0])
    match pick(rng, ["attention", "heads", "mixer", "mlp", "mlp"]):
        case "attention":
            build.tags.append("MultiheadAttention")
            return Attention(channels, heads, weights=chance(rng, 0.5), first=chance(rng, 0.8))
        case "heads":
            build.tags.append("heads")
            return Heads(channels, heads, pick(rng, ["plain", "fused", "einsum"]))
        case "mixer":
            return TokenMixer(tokens, channels)
    inner = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels), activation(rng))
    way = pick(rng, ["sum", "gain", "in place", "detached", "mask"])
    build.tags.append(f"residual: {way}")
    return Residual(inner, way)


def _to_tokens(build: _Builder) -> None:
    ways = {
        "transpose": lambda z: z.flatten(2).transpose(1, 2),
        "permute": lambda z: z.permute(0, 2, 3, 1).flatten(1, 2),
        "contiguous": lambda z: z.flatten(2).mT.contiguous(),
    }
    name = pick(build.rng, [*ways])
    build.add(Call(f"tokens by {name}", ways[name]), f"tokens by {name}", "tokens")


def _middle(build: _Builder) -> None:
    """One part more, that fits what has been made so far."""
    rng = build.rng
    if build.kind == "tokens":
        build.add(_token_part(build), "token part")
    elif build.kind == "vector":
        build.add(_linear_part(build), "linear")
    elif build.z.ndim == 3:
        build.add(_signal_part(build), "conv1d")
    elif chance(rng, 0.08):
        build.add(_flattened(rng), "flattened", "maps")
    elif chance(rng, 0.12) and build.channels % 2 == 0:
        _to_tokens(build)
    else:
        _map_middle(build)


def _flattened(rng: Random) -> nn.Module:
    return nn.Flatten(2) if chance(rng, 0.5) else Call("flattened", lambda z: z.flatten(2))


def _map_middle(build: _Builder) -> None:
    rng, (_, channels, height, width) = build.rng, build.z.shape
    ways = (
        ["part"] * 5
        + ["residual"] * 3
        + ["again", "again", "pair", "pair", "squeeze", "squeeze", "function"]
    )
    ways += ["shuffle"] * 2 + ["pool"] * 2 + ["upsampled"]
    ways = [*ways] * 2 + ["keyword"]
    match pick(rng, ways):
        case "residual":
            inner = _unit(build, _convolution(build, channels, same=True))
            ways = ("sum", "sum", "gain", "in place", "in place of the input", "detached", "mask")
            way = pick(rng, [*ways, "both"])
            build.add(Residual(inner, way), f"residual: {way}")
        case "again":
            inner = _convolution(build, channels, same=True)
            if chance(rng, 0.5):
                inner = nn.Sequential(inner, nn.BatchNorm2d(channels))
            build.add(Again(inner, activation(rng)), "again")
        case "pair":
            build.add(Take(Pair(_map_part(build), named=chance(rng, 0.5))), "pair")
        case "keyword":
            build.add(ByKeyword(_convolution(build)), "keyword")
        case "squeeze":
            build.add(SqueezeExcite(channels), "squeeze")
        case "function":
            name = pick(rng, [*FUNCTIONS])
            build.add(Call(name, FUNCTIONS[name]), f"function: {name}")
        case "shuffle" if channels % 2 == 0:
            build.add(nn.ChannelShuffle(2) if chance(rng, 0.3) else _shuffle(), "shuffle")
        case "pool" if min(height, width) >= 2:
            how = pick(rng, ["max", "max", "average", "adaptive", "amax"])
            build.add(_pool(build, how), f"pool: {how}")
        case "upsampled" if height * width < 20:
            mode = pick(rng, ["nearest", "bilinear"])
            build.add(nn.Upsample(scale_factor=2, mode=mode), "upsampled")
        case _:
            build.add(_map_part(build), "conv2d")


def _shuffle() -> nn.Module:
    return Call(
        "shuffled", lambda z: z.unflatten(1, (2, -1)).transpose(1, 2).reshape(z.shape).contiguous()
    )


def _pool(build: _Builder, how: str) -> nn.Module:
    if how == "average":
        return nn.AvgPool2d(2, ceil_mode=chance(build.rng, 0.5))
    if how == "adaptive":
        return nn.AdaptiveAvgPool2d((2, 1))
    return Pool(tuple(build.z.shape[1:]), how, build.rng)


def _head(build: _Builder, outputs: int) -> nn.Module:
    rng, z = build.rng, build.z
    parts: list[nn.Module]
    if build.kind == "tokens":
        way = pick(rng, ["first token", "mean of tokens", "flatten"])
        of = {
            "first token": lambda z: z[:, 0],
            "mean of tokens": lambda z: z.mean(1),
            "flatten": lambda z: z.flatten(1),
        }[way]
        parts = [Call(way, of)]
    elif build.kind == "vector":
        parts = [nn.Identity()]
    elif chance(rng, 0.25):
        parts = [Call("mean of positions", lambda z: z.flatten(2).mean(2))]
    else:
        parts = [nn.Flatten()]
    with torch.no_grad():
        size = parts[0](z).shape[1]
    if chance(rng, 0.15):
        parts += [nn.Linear(size, 6), nn.BatchNorm1d(6), nn.Tanh()]
        size = 6
    parts.append(nn.Linear(size, outputs))
    if chance(rng, 0.3):
        parts.append(nn.Softplus())
    return _stirred(nn.Sequential(*parts), rng)


def _finish(module: RandomNetwork, build: _Builder, inputs: int, outputs: int) -> None:
    """Other ways to the answer, parts that run again, what the network returns."""
    rng = build.rng
    build.tags = [t for t in build.tags if t != "norm: Identity"]
    if chance(rng, 0.35):
        module.side = Side(pick(rng, Side.WAYS), inputs, outputs, rng).double()
        build.tags.append(f"side: {module.side.way}")
    made, count = build.shapes, len(build.parts)
    # parts that can run again on what a later one, or they themselves, return
    pairs = [(i, j) for i in range(count) for j in range(i, count)]
    same = [(i, j) for i, j in pairs if made[i] == made[i + 1] == made[j + 1]]
    if same and chance(rng, 0.25):
        module.rerun = pick(rng, same)
        build.tags.append("a part runs again")
    elif chance(rng, 0.08):
        module.late = pick(rng, ["always", "where bright"])
        build.tags.append("the first part runs again")
    module.returns = pick(rng, ["tensor"] * 8 + ["tuple", "dict"])
    module.head.double()
    if chance(rng, 0.1):
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                part.to(memory_format=torch.channels_last)
        build.tags.append("channels-last weights")
