"""Scripts that write into the channel of their process, or hit the processes around it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import struct
import time

import bson

FOREVER = 600.0

_FIRST, _LAST = 3, 64


def _channel() -> int:
    """The socket through which the process of a run reports."""
    for fd in range(_FIRST, _LAST):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                return fd
        except OSError:
            continue
    raise OSError("there is no channel")


def garble() -> None:
    while True:
        os.write(_channel(), (struct.pack("<i", 64) + b"\xff" * 60) * 100)


def garble_all() -> None:
    """Write something short into each descriptor, as a careless script does, and return."""
    for fd in range(_FIRST, _LAST):
        try:
            os.write(fd, b"garbage")
        except OSError:
            continue


def leave_half() -> None:
    """Leave the beginning of a message that never ends, and end the process."""
    os.write(_channel(), struct.pack("<i", 4096))
    os._exit(0)


def forge() -> None:
    end = {"op": "done", "state": "finished", "result": {"pad": "x" * 100_000}}
    message = bson.encode({**end, "bad": "zz"}).replace(b"zz", b"\xff\xfe")
    os.write(_channel(), message)
    time.sleep(FOREVER)


def hoard(seconds: float) -> None:
    message = {"op": "workers", "used": 10**6, "free": 10**6}
    os.write(_channel(), bson.encode(message))
    print("begun")
    time.sleep(seconds)


def stop_above() -> None:
    os.kill(os.getppid(), signal.SIGSTOP)
    os._exit(4)


def leave_and_die(x: int) -> int:
    multiprocessing.Process(target=time.sleep, args=(FOREVER,)).start()
    if x == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return x
