"""Where in a module an activation is read, and how it is taken out of what the module returns."""

from __future__ import annotations

import copy
import dataclasses
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from neurocodec.arguments import is_whole, whole
from neurocodec.errors import CaptureError, InputError, unknown_name

Item: TypeAlias = int | str | None
Layout: TypeAlias = Literal["vector", "tokens", "maps"]
At: TypeAlias = Literal["output", "input", "nonlinearity"]


@dataclass(frozen=True)
class Layer:
    """Where in a module an activation is read.

    Parameters
    ----------
    module
        Name of the submodule, as in `torch.nn.Module.named_modules`.
    at
        Its ``"output"``, its first positional ``"input"``, or what a function such as
        `torch.relu` reads that is called within it: a ``"nonlinearity"`` that is no module.
    occurrence
        Which call, from 0, of a submodule, or of such functions, that run several times in one
        pass.
    item
        Which item of an output that is a tuple (int), or a dict, named tuple or dataclass (str).
    layout
        ``"maps"`` (sample, channel, positions...), ``"tokens"`` (sample, positions..., channel) or
        ``"vector"`` (sample, channel); None finds out from the operations that made the
        activation (channels are first after a convolution, last after a linear layer), and asks
        where these leave it open.
    token
        One token, such as 0 for the class token; None sums over all tokens.
    heads
        Number of attention heads that lie side by side in the channels of tokens or maps; each
        head is then a channel, and its values are positions beside the tokens.
    windows
        Whether the module runs on windows, or patches, of all samples that lie one after the
        other along the first axis, those of the first sample first, as inside of Swin and
        MobileViT; the positions in all windows of a sample are then its positions.

    Examples
    --------
    >>> Layer("blocks.3", token=0).at
    'output'
    """

    module: str
    at: At = "output"
    occurrence: int | None = None
    item: Item = None
    layout: Layout | None = None
    token: int | None = None
    heads: int | None = None
    windows: bool = field(default=False, metadata={"later": True})

    def __post_init__(self) -> None:
        for what, value, known in (
            ("at", self.at, get_args(At)),
            ("layout", self.layout, (None, *get_args(Layout))),
        ):
            if value not in known:
                raise unknown_name(f"value of Layer({what}=...)", value, known)
        for what, least in (("occurrence", 0), ("heads", 1), ("token", None)):
            value = getattr(self, what)
            if value is not None:
                object.__setattr__(self, what, whole(f"Layer({what}=...)", value, least))
        object.__setattr__(self, "item", as_item("item", self.item))
        if self.windows and self.layout is None:
            object.__setattr__(self, "layout", "tokens")
        if self.heads is not None and self.layout == "vector":
            raise CaptureError(
                came=f"heads={self.heads} with layout={self.layout!r} at {self.module!r}",
                expected="a number of heads, at least 1, of tokens or maps",
                hint=f"nc.Layer({self.module!r}, heads=8, layout='tokens')",
            )

    def channels_first(self, activation: Tensor) -> Tensor:
        """View an activation of this layer as (sample, channel, positions...).

        Heads are channels: (sample, head, positions..., dim), or (sample, head, dim) of one token.

        Raises
        ------
        CaptureError
            Where the activation does not have the axes that the layer says.

        Examples
        --------
        >>> import torch
        >>> tokens = torch.zeros(2, 5, 12)
        >>> Layer("attn.proj", heads=3).channels_first(tokens).shape
        torch.Size([2, 3, 5, 4])
        >>> Layer("blocks.3", token=0).channels_first(tokens).shape
        torch.Size([2, 12])
        """
        layout = self.layout_of(activation)
        if layout is None:
            raise CaptureError(
                came=f"an activation of shape {tuple(activation.shape)} at {self.module!r}, whose"
                " channels may be the second axis or the last",
                expected="layout='maps' (sample, channel, y, x) or 'tokens' (sample, token,"
                " channel), where nothing in the network tells",
                hint=f"nc.Layer({self.module!r}, layout='tokens')",
            )
        if layout == "maps" and self.heads is not None and self.token is None:
            return self._by_head(activation.movedim(1, -1))
        if layout != "tokens":
            self._require_no_tokens(activation)
            return activation
        if self.token is not None:
            activation = self._one_token(activation)
        if self.heads is not None:
            return self._by_head(activation)
        return activation.movedim(-1, 1)

    def split_first(self, values: Tensor) -> Tensor:
        """View contributions as (sample, channel, positions...) as they are split by sign.

        Of heads their features are summed, token by token: which basis the values of a head have
        is nothing that the network knows of, and the sum alone does not depend on it.

        Examples
        --------
        >>> import torch
        >>> tokens = torch.tensor([[[3.0, -1.0, 2.0, 2.0]]])
        >>> Layer("attn.proj", heads=2).split_first(tokens).tolist()
        [[[2.0], [4.0]]]
        """
        found = self.channels_first(values)
        return found if self.heads is None else found.sum(-1)

    def gathered(self, activation: Tensor, samples: int) -> Tensor:
        """View what a module runs on as (sample, ...): windows of a sample side by side.

        Examples
        --------
        >>> import torch
        >>> Layer("attn", windows=True).gathered(torch.zeros(8, 4, 3), 2).shape
        torch.Size([2, 16, 3])
        """
        if not self.windows:
            return activation
        if self.layout == "vector" or activation.ndim < 3 or len(activation) % max(samples, 1):
            raise CaptureError(
                came=f"an activation of shape {tuple(activation.shape)} at {self.module!r} for"
                f" {samples} samples",
                expected="windows (sample x window, token, channel) or (sample x window, channel,"
                " y, x), as many of each sample",
                hint=f"nc.Layer({self.module!r})",
            )
        if self.layout == "maps":
            count, channels = len(activation) // max(samples, 1), activation.shape[1]
            windows = activation.reshape(samples, count, channels, -1)
            return windows.transpose(1, 2).flatten(2)
        return activation.reshape(samples, -1, *activation.shape[2:])

    def scattered(self, activation: Tensor, shape: Sequence[int]) -> Tensor:
        """View what `gathered` made as the module has it.

        Examples
        --------
        >>> import torch
        >>> Layer("attn", windows=True).scattered(torch.zeros(2, 16, 3), (8, 4, 3)).shape
        torch.Size([8, 4, 3])
        """
        if not self.windows:
            return activation
        if self.layout == "maps":
            samples, channels, _ = activation.shape
            windows = activation.reshape(samples, channels, shape[0] // max(samples, 1), -1)
            activation = windows.transpose(1, 2)
        return activation.reshape(shape)

    def seen(self, activation: Tensor, channels: int | None) -> Layer:
        """Layer with its layout, where it has none, by the axis that its channels are known at."""
        if self.layout is not None:
            return self
        known: dict[int | None, Layout] = {1: "maps", activation.ndim - 1: "tokens"}
        if activation.ndim == 2 or channels not in known:
            return replace(self, layout=self.layout_of(activation))
        return replace(self, layout=known[channels])

    def layout_of(self, activation: Tensor) -> Layout | None:
        """Layout that is given, or that goes without saying; None where it is open."""
        if self.layout is None and activation.ndim == 2:
            return "vector"
        several = self.token is not None or self.heads is not None
        return "tokens" if self.layout is None and several else self.layout

    def _require_no_tokens(self, activation: Tensor) -> None:
        if self.token is None and self.heads is None:
            return
        raise CaptureError(
            came=f"token={self.token}, heads={self.heads} at {self.module!r}, whose activation has"
            f" the shape {tuple(activation.shape)}",
            expected="tokens (sample, token, channel)",
            hint=f"nc.Layer({self.module!r}, layout='tokens') where the channels are last",
        )

    def _one_token(self, activation: Tensor) -> Tensor:
        if activation.ndim != 3:
            self._require_no_tokens(activation)
        count = activation.shape[1]
        if self.token is None or not -count <= self.token < count:
            raise CaptureError(
                came=f"token {self.token} of layer {self.module!r}, which has {count}",
                expected=f"a position from 0 to {count - 1}",
            )
        return activation[:, self.token]

    def _by_head(self, activation: Tensor) -> Tensor:
        size = activation.shape[-1]
        if self.heads is None or size % self.heads:
            raise CaptureError(
                came=f"{self.heads} heads in the {size} values of a token at {self.module!r}",
                expected=f"a number of heads that divides {size}",
            )
        return activation.view(*activation.shape[:-1], self.heads, -1).movedim(-2, 1)


def as_item(name: str, value: Any) -> Item:
    """Take what names an item of a tuple or dict: a whole number, a name, or None."""
    if value is None or isinstance(value, str):
        return value
    if is_whole(value):
        return operator.index(value)
    raise InputError(
        came=f"{name}={value!r}",
        expected="the position (int) or the name (str) of an item, or None",
        hint=f"{name}=0",
    )


def pick(value: Any, layer: Layer) -> Tensor:
    """Take the activation of a layer out of what its module returned or took."""
    where = f"the {layer.at} of layer {layer.module!r}"
    tensor = value if layer.item is None else _item(value, layer.item, where)
    if not isinstance(tensor, Tensor) or not _is_plain(tensor):
        raise CaptureError(
            came=f"{where} is {_kind(tensor)}",
            expected="a tensor of real numbers",
            hint=""
            if layer.item is not None or _first(tensor) is None
            else f"nc.Layer({layer.module!r}, item={_first(tensor)!r})",
        )
    return tensor


def put(value: Any, item: Item, tensor: Tensor) -> Any:
    """Put a tensor in the place of one item of a tuple, dict or dataclass, or of the whole."""
    if item is None:
        return tensor
    if is_dataclass(value) and not isinstance(value, type):
        name = item if isinstance(item, str) else _fields(value)[item]
        return dataclasses.replace(value, **{name: tensor})
    if isinstance(value, Mapping):
        return type(value)({**value, item: tensor})  # type: ignore[call-arg]
    if hasattr(value, "_fields"):
        name = item if isinstance(item, str) else value._fields[item]
        return value._replace(**{name: tensor})
    if isinstance(item, str):
        changed = copy.copy(value)
        setattr(changed, item, tensor)
        return changed
    place = range(len(value))[item]
    return type(value)([tensor if i == place else part for i, part in enumerate(value)])


def _item(value: Any, item: int | str, where: str) -> Any:
    """Take an item of a tuple or dict, or a field of a named tuple, dataclass or plain object."""
    names = _fields(value)
    if isinstance(value, Mapping) and item in value:
        return value[item]
    if isinstance(item, str) and item in names:
        return getattr(value, item)
    if isinstance(item, int) and -len(names) <= item < len(names):
        return value[item] if isinstance(value, tuple | list) else getattr(value, names[item])
    known = list(value) if isinstance(value, Mapping) else names
    raise unknown_name(f"item in {where} ({_kind(value)})", item, known)


def _fields(value: Any) -> list[Any]:
    """Names, or numbers, of the parts of what a module returned, in order."""
    if isinstance(value, Tensor | str):
        return []
    if isinstance(value, tuple | list):
        return [*getattr(value, "_fields", range(len(value)))]
    if is_dataclass(value):
        names = [field.name for field in fields(value)]
        # as in Hugging Face's outputs, which are dicts besides, and count what is there
        return [n for n in names if n in value] if isinstance(value, Mapping) else names
    return [] if isinstance(value, Mapping) else [*getattr(value, "__dict__", ())]


def _first(value: Any) -> Item:
    """An item to offer in a message."""
    return next(iter(value if isinstance(value, Mapping) else _fields(value)), None)


def _is_plain(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.layout == torch.strided


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with keys {list(value)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype}"
    return f"a {type(value).__name__}"


def answer(outputs: Any, select: Item = None, samples: int | None = None) -> Tensor:
    """Take the network's answer (sample, output) out of what its module returned."""
    tensor = outputs if select is None else _item(outputs, select, "the network's output")
    if not isinstance(tensor, Tensor):
        raise CaptureError(
            came=f"the network returns {_kind(tensor)}",
            expected="one tensor of shape (sample, output)",
            hint=""
            if select is not None or _first(tensor) is None
            else f"nc.Network(module, layers=[], select={_first(tensor)!r})",
        )
    if tensor.dtype == torch.bool or tensor.is_complex() or tensor.layout != torch.strided:
        raise CaptureError(
            came=f"the network returns {_kind(tensor)}, {tensor.layout}",
            expected="a dense tensor of real numbers",
        )
    if tensor.ndim < 2 and tensor.numel() == samples:  # one number a sample
        return tensor.reshape(-1, 1)
    if tensor.ndim != 2 or not tensor.shape[1] or len(tensor) != (samples or len(tensor)):
        raise CaptureError(
            came=f"the network returns a tensor of shape {tuple(tensor.shape)}"
            + (f" for {samples} samples" if samples else ""),
            expected="shape (sample, output), or (sample,), also for one sample alone",
            hint="torch.nn.Sequential(module, torch.nn.Flatten())" if tensor.ndim > 2 else "",
        )
    return tensor
