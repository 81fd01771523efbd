"""Processes of their own, which are forked from one that has imported what they need.

Each is as fresh as a new interpreter, without the seconds that its imports take.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

PRELOADED = ["neurocodec.attribution.contributions", "netCDF4", "zarr", "distributed", "PIL.Image"]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(PRELOADED)


def in_a_process(function: Callable[..., Any], *arguments: object) -> Any:
    """What the function returns or raises there; BrokenProcessPool where that process dies."""
    with ProcessPoolExecutor(1, mp_context=CONTEXT) as pool:
        return pool.submit(function, *arguments).result()
