"""Shared by all tests: small networks are importable, and every test is seeded by itself."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# the same examples in every run: a rare one is looked for by hand, not met by chance in CI
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
