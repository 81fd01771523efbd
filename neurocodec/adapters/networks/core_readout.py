"""Cores and readouts, as open-retina and neuralpredictors build models, session by session."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from types import MethodType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurocodec.errors import InputError, unknown_name
from neurocodec.network import Network
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.standardisation import Standardisation
from neurocodec.nn.video.arrangement import Arrangement
from neurocodec.nn.video.needed import frames_needed

INPUT: Final = "(sample, color, time, y, x)"
OUTPUT: Final = "(sample, time, cell)"
TRIED: Final = (64, 128, 256, 512)
"""Lengths of pieces in which the frames that an answer depends on are looked for."""


class CoreReadout(nn.Module):
    """A core and the readout of one session: video (sample, color, time, y, x) to rates."""

    def __init__(
        self,
        core: nn.Module,
        readout: nn.Module,
        session: str | None,
        standardisation: Standardisation | None = None,
    ) -> None:
        super().__init__()
        self.standardisation = standardisation
        self.core = core
        self.readout = readout
        self.session = session

    def forward(self, x: Tensor) -> Tensor:
        """Rates (sample, time, cell)."""
        if self.standardisation is not None:
            x = self.standardisation(x)
        maps = self.core(x)
        if self.session is None:
            rates: Tensor = self.readout(maps)
        else:
            rates = self.readout(maps, data_key=self.session)
        return rates


def network_of(
    model: nn.Module,
    *,
    session: str | None,
    frame: Sequence[int] | None,
    history: int | None,
    layers: Mapping[str, str | Layer] | Iterable[str] | None,
    outputs: Iterable[str] | None,
    frame_rate: float | None,
    standardisation: Standardisation | None,
    name: str,
    coords: Mapping[str, Sequence[Any]],
) -> Network:
    """One session of a model as a Network; the model stays as it is."""
    key, one = _session(model, session)
    own = copy.deepcopy(model)
    module = CoreReadout(own.core, own.readout, key, standardisation).eval()  # type: ignore[arg-type]
    if key is not None:
        for other in [k for k in own.readout._modules if k != key]:  # type: ignore[union-attr]  # noqa: SLF001
            del own.readout._modules[other]  # type: ignore[union-attr]  # noqa: SLF001
    for part in module.modules():
        leave_parameters(part)
    if frame is None:
        raise InputError(
            came=f"{name} without the shape of its frames",
            expected="input_shape= (color, y, x)",
            hint="input_shape=(2, 18, 16)",
        )
    history = _history(module, frame) if history is None else history
    centres = centres_of(own.core, one, frame)  # type: ignore[arg-type]
    return Network(
        module,
        layers_of(own.core) if layers is None else layers,  # type: ignore[arg-type]
        history=history,
        outputs=outputs,
        output_coords={**coords, **centres},
        input_shape=tuple(frame),
        frame_rate=frame_rate,
        name=name,
        input=INPUT,
        output=OUTPUT,
    )


def _session(model: nn.Module, session: str | None) -> tuple[str | None, nn.Module]:
    """Name and readout of the session; no name where a model has one readout for all."""
    for part in ("core", "readout"):
        if not isinstance(getattr(model, part, None), nn.Module):
            raise InputError(
                came=f"a model of type {type(model).__name__} without {part!r}",
                expected="a model with a core and a readout",
                hint=f'nc.Network(model, layers=[...], history=40, input="{INPUT}",'
                f' output="{OUTPUT}")',
            )
    readout = model.readout
    if not isinstance(readout, nn.ModuleDict):
        if session is not None:
            raise InputError(
                came=f"session={session!r} of a model with one readout", expected="session=None"
            )
        return None, readout  # type: ignore[return-value]
    known = list(readout)
    if session is None and len(known) != 1:
        raise InputError(
            came=f"a model with the readouts of {len(known)} sessions",
            expected=f"one of {', '.join(map(repr, known[:6]))}" + ", ..." * (len(known) > 6),
            hint=f"session={known[0]!r}" if known else "",
        )
    chosen = known[0] if session is None else session
    if chosen not in known:
        raise unknown_name("session", chosen, known)
    return chosen, readout[chosen]


def layers_of(core: nn.Module) -> dict[str, Layer]:
    """Feature maps of every layer of a core: what its convolution makes, before normalisation."""
    features = getattr(core, "features", None)
    found = {}
    for number, (name, part) in enumerate([] if features is None else features.named_children(), 1):
        inner = f"core.features.{name}" + (".conv" if hasattr(part, "conv") else "")
        found[f"layer{number}"] = Layer(inner)
    return found or {"core": Layer("core")}


def leave_parameters(part: Any) -> None:
    """Do once, on a copy, what some layers do to their parameters in every pass."""
    with torch.no_grad():
        if isinstance(getattr(part, "features", None), nn.Parameter) and getattr(
            part, "positive", False
        ):
            part.features.clamp_(0)
            part.positive = False
        if callable(getattr(part, "apply_constraints", None)):
            part.apply_constraints()
            part.apply_constraints = _nothing
        if callable(getattr(part, "sample_grid", None)) and hasattr(part, "grid_shape"):
            part.sample_grid = MethodType(_means, part)
    if isinstance(getattr(part, "_cut_first_n_frames", None), int):
        part._cut_first_n_frames = 0  # noqa: SLF001 - the first steps, which no answer is


def _nothing() -> None:
    return None


def _means(part: Any, batch_size: int, sample: bool | None = None) -> Tensor:
    """Places that a Gaussian readout reads in evaluation: its means, which it would clamp."""
    del sample
    grid: Tensor = part.mu.clamp(-1, 1).expand(batch_size, *part.grid_shape[1:])
    return grid


def _history(module: CoreReadout, frame: Sequence[int]) -> int:
    found = frames_needed(module, Arrangement.of(INPUT, OUTPUT), tuple(frame), TRIED)
    if found is None:
        raise InputError(
            came="a core in which an answer may depend on all frames before it",
            expected="history=, the frames that a window has",
            hint="history=50",
        )
    return found


def centres_of(
    core: nn.Module, readout: nn.Module, frame: Sequence[int]
) -> dict[str, Sequence[Any]]:
    """Where cells look: `y_center` and `x_center` in pixels of the stimulus; nothing if unknown."""
    places = _places(readout)
    if places is None:
        return {}
    (rows, columns), maps = places
    scale = _scale(core)
    centres = [
        (place - (n - 1) / 2) * scale + (pixels - 1) / 2
        for place, n, pixels in zip((rows, columns), maps, frame[1:], strict=True)
    ]
    return {"y_center": centres[0].tolist(), "x_center": centres[1].tolist()}


def _places(
    readout: Any,
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], tuple[int, int]] | None:
    """Rows and columns in the core's feature maps, and the size of these."""
    shape = getattr(readout, "in_shape", None)
    size = None if shape is None else (int(shape[-2]), int(shape[-1]))
    with torch.no_grad():
        if hasattr(readout, "mask_mean") and size is not None:
            # the grid goes from -n to n, over the larger n, along each axis
            mean = (readout.mask_mean * readout.gaussian_mean_scale).cpu().double().numpy()
            rows, columns = (
                (mean[:, i] * max(size) / n + 1) * (n - 1) / 2 for i, n in enumerate(size)
            )
            return (rows, columns), size
        if hasattr(readout, "mu") and size is not None:
            mean = readout.mu.clamp(-1, 1).reshape(-1, 2).double().cpu().numpy()  # (x, y)
            rows, columns = ((mean[:, 1 - i] + 1) * (n - 1) / 2 for i, n in enumerate(size))
            return (rows, columns), size
        masks = _masks(readout)
    return None if masks is None else _centres_of_mass(masks)


def _masks(readout: Any) -> NDArray[np.float64] | None:
    """Weights (cell, y, x) of factorised and full readouts, as sizes."""
    if hasattr(readout, "mask_weights") and hasattr(readout, "mask_size"):
        found = readout.mask_weights.T.reshape(-1, *readout.mask_size)
    elif hasattr(readout, "spatial") and getattr(readout.spatial, "ndim", 0) == 3:
        found = readout.spatial
    elif getattr(getattr(readout, "features", None), "ndim", 0) == 4:
        found = readout.features.abs().sum(1)  # (cell, channel, y, x)
    else:
        return None
    sizes = found.detach().abs().cpu().double().numpy()
    return sizes if min(sizes.shape[1:]) > 1 else None


def _centres_of_mass(
    masks: NDArray[np.float64],
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], tuple[int, int]]:
    total = masks.sum((1, 2))
    total = np.where(total > 0, total, np.nan)
    rows = (masks.sum(2) * np.arange(masks.shape[1])).sum(1) / total
    columns = (masks.sum(1) * np.arange(masks.shape[2])).sum(1) / total
    return (rows, columns), (masks.shape[1], masks.shape[2])


def _scale(core: nn.Module) -> int:
    """Pixels of the stimulus from one place in the feature maps to the next."""
    scale = 1
    for part in core.modules():
        stride = getattr(part, "stride", 1) if _strides(part) else 1
        scale *= int(stride if isinstance(stride, int) else stride[-1])
    kernel = getattr(core, "_downsample_input_kernel_size", None)
    return scale * (int(kernel[-1]) if kernel else 1)


def _strides(part: nn.Module) -> bool:
    pools = (nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool2d, nn.AvgPool3d, nn.Conv2d, nn.Conv3d)
    return isinstance(part, pools)
