"""``/scripts``: what jobs can run, and with which parameters."""

from __future__ import annotations

from flask import Blueprint

from jobserver.api.endpoint import Answer, endpoint
from jobserver.api.schemas import Script, ScriptList
from jobserver.api.services import services
from jobserver.errors import NotFound

scripts = Blueprint("scripts", __name__)


@endpoint(
    scripts, "GET", "/scripts", policy="scripts.read", answers={200: ScriptList}, refusals=(503,)
)
def list_scripts() -> Answer:
    """List all scripts, and the modules that could not be loaded."""
    table = services().scripts.describe()
    found = {"found": len(table["scripts"]), "scripts": table["scripts"]}
    return Answer(found | ({"errors": table["errors"]} if table["errors"] else {}))


@endpoint(
    scripts,
    "GET",
    "/script/<name>",
    policy="scripts.read",
    answers={200: Script},
    refusals=(404, 503),
)
def read_script(name: str) -> Answer:
    """Describe a script and its parameters."""
    for script in services().scripts.describe()["scripts"]:
        if name in (script["name"], f"{script['module']}.{script['name']}"):
            return Answer(script)
    raise NotFound(f"There is no script {name}. GET /scripts lists what there is.")
