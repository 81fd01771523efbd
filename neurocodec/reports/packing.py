"""Numbers as text, for a page that stands by itself: deflated bytes in base64."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_DTYPES: Final = {"|i1": "int8", "|u1": "uint8", "<i2": "int16", "<i4": "int32"} | {
    "<f4": "float32",
    "<f8": "float64",
}
"""Types that a browser has arrays of, by numpy's code and by name."""


def pack(values: ArrayLike, dtype: type[np.generic]) -> dict[str, Any]:
    """Pack numbers as deflated little-endian bytes in base64.

    Parameters
    ----------
    values
        Numbers.
    dtype
        How each is held.

    Examples
    --------
    >>> unpack(pack([[1.0, 2.5]], np.float32)).tolist()
    [[1.0, 2.5]]
    """
    array = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    packed = base64.b64encode(zlib.compress(array.tobytes())).decode()
    return {"dtype": _DTYPES[array.dtype.str], "shape": list(array.shape), "deflate": packed}


def unpack(packed: Mapping[str, Any]) -> NDArray[Any]:
    """Numbers of a packed array.

    Parameters
    ----------
    packed
        As `pack` returns it.

    Examples
    --------
    >>> unpack(pack([1, -2], np.int8)).tolist()
    [1, -2]
    """
    dtype = np.dtype(str(packed["dtype"])).newbyteorder("<")
    flat = np.frombuffer(zlib.decompress(base64.b64decode(packed["deflate"])), dtype)
    return flat.reshape(packed["shape"])
