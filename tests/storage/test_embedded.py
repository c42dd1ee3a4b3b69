"""The embedded database: kept, supervised, guarded, and gone when it should be."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure

from jobserver.errors import SettingsError
from jobserver.storage.embedded import EmbeddedServer, process, server, uri_of
from jobserver.storage.embedded.choice import FALLBACK, choose_engine
from jobserver.storage.embedded.folder import DatabaseEndpoint, DatabaseFolder
from jobserver.storage.embedded.process import DatabaseProcess
from tests.support.server import lives

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Linux and macOS only")
ROOT = Path(__file__).parents[2]
HOLDER = ROOT / "tests" / "support" / "holder.py"


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Poll until the condition holds; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)
    return value


def runs(pid: int | None) -> bool:
    assert pid is not None
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def children() -> set[psutil.Process]:
    """All processes below this one."""
    return set(psutil.Process().children(recursive=True))


def client_of(uri: str) -> MongoClient[dict[str, Any]]:
    """A client whose writes are on the disk when they are answered."""
    return MongoClient(uri, serverSelectionTimeoutMS=500, journal=True)


def reads(client: MongoClient[dict[str, Any]]) -> list[Any]:
    """Ids in the collection, or nothing while the database is away."""
    try:
        return [document["_id"] for document in client.jobserver.things.find()]
    except AutoReconnect:
        return []


def pings(client: MongoClient[dict[str, Any]]) -> bool:
    try:
        return bool(client.admin.command("ping")["ok"])
    except AutoReconnect:
        return False


def refusal(uri: str) -> int | None:
    """The code with which the database refuses to list its databases."""
    with client_of(uri) as client, pytest.raises(OperationFailure) as caught:
        client.list_database_names()
    return caught.value.code


@pytest.fixture(params=["mongod", pytest.param("secantusdb", marks=pytest.mark.fallback)])
def program(request: pytest.FixtureRequest) -> str | None:
    """The setting ``MONGOD``: what is found on this machine, and the fall-back."""
    return FALLBACK if request.param == FALLBACK else None


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home without a running database."""
    return tmp_path


@pytest.fixture
def embedded(home: Path, program: str | None) -> Iterator[EmbeddedServer]:
    database = EmbeddedServer(home, program)
    yield database
    database.stop()


@pytest.fixture
def hold(program: str | None) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Start another process that holds a home."""
    holders: list[subprocess.Popen[str]] = []

    def start(home: Path) -> subprocess.Popen[str]:
        command = [sys.executable, str(HOLDER), str(home), *filter(None, [program])]
        holders.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        return holders[-1]

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


def told_by(holder: subprocess.Popen[str]) -> tuple[str, int]:
    """Connection string and process id of the database, once the holder has started it."""
    assert holder.stdout is not None
    uri, pid = holder.stdout.readline().split()
    return uri, int(pid)


@pytest.mark.parametrize("program", [pytest.param(FALLBACK, marks=pytest.mark.fallback)])
def test_fallback_has_a_password_that_nobody_sees(tmp_path: Path, embedded: EmbeddedServer) -> None:
    uri = embedded.start()
    folder = DatabaseFolder(tmp_path)
    password = folder.password()
    assert password
    assert password in uri
    assert refusal(f"mongodb://127.0.0.1:{embedded.port}/?directConnection=true") == 13
    assert refusal(uri.replace(password, "guess")) == 18
    family = [psutil.Process(), *filter(lives, psutil.Process().children(recursive=True))]
    assert all(password not in " ".join(process.cmdline()) for process in family)
    assert password not in folder.log.read_text()
    assert password not in set(psutil.Process(embedded.pid).environ().values())


def test_first_start_makes_a_private_home(
    tmp_path: Path, embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBSERVER_SECRET_KEY", "sesame")
    embedded.start()
    assert embedded.pid in {child.pid for child in children()}
    seen = psutil.Process(embedded.pid).environ()
    assert {name for name in seen if name.startswith("JOBSERVER_")} == set()
    assert "sesame" not in set(seen.values())
    for path in [tmp_path / "db", *(tmp_path / "db").rglob("*")]:
        private = 0o700 if path.is_dir() or path.is_socket() else 0o600
        assert path.stat().st_mode & 0o777 == private, path


@pytest.mark.parametrize("program", [None])
def test_mongod_listens_on_one_socket_and_no_port(embedded: EmbeddedServer, home: Path) -> None:
    embedded.start()
    found = psutil.Process(embedded.pid).net_connections("all")
    assert {connection.laddr for connection in found} <= {"../mongod.sock", ""}
    assert (home / "db" / "mongod.sock").is_socket()
    assert embedded.description.startswith("mongod 6.")


def test_stop_leaves_nothing_but_data_and_address(embedded: EmbeddedServer) -> None:
    before, family = set(threading.enumerate()), children()
    uri = embedded.start()
    with client_of(uri) as client:
        client.jobserver.things.insert_one({"_id": 1})
    pid = embedded.pid
    embedded.stop()
    embedded.stop()
    assert not runs(pid)
    assert (embedded.port, embedded.pid) == (None, None)
    until(lambda: set(threading.enumerate()) <= before)
    until(lambda: children() <= family)
    assert embedded.start() == uri
    with client_of(uri) as client:
        assert reads(client) == [1]


def test_client_rides_through_a_killed_database(embedded: EmbeddedServer, home: Path) -> None:
    uri = embedded.start()
    with client_of(uri) as client:
        client.jobserver.things.insert_one({"_id": 1})
        pid = embedded.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: reads(client)) == [1]
    assert uri_of(home) == uri
    assert embedded.pid != pid


def test_hung_database_is_replaced(
    embedded: EmbeddedServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PING_SECONDS", 0.05)
    monkeypatch.setattr(process, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(process, "RECOVERY_SECONDS", 3.0)
    uri = embedded.start()
    with client_of(uri) as client:
        client.jobserver.things.insert_one({"_id": 1})
        pid = embedded.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        assert until(lambda: embedded.pid != pid and reads(client)) == [1]
    assert uri_of(home) == uri


def test_database_ends_with_a_killed_process(
    home: Path, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    holder = hold(home)
    _, pid = told_by(holder)
    holder.kill()
    until(lambda: not runs(pid), seconds=3.0)


def test_next_process_takes_over_from_a_killed_one(
    embedded: EmbeddedServer, home: Path, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    holder = hold(home)
    told = told_by(holder)
    uri = embedded.start()
    assert (uri, embedded.pid) == told
    with client_of(uri) as client:
        client.jobserver.things.insert_one({"_id": 1})
        holder.kill()
        until(lambda: embedded.pid != told[1])
        assert not runs(told[1])
        assert until(lambda: reads(client)) == [1]
    assert uri_of(home) == told[0]


def test_next_one_takes_over_from_one_that_stops(
    embedded: EmbeddedServer, home: Path, program: str | None
) -> None:
    first = EmbeddedServer(home, program)
    try:
        uri = first.start()
        assert embedded.start() == uri
        pid = first.pid
        assert embedded.pid == pid
    finally:
        first.stop()
    with client_of(uri) as client:
        assert until(lambda: pings(client))
    assert embedded.pid != pid
    assert uri_of(home) == uri


def test_interrupted_first_start_does_no_harm(
    embedded: EmbeddedServer, home: Path, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    holder = hold(home)
    until((home / "db" / "WiredTiger").exists)
    holder.kill()
    with client_of(embedded.start()) as client:
        assert pings(client)


@pytest.mark.parametrize("program", [None])
def test_files_of_a_first_start_cut_off_are_set_aside(
    embedded: EmbeddedServer, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedded.start()
    embedded.stop()
    (home / "db" / ".jobserver" / "complete").unlink()
    (home / "db" / "WiredTiger.turtle").write_text("cut off")
    uri = embedded.start()
    [aside] = (home / "db" / ".jobserver").glob("incomplete-*")
    assert (aside / "WiredTiger.turtle").read_text() == "cut off"
    assert str(aside) in caplog.text
    with client_of(uri) as client:
        client.jobserver.things.insert_one({"_id": 1})
    embedded.stop()
    (home / "db" / "WiredTiger.turtle").write_text("damaged")
    with pytest.raises(SettingsError, match="its files are damaged"):
        embedded.start()
    assert (home / "db" / "WiredTiger.turtle").read_text() == "damaged"


def test_processes_of_a_home_that_start_at_once_leave_one_mark(home: Path) -> None:
    folder = DatabaseFolder(home)
    folder.prepare()
    for _ in range(100):
        with ThreadPoolExecutor(8) as starting:
            marking = [starting.submit(DatabaseFolder(home).mark_complete) for _ in range(8)]
        for each in marking:
            each.result()
        (folder.own / "complete").unlink()


def test_a_mark_that_cannot_be_left_says_what_to_do(home: Path) -> None:
    folder = DatabaseFolder(home)
    folder.prepare()
    shutil.rmtree(folder.own)
    with pytest.raises(SettingsError, match=r"cannot use .*db: .*set MONGO_URI"):
        folder.mark_complete()


@pytest.mark.parametrize("program", [None])
def test_data_of_a_start_that_left_no_mark_is_kept(embedded: EmbeddedServer, home: Path) -> None:
    with client_of(embedded.start()) as client:
        client.jobserver.things.insert_one({"_id": 1})
    embedded.stop()
    (home / "db" / ".jobserver" / "complete").unlink()
    with client_of(embedded.start()) as client:
        assert reads(client) == [1]


@pytest.mark.parametrize("program", [pytest.param(FALLBACK, marks=pytest.mark.fallback)])
def test_lost_password_is_made_anew_and_strangers_are_dropped(
    embedded: EmbeddedServer, home: Path
) -> None:
    old = embedded.start()
    with client_of(old) as client:
        client.jobserver.things.insert_one({"_id": 1})
        mallory: dict[str, Any] = {"pwd": "m", "roles": [{"role": "root", "db": "admin"}]}
        client.admin.command("createUser", "mallory", **mallory)
        client.other.command("createUser", "mallory", **mallory)
    embedded.stop()
    (home / "db" / ".jobserver" / "password").unlink()
    new = embedded.start()
    assert refusal(old) == 18
    for source in ("admin", "other"):
        address = f"mongodb://mallory:m@127.0.0.1:{embedded.port}"
        assert refusal(f"{address}/?authSource={source}&directConnection=true") == 18
    with client_of(new) as client:
        assert reads(client) == [1]
        assert [user["user"] for user in client.admin.command("usersInfo", 1)["users"]] == [
            "jobserver"
        ]


@pytest.mark.parametrize("program", [pytest.param(FALLBACK, marks=pytest.mark.fallback)])
def test_wrong_password_file_says_what_to_do(embedded: EmbeddedServer, home: Path) -> None:
    embedded.start()
    embedded.stop()
    family = children()
    DatabaseFolder(home).keep_password("another")
    with pytest.raises(SettingsError, match=r"delete .*password and start again"):
        embedded.start()
    assert children() <= family


def test_database_left_behind_is_ended_first(
    embedded: EmbeddedServer, home: Path, program: str | None
) -> None:
    folder = DatabaseFolder(home)
    folder.prepare()
    engine = choose_engine(folder, program)
    engine.prepare(folder)
    left = DatabaseProcess(folder, engine, engine.choose_port(20_001))
    try:
        folder.publish(DatabaseEndpoint(port=left.port, pid=left.pid, started=""))
        until(lambda: str(folder.database) in psutil.Process(left.pid).cmdline())
        embedded.start()
        assert not runs(left.pid)
        assert embedded.pid != left.pid
    finally:
        left.close()


@pytest.mark.parametrize("program", [pytest.param(FALLBACK, marks=pytest.mark.fallback)])
def test_strangers_process_and_port_are_left_alone(embedded: EmbeddedServer, home: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        folder = DatabaseFolder(home)
        folder.prepare()
        folder.publish(DatabaseEndpoint(port=port, pid=stranger.pid, started=""))
        embedded.start()
        assert embedded.port != port
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("has_user", [True, False])
def test_damaged_files_are_refused_with_the_reason(
    embedded: EmbeddedServer, home: Path, program: str | None, has_user: bool
) -> None:
    embedded.start()
    embedded.stop()
    (home / "db" / "WiredTiger.turtle").write_text("garbage")
    if not has_user:
        (home / "db" / ".jobserver" / "password").unlink(missing_ok=True)
    reason = "WiredTigerError: " if program else "its files are damaged"
    with pytest.raises(SettingsError, match=rf"did not start: .*{reason}.*MONGO_URI"):
        embedded.start()
    assert embedded.pid is None


def test_silent_start_ends_with_an_error(
    embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "START_SECONDS", 0.05)
    family = children()
    with pytest.raises(SettingsError, match="no answer within"):
        embedded.start()
    assert children() <= family


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("")
    with pytest.raises(SettingsError, match=r"cannot use .*db: .*set MONGO_URI"):
        EmbeddedServer(tmp_path).start()
