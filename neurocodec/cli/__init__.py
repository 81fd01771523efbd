"""The command line: one file a command.

- `parser`: parser, exit codes, `info`
"""

from neurocodec.cli.parser import main as main
