"""Networks of torchvision, with their layers, preprocessing and categories."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from torch import nn

from neurocodec import arguments
from neurocodec.adapters.networks.categories import imagenet_labels, require, require_name
from neurocodec.adapters.networks.layers import Kind, Layers, find_layers
from neurocodec.adapters.networks.weights import is_weight_file, load_weights
from neurocodec.arguments import one_of
from neurocodec.errors import StorageError, unknown_name
from neurocodec.network import Network, Preprocessing
from neurocodec.nn.capture.attention import write_out_attention
from neurocodec.nn.settings import building

Adjust: TypeAlias = Callable[[nn.Module], Any]

RESCALING: Final = ("googlenet", "inception_v3")
"""Networks that rescale their input themselves where they have the published weights."""


def torchvision(
    name: str,
    weights: str | PathLike[str] | Any | None = None,
    *,
    layers: Layers | None = None,
    kind: Kind = "block",
    token: int | None = None,
    preprocessing: Preprocessing | str | None = None,
    outputs: Iterable[str] | None = None,
    adjust: Adjust | None = None,
    seed: int = 0,
    **options: Any,
) -> Network:
    """Build a classification network of torchvision with its layers, preprocessing and categories.

    Parameters
    ----------
    name
        "resnet50", "vit_b_16", ...: one of ``torchvision.models.list_models()``.
    weights
        None for random ones, a local file (".safetensors", ".pth", ".pt": a state dict), or one
        of torchvision's: "DEFAULT", "IMAGENET1K_V1" or a member of its enumerations, from the
        hub's cache or, where it is not there, from the internet.
    layers
        Names of modules or `nc.Layer`s; all of `kind` where None.
    kind
        ``"block"``, ``"layer"`` (of DenseNets and VoVNets, whose blocks are whole stages), or of
        vision transformers also ``"mlp"`` (neurons after the nonlinearity),
        ``"attention"`` (output of the attention sublayer) or ``"heads"`` (one channel for each
        head). For heads torch's attention is written out as modules with the same parameters.
    token
        One token of a vision transformer, 0 is the class token; None sums over all.
    preprocessing
        Takes a `PIL.Image.Image`, returns (color, y, x); or the name of torchvision weights whose
        preprocessing is meant. By default that of the weights; for a local file and for random
        weights that of the first weights that torchvision had for the architecture.
    outputs
        Names of the categories; by default those of ImageNet where there are 1,000.
    adjust
        Is called with the module before a local file is loaded, and changes it in place or
        returns another: ``def wider(module): module.conv1.stride = (1, 1)``.
    seed
        Of random weights.
    **options
        Further arguments of torchvision's builder, such as ``num_classes=10``. GoogLeNet and
        Inception get ``transform_input=True`` with a local file, as torchvision's own weights do.

    Returns
    -------
    Network
        In evaluation mode, on the CPU. `outputs` are the categories, each name once; where timm
        is installed, `output_coords` has their `wordnet_id`.

    Raises
    ------
    UnknownNameError
        Where there is no such network, layer or name of weights.
    InputError
        Where a file holds the weights of another architecture, or torchvision is missing.
    StorageError
        Where weights cannot be read or downloaded.

    Examples
    --------
    >>> net = torchvision("resnet18")
    >>> net.name, list(net.layers)[-2:], net.outputs[281]
    ('resnet18 (random weights, seed 0)', ['layer4.0', 'layer4.1'], 'tabby')
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    models = require("torchvision.models")
    require_name(name, "torchvision", "resnet50")
    one_of("network in torchvision", name, models.list_models(module=models))
    entry = _entry(models, name, weights)
    if name in RESCALING and entry is None and weights is not None:
        options.setdefault("transform_input", True)
    module = _build(models, name, entry, seed, options)
    changed = None if adjust is None else adjust(module)
    module = module if changed is None else changed
    if entry is None and weights is not None:
        load_weights(module, weights, name)
    if kind == "heads":
        write_out_attention(module)
    names, coords = imagenet_labels(_output_count(module))
    size = getattr(module, "image_size", None)
    default = entry or _likeliest(models, name, weights, size)
    return Network(
        module.eval(),
        find_layers(module, name, kind=kind, token=token, layers=layers),
        outputs=names if outputs is None else outputs,
        output_coords=coords if outputs is None else None,
        input_shape=None if size is None else (3, size, size),
        name=f"{name} ({_origin(entry, weights, seed, own=changed is not None)})",
        preprocessing=_preprocessing(models, name, preprocessing, default, size),
    )


def _entry(models: Any, name: str, weights: Any) -> Any:
    """Member of torchvision's enumeration of the network's weights; None for all others."""
    if weights is None or is_weight_file(weights):
        return None
    entries = models.get_model_weights(name)
    wanted = weights.rpartition(".")[2] if isinstance(weights, str) else weights
    if isinstance(wanted, str) and wanted in entries.__members__:
        return entries[wanted]
    if wanted in list(entries):
        return wanted
    known = [*entries.__members__, f"{name}.safetensors", f"{name}.pth"]
    raise unknown_name(f"weights of {name!r}", weights, known)


def _build(models: Any, name: str, entry: Any, seed: int, options: dict[str, Any]) -> nn.Module:
    with building(seed), warnings.catch_warnings():
        # torchvision's Inception networks announce how they are initialised
        warnings.simplefilter("ignore", FutureWarning)
        try:
            module: nn.Module = models.get_model(name, weights=entry, **options)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            folder = Path(torch.hub.get_dir(), "checkpoints")
            raise StorageError(
                came=f"the weights {entry.name} of {name!r}, which can be neither found in {folder}"
                f" nor downloaded from {entry.url}: {error}",
                expected=f"an internet connection, or the file {Path(entry.url).name} in {folder}",
                hint=f"nc.adapters.torchvision({name!r}, weights='path/of/a/local/file.pth')",
            ) from error
    return module


def _output_count(module: nn.Module) -> int:
    """Outputs of the last linear layer, or of SqueezeNet's last convolution."""
    kinds = (nn.Linear, nn.Conv2d)
    last = [part for part in module.modules() if isinstance(part, kinds)][-1]
    return last.out_features if isinstance(last, nn.Linear) else last.out_channels


def _origin(entry: Any, weights: Any, seed: int, *, own: bool) -> str:
    if weights is None:
        return "a module of its own" if own else f"random weights, seed {seed}"
    return Path(weights).name if entry is None else str(entry.name)


def _preprocessing(
    models: Any,
    name: str,
    wanted: Preprocessing | str | None,
    default: Any,
    size: int | None,
) -> Preprocessing:
    """Preprocessing of the weights called `wanted`, or of `default`, for images of one size."""
    if callable(wanted):
        return wanted
    entries = models.get_model_weights(name)
    if wanted is not None:
        one_of(f"weights of {name!r}", wanted, entries.__members__)
    chosen = default if wanted is None else entries[wanted]
    transform = chosen.transforms()
    if size is not None and transform.crop_size != [size]:
        resized = round(size * transform.resize_size[0] / transform.crop_size[0])
        transform = chosen.transforms(crop_size=size, resize_size=resized)
    result: Preprocessing = transform
    return result


def _likeliest(models: Any, name: str, weights: Any, size: int | None) -> Any:
    """Weights whose file has this name, else the first for images of this size, else the first."""
    entries = list(models.get_model_weights(name))
    file = None if weights is None else Path(weights).name
    named = [e for e in entries if Path(e.url).name == file]
    fitting = [e for e in entries if size is not None and e.transforms().crop_size == [size]]
    return [*named, *fitting, *entries][0]
