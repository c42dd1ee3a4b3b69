"""A server in front of a real Dask cluster, each process of which can be killed."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests.support.fleet import Fleet, free_port
from tests.support.server import until

HANDS = ("hand-1", "hand-2")


class Cluster(Fleet):
    """A server in front of a scheduler with two workers of one thread each."""

    def __init__(self, home: Path, **settings: object) -> None:
        self.address = f"tcp://127.0.0.1:{free_port()}"
        settings |= {"EXECUTOR": "dask", "DASK_SCHEDULER": self.address}
        super().__init__(home, ("scheduler", *HANDS, "server"), **settings)

    def command(self, name: str) -> tuple[str, ...]:
        """The module of a member, and its options."""
        if name == "scheduler":
            address = ("--host", "127.0.0.1", "--port", self.address.rpartition(":")[2])
            return "distributed.cli.dask_scheduler", *address, "--no-dashboard"
        if name in HANDS:
            size = ("--nthreads", "1", "--no-nanny", "--no-dashboard")
            return "distributed.cli.dask_worker", self.address, *size
        return super().command(name)

    def tend(self) -> None:
        """Start anew what ends when another member does: workers, with their scheduler."""
        self.start(*HANDS)

    def hand_of(self, job_pid: int) -> str:
        """The worker above the process of a script."""
        above = {process.pid for process in psutil.Process(job_pid).parents()}
        return next(name for name in HANDS if self.members[name].pid in above)

    def replace_hands(self) -> None:
        """Start what ends anew."""
        until(lambda: all(self.members[name].poll() is not None for name in HANDS), 30)
        self.start()


class AwayCluster(Fleet):
    """A scheduler with a worker that has the address of the database, and no home.

    Parameters
    ----------
    uri : str
        The database.
    """

    def __init__(self, home: Path, uri: str, **settings: object) -> None:
        self.address = f"tcp://127.0.0.1:{free_port()}"
        settings |= {"EXECUTOR": "dask", "DASK_SCHEDULER": self.address, "MONGO_URI": uri}
        settings |= {"DATAFILE_STORAGE": "gridfs"}
        super().__init__(home, ("scheduler", "away", "server"), **settings)
        self._uri = uri
        self.nowhere = home / "tmp" / "empty"
        self.nowhere.mkdir()

    def environ(self, name: str) -> dict[str, str]:
        """The worker gets the URI alone, and has the home of a user who has nothing there."""
        if name == "server":
            return super().environ(name)
        names = {"HOME": str(self.nowhere), "JOBSERVER_HOME": str(self.nowhere / "not-there")}
        return {"JOBSERVER_MONGO_URI": self._uri, **names}

    def command(self, name: str) -> tuple[str, ...]:
        """The module of a member, and its options."""
        port = self.address.rpartition(":")[2]
        address = ("--host", "127.0.0.1", "--port", port, "--dashboard-address", "127.0.0.1:0")
        resources = {"away": "GPU=1 memory=1e9", "bare": "bare=1"}
        if name == "scheduler":
            return "distributed.cli.dask_scheduler", *address
        if name not in resources:
            return super().command(name)
        size = ("--nthreads", "2", "--no-nanny", "--no-dashboard", "--resources", resources[name])
        module = "tests.support.bare_worker" if name == "bare" else "distributed.cli.dask_worker"
        return module, self.address, *size
