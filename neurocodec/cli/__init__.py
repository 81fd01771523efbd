"""The command line: one file for each command."""

from neurocodec.cli.parser import main as main
