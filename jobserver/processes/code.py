"""Run code that the job itself contains, where an administrator allows it.

The code sees ``data`` (the bound data, or None), ``pd`` and ``np``. Its result is the value of its
last expression, or else of the variable ``result``.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
from types import CodeType
from typing import TYPE_CHECKING

from jobserver.errors import JobNotRunnable, Problem
from jobserver.processes.collecting import collect
from jobserver.processes.forms import CODE, Binding
from jobserver.processes.function import Origin
from jobserver.processes.run_context import current_context
from jobserver.tables.loading import load

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry

#: Name of the code in tracebacks.
FILE_NAME = "<code>"
_NAME = "code"


class CodeProcess:
    """Runs code; see `jobserver.processes.function.AnyProcess`.

    Parameters
    ----------
    registry : Registry
        Says whether code is allowed.
    script : dict
        The job's ``script``: ``code``.
    """

    type = CODE

    def __init__(self, registry: Registry, script: Binding) -> None:
        self.code: str = script["code"]
        self._refusals = registry.permissions.problems(self.type)

    def problems(self, has_data: bool) -> list[Problem]:  # noqa: ARG002 - it takes any data
        """Return every reason why it cannot run."""
        if self._refusals:
            return self._refusals
        try:
            body, last = _compiled(self.code)
        except SyntaxError as error:
            line = (error.text or "").strip()
            where = f"line {error.lineno}: {error.msg}" + (f": {line[:100]}" if line else "")
            return [Problem("script.code", f"is not valid Python, {where}")]
        except (ValueError, RecursionError, MemoryError) as error:
            reason = str(error) or type(error).__name__
            return [Problem("script.code", f"is not valid Python: {reason}")]
        return [] if body or last else [Problem("script.code", "is empty")]

    def run(self, data: dict[str, object] | None) -> object:
        """Load the data, run the code and return its value."""
        if problems := self.problems(data is not None):
            raise JobNotRunnable("The code cannot run.", problems)
        import numpy as np
        import pandas as pd

        lines = self.code.splitlines(keepends=True)
        linecache.cache[FILE_NAME] = (len(self.code), None, lines, FILE_NAME)
        loaded = None if data is None else load(data, as_path=False)
        names: dict[str, object] = {"__name__": _NAME, "data": loaded, "pd": pd, "np": np}
        body, last = _compiled(self.code)
        if body:
            exec(body, names)  # noqa: S102 - the administrator allowed it
        value = eval(last, names) if last else None  # noqa: S307
        result = names.get("result") if value is None else value
        return collect(result, current_context().collected)

    def origin(self) -> Origin:
        """Return the version of the code."""
        version = hashlib.sha256(self.code.encode(errors="replace")).hexdigest()
        return {"script": {"type": self.type, "version": version}, "packages": {}}


def _compiled(code: str) -> tuple[CodeType | None, CodeType | None]:
    """Return the code before the last expression, and that expression; None for a missing part."""
    tree = ast.parse(code, FILE_NAME)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    body = compile(tree, FILE_NAME, "exec") if tree.body else None
    if not isinstance(last, ast.Expr):
        return body, None
    return body, compile(ast.Expression(last.value), FILE_NAME, "eval")
