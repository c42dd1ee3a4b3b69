"""Pipelines: scripts one after another in one job."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.runs import NATIVE, cancel, log_of, read
from tests.support.server import Job, Server, finished, until


def put(client: httpx.Client, script: Job, **fields: Any) -> str:
    """Create a job; its id."""
    return str(client.put("/job", json={"script": script, **fields}).json()["_id"])


def launch(client: httpx.Client, script: Job, **fields: Any) -> str:
    """Start a job; its id."""
    job_id = put(client, script, **fields)
    answer = client.post(f"/job/{job_id}/run")
    assert answer.status_code == 202, answer.text
    return job_id


def pipe(client: httpx.Client, *steps: Any, **fields: Any) -> Job:
    """Run a pipeline; the job at its end."""
    return finished(client, launch(client, {"type": "pipeline", "steps": list(steps)}, **fields))


def problems(client: httpx.Client, script: Job, **fields: Any) -> dict[str, str]:
    """What a job is refused for."""
    answer = client.post(f"/job/{put(client, script, **fields)}/run")
    assert answer.status_code == 422, answer.text
    return {each["field"]: each["problem"] for each in answer.json()["errors"]}


def test_each_step_gets_what_the_one_before_gave(unruly: httpx.Client) -> None:
    job = pipe(unruly, "same", {"name": "both", "args": [3]}, "same", raw_data=4)
    assert job["state"] == "finished"
    assert job["result"] == [4, 3]
    assert job["progress"] == 1.0
    assert "message" not in job


def test_values_stay_as_they_are_between_steps(unruly: httpx.Client) -> None:
    assert pipe(unruly, "wrap", "unwrap", "same", raw_data={"a.b": 1})["result"] == {"a.b": 1}
    assert pipe(unruly, "monthly", "kind", datafile="timeseries.csv")["result"] == "Series"
    assert pipe(unruly, "path_of", "kind", datafile="timeseries.csv")["result"] == "str"


def test_steps_are_told_in_the_job_and_in_its_log(unruly: httpx.Client) -> None:
    job = pipe(unruly, "same", {"name": "half"}, raw_data=3)
    assert [(step["step"], step["name"], step["state"]) for step in job["steps"]] == [
        (1, "same", "finished"),
        (2, "half", "finished"),
    ]
    first, second = job["steps"]
    assert job["started"] <= first["started"] <= second["started"] <= job["finished"]
    assert 0 <= first["time_sec"] + second["time_sec"] <= job["time_sec"]
    assert log_of(unruly, job["_id"]) == "step 1 of 2: same\nstep 2 of 2: half\n"


def test_a_failed_step_names_itself_and_ends_the_job(unruly: httpx.Client) -> None:
    job = pipe(unruly, "same", {"name": "refuse", "args": [[3]]}, "same", raw_data=3)
    assert job["state"] == "failed"
    assert job["error"] == "ValueError"
    assert job["message"] == "step 2 (refuse): ValueError: not 3"
    assert [step["state"] for step in job["steps"]] == ["finished", "failed"]
    log = log_of(unruly, job["_id"])
    assert "step 3" not in log
    assert log.endswith("ValueError: not 3\n")


@pytest.mark.parametrize(
    ("step", "fields", "message"),
    [
        ({"name": "end_at", "args": [[3]]}, {}, "the script ended its process with exit code 7"),
        ({"name": "take", "args": []}, {"raw_data": 600}, "memory limit of 256 MB exceeded"),
        ({"name": "stay", "args": ["nothing"]}, {"timeout": 0.5}, "timeout of 0.5 s exceeded"),
    ],
)
def test_a_step_that_is_ended_is_named(
    unruly: httpx.Client, step: Job, fields: Job, message: str
) -> None:
    job = pipe(unruly, "same", step, **{"raw_data": 3, **fields})
    assert job["state"] == "failed"
    assert job["message"].replace("MiB", "MB") == f"step 2 ({step['name']}): {message}"
    assert [step["state"] for step in job["steps"]] == ["finished", "failed"]


def test_a_cancelled_one_stops_where_it_is(unruly: httpx.Client) -> None:
    steps = ["same", {"name": "stay", "args": ["nothing"]}, "same"]
    job_id = launch(unruly, {"type": "pipeline", "steps": steps}, raw_data=1)
    until(lambda: "begun 1" in log_of(unruly, job_id), 20)
    running = until(
        lambda: len(read(unruly, job_id).get("steps", [])) == 2 and read(unruly, job_id)
    )
    assert running["steps"][1]["state"] == "running"
    assert running["message"] == "step 2 of 3: stay"
    assert running["progress"] == pytest.approx(1 / 3)
    job = cancel(unruly, job_id)
    assert job["state"] == "cancelled"
    assert [step["state"] for step in job["steps"]] == ["finished", "cancelled"]
    assert job["steps"][1]["time_sec"] > 0


def test_pipelines_within_pipelines(unruly: httpx.Client) -> None:
    inner = {"type": "pipeline", "steps": ["half", {"name": "refuse", "args": [[1]]}]}
    assert pipe(unruly, "same", inner, raw_data=8)["result"] == 4.0
    job = pipe(unruly, "same", inner, raw_data=2)
    assert job["message"] == "step 2 (pipeline): step 2 (refuse): ValueError: not 1.0"
    assert [step["name"] for step in job["steps"]] == ["same", "pipeline"]


def test_data_that_does_not_fit_the_next_step(unruly: httpx.Client) -> None:
    job = pipe(unruly, "same", "path_of", raw_data="/etc/passwd")
    assert job["error"] == "JobNotRunnable"
    assert job["message"].startswith("step 2 (path_of): data takes a file")


def test_all_problems_of_all_steps_are_told(unruly: httpx.Client) -> None:
    steps = [
        {"name": "both", "kwargs": {"b": "x"}},
        "unheard_of",
        {"type": "pipeline", "steps": [{"name": "both", "kwargs": {"c": 1}}, "noop"]},
        "pid",
    ]
    found = problems(unruly, {"type": "pipeline", "steps": steps})
    assert found["script.steps[1].name"].startswith("'unheard_of' is unknown")
    assert found["script.steps[2].steps[0].kwargs.c"].startswith("is unknown")
    assert "takes no data" in found["script.steps[2].steps[1]"]
    assert "takes no data" in found["script.steps[3]"]
    assert found.keys() == {
        "data",
        "script.steps[0].kwargs.b",
        "script.steps[1].name",
        "script.steps[2].steps[0].kwargs.c",
        "script.steps[2].steps[1]",
        "script.steps[3]",
    }


def nested(depth: int) -> Job:
    step: Any = "same"
    for _ in range(depth):
        step = {"type": "pipeline", "steps": [step]}
    return dict(step)


@pytest.mark.parametrize(
    ("script", "field", "text"),
    [
        ({"type": "pipeline"}, "script.steps", "is missing"),
        ({"type": "pipeline", "steps": "same"}, "script.steps", "must be a list"),
        ({"type": "pipeline", "steps": []}, "script.steps", "1 to 10000"),
        ({"type": "pipeline", "steps": ["same"] * 10_001}, "script.steps", "1 to 10000"),
        ({"type": "pipeline", "steps": ["same", 3]}, "script.steps[1]", "the name of a script"),
        ({"type": "pipeline", "steps": [{"type": "odd"}]}, "script.steps[0].type", "one of"),
        (
            {"type": "pipeline", "steps": ["same"], "args": []},
            "script.args",
            "is unknown: a script of type pipeline takes steps",
        ),
        (nested(9), "script" + ".steps[0]" * 8, "too deep"),
    ],
)
def test_forms_that_are_refused(unruly: httpx.Client, script: Job, field: str, text: str) -> None:
    found = problems(unruly, script, raw_data=1)
    assert list(found) == [field]
    assert text in found[field]


def test_a_thousand_steps(unruly: httpx.Client) -> None:
    job = pipe(unruly, *["same"] * 1000, raw_data=[1])
    assert job["result"] == [1]
    numbers = [step["step"] for step in job["steps"]]
    assert numbers == [*range(1, 101), *range(901, 1001)]  # what a job stores of them is bounded
    assert log_of(unruly, job["_id"]).count("\n") == 1000


def test_steps_are_the_servers(unruly: httpx.Client) -> None:
    assert unruly.put("/job", json={"steps": []}).status_code == 400


def test_three_steps_end_in_a_picture(unruly: httpx.Client) -> None:
    pytest.importorskip("matplotlib")
    job = pipe(unruly, "same", "monthly", "figure", datafile="timeseries.csv")
    assert job["state"] == "finished", job["message"]
    picture = unruly.get(f"/job/{job['_id']}/result", params={"format": "png"})
    assert picture.content.startswith(b"\x89PNG")


def test_the_document_says_what_was_run(unruly: httpx.Client, unruly_server: Server) -> None:
    job = pipe(unruly, "same", raw_data=1)
    assert job["script"] == {"type": "pipeline", "steps": ["same"]}
    assert unruly.get(f"/job/{job['_id']}", params=NATIVE).json() == job
