"""Processes of their own, which are forked from one that has imported what they need.

Each is as fresh as a new interpreter, without the seconds that its imports take.
"""

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

PRELOADED = ["neurocodec.attribution.contributions", "netCDF4", "zarr", "distributed", "PIL.Image"]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(PRELOADED)


def in_a_process(function: Callable[..., Any], *arguments: object) -> Any:
    """What the function returns or raises there; BrokenProcessPool where that process dies."""
    with ProcessPoolExecutor(1, mp_context=CONTEXT) as pool:
        return pool.submit(function, *arguments).result()


def run_code(code: str, arguments: list[object], folder: Path) -> None:
    """Run a script there, which can import what lies in the folder."""
    sys.argv[1:] = map(str, arguments)
    sys.path.insert(0, str(folder))
    exec(compile(code, "<script>", "exec"), {"__name__": "__main__"})  # noqa: S102 - a test's
