"""How close the convolutions of a run are to the speed of the processor.

    python benchmarks/convolution.py [--threads 1]

Prints, for the second convolution of the retina CNN and for two of ResNet-50: forward pass, torch's
general backward routine and the mirrored convolution that is used instead for large kernels, each
in ms and GFLOP/s, beside a matrix product; and what folding batch norm and laying kernels out
channels last do to a whole pass of ResNet-50.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torchvision
from torch import Tensor
from torch.nn import functional

from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.capture.tracing import quickened, trace

SHAPES = {  # samples, channels in and out, kernel, side of the input
    "retina, layer 2": (16, 8, 8, 11, 36),
    "ResNet-50, 3x3": (8, 256, 256, 3, 14),
    "ResNet-50, 1x1": (8, 64, 256, 1, 56),
}


def seconds(function: Callable[[], object], repeats: int = 9) -> float:
    """Shortest of several runs after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def backward(x: Tensor, weight: Tensor, gradient: Tensor, padding: int) -> Tensor:
    """Gradient with respect to the input, by torch's general routine."""
    pads, ones = [padding] * 2, [1, 1]
    options = (None, ones, pads, ones, False, [0, 0], 1, [True, False, False])
    return torch.ops.aten.convolution_backward(gradient, x, weight, *options)[0]


def convolutions() -> None:
    """Print a row for each shape."""
    size = 2048
    a = torch.randn(size, size)
    print(f"matrix product of {size}: {2 * size**3 / seconds(lambda: a @ a) / 1e9:.0f} GFLOP/s")
    for name, (n, channels, out, kernel, side) in SHAPES.items():
        padding = kernel // 2 if channels >= 64 else 0
        x, w = torch.randn(n, channels, side, side), torch.randn(out, channels, kernel, kernel)
        y = functional.conv2d(x, w, padding=padding)
        mirrored, around = w.flip(2, 3).transpose(0, 1).contiguous(), kernel - 1 - padding
        times = {
            "forward": seconds(lambda: functional.conv2d(x, w, padding=padding)),  # noqa: B023
            "backward": seconds(lambda: backward(x, w, y, padding)),  # noqa: B023
            "mirrored": seconds(lambda: functional.conv2d(y, mirrored, padding=around)),  # noqa: B023
        }
        work = 2 * y.numel() * channels * kernel**2 / 1e9
        row = ", ".join(f"{k} {1e3 * t:.2f} ms {work / t:.0f} GFLOP/s" for k, t in times.items())
        print(f"{name}: {row}")


def whole_pass() -> None:
    """Print forward and backward pass of ResNet-50, plain and in the faster form."""
    module = torchvision.models.resnet50().eval()
    x = torch.randn(8, 3, 224, 224)
    with Capture(module, {"first": Layer("layer1.0")}).attached() as capture:

        def one_pass() -> None:
            done = capture.run(x)
            torch.autograd.grad(done.outputs.amax(1).sum(), done.hidden["first"])

        plain = seconds(one_pass, 3)
        traced = trace(capture, x[:2])
        with quickened(capture, traced, x[:2]):
            fast = seconds(one_pass, 3)
    print(f"ResNet-50, 8 images, forward and backward: plain {plain:.2f} s, faster {fast:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    torch.set_num_threads(parser.parse_args().threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    convolutions()
    whole_pass()
