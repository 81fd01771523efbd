"""One pass over a movie against one for each window: a core and readout of two colours.

    python benchmarks/video.py [frames] [--openretina]

Prints CPU seconds on one thread, and the largest difference relative to the largest number,
against windows of the frames that answers need, and against windows of the module as it stands.
With `--openretina` the model is open-retina's own (`pip install openretina`), with its default
padding and the 30 frames that its core cuts off; else the same made of torch's layers. Of fields,
which go by windows, it prints how much of the time is the ways back, one for each.
"""

from __future__ import annotations

import sys
import time
import warnings
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np
import torch
import xarray as xr
from torch import nn

import neurocodec as nc
from neurocodec.nn.fields import passes

SIZES = {"channels": (2, 16, 16), "temporal": (21, 11), "spatial": (11, 5)}
CUT = 30
AXES = {"input": "(sample, color, time, y, x)", "output": "(sample, time, cell)"}


class Readout(nn.Module):
    """Rates of cells with a weight for each place and channel."""

    def __init__(self, channels: int, cells: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(cells, channels, *size) / 20)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Rates (sample, time, cell)."""
        return nn.functional.softplus(torch.einsum("nctyx,kcyx->ntk", maps, self.weight))


class Plain(nn.Module):
    """The same core of torch's own layers."""

    def __init__(self, cut: int) -> None:
        super().__init__()
        one, two, three = SIZES["channels"]
        self.cut = cut
        self.core = nn.Sequential(
            nn.Conv3d(one, two, (21, 11, 11)),
            nn.BatchNorm3d(two),
            nn.ELU(),
            nn.Conv3d(two, three, (11, 5, 5), padding="same"),
            nn.BatchNorm3d(three),
            nn.ELU(),
        )
        self.readout = Readout(three, 12, (8, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Rates (sample, time, cell)."""
        return self.readout(self.core(x)[:, :, self.cut :])


def plain() -> tuple[nc.Network, nc.Network]:
    """The network, and the module as it stands."""
    torch.manual_seed(0)
    module, cut = Plain(0).eval(), Plain(CUT).eval()
    cut.load_state_dict(module.state_dict())
    layers = {"layer1": "core.0", "layer2": "core.3"}
    ours = nc.Network(module, layers, history=31, **AXES, frame_rate=30)
    return ours, nc.Network(cut, layers, history=31 + CUT, **AXES, frame_rate=30)


def theirs() -> tuple[nc.Network, nc.Network]:
    """Open-retina's example model by the adapter, and as it stands."""
    warnings.simplefilter("ignore")
    from openretina.models.core_readout import ExampleCoreReadout  # noqa: PLC0415

    torch.manual_seed(0)
    model = ExampleCoreReadout(
        in_shape=(2, 100, 18, 16),
        hidden_channels=SIZES["channels"][1:],
        temporal_kernel_sizes=SIZES["temporal"],
        spatial_kernel_sizes=SIZES["spatial"],
        n_neurons_dict={"session": 12},
        cut_first_n_frames_in_core=CUT,
        readout_positive=False,
    ).eval()
    for parameter in model.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))

    class Session(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.core, self.readout = model.core, model.readout

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.readout(self.core(x), data_key="session")

    ours = nc.adapters.openretina(model, "session", frame_rate=30)
    layers = {f"layer{i + 1}": f"core.features.layer{i}.conv" for i in (0, 1)}
    return ours, nc.Network(Session(), layers, history=31 + CUT, **AXES, frame_rate=30)


@contextmanager
def windows_alone(*, padded: bool):
    """No pass over the movie; `padded`: nor is padding left out."""
    with ExitStack() as stack:
        stack.enter_context(
            mock.patch("neurocodec.nn.video.one_pass.OnePass.of", return_value=None)
        )
        if padded:
            stack.enter_context(
                mock.patch("neurocodec.nn.video.windowed.trims_of", return_value={})
            )
        yield


def timed(compute):
    """What is computed, and its CPU seconds."""
    start = time.process_time()
    found = compute()
    return found, time.process_time() - start


def fields(net: nc.Network, movie: xr.DataArray) -> None:
    """Seconds of fields of all cells at some times, and of the ways back among them."""
    back, way = 0.0, passes._gradient  # noqa: SLF001

    def timed_way(*args):
        nonlocal back
        found, seconds = timed(lambda: way(*args))
        back += seconds
        return found

    with mock.patch.object(passes, "_gradient", timed_way):
        options = {"times": movie.time[100:164], "rank": 1, "progress": False}
        found, seconds = timed(lambda: nc.receptive_fields(net, movie, **options))
    text = f"fields of {found.sizes['cell']} cells at {found.sizes['time']} times: {seconds:.2f} s"
    sys.stdout.write(f"{text}, of which {back:.2f} s ({back / seconds:.0%}) on the ways back\n")


def main() -> None:
    """Measure."""
    torch.set_num_threads(1)
    counts = [int(x) for x in sys.argv[1:] if x.isdigit()]
    frames = counts[0] if counts else 1800
    ours, stands = theirs() if "--openretina" in sys.argv else plain()
    values = np.random.default_rng(0).standard_normal((frames, 2, 18, 16)).astype("float32")
    coords = {"time": np.arange(frames) / 30, "color": ["UV", "green"]}
    movie = xr.DataArray(values, coords, dims=("time", "color", "y", "x"))
    options = {"target": nc.targets.Output(1), "progress": False}
    options["method"] = nc.methods.IntegratedGradients(steps=10)

    def contributions(net):
        tree = nc.contributions(net, movie, **options)
        return {alias: tree[alias].contribution for alias in net.layers}

    for what, compute in (
        ("responses", lambda net: {"": nc.respond(net, movie)}),
        ("contributions (10 steps, 2 layers)", contributions),
    ):
        quick, seconds = timed(lambda compute=compute: compute(ours))
        sys.stdout.write(f"{what}, {frames} frames: {seconds:.2f} s in one pass\n")
        for words, net, padded in (
            ("of only the frames that answers need", ours, False),
            ("of the module as it stands", stands, True),
        ):
            with windows_alone(padded=padded):
                slow, by_windows = timed(lambda compute=compute, net=net: compute(net))
            shared = {a: xr.align(quick[a], slow[a], join="inner") for a in slow}
            difference = max(float(abs(a - b).max() / abs(b).max()) for a, b in shared.values())
            text = f"  {by_windows:.2f} s by windows {words} ({by_windows / seconds:.1f}x)"
            sys.stdout.write(f"{text}, {difference:.1e}\n")
            sys.stdout.flush()
    fields(ours, movie)


if __name__ == "__main__":
    main()
