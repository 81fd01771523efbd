"""What modes look for: the picture that the channels of each answer most to, together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import xarray as xr

from neurocodec import vocabulary as v
from neurocodec.analyses.images.findings import EACH_MODE
from neurocodec.analyses.images.study import ImageStudy
from neurocodec.errors import CaptureError, InputError, collected
from neurocodec.nn.attribution.features import Features
from neurocodec.synthesis.like import LEAST
from neurocodec.synthesis.visualise import visualise

STEPS: Final = 64
"""Of every ascent."""


def picture_modes(study: ImageStudy, made: Mapping[str, Any]) -> dict[str, xr.Dataset]:
    """Most exciting picture (draw, feature, color, y, x) of each mode that has maps, by layer."""
    found: dict[str, xr.Dataset] = {}
    failed: dict[str, str] = {}
    for layer, tree in made["maps"].items():
        names = tree[EACH_MODE][v.MODE].values
        rows = made["modes"][v.CONTRIBUTION][layer].dictionary.sel({v.MODE: names})
        target = Features(layer, vectors=rows.values, labels=names.tolist())
        facts = study.facts(what="pictures", layer=layer, target=target, steps=STEPS)
        make = partial(_picture, study, target)
        try:
            found[layer] = study.stages.keep(f"pictures/{layer}.nc", facts, make)
        except (InputError, CaptureError) as error:  # all else is still worth having
            failed[layer] = error.came
    study.leave_out("pictures", failed)
    return found


def _picture(study: ImageStudy, target: Features) -> xr.Dataset:
    device, progress = (study.computing.get(name) for name in ("device", "progress"))
    asked: dict[str, Any] = {"device": device, "progress": bool(progress)}
    with collected():  # the page says which are not confirmed
        return visualise(study.net, target, like=study.images, steps=STEPS, **asked)


def require_maps(images: xr.DataArray, parts: Sequence[str] | None) -> None:
    """Refuse pictures of the modes with maps where there will be none, or too few images."""
    if parts is None:
        return
    if "maps" not in parts:
        raise InputError(
            came="pictures without maps, whose modes they are of",
            expected="both",
            hint="parts=['modes', 'maps']",
        )
    count = getattr(images, "sizes", {}).get(v.STIMULUS, LEAST)
    if count < LEAST:
        raise InputError(
            came=f"pictures made like {count} images",
            expected=f"at least {LEAST}, whose spectrum they take",
        )
