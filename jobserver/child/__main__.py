"""The process that runs scripts: ``python -m jobserver.child``, started and owned by a server.

It has no access to the database and to secrets; see `jobserver.child.warm` for its parts.
"""

from __future__ import annotations

import os
import socket
import sys
from functools import partial

from jobserver.child.guard import guarded


def main() -> None:
    """Start the guard, and below it the child, on the channel named on the command line."""
    guarded(partial(_serve, int(sys.argv[1])))


def _serve(control: int) -> None:
    from jobserver.child.warm import serve
    from jobserver.system.process_tree import CUT_OFF
    from jobserver.system.protocol import ChannelClosed

    os.set_inheritable(control, False)
    try:
        serve(socket.socket(fileno=control))
    except ChannelClosed:
        os._exit(CUT_OFF)


if __name__ == "__main__":
    main()
