"""Clients of a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobserver.client import Client
from tests.support.server import Server
from tests.support.wire import Wire, wire_to


@pytest.fixture(autouse=True)
def nobodys_access(monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory) -> None:
    """No address and no token of whoever runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("JOBSERVER_URL", "JOBSERVER_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def jobs(server: Server) -> Iterator[Client]:
    """A client."""
    with Client(server.address) as client:
        yield client


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    """A wire to the server."""
    with wire_to(server.port) as wire:
        yield wire


@pytest.fixture
def wired(wire: Wire) -> Iterator[Client]:
    """A client whose connection can be cut."""
    with Client(wire.address, patience=20) as client:
        client.datafiles()
        yield client
