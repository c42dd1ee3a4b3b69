"""Where runs are scheduled: slots, and the children that they own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobserver.database import Database
    from jobserver.executors.base import Executor
    from jobserver.models.datafile import DataFiles
    from jobserver.settings import Settings


def make_executor(database: Database, datafiles: DataFiles, settings: Settings) -> Executor:
    """The executor that the setting ``EXECUTOR`` names."""
    if settings.EXECUTOR == "thread":
        from jobserver.executors.thread import ThreadExecutor

        return ThreadExecutor(database, datafiles, settings)
    from jobserver.executors.local import LocalExecutor

    return LocalExecutor(database, datafiles, settings)
