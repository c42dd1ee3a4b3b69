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
