"""Pages of docs/ run as they are written, from top to bottom."""

import re
from pathlib import Path

import pytest

import neurocodec as nc

ROOT = Path(nc.__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_own_models_run_as_written(capsys):
    blocks = BLOCK.findall((DOCS / "own-models.md").read_text("utf-8"))
    assert len(blocks) == 9
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_the_package_on_a_page_exist(page):
    text = page.read_text("utf-8")
    if page.name == "CHANGELOG.md":  # later ones tell of what was
        text = text.split("### Numerical changes")[0].split("### Changed")[0]
    for chain in {*re.findall(r"(?<![\w./-])nc((?:\.[A-Za-z]\w*)+)", text)}:
        found = nc
        for name in chain[1:].split("."):
            if name.endswith("NAME") or name in getattr(found, "__annotations__", {}):
                break  # any name, and a field, which a class has no value of
            found = getattr(found, name)


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as they are made from their words."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text("utf-8"))):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        other = page.parent / path if path else page
        assert other.exists(), link
        assert not anchor or anchor in anchors(other), link


def test_the_readme_names_every_page_for_users():
    told = (ROOT / "README.md").read_text("utf-8")
    pages = {page.name for page in DOCS.glob("*.md")} - {"architecture.md"}  # for who works on it
    assert {name for name in pages if f"(docs/{name}" not in told} == set()
