"""What all pages have, and how they get into a folder."""

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from neurocodec.nn import beside
from neurocodec.plotting import style
from neurocodec.reports.page import _others, drawings, filled, table, write_page


def test_a_figure_is_drawn_as_png():
    drawn = drawings([("empty", Figure(figsize=(1, 1)), "nothing")])
    assert drawn["empty"].png[1:4] == b"PNG"
    assert drawn["empty"].alt == "nothing"
    assert drawn["empty"].uri.startswith("data:image/png;base64,iVBORw0KGgo")


def test_a_page_is_made_of_its_figures(tmp_path):
    figures = [("empty", Figure(figsize=(1, 1)), "nothing")]
    page = write_page(tmp_path / "new", figures, lambda drawn: f"of {', '.join(drawn)}")
    assert page == tmp_path / "new" / "report.html"
    assert page.read_text("utf-8") == "of empty"
    assert (tmp_path / "new" / "figures" / "empty.png").read_bytes()[1:4] == b"PNG"


def test_figures_are_drawings_of_lines_and_numbers_too(tmp_path):
    pages = []
    for folder in ("one", "two"):
        figure = Figure(figsize=(1, 1))
        figure.add_subplot().plot([1, 2], [3, 4], label="rate")
        drawn = [("rates", figure, "rates")]
        write_page(tmp_path / folder, drawn, lambda _: "page", others=True)
        files = sorted((tmp_path / folder / "figures").iterdir())
        pages.append({file.name: file.read_bytes() for file in files})
    assert [*pages[0]] == ["rates.csv", "rates.pdf", "rates.png", "rates.svg"]
    assert pages[0]["rates.pdf"][:5] == b"%PDF-"
    assert b"<svg" in pages[0]["rates.svg"]
    assert pages[0]["rates.csv"].endswith(b"1,rate,1,3,\n1,rate,2,4,\n")
    assert pages[0] == pages[1]  # the same to the bit


def test_the_first_column_of_a_table_is_the_layer():
    found = table("sizes", ["size"], [["conv1", "3"]])
    assert found["columns"] == ["layer", "size"]
    assert not found["text"]


def test_text_in_a_template_is_escaped():
    data = {"cells": {"names": ["</script>"]}}
    page = filled("explorer.html.j2", data=data, title="<b>", style=style)
    assert "<h1>&lt;b&gt;</h1>" in page
    assert r"\u003c/script\u003e" in page


def test_a_figure_is_laid_out_once_and_drawn_once_for_each_file(monkeypatch):
    draws, layouts = [], []
    draw, execute = Figure.draw, ConstrainedLayoutEngine.execute
    monkeypatch.setattr(Figure, "draw", lambda f, r: (draws.append(r), draw(f, r))[1])
    monkeypatch.setattr(
        ConstrainedLayoutEngine, "execute", lambda e, f: (layouts.append(f), execute(e, f))[1]
    )
    monkeypatch.setattr(beside, "can_fork", lambda: False)  # what a copy draws is not seen here
    figure = Figure(layout="constrained")
    figure.add_subplot().plot([1, 2])
    [found] = drawings([("one", figure, "a line")], others=True).values()
    assert {*found.others} == {"svg", "pdf", "csv"}
    assert (len(layouts), len(draws)) == (1, 3)


def test_photographs_alone_have_no_table_of_numbers():
    figure = Figure()
    figure.subplots().imshow([[[0.0, 0.5, 1.0]]])
    assert {*_others(figure)} == {"svg", "pdf"}


def test_fonts_that_another_library_has_set_change_nothing():
    figure = Figure()
    figure.subplots().set_title("\N{MINUS SIGN}1")
    plain = _others(figure)["pdf"]
    with rc_context({"pdf.fonttype": 42, "ps.fonttype": 42}):
        assert _others(figure)["pdf"] == plain
