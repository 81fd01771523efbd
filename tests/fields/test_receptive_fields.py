"""Instantaneous receptive fields against analytic ones, finite differences and numpy's SVD."""

import numpy as np
import pytest
import torch
import xarray as xr
from networks import linear, movie, retina, retina_network
from small_retina import small_network, small_recording
from torch import nn
from video import colored, core_readout, video_network

import neurocodec as nc
from neurocodec.engine import memory
from neurocodec.engine.run import Run
from neurocodec.errors import InputError, StorageError, UnknownNameError
from neurocodec.fields import receptive_fields as fields_module
from neurocodec.fields.choice import Choice
from neurocodec.fields.plan import Fields
from neurocodec.nn.fields import adjoint as adjoint_module
from neurocodec.nn.fields.adjoint import Adjoint
from neurocodec.nn.standardisation import Standardisation

QUIET = {"progress": False}


def fields(net, stimulus, *args, **options) -> xr.Dataset:
    return nc.receptive_fields(net, stimulus, *args, **QUIET, **options)


def by_autograd(module, stimulus, history) -> np.ndarray:
    """One window and one cell at a time."""
    frames = torch.tensor(stimulus.values)
    rows = []
    for t in range(len(frames) - history + 1):
        x = frames[t : t + history][None].clone().requires_grad_()
        outputs = module(x)[0]
        rows.append([torch.autograd.grad(y, x, retain_graph=True)[0][0].numpy() for y in outputs])
    return np.array(rows)


def purely_linear(cells=3) -> nn.Sequential:
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(2 * 36, cells))
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=generator)
    return module.eval()


def linear_network(**options) -> nc.Network:
    return nc.Network(purely_linear(), layers={"layer1": "0"}, history=4, **options)


def analytic(module) -> np.ndarray:
    """Field of every cell by channel, (cell, channel, lag, y, x): loops over the definition."""
    weight, readout = module[0].weight.detach().numpy(), module[2].weight.detach().numpy()
    found = np.zeros((len(readout), 2, 4, 8, 8))
    for cell, row in enumerate(readout.reshape(-1, 2, 6, 6)):
        for channel in range(2):
            for i in range(6):
                for j in range(6):
                    patch = found[cell, channel, :, i : i + 3, j : j + 3]
                    patch += row[channel, i, j] * weight[channel]
    return found


def test_the_field_of_a_linear_network_is_its_filter() -> None:
    net = linear_network()
    irf = fields(net, movie(frames=9, size=8)).irf
    assert irf.dims == ("time", "cell", "lag", "y", "x")
    expected = np.broadcast_to(analytic(net.module).sum(1), irf.shape)
    np.testing.assert_allclose(irf, expected, atol=1e-5)


def test_through_channel_fields_of_a_linear_network_are_the_analytic_ones() -> None:
    net = linear_network()
    irf = fields(net, movie(frames=6, size=8), through="each", layer="layer1").irf
    assert irf.dims == ("time", "cell", "channel", "lag", "y", "x")
    np.testing.assert_allclose(irf[0], analytic(net.module), atol=1e-5)


@pytest.mark.parametrize("layer", ["layer1", "layer2"])
def test_fields_through_all_channels_sum_to_the_field(layer) -> None:
    net, stimulus = retina_network(), movie()
    whole = fields(net, stimulus).irf
    parts = fields(net, stimulus, through="each", layer=layer).irf
    assert abs(parts.sum("channel") - whole).max() <= 1e-5 * abs(whole).max()
    assert abs(parts.isel(channel=0)).max() > 0.01 * abs(whole).max()


def test_through_takes_channels_and_weights() -> None:
    net, stimulus = retina_network(), movie()
    each = fields(net, stimulus, through="each", layer="layer1").irf
    some = fields(net, stimulus, through=[0, 2], layer="layer1").irf
    np.testing.assert_allclose(some, each.isel(channel=[0, 2]).sum("channel"), atol=1e-6)
    one = fields(net, stimulus, through=1, layer="layer1").irf
    np.testing.assert_allclose(one, each.isel(channel=1), atol=1e-6)
    weights = xr.DataArray(
        [[1.0, 0.5, 0.0], [0.0, 0.0, 2.0]], {"mode": [3, 7]}, dims=("mode", "channel")
    )
    modes = fields(net, stimulus, through=weights, layer="layer1").irf
    assert modes.dims[:3] == ("time", "cell", "mode")
    assert modes.mode.values.tolist() == [3, 7]
    expected = np.einsum("mc,tnclyx->tnmlyx", weights, each)
    np.testing.assert_allclose(modes, expected, atol=1e-6)


@pytest.mark.parametrize("standardised", [False, True])
def test_the_quick_way_is_autograd(standardised) -> None:
    inner = retina()
    module = nn.Sequential(Standardisation(0.5, 4.0), *inner) if standardised else inner
    net = nc.Network(module.eval(), layers={"layer1": "1" if standardised else "0"}, history=6)
    stimulus = movie()
    irf = fields(net, stimulus).irf.values
    expected = by_autograd(module, stimulus, 6)
    assert abs(irf - expected).max() <= 1e-5 * abs(expected).max()


def test_the_quick_way_is_taken_and_needs_no_named_layer() -> None:
    net = nc.Network(retina(), layers=[], history=6)
    plan = fields_module._plan(net, movie(), None, Choice(None, None, None, None), None)
    with plan.opened() as bound:
        assert bound.passes.adjoint is not None


def test_any_other_network_is_differentiated_down_to_the_windows() -> None:
    module = nn.Sequential(
        nn.AvgPool2d(2), nn.Conv2d(6, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 3)
    )
    stimulus = movie()
    net = nc.Network(module, layers={"layer1": "1"}, history=6)
    np.testing.assert_allclose(
        fields(net, stimulus).irf, by_autograd(module, stimulus, 6), atol=1e-6
    )
    rank = fields(net, stimulus, rank=6)
    np.testing.assert_allclose(
        (rank.temporal * rank.spatial).sum("component"),
        fields(net, stimulus).irf.transpose("time", "cell", "lag", "y", "x"),
        atol=1e-6,
    )


def test_a_local_readout_has_a_local_field() -> None:
    net = nc.load_model("simulated-retina")
    stimulus = movie(frames=42, size=50)
    irf = fields(net, stimulus, cells=["simulated 05", "simulated 16"]).irf
    expected = by_autograd(net.module.eval(), stimulus, 40)[:, [4, 15]]
    assert abs(irf.values - expected).max() <= 1e-5 * abs(expected).max()
    assert (expected == 0).mean() > 0.3
    assert (irf.values[expected == 0] == 0).mean() > 0.9


def test_a_field_is_finite_differences() -> None:
    net = nc.Network(retina().double(), layers={"layer1": "0", "layer2": "5"}, history=6)
    stimulus = movie(frames=6).astype(float)
    irf = fields(net, stimulus, cells=["2"]).irf.values[0, 0]
    rng, step = np.random.default_rng(0), 1e-5
    for place in zip(*(rng.integers(n, size=20) for n in irf.shape), strict=True):
        pair = []
        for sign in (1, -1):
            moved = stimulus.copy()
            moved.values[place] += sign * step
            pair.append(float(nc.respond(net, moved)[0, 2]))
        slope = (pair[0] - pair[1]) / (2 * step)
        assert slope == pytest.approx(irf[place], rel=1e-3, abs=1e-3 * abs(irf).max())


def test_components_are_numpys_svd() -> None:
    net, stimulus = retina_network(), movie()
    whole = fields(net, stimulus).irf
    found = fields(net, stimulus, rank=3)
    u, s, vt = np.linalg.svd(whole.values.reshape(15, 4, 6, 144), full_matrices=False)
    np.testing.assert_allclose(
        found.energy_share, (s**2 / (s**2).sum(-1, keepdims=True))[..., :3], rtol=1e-3, atol=1e-6
    )
    best = np.einsum("tclk,tck,tckp->tclp", u[..., :3], s[..., :3], vt[..., :3, :])
    mine = np.einsum("tckl,tckp->tclp", found.temporal, found.spatial.values.reshape(15, 4, 3, 144))
    np.testing.assert_allclose(mine, best, atol=1e-4 * abs(best).max())
    np.testing.assert_allclose(np.linalg.norm(found.temporal, axis=-1), 1, rtol=1e-5)


def test_all_components_are_the_field() -> None:
    net, stimulus = small_network(), small_recording(60).stimulus
    found = fields(net, stimulus, rank=4)
    whole = fields(net, stimulus).irf
    assert found.energy_share.dims == ("time", "cell", "component")
    assert (found.energy_share.diff("component") <= 1e-6).all()
    mine = (found.temporal * found.spatial).sum("component")
    np.testing.assert_allclose(mine.transpose(*whole.dims), whole, atol=1e-5)


def test_the_numbers_do_not_depend_on_the_batch() -> None:
    net, stimulus = retina_network(), movie()
    one = fields(net, stimulus, rank=1, batch_size=1)
    all_ = fields(net, stimulus, rank=1, batch_size=100)
    xr.testing.assert_allclose(one.energy_share, all_.energy_share, rtol=1e-3)
    np.testing.assert_allclose(one.spatial, all_.spatial, atol=1e-4)


def test_times_and_cells_are_chosen_by_label() -> None:
    net, stimulus = retina_network(), movie()
    whole = fields(net, stimulus).irf
    some = fields(net, stimulus, cells="2", times=[0.13, 0.07, 0.08]).irf
    assert some.time.values.tolist() == [0.13, 0.07, 0.08]
    assert some.cell.values.tolist() == ["2"]
    np.testing.assert_allclose(some, whole.sel(cell=["2"], time=[0.13, 0.07, 0.08]), atol=1e-6)
    part = fields(net, stimulus, times=slice(0.1, 0.12)).irf
    assert part.time.values.tolist() == [0.1, 0.11, 0.12]
    with pytest.raises(InputError, match="no response"):
        fields(net, stimulus, times=0.101)
    with pytest.raises(InputError, match="no response"):
        fields(net, stimulus, times=0.01)  # before the first full window
    with pytest.raises(InputError, match="no response"):
        fields(net, stimulus, times=slice(5, 6))
    with pytest.raises(UnknownNameError, match="cell"):
        fields(net, stimulus, cells=["cell 2"])


def test_labels_and_units() -> None:
    stimulus = movie().assign_coords(y=np.arange(12) * 50.0, x=np.arange(12) * 50.0)
    stimulus = stimulus.assign_coords(bin_width=0.01)
    found = fields(retina_network(), stimulus, rank=2)
    assert found.lag.values[-1] == 0
    np.testing.assert_allclose(found.lag[0], -0.05)
    assert found.lag.units == "s"
    assert found.spatial.units == "Hz per unit of stimulus"
    assert set(found.coords) == {"time", "cell", "component", "lag", "y", "x"}
    assert nc.labels.provenance(found)["function"] == "nc.receptive_fields"


def test_the_field_of_a_target_and_of_a_mode() -> None:
    net, stimulus = retina_network(), movie()
    whole = fields(net, stimulus).irf
    total = fields(net, stimulus, of=nc.targets.Sum()).irf
    assert total.dims == ("time", "lag", "y", "x")
    np.testing.assert_allclose(total, whole.sum("cell"), atol=1e-5)
    rows = xr.DataArray([[1.0, 0.0], [0.5, -1.0]], {"mode": [4, 9]}, dims=("mode", "channel"))
    modes = fields(net, stimulus, of=rows, layer="layer2").irf
    assert modes.dims == ("time", "mode", "lag", "y", "x")
    one = fields(net, stimulus, of=nc.targets.Feature("layer2", (0.5, -1.0))).irf
    np.testing.assert_allclose(modes.sel(mode=9), one, atol=1e-5)
    single = fields(net, stimulus, of=rows.sel(mode=9), layer="layer2").irf
    assert int(single.mode) == 9
    np.testing.assert_allclose(single, one, atol=1e-5)
    same = fields(net, stimulus, of=rows.sel(mode=9), layer="layer2", through="each").irf
    np.testing.assert_allclose(same.sum("channel"), one, atol=1e-5)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
@pytest.mark.parametrize("rank", [None, 2])
def test_streamed_fields_are_the_same(tmp_path, suffix, rank) -> None:
    net, stimulus = retina_network(), movie()
    out = tmp_path / f"fields.{suffix}"
    there = fields(net, stimulus, rank=rank, out=out, batch_size=4)
    here = fields(net, stimulus, rank=rank, batch_size=4)
    xr.testing.assert_identical(there.compute(), here)
    there.close()
    again = fields(net, stimulus, rank=rank, out=out, batch_size=4)
    xr.testing.assert_identical(again.compute(), here)
    again.close()
    with pytest.raises(StorageError, match="another run"):
        fields(net, stimulus, rank=rank, out=out, cells=["1"])


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch) -> None:
    net, stimulus, out = retina_network(), movie(), tmp_path / "fields.nc"
    real, calls = Fields.rows, []

    def failing(self, batch, into):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(batch.first)
        return real(self, batch, into)

    monkeypatch.setattr(Fields, "rows", failing)
    with pytest.raises(KeyboardInterrupt):
        fields(net, stimulus, out=out, batch_size=4)
    counted = []
    monkeypatch.setattr(
        Fields,
        "rows",
        lambda self, batch, into: counted.append(batch.first) or real(self, batch, into),
    )
    found = fields(net, stimulus, out=out, batch_size=4)
    assert counted == [8, 12, 0]  # the last for the shapes in the file
    np.testing.assert_array_equal(found.irf, fields(net, stimulus, batch_size=4).irf)
    found.close()


def test_more_than_the_memory_is_refused_before_the_start(monkeypatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 100_000)
    with pytest.raises(InputError, match="rank=1, fewer times=, or out="):
        fields(retina_network(), movie())
    assert fields(retina_network(), movie(), times=0.1, cells=["1"]).irf.shape == (1, 1, 6, 12, 12)


def test_the_network_is_given_back() -> None:
    net = retina_network()
    net.module.train()
    before = {k: x.clone() for k, x in net.module.state_dict().items()}
    state = torch.random.get_rng_state()
    fields(net, movie(), rank=1)
    assert net.module.training
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(p.requires_grad and p.grad is None for p in net.module.parameters())
    assert all("forward" not in part.__dict__ for part in net.module.modules())
    assert not any(part._forward_hooks for part in net.module.modules())
    assert all(torch.equal(before[k], x) for k, x in net.module.state_dict().items())


def test_what_does_not_fit_is_refused() -> None:
    net, stimulus = retina_network(), movie()
    for rank in (0, 7, 1.5, True):
        with pytest.raises(InputError, match="rank="):
            fields(net, stimulus, rank=rank)
    with pytest.raises(InputError, match="layer="):
        fields(net, stimulus, through=1)
    with pytest.raises(UnknownNameError, match="layer"):
        fields(net, stimulus, through=1, layer="layer3")
    with pytest.raises(InputError, match="channels from 0 to 2"):
        fields(net, stimulus, through=3, layer="layer1")
    with pytest.raises(InputError, match="of its 3 channels"):
        fields(net, stimulus, through=xr.DataArray([1.0, 2.0], dims="channel"), layer="layer1")
    with pytest.raises(InputError, match="both cells= and of="):
        fields(net, stimulus, cells=["1"], of=nc.targets.Sum())
    with pytest.raises(InputError, match="one of nc.targets"):
        fields(net, stimulus, of="surprisal")
    still = nc.Network(nn.Sequential(linear([[1, 2]])), layers=["0"])
    with pytest.raises(InputError, match="still images"):
        fields(still, stimulus)


def test_the_adjoint_is_the_transpose() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 5, 4, 3, generator=generator, dtype=torch.float64)
    x = torch.randn(2, 5, 11, 9, generator=generator, dtype=torch.float64)
    g = torch.randn(2, 3, 8, 7, generator=generator, dtype=torch.float64)
    g[:, 1], g[:, :, :2], g[..., 5:] = 0, 0, 0
    forward = (nn.functional.conv2d(x, weight) * g).sum()
    back = (x * Adjoint(weight, (11, 9)).fields(g)).sum()
    assert float(forward) == pytest.approx(float(back), rel=1e-12)
    assert not Adjoint(weight, (11, 9)).fields(0 * g).any()
    assert not Adjoint(weight, (11, 9)).components(0 * g, 2).energy_share.any()


def test_cells_may_come_as_an_array_a_number_or_a_generator() -> None:
    net, stimulus = retina_network(), movie(frames=8)
    whole = fields(net, stimulus)
    for cells in (whole.cell[1:3], whole.cell.values[1:3], (c for c in "12"), np.array([1, 2])):
        assert fields(net, stimulus, cells).cell.values.tolist() == ["1", "2"]
    for cells in (whole.cell[1], 1, "1"):
        assert fields(net, stimulus, cells).cell.values.tolist() == ["1"]
    with pytest.raises(InputError, match="cells=None for all"):
        fields(net, stimulus, [])


def test_the_memory_of_double_precision_is_counted(monkeypatch) -> None:
    stimulus = movie()
    needed = 15 * 4 * 6 * 12 * 12 * 8
    net = nc.Network(retina().double(), layers={"layer1": "0"}, history=6)
    assert fields(net, stimulus).irf.nbytes == needed
    monkeypatch.setattr(memory, "available_memory", lambda: 1.2 * needed)
    with pytest.raises(InputError, match="GiB"):
        fields(net, stimulus)


def test_the_quick_way_is_checked_where_the_field_is_not_zero(monkeypatch) -> None:
    """A cell that is silent at the first time tells nothing about the way back."""
    module = nn.Sequential(nn.Conv2d(2, 1, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 1))
    module[0].weight.data.fill_(1.0)
    module[0].bias.data.fill_(0.0)
    module[3].weight.data.fill_(1.0)
    frames = np.ones((6, 4, 4), "float32")
    frames[:4] = -1
    stimulus = xr.DataArray(frames, dims=("time", "y", "x"))
    net = nc.Network(module, layers={"layer1": "0"}, history=2)
    expected = by_autograd(module, stimulus, 2)
    assert not expected[0].any()
    assert expected[-1].any()
    real = Adjoint.fields
    monkeypatch.setattr(Adjoint, "fields", lambda self, g, out=None: real(self, 2 * g, out))
    np.testing.assert_allclose(fields(net, stimulus).irf, expected, atol=1e-6)


def test_kernels_that_are_kept_do_not_grow_without_end(monkeypatch) -> None:
    monkeypatch.setattr(adjoint_module, "MOST_KERNELS", 3)
    adjoint = Adjoint(torch.ones(1, 2, 3, 3), (20, 20))
    for size in range(1, 18):
        gradients = torch.zeros(1, 1, 18, 18)
        gradients[..., :size, :size] = 1
        assert adjoint.fields(gradients).max() == pytest.approx(min(size, 3) ** 2, rel=1e-5)
        assert len(adjoint.kernels) <= 3


def test_a_result_larger_than_memory_is_labelled_without_it(tmp_path, monkeypatch) -> None:
    """Zeros of the whole result would be refused by the system, after all has been computed."""
    net, stimulus = retina_network(), movie()

    def refused(*_):
        raise MemoryError

    monkeypatch.setattr(Fields, "zeros", refused)
    found = fields(net, stimulus, out=tmp_path / "fields.nc", batch_size=4)
    assert found.irf.shape == (15, 4, 6, 12, 12)
    found.close()
    plan = fields_module._plan(net, stimulus, None, Choice(None, None, None, None), None)
    with Run.opened(plan, 4, progress=False) as run:
        made = run.template(run.one(), np.ones(15, bool))["irf"]
    assert made.shape == (15, 4, 6, 12, 12)
    assert made.values.base.nbytes == 4 * 6 * 12 * 12 * 4  # of one time


def test_weights_of_channels_in_another_order_are_refused() -> None:
    weights = xr.DataArray([1.0, 0.5, 0.0], {"channel": [0, 1, 2]}, dims="channel")
    net, stimulus = retina_network(), movie(frames=6)
    assert fields(net, stimulus, through=weights, layer="layer1").irf.size
    with pytest.raises(InputError, match="in their order, from 0"):
        fields(net, stimulus, through=weights[::-1], layer="layer1")
    with pytest.raises(InputError, match="in their order"):
        fields(net, stimulus, of=weights[::-1], layer="layer1")


def test_chunks_of_stored_fields_do_not_depend_on_the_batch_size(tmp_path) -> None:
    zarr = pytest.importorskip("zarr")
    net, stimulus = retina_network(), movie(frames=40)
    for size in (1, 35):
        out = tmp_path / f"{size}.zarr"
        fields(net, stimulus, out=out, batch_size=size).close()
        assert zarr.open_group(out, mode="r")["irf"].chunks == (35, 4, 6, 12, 12)


def test_a_run_of_the_intact_network_is_not_taken_for_one_of_a_perturbed(tmp_path) -> None:
    net, stimulus, out = retina_network(), movie(), tmp_path / "fields.nc"
    fields(net, stimulus, out=out).close()
    with (
        nc.ablate(net, "layer1", [0]) as perturbed,
        pytest.raises(StorageError, match="perturbation"),
    ):
        fields(perturbed, stimulus, out=out)


@pytest.mark.parametrize("calls", [0, 2])
def test_a_convolution_that_does_not_run_or_runs_twice_stops_nothing(calls):
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.end = nn.Conv2d(4, 4, 1), nn.Linear(4 * 36, 2)

        def forward(self, x):
            for _ in range(calls):
                x = self.first(x)
            return self.end(x.flatten(1))

    module = Module().double()
    frames = np.random.default_rng(0).normal(size=(5, 6, 6))
    net = nc.Network(module, [], history=4)
    found = nc.receptive_fields(net, xr.DataArray(frames, dims=("time", "y", "x")), progress=False)
    x = torch.from_numpy(frames[:4])[None].requires_grad_()
    expected = torch.autograd.grad(module(x)[0, 1], x)[0][0]
    np.testing.assert_allclose(found.irf[0, 1], expected, atol=1e-12)


@pytest.mark.parametrize("padding", [0, 1])
def test_fields_of_video_networks_stay_on_their_side_of_a_pause(padding):
    net = video_network(padding)
    times = np.arange(20) / 10 + 3.0 * (np.arange(20) >= 9)
    movie = colored(20).assign_coords(time=times)
    found = nc.receptive_fields(net, movie, progress=False)
    starts = [i for i in range(21 - net.history) if not i < 9 < i + net.history]
    np.testing.assert_allclose(found.time, times[np.array(starts) + net.history - 1 - padding])
    for row, start in zip(found.irf.transpose("time", "cell", ...).values, starts, strict=True):
        frames = torch.tensor(movie.values[start : start + net.history])
        frames = frames.permute(1, 0, 2, 3)[None].requires_grad_()
        answer = core_readout(padding)(frames)[0, -1 - padding, 2]
        expected = torch.autograd.grad(answer, frames)[0][0].permute(1, 0, 2, 3)
        np.testing.assert_allclose(row[2], expected, rtol=1e-9, atol=1e-15)
