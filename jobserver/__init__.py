"""Python functions, executables and command line tools behind a REST interface, as jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobserver.app import create_app
    from jobserver.context import current_job

__version__ = "0.2.0"
__all__ = ["__version__", "create_app", "current_job"]


def __getattr__(name: str) -> object:
    """Import the two public names on first use: the command line and the children stay light."""
    if name == "create_app":
        from jobserver.app import create_app

        return create_app
    if name == "current_job":
        from jobserver.context import current_job

        return current_job
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
