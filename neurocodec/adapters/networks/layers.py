"""The layers of image networks: which modules are blocks, MLP neurons, attention and heads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias, get_args

from torch import nn

from neurocodec.arguments import one_of
from neurocodec.errors import InputError, unknown_name, warn
from neurocodec.nn.capture.attention import ExplicitAttention
from neurocodec.nn.capture.layer import Layer, Layout

Kind: TypeAlias = Literal["block", "layer", "mlp", "attention", "heads"]
Layers: TypeAlias = Mapping[str, str | Layer] | Iterable[str | Layer]

BLOCK: Final = re.compile(
    r"Block|Bottleneck|InvertedResidual|MBConv|SeparableConv$|EdgeResidual|ConvBnAct$|Fire$"
    r"|\.Inception[A-E]?$|XceptionModule|\.Dla[BT]|Bottle2neck|PreActBasic|SelectiveKernelBasic"
    r"|^VOLO\.(Outlooker|Transformer)$|^Nest\.TransformerLayer$"
)
"""Blocks of torchvision and timm, as "Network.Block"; the outermost match counts."""
INNER: Final = re.compile(r"DenseLayer$")
"""Layers inside of blocks that are whole stages."""
CHANNELS_LAST: Final = re.compile(
    r"Swin|\.GlobalContextVitBlock$|\.TinyVitBlock$|VisionTransformerSAM\.|^VOLO\.|^Nest\."
    r"|\.PartitionAttentionCl$"
)
"""Networks and blocks, as "Network.Block", that return (sample, y, x, channel)."""
ITEMS: Final = {
    "TNT.Block": (1,),
    "CrossVit.MultiScaleBlock": (0, 1),
    "MultiScaleVit.MultiScaleBlock": (0,),
    "SelecSls.SelecSlsBlock": (0,),
}
"""Blocks that return several tensors, and which of these are images or patches."""
ON_PATCHES: Final = "MobileVitBlock"
"""Block inside of which patches of all samples lie along the first axis."""
ACTIVATIONS: Final = (nn.ReLU, nn.GELU, nn.SiLU, nn.Hardswish, nn.ReLU6, nn.LeakyReLU, nn.ELU)
HEADS: Final = re.compile(r"head|^fc$|^aux|classifier|last_linear|(final|last)_conv")
"""Names of what follows the last block of a network, or helped to train it."""


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
        if kind == "block":
            told_of_few(module, what)
        return found or _refuse_kind(module, what, kind)
    named = _named(layers)
    return {alias: _explicit(x, found, module, token) for alias, x in named.items()}


def _of_kind(module: nn.Module, kind: Kind) -> Iterator[tuple[str, Layer]]:
    blocks = dict(_outermost_blocks(module))
    if kind == "block":
        for name, block in blocks.items():
            yield from _of_block(module, name, block)
        if not blocks:
            yield from ((name, Layer(name)) for name in _rectified_features(module))
        return
    if kind == "layer":
        yield from ((name, Layer(name)) for name in _layers_inside(blocks))
        return
    finder = {"mlp": _mlp, "attention": _attention, "heads": _heads}[kind]
    for name, block in blocks.items():
        for place, owner, layer in _inside(finder, name, block):
            layout = None if layer.windows else _layout(module, owner)
            found = _on_patches(layer) if type(block).__name__ == ON_PATCHES else layer
            yield f"{place}.{kind}", replace(found, layout=layout) if layout else found


def _of_block(module: nn.Module, name: str, block: nn.Module) -> Iterator[tuple[str, Layer]]:
    """A block, or each of the images that it returns."""
    layout = _layout(module, block)
    items = ITEMS.get(f"{type(module).__name__}.{type(block).__name__}", (None,))
    for item in items:
        alias = name if len(items) == 1 else f"{name}.{item}"
        yield alias, Layer(name, item=item, layout=layout)


def _layers_inside(blocks: Mapping[str, nn.Module]) -> Iterator[str]:
    """Layers of DenseNets, and of the blocks of VoVNets that are like them."""
    for name, block in blocks.items():
        dense = [n for n, part in block.named_children() if INNER.search(type(part).__name__)]
        yield from (f"{name}.{n}" for n in dense)
        several = getattr(block, "conv_mid", None)
        if isinstance(several, nn.Sequential):
            yield from (f"{name}.conv_mid.{n}" for n, _ in several.named_children())


Finder: TypeAlias = Callable[[str, nn.Module], Layer | None]


def _inside(finder: Finder, name: str, block: nn.Module) -> Iterator[tuple[str, nn.Module, Layer]]:
    """Layers of a block, or of the outermost parts inside of it that have one."""
    found = finder(name, block)
    if found is not None:
        yield name, block, found
        return
    for inner, child in block.named_children():
        yield from _inside(finder, f"{name}.{inner}", child)


def _on_patches(layer: Layer) -> Layer:
    return replace(layer, windows=True, layout="tokens")


def told_of_few(module: nn.Module, what: str) -> None:
    """Warn where the blocks hold the smaller part of the parameters before the classifier."""
    blocks = dict(_outermost_blocks(module))
    if not blocks:
        return
    rest = [part for name, part in module.named_children() if not HEADS.search(name)]
    whole = {id(p): p.numel() for part in rest for p in part.parameters()}
    inside = {id(p): p.numel() for block in blocks.values() for p in block.parameters()}
    share = sum(n for i, n in inside.items() if i in whole) / max(1, sum(whole.values()))
    if share < 0.5:
        warn(
            f"the {len(blocks)} blocks found in {what!r} ({type(module).__name__}) hold"
            f" {share:.0%} of the parameters before its classifier; layers= takes others"
        )


def _outermost_blocks(
    module: nn.Module, prefix: str = "", network: str = ""
) -> Iterator[tuple[str, nn.Module]]:
    network = network or type(module).__name__
    inner = f"{network}.{type(module).__name__}" == "ConvMixer.ConvMixer"
    for name, child in module.named_children():
        if inner and name == "blocks":  # which are plain sequences
            yield from ((f"{name}.{n}", block) for n, block in child.named_children())
        elif BLOCK.search(f"{network}.{type(child).__name__}"):
            yield prefix + name, child
        else:
            yield from _outermost_blocks(child, f"{prefix}{name}.", network)


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
    if hasattr(block, "local_module") or {"pw1", "act", "pw2"} <= {*dict(block.named_children())}:
        own = "local_module.main.depth_conv" if hasattr(block, "local_module") else "act"
        return Layer(f"{name}.{own}", layout="maps")  # EfficientViT, of two kinds
    for part in ("mlp", "mlp_channels", "block"):
        mlp = getattr(block, part, None)
        if isinstance(mlp, nn.Sequential):
            return _sequential_mlp(f"{name}.{part}", mlp)
        if isinstance(mlp, nn.Module) and {"ln1", "act", "ln2"} <= {*dict(mlp.named_children())}:
            return Layer(f"{name}.{part}.act")
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
    for own in ("context_module.main", "mixer.m"):  # EfficientViT, of two kinds
        if own in dict(block.named_modules()):
            return Layer(f"{name}.{own}")
    place, attention = _attention_of(block)
    if type(attention).__name__ == "LinearSelfAttention":
        return Layer(f"{name}.{place}", layout="maps")
    if not isinstance(attention, nn.Module) or _head_count(attention) is None:
        return None  # squeeze-excite and the like are called `attn` too
    if _windowed(block, attention):
        # it runs on windows, whose first axis is not the sample; what it is added through is not
        return Layer(f"{name}.drop_path1") if hasattr(block, "drop_path1") else None
    return Layer(f"{name}.{place}")


def _attention_of(block: nn.Module) -> tuple[str, nn.Module | None]:
    """Name of a block's attention among patches, and the module."""
    place = "attn_out" if hasattr(block, "attn_out") else "attn"
    found = getattr(block, place, None)
    return place, found if isinstance(found, nn.Module) else None


def _head_count(attention: nn.Module | None) -> int | None:
    found = getattr(attention, "num_heads", getattr(attention, "heads", None))
    return found if isinstance(found, int) else None


def _windowed(block: nn.Module, attention: nn.Module | None) -> bool:
    """Whether a block of timm cuts its tokens into windows before they come to its attention."""
    if "Shifted" in type(attention).__name__:  # torchvision's cuts them itself
        return False
    cut = getattr(block, "window_size", None) or getattr(block, "partition_size", None)
    return "Window" in type(attention).__name__ or bool(cut)


def _heads(name: str, block: nn.Module) -> Layer | None:
    explicit = getattr(block, "self_attention", None)
    if isinstance(explicit, ExplicitAttention):
        return _head_layer(f"{name}.self_attention.out_proj", explicit.num_heads)
    grouped = "mixer.m.attn" in dict(block.named_modules())  # EfficientViT of MSRA, on windows
    if grouped or hasattr(block, "context_module"):
        return _heads_of_maps(name, block, "mixer.m.attn" if grouped else "context_module.main")
    place, attention = _attention_of(block)
    heads, projection = _head_count(attention), getattr(attention, "proj", None)
    if heads is not None and isinstance(projection, nn.Conv2d):  # CoatNet
        return Layer(f"{name}.{place}.proj", at="input", layout="maps", heads=heads)
    kinds = {type(part) for part in projection.modules()} if projection is not None else set()
    if heads is None or nn.Linear not in kinds or "Shifted" in type(attention).__name__:
        return None  # torchvision's Swin calls no projection
    layer = _head_layer(f"{name}.{place}.proj", heads)
    return _on_patches(layer) if _windowed(block, attention) else layer


def _heads_of_maps(name: str, block: nn.Module, place: str) -> Layer | None:
    attention: Any = block.get_submodule(place)
    if not hasattr(attention, "proj"):
        return None
    layer = Layer(f"{name}.{place}.proj", at="input", layout="maps")
    if hasattr(attention, "aggreg"):  # the heads of each scale side by side
        return replace(layer, heads=attention.proj.conv.in_channels // attention.dim)
    return replace(layer, heads=attention.num_heads, windows=True)


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
