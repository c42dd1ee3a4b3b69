"""What is noticed of what a script leaves behind in its process."""

from __future__ import annotations

import subprocess
import sys

import pytest

HARMLESS = [
    "value = sum(range(1000))",
    "import json, decimal",
    "open('/dev/null').close()",
    "kept = [os.dup(1) for _ in range(8)]",
    "signal.signal(signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))",
]
CHANGES = [
    "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "signal.signal(signal.SIGUSR1, lambda *_: None)",
    "signal.signal(signal.SIGINT, lambda *_: None)",
    "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])",
    "signal.setitimer(signal.ITIMER_REAL, 100)",
    "os.close(0)",
    "os.dup2(os.open('/dev/zero', 0), 0)",
    "os.umask(0o77)",
    "os.nice(1)",
    "kept = [os.dup(1) for _ in range(100)]",
    "resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))",
    "sys.setrecursionlimit(500)",
    "sys.setswitchinterval(0.5)",
    "sys.settrace(lambda *_: None)",
    "sys.excepthook = print",
    "socket.setdefaulttimeout(1)",
    "logging.disable(logging.CRITICAL)",
    "builtins.open = None",
    "builtins.added = 1",
    "del builtins.license",
    "threading.setprofile(print)",
]
#: Each change is looked at in a copy of one process that has everything imported.
PROGRAM = """
import builtins, logging, os, resource, signal, socket, sys, threading
from jobserver.traces import Traces

for change in sys.argv[1:]:
    if (child := os.fork()) == 0:
        before = Traces()
        exec(change)
        os._exit(Traces().left_by(before))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(("changes", "noticed"), [(HARMLESS, "0"), (CHANGES, "1")])
def test_what_is_noticed(changes: list[str], noticed: str) -> None:
    command = [sys.executable, "-c", PROGRAM, *changes]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert dict(zip(changes, told, strict=True)) == dict.fromkeys(changes, noticed)
