"""Build the image of the Dockerfile without a container engine: each step in a folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

ROOT = Path(__file__).parents[2]
#: Debian's own Python stands in for that of the base image, which has it in /usr/local.
BASE = re.compile(r"python:3\.13-slim")
SUITE, PACKAGES = "trixie", "ca-certificates,python3,python3-venv"
PYTHON = Path("usr/local/bin/python")
#: What steps need of this machine to reach registries; only that of them which exists.
NETWORK = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile, each with its arguments as one line."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", "", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        if word:
            yield word, rest.strip()


@dataclass
class Image:
    """A stage of a Dockerfile as a folder, and what it says of containers.

    Attributes
    ----------
    root : Path
        The root of its file system.
    user, workdir, environ, entrypoint, command, check
        As the instructions USER, WORKDIR, ENV, ENTRYPOINT, CMD and HEALTHCHECK say.
    """

    root: Path
    user: str = "0:0"
    workdir: str = "/"
    environ: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    check: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def enter(self, command: list[str], *options: str, **environ: str) -> list[str]:
        """Return the command that runs another one in this image, as its user."""
        variables = {**self.environ, **environ}
        uid, _, gid = self.user.partition(":")
        identity = ["--reuid", uid, "--regid", gid, "--clear-groups"]
        rights = [] if uid == "0" else ["--no-new-privs", "--bounding-set=-all"]
        return [
            *("bwrap", "--bind", str(self.root), "/", "--proc", "/proc", "--dev", "/dev"),
            *("--clearenv", "--unshare-pid", "--unshare-ipc", "--die-with-parent"),
            *(part for pair in variables.items() for part in ("--setenv", *pair)),
            *("--chdir", self.workdir, *options, "--"),
            *("setpriv", *identity, *rights, "--", *command),
        ]

    def run(self, script: str) -> None:
        """Run a step as ``docker build`` does, with this machine's network."""
        shared = [part for path in NETWORK for part in ("--ro-bind-try", path, path)]
        names = {key: text for key, text in os.environ.items() if key.lower().endswith("_proxy")}
        subprocess.run(self.enter(["sh", "-c", script], *shared, **names), check=True)


def build(folder: Path) -> Image:
    """Build the last stage of the Dockerfile in a folder."""
    stages: dict[str, Image] = {}
    image = Image(folder)
    for word, rest in instructions((ROOT / "Dockerfile").read_text("utf-8")):
        print(f"{word} {rest[:90]}", flush=True)
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            image = _start(base, folder / (name or "image"))
            stages[name] = image
        else:
            _step(image, word, rest, stages)
    return image


def _start(base: str, root: Path) -> Image:
    if not BASE.fullmatch(base):
        raise ValueError(f"No substitute for the base image {base} is known.")
    options = ["--quiet", "--variant=minbase", f"--include={PACKAGES}"]
    subprocess.run(["mmdebstrap", *options, SUITE, root], check=True)
    (root / PYTHON).symlink_to("/usr/bin/python3")
    return Image(root, environ={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})


def _step(image: Image, word: str, rest: str, stages: dict[str, Image]) -> None:
    """Carry out one instruction."""
    match word:
        case "RUN":
            image.run(rest)
        case "COPY":
            _copy(image, rest.split(), stages)
        case "ENV":
            known = Template(rest).substitute(image.environ)
            image.environ |= dict(pair.split("=", 1) for pair in shlex.split(known))
        case "USER":
            image.user = rest
        case "WORKDIR":
            image.workdir = rest
        case "EXPOSE":
            image.ports = [int(port) for port in rest.split()]
        case "ENTRYPOINT":
            image.entrypoint = json.loads(rest)
        case "CMD":
            image.command = json.loads(rest)
        case "HEALTHCHECK":
            image.check = json.loads(rest.partition(" CMD ")[2])
        case _:
            raise ValueError(f"The instruction {word} is not known here.")


def _copy(image: Image, words: list[str], stages: dict[str, Image]) -> None:
    """Copy from another stage, or from the checkout what ``.dockerignore`` leaves."""
    *options, source, target = words
    goal = image.root / target.lstrip("/")
    if options:
        (option,) = options
        stage = stages[option.removeprefix("--from=")]
        shutil.copytree(stage.root / source.lstrip("/"), goal, symlinks=True)
        return
    for name in context():
        (goal / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, goal / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, goal / name)


def context() -> list[str]:
    """Return what of the checkout is sent to a build; everything else is ignored."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    everything, *others = [line for line in lines if line and not line.startswith("#")]
    assert everything == "*"
    return [line.removeprefix("!") for line in others if line.startswith("!")]
