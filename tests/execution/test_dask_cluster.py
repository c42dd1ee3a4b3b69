"""A scheduler that cannot be used is named in a sentence, and nothing waits for it for ever."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobserver.errors import SettingsError
from jobserver.execution import check_executor
from jobserver.execution.dask import cluster as cluster_module
from jobserver.execution.dask.cluster import Cluster
from jobserver.home.settings import Settings


@contextmanager
def listening(answer: str) -> Iterator[str]:
    """What accepts connections, and then closes them, sends something else, or stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def serve() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                if answer == "close":
                    connection.close()
                else:
                    connection.sendall(answer.encode())
                    kept.append(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in kept:
            connection.close()


def status(address: str) -> str:
    """What is said about a scheduler, after one look."""
    cluster = Cluster(address)
    try:
        cluster.look()
        assert cluster.threads is None
        assert cluster.status.startswith(f"the Dask scheduler at {address} cannot be used")
        return cluster.status
    finally:
        cluster.close()


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_CONNECT_SECONDS", "_ANSWER_SECONDS"):
        monkeypatch.setattr(cluster_module, name, 0.3)


def test_nobody_listens() -> None:
    assert "Timed out trying to connect" in status("tcp://127.0.0.1:1")


def test_a_scheduler_with_tls_closes_plain_connections() -> None:
    with listening("close") as address:
        assert "tls://" in status(address)


@pytest.mark.parametrize("answer", ["", "HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_something_else_listens_there(answer: str) -> None:
    with listening(answer) as address:
        assert "does not answer" in status(address)


def test_tls_needs_certificates() -> None:
    assert "TLS__CA_FILE" in status("tls://127.0.0.1:1")


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.5", "http://10.0.0.5:8786", "10.0.0.5", "tcp://:8786", "tcp://a b:1"]
)
def test_an_address_that_cannot_be_one_is_refused_at_the_start(
    address: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="address with a port"):
        check_executor(Settings(home=tmp_path, EXECUTOR="dask", DASK_SCHEDULER=address))


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.5:8786", "tls://dask-scheduler.example.org:1", "tcp://[::1]:8786"]
)
def test_addresses_of_schedulers(address: str, tmp_path: Path) -> None:
    check_executor(Settings(home=tmp_path, EXECUTOR="dask", DASK_SCHEDULER=address))
