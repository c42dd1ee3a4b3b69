"""Create the user of a database: ``python provision.py <folder>``, the password on stdin.

Run as a script on a closed database. No server listens meanwhile, so nobody can connect before
there is a password. It can be run again: it drops all users and creates ours anew.
"""

from __future__ import annotations

import sys
from importlib import import_module


def main(folder: str, password: str) -> None:
    """Drop all users of the database and create ours, as the command ``createUser`` does.

    Parameters
    ----------
    folder : str
        The database's folder; created if missing.
    password : str
        The password of the user ``jobserver``, whose role is ``root``.
    """
    commands = import_module("secantus.commands")
    cursors = import_module("secantus.cursors").CursorRegistry()
    storage = import_module("secantus.storage").Storage(folder, sync_on_commit=True)
    try:
        while users := storage.list_users():
            for user in users:
                storage.drop_user(user["db"], user["user"])
        context = commands.CommandContext(connection_id=0, storage=storage, cursors=cursors)
        request = {"createUser": "jobserver", "pwd": password, "roles": ["root"], "$db": "admin"}
        answer = commands.dispatch(request, context)
    finally:
        storage.close()
    if answer["ok"] != 1.0:
        sys.exit(f"createUser: {answer['errmsg']}")


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin.read())
