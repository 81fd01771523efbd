"""Networks that take video and return video, window by window, against torch alone."""

import logging

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from video import AXES, colored, core_readout, video_network

import neurocodec as nc
from neurocodec.errors import CaptureError, InputError, UnknownNameError
from neurocodec.labels import provenance
from neurocodec.nn.video.one_pass import OnePass

FIRST = nc.targets.Output(1)


def steps_of_the_movie(module, movie):
    """All output steps, in one pass of torch."""
    x = torch.tensor(movie.values).permute(1, 0, 2, 3)[None]
    with torch.no_grad():
        return module(x)[0].numpy()


@pytest.mark.parametrize("padding", [0, 1])
def test_responses_are_those_of_the_whole_movie_at_their_frames(padding):
    net, movie = video_network(padding), colored()
    rates = nc.respond(net, movie)
    whole = steps_of_the_movie(core_readout(padding), movie)
    frames = np.rint(rates.time.values * 10).astype(int)
    assert frames[0] == 5 + padding  # a padded network answers for a frame before the newest
    assert frames[-1] == 19 - padding
    np.testing.assert_allclose(rates, whole[frames - 20], rtol=1e-12)


def test_the_answer_is_told_and_stored(caplog):
    with caplog.at_level(logging.INFO, "neurocodec.network"):
        net = video_network(1)
        assert net.answering is None
        rates = nc.respond(net, colored())
    assert "frame t-1" in caplog.text
    assert "on 1 frames after its own" in caplog.text
    assert (net.answering.step, net.answering.frame) == (-2, -1)
    told = provenance(rates)["video"]
    assert told["input"] == ["sample", "color", "time", "y", "x"]
    assert told["answer"]["frame"] == -1
    tree = nc.contributions(net, colored(), target=FIRST, progress=False)
    assert provenance(tree)["video"] == told


def reference(module, window, layer, steps):
    """Integrated gradients of the units of a layer, by torch alone: sum of dy/dh dh on a path."""
    total, before = 0, None
    for k in range(steps + 1):
        h = module[: layer + 1](window * k / steps).detach().requires_grad_()
        y = module[layer + 1 :](h)[0, -1, 1]
        (slope,) = torch.autograd.grad(y, h)
        if before is not None:
            total = total + (slope + before[1]) / 2 * (h - before[0])
        before = (h.detach(), slope)
    return total.detach()[0]


@pytest.mark.parametrize(("alias", "place"), [("first", 0), ("second", 2)])
def test_contributions_are_those_of_windows_by_torch_alone(alias, place):
    net, movie, module = video_network(), colored(10), core_readout()
    method = nc.methods.IntegratedGradients(steps=4)
    options = {"target": FIRST, "method": method, "progress": False}
    maps = nc.contributions(net, movie, reduce="none", **options)[alias]
    sums = nc.contributions(net, movie, **options)[alias]
    for i in range(5):
        frames = torch.tensor(movie.values[i : i + 6]).permute(1, 0, 2, 3)[None]
        expected = reference(module, frames, place, 4).numpy()
        np.testing.assert_allclose(maps.contribution[i], expected, rtol=1e-9, atol=1e-14)
        positive = expected.clip(min=0).sum((1, 2, 3))
        np.testing.assert_allclose(
            sums.contribution.sel(sign="excitatory")[i], positive, rtol=1e-9, atol=1e-14
        )
    assert abs(sums.completeness_error).max() < 2e-2 * abs(sums.contribution).max()
    assert maps.contribution.dims == ("time", "channel", "lag", "y", "x")


def test_contributions_add_up_along_many_steps():
    method = nc.methods.IntegratedGradients(steps=64)
    tree = nc.contributions(
        video_network(1), colored(12), target=FIRST, method=method, progress=False
    )
    for alias in ("first", "second"):
        assert abs(tree[alias].completeness_error).max() < 1e-4


def test_positions_in_time_are_lags_of_the_frame_that_is_answered():
    net = video_network(1)
    maps = nc.contributions(net, colored(12), target=FIRST, reduce="none", progress=False)
    lags = maps["first"].lag
    assert lags.attrs["units"] == "s"
    np.testing.assert_allclose(lags, np.arange(-3, 2) / 10)


def test_an_answer_that_is_told_is_taken():
    net, movie = video_network(1, answer=-1), colored()
    rates = nc.respond(net, movie)
    module = core_readout(1)
    last = torch.tensor(movie.values[-8:]).permute(1, 0, 2, 3)[None]
    np.testing.assert_allclose(rates[-1], module(last)[0, -1].detach(), rtol=1e-12)
    assert rates.time.values[-1] == movie.time.values[-1]
    assert provenance(rates)["video"]["answer"]["told"]


def test_a_movie_without_colour_is_one_of_one_colour():
    net = nc.Network(core_readout(colors=1), layers=[], history=6, **AXES)
    movie = colored(colors=1)
    rates = nc.respond(net, movie.isel(color=0, drop=True))
    np.testing.assert_array_equal(rates, nc.respond(net, movie))


def test_pieces_of_a_movie_are_not_joined():
    movie = colored().assign_coords(segment=("time", np.repeat([0, 1], 10)))
    rates = nc.respond(video_network(1), movie)
    assert np.rint(rates.time.values * 10).tolist() == [6, 7, 8, 16, 17, 18]


def test_layers_are_named_as_in_the_module():
    module = core_readout()
    net = nc.Network(module, layers=["2"], history=6, **AXES)
    assert list(net.layers) == ["2"]
    assert net.name == "Sequential"
    with pytest.raises(UnknownNameError, match="'5'"):
        nc.Network(module, layers=["9"], history=6, **AXES)


def test_networks_that_return_one_answer_need_no_time():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 2 * 2, 2)).double()
    net = nc.Network(
        module, layers=[], history=3, input="(sample, time, y, x)", output="(sample, cell)"
    )
    movie = colored(6, 1, 2).isel(color=0, drop=True)
    plain = nc.Network(module, layers=[], history=3)
    np.testing.assert_array_equal(nc.respond(net, movie), nc.respond(plain, movie))


def test_a_network_without_words_is_as_before():
    assert "video" not in nc.Network(nn.Linear(2, 1), layers=[]).facts


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"history": None}, "without history="),
        ({"output": None}, "both of them"),
        ({"answer": 2}, "an output step from the end"),
        ({"input": "(sample, channel, time, y, x)"}, "axis in input="),
    ],
)
def test_words_are_refused_where_they_cannot_be_meant(options, said):
    with pytest.raises(InputError, match=said):
        video_network(**options)
    with pytest.raises(InputError, match="without input= and output="):
        nc.Network(core_readout(), layers=[], history=6, answer=-1)


def test_what_one_run_shows_to_be_wrong_is_refused():
    movie = colored()
    wrong = {"input": "(sample, time, color, y, x)"}
    with pytest.raises(InputError, match="windows of shape"):
        nc.respond(video_network(**wrong), movie)
    with pytest.raises(InputError, match="windows of shape"):
        video_network(**wrong, input_shape=(2, 6, 6))  # known at once, where frames have a shape
    with pytest.raises((InputError, CaptureError), match="'cell'|samples"):
        nc.respond(video_network(output="(sample, cell, time)", history=7), movie)
    with pytest.raises(InputError, match="refuses"):
        nc.respond(video_network(history=5), movie)
    with pytest.raises(InputError, match=r"dims \('time', 'y', 'x'\)$|dims"):
        nc.respond(nc.Network(nn.Flatten(), layers=[], history=2), movie)


def test_the_module_stays_as_it_is():
    module = core_readout().train()
    before = {k: x.clone() for k, x in module.state_dict().items()}
    net = nc.Network(module, layers={"first": "0"}, history=6, **AXES)
    state = torch.random.get_rng_state()
    nc.contributions(net, colored(8), target=FIRST, progress=False)
    assert torch.equal(state, torch.random.get_rng_state())
    assert module.training
    assert all(torch.equal(x, before[k]) for k, x in module.state_dict().items())


def by_windows(monkeypatch, compute):
    """What is computed window by window."""
    with monkeypatch.context() as patch:
        patch.setattr(OnePass, "of", lambda *_: None)
        return compute()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("padding", [0, 1])
def test_one_pass_gives_the_responses_of_windows(padding, dtype, monkeypatch, caplog):
    movie = colored(24)

    def rates():
        return nc.respond(video_network(padding, dtype), movie, batch_size=7)

    with caplog.at_level(logging.INFO):
        whole = rates()
    assert "one pass over the movie" in caplog.text
    windows = by_windows(monkeypatch, rates)
    np.testing.assert_allclose(whole, windows, rtol=1e-6, atol=0)


METHODS = [
    nc.methods.IntegratedGradients(steps=3),
    nc.methods.IntegratedGradients(steps=3, rule="right"),
    nc.methods.IntegratedGradients(steps=3, path="hidden"),
    nc.methods.ActGrad(),
    nc.methods.InputGrad(),
    nc.methods.Gradient(),
    nc.methods.Activation(),
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("layer", ["0", "1"])
def test_one_pass_gives_the_contributions_of_windows(method, dtype, layer, monkeypatch):
    movie = colored(14)  # of layer "1", after the ELU, the path is not straight

    def found(reduce="channel"):
        layers = {"first": layer, "second": "2"}
        net = nc.Network(core_readout(1, dtype=dtype), layers, history=8, **AXES)
        options = {"target": FIRST, "method": method, "reduce": reduce, "baseline": "mean"}
        return nc.contributions(net, movie, batch_size=5, progress=False, **options)

    whole, windows = found(), by_windows(monkeypatch, found)
    for alias in ("first", "second"):
        for name, values in windows[alias].data_vars.items():
            if name != "completeness_error":  # a difference of large numbers
                size = 1e-6 * float(abs(values).max())
                np.testing.assert_allclose(whole[alias][name], values, rtol=1e-6, atol=size)


def test_maps_of_one_pass_are_those_of_windows(monkeypatch):
    def found():
        options = {"target": FIRST, "reduce": "none", "progress": False}
        return nc.contributions(video_network(1), colored(12), **options)

    whole, windows = found(), by_windows(monkeypatch, found)
    assert whole["second"].sizes["lag"] == 3  # not the 5 of padded windows of 8 frames
    for alias in ("first", "second"):
        np.testing.assert_allclose(whole[alias].contribution, windows[alias].contribution, 1e-9)


def test_padding_that_an_answer_does_not_need_changes_nothing(monkeypatch):
    def found():
        options = {"target": FIRST, "progress": False}
        return nc.contributions(video_network(1), colored(12), **options)

    without = found()
    monkeypatch.setattr("neurocodec.nn.video.windowed.trims_of", lambda _: {})
    padded = found()
    for alias in ("first", "second"):
        a, b = without[alias].contribution, padded[alias].contribution
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-15)


class Adapting(nn.Module):
    """A network that takes the mean of all frames off."""

    def __init__(self):
        super().__init__()
        self.inner = core_readout()

    def forward(self, x):
        return self.inner(x - x.mean(2, keepdim=True))


def test_what_mixes_all_times_is_computed_by_windows(caplog):
    net = nc.Network(Adapting(), layers={"first": "inner.0"}, history=6, **AXES)
    movie = colored(9)
    with caplog.at_level(logging.INFO):
        rates = nc.respond(net, movie)
    assert "window by window: operation 'mean'" in caplog.text
    frames = torch.tensor(movie.values[2:8]).permute(1, 0, 2, 3)[None]
    np.testing.assert_allclose(rates[2], Adapting().eval()(frames)[0, -1].detach(), rtol=1e-12)


def test_one_pass_goes_from_gap_to_gap():
    movie = colored(24).assign_coords(segment=("time", np.repeat([0, 1], 12)))
    rates = nc.respond(video_network(), movie)
    first = nc.respond(video_network(), movie[:12].drop_vars("segment"))
    last = nc.respond(video_network(), movie[12:].drop_vars("segment"))
    np.testing.assert_allclose(rates, np.concatenate([first, last]), rtol=1e-12)


class Recurrent(nn.Module):
    """Rates of a recurrent network that starts at 0."""

    def __init__(self, both=False):
        super().__init__()
        torch.manual_seed(0)
        self.gru = nn.GRU(72, 3, batch_first=True, bidirectional=both).double()

    def forward(self, x):
        return self.gru(x.movedim(2, 1).flatten(2))[0]


def test_a_state_starts_anew_in_every_window(caplog):
    movie, module = colored(12), Recurrent()
    net = nc.Network(module, layers={"gru": nc.Layer("gru", item=0)}, history=5, **AXES)
    with caplog.at_level(logging.INFO):
        rates = nc.respond(net, movie)
    assert "window by window" in caplog.text
    x = torch.tensor(movie.values).flatten(1)
    for i in (0, 7):
        expected = module.gru(x[None, i : i + 5])[0][0, -1].detach()
        np.testing.assert_allclose(rates[i], expected, rtol=1e-9)
    method = nc.methods.IntegratedGradients(steps=64)
    tree = nc.contributions(net, movie, target=FIRST, method=method, progress=False)
    assert abs(tree["gru"].completeness_error).max() < 1e-6


def test_a_state_is_carried_through_each_piece_of_a_movie():
    movie, module = colored(20), Recurrent()
    net = nc.Network(module, layers=[], history=5, state="carried", **AXES)
    rates = nc.respond(net, movie, batch_size=2)
    x = torch.tensor(movie.values).flatten(1)
    whole = module.gru(x[None])[0][0].detach()
    np.testing.assert_allclose(rates, whole[4:], rtol=1e-9)
    assert provenance(rates)["video"]["state"] == "carried"
    parts = movie.assign_coords(segment=("time", np.repeat([0, 1], 10)))
    apart = nc.respond(net, parts)
    np.testing.assert_allclose(apart[:6], whole[4:10], rtol=1e-9)
    np.testing.assert_allclose(apart[6:], module.gru(x[None, 10:])[0][0, 4:].detach(), rtol=1e-9)


def test_a_state_is_not_carried_where_that_cannot_be():
    net = nc.Network(
        Recurrent(), {"gru": nc.Layer("gru", item=0)}, history=5, state="carried", **AXES
    )
    with pytest.raises(InputError, match="depends on all frames before it") as error:
        nc.contributions(net, colored(), target=FIRST, progress=False)
    assert "state='reset'" in str(error.value)
    both = nc.Network(Recurrent(both=True), layers=[], history=5, state="carried", **AXES)
    with pytest.raises(InputError, match="steps do not follow the frames"):
        nc.respond(both, colored())
    with pytest.raises(InputError, match="takes windows"):
        nc.Network(nn.Flatten(), layers=[], history=2, state="carried")
    with pytest.raises(UnknownNameError, match="'carried'"):
        nc.Network(Recurrent(), layers=[], history=5, state="carry", **AXES)


class Keeping(Recurrent):
    """One that keeps its state from pass to pass."""

    def forward(self, x):
        returned, self.kept = self.gru(x.movedim(2, 1).flatten(2), getattr(self, "kept", None))
        return returned


def test_a_state_that_is_kept_from_pass_to_pass_is_refused():
    net = nc.Network(Keeping(), layers=[], history=5, **AXES)
    with pytest.raises((CaptureError, InputError)):
        nc.respond(net, colored())


def hidden_by_hand(module, window, layer, steps, place):
    """Integrated gradients on the straight line between two activations, by torch alone."""
    end, start = (module[: layer + 1](x).detach() for x in (window, torch.zeros_like(window)))
    total = torch.zeros_like(end)
    for k in range(steps + 1):
        h = (start + (end - start) * k / steps).requires_grad_()
        (slope,) = torch.autograd.grad(module[layer + 1 :](h)[0, place, 1], h)
        total += (0.5 if k in (0, steps) else 1.0) / steps * slope
    parts = total * (end - start)
    return np.stack([x.flatten(2).sum(2)[0] for x in (parts.clip(min=0), parts.clip(max=0))])


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("alias", "place"), [("first", 0), ("second", 2)])
def test_contributions_along_hidden_lines_are_those_by_torch_alone(alias, place, padding):
    net, movie = video_network(padding), colored(12)
    method = nc.methods.IntegratedGradients(steps=4, path="hidden")
    tree = nc.contributions(net, movie, target=FIRST, method=method, progress=False)
    found = tree[alias].contribution.transpose("time", "sign", "channel")
    frames = torch.tensor(movie.values).permute(1, 0, 2, 3)[None]
    module = core_readout(padding)
    for row, values in enumerate(found.values):
        window = frames[:, :, row : row + net.history]
        expected = hidden_by_hand(module, window, place, 4, -1 - padding)
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-13)


class Turned(nn.Module):
    """The same network, with its axes in another order."""

    def __init__(self):
        super().__init__()
        self.inner = core_readout()

    def forward(self, x):  # (x, time, sample, y, color) to (time, cell, sample)
        return self.inner(x.permute(2, 4, 1, 3, 0)).permute(1, 2, 0)


def test_axes_in_another_order_change_nothing():
    axes = {"input": "(x, time, sample, y, color)", "output": "(time, cell, sample)"}
    layers = {"first": "inner.0", "second": "inner.2"}
    turned = nc.Network(Turned(), layers=layers, history=6, frame_rate=10, **axes)
    plain, movie = video_network(), colored(10)
    xr.testing.assert_allclose(*(nc.respond(net, movie) for net in (turned, plain)))
    ours, theirs = (
        nc.contributions(net, movie, target=FIRST, progress=False) for net in (turned, plain)
    )
    for alias in layers:
        xr.testing.assert_allclose(ours[alias].contribution, theirs[alias].contribution)
    ours, theirs = (nc.receptive_fields(net, movie, progress=False) for net in (turned, plain))
    xr.testing.assert_allclose(ours.irf, theirs.irf)


def test_windows_shorter_than_kernels_are_refused_with_a_longer_history():
    options = {"frame_rate": 10, **AXES}
    with pytest.raises(InputError, match="history=6, if its kernels") as raised:
        nc.respond(nc.Network(core_readout(), history=3, **options), colored())
    longer = eval(f"dict({raised.value.hint.split(', if')[0]})")  # noqa: S307 - what it says to type
    assert nc.respond(nc.Network(core_readout(), **longer, **options), colored()).size


def test_hints_for_frames_without_names_and_other_names_run():
    net, movie = video_network(), colored()
    with pytest.raises(InputError) as raised:
        nc.respond(net, movie.values)
    named = eval(raised.value.hint, {"xr": xr, "values": movie.values})  # noqa: S307
    xr.testing.assert_identical(named, movie.drop_vars([*movie.coords]).rename(None))
    for names in ({"color": "colour"}, {"y": "height", "x": "width"}):
        with pytest.raises(InputError, match="dims \\('time', 'y', 'x'\\) and 'color'") as raised:
            nc.respond(net, movie.rename(names))
        back = eval(raised.value.hint, {"movie": movie.rename(names)})  # noqa: S307
        assert nc.respond(net, back).identical(nc.respond(net, movie))


def test_a_hint_for_probes_in_colours_runs():
    net = nc.Network(
        core_readout(),
        history=6,
        frame_rate=10,
        input_shape=colored().shape[1:],
        **AXES,
    )
    with pytest.raises(InputError, match="movies in 2 colours") as raised:
        nc.tuning(net)
    first, last = raised.value.hint.split("; ")
    names = {"nc": nc, "net": net}
    exec(first, names)  # noqa: S102 - what it says to type
    found = eval(last, names)  # noqa: S307
    assert found.direction_selectivity.size == 3
