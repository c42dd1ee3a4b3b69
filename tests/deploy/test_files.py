"""The files in ``deploy/``, the Dockerfile and ``compose.yaml`` fit each other and the server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobserver.cli import main
from jobserver.errors import SettingsError
from jobserver.home.secret_key import secret_key
from jobserver.home.settings import HOME, PREFIX, Settings, load, table
from jobserver.server.http import FLUSH_SECONDS
from tests.deploy.dockerfile import ROOT, context, instructions

Values = dict[str, Any]

DEFAULTS = Settings(home=ROOT)
#: Seconds that a server takes to end at most, after which it may be killed.
END_SECONDS = DEFAULTS.SHUTDOWN_GRACE + FLUSH_SECONDS
SECRETS = {PREFIX + entry.name for entry, _ in table() if entry.metadata["secret"]}
UNITS = ROOT / "deploy/systemd"
DOCKERFILE = list(instructions((ROOT / "Dockerfile").read_text("utf-8")))
#: Bytes in the units of Kubernetes.
UNIT = {"Mi": 2**20, "Gi": 2**30}


def kubernetes() -> dict[tuple[str, str], Values]:
    """The objects of the Kubernetes example, by kind and name."""
    files = (ROOT / "deploy/kubernetes").glob("*.yaml")
    objects = [each for file in files for each in yaml.safe_load_all(file.read_text("utf-8"))]
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


KUBERNETES = kubernetes()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Values] = COMPOSE["services"]


def example_settings() -> dict[str, str]:
    """The settings of the Kubernetes example."""
    secret, plain = KUBERNETES["Secret", "jobserver"], KUBERNETES["ConfigMap", "jobserver"]
    values: dict[str, str] = {**secret["stringData"], **plain["data"]}
    return values


def environment_file() -> dict[str, str]:
    """The settings that the units read, those in comments too."""
    text = (UNITS / "jobserver.env").read_text("utf-8")
    return dict(re.findall(r"^#?(JOBSERVER_\w+)=(.+)", text, re.M))


SOURCES = {
    "kubernetes": example_settings(),
    "compose": SERVICES["server"]["environment"],
    "systemd": environment_file(),
}


@pytest.mark.parametrize("name", SOURCES)
def test_settings_are_read_without_a_warning_and_require_a_login(name: str, tmp_path: Path) -> None:
    values = {key: re.sub(r"\$\{\w+[^}]*\}", "a", text) for key, text in SOURCES[name].items()}
    settings = load(tmp_path, environ=values)
    assert settings.LOGIN_REQUIRED
    assert settings.PUBLIC_URL
    assert settings.TRUSTED_PROXIES


def test_secrets_are_in_the_secret_only() -> None:
    secret, plain = KUBERNETES["Secret", "jobserver"], KUBERNETES["ConfigMap", "jobserver"]
    assert set(secret["stringData"]) <= SECRETS
    assert set(plain["data"]) & SECRETS == set()


def test_a_secret_that_was_not_changed_starts_no_server(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY"):
        secret_key(load(tmp_path, environ=example_settings()))


@pytest.mark.parametrize("name", ["jobserver", "jobserver-worker"])
def test_pods_have_no_rights_and_end_in_time(name: str) -> None:
    pod = KUBERNETES["Deployment", name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user = next(rest for word, rest in reversed(DOCKERFILE) if word == "USER")
    rights = pod["securityContext"]
    assert f"{rights['runAsUser']}:{rights['runAsGroup']}" == user
    assert rights["runAsNonRoot"]
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not pod["enableServiceLinks"], "JOBSERVER_PORT and others would be unknown settings"
    assert pod["terminationGracePeriodSeconds"] > END_SECONDS


@pytest.mark.parametrize("name", ["jobserver", "jobserver-worker"])
def test_pods_have_the_memory_that_their_runs_may_use(name: str) -> None:
    (container,) = KUBERNETES["Deployment", name]["spec"]["template"]["spec"]["containers"]
    limit = container["resources"]["limits"]["memory"]
    settings = load(ROOT, environ=example_settings())
    runs = settings.WORKERS * settings.JOB_MEMORY_LIMIT
    assert int(limit[:-2]) * UNIT[limit[-2:]] >= runs + 2**29
    assert settings.WORKERS, "cores of the machine are not those of a pod"


@pytest.mark.parametrize("name", ["jobserver", "jobserver-worker"])
def test_volumes_and_selectors_of_pods_fit(name: str) -> None:
    spec = KUBERNETES["Deployment", name]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    home = re.findall(rf"{HOME}=(\S+)", dict(DOCKERFILE)["ENV"])[0]
    assert mounts == {"home": home, "scripts": f"{home}/scripts", "tmp": "/tmp"}  # noqa: S108
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert set(volumes) == set(mounts)
    assert ("ConfigMap", volumes["scripts"]["configMap"]["name"]) in KUBERNETES
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]


def test_probes_and_the_service_ask_the_port_of_the_image() -> None:
    deployment, service = KUBERNETES["Deployment", "jobserver"], KUBERNETES["Service", "jobserver"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    exposed = next(rest for word, rest in DOCKERFILE if word == "EXPOSE")
    default = next(each.default for each in main.commands["run"].params if each.name == "port")
    assert port["containerPort"] == int(exposed) == default
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness")}
    assert {each["port"] for each in asked.values()} == {port["name"]}
    ready = container["readinessProbe"]["httpGet"]
    assert ready == {"path": "/health", "port": port["name"]}
    assert {each["path"] for each in asked.values()} == {"/info"}, "ask nothing of the database"


def test_the_image_starts_commands_that_exist_below_a_process_that_reaps() -> None:
    last = dict(DOCKERFILE)
    assert last["ENTRYPOINT"] == '["tini", "--", "jobserver"]'
    used = [
        yaml.safe_load(last["CMD"])[0],
        *KUBERNETES["Deployment", "jobserver-worker"]["spec"]["template"]["spec"]["containers"][0][
            "args"
        ],
        *SERVICES["worker"]["command"],
    ]
    assert set(used) == {"run", "worker"}
    assert set(used) <= set(main.commands)
    exposed = last["EXPOSE"]
    assert f"127.0.0.1', {exposed}" in last["HEALTHCHECK"]


def test_only_what_a_wheel_is_made_of_gets_into_an_image() -> None:
    sent = context()
    assert [name for name in sent if not (ROOT / name).exists()] == []
    project = {"pyproject.toml", "setup.py", "README.md", "LICENSE", "jobserver"}
    assert set(sent) == project | {"config.default", "data/timeseries.csv", "requirements.txt"}


def test_containers_of_compose_share_no_port_and_end_in_time() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    for name in ("server", "worker"):
        service = SERVICES[name]
        assert float(service["stop_grace_period"].removesuffix("s")) > END_SECONDS
        assert service["cap_drop"] == ["ALL"]
        assert service["environment"] == SERVICES["server"]["environment"]
    network = COMPOSE["networks"]["default"]["ipam"]["config"][0]["subnet"]
    assert SERVICES["server"]["environment"]["JOBSERVER_TRUSTED_PROXIES"] == network
    assert SERVICES["proxy"]["environment"]["UPSTREAM"] == "server:5000"


def test_compose_needs_what_the_documented_command_writes(tmp_path: Path) -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    needed = set(re.findall(r"\$\{(\w+)", text))
    for page in ("README.md", "docs/how-to/deployment.md"):
        (command,) = re.findall(r"^\$ (.*> \.env.*)$", (ROOT / page).read_text("utf-8"), re.M)
        subprocess.run(["sh", "-euc", command], cwd=tmp_path, check=True)
        file = tmp_path / ".env"
        written = dict(line.split("=", 1) for line in file.read_text("utf-8").splitlines())
        assert set(written) == needed
        assert min(len(written[name]) for name in ("MONGO_PASSWORD", "SECRET_KEY")) >= 32
        assert file.stat().st_mode & 0o077 == 0
        file.unlink()


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unit, as if Jobserver was installed where it says."""
    if shutil.which("systemd-analyze") is None:
        assert "CI" not in os.environ, "needs systemd"
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    text = (UNITS / "jobserver@.service").read_text("utf-8")
    path = tmp_path_factory.mktemp("units") / "jobserver@run.service"
    path.write_text(text.replace("/opt/jobserver/bin/jobserver", f"{sys.prefix}/bin/jobserver"))
    return path


def test_systemd_takes_the_unit(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=True
    )
    assert unit.name not in done.stderr, done.stderr


@pytest.mark.parametrize(("drop_in", "exposure"), [(None, 1.5), ("eval.conf", 2.9)])
def test_a_unit_leaves_little_exposed(
    unit: Path, drop_in: str | None, exposure: float, tmp_path: Path
) -> None:
    path = tmp_path / unit.name
    more = (UNITS / drop_in).read_text("utf-8") if drop_in else ""
    path.write_text(unit.read_text() + more)
    options = ["--offline=true", f"--threshold={exposure * 10:.0f}"]
    done = subprocess.run(
        ["systemd-analyze", "security", *options, path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_unit_is_stopped_in_time_and_by_the_server_itself() -> None:
    text = (UNITS / "jobserver@.service").read_text("utf-8")
    values = dict(re.findall(r"^(\w+)=(.*)", text, re.M))
    assert float(values["TimeoutStopSec"]) > END_SECONDS
    assert values["KillMode"] == "mixed"
    assert values["UMask"] == "0077"
    assert values["ExecStart"].endswith("jobserver %i")
    assert values["EnvironmentFile"] == "/etc/jobserver.env"
