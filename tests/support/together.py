"""Which tests run in the same process: those that share servers, and else those of a file.

A server costs two seconds of a core, and every process of a test run has servers of its own.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

UNRULY = (
    *("api/test_event_streams", "child/test_child", "jobs/test_binding", "jobs/test_retries"),
    *(f"execution/test_{name}" for name in ("cancel", "limits", "queue", "races", "run_output")),
    *("processes/test_map", "processes/test_pipeline"),
)
#: What the files of a group begin with.
GROUPS = {
    "servers with unruly scripts": tuple(f"tests/{name}.py" for name in UNRULY),
    "a browser, clients, and the servers they share": (
        "tests/cli/",
        "tests/client/",
        "tests/clients/",
        "tests/web/",
    ),
    "servers for everybody, with a login, with a public address": (
        "tests/api/",
        *(f"tests/docs/test_{name}" for name in ("examples", "guide", "notebook", "pages")),
    ),
}


class Together(LoadScopeScheduling):  # type: ignore[misc, unused-ignore]  # it has no types
    """Hands out whole groups, in their order; small files come last and fill what is left."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((name for name, starts in GROUPS.items() if file.startswith(starts)), file)
