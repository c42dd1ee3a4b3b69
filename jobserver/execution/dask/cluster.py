"""The connection to a Dask cluster; reconnects when its scheduler comes back."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, cast
from urllib.parse import urlsplit

from distributed import Client, Future, fire_and_forget
from distributed.comm.core import CommClosedError, connect
from distributed.security import Security
from distributed.utils import LoopRunner, sync

from jobserver.execution.dask.backlog import Offers
from jobserver.execution.dask.versions import ASKED, differences
from jobserver.execution.dask.worker_settings import Answer, WorkerSettings
from jobserver.jobs.resources import Needs
from jobserver.storage.documents import JobId

log = logging.getLogger(__name__)

#: What a worker does for a job. A function of ours would be looked up while its worker reads the
#: message from the scheduler: one without Jobserver would break off, and take other jobs along.
_RUN = "__import__('jobserver.execution.dask.worker', fromlist=['run_job']).run_job(**order)"
_CONNECT_SECONDS = 3.0
#: Seconds that a scheduler may take to answer.
_ANSWER_SECONDS = 5.0
#: Seconds between two checks of what workers have installed.
_VERSION_SECONDS = 10.0
_NO_TLS = (
    "its address is tls://, but no certificates are configured: set "
    "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, and CERT and KEY of TLS__CLIENT"
)
_LOST = "the connection was lost"
_TLS_WANTED = "it closes the connection: if it uses TLS, DASK_SCHEDULER has to start with tls://"
_OTHER = "what listens there does not answer as a Dask scheduler should: check it, and the address"


class Cluster:
    """A Dask cluster that jobs are handed to; for one thread.

    Parameters
    ----------
    address : str
        Address of the scheduler.

    Attributes
    ----------
    threads : int or None
        Number of its workers' threads at the last `look`; None without a connection.
    offers : dict
        Resources of each worker by its address.
    status : str
        What there is to say about it.
    dashboard : str or None
        URL of its dashboard, if it has one.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # `status` says it
        self._loop = LoopRunner()  # a client that fails would leave its own loop behind
        self._loop.start()
        self._client: Client | None = None
        self._check_due = 0.0
        self._reported: set[str] = set()
        self._unchecked = False
        self.status = ""
        self.threads: int | None = None
        self.offers: Offers = {}
        self.dashboard: str | None = None

    def look(self) -> None:
        """Connect if necessary, and note how large the cluster is now."""
        try:
            client = self._connected()
            ask = cast("Any", client.scheduler).ncores
            threads = sync(self._loop.loop, ask, callback_timeout=_ANSWER_SECONDS)
            if self.threads is None or threads.keys() != self.offers.keys():
                self._learn(client, threads)
        except Exception as error:  # Dask raises whatever it likes
            self.threads, self.offers, self.dashboard = None, {}, None
            self._log(f"cannot be used, and jobs wait: {_reason(error)}")
        else:
            self.threads = sum(threads.values())
            self._log("has workers" if self.threads else "has no workers, and jobs wait")
            self._check_versions(client)

    def submit(
        self,
        job_id: JobId,
        server: WorkerSettings,
        needs: Needs,
        done: Callable[[Future[Answer]], None],
    ) -> Future[Answer]:
        """Hand a job over; return what `withdraw` takes.

        Parameters
        ----------
        server : WorkerSettings
            What its worker gets beside the id.
        needs : dict
            Resources of a worker that it needs.
        done : callable
            Called with the future once it is done, from another thread.

        Raises
        ------
        OSError
            If there is no connection.
        """
        key = f"jobserver-{job_id}-{secrets.token_hex(4)}"
        options = {"key": key, "pure": False, "resources": dict(needs) or None}
        if self._client is None or self._client.status != "running":
            raise OSError(_LOST)
        order = {"job_id": str(job_id), "server": asdict(server)}
        future = self._client.submit(eval, _RUN, {"order": order}, **options)
        fire_and_forget(future)
        future.add_done_callback(done)
        return future

    def withdraw(self, futures: list[Future[Answer]]) -> None:
        """Have the cluster forget jobs that none of its workers can run."""
        if futures and self._client is not None and self._client.status == "running":
            self._client.cancel(futures, force=True)  # which `fire_and_forget` wants, too

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
            sync(self._loop.loop, _greet, self._address)
            self._client = Client(
                self._address,
                timeout=_CONNECT_SECONDS,
                set_as_default=False,
                name="jobserver",
                loop=self._loop.loop,
            )
        if self._client.status != "running":
            raise OSError(_LOST)
        return self._client

    def _learn(self, client: Client, threads: dict[str, int]) -> None:
        """Note what the workers offer, and where the dashboard is."""
        info = client.scheduler_info(n_workers=-1)
        workers = info["workers"]
        self.offers = {
            address: workers.get(address, {}).get("resources", {}) for address in threads
        }
        link = client.dashboard_link if "dashboard" in info["services"] else None
        self.dashboard = link if urlsplit(link or "").scheme in ("http", "https") else None
        self._unchecked = bool(threads)

    def _check_versions(self, client: Client) -> None:
        """Compare what workers have installed, in the background as one of them may hang."""
        if self._unchecked and time.monotonic() >= self._check_due:
            self._unchecked, self._check_due = False, time.monotonic() + _VERSION_SECONDS
            threading.Thread(target=self._compare, args=(client,), daemon=True).start()

    def _compare(self, client: Client) -> None:
        try:
            found = cast("dict[str, Any]", client.get_versions(packages=ASKED))
        except Exception as error:
            log.info("the workers of the Dask cluster did not report their versions: %s", error)
            return
        workers = {address: each["packages"] for address, each in found["workers"].items() if each}
        for problem, worker in differences(found["client"]["packages"], workers).items():
            if problem not in self._reported:
                self._reported.add(problem)
                log.warning("the Dask worker at %s %s", worker, problem)

    def _log(self, text: str) -> None:
        """Log a state of the cluster when it changes."""
        status = f"the Dask scheduler at {self._address} {text}"
        if status != self.status:
            self.status = status
            log.log(logging.INFO if self.threads else logging.WARNING, "%s", status)


async def _greet(address: str) -> None:
    """Connect once: a client would wait for ever for a process that accepts and says nothing."""
    arguments = Security().get_connection_args("client")
    greeting = connect(address, _CONNECT_SECONDS, **arguments)
    try:
        comm = await asyncio.wait_for(greeting, _CONNECT_SECONDS + _ANSWER_SECONDS)
    except CommClosedError as error:
        raise OSError(_TLS_WANTED) from error
    comm.abort()


def _reason(error: Exception) -> str:
    """Return in a sentence why a scheduler cannot be used."""
    if isinstance(error, TypeError) and "ssl_context" in str(error):
        return _NO_TLS
    if isinstance(error, CommClosedError):
        return _LOST
    if isinstance(error, TimeoutError | MemoryError):  # other protocols are read as huge sizes
        return _OTHER
    return " ".join(f"{error}".split()) or type(error).__name__
