"""``python -m neurocodec``: the same as ``neurocodec``."""

import sys

from neurocodec.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
