"""Code that a job carries, as a script: for trying things out, where an administrator allows it.

It finds ``data`` (what the job binds, or None), ``pd`` and ``np``. Its value is that of its last
expression, or else of the variable ``result``.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
from types import CodeType
from typing import TYPE_CHECKING, Any

from jobserver.errors import JobNotRunnable, Problem
from jobserver.processes.forms import CODE
from jobserver.tables.loading import load

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry

#: What tracebacks call the code.
FILE_NAME = "<code>"
_NAME = "code"


class CodeProcess:
    """Runs code; see `jobserver.processes.function.Process`.

    Parameters
    ----------
    registry : Registry
        Knows whether.
    binding : dict
        The job's ``script``: ``code``.
    """

    type = CODE

    def __init__(self, registry: Registry, binding: dict[str, Any]) -> None:
        self.code: str = binding["code"]
        self._refused = registry.permits.problems(self.type)

    def problems(self, has_data: bool) -> list[Problem]:  # noqa: ARG002 - it takes any data
        """Every reason why it cannot run."""
        if self._refused:
            return self._refused
        try:
            body, last = _compiled(self.code)
        except SyntaxError as error:
            line = (error.text or "").strip()
            where = f"line {error.lineno}: {error.msg}" + (f": {line[:100]}" if line else "")
            return [Problem("script.code", f"is no Python, {where}")]
        except (ValueError, RecursionError, MemoryError) as error:
            return [Problem("script.code", f"is no Python: {str(error) or type(error).__name__}")]
        return [] if body or last else [Problem("script.code", "is empty")]

    def run(self, data: dict[str, Any] | None) -> Any:
        """Load the data, run the code, give back its value."""
        if problems := self.problems(data is not None):
            raise JobNotRunnable("The code cannot run.", problems)
        import numpy as np
        import pandas as pd

        lines = self.code.splitlines(keepends=True)
        linecache.cache[FILE_NAME] = (len(self.code), None, lines, FILE_NAME)
        loaded = None if data is None else load(data, as_path=False)
        names: dict[str, Any] = {"__name__": _NAME, "data": loaded, "pd": pd, "np": np}
        body, last = _compiled(self.code)
        if body:
            exec(body, names)  # noqa: S102 - this is what the administrator allowed
        value = eval(last, names) if last else None  # noqa: S307
        return names.get("result") if value is None else value

    def origin(self) -> dict[str, Any]:
        """The version of the code; see `jobserver.child.provenance`."""
        version = hashlib.sha256(self.code.encode(errors="replace")).hexdigest()
        return {"script": {"type": self.type, "version": version}, "packages": {}}


def _compiled(code: str) -> tuple[CodeType | None, CodeType | None]:
    """What comes before the last expression, and that expression; None where there is none."""
    tree = ast.parse(code, FILE_NAME)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    body = compile(tree, FILE_NAME, "exec") if tree.body else None
    if not isinstance(last, ast.Expr):
        return body, None
    return body, compile(ast.Expression(last.value), FILE_NAME, "eval")
