"""Runs jobs in a Dask worker: in slots with children of their own, as in a server."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from pathlib import Path

from bson import ObjectId
from distributed import WorkerPlugin, get_worker

from jobserver.data.files import DataFiles
from jobserver.errors import JobserverError, NotFound
from jobserver.execution.dask.script_archive import ScriptArchives, WorkerScripts
from jobserver.execution.dask.worker_settings import Answer, WorkerSettings
from jobserver.execution.local import LocalExecutor
from jobserver.home.settings import Settings
from jobserver.storage.database import Database
from jobserver.storage.documents import JobId, parse_id
from jobserver.storage.schema import check_schema
from jobserver.system.disk import remove_abandoned, temporary_folder

log = logging.getLogger(__name__)

#: Seconds that runs may go on when their Dask worker closes: it is killed after about four.
_CLOSE_SECONDS = 2.0
_PLUGIN = "jobserver"

_workers: dict[str, DaskWorker] = {}
_lock = threading.Lock()


def run_job(job_id: str, server: Mapping[str, object]) -> Answer:
    """Run a queued job in this Dask worker, and wait for it.

    Only plain values come and go, so that the scheduler can do without Jobserver.

    Parameters
    ----------
    job_id : str
        The job; it is left alone if another worker has it.
    server : mapping
        The fields of the `WorkerSettings` of the server whose job it is.

    Returns
    -------
    dict
        Its ``state`` afterwards; or the ``problem``, if this worker cannot run jobs of that server.
    """
    try:
        return {"state": _worker(WorkerSettings.received(server)).run(parse_id(job_id))}
    except JobserverError as error:
        return {"problem": str(error)}


def _worker(server: WorkerSettings) -> DaskWorker:
    """Return the worker for a server's jobs; a new one if its settings or database changed."""
    with _lock:
        host = get_worker()
        settings = server.settings(host.state.nthreads, _substitute(server))
        uri = server.address(settings)
        worker = _workers.get(server.home)
        if worker is None or not worker.serves(server, uri):
            if worker is not None:
                threading.Thread(target=worker.drain, args=(threading.TIMEOUT_MAX,)).start()
            worker = _workers[server.home] = DaskWorker(server, uri, settings)
            if _PLUGIN not in host.plugins:
                host.loop.add_callback(host.plugin_add, WorkerShutdown(), _PLUGIN)
        return worker


def _substitute(server: WorkerSettings) -> Path | None:
    """Return a folder to use in place of a home that cannot be read here; None if it can be."""
    if server.needs_home or os.access(server.path, os.R_OK | os.X_OK):
        return None
    return Path(_private_home().name)


@cache
def _private_home() -> tempfile.TemporaryDirectory[str]:
    remove_abandoned()  # of Dask workers that were killed
    return temporary_folder("home")


class WorkerShutdown(WorkerPlugin):
    """Ends the runs in a Dask worker when that closes."""

    async def teardown(self, worker: object) -> None:  # noqa: ARG002 - as Dask calls it
        """Drain all workers."""
        await asyncio.to_thread(_close)


def _close() -> None:
    with _lock:
        workers = list(_workers.values())
        _workers.clear()
    for worker in workers:
        worker.drain(_CLOSE_SECONDS)


class MissingFiles(DataFiles):
    """The data files of a server whose home is out of reach."""

    def for_owner(self, owner: ObjectId | None) -> DataFiles:  # noqa: ARG002 - nobody has any
        """Return this."""
        return self

    def as_file(self, name: str) -> AbstractContextManager[Path]:
        """Raise `NotFound`: it says what to do."""
        raise NotFound(
            f"The Dask worker cannot read the data file {name}: set DATAFILE_STORAGE = gridfs, or "
            "give it the server's home."
        )


class DaskWorker:
    """Runs the jobs that Dask hands to it, in as many slots as the Dask worker has threads.

    Parameters
    ----------
    server : WorkerSettings
        The server whose jobs it runs.
    uri : str
        Connection string of the server's database.
    settings : Settings
        Of this worker; see `WorkerSettings.settings`.
    """

    def __init__(self, server: WorkerSettings, uri: str, settings: Settings) -> None:
        database = server.connect(uri, settings)
        try:
            check_schema(database)
            self._scripts = WorkerScripts(settings, server.scripts, ScriptArchives(database))
        except BaseException:
            database.close()
            raise
        self._serves = replace(server, scripts=""), uri
        self._released: dict[JobId, threading.Event] = {}
        self._guard = threading.Lock()
        self._executor = self._started(database, self._scripts.settings, server)

    def _started(
        self, database: Database, settings: Settings, server: WorkerSettings
    ) -> LocalExecutor:
        is_away = settings.home != server.path.resolve() and settings.DATAFILE_STORAGE == "folder"
        files = MissingFiles if is_away else DataFiles
        executor = LocalExecutor(
            database,
            files.from_settings(database, settings),
            settings,
            serves_queue=False,
            shutdown_reason="its Dask worker was shut down",
            release=self._release,
        )
        executor.start()
        return executor

    def serves(self, server: WorkerSettings, uri: str) -> bool:
        """Whether this worker runs the jobs of a server, with its scripts as they are now."""
        same = self._serves == (replace(server, scripts=""), uri)
        return same and not self._executor.draining.is_set() and self._scripts.are(server.scripts)

    def run(self, job_id: JobId) -> str:
        """Run a job once a slot is free, and return its state; see `run_job`."""
        with self._guard:
            released = self._released.get(job_id)
            if released is None:
                released = self._released[job_id] = threading.Event()
                self._executor.submit(job_id)
        released.wait()
        try:
            return self._executor.lifecycle.jobs.get(job_id).state.value
        except NotFound:
            message = (
                f"a Dask worker finds no job {job_id} in its database: JOBSERVER_MONGO_URI has to "
                "name the database of the server"
            )
            raise NotFound(message) from None

    def drain(self, grace: float) -> None:
        """Take no more jobs, give running ones ``grace`` seconds, then interrupt them."""
        self._executor.drain(grace)
        for job_id in list(self._released):
            self._release(job_id)
        self._executor.scripts.close()
        self._scripts.remove()

    def _release(self, job_id: JobId) -> None:
        """Have `run` return."""
        with self._guard:
            if released := self._released.pop(job_id, None):
                released.set()
