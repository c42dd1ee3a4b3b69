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
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure

from jobserver.embedded import EmbeddedServer, pulse, server
from jobserver.embedded.daemon import Daemon, provision
from jobserver.embedded.folder import Endpoint, Folder
from jobserver.errors import SettingsError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Linux and macOS only")
ROOT = Path(__file__).parents[2]

HOLDER = """
import sys, time
from pathlib import Path
from jobserver.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.port, server.pid, flush=True)
time.sleep(60)
"""


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
    return MongoClient(uri, serverSelectionTimeoutMS=500)


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


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("provisioned")
    folder = Folder(home)
    folder.prepare()
    assert folder.lock()
    provision(folder)
    folder.unlock()
    return home


@pytest.fixture
def home(provisioned: Path, tmp_path: Path) -> Path:
    """A home whose database has been made already."""
    shutil.copytree(provisioned / "db", tmp_path / "db")
    return tmp_path


@pytest.fixture
def embedded(home: Path) -> Iterator[EmbeddedServer]:
    database = EmbeddedServer(home)
    yield database
    database.stop()


@pytest.fixture
def hold() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Start another process that holds a home."""
    holders: list[subprocess.Popen[str]] = []

    def start(home: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(home)]
        holders.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        return holders[-1]

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


def told_by(holder: subprocess.Popen[str]) -> tuple[int, int]:
    """Port and process id of the database, once the holder has started it."""
    assert holder.stdout is not None
    port, pid = holder.stdout.readline().split()
    return int(port), int(pid)


def test_first_start_makes_a_private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSERVER_SECRET_KEY", "sesame")
    embedded = EmbeddedServer(tmp_path)
    uri = embedded.start()
    try:
        folder = Folder(tmp_path)
        password = folder.password()
        assert password
        assert password in uri
        assert refusal(f"mongodb://127.0.0.1:{embedded.port}/?directConnection=true") == 13
        assert refusal(uri.replace(password, "guess")) == 18

        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        assert embedded.pid in {process.pid for process in family}
        assert all(password not in " ".join(process.cmdline()) for process in family)
        assert password not in folder.log.read_text()
        seen = psutil.Process(embedded.pid).environ()
        assert {name for name in seen if name.startswith("JOBSERVER_")} == set()
        assert not {"sesame", password} & set(seen.values())

        for path in [folder.database, *folder.database.rglob("*")]:
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    finally:
        embedded.stop()


def test_stop_leaves_nothing_but_data_and_port(embedded: EmbeddedServer) -> None:
    before, family = set(threading.enumerate()), children()
    with client_of(embedded.start()) as client:
        client.jobserver.things.insert_one({"_id": 1})
    port, pid = embedded.port, embedded.pid
    embedded.stop()
    embedded.stop()
    assert not runs(pid)
    assert (embedded.port, embedded.pid) == (None, None)
    until(lambda: set(threading.enumerate()) <= before)
    until(lambda: children() <= family)
    with client_of(embedded.start()) as client:
        assert reads(client) == [1]
    assert embedded.port == port


def test_client_rides_through_a_killed_database(embedded: EmbeddedServer) -> None:
    with client_of(embedded.start()) as client:
        client.jobserver.things.insert_one({"_id": 1})
        port, pid = embedded.port, embedded.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: reads(client)) == [1]
    assert embedded.port == port
    assert embedded.pid != pid


def test_hung_database_is_replaced(
    embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "PING_SECONDS", 0.05)
    monkeypatch.setattr(pulse, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(pulse, "RECOVERY_SECONDS", 3.0)
    with client_of(embedded.start()) as client:
        client.jobserver.things.insert_one({"_id": 1})
        port, pid = embedded.port, embedded.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        assert until(lambda: embedded.pid != pid and reads(client)) == [1]
    assert embedded.port == port


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
    assert (embedded.port, embedded.pid) == told
    with client_of(uri) as client:
        client.jobserver.things.insert_one({"_id": 1})
        holder.kill()
        until(lambda: embedded.pid != told[1])
        assert not runs(told[1])
        assert until(lambda: reads(client)) == [1]
    assert embedded.port == told[0]


def test_next_one_takes_over_from_one_that_stops(embedded: EmbeddedServer, home: Path) -> None:
    first = EmbeddedServer(home)
    try:
        uri = first.start()
        assert embedded.start() == uri
        port, pid = first.port, first.pid
        assert (embedded.port, embedded.pid) == (port, pid)
    finally:
        first.stop()
    with client_of(uri) as client:
        assert until(lambda: pings(client))
    assert embedded.pid != pid
    assert embedded.port == port


def test_interrupted_first_start_does_no_harm(
    tmp_path: Path, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    holder = hold(tmp_path)
    until((tmp_path / "db" / "WiredTiger").exists)
    holder.kill()
    embedded = EmbeddedServer(tmp_path)
    try:
        with client_of(embedded.start()) as client:
            assert pings(client)
    finally:
        embedded.stop()


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


def test_wrong_password_file_says_what_to_do(embedded: EmbeddedServer, home: Path) -> None:
    family = children()
    Folder(home).keep_password("another")
    with pytest.raises(SettingsError, match=r"delete .*password and start again"):
        embedded.start()
    assert children() <= family


def test_database_left_behind_is_ended_first(embedded: EmbeddedServer, home: Path) -> None:
    folder = Folder(home)
    left = Daemon(folder, 20_001)
    try:
        folder.publish(Endpoint(port=left.port, pid=left.pid, started=""))
        until(lambda: "secantus" in psutil.Process(left.pid).cmdline())
        embedded.start()
        assert not runs(left.pid)
        assert embedded.pid != left.pid
    finally:
        left.close()


def test_strangers_process_and_port_are_left_alone(embedded: EmbeddedServer, home: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        Folder(home).publish(Endpoint(port=port, pid=stranger.pid, started=""))
        embedded.start()
        assert embedded.port != port
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("has_user", [True, False])
def test_foreign_folder_is_refused_with_the_reason(
    embedded: EmbeddedServer, home: Path, has_user: bool
) -> None:
    (home / "db" / "WiredTiger.turtle").write_text("garbage")
    if not has_user:
        (home / "db" / ".jobserver" / "password").unlink()
    with pytest.raises(SettingsError, match=r"did not start: .*WiredTigerError: .*MONGO_URI"):
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


def test_missing_package_names_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "secantus", None)
    with pytest.raises(SettingsError, match=r'pip install "jobserver-rest\[embedded\]".*MONGO_URI'):
        EmbeddedServer(tmp_path).start()
    assert list(tmp_path.iterdir()) == []
