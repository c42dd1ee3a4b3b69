"""Four processes of gunicorn on one database: limits and starts count for all of them together."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from jobserver.home.settings import HOME, PREFIX
from tests.support.database import own_database
from tests.support.fleet import ROOT, START_SECONDS, free_port, make_signing_home
from tests.support.races import ASKERS, race
from tests.support.server import until

PROCESSES = 4
#: Wrong passwords that one client may send for one account; see `jobserver.users.accounts`.
_LOGINS = 100
#: Mails that one client may have sent to an address, in an hour.
_MAILS = 10
_PASSWORD = "a password of processes"  # noqa: S105 - of users of these tests
_BRIEF = {"script": {"name": "work", "kwargs": {"seconds": 0}}}
_LONG = {"script": {"name": "work", "kwargs": {"seconds": 600}}}
_LIMIT, _QUOTA, _BYTES = 7, 11, 50_000


def compete(count: int) -> Counter[str]:
    """Have clients ask all processes at once, and return how many requests each answered.

    Parameters
    ----------
    count : int
        Jobs that `ASKERS` clients start at once.

    Raises
    ------
    AssertionError
        If a job starts more or less than once, or a limit lets another number through.
    """
    with (
        tempfile.TemporaryDirectory(prefix="jobserver-faults-") as name,
        own_database(Path(name) / "database") as database,
        _serving(Path(name) / "home", database.uri) as processes,
        ThreadPoolExecutor(ASKERS) as pool,
    ):
        with processes.client("racer@example.org") as client:
            for _ in range(count):
                answers = race(client, pool, _BRIEF)
                assert answers == {202: 1, 409: ASKERS - 1}, answers
        _check_limits(processes, pool)
        answered = processes.answered()
        assert len(answered) == PROCESSES, answered
        return answered


def _check_limits(processes: _Processes, pool: ThreadPoolExecutor) -> None:
    """See to it that each limit lets exactly so many through."""
    with processes.client("limited@example.org", "limit", str(_LIMIT)) as client:
        ids = [client.put("/job", json=_LONG).json()["_id"] for _ in range(3 * _LIMIT)]
        answers = _together(pool, lambda one: client.post(f"/job/{one}/run"), ids)
        assert answers == {202: _LIMIT, 429: 2 * _LIMIT}, answers
        client.post("/jobs/cancel", json={})
    with processes.client("quota@example.org", "quota", str(_QUOTA)) as client:
        ids = [client.put("/job", json=_BRIEF).json()["_id"] for _ in range(3 * _QUOTA)]
        answers = _together(pool, lambda one: client.post(f"/job/{one}/run"), ids)
        assert answers == {202: _QUOTA, 429: 2 * _QUOTA}, answers
    with processes.client("storage@example.org", "storage", str(_BYTES)) as client:
        body = {"datatype": "text", "data": "x" * (_BYTES // 10)}
        answers = _together(pool, lambda _: client.put("/data", json=body), [""] * 2 * ASKERS)
        assert answers == {201: 9, 429: 2 * ASKERS - 9}, answers  # each takes a few bytes more
    with processes.client("wrong@example.org") as client:
        new = {"email": "new@example.org"}
        answers = _together(
            pool, lambda _: client.put("/user", json=new, auth=httpx.Auth()), [""] * 3 * _MAILS
        )
        assert answers[429] == 2 * _MAILS, answers
        wrong = httpx.BasicAuth("wrong@example.org", "not this password")
        tries = [""] * (_LOGINS + 60)
        answers = _together(pool, lambda _: client.get("/login", auth=wrong), tries)
        assert answers[401] == _LOGINS, answers
        assert set(answers) <= {401, 429, 503}, answers


def _together(
    pool: ThreadPoolExecutor, ask: Callable[[str], httpx.Response], about: list[str]
) -> Counter[int]:
    return Counter(pool.map(lambda one: ask(one).status_code, about))


class _Processes:
    """gunicorn with several processes on a home."""

    def __init__(self, home: Path, uri: str) -> None:
        self._home = home
        self._access = home / "access.log"
        self._address = f"127.0.0.1:{free_port()}"
        settings = {"MONGO_URI": uri, "LOGIN_REQUIRED": "true", "WORKERS": "1"}
        self._environ = {f"{PREFIX}{name}": text for name, text in settings.items()}
        self._environ |= {HOME: str(home), "PYTHONPATH": str(ROOT), "TMPDIR": str(home / "tmp")}

    def start(self) -> subprocess.Popen[bytes]:
        """Start all of them, and wait until each has answered."""
        options = (
            "-w",
            str(PROCESSES),
            "-k",
            "gthread",
            "--threads",
            "16",
            "--bind",
            self._address,
        )
        logs = ("--access-logfile", str(self._access), "--access-logformat", "%(p)s %(m)s %(U)s")
        with (self._home / "gunicorn.log").open("w") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gunicorn", *options, *logs),
                    *("--no-control-socket", "jobserver.wsgi:app"),
                ],
                env=self._environ,
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        until(self._all_answer, START_SECONDS)
        return process

    def _all_answer(self) -> bool:
        with suppress(httpx.HTTPError):
            for _ in range(PROCESSES):
                httpx.get(f"http://{self._address}/info", trust_env=False)
            return len(self.answered()) == PROCESSES
        return False

    def answered(self) -> Counter[str]:
        """Return how many requests each process answered."""
        return Counter(line.split()[0] for line in self._access.read_text().splitlines())

    @contextmanager
    def client(self, who: str, *limit: str) -> Iterator[httpx.Client]:
        """A client with a user of its own, whose ``limit`` is set by that command."""
        self._command(("add", who, "--password-stdin"))
        if limit:
            self._command((limit[0], who, limit[1]))
        with httpx.Client(
            base_url=f"http://{self._address}",
            auth=(who, _PASSWORD),
            timeout=60,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
        ) as client:
            yield client

    def _command(self, words: tuple[str, ...]) -> None:
        subprocess.run(
            [sys.executable, "-m", "jobserver", "user", *words, "--home", str(self._home)],
            input=f"{_PASSWORD}\n".encode(),
            env=self._environ,
            cwd=ROOT,
            check=True,
            capture_output=True,
        )


@contextmanager
def _serving(home: Path, uri: str) -> Iterator[_Processes]:
    """Processes that answer; they are ended afterwards."""
    make_signing_home(home)
    processes = _Processes(home, uri)
    gunicorn = processes.start()
    try:
        yield processes
    finally:
        gunicorn.terminate()
        gunicorn.wait(START_SECONDS)
