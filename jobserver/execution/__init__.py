"""Scheduling of runs: slots, and the children that they own."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING

from jobserver.errors import SettingsError
from jobserver.home.platform import on_app_engine

if TYPE_CHECKING:
    from jobserver.data.files import DataFiles
    from jobserver.execution.executor import Executor
    from jobserver.home.settings import Settings
    from jobserver.storage.database import Database

_ADDRESS = re.compile(
    r"((tcp|tls|ws|wss|ucx)://)?(\[[0-9a-fA-F:.%\w]+\]|[^\s:/\[\]]+):\d{1,5}", re.ASCII
)


def check_executor(settings: Settings) -> None:
    """Raise `SettingsError` if the executor that ``EXECUTOR`` names lacks something."""
    if settings.EXECUTOR != "dask":
        return
    if importlib.util.find_spec("distributed") is None:
        raise SettingsError('EXECUTOR = dask needs Dask: pip install "jobserver-rest[dask]".')
    if settings.DASK_SCHEDULER is None:
        raise SettingsError(
            "EXECUTOR = dask needs DASK_SCHEDULER, the address of the scheduler, such as "
            "tcp://127.0.0.1:8786."
        )
    if not _ADDRESS.fullmatch(settings.DASK_SCHEDULER):
        raise SettingsError(
            f"DASK_SCHEDULER is {settings.DASK_SCHEDULER!r}, but must be an address with a port, "
            "such as tcp://127.0.0.1:8786, or tls://... for a scheduler with TLS."
        )


def make_executor(database: Database, datafiles: DataFiles, settings: Settings) -> Executor:
    """Return the executor that the setting ``EXECUTOR`` names."""
    if settings.EXECUTOR == "dask":
        from jobserver.execution.dask import DaskExecutor

        return DaskExecutor(database, datafiles, settings)
    from jobserver.execution.local import LocalExecutor

    if on_app_engine():
        reason = "App Engine stopped the instance that ran it"
        return LocalExecutor(database, datafiles, settings, shutdown_reason=reason)
    return LocalExecutor(database, datafiles, settings)
