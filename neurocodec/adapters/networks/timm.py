"""Networks of timm, with their layers, preprocessing and categories."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

from neurocodec import arguments
from neurocodec.adapters.networks.categories import imagenet_labels, require, require_name
from neurocodec.adapters.networks.layers import Kind, Layers, find_layers
from neurocodec.adapters.networks.weights import State, is_weight_file, load_weights
from neurocodec.errors import StorageError, unknown_name
from neurocodec.network import Network, Preprocessing
from neurocodec.nn.settings import building


def timm(
    name: str,
    weights: str | PathLike[str] | None = None,
    *,
    layers: Layers | None = None,
    kind: Kind = "block",
    token: int | None = None,
    preprocessing: Preprocessing | None = None,
    outputs: Iterable[str] | None = None,
    adjust: Callable[[nn.Module], Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> Network:
    """Build a network of timm with its layers, preprocessing and categories.

    Parameters
    ----------
    name
        "resnet50", "vit_tiny_patch16_224", "resnet50.a1_in1k", ...: as `timm.create_model` takes.
    weights
        None for random ones, a local file (".safetensors", ".pth", ".pt": a state dict), or one
        of timm's: "DEFAULT" or a tag such as "a1_in1k", from the hub's cache or the internet.
    layers
        Names of modules or `nc.Layer`s; all of `kind` where None.
    kind
        ``"block"``, ``"layer"`` (of DenseNets and VoVNets, whose blocks are whole stages), or of
        vision transformers also ``"mlp"`` (neurons after the nonlinearity),
        ``"attention"`` (output of the attention sublayer) or ``"heads"`` (one channel for each
        head).
    token
        One token of a vision transformer, 0 is the class token; None sums over all.
    preprocessing
        Takes a `PIL.Image.Image`, returns (color, y, x); by default what timm evaluates with.
    outputs
        Names of the categories; by default those of ImageNet where their number fits.
    adjust
        Is called with the module before a local file is loaded, and changes it in place or
        returns another.
    seed
        Of random weights.
    **options
        Further arguments of `timm.create_model`, such as ``num_classes=10`` or ``img_size=64``.

    Returns
    -------
    Network
        In evaluation mode, on the CPU. `outputs` are the categories, each name once, and
        `output_coords` has their `wordnet_id`.

    Raises
    ------
    UnknownNameError
        Where there is no such network, layer or name of weights.
    InputError
        Where a file holds the weights of another architecture, or timm is missing.
    StorageError
        Where weights cannot be read or downloaded.

    Examples
    --------
    >>> net = timm("vit_tiny_patch16_224", kind="heads", token=0, depth=2)
    >>> list(net.layers), net.outputs[281]
    (['blocks.0.heads', 'blocks.1.heads'], 'tabby')
    """
    seed = arguments.whole("seed", seed, 0, hint="seed=0")
    library = require("timm")
    require_name(name, "timm", "resnet50")
    name, tag = _known(library, name, weights)
    module = _build(library, name, tag, seed, options)
    changed = None if adjust is None else adjust(module)
    module = module if changed is None else changed
    if weights is not None and tag is None:
        load_weights(module, weights, name, _converter(module))
    config = library.data.resolve_model_data_config(module, args=_size(options))
    names, coords = imagenet_labels(int(getattr(module, "num_classes", 0)))
    fixed = getattr(module, "pretrained_cfg", {}).get("fixed_input_size", False)
    return Network(
        module.eval(),
        find_layers(module, name, kind=kind, token=token, layers=layers),
        outputs=names if outputs is None else outputs,
        output_coords=coords if outputs is None else None,
        input_shape=config["input_size"] if fixed else None,
        name=f"{name} ({_origin(tag, weights, seed, own=changed is not None)})",
        preprocessing=preprocessing or library.data.create_transform(**config, is_training=False),
    )


def _known(library: Any, name: str, weights: Any) -> tuple[str, str | None]:
    """Name as timm takes it, and which of timm's own weights are wanted, if any."""
    if not library.is_model(name):
        raise unknown_name("network in timm", name, library.list_models())
    if weights is None or is_weight_file(weights):
        return name, None
    if weights == "DEFAULT":
        return name, "DEFAULT"
    architecture = name.partition(".")[0]
    tags = [n.partition(".")[2] for n in library.list_models(f"{architecture}.*", pretrained=True)]
    if weights not in tags:
        known = ["DEFAULT", *tags, f"{architecture}.safetensors"]
        raise unknown_name(f"weights of {name!r}", weights, known)
    return f"{architecture}.{weights}", str(weights)


def _build(
    library: Any, name: str, tag: str | None, seed: int, options: dict[str, Any]
) -> nn.Module:
    with building(seed):
        try:
            module: nn.Module = library.create_model(name, pretrained=tag is not None, **options)
        except OSError as error:
            raise StorageError(
                came=f"timm's weights of {name!r}, which can be neither found in the cache of the"
                f" Hugging Face hub nor downloaded: {error}",
                expected="an internet connection, or the weights in the cache (HF_HOME)",
                hint=f"nc.adapters.timm({name!r}, weights='path/of/a/local/file.safetensors')",
            ) from error
    return module


def _size(options: dict[str, Any]) -> dict[str, Any]:
    """What the builder was told of the size of images, as timm's preprocessing takes it."""
    size = options.get("img_size")
    pair = (size, size) if isinstance(size, int) else size
    return {} if pair is None else {"input_size": (3, *pair)}


def _converter(module: nn.Module) -> Callable[[State, nn.Module], State] | None:
    """Timm's own conversion of older and foreign weights of this architecture."""
    return getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)


def _origin(tag: str | None, weights: Any, seed: int, *, own: bool) -> str:
    if weights is None:
        return "a module of its own" if own else f"random weights, seed {seed}"
    return tag or Path(weights).name
