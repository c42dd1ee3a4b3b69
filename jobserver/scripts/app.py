"""What a hook of a script learns of the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class App:
    """What `on_init` gets: the home and the public settings of the server.

    Attributes
    ----------
    home : str
        Folder of the server.
    config : dict
        Settings that are no secrets.
    runs : bool
        Whether this process will run scripts. One of the server's only looks at them, to tell what
        they are and check parameters: there is nothing to load for runs there.
    """

    def __init__(self, setup: Mapping[str, Any]) -> None:
        self.home: str = setup["home"]
        self.config: dict[str, Any] = setup["config"]
        self.runs: bool = setup["runs"]
