"""Parts of random networks, each a way in which a shortcut through a network can be wrong.

A part takes one tensor and returns one (or a tuple). No two samples of a batch meet, nothing draws
random numbers, and nothing lies at a kink by construction: thresholds are not 0, norms have biases,
and what is pooled by its maximum has no ties.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Random = np.random.Generator


def pick(rng: Random, options):
    """One of several."""
    return options[int(rng.integers(len(options)))]


def chance(rng: Random, share: float) -> bool:
    return bool(rng.random() < share)


def strength(rng: Random) -> float:
    """How much of what is hidden from autograd comes through: all, or less than a check sees."""
    return pick(rng, [1.0, 1.0, 1.0, 1e-6])


def threshold(rng: Random) -> float:
    """Well away from 0, of the size of the numbers that are compared with it."""
    return float(rng.uniform(0.2, 1.5)) * pick(rng, [1, 1, 1, -1])


class Call(nn.Module):
    """A function that is no module of torch."""

    def __init__(self, name: str, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.name, self.function = name, function

    def extra_repr(self) -> str:
        return self.name

    def forward(self, z: Tensor) -> Tensor:
        return self.function(z)


# functions of a tensor that the caller no longer needs, so that some may work in place
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "functional relu": functional.relu,
    "functional relu in place": lambda z: functional.relu(z, inplace=True),
    "relu_": lambda z: z.relu_(),
    "clamp": lambda z: z.clamp(min=0),
    "clamp_": lambda z: z.clamp_(min=-0.2),
    "gelu": functional.gelu,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
    "tanh_": lambda z: z.tanh_(),
    "sigmoid_": lambda z: z.sigmoid_(),
    "swish": lambda z: z * torch.sigmoid(z),
    "square": lambda z: z * z,
    "abs": torch.abs,
    "scaled in place": lambda z: z.mul_(0.7).add_(0.1),
    "masked from below": lambda z: z * (z > -0.4),
    "masked by where": lambda z: torch.where(z > 0.3, z, 0.2 * z),
    "masked_fill_": lambda z: z.masked_fill_(z < -0.3, 0.1),
    "gain by detach": lambda z: z / (1 + z.detach().square().flatten(1).mean(1)[_rest(z)]),
    "part rounded": lambda z: z + 0.3 * torch.round(2 * z + 0.1),
    "gate by its maximum": lambda z: z * (z.flatten(1).amax(1) > 0.4)[_rest(z)],
    "sorted": lambda z: z.sort(1).values,
    "cumulated": lambda z: z.cumsum(1),
    "written by index": lambda z: _written(z),  # noqa: PLW0108
    "rolled": lambda z: z.roll(1, 1) + z.flip(1),
}
MODULES: dict[str, Callable[[], nn.Module]] = {
    "ReLU": nn.ReLU,
    "ReLU in place": lambda: nn.ReLU(inplace=True),
    "GELU": nn.GELU,
    "Softplus": nn.Softplus,
    "Tanh": nn.Tanh,
    "Sigmoid": nn.Sigmoid,
    "ELU in place": lambda: nn.ELU(inplace=True),
    "LeakyReLU in place": lambda: nn.LeakyReLU(0.1, inplace=True),
    "SiLU": nn.SiLU,
    "Dropout": lambda: nn.Dropout(0.3),
    "Identity": nn.Identity,
}


def _rest(z: Tensor) -> tuple[object, ...]:
    return (slice(None), *[None] * (z.ndim - 1))


def _written(z: Tensor) -> Tensor:
    copied = z.clone()
    copied[:, :1] = 0.5 * z[:, :1].square()
    return copied


def activation(rng: Random) -> nn.Module:
    if chance(rng, 0.65):
        return MODULES[pick(rng, ["ReLU", "ReLU in place", *MODULES])]()
    name = pick(rng, [*FUNCTIONS])
    return Call(name, FUNCTIONS[name])


class ByKeyword(nn.Module):
    """Calls a module by the name of what it takes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, z: Tensor) -> Tensor:
        return self.inner(input=z)


class Twice(nn.Module):
    """A convolution (or linear map) and its norm, whose result may be read by others too."""

    WAYS = (
        "skip",
        "masked_fill",
        "compared",
        "compared as a whole",
        "detached",
        "gain by detach",
        "slice",
        "argmax",
        "sign",
        "where",
        "maximum",
        "copied",
        "changed before",
        "norm again",
        "mix again",
        "weights again",
        "accumulated",
        "item",
        "detached where large",
        "compared where large",
    )

    def __init__(self, mix: nn.Module, norm: nn.Module, way: str | None, rng: Random) -> None:
        super().__init__()
        self.mix, self.norm, self.way = mix, norm, way
        self.keyword = pick(rng, [*[None] * 27, "mix", "norm", "both"])
        self.level, self.strength = threshold(rng), strength(rng)
        self.register_buffer("table", torch.from_numpy(rng.normal(size=64)).float())

    def extra_repr(self) -> str:
        numbers = f"level={self.level:.3g}, strength={self.strength:g}"
        return f"read also: {self.way}, keyword: {self.keyword}, {numbers}"

    def forward(self, z: Tensor) -> Tensor:
        c = self.mix(input=z) if self.keyword in ("mix", "both") else self.mix(z)
        if self.way == "changed before":
            c.mul_(1.3)
        by_name = self.keyword in ("norm", "both") and isinstance(self.norm, nn.BatchNorm2d)
        n = self.norm(input=c) if by_name else self.norm(c)
        if self.way in (None, "changed before"):
            return n
        read = self._read(z, c, n)
        return read if self.strength == 1 else n + self.strength * (read - n)

    def _read(self, z: Tensor, c: Tensor, n: Tensor) -> Tensor:  # noqa: PLR0911, PLR0912
        match self.way:
            case "skip":
                return n + 0.5 * c
            case "masked_fill":
                return n.masked_fill(c > self.level, 0.3)
            case "compared":
                return n * (c < self.level)
            case "compared as a whole":
                return n * (c.flatten(1).mean(1) < self.level)[_rest(n)]
            case "detached":
                return n + 0.5 * c.detach()
            case "gain by detach":
                return n / (1 + c.detach().square())
            case "slice":
                return n + c[:, :1]
            case "argmax":
                return n + self.table[c.argmax(1)].unsqueeze(1)
            case "sign":
                return n * (1.5 + c.sign())
            case "where":
                return torch.where(c > self.level, n, 0.2 * n)
            case "maximum":
                return torch.maximum(n, c)
            case "copied":
                return n + torch.zeros_like(c).copy_(c)
            case "norm again":
                return n + self.norm(0.5 * n)
            case "mix again":
                return n + self.norm(self.mix(0.5 * z - 0.2))
            case "weights again":
                return n + _again(self.mix, z)
            case "accumulated":
                total = torch.zeros_like(n)
                total += n
                total += 0.3 * c
                return total
            case "item":
                gains = [0.5 if one.mean().item() > self.level else 1.5 for one in c]
                return n * torch.tensor(gains, dtype=n.dtype)[_rest(n)]
            case "detached where large":
                return n + torch.relu(c.detach() - 2 * abs(self.level))
            case "compared where large":
                return n * (1 + 1.0 * (c > 2 * abs(self.level)))
            case _:
                return n


def _again(mix: nn.Module, z: Tensor) -> Tensor:
    """The convolution by its numbers, without the module."""
    plain = type(mix) is nn.Conv2d and mix.padding_mode == "zeros"
    if not plain:
        return mix(z)
    options = (mix.stride, mix.padding, mix.dilation, mix.groups)
    return functional.conv2d(0.7 * z, mix.weight, mix.bias, *options)


class Residual(nn.Module):
    """A way around."""

    def __init__(self, inner: nn.Module, way: str) -> None:
        super().__init__()
        self.inner, self.way = inner, way

    def extra_repr(self) -> str:
        return self.way

    def forward(self, z: Tensor) -> Tensor:  # noqa: PLR0911
        match self.way:
            case "gain":
                return self.inner(z) * torch.sigmoid(z)
            case "in place":
                found = self.inner(z)
                found += z
                return found
            case "in place of the input":
                kept = z.clone()
                kept += self.inner(z)
                return kept
            case "detached":
                return self.inner(z) + z.detach()
            case "mask":
                return self.inner(z) * (z > 0.3)
            case "both":
                return torch.cat([self.inner(z), z], 1)
            case _:
                return self.inner(z) + z


class Again(nn.Module):
    """One module that runs twice, with something between."""

    def __init__(self, inner: nn.Module, between: nn.Module) -> None:
        super().__init__()
        self.inner, self.between = inner, between

    def forward(self, z: Tensor) -> Tensor:
        return self.inner(self.between(self.inner(z)))


class Pair(nn.Module):
    """Answers with a tuple, or a dict, of which the next part takes one item."""

    def __init__(self, inner: nn.Module, *, named: bool) -> None:
        super().__init__()
        self.inner, self.named = inner, named

    def forward(self, z: Tensor):
        found = self.inner(z)
        return {"z": found, "size": z.shape[0]} if self.named else (found, z.shape[0])


class Take(nn.Module):
    """Takes the tensor out of a tuple or a dict."""

    def __init__(self, inner: Pair) -> None:
        super().__init__()
        self.pair = inner

    def forward(self, z: Tensor) -> Tensor:
        found = self.pair(z)
        return found["z"] if self.pair.named else found[0]


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, 2), nn.Linear(2, channels)

    def forward(self, z: Tensor) -> Tensor:
        gain = torch.sigmoid(self.excite(torch.tanh(self.squeeze(z.flatten(2).mean(2)))))
        return z * gain.reshape(*gain.shape, *[1] * (z.ndim - 2))


class Pool(nn.Module):
    """The maximum of what has no ties: each position has a bias of its own."""

    def __init__(self, shape: tuple[int, ...], how: str, rng: Random) -> None:
        super().__init__()
        self.how = how
        self.register_buffer("bias", torch.from_numpy(rng.normal(size=shape)).float())
        self.pool = {3: nn.MaxPool2d, 2: nn.MaxPool1d}[len(shape)](2, ceil_mode=True)

    def forward(self, z: Tensor) -> Tensor:
        z = z + self.bias
        return self.pool(z) if self.how == "max" else z - z.flatten(2).amax(2)[(..., *_ones(z))]


def _ones(z: Tensor) -> tuple[None, ...]:
    return (None,) * (z.ndim - 2)


class ChannelsLastNorm(nn.Module):
    """LayerNorm over the channels of maps, as in ConvNeXt."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, z: Tensor) -> Tensor:
        return self.norm(z.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Torch's module, with what goes round it."""

    def __init__(self, channels: int, heads: int, *, weights: bool, first: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attn = nn.MultiheadAttention(channels, heads, batch_first=first)
        self.weights = weights

    def forward(self, z: Tensor) -> Tensor:
        n = self.norm(z)
        n = n if self.attn.batch_first else n.transpose(0, 1)
        found, _ = self.attn(n, n, n, need_weights=self.weights)
        return z + (found if self.attn.batch_first else found.transpose(0, 1))


class Heads(nn.Module):
    """Attention written out; the input of `proj` holds the heads side by side."""

    def __init__(self, channels: int, heads: int, how: str) -> None:
        super().__init__()
        self.heads, self.how = heads, how
        self.qkv, self.proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, z: Tensor) -> Tensor:
        q, k, v = (self._by_head(part) for part in self.qkv(z).chunk(3, -1))
        if self.how == "fused":
            mixed = functional.scaled_dot_product_attention(q, k, v)
        elif self.how == "einsum":
            weights = (torch.einsum("bhqd,bhkd->bhqk", q, k) / q.shape[-1] ** 0.5).softmax(-1)
            mixed = torch.einsum("bhqk,bhkd->bhqd", weights, v)
        else:
            weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
            mixed = weights @ v
        return z + self.proj(mixed.transpose(1, 2).flatten(2))

    def _by_head(self, z: Tensor) -> Tensor:
        return z.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class TokenMixer(nn.Module):
    """Mixes tokens, and a token of its own in front."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(channels))
        self.mix = nn.Linear(tokens + 1, tokens + 1)

    def forward(self, z: Tensor) -> Tensor:
        z = torch.cat([self.first.expand(len(z), 1, -1), z], 1)
        return z + torch.tanh(self.mix(z.mT).mT)
