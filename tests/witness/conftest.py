"""The files beside this one are importable, as those in `tests/support` are."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
