import numpy as np
import pytest
import torch

from neurocodec.nn import superposition
from neurocodec.nn.superposition import FEATURES, Task, Toys

KINDS = ("absolute", "xor")


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_autograd(kind):
    task = Task(kind)
    parts = [part.double().requires_grad_() for part in superposition.start(task, 8, range(3))]
    x = task.rows(30, torch.Generator().manual_seed(0)).double()
    weight = torch.rand(30, FEATURES, dtype=torch.float64)
    loss = ((Toys(*parts)(x) - task.answers(x)).square() * weight / 2).sum()
    expected = torch.autograd.grad(loss, parts)
    fixed = Toys(*(part.detach() for part in parts))
    found = superposition._gradient(fixed, x, task.answers(x), weight)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_with_a_feature_on_are_those_of_plain_draws(kind):
    task = Task(kind, on=0.3)
    x = task.rows(40_000, torch.Generator().manual_seed(0))
    on = x.unflatten(1, (FEATURES, -1)).abs().sum(2) > 0
    seen = 0.3 if kind == "absolute" else 0.3 * 0.75
    share = on.double().mean(0) * task.share_on
    torch.testing.assert_close(share, torch.full_like(share, seen), atol=0.01, rtol=0)
    both = (on[:, 0] & on[:, 5]).double().mean() * task.share_on
    assert abs(both - seen**2) < 0.01
    if kind == "absolute":
        assert on.any(1).all()
        assert abs(x[x != 0].mean()) < 0.02
        assert x.min() < -0.99


def test_the_expected_loss_is_that_of_whole_batches():
    task = Task("absolute", on=0.1)
    toys = superposition.start(task, 8, range(2))
    generator = torch.Generator().manual_seed(3)
    on = torch.rand(400_000, FEATURES, generator=generator) < 0.1
    x = on * (2 * torch.rand(400_000, FEATURES, generator=generator) - 1)
    expected = superposition.losses(task, toys, x).mean(1)
    found = superposition.expected_loss(task, toys, 100_000, seed=1)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0)


def test_a_step_is_one_of_adam_on_a_network_by_itself():
    task, steps = Task("absolute"), 4
    found = superposition.train(task, 5, range(2), steps=steps, rate=1e-3)
    parts = [p.requires_grad_() for p in superposition.start(task, 5, range(1, 2))]
    generator, count = torch.Generator().manual_seed(0), 35
    zero, importance = torch.zeros(1, FEATURES), 0.9 ** torch.arange(FEATURES)
    means, squares = ([0 * p.detach() for p in parts] for _ in range(2))
    for step in range(1, steps + 1):
        x = task.rows(count, generator)
        losses = [
            ((Toys(*parts)(rows)[0] - rows.abs()) ** 2 * importance).sum(1).mean()
            for rows in (x, zero)
        ]
        loss = task.share_on * losses[0] + (1 - task.share_on) * losses[1]
        rate = 1e-3 * (1 + np.cos(np.pi * (step - 1) / steps)) / 2
        for i, slope in enumerate(torch.autograd.grad(loss, parts)):
            means[i] = 0.9 * means[i] + 0.1 * slope
            squares[i] = 0.999 * squares[i] + 0.001 * slope**2
            size = (squares[i] / (1 - 0.999**step)).sqrt() + 1e-8
            parts[i].data -= rate * means[i] / (1 - 0.9**step) / size
    torch.testing.assert_close(found.w1[1], parts[0][0].detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.b2[1], parts[3][0].detach(), rtol=1e-4, atol=1e-6)


def test_training_lowers_the_loss_of_every_seed_whatever_stands_beside_it():
    task = Task("absolute")
    before = superposition.expected_loss(task, superposition.start(task, 12, range(3)), 500, 1)
    toys = superposition.train(task, 12, range(3), steps=150, rate=1e-2)
    after = superposition.expected_loss(task, toys, 500, 1)
    assert (after < before).all()
    alone = superposition.train(task, 12, range(2, 3), steps=150, rate=1e-2)
    torch.testing.assert_close(alone.w1[0], toys.w1[2], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_disentangled_network_is_right_for_all_inputs(kind):
    task = Task(kind)
    x, active = task.every()
    toys = task.disentangled()
    torch.testing.assert_close(toys(x)[0], task.answers(x))
    assert len(x) == (3**6 if kind == "absolute" else 2**12)
    assert active.max() == FEATURES


def test_attributions_are_gradients_times_activations():
    task = Task("xor")
    toys = superposition.start(task, 7, range(2))
    found = superposition.attributions(task, toys)
    hidden = toys.hidden(task.singles()).detach().requires_grad_()
    summed = hidden @ toys.w2.mT + toys.b2[:, None]
    for feature in (0, 5):
        s = torch.autograd.grad(summed[..., feature].sum(), hidden, retain_graph=True)[0] * hidden
        torch.testing.assert_close(found[:, 0, :, feature], s.clamp(min=0).sum(2).detach())
        torch.testing.assert_close(found[:, 1, :, feature], (-s).clamp(min=0).sum(2).detach())


def test_the_share_off_the_diagonal_is_of_other_features():
    task = Task("xor")
    found = torch.zeros(1, 2, 12, 6)
    found[0, 0, 0, 0], found[0, 1, 3, 1], found[0, 1, 3, 2] = 1, 2, 1
    assert superposition.off_diagonal(found).tolist() == [0.25]
    assert superposition.off_diagonal(
        superposition.attributions(task, task.disentangled())
    ).tolist() == [0.0]
