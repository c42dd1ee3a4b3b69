"""Start the unit below a real systemd, which runs on the image of the Dockerfile.

``make image-test`` does it. The machine has a network of its own, which the caller makes.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import psutil

from tests.deploy.dockerfile import ROOT, Image
from tests.support.server import until

FILES = ROOT / "deploy/systemd"
SERVICE = "jobserver@run"
HOME = "/var/lib/jobserver"
START_SECONDS = 60.0
#: systemd wants to be process 1, on a root and in a control group that it can call its own.
BOOT = """
mount --make-rprivate /
mount --bind {root} {root}
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/{name}
echo 0 > /sys/fs/cgroup/{name}/cgroup.procs
exec unshare --pid --fork --kill-child --ipc --uts --cgroup sh -euc '
cd {root}
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs tmpfs run
mount --rbind /dev dev
mkdir -p before
pivot_root . before
umount -l before
exec env -i container=test PATH=/usr/sbin:/usr/bin /usr/lib/systemd/systemd
'
"""


def install(image: Image, root: Path) -> Image:
    """Copy an image, and add systemd and the units to it; this needs a network."""
    subprocess.run(["cp", "--archive", image.root, root], check=True)
    machine = replace(image, root=root, user="0:0", workdir="/")
    machine.run("apt-get update && apt-get install --yes --no-install-recommends systemd dbus")
    shutil.copy(FILES / "jobserver@.service", root / "etc/systemd/system")
    return machine


class Machine:
    """A machine that runs.

    Parameters
    ----------
    first : psutil.Process
        Its process 1.
    root : Path
        The root of its file system.
    """

    def __init__(self, first: psutil.Process, root: Path) -> None:
        self._first, self._root = first, root

    def run(self, *command: str, text: str = "") -> str:
        """Run a command as root; return what it wrote."""
        enter = ["nsenter", "--target", str(self._first.pid), "--mount", "--pid", "--cgroup"]
        words = [*enter, "--root", "--wd=/", "env", "-i", "PATH=/usr/sbin:/usr/bin", *command]
        done = subprocess.run(words, input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def restart(self, client: httpx.Client, *drop_ins: str) -> None:
        """Start the server again, with some files as additions to its unit."""
        folder = self._root / f"etc/systemd/system/{SERVICE}.service.d"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for number, content in enumerate(drop_ins):
            (folder / f"{number}.conf").write_text(content)
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "restart", SERVICE)
        until(lambda: is_healthy(client), START_SECONDS)


@contextmanager
def booted(root: Path, uri: str) -> Iterator[Machine]:
    """Boot a machine whose settings are those of the example, and a database."""
    settings = root / "etc/jobserver.env"
    shutil.copy(FILES / "jobserver.env", settings)
    settings.write_text(f"{settings.read_text()}JOBSERVER_MONGO_URI={uri}\n")
    settings.chmod(0o600)
    script = BOOT.format(root=shlex.quote(str(root)), name=f"test-{root.parent.name}")
    command = ["unshare", "--mount", "sh", "-euc", script]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as starter:
        try:
            first = until(lambda: _systemd(starter), START_SECONDS)
            machine = Machine(first, root)
            until(lambda: _is_up(machine), START_SECONDS)
            yield machine
        finally:
            starter.kill()


def _systemd(starter: subprocess.Popen[bytes]) -> psutil.Process | None:
    assert starter.poll() is None, "the machine did not boot"
    below = psutil.Process(starter.pid).children()
    return below[0] if below and below[0].name() == "systemd" else None


def _is_up(machine: Machine) -> bool:
    try:
        return "jobserver" in machine.run("systemctl", "show", "--property=Id", SERVICE)
    except AssertionError:  # systemd does not take commands yet
        return False


def is_healthy(client: httpx.Client) -> bool:
    """Whether a server answers that it is."""
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def add_user(machine: Machine, email: str, password: str) -> None:
    """Add the first user with the documented command."""
    command = ["systemd-run", "--pipe", "--quiet", "--wait", "--uid=jobserver"]
    command += ["--property=EnvironmentFile=/etc/jobserver.env", "/opt/jobserver/bin/jobserver"]
    words = ["user", "add", email, "--role", "superuser", "--home", HOME, "--password-stdin"]
    assert "added" in machine.run(*command, *words, text=f"{password}\n")


def check_isolation(machine: Machine, client: httpx.Client) -> None:
    """Code of jobs is isolated with ``eval.conf``, and said not to be without it."""
    allowed = "[Service]\nEnvironment=JOBSERVER_PROCESS_EVAL_ALLOWED=true\n"
    relaxed = (FILES / "eval.conf").read_text("utf-8")
    for drop_ins, expected in (((allowed,), "process"), ((allowed, relaxed), "bubblewrap")):
        machine.restart(client, *drop_ins)
        found = client.get("/info").json()["eval"]["isolation"]
        assert found == expected, f"{found}, not {expected}, with {len(drop_ins)} drop-ins"
