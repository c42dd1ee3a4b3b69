"""The executor for clusters: hands jobs to the workers of a Dask scheduler.

::

    server  DaskExecutor -- id of a job, settings, checksum of the scripts --> scheduler --> worker
    worker  run_job -> DaskWorker: claim, child, last update, as in a server's own slots

MongoDB remains the only durable record: a job that Dask forgets is still queued there and is handed
over again; a job that Dask tries twice is found claimed.
"""

from __future__ import annotations

from jobserver.execution.dask.executor import DaskExecutor

__all__ = ["DaskExecutor"]
