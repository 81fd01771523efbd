"""Names of the categories of ImageNet networks, and their ids in WordNet."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from neurocodec import vocabulary as v
from neurocodec.errors import InputError

IMAGENET: Final = 1000


def require_name(name: object, library: str, example: str) -> None:
    """Refuse a module, or anything else, where the name of a network is meant."""
    if isinstance(name, str):
        return
    known = getattr(name, "pretrained_cfg", None) or {}
    called = known.get("architecture", example) if isinstance(known, dict) else example
    raise InputError(
        came=f"a {type(name).__name__} in place of the name of a network",
        expected="a name; a module that you have is put in the place of the one that is built",
        hint=f"nc.adapters.{library}({called!r}, adjust=lambda _: module)",
    )


def require(library: str) -> Any:
    """Import a library of image networks, or say how to install it."""
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        raise InputError(
            came=f"{library} is not installed",
            expected="the libraries of image networks",
            hint='pip install "neurocodec[images]"',
        ) from error


def unique(names: Sequence[str]) -> list[str]:
    """Make names unique: those that occur twice get their position behind them."""
    count = Counter(names)
    return [f"{name} ({i})" if count[name] > 1 else name for i, name in enumerate(names)]


def imagenet_labels(size: int) -> tuple[list[str] | None, dict[str, list[str]]]:
    """Names of ImageNet's categories, None if not known, and coordinates of the outputs."""
    # 1000 outputs are ImageNet's of 2012, larger numbers parts of ImageNet-21k that timm knows. The
    # coordinate is `wordnet_id`, where timm is there.
    info = _timm_info(size)
    ids = {} if info is None else {v.WORDNET_ID: list(info.label_names())}
    if size == IMAGENET:
        models = require("torchvision.models")
        return unique(models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]), ids
    if info is None:
        return None, {}
    return unique([text.partition(",")[0] for text in info.label_descriptions()]), ids


def _timm_info(size: int) -> Any:
    """Timm's table of categories; None where it has none of this size, or is not installed."""
    try:
        data = importlib.import_module("timm.data")
    except ModuleNotFoundError:
        return None
    part = data.infer_imagenet_subset({"num_classes": size})
    return None if part is None else data.ImageNetInfo(part)
