"""Build the image, and run its containers with the settings of the Kubernetes example.

``make image-test`` does it, as root and without a container engine, and prints times and sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from pymongo import MongoClient

from tests.deploy import unit
from tests.deploy.dockerfile import ROOT, Image, build
from tests.support.database import own_database
from tests.support.server import until

PASSWORD = "correct horse battery staple"  # noqa: S105 - of a server that lives for seconds
EMAIL = "you@example.org"
START_SECONDS = 60.0
END_SECONDS = 45.0
DESCRIPTION = "image.json"
SCRIPT = """
import time

def wait(seconds: float):
    time.sleep(seconds)
"""


def main() -> None:
    """Build in one process, with a network, and run in another, which has one of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--built", type=Path, help="folder of an image built before")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with tempfile.TemporaryDirectory(prefix="pod-") as name:
            check(_read(options.run), Path(name))
            check_unit(options.run / "machine", Path(name))
    elif options.built:
        _run_apart(options.built)
    else:
        with tempfile.TemporaryDirectory(prefix="image-") as name:
            _build(Path(name))
            _run_apart(Path(name))


def _build(folder: Path) -> None:
    folder.chmod(0o755)
    began = time.monotonic()
    image = build(folder)
    size = subprocess.check_output(["du", "-sm", image.root], text=True).split()[0]
    print(f"built in {time.monotonic() - began:.0f} s, {size} MB", flush=True)
    (folder / DESCRIPTION).write_text(json.dumps(asdict(image), default=str))
    unit.install(image, folder / "machine")


def _run_apart(folder: Path) -> None:
    own = [sys.executable, "-m", "tests.deploy.image", "--run", str(folder)]
    subprocess.run(["unshare", "--net", *own], check=True, cwd=ROOT)


def _read(folder: Path) -> Image:
    values: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
    return Image(**{**values, "root": Path(values["root"])})


def check(image: Image, folder: Path) -> None:
    """Run a server and a worker, and the guide's steps on them."""
    folder.chmod(0o755)
    scripts = folder / "scripts"
    scripts.mkdir()
    _as_config_map(scripts, {"leaving.py": SCRIPT})
    with own_database(folder / "mongo") as database:
        pod = Pod(image, folder, scripts, _settings(database.uri))
        added = pod.run(["user", "add", EMAIL, "--role", "superuser", "--password-stdin"])
        assert added == f"added {EMAIL}, superuser\n", added
        with pod.started(image.command) as server, pod.started(["worker"]):
            client = _client(image.ports[0])
            _check_rights(pod, server)
            _check_jobs(client)
            _check_reaping(pod, server)
            database.stop()
            assert pod.inside(server, image.check).wait() == 1, "healthy without its database"
            assert client.get("/info").status_code == 200, "not alive without its database"
            database.go_on()
            until(lambda: client.get("/health").status_code == 200)
            _check_shutdown(client, server, database.uri)
    print("the image does what it should", flush=True)


def check_unit(root: Path, folder: Path) -> None:
    """Run a job below systemd, and end the server while another one runs."""
    with (
        own_database(folder / "other") as database,
        unit.booted(root, database.uri) as machine,
        httpx.Client(base_url="http://127.0.0.1:5000", timeout=30, trust_env=False) as client,
    ):
        machine.restart(client)
        unit.add_user(machine, EMAIL, PASSWORD)
        client.auth = (EMAIL, PASSWORD)
        _check_jobs(client)
        unit.check_isolation(machine, client)
        machine.run("systemctl", "stop", unit.SERVICE)
        assert "success" in machine.run("systemctl", "show", "--property=Result", unit.SERVICE)
    print("the unit does what it should")


def _settings(uri: str) -> dict[str, str]:
    """Return the settings of the Kubernetes example, with what has to be changed."""
    text = (ROOT / "deploy/kubernetes/settings.yaml").read_text("utf-8")
    secret, plain, _ = yaml.safe_load_all(text)
    changed = {"JOBSERVER_MONGO_URI": uri, "JOBSERVER_SECRET_KEY": "k" * 32}
    assert changed.keys() == secret["stringData"].keys()
    return {**plain["data"], **changed}


def _as_config_map(folder: Path, files: dict[str, str]) -> None:
    """Write files as Kubernetes does: as links into a folder that a link leads to."""
    (folder / "..2026").mkdir()
    (folder / "..data").symlink_to("..2026")
    for name, text in files.items():
        (folder / "..2026" / name).write_text(text)
        (folder / name).symlink_to(f"..data/{name}")


class Pod:
    """Containers of an image, with a read-only root and the volumes of the example."""

    def __init__(self, image: Image, folder: Path, scripts: Path, settings: dict[str, str]) -> None:
        self.image, self._folder, self._scripts = image, folder, scripts
        self._settings = settings
        self._homes = 0

    def _command(self, words: list[str]) -> list[str]:
        """Return the command that starts a container, whose process 1 is the entry point."""
        self._homes += 1
        home = self._folder / f"home{self._homes}"
        home.mkdir()
        os.chown(home, 0, int(self.image.user.partition(":")[2]))
        home.chmod(0o2777)  # as an emptyDir is
        target = self.image.environ["JOBSERVER_HOME"]
        volumes = ["--bind", str(home), target, "--dir", f"{target}/scripts"]
        volumes += ["--ro-bind", str(self._scripts), f"{target}/scripts"]
        temporary = ["--perms", "1777", "--tmpfs", "/tmp", "--chmod", "1777", "/dev/shm"]  # noqa: S108
        return self.image.enter(
            [*self.image.entrypoint, *words],
            *("--as-pid-1", *volumes, *temporary, "--remount-ro", "/"),
            **self._settings,
        )

    def run(self, words: list[str]) -> str:
        """Run a command of the image to its end; return what it wrote."""
        return subprocess.run(
            self._command(words), input=f"{PASSWORD}\n", text=True, capture_output=True, check=True
        ).stdout

    @contextmanager
    def started(self, words: list[str]) -> Iterator[psutil.Process]:
        """Start a container; yield its process 1. It has to end well, and warn of nothing."""
        path = self._folder / f"{words[0]}.log"
        with path.open("a") as log:
            starter = subprocess.Popen(self._command(words), stdout=log, stderr=log)
        first = until(lambda: _first(starter.pid), START_SECONDS)
        try:
            yield first
            if starter.poll() is None:
                first.send_signal(signal.SIGTERM)
            assert starter.wait(END_SECONDS) == 0
        finally:
            with suppress(psutil.NoSuchProcess):
                first.kill()  # and with it all others in the container
            starter.wait()
            print(path.read_text(), end="", flush=True)
        assert not re.search("Traceback|Warning", path.read_text())

    def inside(self, container: psutil.Process, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a command in a running container, as ``docker exec`` does."""
        enter = ["nsenter", "--target", str(container.pid), "--mount", "--pid", "--ipc"]
        uid, _, gid = self.image.user.partition(":")
        user = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"]
        variables = [f"{key}={text}" for key, text in self.image.environ.items()]
        return subprocess.Popen([*enter, *user, "env", "-i", *variables, *command])


def _first(starter: int) -> psutil.Process | None:
    """Return the first process in the container that another one started, once it is tini."""
    children = psutil.Process(starter).children()
    return children[0] if children and children[0].name() == "tini" else None


def _client(port: int) -> httpx.Client:
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)

    def answers() -> bool:
        try:
            return client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    began = time.monotonic()
    until(answers, START_SECONDS)
    print(f"ready {time.monotonic() - began:.1f} s after its start", flush=True)
    client.auth = (EMAIL, PASSWORD)
    return client


def _check_rights(pod: Pod, server: psutil.Process) -> None:
    lines = Path(f"/proc/{server.pid}/status").read_text("ascii").splitlines()
    status = dict(line.split(":\t") for line in lines)
    assert set(status["Uid"].split()) == {"10001"}
    assert (int(status["CapBnd"], 16), int(status["NoNewPrivs"])) == (0, 1)
    assert pod.inside(server, pod.image.check).wait() == 0, "not healthy"
    assert pod.inside(server, ["touch", "/opt/x"]).wait() != 0, "the root can be written"


def _check_jobs(client: httpx.Client) -> None:
    content = (ROOT / "data/timeseries.csv").read_bytes()
    assert client.put("/datafile/timeseries.csv", content=content).status_code == 201
    job = _run(client, script_name="summary", datafile="timeseries.csv")
    assert job["result"]["value"]["count"] == 12_000, job


def _check_reaping(pod: Pod, server: psutil.Process) -> None:
    """Leave a process to process 1, as what is run in a container may."""
    leave = "import os, time\nif os.fork() == 0:\n    time.sleep(0.2)"
    assert pod.inside(server, ["python", "-c", leave]).wait() == 0
    until(lambda: len(server.children()) == 1)


def _run(client: httpx.Client, **fields: object) -> dict[str, Any]:
    created = client.put("/job", json=fields)
    assert created.status_code == 201, created.text
    path = f"/job/{created.json()['_id']}"
    started = client.post(f"{path}/run", params={"wait": 30})
    assert started.status_code == 202, started.text
    answer = client.get(path, params={"wait": 30, "stringify": "false"})
    job: dict[str, Any] = answer.json()
    return job


def _check_shutdown(client: httpx.Client, server: psutil.Process, uri: str) -> None:
    """End the server while jobs run and wait; the worker has to run those that wait."""
    for _ in range(6):
        job = client.put("/job", json={"script": {"name": "wait", "kwargs": {"seconds": 1}}})
        assert client.post(f"/job/{job.json()['_id']}/run").status_code == 202
    server.send_signal(signal.SIGTERM)
    with MongoClient[dict[str, Any]](uri) as database:
        unfinished = {"state": {"$ne": "finished"}}
        until(lambda: not database["jobserver"]["jobs"].count_documents(unfinished), END_SECONDS)


if __name__ == "__main__":
    main()
