"""The embedded database: a MongoDB in ``<home>/db``, run as a child process.

It is used when ``MONGO_URI`` is not set. From the bottom up:

- ``address``: ports and sockets, and asking whether a database answers there;
- ``folder``: the files kept beside the database: lock, endpoint, password, log;
- ``engine``: what every program that serves a database offers;
- ``program``, ``mongod``: finding a mongod that runs on this machine, and how it is started;
- ``secantus``, ``provision``: the fall-back, and making the one user of its new databases;
- ``choice``: which of the two it is;
- ``ending``: ending a database, ours or one that a killed process left behind;
- ``daemon``: one run of the database's process, which ends when ours does;
- ``pulse``: watching it;
- ``server``: whose turn it is to run the database, and starting it again when it dies.
"""

from __future__ import annotations

from jobserver.storage.embedded.server import EmbeddedServer, uri_of

__all__ = ["EmbeddedServer", "uri_of"]
