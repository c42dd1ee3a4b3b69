"""Connection strings as administrators write them: TLS, users, DNS, replica sets, mistakes."""

from __future__ import annotations

import logging
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.resolver
import dns.rrset
import pytest
from pymongo import MongoClient, ReadPreference, WriteConcern

from jobserver.errors import SettingsError, StoreUnavailable
from jobserver.storage.database import Database
from tests.support.database import OwnDatabase, own_database
from tests.support.server import MakeServer, run_through, until

NODE = "node.db.example.net"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that vouches for itself, with its key in the same file."""
    folder = tmp_path_factory.mktemp("certificate")
    names = f"subjectAltName=DNS:localhost,DNS:{NODE},IP:127.0.0.1"
    command: list[str | Path] = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", names),
        *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[OwnDatabase]:
    """A MongoDB with TLS, and a user ``ada`` who may use the database ``mine`` alone."""
    options = (
        *("--auth", "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(certificate)),
        *("--tlsCAFile", str(certificate), "--tlsAllowConnectionsWithoutCertificates"),
    )
    with own_database(tmp_path_factory.mktemp("guarded") / "database", options=options) as own:
        own.uri = own.uri.replace("?", f"?tls=true&tlsCAFile={certificate}&")
        with MongoClient[dict[str, Any]](own.uri) as client:
            client.admin.command("createUser", "root", **pwd("root"), roles=["root"])
        root = as_user(own.uri, "root", "root", "admin")
        with MongoClient[dict[str, Any]](root) as client:
            client.mine.command("createUser", "ada", **pwd("p@ss"), roles=["readWrite"])
            client.mine.command("createUser", "eve", **pwd("eve"), roles=["read"])
        yield own


def pwd(text: str) -> dict[str, Any]:
    """A field of the command that makes a user."""
    return {"pwd": text}


def as_user(uri: str, name: str, password: str, database: str = "mine") -> str:
    """A connection string with a user, of the database that it names."""
    return uri.replace("://", f"://{name}:{password}@").replace("/jobserver", f"/{database}")


@contextmanager
def connected(uri: str, seconds: float = 0.0) -> Iterator[Database]:
    """A database that is ready."""
    database = Database(uri)
    try:
        database.wait(seconds)
        database.create_indexes(login=True)
        yield database
    finally:
        database.close()


def refusal(uri: str, kind: type[Exception] = SettingsError) -> str:
    """What is said of a connection string that does not work."""
    with pytest.raises(kind) as caught, connected(uri):
        pass
    return str(caught.value)


@needs_openssl
def test_server_runs_jobs_with_tls_as_a_user_of_one_database(
    guarded: OwnDatabase, make_server: MakeServer
) -> None:
    with make_server(MONGO_URI=as_user(guarded.uri, "ada", "p%40ss")) as server:
        assert run_through(server.client, script_name="noop")["state"] == "finished"
        assert server.client.get("/jobs").json()["found"] == 1


@needs_openssl
def test_each_obstacle_has_its_own_sentence(guarded: OwnDatabase) -> None:
    plain = guarded.uri.partition("tls=true")[0] + "directConnection=true"
    other = guarded.uri.replace("127.0.0.1", socket.gethostname())
    assert "may require TLS (tls=true)" in refusal(plain, StoreUnavailable)
    assert "not trusted: name its authority with tlsCAFile" in refusal(f"{plain}&tls=true")
    assert "certificate for another name" in refusal(other)
    assert "allowed to read and write jobserver" in refusal(guarded.uri)
    assert "user or password is wrong" in refusal(as_user(guarded.uri, "ada", "guess"))
    assert "read and write mine" in refusal(as_user(guarded.uri, "eve", "eve"))
    foreign = as_user(guarded.uri, "ada", "p%40ss", "other") + "&authSource=mine"
    assert "read and write other" in refusal(foreign)


def test_malformed_and_unreachable_addresses_are_told_apart() -> None:
    assert "/nope: No such file" in refusal("mongodb://127.0.0.1/?tls=true&tlsCAFile=/nope")
    assert "nope.invalid:27017 is a host that does not exist" in refusal("mongodb://nope.invalid")
    assert "nothing listens there" in refusal("mongodb://127.0.0.1:1", StoreUnavailable)
    assert "DNS query name does not exist" in refusal("mongodb+srv://a.nope.invalid")


class Answers(socketserver.BaseRequestHandler):
    """Answers every question for SRV with one node, and every one for TXT with nothing."""

    port: int

    def handle(self) -> None:
        data, channel = self.request
        answer = dns.message.make_response(dns.message.from_wire(data))
        name = answer.question[0].name
        if answer.question[0].rdtype == dns.rdatatype.SRV:
            record = f"0 0 {self.port} {NODE}."
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", record))
        channel.sendto(answer.to_wire(), self.client_address)


@pytest.fixture
def own_dns(guarded: OwnDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A DNS server that knows the node of ``cluster.db.example.net``."""
    handler = type("Handler", (Answers,), {"port": guarded.port})
    look_up = socket.getaddrinfo

    def known(host: Any, *args: Any, **kwargs: Any) -> Any:
        return look_up("127.0.0.1" if host == NODE else host, *args, **kwargs)

    with socketserver.UDPServer(("127.0.0.1", 0), handler) as server:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], server.server_address[1]
        monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
        monkeypatch.setattr(socket, "getaddrinfo", known)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@needs_openssl
@pytest.mark.usefixtures("own_dns")
def test_new_style_string_finds_its_hosts_in_dns(certificate: Path) -> None:
    uri = f"mongodb+srv://ada:p%40ss@cluster.db.example.net/mine?tlsCAFile={certificate}"
    with connected(uri) as database:
        assert database.insert("things", {"_id": 1})
        assert {host for host, _ in database.client.nodes} == {NODE}


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[OwnDatabase]]:
    """Three members that no one has made a set of yet."""
    folder = tmp_path_factory.mktemp("members")
    with ExitStack() as stack:
        options = ("--replSet", "rs", "--oplogSize", "50")
        yield [
            stack.enter_context(own_database(folder / str(number), options=options))
            for number in range(3)
        ]


def initiate(members: list[OwnDatabase]) -> None:
    """Make a set of members; the first one becomes its primary."""
    hosts = [f"127.0.0.1:{member.port}" for member in members]
    config = {
        "_id": "rs",
        "members": [
            {"_id": number, "host": host, "priority": 2 if number == 0 else 1}
            for number, host in enumerate(hosts)
        ],
        "settings": {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200},
    }
    with MongoClient[dict[str, Any]](members[0].uri) as client:
        client.admin.command("replSetInitiate", config)


def test_start_waits_for_a_primary_and_says_so(
    replica_set: list[OwnDatabase], caplog: pytest.LogCaptureFixture
) -> None:
    uri = f"mongodb://127.0.0.1:{replica_set[0].port}/?replicaSet=rs&readPreference=secondary&w=1"
    database = Database(uri)
    with caplog.at_level(logging.WARNING):
        waiting = threading.Thread(target=database.wait)
        waiting.start()
        until(lambda: "Waiting for MongoDB: no member" in caplog.text)
        initiate(replica_set)
        waiting.join(60)
    assert not waiting.is_alive()
    assert database["jobs"].read_preference == ReadPreference.PRIMARY
    assert database["jobs"].write_concern == WriteConcern("majority", j=True)
    database.close()
    assert "no server there belongs to a replica set named mine" in refusal(
        uri.replace("replicaSet=rs", "replicaSet=mine")
    )


def test_indexes_are_built_while_a_member_is_away(replica_set: list[OwnDatabase]) -> None:
    uri = f"mongodb://127.0.0.1:{replica_set[0].port}/jobserver?replicaSet=rs"
    database = Database(uri)
    database.wait()
    database["jobs"].insert_many([{"state": "created"} for _ in range(100)])
    replica_set[2].kill()
    began = time.monotonic()
    database.create_indexes(login=True)
    assert time.monotonic() - began < 20
    assert len(database["jobs"].index_information()) > 3
    database.close()
