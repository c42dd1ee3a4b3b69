"""The parts of a running server that views work with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app

if TYPE_CHECKING:
    from jobserver.server.services import Services


KEY = "jobserver"


def services() -> Services:
    """The parts of the server that answers this request."""
    parts: Services = current_app.extensions[KEY]
    return parts
