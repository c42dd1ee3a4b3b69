"""The connection to a Dask cluster, made anew when its scheduler comes back."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

from distributed import Client, Future, fire_and_forget
from distributed.utils import LoopRunner

from jobserver.execution.dask.worker import run_job
from jobserver.execution.dask.worker_settings import WorkerSettings
from jobserver.storage.documents import JobId

log = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0


class Cluster:
    """Where jobs are handed to; for one thread.

    Parameters
    ----------
    address : str
        Of the scheduler.
    post : WorkerSettings
        What the workers are told beside the ids.

    Attributes
    ----------
    threads : int or None
        Number of its workers' threads when `look` was called last; None without a connection.
    """

    def __init__(self, address: str, post: WorkerSettings) -> None:
        self._address = address
        self._post = post
        self._loop = LoopRunner()  # a client of its own would leave its loop behind if it fails
        self._loop.start()
        self._client: Client | None = None
        self._told = ""
        self.threads: int | None = None

    def look(self) -> None:
        """Connect where there is no connection, and see how large the cluster is now."""
        try:
            self.threads = sum(self._connected().nthreads().values())
        except (OSError, ValueError) as error:
            self.threads = None
            self._tell(f"does not answer, and jobs wait: {error}")
        else:
            self._tell("has workers" if self.threads else "has no workers, and jobs wait")

    def submit(self, job_id: JobId, done: Callable[[Future[str]], None]) -> None:
        """Hand a job over.

        Parameters
        ----------
        done : callable
            Gets the future once it is done, from another thread.

        Raises
        ------
        OSError
            If there is no connection.
        """
        key = f"jobserver-{job_id}-{secrets.token_hex(4)}"
        future = self._connected().submit(run_job, str(job_id), self._post, key=key, pure=False)
        fire_and_forget(future)
        future.add_done_callback(done)

    def close(self) -> None:
        """Disconnect; the cluster goes on with what it has."""
        client, self._client = self._client, None
        if client is not None:
            client.close(CONNECT_SECONDS)
        self._loop.stop()

    def _connected(self) -> Client:
        """The client; it connects again by itself for a while, then it is replaced."""
        if self._client is None or self._client.status == "closed":
            self._client = None
            self._client = Client(
                self._address,
                timeout=CONNECT_SECONDS,
                set_as_default=False,
                name="jobserver",
                loop=self._loop.loop,
            )
        if self._client.status != "running":
            raise OSError("the connection was lost")
        return self._client

    def _tell(self, text: str) -> None:
        """Log what changed."""
        if text != self._told:
            self._told = text
            log.warning("the Dask scheduler at %s %s", self._address, text)
