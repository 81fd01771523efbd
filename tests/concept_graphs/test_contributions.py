import captum.attr
import numpy as np
import pytest
import torch
import xarray as xr
from concept_vectors import concepts
from networks import Tokens, images, movie, retina_network, seeded
from residual import residual, residual_network
from torch import nn

import neurocodec as nc
from neurocodec.errors import CaptureError, InputError, NeurocodecWarning, UnknownNameError
from neurocodec.nn.attribution import concepts as line

SOURCE, TARGET = concepts("one", 4, 7), concepts("pre", 4, 9, seed=1)
MODULE = residual().requires_grad_(False)
STEPS = 3
NODES = np.polynomial.legendre.leggauss(STEPS)
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def pictures(n=3, seed=0) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(size=(n, 3, 6, 6))
    return xr.DataArray(values, dims=("stimulus", "color", "y", "x"))


def found(target=TARGET, shown=None, source=SOURCE, net=None, **options) -> xr.Dataset:
    options = {"steps": STEPS, "active": 2, "progress": False, **options}
    net = residual_network(MODULE) if net is None else net
    shown = pictures() if shown is None else shown
    return nc.concept_contributions(net, shown, source=source, target=target, **options)


def coded(h, source=SOURCE, active=2):
    """Loadings (position, mode), vectors, offset and residual of an activation, densely."""
    rows = h.flatten(1).T
    values, modes = source.coder.codes(rows.numpy(), active)
    u = np.zeros((len(rows), len(source.dictionary) + 1))
    for p, (row, which) in enumerate(zip(values, modes, strict=True)):
        u[p, which] = row  # what is empty comes last
    u = torch.from_numpy(u[:, :-1])
    v, offset = (torch.from_numpy(a.values).double() for a in (source.dictionary, source.offset))
    return u, v, offset, rows - offset - u @ v


def one_by_one(x, read):
    """A pass for each node, and each vector or the residual, by a factor of its part alone."""
    h = MODULE.first(torch.from_numpy(x)[None]).detach()[0]  # (channel, y, x)
    u, v, offset, rest = coded(h)
    sums = []
    for own in [*(u[:, q, None] * v[q] for q in range(len(v))), rest]:
        total = 0.0
        for place, weight in zip(*NODES, strict=True):
            alpha = 0.5 + place / 2
            scale = torch.ones((), dtype=torch.float64, requires_grad=True)
            at = offset + alpha * (u @ v + rest - own + scale * own)
            slope = torch.autograd.grad(read(at.T.reshape(1, *h.shape)), scale)[0]
            total += weight / 2 * float(slope) / alpha
        sums.append(total)
    return sums


def read_at(x, t, at):
    """Projection of the later layer on one vector, as plain torch has it."""
    vector = torch.from_numpy(TARGET.dictionary.values[t]).double()
    offset = torch.from_numpy(TARGET.offset.values).double()

    def projected(h):
        centred = MODULE.two.before_relu(h)[0] - offset[:, None, None]
        return torch.einsum("cyx,c->yx", centred, vector).flatten()

    there = projected(MODULE.first(torch.from_numpy(x)[None])).detach()
    place = int(there.argmax()) if at == "strongest" else 2 * 6 + 3
    return (lambda h: projected(h).sum()) if at == "sum" else (lambda h: projected(h)[place])


@pytest.mark.parametrize("at", ["strongest", "sum", (2, 3)])
def test_contributions_are_those_of_one_pass_for_each_concept_and_target(at):
    shown = pictures(1, seed=3)
    tree = found(at=at, shown=shown)
    for i, x in enumerate(shown.values):
        for t in (0, 5):
            read = read_at(x, t, at)
            got = [*tree.contribution[i, :, t].values, float(tree.residual_contribution[i, t])]
            np.testing.assert_allclose(got, one_by_one(x, read), **CLOSE)
            np.testing.assert_allclose(tree.target[i, t], read(first(x)), **CLOSE)


def first(x):
    return MODULE.first(torch.from_numpy(x)[None]).detach()


def answer(h, which=1):
    return MODULE.head(MODULE.two(h).mean((2, 3)))[0, which]


def test_contributions_to_each_image_s_own_label_are_those_to_that_output():
    own = np.array([1, 0, 2])
    shown = pictures().assign_coords(label=("stimulus", own))
    for options in ({"batch_size": 2}, {"steps": "auto", "batch_size": 3}):
        tree = found(nc.targets.Label(), shown, **options)
        for i, which in enumerate(own):
            alone = found(nc.targets.Output(int(which)), shown, **options)
            np.testing.assert_allclose(tree.contribution[i], alone.contribution[i], **CLOSE)
            np.testing.assert_allclose(tree.target[i], alone.target[i], **CLOSE)
    with pytest.raises(InputError, match="without labels"):
        found(nc.targets.Label())


@pytest.mark.parametrize("probability", [False, True])
def test_contributions_to_an_output_are_those_of_one_pass_for_each_concept(probability):
    target = nc.targets.Probability(1) if probability else nc.targets.Output(1)
    tree, shown = found(target), pictures()

    def read(h):
        outputs = MODULE.head(MODULE.two(h).mean((2, 3)))[0]
        return outputs.softmax(0)[1] if probability else outputs[1]

    for i, x in enumerate(shown.values):
        got = [*tree.contribution[i].values, float(tree.residual_contribution[i])]
        np.testing.assert_allclose(got, one_by_one(x, read), **CLOSE)


def test_captums_gradients_along_the_line_are_the_same():
    tree = found(nc.targets.Output(1))
    for i, x in enumerate(pictures().values):
        h = first(x)
        u, v, offset, rest = coded(h[0])
        start = offset[None, :, None, None].expand_as(h)
        lines = captum.attr.IntegratedGradients(lambda h: MODULE.head(MODULE.two(h).mean((2, 3))))
        slope = lines.attribute(h, start, 1, n_steps=STEPS, method="gausslegendre") / (h - start)
        rows = slope[0].flatten(1).T
        np.testing.assert_allclose(tree.contribution[i], (u * (rows @ v.T)).sum(0), rtol=1e-6)
        expected = float((rows * rest).sum())
        np.testing.assert_allclose(tree.residual_contribution[i], expected, rtol=1e-6)


def test_of_a_linear_network_one_step_is_all():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Flatten()).double().eval()
    net = nc.Network(module, {"one": "0", "pre": "1"})
    tree = found(net=net, steps=1, at=(2, 3))
    weight = module[1].weight.detach()[:, :, 0, 0]
    to = torch.from_numpy(TARGET.dictionary.values).double() @ weight  # (target, channel)
    for i, x in enumerate(pictures().values):
        u, v, _, rest = coded(module[0](torch.from_numpy(x)[None]).detach()[0])
        place = 2 * 6 + 3
        np.testing.assert_allclose(tree.contribution[i], u[place, :, None] * (v @ to.T), **CLOSE)
        np.testing.assert_allclose(tree.residual_contribution[i], rest[place] @ to.T, **CLOSE)
    np.testing.assert_allclose(tree.completeness_error, 0, atol=1e-12)
    ends = found(net=net, at=(2, 3), method="actgrad")
    np.testing.assert_allclose(ends.contribution, tree.contribution, **CLOSE)
    assert "steps" not in ends


def test_sums_are_the_change_of_the_target_from_the_offset_on():
    tree = found(nc.targets.Output(1), steps="auto")
    sums = tree.contribution.sum("mode") + tree.residual_contribution
    offset = torch.from_numpy(SOURCE.offset.values).double()[None, :, None, None].expand(1, 4, 6, 6)
    for i, x in enumerate(pictures().values):
        change = float(answer(first(x)) - answer(offset))
        np.testing.assert_allclose(sums[i] - change, tree.completeness_error[i], **CLOSE)
        assert bool(tree.converged[i]) == (abs(float(sums[i]) - change) <= 0.02 * abs(change))
    assert float(tree.converged.mean()) > 0.5
    assert int(tree.steps.min()) == line.FIRST_STEPS


def test_without_the_residual_the_line_ends_at_what_the_codes_make():
    tree = found(nc.targets.Output(1), residual=False, steps=64)
    assert "residual_contribution" not in tree
    for i, x in enumerate(pictures().values):
        u, v, offset, _ = coded(first(x)[0])
        made = (offset + u @ v).T.reshape(1, 4, 6, 6)
        np.testing.assert_allclose(tree.target[i], answer(made), **CLOSE)
        change = answer(made) - answer(offset[None, :, None, None].expand(1, 4, 6, 6))
        np.testing.assert_allclose(tree.contribution[i].sum(), change, rtol=0.05)


@pytest.mark.parametrize("at", ["strongest", "sum", (2, 3)])
def test_all_targets_by_channels_are_each_target_alone(at, monkeypatch):
    """With nine vectors of four channels some places have more targets than channels."""
    every = found(at=at)
    alone = [found(at=at, targets=[t]) for t in TARGET.dictionary.mode.values]
    for name in ("contribution", "residual_contribution", "target", "completeness_error"):
        expected = np.concatenate([one[name].values for one in alone], -1)
        np.testing.assert_allclose(every[name], expected, **CLOSE)
    monkeypatch.setattr(line, "HELD", 1)  # a pass a block
    np.testing.assert_allclose(found(at=at).contribution, every.contribution, **CLOSE)


def test_a_place_with_many_targets_takes_no_more_passes_than_channels():
    from neurocodec.nn.attribution.concepts import Projections

    vectors = torch.randn(9, 4)
    wanted = torch.arange(9).expand(2, 9)
    places = torch.tensor([[0] * 9, [0, 0, 0, 1, 1, 2, 2, 3, 3]])
    passes = Projections(vectors, torch.zeros(4), wanted, places).passes(torch.ones(2, 9) > 0)
    assert passes.count == 9  # of the second sample, whose targets are apart
    assert [s.mixing is None for s in passes.segments] == [False, True]
    alone = Projections(vectors, torch.zeros(4), wanted[:1], None).passes(torch.ones(1, 9) > 0)
    assert alone.count == 4


def test_the_strongest_targets_are_those_of_each_sample():
    every, few = found(), found(targets=2)
    order = np.argsort(-every.target.values, axis=1, kind="stable")[:, :2]
    np.testing.assert_array_equal(few.target_mode, order)
    for i, own in enumerate(order):
        np.testing.assert_allclose(few.contribution[i], every.contribution[i, :, own], **CLOSE)
    assert few.contribution.dims == ("stimulus", "mode", "rank")
    np.testing.assert_array_equal(
        few.target_place, np.take_along_axis(every.target_place.values, order, 1)
    )


def test_values_do_not_depend_on_batches(tmp_path):
    shown = pictures(5)
    options = {"shown": shown, "steps": "auto", "targets": 3}
    whole = found(**options, batch_size=5)
    for tree in (found(**options, batch_size=1), found(**options, out=tmp_path / "run.nc")):
        for name in whole:
            np.testing.assert_allclose(tree[name], whole[name], **CLOSE)


def test_what_is_active_has_contributions():
    tree = found(nc.targets.Output(0))
    for i, x in enumerate(pictures().values):
        np.testing.assert_array_equal(tree.active[i], (coded(first(x)[0])[0] != 0).any(0))
    assert not (tree.contribution.where(~tree.active, 0) != 0).any()


def test_tokens_of_a_transformer():
    module = seeded(Tokens).eval()
    layers = {"one": nc.Layer("embed", layout="tokens"), "late": nc.Layer("mlp", layout="tokens")}
    net, source = nc.Network(module, layers), concepts("one", 6, 8)
    tree = found(concepts("late", 6, 5), images(3), source, net, targets=2, steps="auto")
    assert dict(tree.sizes) == {"stimulus": 3, "mode": 8, "rank": 2}
    assert bool((abs(tree.completeness_error) < 1e-2).all())
    logit = found(nc.targets.Output(1), images(3), source, net, steps=32)
    change = logit.contribution.sum("mode") + logit.residual_contribution
    x = torch.from_numpy(images(3).values)
    with torch.no_grad():
        before, kept = module(x)[:, 1], module.embed.forward
        offset = torch.from_numpy(source.offset.values)
        module.embed.forward = lambda patches: offset.expand(*patches.shape[:2], 6)
        np.testing.assert_allclose(change, before - module(x)[:, 1], rtol=1e-3, atol=1e-5)
        module.embed.forward = kept


def test_from_the_first_layer_of_a_retina_to_cells():
    shown, net, source = movie(10), retina_network(), concepts("layer1", 3, 5)
    tree = found(nc.targets.Output(2), shown, source, net, steps=64)
    assert tree.contribution.dims == ("time", "mode")
    np.testing.assert_allclose(tree.target, nc.respond(net, shown)[:, 2], rtol=1e-5)
    offset = torch.from_numpy(source.offset.values)[None, :, None, None].expand(1, 3, 8, 8)
    with torch.no_grad():
        silent = float(net.module[1:](offset)[0, 2])
    sums = tree.contribution.sum("mode") + tree.residual_contribution
    np.testing.assert_allclose(sums, tree.target - silent, atol=2e-3)


def test_what_goes_around_the_layer_is_said():
    module = residual()
    net = nc.Network(module, {"one": "two.conv1", "pre": "two.total"})
    with pytest.warns(NeurocodecWarning, match="goes around layer 'one'"):
        found(net=net)


def test_steps_that_do_not_do_are_said(monkeypatch):
    from neurocodec.concept_graphs import settings

    monkeypatch.setattr(settings, "TOLERANCE", 1e-9)
    monkeypatch.setattr(settings, "MOST_STEPS", 4)
    with pytest.warns(NeurocodecWarning, match="not explained"):
        tree = found(nc.targets.Output(1), steps="auto")
    assert int(tree.steps.max()) == 4


def fitted_to(weights):
    return concepts("one", 4, 7, weights_sha256=weights)


MALFORMED = {
    "no vectors": ({"source": SOURCE.dictionary}, "source of type DataArray"),
    "not fitted": ({"source": nc.ConceptVectors()}, "not fitted"),
    "of no known layer": ({"source": concepts("", 4, 7)}, "do not say which layer"),
    "another layer": ({"source": concepts("three", 4, 7)}, "no layer of the source's 'three'"),
    "other weights": ({"source": fitted_to("ab" * 32)}, "with the weights abababababab"),
    "other channels": ({"source": concepts("one", 5, 7)}, "source of 5 channels for layer 'one'"),
    "other target": ({"target": concepts("pre", 3, 7)}, "target of 3 channels for layer 'pre'"),
    "no target": ({"target": "junco"}, "target of type str"),
    "the same layer": ({"target": SOURCE}, "of the same layer 'one'"),
    "before": ({"source": TARGET, "target": SOURCE}, "layer 'pre' as the source of 'one'"),
    "no output": ({"target": nc.targets.Output("junco")}, "no output 'junco'"),
    "many": ({"target": nc.targets.Features("pre", channels=[0, 1])}, "the 2 features"),
    "method": ({"method": "ig"}, "no method 'ig'"),
    "steps": ({"steps": 0}, "steps=0"),
    "words for steps": ({"steps": "many"}, "steps='many'"),
    "active": ({"active": 5}, "active=5 of 7 concept vectors of 4 channels"),
    "nothing active": ({"active": 0}, "active=0"),
    "solver": ({"solver": "lars"}, "no solver 'lars'"),
    "residual": ({"residual": "no"}, "residual='no'"),
    "a word": ({"at": "centre"}, "no position 'centre'"),
    "outside": ({"at": (2, 6)}, r"at=\(2, 6\) in 'pre'"),
    "negative": ({"at": (-1, 0)}, r"at=\(-1, 0\)"),
    "one axis": ({"at": 3}, r"at=\(3,\) in 'pre'"),
    "at an output": ({"target": nc.targets.Output(0), "at": "sum"}, "says itself what it reads"),
    "targets of one": ({"target": nc.targets.Output(0), "targets": 2}, "which is one number"),
    "too many": ({"targets": 10}, "the 10 strongest of 9"),
    "none": ({"targets": []}, "at least one"),
    "twice": ({"targets": [1, 1]}, "each once"),
    "unknown": ({"targets": [1, 9]}, "no mode of the target '9'"),
    "batch": ({"batch_size": 0}, "batch_size=0"),
    "no images": ({"shown": pictures()[:0]}, "0"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_input_is_named(name):
    options, message = MALFORMED[name]
    with pytest.raises((InputError, UnknownNameError, CaptureError), match=message):
        found(**options)


def test_the_strongest_of_sums_are_the_largest_sums():
    every = found(at="sum").target.values
    largest = -np.sort(-every, axis=1)[:, :4]
    np.testing.assert_allclose(found(at="sum", targets=4).target.values, largest, **CLOSE)
