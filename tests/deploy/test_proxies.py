"""nginx and Caddy in front of a server, with the files in ``deploy/``."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from jobserver.users.policy import Role
from tests.support.members import PASSWORD, Member, Members, members_of
from tests.support.server import ROOT, MakeServer, finished, until

PREFIX = "/jobs-server"
START_SECONDS = 20.0
#: Mails that a client gets sent to one address in an hour.
MAILS = 10


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@dataclass
class Proxy:
    """A proxy that runs."""

    name: str
    address: str
    trust: ssl.SSLContext

    def client(self, source: str = "127.0.0.1", **headers: str) -> httpx.Client:
        """A client with an address of its own on this machine."""
        transport = httpx.HTTPTransport(verify=self.trust, local_address=source)
        return httpx.Client(base_url=self.address, transport=transport, timeout=30, headers=headers)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    files = folder / "site.pem", folder / "site.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-out", files[0], "-keyout", files[1]),
        ],
        check=True,
        capture_output=True,
    )
    return files


@pytest.fixture(scope="module")
def served(make_server: MakeServer) -> Iterator[Members]:
    """A server with the settings that the guide names for a proxy on its own machine."""
    settings = {"PUBLIC_URL": f"https://localhost{PREFIX}", "TRUSTED_PROXIES": "127.0.0.1"}
    mail = {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": 9, "MAIL_DEFAULT_SENDER": "a@example.org"}
    with (
        make_server(LOGIN_REQUIRED=True, MAX_UPLOAD_SIZE=2**28, **settings, **mail) as server,
        members_of(server) as members,
    ):
        yield members


@pytest.fixture(scope="module")
def member(served: Members) -> Member:
    return served.add(Role.SUPERUSER)


@contextmanager
def nginx(
    folder: Path, port: int, upstream: str, prefix: str, files: tuple[Path, Path]
) -> Iterator[None]:
    text = (ROOT / "deploy/nginx/jobserver.conf").read_text("utf-8")
    changes = {
        r"listen \[::\].*": "",  # not every machine has IPv6
        r"listen 443": f"listen 127.0.0.1:{port}",
        r"listen 80": f"listen 127.0.0.1:{free_port()}",
        r"\b127\.0\.0\.1:5000": upstream,
        r"/etc/ssl/jobs\.example\.org\.pem": str(files[0]),
        r"/etc/ssl/jobs\.example\.org\.key": str(files[1]),
        r"jobs\.example\.org": "localhost",
        r"location / ": f"location {prefix}/ ",
    }
    for old, new in changes.items():
        text, number = re.subn(old, new, text)
        assert number, old
    (folder / "jobserver.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    lines = [f"{kind}_temp_path {folder / kind};" for kind in kinds]
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} pid {folder / 'pid'}; events {{}}\n"
        f"http {{ access_log off; {' '.join(lines)} include {folder / 'jobserver.conf'}; }}"
    )
    with running(["nginx", "-e", "stderr", "-p", str(folder), "-c", "nginx.conf"], folder):
        yield


@contextmanager
def caddy(
    folder: Path, port: int, upstream: str, prefix: str, files: tuple[Path, Path]
) -> Iterator[None]:
    text = (ROOT / "deploy/caddy/Caddyfile").read_text("utf-8")
    matcher = f"{prefix}/* " if prefix else ""
    changes = {
        "\n{\n": "\n{\n\tadmin off\n\tauto_https disable_redirects\n",
        "localhost} {\n": f"localhost}} {{\n\tbind 127.0.0.1\n\ttls {files[0]} {files[1]}\n",
        "\treverse_proxy ": f"\treverse_proxy {matcher}",
    }
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "Caddyfile"
    path.write_text(text)
    command = ["caddy", "run", "--config", str(path), "--adapter", "caddyfile"]
    own = {"DOMAIN": f"localhost:{port}", "UPSTREAM": upstream, "HOME": str(folder)}
    with running(command, folder, **own):
        yield


@contextmanager
def running(command: list[str], folder: Path, **environ: str) -> Iterator[None]:
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environ})
    try:
        yield
        assert process.poll() is None, (folder / "log").read_text()
    finally:
        process.terminate()
        process.wait(10)


PROXIES = {"nginx": nginx, "caddy": caddy}


@contextmanager
def started(
    name: str, folder: Path, upstream: str, prefix: str, files: tuple[Path, Path]
) -> Iterator[Proxy]:
    if shutil.which(name) is None:
        assert "CI" not in os.environ, f"needs {name}"
        pytest.skip(f"needs {name}: apt-get install {name}")
    port = free_port()
    with PROXIES[name](folder, port, upstream, prefix, files):
        trust = ssl.create_default_context(cafile=str(files[0]))
        yield Proxy(name, f"https://localhost:{port}{prefix}", trust)


def get(proxy: Proxy, path: str) -> httpx.Response | None:
    """What a proxy answers; nothing while it does not listen."""
    with proxy.client() as client:
        try:
            return client.get(path)
        except httpx.TransportError:
            return None


@pytest.fixture(scope="module", params=[*PROXIES, *(f"{name} below a path" for name in PROXIES)])
def proxy(
    request: pytest.FixtureRequest,
    served: Members,
    certificate: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    name, _, below = request.param.partition(" ")
    upstream = served.server.address.removeprefix("http://")
    folder, prefix = tmp_path_factory.mktemp(name), PREFIX if below else ""
    with started(name, folder, upstream, prefix, certificate) as proxy:
        assert until(lambda: get(proxy, "/health"), START_SECONDS).status_code == 200
        yield proxy


@pytest.fixture
def client(proxy: Proxy, member: Member) -> Iterator[httpx.Client]:
    token = member.client.headers["Authorization"]
    with proxy.client(Authorization=token) as client:
        yield client


def test_a_job_goes_from_request_to_result(client: httpx.Client) -> None:
    content = (ROOT / "data/timeseries.csv").read_bytes()
    assert client.put("/datafile/timeseries.csv", content=content).status_code in {201, 409}
    created = client.put("/job", json={"script_name": "summary"})
    assert created.status_code == 201
    assert created.headers["Location"].startswith(f"{PREFIX}/job/")
    path = f"/job/{created.json()['_id']}"
    assert client.post(path, json={"datafile": "timeseries.csv"}).status_code == 200
    assert client.get(f"{path}/run").status_code == 202
    job = finished(client, created.json()["_id"])
    assert job["result"]["value"]["count"] == 12_000


def test_events_arrive_when_they_happen(client: httpx.Client) -> None:
    job_id = client.put("/job", json={"script_name": "noop"}).json()["_id"]
    with client.stream("GET", f"/job/{job_id}/events") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert "created" in next(line for line in lines if line.startswith("data:"))
        assert client.post(f"/job/{job_id}/run").status_code == 202
        assert any("finished" in line for line in lines)


def test_a_large_upload_arrives_unchanged(client: httpx.Client) -> None:
    content = b"value\n" + b"1.25\n" * 1_000_000
    assert client.put("/datafile/large.csv", content=content).status_code == 201
    assert client.get("/datafile/large.csv/content").content == content
    assert client.delete("/datafile/large.csv").status_code == 200


def test_an_upload_beyond_the_limit_is_refused(
    proxy: Proxy, client: httpx.Client, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    with (tmp_path / "huge.csv").open("wb") as huge:
        huge.truncate(2**29)
    token = f"Authorization: {client.headers['Authorization']}"
    curl = ["curl", "--silent", "--cacert", str(certificate[0]), "--header", token]
    url = f"{proxy.address}/datafile/huge.csv"
    report = ["--max-time", "20", "--write-out", "%{stderr}%{http_code}"]
    done = subprocess.run(
        [*curl, *report, "--upload-file", huge.name, url], capture_output=True, check=False
    )
    assert done.stderr == b"413"
    if proxy.name == "nginx":  # behind Caddy the server refuses, and closes while that still sends
        error = json.loads(done.stdout)
        assert error["status"] == 413
        assert "client_max_body_size" in error["message"]


def test_another_host_name_leads_nowhere(proxy: Proxy) -> None:
    port = httpx.URL(proxy.address).port
    with socket.create_connection(("127.0.0.1", port)) as sock, pytest.raises(ssl.SSLError):
        proxy.trust.wrap_socket(sock, server_hostname="other.example.org")


def test_pages_of_the_site_may_send_a_password_and_others_not(proxy: Proxy, member: Member) -> None:
    own = "https://" + httpx.URL(proxy.address).netloc.decode()
    with proxy.client() as client:
        for origin, status in ((own, 200), ("https://evil.example", 403)):
            answer = client.get("/jobs", auth=(member.email, PASSWORD), headers={"Origin": origin})
            assert answer.status_code == status, answer.text


def test_limits_count_for_each_client_whatever_it_says_of_itself(proxy: Proxy) -> None:
    user = {"email": f"{httpx.URL(proxy.address).port}@example.org"}
    with proxy.client("127.0.0.2") as one, proxy.client("127.0.0.3") as other:
        asked = [
            one.put("/user", json=user, headers={"X-Forwarded-For": f"10.0.0.{number}"})
            for number in range(MAILS + 1)
        ]
        assert [answer.status_code for answer in asked] == [*[201] * MAILS, 429]
        assert other.put("/user", json=user).status_code == 201


@pytest.mark.parametrize("name", PROXIES)
def test_a_server_that_is_away_is_reported_in_the_shape_of_all_errors(
    name: str, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    with started(name, tmp_path, f"127.0.0.1:{free_port()}", "", certificate) as proxy:
        answer = until(lambda: get(proxy, "/health"), START_SECONDS)
    assert answer.status_code == 502
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["status"] == 502
    assert answer.json()["message"]
