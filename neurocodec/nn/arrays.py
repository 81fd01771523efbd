"""Numbers of any strides, byte order, precision and layout: into tensors, and out of them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
"""Where an object lies in memory, in its text: another place in every process."""


def tensor_of(
    values: Any, dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> Tensor:
    """Copy numbers into a tensor; flipped and big-endian arrays and long doubles, too."""
    if isinstance(values, Tensor):
        return values.detach().to(device, dtype, copy=True)
    array = np.asarray(values)
    kind = np.dtype(np.float64) if array.dtype == np.longdouble else array.dtype.newbyteorder("=")
    whole = np.ascontiguousarray(array, kind).reshape(array.shape)
    return torch.tensor(whole, dtype=dtype, device=device)


def numbers_of(tensor: Tensor) -> NDArray[Any]:
    """Numbers of a tensor; bytes where numpy does not know their type, as of bfloat16."""
    plain = tensor.detach()
    if plain.is_quantized:
        plain = plain.dequantize()
    if plain.layout != torch.strided:
        plain = plain.to_dense()
    plain = plain.cpu().resolve_conj().resolve_neg().contiguous()
    try:
        return np.asarray(plain.numpy())
    except TypeError:
        return np.asarray(plain.reshape(-1).view(torch.uint8).numpy())


def tensors_in(values: Any) -> Iterator[Tensor]:
    """Tensors among arguments or results of an operation, in their order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from tensors_in(value)
    elif isinstance(values, Mapping):
        yield from tensors_in([*values.values()])


def contents(value: Any) -> Iterator[NDArray[Any] | str | bytes]:
    """What is in an entry of a state dict, which need not be a tensor, for a fingerprint."""
    if isinstance(value, Tensor) and value.is_nested:
        yield from contents([*value.unbind()])
    elif isinstance(value, Tensor):
        yield numbers_of(value)
    elif isinstance(value, bytes | str):
        yield value
    elif isinstance(value, np.ndarray):
        yield repr(value.tolist()) if value.dtype.hasobject else value
    elif isinstance(value, io.BytesIO):
        yield value.getvalue()
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from (repr(key), *contents(part))
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield from (str(place), *contents(part))
    else:
        yield ADDRESS.sub("", repr(value))
        yield from contents(getattr(value, "__dict__", ""))
