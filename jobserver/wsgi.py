"""``app`` for gunicorn and other WSGI servers: ``gunicorn -w 1 -k gthread jobserver.wsgi:app``.

Nothing starts at import, as threads and connections do not survive the fork of a preloading server.
The first request of a process opens the home: the folder in ``JOBSERVER_HOME``, or the current one.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

from jobserver.home.folder import check_home
from jobserver.home.settings import CONFIG, HOME, load
from jobserver.server.server import Server
from jobserver.storage.database import SELECTION_SECONDS


class Application:
    """A WSGI application that opens the home in the process that serves requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request."""
        if self._pid != os.getpid():
            self._open()
        # Of gunicorn: `start_response` is a method of an object that has the server's settings.
        settings = getattr(getattr(start_response, "__self__", None), "cfg", None)
        environ["jobserver.threads"] = getattr(settings, "threads", None)
        return self._home.app(environ, start_response)

    def _open(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            folder, name = Path(os.environ.get(HOME, ".")), os.environ.get(CONFIG, "default")
            check_home(folder, is_named=HOME in os.environ)
            os.umask(0o077)  # what is written is private
            self._home = Server(load(folder, name), patience=SELECTION_SECONDS).open()
            atexit.register(self._home.close)
            self._pid = os.getpid()


app = Application()
