"""Generators are collected and coroutines awaited, within limits."""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from jobserver.errors import TooLarge
from jobserver.processes.collecting import collect, memory_of
from jobserver.sizes import MIB
from tests.support.runs import carry_out, log_of
from tests.support.scripts import lazily
from tests.support.server import Job, MakeServer, Server, run_through

LIMIT = 4 * MIB


def add_lazily(home: Path) -> None:
    """Put the scripts into a home."""
    shutil.copy(lazily.__file__, home / "scripts")


@pytest.fixture(scope="module")
def lazy_server(make_server: MakeServer) -> Iterator[Server]:
    """A server that stores small results only."""
    with make_server(prepare=add_lazily, RESULT_LIMIT=LIMIT, WORKERS=2) as server:
        yield server


@pytest.fixture
def client(lazy_server: Server) -> Iterator[httpx.Client]:
    """A client of that server."""
    yield lazy_server.client
    lazy_server.check()


def test_a_generator_is_collected_into_a_list(client: httpx.Client) -> None:
    job = carry_out(client, "squares", count=5)
    assert (job["state"], job["result"]) == ("finished", [0, 1, 4, 9, 16])
    assert log_of(client, job["_id"]) == ""


def test_an_async_script_is_run_to_its_end(client: httpx.Client) -> None:
    job = carry_out(client, "fetched", x=3)
    assert job["result"] == {"sum": 7, "job": 24}
    for script in ("streamed", "returns_stream"):
        assert carry_out(client, script, count=3)["result"] == [0, 1, 2]
    assert carry_out(client, "returns_coroutine", count=3)["result"] == [3, 4]


def test_a_returned_exception_names_no_path_of_the_server(client: httpx.Client) -> None:
    text = "[Errno 2] No such file: 'scripts/lazily.py'"
    assert carry_out(client, "returns_error")["result"] == text
    over = {"type": "map", "name": "returns_error", "over": {"grid": {"again": [1, 2]}}}
    job = run_through(client, script=over)
    assert [item["result"] for item in job["result"]] == [text, text]


@pytest.mark.parametrize("size", [0, 10_000, 8 * MIB])
def test_an_endless_generator_fails_with_the_limit(client: httpx.Client, size: int) -> None:
    job = carry_out(client, "endless", size=size)
    assert (job["state"], job["error"], job["result"]) == ("failed", "TooLarge", None)
    assert job["message"].startswith("the script yielded more than 4 MiB in ")
    assert "yield fewer or smaller items" in job["message"]


def test_a_slow_endless_generator_fails_with_the_timeout(client: httpx.Client) -> None:
    job = carry_out(client, "slowly_endless", {"timeout": 0.5})
    assert (job["state"], job["error"]) == ("failed", "Timeout")


@pytest.mark.parametrize(
    ("script", "kwargs", "message", "line"),
    [
        ("breaking", {"after": 3}, "ValueError: no more numbers", "in breaking"),
        ("failing", {}, "LookupError: nothing there", "in failing"),
    ],
)
def test_an_error_while_it_runs_fails_the_job_with_its_traceback(
    client: httpx.Client, script: str, kwargs: Any, message: str, line: str
) -> None:
    job = carry_out(client, script, **kwargs)
    assert (job["state"], job["message"]) == ("failed", message)
    assert line in log_of(client, job["_id"])
    assert "collecting.py" not in log_of(client, job["_id"])


def test_a_step_of_a_pipeline_gets_the_list(client: httpx.Client) -> None:
    for script in ("squares", "streamed"):
        steps = [{"name": script, "kwargs": {"count": 3}}, "total"]
        job = run_through(client, script={"type": "pipeline", "steps": steps})
        assert job["result"] == (5 if script == "squares" else 3), job["message"]


def test_each_item_of_a_map_is_a_list(client: httpx.Client) -> None:
    def mapped(name: str, over: list[int]) -> Job:
        return run_through(client, script={"type": "map", "name": name, "over": over})

    assert mapped("squares", [0, 1, 3])["result"] == [[], [0], [0, 1, 4]]
    assert mapped("streamed", [2, 1])["result"] == [[0, 1], [0]]
    assert [each["sum"] for each in mapped("fetched", [1, 2])["result"]] == [3, 5]


def test_scripts_describe_what_is_run_lazily(client: httpx.Client) -> None:
    for script in ("squares", "streamed", "returns_stream"):
        parameters = client.get(f"/script/{script}").json()["parameters"]
        assert parameters["properties"] == {"count": {"type": "integer", "x-data": True}}
        assert parameters["required"] == ["count"]
    assert client.get("/scripts").json().get("errors") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (map(str, [1, 2]), ["1", "2"]),
        (zip([1], "a", strict=True), [(1, "a")]),
        (iter([]), []),
        ([1, 2], [1, 2]),
        (None, None),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_any_iterator_is_collected_and_nothing_else(value: Any, expected: Any) -> None:
    assert collect(value, LIMIT) == expected


def test_a_file_and_an_iterator_inside_are_left_alone() -> None:
    for value in (io.StringIO("a\nb"), [iter([1])], {"a": itertools.count()}):
        assert collect(value, 0) is value


@pytest.mark.parametrize(
    "item",
    [
        *(b"x" * 50_000, [0.5] * 50_000, {"a": {"b": ["x" * 50_000]}}, ({1, "x" * 50_000},)),
        *(np.zeros(50_000), np.zeros((2, 50_000))[1], pd.DataFrame({"a": np.zeros(50_000)})),
    ],
    ids=lambda item: type(item).__name__,
)
def test_the_limit_counts_what_items_contain(item: object) -> None:
    assert 50_000 <= memory_of(item) < 500_000 + 50_000 * 8
    with pytest.raises(TooLarge, match=r"more than 256 KiB in \d items"):
        collect(itertools.repeat(item), 256 * 1024)


def test_an_item_that_contains_itself_is_measured() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert memory_of(circle) < 1000
