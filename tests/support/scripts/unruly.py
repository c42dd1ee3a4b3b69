"""Scripts that behave badly; a copy lies in the home of the servers of these tests."""

from __future__ import annotations

import builtins
import ctypes
import faulthandler
import logging
import mmap
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import bson

from jobserver import current_job

FOREVER = 600.0
MIB = 1024 * 1024
hoard: list[bytearray] = []
_libc = ctypes.CDLL(None)
_home = Path()


def on_init(app: Any) -> None:
    """Keep where the home is."""
    global _home  # noqa: PLW0603 - set once in every child
    _home = Path(app.home)


# Scripts that do not end by themselves. Each prints "begun" first.


def spin() -> None:
    """Compute."""
    print("begun")
    while True:
        pass


def doze() -> None:
    """Sleep."""
    print("begun")
    time.sleep(FOREVER)


def hold_gil() -> None:
    """Sleep in C code that does not let another thread of Python run."""
    print("begun")
    ctypes.PyDLL(None).sleep(int(FOREVER))


def deaf() -> None:
    """Ignore every signal that can be ignored."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if number < 32:
            signal.signal(number, signal.SIG_IGN)
    print("begun")
    time.sleep(FOREVER)


def stopped() -> None:
    """Stop the process that runs it."""
    print("begun")
    os.kill(os.getpid(), signal.SIGSTOP)


def stop_guard() -> None:
    """Stop the process above it."""
    os.kill(os.getppid(), signal.SIGSTOP)
    print("begun")
    time.sleep(FOREVER)


def family() -> None:
    """Leave processes in sessions of their own, one of them orphaned."""
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    subprocess.run(["sh", "-c", "setsid sleep 600 & setsid setsid sleep 600 &"], check=True)
    print("begun")
    time.sleep(FOREVER)


def hop() -> None:
    """Leave a process that forks and ends all the time."""
    if os.fork() == 0:
        os.setsid()
        while True:
            if os.fork():
                os._exit(0)
    print("begun")
    time.sleep(FOREVER)


def flood() -> None:
    """Write faster than anybody reads."""
    print("begun")
    subprocess.run(["yes", "x" * 4000], check=True)


ENDLESS = (spin, doze, hold_gil, deaf, stopped, stop_guard, family, hop, flood)


# Scripts that end badly.


def end_by(number: int) -> None:
    """End by a signal."""
    os.kill(os.getpid(), number)


def crash() -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


def vanish(code: int) -> None:
    """End the process without a word."""
    os._exit(code)


def leave(how: str) -> None:
    """Raise something that is not an `Exception`."""

    class Odd(BaseException):
        def __str__(self) -> str:
            raise ValueError("no text")

    raise {
        "exit": SystemExit("as I like"),
        "interrupt": KeyboardInterrupt(),
        "odd": Odd(),
        "generator": GeneratorExit("left"),
        "surrogate": ValueError("half a character: \ud800"),
        "long": ValueError("x" * 20 * MIB),
    }[how]


def shut() -> None:
    """Close every file that is open."""
    os.closerange(0, 100)


def babble() -> None:
    """Write bytes that are not a message wherever possible."""
    for fd in range(3, 20):
        try:
            os.set_blocking(fd, False)
            os.write(fd, b"\xff" * 10_000)
        except OSError:
            continue
    time.sleep(FOREVER)


def end_guard() -> None:
    """Kill the process above it."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(FOREVER)


def leave_guard() -> None:
    """Start a process apart, and kill the one that would end it."""
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    end_guard()


# Scripts that take much.


def take(mib: int) -> int:
    """Take memory as Python does."""
    return len(bytearray(mib * MIB))


def map_memory(mib: int, seconds: float) -> None:
    """Take memory as C code does, and hold it."""
    memory = mmap.mmap(-1, mib * MIB)
    for offset in range(0, mib * MIB, 4096):
        memory[offset] = 1
    time.sleep(seconds)


def take_in_children(mib: int, children: int) -> None:
    """Take memory in several processes."""
    code = f"import time; held = b'x' * {mib * MIB}; time.sleep({FOREVER})"
    for _ in range(children):
        subprocess.Popen([sys.executable, "-c", code])
    time.sleep(FOREVER)


def share(mib: int, copies: int, seconds: float) -> None:
    """Take memory, and fork copies that only look at it."""
    held = b"x" * (mib * MIB)
    children = []
    for _ in range(copies):
        if pid := os.fork():
            children.append(pid)
        else:
            time.sleep(seconds)
            os._exit(len(held) == 0)
    for pid in children:
        os.waitpid(pid, 0)


def keep(mib: int) -> int:
    """Keep memory after the end."""
    hoard.append(bytearray(b"x") * (mib * MIB))
    return len(hoard)


def open_files(count: int) -> int:
    """Hold files open."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(number)).open("w") for number in range(count)]  # noqa: SIM115
        for file in files:
            file.close()
    return len(files)


def write_file(mib: int) -> None:
    """Write a file into the present folder."""
    with Path("large").open("wb") as file:
        for _ in range(mib):
            file.write(bytes(MIB))


def give(mib: int) -> str:
    """A long result."""
    return "x" * (mib * MIB)


def say(kib: int) -> None:
    """Print much, with a number in each line of 1 KiB."""
    for number in range(kib):
        print(f"{number:09}".ljust(1023, "."))


def tell_much(mib: int, seconds: float = 1.0) -> None:
    """Report progress with a long message."""
    current_job.progress(0.5, "x" * (mib * MIB))
    time.sleep(seconds)


def close_pipes() -> None:
    """Close all files but the standard ones, as daemons do."""
    os.closerange(3, 256)


def forge(how: str) -> None:
    """Send the server a forged end of the run, in an unexpected form."""
    end: dict[str, Any] = {"op": "done", "state": "finished", "result": {"a": "xx"}}
    changes: dict[str, dict[str, Any]] = {"state": {"state": 5}, "file": {"file": {"name": 5}}}
    message = bson.encode(end | changes.get(how, {}))
    if how == "text":
        message = message.replace(b"xx", b"\xff\xfe")
    for fd in _sockets():
        os.write(fd, message)
    time.sleep(FOREVER)


def _sockets() -> list[int]:
    """What leads to the server."""
    found = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]  # noqa: PTH208
    return [fd for fd in found if _is_socket(fd)]


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


# Scripts that leave something behind.


def leave_thread() -> None:
    """Leave a thread that prints."""

    def chatter() -> None:
        while True:
            print("from the thread")
            time.sleep(0.001)

    threading.Thread(target=chatter, daemon=True).start()


def leave_process() -> None:
    """Leave a process that writes for ever."""
    subprocess.Popen(["yes"], start_new_session=True)


def fork_twice() -> int:
    """Fork, and let every copy return."""
    os.fork()
    os.fork()
    return os.getpid()


def leave_alarm() -> None:
    """Leave a clock that ends the process soon."""
    signal.setitimer(signal.ITIMER_REAL, 0.3)


def leave_changes(what: str) -> None:
    """Change one thing of the process, and let it stay so."""
    changes: dict[str, Callable[[], object]] = {
        "children": lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
        "input": lambda: os.close(0),
        "open": lambda: setattr(builtins, "open", None),
        "watchdog": lambda: faulthandler.dump_traceback_later(0.5, exit=True),
    }
    changes[what]()


def leave_mess() -> str:
    """Change all of the process that can be changed."""
    os.environ["LEFT"] = "behind"
    os.environ.pop("PATH")
    os.umask(0o777)
    os.chdir("/")
    sys.path.insert(0, "/nowhere")
    sys.stdout = sys.stderr = sys.stdin = None
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    resource.setrlimit(resource.RLIMIT_CPU, (3600, 3600))
    warnings.simplefilter("error")
    return "done"


def close_streams() -> None:
    """Close the standard streams on every level."""
    sys.stdout.close()
    sys.stderr.close()
    os.close(1)
    os.close(2)


def write_own_file() -> str:
    """Write into the current folder, and return where."""
    Path("left").write_text("behind")
    Path("locked").mkdir()
    Path("locked", "file").touch()
    Path("locked").chmod(0)
    return str(Path.cwd())


def warn(how: str) -> None:
    """Raise an error that reveals where this file is."""
    if how == "warning":
        warnings.warn("be warned", stacklevel=1)
    elif how == "logging":
        try:
            raise ValueError("be logged")
        except ValueError:
            logging.getLogger().exception("it failed")
    else:
        print(f"this is {__file__}")


def split_character(pause: float) -> None:
    """Print a character in two pieces."""
    os.write(1, b"caf\xc3")
    time.sleep(pause)
    os.write(1, b"\xa9\n")


def say_and_fail(kib: int) -> None:
    """Print much, and raise."""
    say(kib)
    raise ValueError("after all")


def fail_somewhere() -> None:
    """Raise what names the present folder, a file in it, and one whose name begins alike."""
    here = Path.cwd()
    raise RuntimeError(f"in {here}, at {here}/a.csv, not {here}-b.csv")


# Scripts that look around.


def expect_nothing(seconds: float) -> list[Any]:
    """What one script finds that another may have changed; a warning is logged."""
    time.sleep(seconds)
    logging.getLogger().warning("still heard")
    code = subprocess.run(["sh", "-c", "exit 3"], check=False).returncode
    assert sys.stdin.read() == ""
    with open(__file__) as file:  # noqa: PTH123 - it is looked at
        return [code, bool(file.readline())]


def surroundings() -> dict[str, Any]:
    """What a script sees of the process that runs it."""
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "group": os.getpgid(0),
        "session": os.getsid(0),
        "environ": dict(os.environ),
        "parents_environ": Path(f"/proc/{os.getppid()}/environ").read_text(),
        "command": Path("/proc/self/cmdline").read_text(),
        "cwd": str(Path.cwd()),
        "listing": os.listdir(),  # noqa: PTH208 - the present folder
        "temporary": tempfile.gettempdir(),
        "input": sys.stdin.read() if sys.stdin else "",
        "umask": os.umask(0o022),
        "path": sys.path,
        "interrupt": str(signal.getsignal(signal.SIGINT)),
        "blocked": [str(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        "files": [str(Path(f"/proc/self/fd/{fd}").readlink()) for fd in sorted(_open_files())],
    }


def _open_files() -> list[int]:
    listed = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - numbers
    return [fd for fd in listed if Path(f"/proc/self/fd/{fd}").exists()]


def pid() -> int:
    """Number of the process that runs it."""
    return os.getpid()


def mark() -> dict[str, Any]:
    """Job and attempt."""
    return {"id": current_job.id, "attempt": current_job.attempt}


# Scripts that report something, or depend on the attempt.


def bar(steps: int, pause: float) -> int:
    """Draw a progress bar; the process that did."""
    from tqdm import tqdm

    for _ in tqdm(range(steps), desc="summing"):
        time.sleep(pause)
    return os.getpid()


def report_often(count: int) -> None:
    """Report progress much more often than anybody looks."""
    for number in range(count):
        current_job.progress(number / count, f"step {number}")


def write_everywhere() -> None:
    """Write by Python, by C and by another process."""
    print("by print")
    sys.stderr.write("to stderr\n")
    _libc.puts(b"by C")
    _libc.fflush(None)
    os.write(1, b"to the descriptor\n")
    subprocess.run(["echo", "by a process"], check=True)
    print("the end without a line", end="")


def fail_until(attempt: int) -> int:
    """Fail in the attempts before one."""
    print("attempt", current_job.attempt)
    if current_job.attempt < attempt:
        raise RuntimeError(f"attempt {current_job.attempt} had to fail")
    return current_job.attempt


def sign(name: str) -> None:
    """Add a line with job and attempt to a file of the home, whole at once."""
    with (_home / name).open("a") as file:
        file.write(f"{current_job.id} {current_job.attempt}\n")


def wait_for(name: str) -> str:
    """Sign, and wait until the home has a file."""
    sign("book")
    print("begun")
    while not (_home / name).exists():
        time.sleep(0.01)
    return "seen"


def stumble(name: str, pause: float) -> None:
    """Report progress and fail at first, then wait until the home has a file of that name."""
    if current_job.attempt == 1:
        current_job.progress(0.9, "nearly there")
        time.sleep(pause)  # until that is stored
        raise RuntimeError("it was not")
    wait_for(name)


def fail_slowly() -> None:
    """Fail again and again."""
    print("begun")
    time.sleep(0.05)
    raise RuntimeError("again")


def fine_times() -> dict[str, Any]:
    """Times with microseconds, alone and in a list."""
    moment = datetime(2018, 9, 5, 17, 24, 22, 607225)
    return {"alone": moment, "listed": [moment]}
