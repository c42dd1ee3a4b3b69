"""The embedded database: a MongoDB in ``<home>/db``, run as a child process.

It is used when ``MONGO_URI`` is not set. From the bottom up:

- ``address``: ports and sockets, and checking whether a database answers there;
- ``folder``: our files beside the database: lock, endpoint, password, log;
- ``process``: start, watch and end the process of the database;
- ``mongod``: find a mongod that runs on this machine, and configure it;
- ``secantus``, ``provision``: the fall-back, and creating the user of its new databases;
- ``choice``: choose one of the two;
- ``server``: decide which Jobserver runs the database, and restart it when it dies.
"""

from __future__ import annotations

from jobserver.storage.embedded.server import EmbeddedServer, uri_of

__all__ = ["EmbeddedServer", "uri_of"]
