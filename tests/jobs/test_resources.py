"""What a job may ask of the machine that runs it."""

from __future__ import annotations

import httpx
import pytest

from jobserver.jobs.resources import described, memory_limit, parse_resources
from jobserver.sizes import GIB, MIB
from tests.support.runs import carry_out, create


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("4 GB", 4_000_000_000),
        ("4GiB", 4 * GIB),
        ("1.5 MB", 1_500_000),
        (" 512 KiB ", 512 * 1024),
        ("7 B", 7),
        (123, 123),
        (4e9, 4_000_000_000),
    ],
)
def test_memory_is_read_to_the_byte(value: object, size: int) -> None:
    assert parse_resources({"memory": value}, 0) == ({"memory": size}, [])


@pytest.mark.parametrize(
    "value",
    ["4", "4 gb", "4 G", "-4 GB", "0 B", "1.5 B", "1e3 MB", "٤ GB", "99999999 TB"],
)
def test_memory_without_a_clear_unit_is_refused(value: object) -> None:
    needs, problems = parse_resources({"memory": value}, 0)
    assert needs == {}
    assert [problem.field for problem in problems] == ["resources.memory"]
    assert "4 GB" in problems[0].problem


@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, [], float("inf")])
def test_memory_is_a_whole_number_of_bytes(value: object) -> None:
    assert parse_resources({"memory": value}, 0)[0] == {}
    assert parse_resources({"memory": value}, 0)[1][0].field == "resources.memory"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (["GPU"], "resources"),
        ("4 GB", "resources"),
        ({str(number): 1 for number in range(21)}, "resources"),
        ({"1GPU": 1}, "resources"),
        ({"": 1}, "resources"),
        ({"GPU": "1"}, "resources.GPU"),
        ({"GPU": 0}, "resources.GPU"),
        ({"GPU": -1}, "resources.GPU"),
        ({"GPU": True}, "resources.GPU"),
        ({"GPU": {}}, "resources.GPU"),
    ],
)
def test_other_resources_are_positive_numbers_with_names(value: object, field: str) -> None:
    needs, problems = parse_resources(value, 0)
    assert needs == {}
    assert {problem.field for problem in problems} == {field}


def test_every_problem_is_listed() -> None:
    needs, problems = parse_resources({"memory": "much", "GPU": 0, "FPGA": 1}, 0)
    assert [problem.field for problem in problems] == ["resources.memory", "resources.GPU"]
    assert needs == {"FPGA": 1}


def test_a_run_has_the_memory_that_its_job_asks_for_within_the_servers_limit() -> None:
    assert memory_limit({"memory": 5 * MIB}, 7 * MIB) == 5 * MIB
    assert memory_limit({"memory": 5 * MIB}, 0) == 5 * MIB
    assert memory_limit({"GPU": 1}, 7 * MIB) == 7 * MIB
    for before in (None, {"memory": 9 * MIB}, "of a client's own"):  # accepted before the limit
        assert memory_limit(before, 7 * MIB) == 7 * MIB


def test_resources_are_described_as_dask_takes_them() -> None:
    needs = parse_resources({"memory": "16 GB", "GPU": 1, "share": 0.5}, 0)[0]
    assert described(needs) == "GPU=1 memory=16000000000 share=0.5"


def test_memory_of_a_job_is_its_limit(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "take", {"resources": {"memory": "150 MB"}}, mib=200)
    assert (job["state"], job["resources"]) == ("failed", {"memory": 150_000_000})
    assert "memory limit of 150000000 B exceeded" in job["message"]


def test_what_no_run_can_have_is_refused_and_nothing_is_changed(unruly: httpx.Client) -> None:
    fields = {"resources": {"memory": "8 GiB", "GPU": 1}}
    before = unruly.get(f"/job/{(job_id := create(unruly, 'noop', fields))}").json()
    refused = unruly.post(f"/job/{job_id}/run")
    assert refused.status_code == 422
    problems = {each["field"]: each["problem"] for each in refused.json()["errors"]}
    assert problems.keys() == {"resources.memory", "resources.GPU"}
    assert "JOB_MEMORY_LIMIT" in problems["resources.memory"]
    assert "memory only" in problems["resources.GPU"]
    assert unruly.get(f"/job/{job_id}").json() == before
