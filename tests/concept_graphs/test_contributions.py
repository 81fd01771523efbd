import numpy as np
import pytest
import torch
import xarray as xr
from concept_vectors import concepts
from residual import residual, residual_network

import neurocodec as nc

SOURCE, TARGET = concepts("one", 4, 7), concepts("pre", 4, 9, seed=1)
NODES = np.polynomial.legendre.leggauss(3)


def pictures(n=3, seed=0) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(size=(n, 3, 6, 6))
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def found(target=TARGET, module=None, shown=None, source=SOURCE, **options):
    net = residual_network(module or residual())
    options = {"steps": 3, "active": 2, "progress": False, **options}
    shown = pictures() if shown is None else shown
    return nc.concept_contributions(net, shown, source=source, target=target, **options)


def by_concept(module, x, read, source=SOURCE, active=2):
    """One pass a concept, a node and a target: plain autograd by the loadings of one concept."""
    h = module.first(torch.from_numpy(x)[None]).detach()[0]  # (channel, y, x)
    rows = h.flatten(1).T.numpy()
    values, modes = source.coder.codes(rows, active)
    offset = torch.from_numpy(source.offset.values).double()
    loadings = np.zeros((len(rows), len(source.dictionary)))
    for p, (row, which) in enumerate(zip(values, modes, strict=True)):
        loadings[p, which[which >= 0]] = row[which >= 0]
    u, v = torch.from_numpy(loadings), torch.from_numpy(source.dictionary.values).double()
    rest = torch.from_numpy(rows) - offset - u @ v
    sums = np.zeros(len(v) + 1)
    for place, weight in zip(*NODES, strict=True):
        alpha = 0.5 + place / 2
        for q in range(len(v) + 1):
            own = (u[:, q] * alpha if q < len(v) else rest * alpha).clone().requires_grad_()
            at = offset + alpha * (u @ v + rest)
            at = (
                at - own.detach() + own
                if q == len(v)
                else at + (own - own.detach())[:, None] * v[q]
            )
            value = read(at.T.reshape(h.shape)[None])
            slope = torch.autograd.grad(value, own)[0]
            sums[q] += weight / 2 * float((slope * (u[:, q] if q < len(v) else rest)).sum())
    return sums


def place_of(module, x, vector, at):
    pre = module.two.before_relu(module.first(torch.from_numpy(x)[None]))[0].detach()
    if at == "strongest":
        return np.unravel_index(int(torch.einsum("cyx,c->yx", pre, vector).argmax()), (6, 6))
    return at


@pytest.mark.parametrize("at", ["strongest", "sum", (2, 3)])
def test_contributions_are_those_of_one_pass_for_each_concept_and_target(at):
    module = residual()
    shown = pictures(2)
    tree = found(at=at, module=module, shown=shown)
    for i, x in enumerate(shown.values):
        for t in (0, 5):
            vector = torch.from_numpy(TARGET.dictionary.values[t]).double()
            where = place_of(module, x, vector, at)

            def read(h, vector=vector, where=where):
                pre = torch.einsum("cyx,c->yx", module.two.before_relu(h)[0], vector)
                return pre.sum() if where == "sum" else pre[where]

            expected = by_concept(module, x, read)
            got = [*tree.contribution[i, :, t].values, float(tree.residual_contribution[i, t])]
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_contributions_to_an_output_are_those_of_one_pass_for_each_concept():
    module, shown = residual(), pictures(2)
    tree = found(nc.targets.Output(1), module, shown)
    for i, x in enumerate(shown.values):
        expected = by_concept(module, x, lambda h: module.head(module.two(h).mean((2, 3)))[0, 1])
        got = [*tree.contribution[i].values, float(tree.residual_contribution[i])]
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
