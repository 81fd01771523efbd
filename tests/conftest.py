"""Shared by all tests: small networks are importable, and every test is seeded by itself."""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:  # one test process per core: threads would only fight
    os.environ.setdefault("OMP_NUM_THREADS", "1")
else:
    # for the workers, before they start: glibc keeps the memory of large arrays for the next ones,
    # in place of a page fault for every 4 KiB of each array
    os.environ.setdefault("MALLOC_MMAP_MAX_", "0")
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**32))

sys.path.insert(0, str(Path(__file__).parent / "support"))

# the same examples in every run: a rare one is looked for by hand, not met by chance in CI
settings.register_profile(  # a busy machine draws slowly
    "repeatable", derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


def pytest_addoption(parser):
    """All architectures in place of a sample, in `tests/adapters/test_architectures.py`."""
    parser.addoption("--architectures", choices=("few", "all"), default="few")
