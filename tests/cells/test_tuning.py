"""`nc.tuning`: cells of a known circuit are told apart by what they answer."""

import itertools

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.metrics import roc_auc_score
from torch import nn

import neurocodec as nc
from neurocodec.errors import InputError

SIDE, HISTORY, RATE = 15, 8, 40.0


class Circuit(nn.Module):
    """Windows of a movie to cells: direction selective, ON-OFF, ON and OFF, in this order.

    A direction-selective cell is a correlator (Hassenstein and Reichardt 1956): light at one
    point, earlier, times light at the next one now, for bright and for dark, minus half of the
    other way round. The others sum light in a disc above and below the mean.
    """

    def __init__(self, each: int, seed: int = 0) -> None:
        super().__init__()
        random = np.random.default_rng(seed)
        self.each = each
        self.angles = torch.tensor(random.choice(8, each) * 45.0)
        self.middles = torch.tensor(random.integers(-1, 2, (4 * each, 2)) + SIDE // 2)
        self.delays = random.integers(3, 6, each).tolist()
        self.gains = torch.tensor(random.uniform(0.5, 2, 4 * each), dtype=torch.float32)
        self.brief = random.uniform(0, 1, 4 * each).tolist()

    def point(self, windows, cell, delay, dx=0, dy=0):
        y, x = (int(n) for n in self.middles[cell])
        return windows[:, HISTORY - 1 - delay, y + dy, x + dx]

    def forward(self, windows):
        cells = []
        for k, delay in enumerate(self.delays):
            turn = torch.deg2rad(self.angles[k])
            dx, dy = int(torch.round(2 * turn.cos())), -int(torch.round(2 * turn.sin()))
            answer = 0
            for sign in (1, -1):
                here, then = ((sign * self.point(windows, k, late)).relu() for late in (0, delay))
                there, past = (
                    (sign * self.point(windows, k, late, dx, dy)).relu() for late in (0, delay)
                )
                answer = answer + (then * there - 0.5 * past * here)
            cells.append(answer.relu())
        for k in range(self.each, 4 * self.each):
            light = self.point(windows, k, 0) - self.brief[k] * self.point(windows, k, 6)
            kind = k // self.each
            on, off = light.relu(), (-light).relu()
            cells.append((on + off, on, off)[kind - 1])
        return self.gains * torch.stack(cells, dim=1)


@pytest.fixture(scope="module")
def circuit():
    return Circuit(each=12)


@pytest.fixture(scope="module")
def net(circuit):
    return nc.Network(
        circuit,
        layers=[],
        history=HISTORY,
        input_shape=(SIDE, SIDE),
        frame_rate=RATE,
        outputs=[f"cell {n}" for n in range(48)],
    )


@pytest.fixture(scope="module")
def found(net):
    return nc.tuning(net, permutations=199)


def test_direction_selective_and_on_off_cells_are_told_apart(found):
    kinds = np.repeat(["ds", "on-off", "on", "off"], 12)
    assert roc_auc_score(kinds == "ds", found.direction_selectivity) >= 0.95
    rest = kinds != "ds"
    both = -np.abs(found.on_off_index.values[rest])
    assert roc_auc_score(kinds[rest] == "on-off", both) >= 0.95
    assert (found.direction_p_value[:12] < 0.05).mean() >= 0.9
    assert (found.on_off_index[24:36] == 1).all()
    assert (found.on_off_index[36:] == -1).all()


def test_the_preferred_direction_is_the_circuits(found, circuit):
    off = np.deg2rad(found.preferred_direction.values[:12] - circuit.angles.numpy())
    assert np.cos(off).min() > np.cos(np.deg2rad(23))  # half a step


def test_transience_follows_the_circuit(found, circuit):
    brief = np.array(circuit.brief)[12:]
    assert np.corrcoef(brief, found.transience.values[12:])[0, 1] > 0.9


def test_units_are_named(found):
    assert found.kind.values.tolist() == ["cell"] * 48
    assert found.name.values[3] == "cell 3"
    assert found.preferred_direction.attrs["units"] == "degree"


def test_a_network_and_its_responses_say_the_same(net, found):
    shown = nc.stimuli.flashes((SIDE, SIDE), RATE, pause=0.1 + HISTORY / RATE)
    rates = nc.respond(net, shown)
    again = nc.tuning(rates)
    np.testing.assert_allclose(again.on_off_index, found.on_off_index, rtol=1e-5)
    np.testing.assert_allclose(again.transience, found.transience, rtol=1e-5)
    assert again.cell.values.tolist() == rates.cell.values.tolist()


def test_what_is_brightest_in_the_middle_prefers_the_disc_it_fills():
    class Pool(nn.Module):
        def forward(self, windows):
            now = windows[:, -1]
            inner = now[:, 5:10, 5:10].sum((1, 2))
            around = now.sum((1, 2)) - inner
            return torch.stack([inner.relu(), (inner - around / 9).relu(), around.relu()], dim=1)

    net = nc.Network(Pool(), layers=[], history=2, input_shape=(15, 15), frame_rate=RATE)
    found = nc.tuning(net, permutations=9)
    assert found.preferred_diameter.values.tolist() == [7.5, 7.5, 15.0]
    assert (np.diff(found.diameter_response.values[0]) >= -1e-6).all()
    assert found.diameter_response.values[1, -1] < 0.8 * found.diameter_response.values[1].max()


def test_channels_and_modes_come_along():
    torch.manual_seed(0)
    hidden = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    module = nn.Sequential(hidden, nn.Flatten(), nn.Linear(4 * 25, 3), nn.Softplus())
    net = nc.Network(module, layers={"first": "0"}, history=3, input_shape=(5, 5), frame_rate=20.0)
    movie = nc.stimuli.white_noise((5, 5), 20.0, duration=5.0)
    target, method = nc.targets.Sum(), nc.methods.ActGrad()
    tree = nc.contributions(net, movie, target=target, method=method, progress=False)
    modes = nc.BaselineModes("nmf", modes=2).fit(tree, layer="first")
    found = nc.tuning(
        net, layers=["first"], modes={"first": modes}, target=target, method=method, permutations=9
    )
    assert found.kind.values.tolist() == ["cell"] * 3 + ["channel"] * 4 + ["mode"] * 2
    assert found.layer.values.tolist() == [""] * 3 + ["first"] * 6
    shown = nc.stimuli.flashes((5, 5), 20.0, pause=0.1 + 3 / 20)
    windows = np.lib.stride_tricks.sliding_window_view(shown.values, 3, axis=0).copy()
    with torch.no_grad():
        maps = hidden(torch.from_numpy(windows).permute(0, 3, 1, 2))[:, :, 2, 2].numpy()
    flash = shown.phase.values[2:] == "flash"
    up = maps[flash & (shown.contrast.values[2:] == 1)].max(axis=0)
    before = maps[: int(np.flatnonzero(flash)[0])]
    expected = np.clip(up - before[-(len(before) // 2 or 1) :].mean(axis=0), 0, None)
    np.testing.assert_allclose(found.on_response[3:7], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r[:0], "mean light alone"),
        (lambda r: r.isel(time=r.phase.values == "grey"), "mean light alone"),
        (lambda r: r.drop_vars("trial"), "without the coordinates \\['trial'\\]"),
        (lambda r: r.isel(time=r.contrast.values > 0), "no frame of mean light"),
        (lambda r: r.isel(time=~(r.contrast.values < 0)), "contrasts \\[1.0\\]"),
        (lambda r: r.where(r.time != r.time[3]), "NaN|not finite|finite"),
        (lambda r: r[:, 0], "dims"),
        (lambda r: r.expand_dims("repeat"), "dims"),
        (lambda r: r.values, "ndarray"),
    ],
)
def test_responses_that_do_not_say_what_was_shown_are_refused(change, said):
    shown = nc.stimuli.flashes((1, 1), 10.0, duration=0.3, pause=0.3)
    rates = shown[:, 0].rename(x="cell").drop_vars("y")
    nc.tuning(rates)
    with pytest.raises(InputError, match=said):
        nc.tuning(change(rates))


def test_directions_must_go_around():
    shown = nc.stimuli.moving_bars((5, 5), 10.0, directions=[0, 90, 180])
    rates = shown[:, 2].rename(x="cell").drop_vars("y")
    with pytest.raises(InputError, match="equally spaced"):
        nc.tuning(rates)


def test_what_is_no_network_of_movies_is_refused():
    net = nc.Network(nn.Linear(3, 2), layers=[])
    with pytest.raises(InputError, match="network of movies"):
        nc.tuning(net)


def test_modes_need_their_target(net):
    with pytest.raises(InputError, match="target="):
        nc.tuning(net, modes={})


def presented(order):
    """Responses of a unit to bars of two speeds in four directions, shown in some order."""
    ways = [(angle, speed) for speed in (1.0, 4.0) for angle in (0.0, 90.0, 180.0, 270.0)]
    peaks = [8.0, 1.0, 2.0, 1.0, 60.0, 30.0, 20.0, 30.0]
    rows, coords = [], {k: [] for k in ("trial", "phase", "direction", "speed", "contrast")}
    for trial, place in enumerate(order):
        angle, speed = ways[place]
        rows += [3.0, 3.0, 3.0 + peaks[place], 2.0]
        told = {"trial": trial, "direction": angle, "speed": speed, "contrast": 1.0}
        for name, value in told.items():
            coords[name] += [value] * 4
        coords["phase"] += ["grey", "grey", "motion", "motion"]
    coords = {name: ("time", values) for name, values in coords.items()}
    coords |= {"time": np.arange(len(rows)) / 10, "cell": ["a"]}
    return xr.DataArray(np.array(rows)[:, None], coords, ("time", "cell"))


def test_angles_are_permuted_among_bars_of_one_speed_whatever_their_order():
    ordered = nc.tuning(presented(range(8)), permutations=200)
    turned = nc.tuning(presented([7, 0, 2, 5, 4, 3, 1, 6]), permutations=200)
    for name in ("direction_p_value", "orientation_p_value", "direction_selectivity"):
        np.testing.assert_array_equal(ordered[name], turned[name])
    mean = np.array([34.0, 15.5, 11.0, 15.5])  # over the two speeds
    np.testing.assert_allclose(ordered.direction_response[0], mean)
    np.testing.assert_allclose(ordered.direction_selectivity, (34 - 11) / mean.sum())
    np.testing.assert_allclose(ordered.orientation_selectivity, (34 + 11 - 31) / mean.sum())
    # by hand: in how many of all orders of the four, at each speed, the sum is as selective
    slow, fast = np.array([8.0, 1, 2, 1]), np.array([60.0, 30, 20, 30])
    turns = np.exp(0.5j * np.pi * np.arange(4))
    orders = [list(o) for o in itertools.permutations(range(4))]
    sums = np.abs([(slow[a] + fast[b]) @ turns for a in orders for b in orders])
    exact = (sums >= 46 - 1e-9).mean()
    assert abs(float(nc.tuning(presented(range(8))).direction_p_value[0]) - exact) < 0.04
