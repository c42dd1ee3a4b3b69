"""What jobs may run beside the functions of the script table, as an administrator allows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobserver.errors import JobNotRunnable, Problem
from jobserver.sizes import MIB


@dataclass(frozen=True)
class ScriptPermissions:
    """Which kinds of scripts may run in a process.

    Attributes
    ----------
    files : Path or None
        Folder of the executables, where jobs may run files.
    code : bool
        Whether jobs may run code that they carry.
    output : int
        Bytes of each of its streams that the result of an executable keeps.
    """

    files: Path | None = None
    code: bool = False
    output: int = MIB

    @classmethod
    def from_setup(cls, setup: Mapping[str, Any]) -> ScriptPermissions:
        """The permits as a message between processes spells them."""
        files = setup["files"]
        return cls(files and Path(files), setup["code"], setup["output"])

    def problems(self, kind: str) -> list[Problem]:
        """Why scripts of a type, ``file`` or ``eval``, may not run; nothing where they may."""
        if kind == "file" and self.files is None:
            why = "is switched off: an administrator has to set PROCESS_FILE_ALLOWED"
        elif kind == "eval" and not self.code:
            why = "is switched off: an administrator has to set PROCESS_EVAL_ALLOWED"
        else:
            return []
        return [Problem("script.type", f"{kind} {why}")]

    def folder(self) -> Path:
        """Folder of the executables.

        Raises
        ------
        JobNotRunnable
            If jobs may not run files.
        """
        problems = self.problems("file")
        if problems or self.files is None:
            raise JobNotRunnable("The job cannot run.", problems)
        return self.files
