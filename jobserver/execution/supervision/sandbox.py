"""Isolation of code that clients send: bubblewrap, where it holds against every known way out."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from jobserver.execution.supervision.child_process import clean_environment
from jobserver.home.folder import is_home
from jobserver.scripts.wording import import_folders
from jobserver.system.disk import temporary_folder
from jobserver.system.protocol import RunSpec, Setup
from jobserver.system.run_user import RunUser

log = logging.getLogger(__name__)

BUBBLEWRAP, PROCESS = "bubblewrap", "process"
_TRY_SECONDS = 10
_NOBODY = "65534"
_NAMESPACES = ("user", "pid", "net", "ipc", "uts")
#: No capabilities, no other processes, no network, no terminal, and a user of no rights.
_OPTIONS = (
    *("--cap-drop", "ALL", "--uid", _NOBODY, "--gid", _NOBODY, "--unshare-cgroup-try"),
    *(f"--unshare-{name}" for name in _NAMESPACES),
    *("--die-with-parent", "--new-session"),
)
#: What programs need of the system; nothing in it is secret.
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/alternatives"),
    *("/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types"),
)
#: What in a home holds secrets, or what other jobs left.
_SECRETS = ("config.py", "secret.key", "db", "db/mongod.sock", "spool", "data")

#: The isolation that was found to hold, by home.
_found: dict[str, str] = {}
_lock = threading.Lock()


def isolation(setup: Setup) -> str:
    """Return ``bubblewrap`` if code cannot get out of it on this system, else ``process``.

    It is tried once for a home, and the log says what was found.
    """
    home = setup["home"]
    with _lock:
        if home not in _found:
            problem = _problem(setup)
            _found[home] = PROCESS if problem else BUBBLEWRAP
            if problem:
                log.warning("Code of jobs runs as the server's user, not isolated: %s.", problem)
            else:
                log.warning("Code of jobs is isolated by bubblewrap.")
        return _found[home]


def forget() -> None:
    """Try the isolation again when it is needed next."""
    with _lock:
        _found.clear()


def wrapper(setup: Setup, spec: RunSpec) -> list[str]:
    """Return the command that starts a child for code; empty where it is a plain process.

    Parameters
    ----------
    setup : Setup
        What the child loads.
    spec : RunSpec
        The run; the code can read its data, and write to its folder.
    """
    if isolation(setup) == PROCESS:
        return []
    source = spec["data"] or {}
    data = [str(source[name]) for name in ("path", "stored") if name in source]
    return _command(setup, spec["folder"], data, spec["memory"])


def _command(setup: Setup, folder: str, data: list[str], memory: int) -> list[str]:
    """Return the command of a sandbox.

    Parameters
    ----------
    folder : str
        What can be written to, beside temporary files in memory.
    data : list of str
        Files that can be read.
    memory : int
        Bytes that temporary files may take; 0 for no limit.
    """
    program, known = _program()
    size = ["--size", str(memory)] if memory and "--size" in known else []
    temporary = [*size, "--tmpfs"]
    mounts = {path: ["--ro-bind-try", path] for path in (*_SYSTEM, *_folders(setup))}
    mounts |= dict.fromkeys(("/home", "/root", "/tmp"), temporary)  # noqa: S108 - its own
    mounts |= {setup["home"]: ["--tmpfs"]} | {path: ["--ro-bind-try", path] for path in data}
    shown = [path for path in (setup["scripts"], setup["files"]) if path]
    mounts |= {path: ["--ro-bind-try", path] for path in shown}
    mounts[folder] = ["--bind", folder]
    last = ["--proc", "/proc", "--dev", "/dev", *temporary, "/dev/shm"]  # noqa: S108 - its own
    # The files in /proc/sys belong to root, which a server may be: it needs no capability.
    for path in ("/proc", "/dev", "/home", "/root", setup["home"], "/"):
        last += ["--remount-ro", path]
    return [
        *(program, *_OPTIONS, *(["--disable-userns"] if "--disable-userns" in known else [])),
        *(part for path in sorted(mounts, key=_parts) for part in (*mounts[path], path)),
        *(*last, "--setenv", "HOME", folder, "--chdir", "/", "--"),
    ]


def _parts(path: str) -> tuple[str, ...]:
    return Path(path).parts


@cache
def _program() -> tuple[str, str]:
    """Return the path of bubblewrap and its help; empty if there is none."""
    program = shutil.which("bwrap")
    if program is None:
        return "", ""
    done = subprocess.run(
        [program, "--help"], capture_output=True, text=True, timeout=_TRY_SECONDS, check=False
    )
    return program, done.stdout + done.stderr


def _folders(setup: Setup) -> Iterator[str]:
    """Yield the folders that the interpreter, its libraries and the scripts' modules are in."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    prefixes |= {os.path.realpath(prefix) for prefix in prefixes}
    yield from prefixes - {"/"}
    yield str(Path(os.path.realpath(sys.executable)).parent)
    for folder in import_folders():
        if Path(folder).is_dir() and not _holds_home(Path(folder), Path(setup["home"])):
            yield folder
    for module in ("jobserver", *setup["modules"]):
        spec = importlib.util.find_spec(module.partition(".")[0])
        if spec and spec.origin:
            yield from spec.submodule_search_locations or [spec.origin]


def _holds_home(folder: Path, home: Path) -> bool:
    """Whether a folder is a home, or holds this one: only the modules in it may be seen."""
    return is_home(folder) or home.is_relative_to(folder)


def _problem(setup: Setup) -> str:
    """Return why bubblewrap does not isolate code here; nothing if it does."""
    try:
        if not _program()[0]:
            return "bubblewrap (the command bwrap) is not installed"
        done = _try(setup)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not work: {error}"
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        return f"bubblewrap does not work: {reason}"
    ways: list[str] = json.loads(done.stdout)
    return f"in bubblewrap code can still {', '.join(ways)}" if ways else ""


def _try(setup: Setup) -> subprocess.CompletedProcess[str]:
    """Have `jobserver.child.ways_out` try to get out of a sandbox like that of a run."""
    with (
        temporary_folder("run") as folder,
        temporary_folder("other") as other,
        _listeners(Path(other)) as sockets,
    ):
        user = RunUser.named(setup["user"]) if setup["user"] else None
        if user:
            user.own(folder)
        secret = Path(other, "config.py")
        secret.write_text("another home\n")
        home, package = Path(setup["home"]), Path(__file__).parents[2]
        facts: dict[str, object] = {
            "secrets": [str(secret), *(str(home / name) for name in _SECRETS)],
            "sockets": [*sockets, str(home / "db" / "mongod.sock")],
            "closed": [str(package), setup["scripts"], setup["home"], "/", "/usr", "/dev"],
            "namespaces": {name: _namespace(name) for name in ("mnt", *_NAMESPACES)},
        }
        command = [*_command(setup, folder, [], 0), sys.executable, "-P", "-m"]
        return subprocess.run(
            [*command, "jobserver.child.ways_out", json.dumps(facts)],
            capture_output=True,
            text=True,
            timeout=_TRY_SECONDS,
            check=False,
            env=clean_environment(user),
            cwd="/",
            **(user.identity if user else {}),
        )


@contextlib.contextmanager
def _listeners(folder: Path) -> Iterator[list[str | int]]:
    """Listen on sockets of each kind; yield their addresses, the port of the last one."""
    with socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as abstract:
        named.bind(str(folder / "s"))
        abstract.bind(f"\0{folder.name}")
        with socket.create_server(("127.0.0.1", 0)) as network:
            for each in (named, abstract):
                each.listen()
            yield [str(folder / "s"), f"\0{folder.name}", network.getsockname()[1]]


def _namespace(name: str) -> str:
    return os.readlink(f"/proc/self/ns/{name}")  # noqa: PTH115 - not a path
