"""Homes for tests, whose embedded database has its user already.

Making the user of a new database takes as long as starting it. It is done once in each process that
tests; every other home gets a copy. Commands and `tests.faults.test_embedded` start with nothing.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from jobserver.embedded import EmbeddedServer
from jobserver.template import make_home


def prepared(home: Path) -> Path:
    """Make a home, and in it the folder of a database that nobody has used."""
    make_home(home)
    shutil.copytree(_database(), home / "db")
    return home


@cache
def _database() -> Path:
    home = Path(tempfile.mkdtemp(prefix="jobserver-prepared-"))
    atexit.register(shutil.rmtree, home)
    embedded = EmbeddedServer(home)
    embedded.start()
    embedded.stop()
    folder = home / "db"
    (folder / ".jobserver" / "endpoint.json").unlink()  # each has a port of its own
    return folder
