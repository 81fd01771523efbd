"""A device by name, or why not."""

from __future__ import annotations

from typing import Final

import torch

from neurocodec.errors import InputError

WITHOUT_DOUBLES: Final = {"mps"}
"""Kinds of devices that have no float64."""


def widest(device: torch.device) -> torch.dtype:
    """Type with the most digits that a device can add up in."""
    return torch.float32 if device.type in WITHOUT_DOUBLES else torch.float64


def device_named(name: str | torch.device, hint: str = "device='cpu'") -> torch.device:
    """Device that torch can use here, so that a wrong name is told before any long work."""
    try:
        place = torch.device(name)
        if place.type == "cuda" and not torch.cuda.is_available():
            raise InputError(
                came=f"device={str(name)!r} on a machine without a usable CUDA device",
                expected="a device that torch sees",
                hint=hint,
            )
        if place.type != "meta":
            torch.empty(0, device=place)
    except (RuntimeError, AssertionError, ImportError, TypeError) as error:
        raise InputError(
            came=f"device={str(name)!r}, which this machine does not have",
            expected="a device that torch can use here",
            hint=hint,
        ) from error
    return place


def fitting_device(name: str | torch.device | None) -> torch.device:
    """Device to fit on: the first CUDA device where there is one, unless another is named."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    place = device_named(name)
    if place.type == "meta":
        raise InputError(
            came="device='meta', which computes nothing",
            expected="a device that computes",
            hint="device='cpu'",
        )
    return place
