"""Exit codes of the command line."""

from neurocodec.cli.parser import FAILED, main


def test_a_missing_file_ends_with_code_2(capsys):
    assert main(["info", "missing.nc"]) == FAILED == 2
    assert "missing.nc" in capsys.readouterr().err
