"""Where the checkout, these helpers and the data shared by all checkouts stand."""

import os
from pathlib import Path

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parents[1]
BENCHMARKS = ROOT / "benchmarks"
EXAMPLES = ROOT / "examples"
DATA = Path(os.environ.get("NEUROCODEC_TEST_DATA", ROOT.parent / "shared")) / "data"
