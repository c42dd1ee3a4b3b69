"""App Engine as far as a machine can be it: what is deployed, and an instance that runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from jobserver.home.template import make_home
from tests.support.fleet import free_port
from tests.support.server import END_SECONDS, ROOT, START_SECONDS, until

SCRIPTS = Path(__file__).parent / "scripts" / "instance.py"
FILES = ROOT / "deploy" / "appengine"
#: Where App Engine has the app; here it has to be a folder that exists everywhere.
WORKSPACE = "/srv"
#: Bytes of the one folder that can be written to.
ROOM = 64 * 1024 * 1024
_USER = "33333"
#: Whom it names as the sender of a request.
APP_ENGINE, CLIENT = "0.1.0.3", "203.0.113.5"


class App:
    """What `deploy/appengine/build` laid together.

    Attributes
    ----------
    environ : dict of str to str
        The environment of its instances, from ``app.yaml`` and ``secrets.yaml``.
    entrypoint : str
        The command that starts one.
    """

    def __init__(self, folder: Path, secrets: dict[str, str]) -> None:
        home, self.folder = folder / "home", folder / "app"
        make_home(home)
        shutil.copy(SCRIPTS, home / "scripts")
        (home / "secrets.yaml").write_text(yaml.safe_dump({"env_variables": secrets}))
        run = {"PYTHON": sys.executable, "PIP_NO_BUILD_ISOLATION": "0"}
        subprocess.run([FILES / "build", home, self.folder], env=os.environ | run, check=True)
        described = self._read("app.yaml")
        included = [self._read(name)["env_variables"] for name in described["includes"]]
        self.environ: dict[str, str] = described["env_variables"]
        self.environ.update(*included)
        self.entrypoint: str = described["entrypoint"]

    def _read(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = yaml.safe_load((self.folder / name).read_text())
        return content

    @contextmanager
    def instance(self, **settings: str | None) -> Iterator[Instance]:
        """An instance, as some other settings have it; None removes one."""
        changed = {f"JOBSERVER_{name}": value for name, value in settings.items()}
        environ = {name: text for name, text in (self.environ | changed).items() if text}
        port = free_port()
        log = self.folder.with_name(f"{port}.log")
        with log.open("w") as output:
            process = subprocess.Popen(self._command(environ, port), stdout=output, stderr=output)
        try:
            yield Instance(process, port, log)
        finally:
            process.kill()
            process.wait()

    def _command(self, environ: dict[str, str], port: int) -> list[str]:
        """A read-only disk, a small /tmp, another user, and a /proc of its own."""
        environ |= {"PORT": str(port), "GAE_APPLICATION": "s~test", "GAE_ENV": "standard"}
        environ |= {"PATH": f"{Path(sys.executable).parent}:/bin"}  # with what would be installed
        environ |= {name: os.environ[name] for name in os.environ if name.startswith("OPENBLAS_")}
        places = (ROOT, ROOT), (self.folder, WORKSPACE)
        words = ["bwrap", "--die-with-parent", "--as-pid-1", "--unshare-pid", "--unshare-user"]
        words += ["--uid", _USER, "--gid", _USER, "--ro-bind", "/", "/", "--proc", "/proc"]
        words += ["--dev", "/dev", "--size", str(ROOM), "--tmpfs", "/tmp"]  # noqa: S108
        words += [str(each) for pair in places for each in ("--ro-bind", *pair)]
        words += ["--chdir", WORKSPACE, "--clearenv"]
        words += [each for pair in environ.items() for each in ("--setenv", *pair)]
        return [*words, "sh", "-c", f"exec {self.entrypoint}"]


class Instance:
    """A process of an app, and clients of it as App Engine sends their requests on."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self._log = log
        self._address = f"http://127.0.0.1:{port}"

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text(encoding="utf-8")

    def client(self, sender: str, **more: Any) -> httpx.Client:
        """A client; App Engine says who sends a request."""
        headers = {"X-Appengine-User-Ip": sender}
        return httpx.Client(
            base_url=self._address, headers=headers, timeout=30, trust_env=False, **more
        )

    def start(self) -> None:
        """Have it start, as App Engine does."""

        def started() -> bool:
            assert self.process.poll() is None, self.log
            with suppress(httpx.TransportError):
                return self.ask("start").status_code == 200
            return False

        until(started, START_SECONDS)

    def ask(self, what: str, sender: str = APP_ENGINE) -> httpx.Response:
        """A request that App Engine sends, or somebody else."""
        with self.client(sender) as client:
            return client.get(f"/_ah/{what}")

    def terminate(self) -> None:
        """Have SIGTERM end it."""
        (gunicorn,) = psutil.Process(self.process.pid).children()
        gunicorn.terminate()
        assert self.process.wait(END_SECONDS) == 0, self.log
        assert all("[INFO]" in line for line in self.log.splitlines()), self.log
