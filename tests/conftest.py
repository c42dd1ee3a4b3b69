"""What all tests share: the servers, and which tests run in the same process."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest

from jobserver.home.settings import PREFIX
from jobserver.home.template import make_home
from tests.support.members import Members, members_of
from tests.support.server import (
    SCRIPTS,
    TEST_URI,
    MakeServer,
    Server,
    embedded_database,
    own_name,
)
from tests.support.strategies import fuzzed
from tests.support.together import Together

pytest_plugins = ["tests.support.runs", "tests.support.browser"]

# How long an example takes says more of the machine than of what is tested.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    max_examples=fuzzed(100),
    derandomize="CI" in os.environ,  # as hypothesis does itself: the gate tells of the change
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")

if f"{PREFIX}{TEST_URI}" in os.environ:
    os.environ[TEST_URI] = os.environ.pop(f"{PREFIX}{TEST_URI}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Have tests that share servers run in the same process."""
    return Together(config, log)


def pytest_collection_finish() -> None:
    """Spare the garbage collector the modules and tests, which are there to stay."""
    gc.freeze()


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The MongoDB for all servers but those with an embedded one: one takes half a second."""
    if given := os.environ.get(TEST_URI):
        yield given
        return
    with embedded_database(tmp_path_factory.mktemp("home")) as uri:
        yield uri


@pytest.fixture(scope="session")
def make_server(tmp_path_factory: pytest.TempPathFactory, mongodb: str) -> MakeServer:
    """Run servers: ``with make_server(config="...", STRINGIFY=False) as server``.

    ``config`` is the text of ``config.py``, ``prepare`` is called with the home before the start,
    ``home`` is the folder to use if that matters, everything else is a setting. There is one slot
    unless ``WORKERS`` says more: each takes time. ``MONGOD=""`` has it start its own database.
    """

    @contextmanager
    def make(
        config: str | None = None,
        prepare: Callable[[Path], object] | None = None,
        home: Path | None = None,
        **settings: object,
    ) -> Iterator[Server]:
        home = home or tmp_path_factory.mktemp("home")
        make_home(home)
        shutil.copy(SCRIPTS, home / "scripts" / "trials.py")
        if config is not None:
            (home / "config.py").write_text(config)
        if prepare is not None:
            prepare(home)
        environ = {key: text for key, text in os.environ.items() if not key.startswith(PREFIX)}
        settings = {"WORKERS": 1, **settings}
        environ |= {f"{PREFIX}{name}": str(value) for name, value in settings.items()}
        with own_name(mongodb) as uri:
            if f"{PREFIX}MONGOD" not in environ:
                environ.setdefault(f"{PREFIX}MONGO_URI", uri)
            server = Server(home, environ)
            try:
                yield server
            except BaseException:
                server.process.kill()
                raise
            server.stop()

    return make


@pytest.fixture(scope="module")
def uri(mongodb: str) -> Iterator[str]:
    """A database, for tests that speak to it themselves."""
    with own_name(mongodb) as named:
        yield named


@pytest.fixture(scope="session")
def shared_server(make_server: MakeServer) -> Iterator[Server]:
    """One server for the whole session; tests take `server`."""
    with make_server(WORKERS=2, MONGOD="") as server:
        yield server


@pytest.fixture(scope="session")
def members(make_server: MakeServer) -> Iterator[Members]:
    """Users of a server that asks for a login, behind a proxy: `X-Forwarded-For` says who asks.

    It logs in JSON.
    """
    with (
        make_server(LOGIN_REQUIRED=True, TRUSTED_PROXIES="127.0.0.1", LOG_FORMAT="json") as server,
        members_of(server) as made,
    ):
        yield made


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A running server without jobs, with ``timeseries.csv`` as its one data file."""
    yield shared_server
    shared_server.check()
    shared_server.clear()


@pytest.fixture
def client(server: Server) -> httpx.Client:
    """A client of the server."""
    return server.client
