"""A program that holds the embedded database of a home: ``holder.py HOME [MONGOD]``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from jobserver.storage.embedded import EmbeddedServer

#: It ends by itself after that, if its test did not end it.
SECONDS = 60.0

if __name__ == "__main__":
    server = EmbeddedServer(Path(sys.argv[1]), *sys.argv[2:])
    print(server.start(), server.pid, flush=True)
    time.sleep(SECONDS)
