"""Where the checkout, these helpers and the data shared by all checkouts stand."""

import os
from pathlib import Path

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parents[1]
BENCHMARKS = ROOT / "benchmarks"
EXAMPLES = ROOT / "examples"
DATA = Path(os.environ.get("NEUROCODEC_TEST_DATA", ROOT.parent / "shared")) / "data"


def importable(*folders: Path) -> dict[str, str]:
    """Environment of a child process that imports these helpers, and what lies in `folders`."""
    known = [*map(str, (*folders, SUPPORT)), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, known))}
