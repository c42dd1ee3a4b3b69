"""The embedded database: SecantusDB in ``<home>/db``, run as a child process.

It is used when ``MONGO_URI`` is not set. From the bottom up:

- ``folder``: the files kept beside the database: lock, endpoint, password, log;
- ``port``: choosing one, and asking whether a database answers there;
- ``ending``: ending a database, ours or one that a killed process left behind;
- ``daemon``: one run of the database's process, which ends when ours does;
- ``provision``: a script that makes the one user of a new database;
- ``server``: whose turn it is to run the database, and starting it again when it dies.
"""

from __future__ import annotations

from jobserver.embedded.server import EmbeddedServer, uri_of

__all__ = ["EmbeddedServer", "uri_of"]
