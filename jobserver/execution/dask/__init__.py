"""The executor for clusters: jobs are handed to the workers of a Dask scheduler.

::

    server  DaskExecutor -- id of a queued job, settings --> scheduler --> worker
    worker  run_job -> Station: claim, child, last update, as in a server's own slots

MongoDB remains the one durable record: whatever Dask forgets is still queued there and is handed
over again; whatever Dask tries twice finds the job claimed.
"""

from __future__ import annotations

from jobserver.execution.dask.executor import DaskExecutor

__all__ = ["DaskExecutor"]
