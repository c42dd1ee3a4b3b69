"""``/scripts``: the scripts that jobs can run, with their parameters."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Literal

from flask import Blueprint
from pydantic import Field

from jobserver.api.framework.endpoint import Answer, Query, endpoint
from jobserver.api.framework.identity import services
from jobserver.api.framework.schemas import ScriptInfo, ScriptList
from jobserver.errors import NotFound
from jobserver.processes import executable
from jobserver.scripts.registry import unknown_script
from jobserver.storage.database import Document

scripts = Blueprint("scripts", __name__)


class ScriptQuery(Query):
    """Which of several scripts with the same name."""

    type: Literal["function", "file"] | None = Field(None, description="Type of the script.")


@endpoint(scripts, "GET", "/scripts", policy="scripts.read", answers={200: ScriptList})
def list_scripts() -> Answer:
    """List all scripts, and the modules that could not be loaded."""
    table = services().scripts.describe()
    listed = [*table["scripts"], *_executables()]
    found = {"found": len(listed), "scripts": listed}
    return Answer(found | ({"errors": table["errors"]} if table["errors"] else {}))


@endpoint(
    scripts,
    "GET",
    "/script/<name>",
    policy="scripts.read",
    query=ScriptQuery,
    answers={200: ScriptInfo},
    refusals=(404,),
)
def read_script(name: str, query: ScriptQuery) -> Answer:
    """Describe a script and its parameters; a function precedes a file of the same name."""
    table = services().scripts.describe()
    listed = chain(table["scripts"], _executables())
    known = [script for script in listed if query.type in (None, script["type"])]
    for script in known:
        if name in (script["name"], f"{script['module']}.{script['name']}"):
            return Answer(script)
    failed = [error["module"] for error in table["errors"]]
    text = unknown_script(name, [script["name"] for script in known], failed)
    raise NotFound(f"The script {text}")


def _executables() -> Iterator[Document]:
    """Yield descriptions of the executables that jobs may run."""
    settings = services().settings
    if settings.files_path:
        yield from executable.describe_executables(settings.files_path)
