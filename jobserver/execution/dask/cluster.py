"""The connection to a Dask cluster; reconnects when its scheduler comes back."""

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

_CONNECT_SECONDS = 3.0


class Cluster:
    """A Dask cluster that jobs are handed to; for one thread.

    Parameters
    ----------
    address : str
        Address of the scheduler.
    server : WorkerSettings
        What the workers get beside the ids.

    Attributes
    ----------
    threads : int or None
        Number of its workers' threads at the last `look`; None without a connection.
    """

    def __init__(self, address: str, server: WorkerSettings) -> None:
        self._address = address
        self._server = server
        self._loop = LoopRunner()  # a client that fails would leave its own loop behind
        self._loop.start()
        self._client: Client | None = None
        self._logged = ""
        self.threads: int | None = None

    def look(self) -> None:
        """Connect if necessary, and note how large the cluster is now."""
        try:
            self.threads = sum(self._connected().nthreads().values())
        except (OSError, ValueError) as error:
            self.threads = None
            self._log(f"does not answer, and jobs wait: {error}")
        else:
            self._log("has workers" if self.threads else "has no workers, and jobs wait")

    def submit(self, job_id: JobId, done: Callable[[Future[str]], None]) -> None:
        """Hand a job over.

        Parameters
        ----------
        done : callable
            Called with the future once it is done, from another thread.

        Raises
        ------
        OSError
            If there is no connection.
        """
        key = f"jobserver-{job_id}-{secrets.token_hex(4)}"
        future = self._connected().submit(run_job, str(job_id), self._server, key=key, pure=False)
        fire_and_forget(future)
        future.add_done_callback(done)

    def close(self) -> None:
        """Disconnect; the cluster goes on with the jobs it has."""
        client, self._client = self._client, None
        if client is not None:
            client.close(_CONNECT_SECONDS)
        self._loop.stop()

    def _connected(self) -> Client:
        """Return the client; it reconnects by itself for a while, then it is replaced."""
        if self._client is None or self._client.status == "closed":
            self._client = None
            self._client = Client(
                self._address,
                timeout=_CONNECT_SECONDS,
                set_as_default=False,
                name="jobserver",
                loop=self._loop.loop,
            )
        if self._client.status != "running":
            raise OSError("the connection was lost")
        return self._client

    def _log(self, text: str) -> None:
        """Log a state of the cluster when it changes."""
        if text != self._logged:
            self._logged = text
            log.warning("the Dask scheduler at %s %s", self._address, text)
