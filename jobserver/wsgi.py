"""``app`` for WSGI servers, and the settings of gunicorn: ``gunicorn -c python:jobserver.wsgi``.

Nothing starts at import, as threads and connections do not survive a fork. With these settings, a
worker of gunicorn opens the home when it starts; otherwise the first request of a process does. The
home is the folder in ``JOBSERVER_HOME``, or the current one.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from wsgiref.types import StartResponse, WSGIEnvironment

import psutil

from jobserver.api.framework.origin import check_host
from jobserver.errors import JobserverError
from jobserver.home.folder import check_home
from jobserver.home.platform import on_app_engine
from jobserver.home.settings import CONFIG, HOME, PREFIX, Settings, load_and_log, take_secrets
from jobserver.server.app_engine import AppEngine
from jobserver.server.server import Server
from jobserver.server.shutdown import exit_on_sigterm
from jobserver.storage.database import PATIENCE_SECONDS, SELECTION_SECONDS
from jobserver.system.process_tree import shield_memory

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.config import Config
    from gunicorn.workers.base import Worker

# Settings of gunicorn; options of its command line override them.
wsgi_app = "jobserver.wsgi:app"
worker_class = "gthread"
threads = 64
workers = 1  # each would have slots of its own
control_socket_disable = True
graceful_timeout = 40  # longer than `SHUTDOWN_GRACE`
timeout = 600  # the start may build indexes
if os.environ.get(f"{PREFIX}LOG_FORMAT") == "json":  # for the main process, which reads no home
    logconfig_dict = {
        "root": {"level": "WARNING", "handlers": ["error_console"]},
        "loggers": {
            "gunicorn.error": {"level": "INFO", "handlers": ["error_console"], "propagate": False}
        },
        "formatters": {"generic": {"()": "jobserver.system.logs.JsonFormatter"}},
    }

#: What no address means to gunicorn.
_EVERYWHERE = "0.0.0.0"  # noqa: S104
#: Seconds before the end of gunicorn's grace period that are kept for requests, and for the end.
_RESERVE_SECONDS = 8
#: How long a worker may go on to accept connections once it should not.
_ACCEPT_SECONDS = 1.5
#: The exit code of a worker that keeps gunicorn from starting another.
_CANNOT_START = 3


class Application:
    """A WSGI application that opens the home in the process that serves requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request."""
        # Of gunicorn: `start_response` is a method of an object that has the server's settings.
        config = getattr(getattr(start_response, "__self__", None), "cfg", None)
        if self._pid != os.getpid():
            self.open(config)
        environ["jobserver.threads"] = getattr(config, "threads", None)
        return self._app(environ, start_response)

    def open(self, config: Config | None = None, patience: float = SELECTION_SECONDS) -> None:
        """Open the home, unless this process did.

        Parameters
        ----------
        config : gunicorn.config.Config, optional
            Settings of gunicorn.
        patience : float
            Seconds to wait for a database that does not answer.

        Raises
        ------
        SettingsError, StoreUnavailable
            If the home cannot be served, or not at the addresses that gunicorn listens on.
        """
        with self._lock:
            if self._pid == os.getpid():
                return
            folder, name = Path(os.environ.get(HOME, ".")), os.environ.get(CONFIG, "default")
            check_home(folder, is_named=HOME in os.environ)
            settings = load_and_log(folder, name)
            if config:
                settings = _fitted(settings, config)
            os.umask(0o077)  # what is written is private
            home = self._home = Server(settings, patience=patience).open()
            atexit.register(home.close)
            self._app = AppEngine(home) if on_app_engine() else home.app
            self._pid = os.getpid()

    def drain(self) -> None:
        """Start no more runs, and wait a while for those in progress."""
        self._home.drain()


def _fitted(settings: Settings, config: Config) -> Settings:
    """Return settings whose grace period ends before gunicorn's; refuse addresses without login."""
    for address in config.address:
        if isinstance(address, tuple):  # and not a Unix socket
            check_host(address[0] or _EVERYWHERE, settings)
    grace = min(settings.SHUTDOWN_GRACE, max(config.graceful_timeout - _RESERVE_SECONDS, 0))
    return replace(settings, SHUTDOWN_GRACE=grace)


app = Application()


def on_starting(_: Arbiter) -> None:
    """Keep the secrets in the environment from all that gunicorn's main process starts."""
    shield_memory()
    take_secrets()


def post_worker_init(worker: Worker) -> None:
    """Open the home when a worker starts, and have SIGTERM drain it."""
    stop = signal.getsignal(signal.SIGTERM)
    exit_on_sigterm()  # while it waits for the database
    try:
        app.open(worker.cfg, PATIENCE_SECONDS)
    except JobserverError as error:
        worker.log.error("%s", error)
        sys.exit(_CANNOT_START)
    _drain_before(stop, worker)


def _drain_before(stop: Any, worker: Worker) -> None:
    """Have SIGTERM drain before a worker stops, and leave new requests to one that replaces it."""

    def drain() -> None:
        try:
            app.drain()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, stop)  # for the one after the grace period, or a second one
        parents = [process.info["ppid"] for process in psutil.process_iter(["ppid"])]
        is_replaced = parents.count(worker.ppid) > 1
        if is_replaced:
            worker.worker_connections = worker.max_keepalived = 0  # accept no more
        ending = threading.Timer(_ACCEPT_SECONDS if is_replaced else 0, drain)
        ending.daemon = True
        ending.start()

    signal.signal(signal.SIGTERM, on_sigterm)
