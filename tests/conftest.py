"""Shared by all tests: small networks are importable, and every test is seeded by itself."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
