"""Tries to leave the sandbox that it runs in, and prints each way that worked as JSON.

Run by `jobserver.execution.supervision.sandbox` as ``python -m jobserver.child.ways_out FACTS``.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_REMOUNT, _MS_BIND, _MNT_DETACH = 32, 4096, 2
#: Files of the kernel that would let it change or stop the system.
_CONTROLS = ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches")
#: What a user namespace of its own gives, and what it replaces.
_OWN_RIGHTS = ("use capabilities",)

_libc = ctypes.CDLL(None)


def main() -> None:
    """Print the ways out, each as what code can do."""
    facts = json.loads(sys.argv[1])
    ways = {*_ways(facts)}
    if _is_apart("mnt", facts):  # else they are the mounts of the whole system
        ways |= {*_ways_by_mounts(facts), *_ways_as_own_root(facts)}
    print(json.dumps(sorted(ways)))


def _ways(facts: dict[str, Any]) -> Iterator[str]:
    status = Path("/proc/self/status").read_text().splitlines()
    held = dict(line.split(":\t", 1) for line in status if line.startswith(("Cap", "NoNewPrivs")))
    if any(int(text, 16) for name, text in held.items() if name.startswith("Cap")):
        yield "use capabilities"
    if held["NoNewPrivs"] != "1":
        yield "gain privileges"
    for name in facts["namespaces"]:
        if not _is_apart(name, facts):
            yield f"share the {name} namespace"
    if any(_connects(address) for address in facts["sockets"]):
        yield "reach sockets"
    if any(_opens(path, os.O_WRONLY) for path in _CONTROLS):
        yield "change the system"
    if any(os.access(folder, os.W_OK) for folder in facts["closed"]):
        yield "write outside its folder"
    roots = ["", *(f"{pid}/root" for pid in Path("/proc").glob("[0-9]*"))]
    if any(_reads(root + secret) for root in roots for secret in facts["secrets"]):
        yield "read files of homes"


def _is_apart(name: str, facts: dict[str, Any]) -> bool:
    """Whether a namespace is not the server's."""
    own = os.readlink(f"/proc/self/ns/{name}")  # noqa: PTH115 - not a path
    return bool(own != facts["namespaces"][name])


def _ways_by_mounts(facts: dict[str, Any]) -> Iterator[str]:
    """Yield what works after all is unmounted and remounted that can be."""
    for path in facts["closed"]:
        if _libc.mount(None, path.encode(), None, _MS_REMOUNT | _MS_BIND, None) == 0:
            yield "remount folders"
        if _libc.umount2(path.encode(), _MNT_DETACH) == 0:
            yield "unmount folders"
    yield from _ways(facts)


def _ways_as_own_root(facts: dict[str, Any]) -> list[str]:
    """Return what works in a user namespace of its own, if one can be made."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        ways: list[str] = []
        try:
            if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS) == 0:
                ways = [each for each in _ways_by_mounts(facts) if each not in _OWN_RIGHTS]
        finally:
            os.write(writer, json.dumps(ways).encode())
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as answer:
        found: list[str] = json.load(answer)
    return found


def _connects(address: str | int) -> bool:
    if isinstance(address, int):
        return _works(lambda: socket.create_connection(("127.0.0.1", address), 1).close())
    with socket.socket(socket.AF_UNIX) as own:
        return _works(lambda: own.connect(address))


def _opens(path: str, flags: int) -> bool:
    return _works(lambda: os.close(os.open(path, flags)))


def _reads(path: str) -> bool:
    """Whether a file has content, or a folder entries."""
    with suppress(OSError):
        return bool([*Path(path).iterdir()] if Path(path).is_dir() else Path(path).read_bytes())
    return False


def _works(action: Callable[[], None]) -> bool:
    with suppress(OSError):
        action()
        return True
    return False


if __name__ == "__main__":
    main()
