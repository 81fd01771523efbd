"""Pages of docs/ run as they are written, from top to bottom."""

import re
from pathlib import Path

import pytest

import neurocodec as nc

DOCS = Path(nc.__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_own_models_run_as_written(capsys):
    blocks = BLOCK.findall((DOCS / "own-models.md").read_text("utf-8"))
    assert len(blocks) == 8
    names = {}
    for block in blocks:
        exec(compile(block, "own-models.md", "exec"), names)  # noqa: S102 - what the page says
        said = capsys.readouterr().out.splitlines()
        written = [line[2:] for line in block.splitlines() if re.match(r"# (output|-?\d)", line)]
        assert said == written
    assert names["rates"].sizes == {"time": 41, "cell": 3}
    assert names["sta"].dims == ("cell", "lag", "color", "y", "x")


@pytest.mark.slow
def test_the_retina_runs_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((DOCS / "retina.md").read_text("utf-8"))
    assert len(blocks) == 12
    names = {}
    for block in blocks:
        exec(compile(block, "retina.md", "exec"), names)  # noqa: S102 - what the page says
    assert (tmp_path / "my-page" / "report.html").exists()
    assert names["mine"].spike_count.sum() == 3
