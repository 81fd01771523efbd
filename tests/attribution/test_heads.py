"""Contributions of heads do not depend on the basis that a head's values have."""

import numpy as np
import pytest
import torch
from networks import images, seeded
from scipy.stats import ortho_group
from torch import nn

import neurocodec as nc


class Heads(nn.Module):
    """Four tokens of an image, three heads of four values each, mixed and read."""

    def __init__(self):
        super().__init__()
        self.embed, self.values = nn.Linear(48, 12), nn.Linear(12, 12)
        self.heads, self.out = nn.Identity(), nn.Linear(12, 12)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(len(x), 4, 48)
        return self.head(torch.tanh(self.out(self.heads(self.values(self.embed(patches))))).sum(1))


def rotated(module):
    """The same function, with the values of each head in another basis."""
    turn = torch.block_diag(
        *(torch.from_numpy(ortho_group.rvs(4, random_state=i)).float() for i in range(3))
    )
    with torch.no_grad():
        module.values.weight.copy_(turn @ module.values.weight)
        module.values.bias.copy_(turn @ module.values.bias)
        module.out.weight.copy_(module.out.weight @ turn.T)
    return module


@pytest.fixture(scope="module")
def two():
    plain = seeded(Heads).eval()
    turned = rotated(seeded(Heads).eval())
    x = torch.from_numpy(images(3).values)
    torch.testing.assert_close(plain(x), turned(x))
    return plain, turned


def found(module, **options):
    net = nc.Network(module, {"heads": nc.Layer("heads", heads=3, **options)})
    return nc.contributions(
        net,
        images(3),
        target=nc.targets.Output(0),
        method=nc.methods.ActGrad(),
        progress=False,
    )["heads/contribution"].values


@pytest.mark.parametrize("token", [None, 1])
def test_rotating_the_values_of_a_head_leaves_both_parts_as_they_are(two, token):
    one, other = (found(module, token=token) for module in two)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert np.ptp(one[:, 0]) > 0.01


def test_the_excitatory_part_is_the_sum_over_tokens_whose_features_sum_above_0(two):
    module = two[0]
    with torch.no_grad():
        values = module.values(module.embed(patches()))
    values.requires_grad_()
    module.head(torch.tanh(module.out(values)).sum(1))[:, 0].sum().backward()
    product = (values * values.grad).detach().reshape(3, 4, 3, 4).sum(3)  # sample, token, head
    by_hand = torch.stack([product.clamp(min=0).sum(1), product.clamp(max=0).sum(1)], 1)
    np.testing.assert_allclose(found(module), by_hand, rtol=1e-4, atol=1e-6)


def patches():
    x = torch.from_numpy(images(3).values)
    return x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(3, 4, 48)


@pytest.mark.parametrize("sign", ["excitatory", "inhibitory"])
def test_maps_through_heads_sum_to_their_contributions(two, sign):
    maps = []
    for module in two:
        net = nc.Network(module, {"heads": nc.Layer("heads", heads=3)})
        maps.append(
            nc.contribution_maps(
                net,
                images(3),
                layer="heads",
                channels="each",
                sign=sign,
                target=nc.targets.Output(0),
                method=nc.methods.InputGrad(),
                progress=False,
            )
        )
    one, other = maps
    np.testing.assert_allclose(one.contribution_map, other.contribution_map, rtol=1e-4, atol=1e-6)
    total = one.contribution_map.sum(("color", "y", "x"))
    np.testing.assert_allclose(total, one.contribution, rtol=1e-4, atol=1e-5)
