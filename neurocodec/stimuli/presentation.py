"""A recorded part as a model can be shown it: rendered, resampled and padded, step by step."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurocodec import arguments
from neurocodec import vocabulary as v
from neurocodec.errors import InputError
from neurocodec.labels import stamp
from neurocodec.stimuli.frames import pad
from neurocodec.stimuli.intensity import Size
from neurocodec.stimuli.shapes import disc, full_field
from neurocodec.stimuli.timing import resample

CONTRAST = "contrast"
"""Units of frames that are 0 at mean light."""
DISC, FULL_FIELD = "disc", "full field"
"""Geometries, as the attribute `geometry` of a part names them."""


def present(
    part: xr.Dataset | xr.DataTree,
    size: Size,
    frame_rate: float | None = None,
    *,
    diameter: float | None = None,
    mean: float = 0.0,
    deviation: float = 1.0,
) -> xr.Dataset:
    """Bring a part of a recording onto a model's grid, at the model's frame rate.

    All variables are resampled together (`nc.stimuli.resample`). A light trace `intensity` (time)
    whose attribute `geometry` says "disc" or "full field" is rendered as contrast, (intensity -
    mean) / mean, 0 outside of the disc. A network that was trained on contrasts takes them as they
    are; one that takes the light of a display, and standardises it itself, takes `mean + deviation
    * contrast`, so that one unit of contrast is one standard deviation of its own movies. Smaller
    frames are padded with `mean` on all sides.

    Parameters
    ----------
    part
        With `stimulus` (time, y, x), or `intensity` (time) and a geometry; and its responses.
    size
        Height and width in pixels: `net.input_shape`.
    frame_rate
        Frames per second: `net.frame_rate`; None leaves the part's own.
    diameter
        Of the disc, in pixels; needed for a disc, as files do not tell.
    mean, deviation
        Mean and standard deviation of the movies that the network was trained on, where it takes
        light. Stimuli whose attribute `units` is not "contrast" are light already.

    Returns
    -------
    xarray.Dataset
        With `stimulus` (time, y, x) of this size, and the responses at the same times.

    Raises
    ------
    InputError
        Where there is neither stimulus nor intensity, the diameter of a disc is not given, or
        frames are larger than the size.

    Examples
    --------
    >>> import numpy as np
    >>> light = xr.Dataset({"intensity": ("time", [1.0, 3.0])}, {"time": [0.0, 0.5]},
    ...                    {"geometry": "full field"})
    >>> shown = present(light, (2, 2), frame_rate=4.0)
    >>> shown.stimulus[:, 0, 0].values.tolist()
    [-0.5, -0.5, 0.5, 0.5]
    """
    data = part.to_dataset() if isinstance(part, xr.DataTree) else part
    if frame_rate is not None:
        arguments.frame_rate(frame_rate)
        data = resample(data, frame_rate) if v.TIME in data.coords else data
    frames = data[v.STIMULUS] if v.STIMULUS in data else _rendered(data, size, diameter)
    if frames.attrs.get("units") == CONTRAST and (mean, deviation) != (0.0, 1.0):
        light = (mean + deviation * frames).astype(np.float32)
        frames = light.assign_attrs({**frames.attrs, "units": "light of the model's movies"})
    sides = tuple(frames.sizes.get(d, 0) for d in (v.Y, v.X))
    if sides != tuple(size):
        frames = pad(frames, size, value=mean)
    frames = frames.assign_attrs({"long_name": "light intensity", **frames.attrs})
    rest = data.drop_dims([d for d in (v.Y, v.X) if d in data.dims])
    shown = rest.assign({v.STIMULUS: frames})
    facts = {"size": size, "frame_rate": frame_rate, "diameter": diameter}
    return stamp(shown, "nc.stimuli.present", **facts, mean=mean, deviation=deviation)


def _rendered(data: xr.Dataset, size: Size, diameter: float | None) -> xr.DataArray:
    geometry = data.attrs.get("geometry")
    if "intensity" not in data or geometry not in (DISC, FULL_FIELD):
        raise InputError(
            came=f"a part with the variables {[*map(str, data.data_vars)]}",
            expected="'stimulus' (time, y, x), or 'intensity' (time) and the attribute"
            f" geometry={DISC!r} or {FULL_FIELD!r}",
            hint="part.assign_attrs(geometry='full field')",
        )
    light = data["intensity"]
    mean = float(light.mean())
    if not mean > 0:
        raise InputError(came=f"light of mean {mean:g}", expected="a mean above 0, for a contrast")
    contrast = (light / mean - 1).assign_attrs(units=CONTRAST)
    if geometry == FULL_FIELD:
        return full_field(contrast, size)
    if diameter is None:
        raise InputError(
            came="a disc whose size the recording does not tell",
            expected="its diameter in pixels of the model's grid",
            hint="diameter=6.0, on the command line --spot 6",
        )
    return disc(contrast, size, diameter=diameter)
