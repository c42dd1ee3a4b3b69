"""What runs jobs in a Dask worker: slots with children of their own, as in a server."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from distributed import WorkerPlugin, get_worker

from jobserver.data.files import DataFiles
from jobserver.errors import NotFound
from jobserver.execution.dask.worker_settings import WorkerSettings
from jobserver.execution.local import LocalExecutor
from jobserver.execution.maintenance import Maintenance
from jobserver.storage.documents import JobId, parse_id

log = logging.getLogger(__name__)

#: Seconds that runs may go on when their worker closes: it is killed after some four.
CLOSE_SECONDS = 2.0
_PLUGIN = "jobserver"

_stations: dict[str, DaskWorker] = {}
_lock = threading.Lock()


def run_job(job_id: str, post: WorkerSettings) -> str:
    """Run a queued job in this Dask worker, and wait for it.

    Parameters
    ----------
    job_id : str
        The job; it is left alone if somebody else has it.
    post : WorkerSettings
        Whose job it is.

    Returns
    -------
    str
        Its state then.

    Raises
    ------
    SettingsError, StoreUnavailable, NotFound
        If this worker cannot run jobs of that server.
    """
    return _station(post).run(parse_id(job_id))


def _station(post: WorkerSettings) -> DaskWorker:
    """The station for a server's jobs; another one where its settings or its database changed."""
    with _lock:
        worker = get_worker()
        settings = post.settings(worker.state.nthreads)
        uri = post.address(settings)
        station = _stations.get(post.home)
        if station is None or not station.serves(post, uri):
            if station is not None:
                threading.Thread(target=station.drain, args=(threading.TIMEOUT_MAX,)).start()
            station = _stations[post.home] = DaskWorker(post, uri, worker.state.nthreads)
            if _PLUGIN not in worker.plugins:
                worker.loop.add_callback(worker.plugin_add, WorkerShutdown(), _PLUGIN)
        return station


class WorkerShutdown(WorkerPlugin):
    """Ends what runs in a Dask worker when that closes."""

    async def teardown(self, worker: Any) -> None:  # noqa: ARG002 - as Dask calls it
        """Close all stations."""
        await asyncio.to_thread(_close)


def _close() -> None:
    with _lock:
        stations = list(_stations.values())
        _stations.clear()
    for station in stations:
        station.drain(CLOSE_SECONDS)


class DaskWorker(LocalExecutor):
    """Runs the jobs that Dask hands to a worker, in as many slots as that has threads.

    Parameters
    ----------
    post : WorkerSettings
        Whose jobs.
    uri : str
        Connection string of their database.
    slots : int
        How many may run at once.
    """

    shut_down = "its Dask worker was shut down"

    def __init__(self, post: WorkerSettings, uri: str, slots: int) -> None:
        settings = post.settings(slots)
        database = post.connect(uri, settings)
        super().__init__(database, DataFiles.from_settings(database, settings), settings)
        self._serves = post, uri
        self._tickets: dict[JobId, threading.Event] = {}
        self._guard = threading.Lock()
        self.start()

    def make_keeper(self) -> Maintenance:
        """Looks after its own runs; the server does the rest."""
        return Maintenance(self, shared=False)

    def serves(self, post: WorkerSettings, uri: str) -> bool:
        """Whether it is the station of this server."""
        return self._serves == (post, uri) and not self.draining.is_set()

    def run(self, job_id: JobId) -> str:
        """Run a job once a slot is free, and tell its state then; see `run_job`."""
        with self._guard:
            ticket = self._tickets.get(job_id)
            if ticket is None:
                ticket = self._tickets[job_id] = threading.Event()
                self.waiting.put(job_id)
        ticket.wait()
        try:
            return str(self.runs.jobs.get(job_id)["state"])
        except NotFound:
            message = (
                f"a Dask worker finds no job {job_id} in its database: JOBSERVER_MONGO_URI has to "
                "name the database of the server"
            )
            raise NotFound(message) from None

    def submit(self, job_id: JobId) -> None:
        """Leave a job that is queued again to the server: `run` tells it."""

    def left(self, job_id: JobId) -> None:
        """Have `run` return."""
        with self._guard:
            if ticket := self._tickets.pop(job_id, None):
                ticket.set()

    def drain(self, grace: float) -> None:
        """Take no more jobs, give those that run ``grace`` seconds, then interrupt them."""
        super().drain(grace)
        for job_id in list(self._tickets):
            self.left(job_id)
        self.scripts.close()
