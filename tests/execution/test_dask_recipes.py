"""The recipes for Slurm and Kubernetes, as far as they can be read without either."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

RECIPES = Path(__file__).parents[2] / "deploy" / "dask"


@pytest.fixture(scope="module")
def job_script() -> str:
    """What the recipe for Slurm hands to sbatch."""
    command = [sys.executable, str(RECIPES / "slurm.py"), "--job-script"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_slurm_gets_the_size_of_a_worker(job_script: str) -> None:
    directives = [line for line in job_script.splitlines() if line.startswith("#SBATCH")]
    assert {"#SBATCH -p normal", "#SBATCH -A hydrology", "#SBATCH --cpus-per-task=4"} <= {
        *directives
    }
    assert "#SBATCH -t 08:00:00" in directives
    assert "#SBATCH --mem=15G" in directives  # 16 GB in GiB, rounded up


def test_a_worker_of_slurm_offers_memory_and_ends_before_its_time(job_script: str) -> None:
    command = next(line for line in job_script.splitlines() if "dask_worker" in line)
    for words in (
        "--nthreads 4",
        "--resources 'memory=16000000000'",
        "--lifetime 7h45m",
        "--local-directory ${SLURM_TMPDIR:-/tmp}",
    ):
        assert words in command


def test_the_job_script_has_no_secret(job_script: str) -> None:
    assert "JOBSERVER_MONGO_URI=" in job_script
    assert "mongodb" not in job_script


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """The parts of the recipe for Kubernetes by their kind."""
    text = (RECIPES / "kubernetes.yaml").read_text("utf-8")
    return {part["kind"]: part for part in yaml.safe_load_all(text)}


def containers(manifest: dict[str, Any]) -> dict[str, Any]:
    spec = manifest["DaskCluster"]["spec"]
    found = [*spec["worker"]["spec"]["containers"], *spec["scheduler"]["spec"]["containers"]]
    return {container["name"]: container for container in found}


def test_workers_of_kubernetes_get_the_address_of_the_database_from_a_secret(
    manifest: dict[str, Any],
) -> None:
    (given,) = containers(manifest)["worker"]["env"]
    assert given["name"] == "JOBSERVER_MONGO_URI"
    assert given["valueFrom"]["secretKeyRef"].keys() == {"name", "key"}
    assert "env" not in containers(manifest)["scheduler"]


def test_workers_of_kubernetes_offer_the_memory_that_they_have(manifest: dict[str, Any]) -> None:
    worker = containers(manifest)["worker"]
    args = worker["args"]
    assert args[args.index("--resources") + 1] == "memory=8000000000"
    assert worker["resources"]["limits"]["memory"] == "8G"
    assert args[args.index("--nthreads") + 1] == worker["resources"]["requests"]["cpu"]
    assert args[args.index("--name") + 1] == "$(DASK_WORKER_NAME)"  # as the operator knows it


def test_pods_of_kubernetes_are_confined(manifest: dict[str, Any]) -> None:
    spec = manifest["DaskCluster"]["spec"]
    for pod in (spec["worker"]["spec"], spec["scheduler"]["spec"]):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
    for container in containers(manifest).values():
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]  # noqa: S108


def test_the_parts_for_kubernetes_name_one_cluster(manifest: dict[str, Any]) -> None:
    name = manifest["DaskCluster"]["metadata"]["name"]
    assert manifest["DaskAutoscaler"]["spec"]["cluster"] == name
    service = manifest["DaskCluster"]["spec"]["scheduler"]["service"]
    assert service["selector"]["dask.org/cluster-name"] == name
    policy = manifest["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"]["dask.org/cluster-name"] == name
    text = (RECIPES / "kubernetes.yaml").read_text("utf-8")
    assert f"tcp://{name}-scheduler:8786" in text
