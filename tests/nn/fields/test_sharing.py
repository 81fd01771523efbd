"""Shares against the definition, position by position: nothing but forward passes, in float64."""

import pytest
import torch
from networks import seeded
from residual import residual
from torch import Tensor, nn
from torch.nn import functional

import neurocodec as nc
from neurocodec.engine.session import hooked
from neurocodec.errors import CaptureError
from neurocodec.nn.fields.sharing import Sharing


class Many(nn.Module):
    """Stride, groups, dilation, batch norm, max pool, skip, average pool, padding, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)
        self.pool = nn.MaxPool2d(2, stride=1, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        self.norm2 = nn.BatchNorm2d(4)
        self.conv3 = nn.Conv2d(4, 4, (1, 3), padding=(0, 1), bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.average, self.conv4 = nn.AvgPool2d(2), nn.Conv2d(4, 5, 2, padding=1)
        self.head = nn.Linear(5, 3)
        generator = torch.Generator().manual_seed(1)
        for norm in (self.norm1, self.norm2):
            norm.running_mean = torch.randn(4, generator=generator) / 3
            norm.running_var = 0.5 + torch.rand(4, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        p = self.pool(self.relu(self.norm1(self.conv1(x))))
        y = self.relu(self.conv3(self.relu(self.norm2(self.conv2(p)))) + p)
        y = self.relu(self.conv4(self.average(y)))
        return self.head(y.mean((2, 3)))


def many() -> nn.Module:
    return seeded(Many, 3).double().eval()


def scale(norm: nn.BatchNorm2d) -> Tensor:
    return (norm.weight / (norm.running_var + norm.eps).sqrt()).reshape(-1, 1, 1)


def straight(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution without its bias."""
    ways = (conv.stride, conv.padding, conv.dilation, conv.groups)
    return functional.conv2d(x, conv.weight, None, *ways)


def one_by_one(linear, sources: dict[str, Tensor], relevance: Tensor) -> dict[str, Tensor]:
    """R_i = sum_j <v_ij, v_j> / |v_j|^2 R_j: a pass of its own for every position i."""
    zeros = {name: torch.zeros_like(x) for name, x in sources.items()}
    whole = linear(**sources)
    size = (whole**2).sum(1)
    shares = {}
    for name, x in sources.items():
        found = torch.zeros(x.shape[0], *x.shape[2:], dtype=x.dtype)
        for i in torch.cartesian_prod(*map(torch.arange, x.shape[2:])).reshape(-1, x.ndim - 2):
            here = (..., *i.tolist())
            alone = zeros[name].clone()
            alone[here] = x[here]
            given = linear(**{**zeros, name: alone})
            found[here] = ((given * whole).sum(1) / size * relevance).reshape(len(x), -1).sum(1)
        shares[name] = found
    return shares


@torch.no_grad()
def of_many(m: Many, x: Tensor, place: tuple[int, int] | None) -> dict[str, Tensor]:
    """Shares in the last maps' vector at a place, or in the largest logit, by the definition."""
    a1 = torch.relu(m.norm1(m.conv1(x)))
    p, winners = functional.max_pool2d(a1, 2, 1, 1, return_indices=True)
    a2 = torch.relu(m.norm2(m.conv2(p)))
    a3 = torch.relu(m.conv3(a2) + p)
    a4 = torch.relu(m.conv4(m.average(a3)))

    def pooled(a: Tensor) -> Tensor:
        return a.flatten(2).gather(2, winners.flatten(2)).reshape(p.shape)

    top = m.head(a4.mean((2, 3))).argmax(1)
    if place is None:

        def logit(a4: Tensor) -> Tensor:
            return (a4.mean((2, 3)) @ m.head.weight.T).gather(1, top[:, None])

        r4 = one_by_one(logit, {"a4": a4}, torch.ones(len(x), dtype=x.dtype))["a4"]
    else:
        r4 = torch.zeros(len(x), *a4.shape[2:], dtype=x.dtype)
        r4[(..., *place)] = 1
    r3 = one_by_one(lambda a3: straight(m.conv4, m.average(a3)), {"a3": a3}, r4)["a3"]
    both = one_by_one(lambda a1, a2: straight(m.conv3, a2) + pooled(a1), {"a1": a1, "a2": a2}, r3)
    r1 = one_by_one(
        lambda a1: straight(m.conv2, pooled(a1)) * scale(m.norm2), {"a1": a1}, both["a2"]
    )["a1"]
    r1 = r1 + both["a1"]
    r0 = one_by_one(lambda x: straight(m.conv1, x) * scale(m.norm1), {"x": x}, r1)["x"]
    return {"x": r0, "conv1": r1, "conv4": r4}


def sharing(module: nn.Module, layers: dict, end: str | None, x: Tensor, use):
    with hooked(nc.Network(module, layers), nc.Network(module, layers).layers, x) as session:
        return use(Sharing.of(session.capture, session.traced.flow, end, x))


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("at", ["output", "input"])
def test_fields_are_the_definition(at):
    m, x = many(), images(2, 3, 9, 9)
    layers = {"end": nc.Layer("relu", at, occurrence=3)}
    found = sharing(m, layers, "end", x, lambda s: s.fields(x, [(1, 1), (1, 1)]))
    expected = of_many(m, x, (1, 1))["x"]
    torch.testing.assert_close(found.shares.sum(1), expected, rtol=1e-9, atol=1e-12)
    assert found.alive.all()
    torch.testing.assert_close(expected.sum((1, 2)), torch.ones(2, dtype=x.dtype))


def test_shares_in_the_largest_logit_are_the_definition():
    m, x = many(), images(2, 3, 9, 9)
    layers = {"conv1": nc.Layer("relu", occurrence=0), "conv4": nc.Layer("relu", occurrence=3)}
    found = sharing(m, layers, None, x, lambda s: s.shares(x))
    expected = of_many(m, x, None)
    for alias in layers:
        torch.testing.assert_close(found[alias], expected[alias], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("functional_relu", [True, False])
def test_shares_sum_to_one_through_blocks(functional_relu):
    x = images(3, 3, 6, 6)
    m = residual(functional_relu=functional_relu)
    found = sharing(m, {"two": "two"}, "two", x, lambda s: s.fields(x, [(2, 3), (0, 0), (5, 5)]))
    torch.testing.assert_close(found.shares.flatten(1).sum(1), torch.ones(3, dtype=x.dtype))


def test_layers_on_the_way_have_all_of_it():
    x, m = images(2, 3, 6, 6), residual()
    layers = {"one": "one", "pre": nc.Layer("two.total"), "branch": "two.norm2"}
    found = sharing(m, layers, None, x, lambda s: s.shares(x))
    ones = torch.ones(2, dtype=x.dtype)
    torch.testing.assert_close(found["one"].sum((1, 2)), ones)
    torch.testing.assert_close(found["pre"].sum((1, 2)), ones)
    assert (found["branch"].sum((1, 2)) - 1).abs().min() > 0.01  # the rest goes by the skip


@pytest.mark.parametrize("activation", [nn.GELU(), nn.LeakyReLU(), nn.Sigmoid(), nn.ReLU6()])
def test_a_pool_of_what_has_a_shift_conserves(activation):
    x = images(2, 3, 8, 8)
    m = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), activation, nn.Conv2d(4, 2, 2), nn.Flatten()
    )
    m = seeded(lambda: m, 0).double()
    found = sharing(m, {"end": "3"}, "end", x, lambda s: s.fields(x, [(0, 1), (1, 1)]))
    torch.testing.assert_close(found.shares.flatten(1).sum(1), torch.ones(2, dtype=x.dtype))


def test_channels_may_be_last():
    x = images(2, 4, 3)
    m = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 2), nn.Flatten()).double()
    layers = {"end": nc.Layer("2", layout="tokens")}
    found = sharing(m, layers, "end", x, lambda s: s.fields(x, [(1,), (3,)]))
    shares = found.shares.sum(2)
    torch.testing.assert_close(shares[0], torch.eye(4, dtype=x.dtype)[1])
    torch.testing.assert_close(shares[1], torch.eye(4, dtype=x.dtype)[3])


def test_a_vector_of_zeros_has_no_shares():
    m = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten())
    nn.init.constant_(m[0].bias, -9.0)
    x = torch.ones(1, 1, 2, 2)
    found = sharing(m, {"end": "1"}, "end", x, lambda s: s.fields(x, [(0, 0)]))
    assert not found.alive.any()
    assert not found.shares.any()


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


class Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=0)


class Unseen(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.aten.relu(x)


class Softmax(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.softmax(1)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (Gate(), r"'mul\.Tensor' of module '1'"),
        (Clamp(), r"'clamp\.default' of module '1'"),
        (Unseen(), r"'relu\.default'"),
        (Softmax(), r"'_softmax\.default' of module '1'"),
        (nn.GroupNorm(2, 4), r"'native_group_norm\.default' of module '1'"),
        (nn.LocalResponseNorm(2), "of module '1'"),
    ],
)
def test_what_has_no_sharing_ratio_is_refused_by_name(part, named):
    m = nn.Sequential(nn.Conv2d(3, 4, 3), part, nn.Conv2d(4, 2, 1), nn.Flatten())
    x = images(2, 3, 5, 5).float()
    with pytest.raises(CaptureError, match=named):
        sharing(m, {"end": "2"}, "end", x, lambda s: s)


def test_what_comes_after_the_layer_may_be_anything():
    m = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), Softmax(), nn.Flatten())
    x = images(2, 3, 5, 5).float()
    found = sharing(m, {"end": "1"}, "end", x, lambda s: s.fields(x, [(1, 1), (0, 2)]))
    torch.testing.assert_close(found.shares.flatten(1).sum(1), torch.ones(2))


class Written(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        functional.relu_(x)
        return x


def test_what_is_written_over_is_refused():
    m = nn.Sequential(nn.Conv2d(3, 4, 3), Written(), nn.Conv2d(4, 2, 1), nn.Flatten())
    x = images(2, 3, 5, 5).float()
    with pytest.raises(CaptureError, match="writes over"):
        sharing(m, {"end": "2"}, "end", x, lambda s: s)
