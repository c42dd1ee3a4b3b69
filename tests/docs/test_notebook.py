"""The notebook of the tutorial gives what it shows.

Its cells are run as Python, one after another, without Jupyter.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from tests.support.examples import ADDRESS
from tests.support.server import ROOT, Server

NOTEBOOK = ROOT / "docs" / "tutorial" / "notebook.ipynb"


def shown(cell: dict[str, Any]) -> str | None:
    """The value that a cell shows."""
    values = [output["data"]["text/plain"] for output in cell["outputs"]]
    return "".join(values[0]) if values else None


def run(source: str, namespace: dict[str, Any]) -> str | None:
    """Run a cell; what its last expression is, if it ends with one."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), namespace)  # noqa: S102 - our own
    if not isinstance(last, ast.Expr):
        return None
    return repr(eval(compile(ast.Expression(last.value), "cell", "eval"), namespace))  # noqa: S307


def cells(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def test_each_cell_gives_what_it_shows(server: Server) -> None:
    namespace: dict[str, Any] = {}
    found = cells(NOTEBOOK)
    assert len([cell for cell in found if shown(cell)]) > 3
    for cell in found:
        source = "".join(cell["source"]).replace(ADDRESS, server.address)
        assert run(source, namespace) == shown(cell), source
