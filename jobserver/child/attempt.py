"""One attempt of a job, in a process of its own: its surroundings, its limits, its end."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

from jobserver.child.execution import execute
from jobserver.child.provenance import provenance
from jobserver.context import current_job
from jobserver.processes.seeds import plant
from jobserver.system.process_tree import flush, flush_files, work_in
from jobserver.system.protocol import send

if TYPE_CHECKING:
    import socket

    from jobserver.scripts.registry import Registry
    from jobserver.system.protocol import Message

_OWN_SIZE = Path("/proc/self/statm")


class Attempt:
    """Runs one job's script and tells how it ended; nothing that the script raises gets out.

    Parameters
    ----------
    registry : Registry
        The script table.
    home : str
        Folder of the server: it is cut off from file names that users see.
    spec : dict
        ``id``, ``attempt``, ``script``, ``data``, ``seed``, ``folder`` (an empty one to work in),
        ``memory`` (bytes, 0 for no limit), ``files`` (open files), ``file_size`` (bytes),
        ``small_result`` and ``largest_result`` (bytes: of one that needs no file, of any).
    channel : socket
        To the server.
    """

    def __init__(
        self, registry: Registry, home: str, spec: Message, channel: socket.socket
    ) -> None:
        self.registry = registry
        self.home = home
        self.spec = spec
        self._channel = channel
        self._pid = os.getpid()

    def run(self) -> None:
        """Run, and send the message that ends the attempt."""
        spec = self.spec
        self._tell({"op": "provenance", "provenance": provenance(self.registry, spec)})
        work_in(spec["folder"])
        _limit(spec)
        plant(spec["seed"])
        with current_job.entered(spec["id"], spec["attempt"], self._report, spec["seed"]):
            message = execute(self.registry, spec, self.home, self._channel)
        flush()
        flush_files()
        self._tell({**message, "op": "done"})

    def _report(self, fraction: float, text: str | None) -> None:
        self._tell({"op": "progress", "fraction": fraction, "message": text})

    def _tell(self, message: Message) -> None:
        """Send a message; a copy that a script forked ends where it would speak."""
        if os.getpid() != self._pid:
            os._exit(0)
        send(self._channel, message)


def _limit(spec: Message) -> None:
    """Limit memory, open files and file size, of this process and of each that it starts."""
    wanted = {resource.RLIMIT_NOFILE: spec["files"], resource.RLIMIT_FSIZE: spec["file_size"]}
    if spec["memory"]:  # relative to what the process has already
        wanted[resource.RLIMIT_AS] = _address_space() + spec["memory"]
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (limit, limit))


def _address_space() -> int:
    """Bytes of address space that this process has, 0 if unknown."""
    try:
        return int(_OWN_SIZE.read_bytes().split()[0]) * resource.getpagesize()
    except OSError:  # another system
        return 0
