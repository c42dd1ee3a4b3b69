"""Scripts that change their process; a copy lies in the home of the servers of these tests.

Each entry of `STATES` changes one thing and looks at it. What a run changed must look in the next
run as it did when the scripts were imported.
"""

from __future__ import annotations

import ast
import asyncio
import atexit
import builtins
import codecs
import contextvars
import copy
import copyreg
import csv
import ctypes
import decimal
import faulthandler
import functools
import gc
import importlib
import io
import itertools
import json
import linecache
import locale
import logging
import mimetypes
import multiprocessing
import os
import pickle
import random
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import types
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
import pandas as pd

from jobserver import current_job

FOREVER = 600.0
MIB = 1024 * 1024
PIECE = 8 * MIB
OWN = Path("/proc/self")
#: Grows by itself, so it says nothing about what scripts did.
UNSTEADY_LIMIT = resource.RLIMIT_AS


def on_init(_: Any) -> None:
    """Import what takes long, once for all runs."""
    _pyplot()


# What runs change: the module's own state first.

_count = 0
_numbers = itertools.count()
_draws = random.Random(1)  # noqa: S311 - not a secret
_generator = np.random.default_rng(1)
_variable: contextvars.ContextVar[int] = contextvars.ContextVar("left", default=0)
_local = threading.local()
_hoard: list[Any] = []
_script = Path(__file__).open("rb")  # noqa: SIM115 - open for as long as the module
_stream = sys.stdout
_logger = logging.getLogger("leaving")


class _Thing:
    size = 1
    known: ClassVar[list[str]] = []


def _count_up() -> None:
    global _count  # noqa: PLW0603 - what is tested
    _count += 1


def _collect(item: int, into: list[int] = []) -> list[int]:  # noqa: B006 - what is tested
    into.append(item)
    return into


@functools.cache
def _remembered(item: int) -> int:
    return item


@functools.singledispatch
def _dispatched(_: object) -> int:
    return 0


def _ignore(*_: Any) -> None:
    return None


def _refuse(_: str) -> NoReturn:
    raise ImportError


class _Policy(asyncio.DefaultEventLoopPolicy):
    pass


class _Logger(logging.Logger):
    pass


def _find_codec(name: str) -> codecs.CodecInfo | None:
    return codecs.lookup("utf-8") if name == "left" else None


def _codecs() -> list[str]:
    found = []
    for look in (codecs.lookup, codecs.lookup_error):
        try:
            look("left")
            found.append(look.__name__)
        except LookupError:
            continue
    return found


def _pyplot() -> Any:
    import matplotlib.pyplot as plt

    return plt


def _draw() -> None:
    plt = _pyplot()
    plt.plot([1, 2], label="left")
    plt.title("left behind")


def _drawn() -> list[Any]:
    plt = _pyplot()
    numbers = plt.get_fignums()
    return [[number, len(plt.figure(number).axes)] for number in numbers]


def _set_logging() -> None:
    root = logging.getLogger()
    root.addHandler(logging.NullHandler())
    root.setLevel(logging.DEBUG)
    root.handlers[0].setFormatter(logging.Formatter("%(message)s"))
    logging.disable(logging.ERROR)
    logging.setLoggerClass(_Logger)
    logging.addLevelName(logging.INFO, "LEFT")
    logging.captureWarnings(capture=True)
    _logger.disabled = True
    _logger.propagate = False


def _logging() -> list[Any]:
    root = logging.getLogger()
    form = root.handlers[0].formatter
    return [
        len(root.handlers),
        form and form._fmt,
        root.level,
        root.manager.disable,
        logging.getLoggerClass().__name__,
        logging.getLevelName(logging.INFO),
        warnings.showwarning.__module__,
        _logger.disabled,
        _logger.propagate,
        sorted(root.manager.loggerDict),
    ]


def _modules() -> list[str]:
    replaced = [name for name, module in (("json", json),) if sys.modules.get(name) is not module]
    return [*replaced, *sorted(sys.modules.keys() & {"csv", "left"})]


def _take_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, _ignore)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def _signals() -> list[str]:
    return [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())]


def _raise_limits() -> None:
    for kind, value in ((resource.RLIMIT_CPU, 3600), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (value, value))
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))


def _limits() -> dict[str, Sequence[int]]:
    kinds = (name for name in dir(resource) if name.startswith("RLIMIT_"))
    values = {name: getattr(resource, name) for name in kinds}
    return {
        name: list(resource.getrlimit(kind))
        for name, kind in values.items()
        if kind != UNSTEADY_LIMIT
    }


def _take_hooks() -> None:
    sys.excepthook = sys.unraisablehook = sys.displayhook = sys.breakpointhook = _ignore
    threading.excepthook = _ignore
    sys.meta_path.insert(0, _Finder())
    sys.path_hooks.append(_refuse)
    sys.path_importer_cache.clear()


class _Finder:
    def find_spec(self, *_: Any) -> None:
        return None


def _hooks() -> list[Any]:
    return [
        sys.excepthook is sys.__excepthook__,
        sys.unraisablehook is sys.__unraisablehook__,
        sys.displayhook is sys.__displayhook__,
        sys.breakpointhook is sys.__breakpointhook__,
        threading.excepthook is threading.__excepthook__,
        len(sys.meta_path),
        len(sys.path_hooks),
        bool(sys.path_importer_cache),
    ]


def _trace() -> None:
    threading.settrace(_ignore)
    threading.setprofile(_ignore)
    sys.setprofile(_ignore)
    sys.settrace(_ignore)


def _traces() -> list[bool]:
    set_by = (sys.gettrace, sys.getprofile, threading.gettrace, threading.getprofile)
    return [get() is None for get in set_by]


def _change_collection() -> None:
    gc.disable()
    gc.set_threshold(1, 2, 3)
    gc.callbacks.append(_ignore)
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.unfreeze()


def _collection() -> list[Any]:
    frozen = gc.get_freeze_count() > 0
    return [gc.isenabled(), gc.get_threshold(), len(gc.callbacks), gc.get_debug(), frozen]


def _leave_threads() -> None:
    threading.stack_size(MIB)
    threading.Thread(target=time.sleep, args=[FOREVER], daemon=True).start()


def _threads() -> list[int]:
    counted = len(list((OWN / "task").iterdir()))
    size = threading.stack_size()
    threading.stack_size(size)
    return [threading.active_count(), counted, size]


def _open_files() -> None:
    _hoard.append(os.open(os.devnull, os.O_RDONLY))
    _hoard.append(os.pipe())
    _hoard.append(socket.socket())


def _files() -> list[str]:
    """What is open, by its kind."""
    found = []
    for name in os.listdir(OWN / "fd"):  # noqa: PTH208 - numbers
        try:
            found.append((OWN / "fd" / name).readlink().name.partition(":")[0])
        except OSError:  # of the listing itself
            continue
    return sorted(found)


def _close_input() -> None:
    os.close(0)
    sys.stdin = None


def _input() -> list[Any]:
    try:
        return [str((OWN / "fd" / "0").readlink()), sys.stdin.read()]
    except (AttributeError, OSError):
        return []


def _replace_streams() -> None:
    sys.stdout.reconfigure(line_buffering=False)  # type: ignore[union-attr]
    sys.stderr = io.StringIO()
    sys.__stdout__ = sys.__stderr__ = None  # type: ignore[misc]


def _streams() -> list[Any]:
    out = sys.stdout
    return [
        type(out).__name__,
        out.errors,
        isinstance(out, io.TextIOWrapper) and out.line_buffering,
        type(sys.stderr).__name__,
        type(sys.__stdout__).__name__,
        type(sys.__stderr__).__name__,
    ]


def _in_c(name: bytes) -> str:
    """A variable of the environment as C code sees it."""
    get = ctypes.CDLL(None).getenv
    get.restype = ctypes.c_char_p
    return (get(name) or b"").decode()


def _set_environment() -> None:
    os.environ["LEFT"] = "behind"
    os.environ.pop("PATH")
    os.putenv("LEFT_IN_C", "behind")


def _environment() -> list[Any]:
    own = {"TMPDIR", "PWD"}
    known = {name: text for name, text in os.environ.items() if name not in own}
    return [known, _in_c(b"LEFT_IN_C"), _in_c(b"PATH")]


def _set_time_zone() -> None:
    os.environ["TZ"] = "Asia/Kathmandu-5:45"
    time.tzset()


def _set_decimals() -> None:
    decimal.getcontext().prec = 3
    decimal.DefaultContext.prec = 4
    decimal.setcontext(decimal.Context(prec=5, rounding=decimal.ROUND_UP))


def _decimals() -> list[Any]:
    context = decimal.getcontext()
    return [context.prec, context.rounding, decimal.DefaultContext.prec]


def _warning_filters() -> list[str]:
    return [str(each) for each in warnings.filters]


def _set_options() -> None:
    pd.set_option("display.max_rows", 3)
    pd.set_option("display.precision", 1)
    pd.api.extensions.register_series_accessor("left")(_Thing)


def _options() -> list[Any]:
    options = [pd.get_option("display.max_rows"), pd.get_option("display.precision")]
    return [*options, hasattr(pd.Series, "left")]


def _other_table(*_: Any, **__: Any) -> pd.DataFrame:
    return pd.DataFrame({"value": [666.0, 666.0]})


def _replace_functions() -> None:
    pd.read_csv = pd.read_parquet = pd.DataFrame.mean = _other_table
    np.sum = _ignore  # type: ignore[assignment]
    json.loads = json.JSONEncoder.default = _ignore  # type: ignore[assignment, method-assign]
    pickle.Pickler = _Thing  # type: ignore[assignment, misc]
    time.monotonic = random.random = _ignore  # type: ignore[assignment]
    os._exit = os.fork = os.kill = _ignore  # type: ignore[assignment]
    type(current_job).progress = _ignore  # type: ignore[assignment, method-assign]


def _functions() -> list[str]:
    looked_at: list[Any] = [pd.read_csv, pd.read_parquet, pd.DataFrame.mean, np.sum, json.loads]
    looked_at += [json.JSONEncoder.default, pickle.Pickler, time.monotonic, random.random]
    looked_at += [os._exit, os.fork, os.kill]
    looked_at += [type(current_job).progress]
    return [f"{each.__module__}.{each.__name__}" for each in looked_at]


def _replace_builtins() -> None:
    vars(builtins).update(left=1, open=None, print=_ignore)


def _builtins() -> list[bool]:
    kept = isinstance(print, types.BuiltinFunctionType)
    return [hasattr(builtins, "left"), builtins.open is io.open, kept]


def _set_style() -> None:
    import matplotlib as mpl

    mpl.rcParams["lines.linewidth"] = 20.0
    mpl.rcParamsDefault["font.size"] = 50.0
    _pyplot().style.use("dark_background")


def _style() -> list[Any]:
    import matplotlib as mpl

    names: list[Any] = ["lines.linewidth", "axes.facecolor", "backend"]
    return [*(mpl.rcParams[name] for name in names), mpl.rcParamsDefault["font.size"]]


def _set_locale() -> None:
    locale.setlocale(locale.LC_ALL, "POSIX")


def _set_interpreter() -> None:
    sys.setrecursionlimit(5000)
    sys.setswitchinterval(1.0)
    sys.set_int_max_str_digits(1000)
    sys.dont_write_bytecode = not sys.dont_write_bytecode
    sys.argv.append("left")
    vars(sys)["ps1"] = "left"
    vars(sys)["flags"] = ()


def _interpreter() -> list[Any]:
    switch, digits = sys.getswitchinterval(), sys.get_int_max_str_digits()
    own = [hasattr(sys, "ps1"), sys.dont_write_bytecode, bool(sys.flags)]
    return [sys.getrecursionlimit(), switch, digits, sys.argv, own]


def _register() -> None:
    copyreg.pickle(_Thing, _ignore)  # type: ignore[arg-type]
    csv.register_dialect("left", delimiter=";")
    csv.field_size_limit(5)
    mimetypes.add_type("text/left", ".left")
    codecs.register(_find_codec)
    codecs.register_error("left", _ignore)  # type: ignore[arg-type]
    linecache.cache["left"] = 1, None, [], "left"
    Sequence.register(_Thing)
    _dispatched.register(int, id)


def _registered() -> list[Any]:
    return [
        _Thing in copyreg.dispatch_table,
        "left" in csv.list_dialects(),
        csv.field_size_limit(),
        mimetypes.guess_type("a.left")[0],
        _codecs(),
        "left" in linecache.cache,
        issubclass(_Thing, Sequence),
        len(_dispatched.registry),
    ]


def _set_process() -> None:
    os.nice(5)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    (OWN / "comm").write_text("left")
    (OWN / "oom_score_adj").write_text("777")
    (OWN / "coredump_filter").write_text("0x11")


def _process() -> list[Any]:
    files = ("comm", "oom_score_adj", "coredump_filter")
    values = [(OWN / name).read_text().strip() for name in files]
    return [os.nice(0), os.sched_getscheduler(0), *values]


def _set_timers() -> None:
    signal.setitimer(signal.ITIMER_REAL, 500.0)
    signal.setitimer(signal.ITIMER_VIRTUAL, 500.0)
    faulthandler.dump_traceback_later(500.0, exit=True)
    faulthandler.enable(sys.__stderr__ or sys.stderr)


def _timers() -> list[bool]:
    running = [
        signal.getitimer(kind)[0] > 0 for kind in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)
    ]
    return [*running, faulthandler.is_enabled()]


def _set_multiprocessing() -> None:
    multiprocessing.set_start_method("spawn", force=True)
    multiprocessing.Process(target=_ignore, daemon=True)
    multiprocessing.current_process().name = "left"


def _multiprocessing() -> list[Any]:
    name = multiprocessing.current_process().name
    return [multiprocessing.get_start_method(allow_none=True), name]


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _set_temporary() -> None:
    tempfile.tempdir = tempfile.template = "/"


def _set_thread_values() -> None:
    _variable.set(_variable.get() + 1)
    _local.value = 1


def _random_states() -> list[str]:
    return [repr(_draws.getstate()), repr(_generator.bit_generator.state)]


def _numpy_settings() -> list[Any]:
    return [np.geterr(), np.get_printoptions()["precision"], np.getbufsize()]


def _set_numpy() -> None:
    np.seterr(all="raise")
    np.set_printoptions(precision=1)
    np.setbufsize(16_000)


def _position() -> list[int]:
    return [_script.tell(), os.lseek(_script.fileno(), 0, os.SEEK_CUR)]


#: What changes a state, and what looks at it.
STATES: dict[str, tuple[Callable[[], object], Callable[[], Any]]] = {
    "a global variable": (_count_up, lambda: _count),
    "an attribute of a class": (lambda: setattr(_Thing, "size", 2), lambda: _Thing.size),
    "a list of a class": (lambda: _Thing.known.append("left"), lambda: _Thing.known),
    "a default argument": (lambda: _collect(1), lambda: repr(_collect.__defaults__)),
    "a cache": (lambda: _remembered(1), lambda: _remembered.cache_info().currsize),
    "an iterator": (lambda: next(_numbers), lambda: repr(_numbers)),
    "a generator of random numbers": (
        lambda: (_draws.random(), _generator.random()),
        _random_states,
    ),
    "values of a thread": (
        _set_thread_values,
        lambda: [_variable.get(), hasattr(_local, "value")],
    ),
    "a file that is read": (lambda: _script.read(10), _position),
    "the code of a function": (
        lambda: setattr(_ignore, "__code__", _find_codec.__code__),
        lambda: _ignore.__code__.co_name,
    ),
    "functions of other modules": (_replace_functions, _functions),
    "builtins": (_replace_builtins, _builtins),
    "modules that are removed": (lambda: sys.modules.pop("csv"), _modules),
    "modules that are replaced": (
        lambda: sys.modules.update(json=types.ModuleType("json"), left=ast),
        _modules,
    ),
    "modules that are imported": (
        lambda: importlib.import_module("xml.dom.pulldom"),
        lambda: "xml.dom.pulldom" in sys.modules,
    ),
    "classes that are derived": (
        lambda: _hoard.append(type("Derived", (_Thing,), {})),
        lambda: len(_Thing.__subclasses__()),
    ),
    "the search path": (lambda: sys.path.insert(0, "/nowhere"), lambda: sys.path),
    "figures": (_draw, _drawn),
    "the style of figures": (_set_style, _style),
    "options of pandas": (_set_options, _options),
    "options of numpy": (_set_numpy, _numpy_settings),
    "the context of decimals": (_set_decimals, _decimals),
    "filters of warnings": (lambda: warnings.simplefilter("error"), _warning_filters),
    "logging": (_set_logging, _logging),
    "the environment": (_set_environment, _environment),
    "the time zone": (_set_time_zone, lambda: [time.tzname, time.timezone]),
    "the locale": (_set_locale, lambda: locale.setlocale(locale.LC_ALL)),
    "signal handlers": (_take_signals, _signals),
    "blocked signals": (
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2}),
        lambda: [int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    ),
    "timers": (_set_timers, _timers),
    "hooks": (_take_hooks, _hooks),
    "trace functions": (_trace, _traces),
    "garbage collection": (_change_collection, _collection),
    "settings of the interpreter": (_set_interpreter, _interpreter),
    "threads": (_leave_threads, _threads),
    "open files": (_open_files, _files),
    "closed files": (lambda: os.closerange(_script.fileno(), _script.fileno() + 1), _files),
    "the standard input": (_close_input, _input),
    "whether the standard input blocks": (
        lambda: os.set_blocking(0, False),
        lambda: os.get_blocking(0),
    ),
    "the standard streams": (_replace_streams, _streams),
    "the mask of new files": (lambda: os.umask(0o777), _umask),
    "the working folder": (lambda: os.chdir("/"), lambda: os.getcwd() == os.environ["PWD"]),  # noqa: PTH109
    "the folder of temporary files": (
        _set_temporary,
        lambda: [tempfile.gettempdir() == os.environ["TMPDIR"], tempfile.gettempprefix()],
    ),
    "limits": (_raise_limits, _limits),
    "how the system sees the process": (_set_process, _process),
    "the time-out of sockets": (lambda: socket.setdefaulttimeout(1), socket.getdefaulttimeout),
    "registries of the standard library": (_register, _registered),
    "what is called at the exit": (
        lambda: atexit.register(_ignore),
        atexit._ncallbacks,
    ),
    "the policy of event loops": (
        lambda: asyncio.set_event_loop_policy(_Policy()),
        lambda: type(asyncio.get_event_loop_policy()).__name__,
    ),
    "multiprocessing": (_set_multiprocessing, _multiprocessing),
}


def look(what: str) -> Any:
    """What a state is."""
    return STATES[what][1]()


def leave(what: str) -> list[Any]:
    """Change a state; what it was and what it is."""
    change, looked_at = STATES[what]
    before = copy.deepcopy(looked_at())
    change()
    return [before, looked_at()]


# What the scripts of others notice.


def count() -> int:
    """How often this module was asked."""
    _count_up()
    return _count


def seed_all() -> None:
    """Make random numbers known."""
    random.seed(42)
    np.random.seed(42)  # noqa: NPY002, RUF100 - what is tested


def draw() -> list[float]:
    """Random numbers."""
    return [random.random(), float(np.random.random())]  # noqa: NPY002, RUF100, S311


def identify() -> list[str]:
    """Names that nothing else may have."""
    import uuid

    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        return [str(uuid.uuid4()), str(uuid.uuid1()), file.name]


def sketch(values: list[float], title: str) -> Any:
    """Draw into the present figure, as tutorials do."""
    plt = _pyplot()
    plt.plot(values)
    if title:
        plt.title(title)
    return plt.gcf()


def recode(text: str) -> None:
    """Print in another encoding."""
    sys.stdout.reconfigure(encoding="latin-1")  # type: ignore[union-attr]
    print(text)


def say(text: str, where: str) -> None:
    """Print to a stream that was bound at the import, or got otherwise."""
    if where == "logging":
        _logger.info(text)
    elif where == "original":
        print(text, file=sys.__stdout__)
    elif where == "descriptor":
        os.write(1, f"{text}\n".encode())
    else:
        print(text, file=_stream)


# What lies outside of the process.


def share_memory(mib: int) -> dict[str, Any]:
    """Leave a segment of shared memory, and a pool of processes that use it."""
    segment = SharedMemory(create=True, size=mib * MIB)
    Path("/dev/shm", segment.name).write_bytes(b"left")  # noqa: S108
    pool = multiprocessing.Pool(2)
    lock = multiprocessing.Lock()
    array = multiprocessing.Array("d", 1000)
    _hoard.extend([segment, pool, lock, array])
    pids = [each.pid for each in multiprocessing.active_children()]
    children = Path(f"{OWN}/task/{os.getpid()}/children").read_text().split()
    return {"name": segment.name, "pids": sorted({*map(int, children), *filter(None, pids)})}


def write_shared(name: str, folder: str) -> None:
    """Put a file and a folder where shared memory is."""
    Path(folder, name).write_text("left")
    Path(folder, f"{name}.d").mkdir()
    Path(folder, f"{name}.d", "file").write_text("left")


def use_segment(name: str) -> str:
    """Wait for another run's segment, and use it."""
    print("begun")
    deadline, segment = time.monotonic() + 20, Path("/dev/shm", name)  # noqa: S108
    while not (segment.exists() and any(segment.read_bytes()[:6])) and time.monotonic() < deadline:
        time.sleep(0.01)
    return segment.read_bytes()[:6].decode()


def fill_shared_memory() -> None:
    """Fill the shared memory."""
    for number in itertools.count():
        Path(f"/dev/shm/{current_job.id}-{number}").write_bytes(bytes(PIECE))  # noqa: S108
        time.sleep(0.02)


# What hits the processes around it.


def _ancestors() -> list[int]:
    """Numbers of the processes above this one, from below."""
    found: list[int] = []
    pid = os.getpid()
    while pid > 1 and len(found) < 4:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def hit(above: int, number: int) -> None:
    """Send a signal to a process above this one: 0 the warm one, 1 the base, 2 the guard."""
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in _ancestors()[: above + 1]]
    assert all("jobserver.child" in command for command in commands), commands
    os.kill(_ancestors()[above], number)
    time.sleep(FOREVER)


def end_group() -> None:
    """Kill all processes of the group."""
    os.killpg(0, signal.SIGKILL)


def wait_for(name: str) -> None:
    """Wait until the home has a file; the number of this process is printed before."""
    print(f"begun {os.getpid()}")
    gate = Path(__file__).parents[1] / name
    while not gate.exists():
        time.sleep(0.005)


def close_all() -> None:
    """Close all files."""
    os.closerange(0, 4096)


def start_threads() -> None:
    """Start threads until there can be no more."""
    while True:
        threading.Thread(target=time.sleep, args=[FOREVER], daemon=True).start()


def start_processes() -> None:
    """Start processes that hold memory until there can be no more."""
    for _ in range(6):
        if os.fork() == 0:
            held = b"x" * (64 * MIB)
            time.sleep(FOREVER)
            os._exit(len(held) == 0)
    time.sleep(FOREVER)
