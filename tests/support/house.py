"""The order of the rooms, and its drawing: ``python tests/support/house.py`` writes the figure."""

from __future__ import annotations

import ast
import textwrap
from html import escape
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "neurocodec"
FIGURE = PACKAGE.parent / "docs" / "figures" / "house.svg"

ORDER = (
    ("errors", "vocabulary", "identity"),
    ("arguments", "clock", "terms"),
    ("labels",),
    ("storage", "kernels"),
    ("nn",),
    ("network", "stimuli", "simulation"),
    ("engine", "adapters"),
    ("zoo",),
    ("rows",),
    ("attribution", "modes"),
    ("statistics", "categories", "cells"),
    ("fields", "maps", "perturbation", "interneurons"),
    ("fitting", "synthesis", "concept_graphs"),
    ("analyses",),
    ("plotting",),
    ("reports",),
    ("cli",),
    ("__main__", "plot"),
)
"""Each part of the package imports from the rows above it only; parts of a row are strangers."""

GROUPS = {
    "hall": "errors vocabulary terms arguments clock labels network zoo plot __main__",
    "machinery": "identity storage kernels nn engine rows",
    "sources": "stimuli simulation adapters",
    "questions": "attribution modes statistics categories cells fields maps perturbation "
    "interneurons fitting synthesis concept_graphs",
    "answers": "analyses plotting reports cli",
}
COLORS = {
    "hall": "#eceff1",
    "machinery": "#d7e3f4",
    "sources": "#dff0d8",
    "questions": "#fdebd0",
    "answers": "#eadcf4",
}
FONT = "Helvetica, Arial, sans-serif"
ARROW = "imports point upwards only"
WIDTH, ROW, GAP, LEFT, TOP = 1060, 58, 8, 60, 44


def sentence(part: str) -> str:
    """What a room is for: the first sentence of its door, or of a file of the hall."""
    door = PACKAGE / part / "__init__.py"
    path = door if door.exists() else PACKAGE / f"{part}.py"
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return doc.partition("\n")[0].replace("``", "").replace("`", "")


def drawing() -> str:
    """The house as an SVG: one row a rank, the ground at the top."""
    height = TOP + len(ORDER) * (ROW + GAP) + 8
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    turned = f'text-anchor="middle" transform="rotate(-90 20 {height / 2})"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<path d="M28 {height - 16} V{TOP + 4}" stroke="#607d8b" stroke-width="2"/>',
        f'<path d="M22 {TOP + 14} L28 {TOP} L34 {TOP + 14} Z" fill="#607d8b"/>',
        f'<text x="20" y="{height / 2}" font-size="13" fill="#455a64" {turned}>{ARROW}</text>',
    ]
    for i, (group, color) in enumerate(COLORS.items()):
        x = LEFT + 150 * i
        lines.append(f'<rect x="{x}" y="12" width="16" height="16" rx="3" fill="{color}"/>')
        lines.append(f'<text x="{x + 22}" y="25" font-size="13" fill="#263238">{group}</text>')
    for rank, row in enumerate(ORDER):
        lines += boxes(row, TOP + rank * (ROW + GAP))
    return "\n".join([*lines, "</svg>", ""])


def boxes(row: tuple[str, ...], y: int) -> list[str]:
    """The parts of one rank, side by side."""
    width = (WIDTH - LEFT - 12 - GAP * (len(row) - 1)) / len(row)
    found = []
    for i, part in enumerate(row):
        x = LEFT + i * (width + GAP)
        color = next(COLORS[g] for g, names in GROUPS.items() if part in names.split())
        found.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW}" rx="6" '
            f'fill="{color}" stroke="#90a4ae"/>'
        )
        found.append(
            f'<text x="{x + 10:.1f}" y="{y + 19}" font-size="14" font-weight="bold" '
            f'fill="#102027">{escape(part)}</text>'
        )
        told = textwrap.wrap(sentence(part), int(width / 5.6), max_lines=2, placeholder=" ...")
        found += [
            f'<text x="{x + 10:.1f}" y="{y + 35 + 14 * k}" font-size="11" fill="#37474f">'
            f"{escape(line)}</text>"
            for k, line in enumerate(told)
        ]
    return found


if __name__ == "__main__":
    FIGURE.write_text(drawing(), "utf-8")
