"""Draw the package: its folders and top modules, one row a layer, from the imports themselves.

``make docs`` writes ``explanation/packages.svg``; a test fails when it is out of date.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "explanation" / "packages.svg"
PACKAGE = "jobserver"
#: Width and height of a box, and distance from one to the next, in pixels.
_BOX = 104, 28
_STEP = 124, 62
_MARGIN = 8
_STYLE = """<style>
text { font: 13px sans-serif; text-anchor: middle; fill: #1a1a1a }
rect { fill: #eef3f8; stroke: #38618c }
line { stroke: #8a9bad; stroke-width: 1.2; marker-end: url(#tip) }
.ground { fill: #ffffff; stroke: none }
</style>
<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z" fill="#8a9bad"/></marker>"""

Imports = Mapping[str, frozenset[str]]


def layers() -> list[list[str]]:
    """Return the boxes of each layer, from the top, as ``pyproject.toml`` declares them."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    contracts = {each["id"]: each for each in tool["importlinter"]["contracts"]}
    return [layer.split(" : ") for layer in contracts["layers"]["layers"]]


def imports() -> Imports:
    """Return, for each folder and top module, the others that it imports."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True)
    boxes = sorted(graph.find_children(PACKAGE))
    return {
        _name(box): frozenset(
            _name(other)
            for other in boxes
            if other != box
            and graph.direct_import_exists(importer=box, imported=other, as_packages=True)
        )
        for box in boxes
    }


def _name(module: str) -> str:
    return module.rpartition(".")[2]


def reduced(found: Imports) -> Imports:
    """Leave out each import that another path says as well."""

    def below(box: str) -> frozenset[str]:
        return frozenset().union(*({other} | below(other) for other in found[box]))

    return {
        box: frozenset(
            other
            for other in others
            if not any(other in below(between) for between in others - {other})
        )
        for box, others in found.items()
    }


def svg(rows: Sequence[Sequence[str]], found: Imports) -> str:
    """Draw boxes in rows, and an arrow for each import."""
    width = max(map(len, rows)) * _STEP[0] + 2 * _MARGIN
    height = (len(rows) - 1) * _STEP[1] + _BOX[1] + 2 * _MARGIN
    centers = {
        name: (width // 2 + (2 * column - len(row) + 1) * _STEP[0] // 2, line * _STEP[1] + _MARGIN)
        for line, row in enumerate(rows)
        for column, name in enumerate(row)
    }
    arrows = (
        (centers[box], centers[other]) for box in found for other in sorted(reduced(found)[box])
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
        _STYLE,
        f'<rect class="ground" width="{width}" height="{height}"/>',
        *(
            f'<line x1="{x}" y1="{y + _BOX[1]}" x2="{to_x}" y2="{to_y}"/>'
            for (x, y), (to_x, to_y) in arrows
        ),
        *(_box(name, *center) for name, center in centers.items()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _box(name: str, x: int, y: int) -> str:
    width, height = _BOX
    return (
        f'<rect x="{x - width // 2}" y="{y}" width="{width}" height="{height}" rx="5"/>'
        f'<text x="{x}" y="{y + 19}">{name}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(svg(layers(), imports()), encoding="utf-8")
