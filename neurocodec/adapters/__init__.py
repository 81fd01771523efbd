"""`nc.adapters`: what other people's files and libraries hold, as neurocodec takes it.

- `networks/`: networks of torchvision, timm, torch-deep-retina and open-retina, with their layers
  and weights
- `recordings/`: `nc.read_recording`: recordings of many kinds of files in one form
- `images/`: `nc.images`: photographs that stay in their files, in and out of a network's units
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurocodec.adapters.networks.deep_retina import deep_retina
    from neurocodec.adapters.networks.neuralpredictors import neuralpredictors
    from neurocodec.adapters.networks.openretina import openretina
    from neurocodec.adapters.networks.timm import timm
    from neurocodec.adapters.networks.torchvision import torchvision

# No module here may have the name of a function: whoever imports the module later puts it in
# the function's place.
__all__ = ["deep_retina", "neuralpredictors", "openretina", "timm", "torchvision"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        from neurocodec.errors import unknown_name  # noqa: PLC0415

        raise AttributeError(str(unknown_name("name in neurocodec.adapters", name, __all__)))
    return getattr(importlib.import_module(f"{__name__}.networks.{name}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
