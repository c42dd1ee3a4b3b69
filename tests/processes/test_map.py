"""Maps: one script for each of many items, on all slots that have nothing else to do."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes.test_pipeline import launch, pipe, problems
from tests.support.fleet import fleet
from tests.support.runs import (
    WORKERS,
    all_busy,
    cancel,
    last_state,
    log_of,
    read,
    start,
)
from tests.support.server import Job, Server, finished, until

COLLECT = {"collect_errors": True}


def over(items: Any, name: str, **fields: Any) -> Job:
    """A map."""
    return {"type": "map", "name": name, "over": items, **fields}


def mapped(
    client: httpx.Client, items: Any, name: str, given: Job | None = None, **data: Any
) -> Job:
    """Run a map; the job at its end."""
    return finished(client, launch(client, over(items, name, **(given or {})), **data))


def table(client: httpx.Client, name: str, text: str) -> None:
    """Upload a data file."""
    client.delete(f"/datafile/{name}")
    answer = client.put(f"/datafile/{name}", files={"file": (name, io.BytesIO(text.encode()))})
    assert answer.status_code == 201


STATIONS = "name,level\nWien,3\nLinz,5\nWien,4\n"


def test_results_are_in_the_order_of_the_items(unruly: httpx.Client) -> None:
    job = mapped(unruly, [3, 1, 2], "half")
    assert job["result"] == [1.5, 0.5, 1.0], job
    assert mapped(unruly, {"range": [6, 0, -2]}, "half")["result"] == [3.0, 2.0, 1.0]
    many = mapped(unruly, {"range": [20_000]}, "both", {"args": [1]})["result"]
    assert many == [[n, 1] for n in range(20_000)]
    assert mapped(unruly, [], "half")["result"] == []


def test_items_are_arguments_and_so_are_args_and_kwargs(unruly: httpx.Client) -> None:
    assert mapped(unruly, ["3"], "both", {"kwargs": {"b": 4}})["result"] == [[3, 4]]
    assert mapped(unruly, [3], "both", {"args": [5]})["result"] == [[3, 5]]


def test_rows_and_groups_of_a_table(unruly: httpx.Client) -> None:
    table(unruly, "stations.csv", STATIONS)
    result = mapped(unruly, {"rows": True}, "station", datafile="stations.csv")["result"]
    assert result == ["Wien: 3", "Linz: 5", "Wien: 4"]
    counted = mapped(unruly, {"groups": "name"}, "rows", datafile="stations.csv")["result"]
    assert counted == [1, 2]
    job = mapped(unruly, {"groups": "river"}, "rows", datafile="stations.csv")
    assert "it has no column river, only: name, level" in job["message"]


def test_items_of_a_list_that_is_bound(unruly: httpx.Client) -> None:
    assert mapped(unruly, {"items": True}, "half", raw_data=[2, 4])["result"] == [1.0, 2.0]
    assert "a list is needed" in mapped(unruly, {"items": True}, "half", raw_data=3)["message"]


def test_a_grid_tells_the_parameters_beside_each_result(unruly: httpx.Client) -> None:
    job = mapped(unruly, {"grid": {"a": [1, 2], "b": [3, 4]}}, "both")
    assert job["result"] == [
        {"parameters": {"a": a, "b": b}, "result": [a, b]} for a in (1, 2) for b in (3, 4)
    ]


def test_each_item_of_a_grid_gets_the_data_as_it_was(unruly: httpx.Client) -> None:
    job = mapped(unruly, {"grid": {"by": [1, 1, 1, 1]}}, "spoil", datafile="timeseries.csv")
    assert len({each["result"] for each in job["result"]}) == 1
    assert job["result"][0]["result"] > 0


def test_anything_may_be_an_items_result(unruly: httpx.Client) -> None:
    job = mapped(unruly, [{"a.b": [1, {"c": None}]}], "same")
    assert job["result"] == [{"a.b": [1, {"c": None}]}]
    table(unruly, "stations.csv", STATIONS)
    job = mapped(unruly, {"groups": "name"}, "same", datafile="stations.csv")
    assert job["result"][0]["data"] == {"name": ["Linz"], "level": [5]}


def test_slots_with_nothing_else_to_do_help(unruly: httpx.Client) -> None:
    items = {"range": [WORKERS]}
    job = mapped(unruly, items, "meet", {"kwargs": {"name": "met", "parties": WORKERS}})
    assert WORKERS in job["result"]  # all were at work at the same time


def test_the_first_error_fails_the_job(unruly: httpx.Client) -> None:
    job = mapped(unruly, {"range": [50]}, "refuse", {"args": [[3]]})
    assert job["state"] == "failed"
    assert job["error"] == "ValueError"
    assert job["message"] == "item 4: ValueError: not 3"
    assert "ValueError: not 3" in log_of(unruly, job["_id"])


def test_errors_are_collected_in_place(unruly: httpx.Client) -> None:
    job = mapped(unruly, {"range": [5]}, "refuse", {"args": [[1, 3]], **COLLECT})
    refused = [{"error": "ValueError", "message": f"ValueError: not {n}"} for n in (1, 3)]
    assert job["result"] == [0, refused[0], 2, refused[1], 4]
    log = log_of(unruly, job["_id"]).splitlines()
    assert sorted(line for line in log if line.startswith("item ")) == sorted(
        [*(f"item {n}" for n in range(5)), *(f"item {n + 1}: ValueError: not {n}" for n in (1, 3))]
    )


def test_an_item_that_ends_its_process_fails(unruly: httpx.Client) -> None:
    job = mapped(unruly, {"range": [9]}, "end_at", {"args": [[4]]})
    assert job["state"] == "failed"
    assert job["error"] == "Killed"
    assert job["message"] == "item 5: the script ended its process with exit code 7"


def test_items_that_end_their_process_are_collected_and_none_runs_twice(
    unruly: httpx.Client, unruly_server: Server
) -> None:
    book = unruly_server.home / "ends"
    book.unlink(missing_ok=True)
    job = mapped(unruly, {"range": [9]}, "end_at", {"args": [[0, 4, 8]], **COLLECT})
    ended = {"error": "Killed", "message": "the script ended its process with exit code 7"}
    assert job["result"] == [ended if n in (0, 4, 8) else n for n in range(9)]
    lines = [line.split() for line in book.read_text().splitlines()]
    assert sorted(int(item) for item, _, _ in lines) == list(range(9))
    assert {attempt for _, attempt, _ in lines} == {"1"}


def test_each_item_has_the_memory_of_a_job(unruly: httpx.Client) -> None:
    job = mapped(unruly, {"range": [3]}, "fill", {"args": [600], **COLLECT})
    assert [job["result"][0], job["result"][2]] == [0, 0]
    assert job["result"][1]["error"] == "MemoryError"
    assert mapped(unruly, {"range": [6]}, "fill", {"args": [150]})["state"] == "finished"


def test_items_at_once_have_the_memory_of_as_many_jobs(unruly: httpx.Client) -> None:
    job = mapped(unruly, {"range": [6]}, "keep_filled", {"args": [150, 0.5]})
    assert job["state"] == "finished", job["message"]


def test_a_job_that_waits_goes_first(unruly: httpx.Client, unruly_server: Server) -> None:
    gates = [unruly_server.home / name for name in ("first", "second")]
    for gate in gates:
        gate.unlink(missing_ok=True)
    items = [gates[0].name] * WORKERS + [gates[1].name] * WORKERS
    job_id = launch(unruly, over(items, "wait_for"))
    until(lambda: log_of(unruly, job_id).count("begun") == WORKERS, 20)
    ids = [start(unruly, "add", a=1) for _ in range(3)]
    gates[0].touch()
    for other in ids:
        assert finished(unruly, other)["state"] == "finished"
    assert read(unruly, job_id)["state"] == "running"
    gates[1].touch()
    assert finished(unruly, job_id)["result"] == ["seen"] * len(items)


def test_a_map_needs_no_help(unruly: httpx.Client, unruly_server: Server) -> None:
    with all_busy(unruly_server, WORKERS - 1):
        job = mapped(unruly, {"range": [5]}, "note", {"args": ["alone"]})
    assert job["result"] == list(range(5))
    lines = (unruly_server.home / "alone").read_text().splitlines()
    assert len({line.split()[2] for line in lines}) == 1


@pytest.mark.parametrize("ending", ["cancel", "timeout"])
def test_all_that_help_end_with_the_job(
    unruly: httpx.Client, unruly_server: Server, ending: str
) -> None:
    fields = {"timeout": 2} if ending == "timeout" else {}
    job_id = launch(unruly, over({"range": [8]}, "stay", args=["never"]), **fields)
    until(lambda: log_of(unruly, job_id).count("begun") == WORKERS, 20)
    if ending == "cancel":
        assert cancel(unruly, job_id)["state"] == "cancelled"
    else:
        assert finished(unruly, job_id)["message"] == "timeout of 2 s exceeded"
    with all_busy(unruly_server, WORKERS):  # every slot is free again
        pass
    assert finished(unruly, start(unruly, "add", a=1))["result"] == 3


def test_progress_is_that_of_the_items(unruly: httpx.Client, unruly_server: Server) -> None:
    gate = unruly_server.home / "later"
    gate.unlink(missing_ok=True)
    names = ["passed"] * 6 + [gate.name] * 2
    (unruly_server.home / "passed").touch()
    job_id = launch(unruly, over(names, "wait_for"))
    job = until(lambda: (job := read(unruly, job_id)).get("progress") == 0.75 and job, 20)
    assert job["message"] == "6 of 8 items"
    gate.touch()
    job = finished(unruly, job_id)
    assert job["progress"] == 1.0
    assert mapped(unruly, [1], "report")["progress"] == 1.0


def test_lines_of_all_slots_are_whole(unruly: httpx.Client) -> None:
    job = mapped(unruly, [20] * 9, "say")
    lines = log_of(unruly, job["_id"]).splitlines()[:-1]  # the last one is a part, or tells of it
    assert {len(line) for line in lines if line and not line.startswith("[")} == {1023}


def test_a_map_in_a_pipeline_is_shared_too(unruly: httpx.Client) -> None:
    meeting = {"name": "met2", "parties": 2}
    step = over({"items": True}, "meet", kwargs=meeting)
    job = pipe(unruly, "same", step, "max_of", raw_data=[1, 2, 3])
    assert job["result"] >= 2
    assert [each["name"] for each in job["steps"]] == ["same", "map of meet", "max_of"]
    table(unruly, "stations.csv", STATIONS)
    groups = pipe(
        unruly, "same", over({"groups": "name"}, "same"), "kinds", datafile="stations.csv"
    )
    assert groups["result"] == ["DataFrame", "DataFrame"]


def test_a_failed_item_in_a_pipeline_names_step_and_item(unruly: httpx.Client) -> None:
    step = over({"items": True}, "refuse", args=[[2]])
    job = pipe(unruly, "same", step, raw_data=[1, 2, 3])
    assert job["message"] == "step 2 (map of refuse): item 2: ValueError: not 2"
    job = pipe(unruly, "same", over({"items": True}, "end_at", args=[[2]]), raw_data=[1, 2, 3])
    end = "the script ended its process with exit code 7"
    assert job["message"] == f"step 2 (map of end_at): item 2: {end}"
    assert job["steps"][1]["state"] == "failed"


def test_what_only_one_child_has_is_mapped_there(unruly: httpx.Client) -> None:
    step = over({"grid": {}}, "unwrap") | {"over": {"items": True}}
    assert pipe(unruly, "wrapped", step, raw_data=[1, 2])["result"] == [1, 2]


def test_a_map_of_pipelines_and_of_maps(unruly: httpx.Client) -> None:
    inner = {"type": "pipeline", "steps": ["half", {"name": "refuse", "args": [[1]]}]}
    script = {"type": "map", "script": inner, "over": [8, 2, 6]}
    job = finished(unruly, launch(unruly, {**script, "collect_errors": True}))
    message = "step 2 (refuse): ValueError: not 1.0"
    assert job["result"] == [4.0, {"error": "ValueError", "message": message}, 3.0]
    assert "steps" not in job
    script = {"type": "map", "script": over({"items": True}, "half"), "over": [[2, 4], [6]]}
    assert finished(unruly, launch(unruly, script))["result"] == [[1.0, 2.0], [3.0]]


@pytest.mark.parametrize(
    ("script", "fields", "expected"),
    [
        (over([1, "x"], "half"), {}, {"script.over[1]": "must be a number, not 'x'"}),
        (over([1], "both", kwargs={"c": 1}), {}, {"script.kwargs.c": "is unknown"}),
        (over([1], "both", args=["x"]), {}, {"script.args[0]": "must be a whole number, not 'x'"}),
        (over([1], "noop"), {}, {"script.over[0]": "one too many"}),
        (over([1], "unheard_of"), {}, {"script.name": "is unknown"}),
        (over([], "unheard_of"), {}, {"script.name": "is unknown"}),
        (over({"grid": {"a": []}}, "unheard_of"), {}, {"script.name": "is unknown"}),
        (over(["/etc/passwd"], "path_of"), {}, {"script.over[0]": "takes a file"}),
        (over({"rows": True}, "station"), {}, {"data": "is missing"}),
        (over([1], "half"), {"raw_data": 1}, {"data": "is bound"}),
        (
            over({"grid": {"a": [1, "x"], "c": [1, 2]}}, "both"),
            {},
            {
                "script.over.grid.a[1]": "must be a whole number, not 'x'",
                "script.over.grid.c": "is unknown",
            },
        ),
        (over({"grid": {"b": [1]}}, "both"), {}, {"data": "is missing"}),
        ({"type": "map", "name": "half"}, {}, {"script.over": "is missing"}),
        ({"type": "map", "over": [1]}, {}, {"script.name": "is missing"}),
        (over([1], "half", script={"name": "half"}), {}, {"script.name": "must not stand beside"}),
        (over(3, "half"), {}, {"script.over": "must be a list, or"}),
        (over([1], "half", collect_errors=1), {}, {"script.collect_errors": "true or false"}),
        (
            {"type": "map", "script": {"type": "pipeline", "steps": ["noop"]}, "over": [1]},
            {},
            {"script.script": "takes no data"},
        ),
        (
            {"type": "pipeline", "steps": ["same", over([1], "half")]},
            {"raw_data": 1},
            {"script.steps[1]": "takes no data"},
        ),
    ],
)
def test_what_cannot_run_is_refused(
    unruly: httpx.Client, script: Job, fields: Job, expected: dict[str, str]
) -> None:
    found = problems(unruly, script, **fields)
    assert found.keys() == expected.keys()
    for field, text in expected.items():
        assert text in found[field]


def test_a_server_that_is_killed_leaves_one_attempt_and_one_that_ends_waits(home: Path) -> None:
    with fleet(home, "server", WORKERS=2, LEASE_SECONDS=2, SHUTDOWN_GRACE=20) as members:
        with members.client() as client:
            cut = _begun(client, "never")
        members.kill_all()
        members.start()
        members.wait_ready()
        with members.client() as client:
            job = finished(client, cut)
            assert (job["state"], job["error"]) == ("failed", "Interrupted")
            assert (home / "book").read_text().split() == [cut, "1", cut, "1"]
            job_id = _begun(client, "gate")
            members.members["server"].terminate()
            (home / "gate").touch()
            assert last_state(client, job_id) == "finished"


def _begun(client: httpx.Client, gate: str) -> str:
    """Start a map of which two items wait for a gate; its id."""
    job_id = launch(client, over([gate] * 4, "wait_for"))
    until(lambda: log_of(client, job_id).count("begun") == 2, 20)
    return job_id
