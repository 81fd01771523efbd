"""`nc.perturbation_curve` and `nc.rankings` against plain loops, hand counts and planted truth."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from networks import Tokens, convolutional, images, linear, seeded
from scipy import stats
from scipy.stats import binomtest
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError
from neurocodec.kernels.proportions import (
    resample_weights,
    resampled_proportions,
    separation_area,
    wilson_interval,
)
from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.perturbation.replay import Remainder
from neurocodec.perturbation.curve import (
    category_names,
    fractions_of,
    kinds_of,
    label_positions,
    require_concepts,
)
from neurocodec.perturbation.images import Sampling
from neurocodec.perturbation.masks import Rankings, channel_counts, keep_masks, rank
from neurocodec.perturbation.rankings import shared_share, sketch
from neurocodec.perturbation.summary import Summary, Tally

NAMES = tuple("abcdef")


def network(layer="2", module=None, **options):
    return nc.Network(module or convolutional(), {"hidden": layer}, outputs=NAMES, **options)


def labelled_images(net, n=60, seed=3):
    """Images with the label that the network gives them, but for every fourth."""
    stimulus = images(n, seed)
    answer = nc.respond(net, stimulus).values.argmax(1)
    answer[::4] = np.random.default_rng(seed).integers(0, 6, len(answer[::4]))
    return stimulus.assign_coords(label=("stimulus", np.array(net.outputs)[answer]))


def random_scores(names, channels, seed=0, dim="category"):
    values = np.random.default_rng(seed).normal(size=(len(names), channels))
    return xr.DataArray(values, {dim: list(names)}, (dim, "channel"), name="channel_score")


def known(stimulus, least=2):
    names, counts = np.unique(stimulus.label, return_counts=True)
    return names[counts >= least].tolist()


def by_hand(net, stimulus, scores, kind, fraction):
    """Answers to every image with one perturbation, by the public context managers."""
    order = np.argsort(-scores)
    count = 0 if fraction == 0 else max(1, round(fraction * len(order)))
    if count == 0 and kind == "ablate":
        return nc.respond(net, stimulus).values.argmax(1)
    if count == 0:
        kind, count = "ablate", len(order)
    with getattr(nc, kind)(net, "hidden", order[:count].tolist()) as perturbed:
        return nc.respond(perturbed, stimulus).values.argmax(1)


def check_against_loops(net, channels):
    stimulus = labelled_images(net)
    groups = known(stimulus)
    scores = random_scores(groups, channels)
    fractions = [0, 0.3, 0.6, 1]
    curve = nc.perturbation_curve(
        net, stimulus, "hidden", scores, fractions=fractions, draws=1, n_off=1000, progress=False
    )
    label = stimulus.label.values
    for kind, group, fraction in itertools.product(("ablate", "preserve"), groups, fractions):
        answer = by_hand(net, stimulus, scores.sel(category=group).values, kind, fraction)
        right = np.array(NAMES)[answer] == label
        one = curve.accuracy.sel(kind=kind, category=group, fraction=fraction, ranking="scores")
        inside = label == group
        assert float(one.sel(group="target")) == pytest.approx(right[inside].mean())
        assert float(one.sel(group="off_target")) == pytest.approx(right[~inside].mean())
    return curve


@pytest.mark.parametrize(("layer", "channels"), [("0", 4), ("2", 4), ("3", 5), ("4", 5)])
def test_equals_a_loop_over_whole_networks(layer, channels):
    curve = check_against_loops(network(layer), channels)
    spread = curve.accuracy.sel(kind="ablate", group="target")
    assert float(spread.max() - spread.min()) > 0.1  # something was perturbed


class Beside(nn.Module):
    """The answer depends on the input also by a way around the layer."""

    def __init__(self):
        super().__init__()
        self.body, self.side = convolutional(), nn.Linear(192, 6)

    def forward(self, x):
        return self.body(x) + 0.3 * self.side(x.flatten(1))


class Residual(nn.Module):
    """Only the branch of a residual block is perturbed, and its shortcut goes around."""

    def __init__(self):
        super().__init__()
        self.start, self.inner = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.end = nn.Linear(4 * 36, 6)

    def forward(self, x):
        start = torch.relu(self.start(x))
        return self.end((start + self.inner(start)).flatten(1))


@pytest.mark.parametrize(
    ("make", "layer"),
    [(Beside, "body.2"), (Residual, "inner"), (Residual, nc.Layer("inner", at="input"))],
)
def test_ways_around_the_layer_are_seen(make, layer, caplog):
    module = seeded(make).eval()
    net = network(layer, module)
    with caplog.at_level("INFO"):
        check_against_loops(net, 4)
    assert "every replay is a whole pass" in caplog.text
    with Capture(module, net.layers).attached() as capture:
        assert Remainder.of(capture, "hidden", torch.from_numpy(images(3).values)).skipped is None


@pytest.mark.parametrize(("layer", "at"), [("3", "output"), ("3", "input"), ("0", "output")])
def test_what_comes_before_is_skipped(layer, at):
    net = network(nc.Layer(layer, at=at))
    calls = []
    with Capture(net.module, net.layers).attached() as capture:
        x = torch.from_numpy(images(4).values)
        full = capture.look(x)
        rest = Remainder.of(capture, "hidden", x)
        assert rest.skipped is not None
        inner = net.module[0].weight
        with rest.resumed():
            net.module[0].weight = nn.Parameter(inner * torch.nan)  # noone may look at it
            try:
                calls.append(rest.answers(x * torch.nan, full.hidden))
            finally:
                net.module[0].weight = inner
    torch.testing.assert_close(calls[0], full.outputs)


class Blocks(nn.Module):
    """Residual blocks, in which a layer has a way around it that the whole block has not."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.blocks = nn.Sequential(Block(), Block(), Block())
        self.end = nn.Linear(4 * 36, 6)

    def forward(self, x):
        return self.end(self.blocks(torch.relu(self.stem(x))).flatten(1))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 1))

    def forward(self, x):
        return torch.relu(x + self.body(x))


@pytest.mark.parametrize("layer", ["blocks.1.body.1", nc.Layer("blocks.1.body", at="input")])
def test_a_layer_inside_of_a_block_is_resumed_from_the_block(layer, caplog):
    net = network(layer, seeded(Blocks).eval())
    with caplog.at_level("INFO"):
        check_against_loops(net, 4)
    assert "every replay starts at Layer(module='blocks.1', at='input'" in caplog.text


def test_tokens_and_heads_equal_a_loop():
    module = seeded(Tokens).eval()
    module.head = seeded(lambda: nn.Linear(6, 6))
    check_against_loops(network("mlp", module), 6)
    net = network(nc.Layer("mlp", heads=3), module)
    check_against_loops(net, 3)


def nested():
    """Its first two parts, the second of which runs again at the end, are parts of a whole."""
    flat = convolutional()
    relu = nn.ReLU()
    return nn.Sequential(nn.Sequential(*flat[:2]), relu, flat[3], relu, *flat[5:])


def test_a_network_that_is_ablated_already():
    both = nc.Network(nested(), {"early": "0.0", "hidden": "2"}, outputs=NAMES)
    with nc.ablate(both, "early", [2]) as ablated:
        check_against_loops(ablated, 5)


def test_the_largest_parts_are_skipped_and_none_that_runs_again():
    module = nested()
    net = network("2", module)
    with Capture(module, net.layers).attached() as capture:
        rest = Remainder.of(capture, "hidden", torch.from_numpy(images(3).values))
        assert rest.skipped is not None
        assert [part for part, _ in rest.skipped] == [capture.module[0], capture.module[2]]
    check_against_loops(net, 5)


def test_does_not_depend_on_batches_and_gives_everything_back():
    net = network()
    stimulus = labelled_images(net)
    scores = {"one": random_scores(known(stimulus), 4), "two": random_scores(known(stimulus), 4, 1)}
    runs = [
        nc.perturbation_curve(net, stimulus, "hidden", scores, batch_size=size, progress=False)
        for size in (1, 7, None)
    ]
    for other in runs[1:]:
        xr.testing.assert_equal(runs[0].drop_attrs(), other.drop_attrs())
    assert not any(p._forward_hooks or "forward" in p.__dict__ for p in net.module.modules())


def planted(names=6, per_class=3):
    """Class c is driven by its own hidden channels alone: a linear readout of a known code."""
    readout = np.kron(np.eye(names), np.ones(per_class))
    module = nn.Sequential(nn.Identity(), linear(readout))
    random = np.random.default_rng(0)
    label = np.repeat(np.arange(names), 20)
    code = np.kron(np.eye(names)[label], np.ones(per_class)) + 0.3 * random.random((120, 18))
    stimulus = xr.DataArray(
        code.astype("float32"),
        {"stimulus": np.arange(120), "label": ("stimulus", np.array(NAMES)[label])},
        ("stimulus", "feature"),
    )
    truth = xr.DataArray(readout, {"category": list(NAMES)}, ("category", "channel"))
    return nc.Network(module, {"hidden": "0"}, outputs=NAMES), stimulus, truth


def class_masks(stimulus):
    member = stimulus.label.values[:, None] == np.array(NAMES)
    coords = {"stimulus": stimulus.stimulus.values, "category": list(NAMES)}
    return xr.DataArray(member, coords, ("stimulus", "category"), name="member")


def test_planted_channels_are_necessary_and_sufficient():
    net, stimulus, truth = planted()
    scores = {"truth": truth, "random": nc.rankings.at_random(truth, draws=5)}
    curve = nc.perturbation_curve(
        net, stimulus, "hidden", scores, fractions=[0, 1 / 6, 0.5, 1], progress=False
    )
    at = curve.mean_normalized_accuracy.sel(ranking="truth").isel(fraction=1)
    assert float(at.sel(kind="ablate", group="target")) == 0
    assert float(at.sel(kind="ablate", group="off_target")) == 1
    assert float(at.sel(kind="preserve", group="target")) == 1
    assert float(at.sel(kind="preserve", group="off_target")) == 0
    area = curve.area
    assert float(area.sel(ranking="truth", kind="ablate")) > 0.8
    assert abs(float(area.sel(ranking="random", kind="ablate"))) < 0.15
    assert float(curve.area_difference_interval.sel(ranking="random", bound="high")[0]) < -0.5
    assert curve.sizes["draw"] == 5
    assert curve.n_channels.values.tolist() == [0, 3, 9, 18]


def test_rankings_find_planted_channels():
    net, stimulus, truth = planted()
    masks = class_masks(stimulus)
    rows = xr.DataArray(
        stimulus.values, {"stimulus": stimulus.stimulus.values}, ("stimulus", "channel")
    )
    options = {"target": nc.targets.TopK(1), "progress": False}
    tree = nc.contributions(net, stimulus, method=nc.methods.ActGrad(), **options)
    slopes = nc.contributions(net, stimulus, method=nc.methods.Gradient(), **options)
    modes = nc.BaselineModes("nmf", modes=6).fit(rows)
    found = {
        "modes": nc.rankings.from_modes(modes, masks),
        "activations": nc.rankings.from_correlation(rows, masks),
        "contributions": nc.rankings.from_correlation(tree["hidden"], masks),
        "gradient": nc.rankings.from_gradient(slopes["hidden"], masks),
    }
    own = truth.values > 0
    for name, scores in found.items():
        assert scores.dims == ("category", "channel"), name
        first = np.sort(np.argsort(-scores.values, axis=1)[:, :3], axis=1)
        assert first.tolist() == [np.flatnonzero(row).tolist() for row in own], name
        assert shared_share(stimulus, nc.labels.provenance(scores)["samples"]) == 1
    assert len(set(found["modes"].best_mode.values.tolist())) == 6
    assert (found["modes"].best_correlation > 0.8).all()


def test_gradient_scores_are_means_over_the_class():
    values = np.arange(12.0).reshape(3, 2, 2) * [[[1], [-1]]]
    rows = xr.DataArray(values, dims=("stimulus", "sign", "channel"), name="gradient")
    masks = xr.DataArray([[True], [False], [True]], {"category": ["a"]}, ("stimulus", "category"))
    # images 0 and 2: sizes (0 + 2, 1 + 3) and (8 + 10, 9 + 11)
    assert nc.rankings.from_gradient(rows, masks).values.tolist() == [[10, 12]]


def test_of_several_modes_the_largest_weight_counts():
    random = np.random.default_rng(0)
    rows = xr.DataArray(random.random((50, 6)) ** 3, dims=("stimulus", "channel"))
    modes = nc.BaselineModes("nmf", modes=3).fit(rows)
    masks = xr.DataArray(
        random.random((50, 1)) > 0.5, {"category": ["a"]}, ("stimulus", "category")
    )
    related = [np.corrcoef(column, masks.values[:, 0])[0, 1] for column in modes.loadings.values.T]
    best = np.argsort(related)[::-1][:2]
    weights = modes.dictionary.values / modes.dictionary.values.max(axis=1, keepdims=True)
    found = nc.rankings.from_modes(modes, masks, top=2)
    np.testing.assert_allclose(found.values[0], weights[best].max(axis=0))
    np.testing.assert_allclose(found.best_correlation, related[best[0]])


def superclasses():
    net, stimulus, truth = planted()
    values = np.stack([truth.values[:3].sum(0), truth.values[3:].sum(0)])
    scores = xr.DataArray(values, {"concept": ["early", "late"]}, ("concept", "channel"))
    return net, stimulus, scores, {"early": ["a", "b", "c"], "late": ["d", "e", "f"]}


def test_superclasses():
    """With the first four channels of "early" alone: "a" three, "b" one, "c" none of its own."""
    net, stimulus, scores, members = superclasses()
    scores = scores + np.linspace(1e-3, 0, 18)  # an order without ties
    curves = {
        match: nc.perturbation_curve(
            net,
            stimulus,
            "hidden",
            scores,
            concepts=members,
            match=match,
            kind="preserve",
            fractions=[0, 4 / 18],
            progress=False,
        )
        for match in ("member", "exact")
    }
    chosen = {"concept": "early", "kind": "preserve", "ranking": "scores"}
    early = {m: c.accuracy.sel(chosen).isel(fraction=1) for m, c in curves.items()}
    assert float(early["member"].sel(group="target")) == 1
    exact = float(early["exact"].sel(group="target"))
    assert 1 / 3 < exact <= 2 / 3 + 0.05
    for one in early.values():
        assert float(one.sel(group="off_target")) == 0
    assert curves["member"].n.sel(concept="early", group="target") == 60


def test_concepts_as_masks():
    net, stimulus, scores, members = superclasses()
    names = list(NAMES)
    table = xr.DataArray(
        [[name in members[c] for c in members] for name in names],
        {"category": names, "concept": list(members)},
        ("category", "concept"),
    )
    each = table.sel(category=stimulus.label.values).drop_vars("category")
    each = each.rename(category="stimulus").assign_coords(stimulus=stimulus.stimulus)
    curves = [
        nc.perturbation_curve(net, stimulus, "hidden", scores, concepts=c, progress=False)
        for c in (members, table, each)
    ]
    for other in curves[1:]:
        xr.testing.assert_equal(curves[0].drop_attrs(), other.drop_attrs())


def test_off_target_draws():
    label = np.repeat(np.arange(6), 10)
    member = np.eye(6, dtype=bool)

    def drawn(off_target, **options):
        sampling = Sampling(
            off_target, **{"n_target": 4, "n_off": None, "draws": 3, "seed": 0} | options
        )
        return sampling.choose(NAMES, member, label, NAMES)

    found = drawn("other")
    for group, (own, off) in enumerate(zip(found.target, found.off, strict=True)):
        assert len(own) == 4
        assert (label[own] == group).all()
        assert [len(some) for some in off] == [4, 4, 4]
        assert not (label[np.concatenate(off)] == group).any()
    found = drawn("class", n_off=6)
    for names, off in zip(found.off_names, found.off, strict=True):
        assert len(set(names)) == 3
        for name, some in zip(names, off, strict=True):
            assert len(some) == 6
            assert {NAMES[i] for i in label[some]} == {name}
    found = drawn(["a", "b"])
    assert found.off_names[0].tolist() == ["b", "b", "b"]
    assert found.off_names[2].tolist() == ["a", "b", "a"]
    assert drawn("other").used.tolist() == drawn("other").used.tolist()
    assert drawn("other").used.tolist() != drawn("other", seed=1).used.tolist()


def test_images_that_a_ranking_has_seen_are_told():
    net, stimulus, _ = planted()
    half, other = stimulus[::2], stimulus[1::2]
    rows = xr.DataArray(half.values, {"stimulus": half.stimulus.values}, ("stimulus", "channel"))
    seen = nc.rankings.from_correlation(rows, class_masks(half))
    scores = {"seen": seen, "random": nc.rankings.at_random(seen), "own": seen.drop_attrs()}
    for evaluated, share in ((half, 1.0), (other, 0.0), (stimulus, 0.5)):
        curve = nc.perturbation_curve(
            net, evaluated, "hidden", scores, fractions=[0, 1], n_off=1000, progress=False
        )
        np.testing.assert_equal(curve.shared_images.values, [share, 0, np.nan])


def test_sketches_of_many_samples():
    def samples(start, stop):
        return xr.DataArray(
            np.zeros(stop - start), {"stimulus": np.arange(start, stop)}, "stimulus"
        )

    known_ones = sketch(samples(0, 10_000))
    assert len(known_ones["hashes"]) == 512
    assert shared_share(samples(10_000, 20_000), known_ones) == 0
    assert shared_share(samples(0, 10_000), known_ones) == 1
    assert 0.4 < shared_share(samples(5_000, 15_000), known_ones) < 0.6
    assert shared_share(samples(0, 5_120), sketch(samples(0, 512))) == 0.1  # exact: all are kept


def test_inhibitory_channels_are_ranked_by_their_sizes():
    """The second channel is most inhibitory in the class, the third in all other images."""
    sizes = np.array([[1.0, 5.0, 0.0], [1.5, 4.0, 1.0], [1.0, 0.0, 6.0], [1.5, 1.0, 5.0]])
    parts = np.stack([np.ones_like(sizes), -sizes], axis=1)
    rows = xr.DataArray(
        parts, {"sign": ["excitatory", "inhibitory"]}, ("stimulus", "sign", "channel")
    )
    masks = xr.DataArray(
        [[True], [True], [False], [False]], {"category": ["a"]}, ("stimulus", "category")
    )
    found = nc.rankings.from_correlation(rows, masks, sign="inhibitory")
    expected = [np.corrcoef(column, [1, 1, 0, 0])[0, 1] for column in sizes.T]
    np.testing.assert_allclose(found.values[0], expected, atol=1e-12)
    alone = rows.sel(sign="inhibitory")
    again = nc.rankings.from_correlation(alone, masks, sign="inhibitory")
    np.testing.assert_allclose(again.values, found.values)


def test_ranks_and_masks():
    scores = np.array([[0.0, np.nan, 0.5, 0.0, 0.0, 0.9]])
    order = rank(scores, 0)
    assert order[0, :2].tolist() == [5, 2]
    assert order[0, -1] == 1
    assert sorted(order[0, 2:5].tolist()) == [0, 3, 4]
    assert len({tuple(rank(scores, seed)[0]) for seed in range(20)}) == 6  # ties by chance
    assert channel_counts((0, 0.02, 0.05, 0.1, 1), 64).tolist() == [0, 1, 3, 6, 64]
    kept = keep_masks(order, np.array([0, 2, 6]), ablated=True)
    assert kept.sum(-1).tolist() == [[6, 4, 0]]
    assert (keep_masks(order, np.array([0, 2, 6]), ablated=False) == ~kept).all()


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 10))
def test_every_mask_is_found_again(groups, channels, seed):
    scores = {"a": random_scores(range(groups), channels, seed)}
    scores["b"] = nc.rankings.at_random(scores["a"], draws=2, seed=seed)
    fractions = (0.0, 0.3, 1.0)
    rankings = Rankings.of(scores, ("ablate", "preserve"), fractions, None, seed)
    keep, mask = rankings.masks()
    assert keep[0].all()
    assert len(np.unique(keep, axis=0)) == len(keep)
    assert mask.shape == (2, 2, 3, 3, groups)
    counts = keep.sum(-1)[mask]
    expected = channel_counts(fractions, channels)
    assert (counts[1] == expected[None, :, None, None]).all()
    assert (counts[0] == channels - expected[None, :, None, None]).all()
    first = np.argsort(-scores["a"].values[0])[: expected[1]]
    assert not keep[mask[0, 0, 1, 0, 0]][first].any()


@given(st.integers(1, 200), st.data(), st.sampled_from([0.9, 0.95, 0.99]))
def test_wilson_interval_is_that_of_scipy(count, data, confidence):
    right = data.draw(st.integers(0, count))
    expected = binomtest(right, count).proportion_ci(confidence, method="wilson")
    found = wilson_interval(right / count, count, confidence)
    np.testing.assert_allclose([float(end) for end in found], expected, atol=1e-12)


def test_resampled_proportions_vary_as_proportions_do():
    random = np.random.default_rng(0)
    right = (np.arange(200) < 60).astype(int)
    weights = resample_weights(200, 20_000, random)
    found = resampled_proportions(right, np.ones(200), weights)
    assert found.mean() == pytest.approx(0.3, abs=0.002)
    assert found.std() == pytest.approx(np.sqrt(0.3 * 0.7 / 200), rel=0.02)


def test_areas_by_hand():
    share = np.array([0, 0.25, 1.0])
    target, off = np.array([1, 0, 0.0]), np.array([1, 1, 0.0])
    # under the target curve 1/8, under the other 1/4 + 3/8
    assert separation_area(target, off, share, ablated=True) == pytest.approx(0.5 / 0.625)
    assert separation_area(off, target, share, ablated=False) == pytest.approx(0.5 / 0.125)
    assert np.isnan(separation_area(off, target * 0, share, ablated=True))


def test_normalised_accuracy_and_its_means():
    net = network()
    stimulus = labelled_images(net)
    scores = {"one": random_scores(known(stimulus), 4), "two": random_scores(known(stimulus), 4, 1)}
    curve = nc.perturbation_curve(net, stimulus, "hidden", scores, progress=False, bootstrap=400)
    ratio = curve.accuracy / curve.baseline_accuracy.where(curve.baseline_accuracy > 0)
    xr.testing.assert_allclose(curve.normalized_accuracy, ratio)
    mean = ratio.mean("category")
    xr.testing.assert_allclose(curve.mean_normalized_accuracy, mean)
    np.testing.assert_allclose(curve.accuracy, curve.accuracy_draw.mean("draw"))
    low, high = (curve.accuracy_interval.sel(bound=b) for b in ("low", "high"))
    assert bool(((low <= curve.accuracy + 1e-12) & (curve.accuracy <= high + 1e-12)).all())
    ends = curve.mean_normalized_accuracy_interval
    inside = (ends.sel(bound="low") <= mean + 1e-6) & (mean <= ends.sel(bound="high") + 1e-6)
    assert float(inside.mean()) > 0.95
    target = mean.sel(group="target", kind="ablate", ranking="two").values
    off = mean.sel(group="off_target", kind="ablate", ranking="two").values
    below, above = (np.trapezoid(values, curve.channel_share) for values in (target, off))
    found = float(curve.area.sel(kind="ablate", ranking="two"))
    assert found == pytest.approx(1 - below / above)
    difference = curve.area - curve.area.sel(ranking="one", drop=True)
    xr.testing.assert_allclose(curve.area_difference, difference)


def test_means_vary_with_the_classes_that_are_drawn():
    """Of 40 classes half are lost wholly: the standard error of the mean is sqrt(0.25 / 39)."""
    right = np.zeros((1, 1, 1, 1, 10), dtype=bool)
    there = np.ones((1, 10), dtype=bool)
    target = [Tally(right | (i % 2 == 0), there, there) for i in range(40)]
    off = [Tally(~right, there, there)] * 40
    summary = Summary((target, off), ("ablate",), np.ones(1), 0.95, 4000, 0)
    found = summary.variables()
    assert found["mean_normalized_accuracy"][1].ravel().tolist() == [0.5, 1]
    ends = found["mean_normalized_accuracy_interval"][1]
    expected = 0.5 + np.array([-1, 1]) * stats.t.ppf(0.975, 39) * np.sqrt(0.25 / 39)
    np.testing.assert_allclose(ends[0, 0, 0, 0], expected, atol=0.025)  # one class of 40
    assert ends[0, 0, 0, 1].tolist() == [1, 1]


def test_results_are_labelled_and_saved(tmp_path):
    net, stimulus, truth = planted()
    curve = nc.perturbation_curve(net, stimulus, "hidden", truth, progress=False)
    for name, variable in curve.items():
        assert variable.attrs["long_name"], name
    facts = nc.labels.provenance(curve)
    assert facts["layer"] == "hidden"
    assert facts["weights_sha256"] == net.weights_sha256
    nc.save(curve, tmp_path / "curve.nc")
    with nc.open(tmp_path / "curve.nc") as again:
        xr.testing.assert_identical(again.load(), curve)


def test_labels_by_position_and_unknown_ones(caplog):
    net, stimulus, truth = planted()
    plain = nc.perturbation_curve(net, stimulus, "hidden", truth, progress=False)
    numbers = np.searchsorted(NAMES, stimulus.label.values)
    bare = stimulus.drop_vars("label")
    again = nc.perturbation_curve(net, bare, "hidden", truth, labels=numbers, progress=False)
    xr.testing.assert_equal(plain.drop_attrs(), again.drop_attrs())
    numbers[:5] = 77
    some = nc.perturbation_curve(net, bare, "hidden", truth, labels=numbers, progress=False)
    assert some.n.sel(category="a", group="target") == 15
    assert "5 images" in caplog.text


def test_images_that_cannot_be_read_are_left_out(caplog):
    """`nc.images(..., broken="skip")` gives rows of NaN."""
    net, stimulus, truth = planted()
    broken = stimulus.copy()
    broken[[3, 25]] = np.nan
    broken = nc.labels.stamp(broken, "nc.images", broken="skip")
    run = {"fractions": [0, 0.3, 1], "n_off": 1000, "progress": False}
    curve = nc.perturbation_curve(net, broken, "hidden", truth, **run)
    assert curve.n.sel(group="target").values.tolist() == [19, 19, 20, 20, 20, 20]
    assert "2 images that cannot be read are left out: 3, 25" in caplog.text
    others = stimulus.drop_sel(stimulus=[3, 25])
    expected = nc.perturbation_curve(net, others, "hidden", truth, **run)
    xr.testing.assert_equal(curve.accuracy.drop_attrs(), expected.accuracy.drop_attrs())
    broken[:20] = np.nan
    with pytest.raises(InputError, match="of 'a'"):
        nc.perturbation_curve(net, broken, "hidden", truth, **run)


def test_one_kind_of_perturbation_or_several():
    assert kinds_of("ablate") == ("ablate",)
    assert kinds_of(["preserve", "ablate"]) == ("preserve", "ablate")


def test_fractions_are_numbers():
    assert fractions_of([0, 0.5]) == (0.0, 0.5)


def test_labels_are_names_of_categories():
    two = xr.DataArray([0.0, 0.0], dims="stimulus")
    assert label_positions(two, ["b", "a"], ["a", "b"]).tolist() == [1, 0]


def test_concepts_count_for_scores_of_concepts_only():
    assert require_concepts("concept", {"pet": ["dog"]}) == {"pet": ["dog"]}
    assert require_concepts("category", {"pet": ["dog"]}) is None


def test_categories_without_names_are_counted_by_one_image():
    net, stimulus, truth = planted()
    numbers = truth.assign_coords(category=[str(i) for i in range(6)])
    label = np.searchsorted(NAMES, stimulus.label.values)
    bare = nc.Network(net.module, {"hidden": "0"})
    assert category_names(bare, stimulus) == list("012345")
    run = {"fractions": [0, 0.5], "labels": label, "progress": False}
    found = nc.perturbation_curve(bare, stimulus, "hidden", numbers, **run)
    named = nc.perturbation_curve(net, stimulus, "hidden", truth, **run)
    np.testing.assert_array_equal(found.accuracy, named.accuracy)


def test_categories_with_names_need_no_pass():
    net = nc.Network(nn.Module(), [], outputs=["a", "b"])  # a module that cannot be run
    assert category_names(net, images(1)) == ["a", "b"]


def test_whole_numbers_of_numpy_are_whole_numbers():
    net, stimulus, truth = planted()

    def run(three):
        scores = nc.rankings.at_random(truth, draws=three)
        names = ("draws", "n_target", "n_off", "bootstrap", "batch_size")
        options = {**dict.fromkeys(names, three), "fractions": [0, 0.5], "progress": False}
        return nc.perturbation_curve(net, stimulus, "hidden", scores, **options)

    xr.testing.assert_identical(run(np.int64(3)), run(3))


def test_bad_input():
    net, stimulus, truth = planted()

    def run(*, scores=truth, images=stimulus, network=net, layer="hidden", **options):
        return nc.perturbation_curve(network, images, layer, scores, progress=False, **options)

    cases = [
        ({"layer": "hiden"}, "'hidden'"),
        ({"scores": truth[:, :4]}, "scores of 4 channels"),
        ({"scores": truth.drop_vars("category")}, "without names"),
        ({"scores": truth * np.nan}, "all NaN"),
        ({"scores": {}}, "no scores"),
        ({"scores": truth.rename(category="cell")}, "'category' and 'concept'"),
        ({"scores": {"a": truth, "b": truth[::-1]}}, "different 'category'"),
        ({"scores": truth.rename(category="concept")}, "without concepts="),
        ({"scores": truth.assign_coords(category=list("abcdex"))}, "'x'"),
        ({"images": stimulus.drop_vars("label")}, "without labels"),
        ({"images": stimulus[20:]}, "no image of 'a'"),
        ({"images": stimulus[:20], "scores": truth[:1]}, "no image outside of 'a'"),
        ({"labels": ["a"]}, "for 120 samples"),
        ({"labels": ["z"] * 120}, "'z'"),
        ({"kind": "delete"}, "'delete'"),
        ({"kind": []}, "both"),
        ({"fractions": [0.5, 0.1]}, "increasing"),
        ({"fractions": [0.0, 1.5]}, "from 0 to 1"),
        ({"off_target": "others"}, "'other'"),
        ({"off_target": ["y"]}, "'y'"),
        ({"match": "some"}, "'some'"),
        ({"n_target": 0}, "n_target=0"),
        ({"n_off": True}, "n_off=True"),
        ({"draws": 0}, "draws=0"),
        ({"fill": [1.0, 2.0]}, "fill of 2 numbers"),
        ({"confidence": 95}, "between 0 and 1"),
        ({"bootstrap": 0}, "bootstrap=0"),
        ({"batch_size": 0}, "batch_size"),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=message):
            run(**options)


def test_bad_rankings():
    _, stimulus, _ = planted()
    masks = class_masks(stimulus)
    rows = xr.DataArray(
        stimulus.values, {"stimulus": stimulus.stimulus.values}, ("stimulus", "channel")
    )
    with pytest.raises(InputError, match="without a member, of 'a'"):
        nc.rankings.from_correlation(rows[20:], masks[20:])
    with pytest.raises(InputError, match="different 'stimulus'"):
        nc.rankings.from_correlation(rows[1:], masks[:-1])
    with pytest.raises(InputError, match="Gradient"):
        nc.rankings.from_gradient(xr.Dataset({"contribution": rows}), masks)
    with pytest.raises(InputError, match="draws=0"):
        nc.rankings.at_random(nc.rankings.from_correlation(rows, masks), draws=0)


def test_labels_are_taken_by_their_index():
    two = xr.DataArray([0.0, 0.0], {"stimulus": ["x", "y"]}, ("stimulus",))
    flipped = pd.Series(["a", "b"], index=["y", "x"])
    assert label_positions(two, flipped, ["a", "b"]).tolist() == [1, 0]
    with pytest.raises(InputError, match="labels of shape"):
        label_positions(two, flipped.rename({"y": "z"}), ["a", "b"])
