"""The layers of image networks: which modules are blocks, MLP neurons, attention and heads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal, TypeAlias, get_args

from torch import nn

from neurocodec.arguments import one_of
from neurocodec.errors import InputError, unknown_name
from neurocodec.nn.capture.attention import ExplicitAttention
from neurocodec.nn.capture.layer import Layer, Layout

Kind: TypeAlias = Literal["block", "mlp", "attention", "heads"]
Layers: TypeAlias = Mapping[str, str | Layer] | Iterable[str | Layer]

BLOCK: Final = re.compile(
    r"Block|Bottleneck|InvertedResidual|MBConv|SeparableConv$|EdgeResidual|ConvBnAct$|Fire$"
    r"|^Inception[A-E]?$|XceptionModule|^Dla[BT]|Bottle2neck|PreActBasic|SelectiveKernelBasic"
)
"""Names of the classes of blocks in torchvision and timm; the outermost match counts."""
CHANNELS_LAST: Final = re.compile(
    r"Swin|\.GlobalContextVitBlock$|\.TinyVitBlock$|VisionTransformerSAM\."
)
"""Networks and blocks, as "Network.Block", that return (sample, y, x, channel)."""
ACTIVATIONS: Final = (nn.ReLU, nn.GELU, nn.SiLU, nn.Hardswish, nn.ReLU6, nn.LeakyReLU, nn.ELU)


def find_layers(
    module: nn.Module,
    what: str,
    *,
    kind: Kind = "block",
    token: int | None = None,  # 0 is the class token; all are summed where None
    layers: Layers | None = None,
) -> dict[str, Layer]:
    """Alias -> layer of one kind, or of `layers`, in the order of the network's modules."""
    # Kinds are those of `nc.adapters.torchvision`; of networks without blocks, such as VGG, the
    # ReLUs of `features` are taken. Aliases are names of modules, "layer3.5"; of other kinds than
    # blocks with the kind behind, "blocks.3.heads".
    one_of("kind of layers", kind, get_args(Kind))
    found = {a: replace(x, token=token) for a, x in _of_kind(module, kind)}
    if layers is None:
        return found or _refuse_kind(module, what, kind)
    named = _named(layers)
    return {alias: _explicit(x, found, module, token) for alias, x in named.items()}


def _of_kind(module: nn.Module, kind: Kind) -> Iterator[tuple[str, Layer]]:
    blocks = dict(_outermost_blocks(module))
    if kind == "block":
        layouts = {name: _layout(module, block) for name, block in blocks.items()}
        yield from ((name, Layer(name, layout=layout)) for name, layout in layouts.items())
        if not blocks:
            yield from ((name, Layer(name)) for name in _rectified_features(module))
        return
    finder = {"mlp": _mlp, "attention": _attention, "heads": _heads}[kind]
    for name, block in blocks.items():
        layer = finder(name, block)
        if layer is not None:
            layout = _layout(module, block)
            yield f"{name}.{kind}", replace(layer, layout=layout) if layout else layer


def _outermost_blocks(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        if BLOCK.search(type(child).__name__):
            yield prefix + name, child
        else:
            yield from _outermost_blocks(child, f"{prefix}{name}.")


def _layout(module: nn.Module, block: nn.Module | None = None) -> Layout | None:
    """Tokens where a network, or one of its blocks, has its channels last; None for all others."""
    name = f"{type(module).__name__}.{type(block).__name__}"
    last = getattr(module, "output_fmt", None) == "NHWC" or CHANNELS_LAST.search(name)
    return "tokens" if last else None


def _rectified_features(module: nn.Module) -> Iterator[str]:
    features = getattr(module, "features", None)
    if isinstance(features, nn.Sequential):
        for name, child in features.named_children():
            if isinstance(child, ACTIVATIONS):
                yield f"features.{name}"


def _mlp(name: str, block: nn.Module) -> Layer | None:
    """Neurons after the nonlinearity, in the MLPs of timm and of torchvision."""
    for part in ("mlp", "mlp_channels", "block"):
        mlp = getattr(block, part, None)
        if isinstance(mlp, nn.Sequential):
            return _sequential_mlp(f"{name}.{part}", mlp)
        if isinstance(mlp, nn.Module) and hasattr(mlp, "fc2"):
            layout: Layout = "tokens" if isinstance(mlp.fc2, nn.Linear) else "maps"
            if isinstance(getattr(mlp, "act", None), nn.Module) and not _gated(mlp):
                return Layer(f"{name}.{part}.act", layout=layout)
            return Layer(f"{name}.{part}.fc2", at="input", layout=layout)
    return None


def _gated(mlp: nn.Module) -> bool:
    """Whether the neurons are multiplied after the nonlinearity, as in GLU, SwiGLU and gMLP."""
    return "glu" in type(mlp).__name__.lower() or not isinstance(
        getattr(mlp, "gate", nn.Identity()), nn.Identity
    )


def _sequential_mlp(name: str, mlp: nn.Sequential) -> Layer | None:
    if not any(isinstance(child, nn.Linear) for child in mlp):
        return None
    places = (n for n, child in mlp.named_children() if isinstance(child, ACTIVATIONS))
    place = next(places, None)
    return None if place is None else Layer(f"{name}.{place}", layout="tokens")


def _attention(name: str, block: nn.Module) -> Layer | None:
    if isinstance(getattr(block, "self_attention", None), nn.Module):
        return Layer(f"{name}.self_attention", item=0)
    attention = getattr(block, "attn", None)
    if not isinstance(attention, nn.Module) or _head_count(attention) is None:
        return None  # squeeze-excite and the like are called `attn` too
    if _windowed(block, attention):
        # it runs on windows, whose first axis is not the sample; what it is added through is not
        return Layer(f"{name}.drop_path1") if hasattr(block, "drop_path1") else None
    return Layer(f"{name}.attn")


def _head_count(attention: nn.Module | None) -> int | None:
    found = getattr(attention, "num_heads", getattr(attention, "heads", None))
    return found if isinstance(found, int) else None


def _windowed(block: nn.Module, attention: nn.Module | None) -> bool:
    """Whether a block of timm cuts its tokens into windows before they come to its attention."""
    if "Shifted" in type(attention).__name__:  # torchvision's cuts them itself
        return False
    return "Window" in type(attention).__name__ or bool(getattr(block, "window_size", None))


def _heads(name: str, block: nn.Module) -> Layer | None:
    explicit = getattr(block, "self_attention", None)
    if isinstance(explicit, ExplicitAttention):
        return _head_layer(f"{name}.self_attention.out_proj", explicit.num_heads)
    attention = getattr(block, "attn", None)
    heads = _head_count(attention)
    projected = isinstance(getattr(attention, "proj", None), nn.Linear)
    if heads is None or not projected or _windowed(block, attention):
        return None
    return _head_layer(f"{name}.attn.proj", heads)


def _head_layer(name: str, heads: int) -> Layer:
    return Layer(name, at="input", layout="tokens", heads=heads)


def _refuse_kind(module: nn.Module, what: str, kind: Kind) -> dict[str, Layer]:
    others = [k for k in get_args(Kind) if k != kind and next(_of_kind(module, k), None)]
    names = [name for name, part in module.named_modules() if name and list(part.parameters())]
    raise InputError(
        came=f"kind={kind!r} of {what!r} ({type(module).__name__}), where none is found",
        expected=f"one of the kinds {others}, or the names of modules such as {names[:5]}",
        hint=f"kind={others[0]!r}" if others else f"layers={names[:2]}",
    )


def _named(layers: Layers) -> dict[str, str | Layer]:
    if isinstance(layers, str):
        return {layers: layers}
    if isinstance(layers, Mapping):
        return dict(layers)
    return {x.module if isinstance(x, Layer) else x: x for x in layers}


def _explicit(
    wanted: str | Layer, found: Mapping[str, Layer], module: nn.Module, token: int | None
) -> Layer:
    if isinstance(wanted, Layer):
        return wanted
    if wanted in found:
        return found[wanted]
    parts = dict(module.named_modules(remove_duplicate=False))
    if wanted not in parts:
        raise unknown_name("layer", wanted, [*found, *(n for n in parts if n and n not in found)])
    return Layer(wanted, token=token, layout=_layout(module, parts[wanted]))
