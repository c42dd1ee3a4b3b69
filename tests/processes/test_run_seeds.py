"""Seeds: runs draw their own random numbers, and the same again where that is wanted."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobserver.processes.seeds import LIMIT
from tests.processes.test_map import mapped, over
from tests.processes.test_pipeline import launch
from tests.support.runs import NATIVE, all_busy, create, start
from tests.support.server import Job, MakeServer, Server, finished
from tests.support.strategies import fuzzed

SLOTS = 3
DRAWING = '''
import random
import time
from pathlib import Path

import numpy as np

from jobserver import current_job


def wait_for(name):
    """Wait until the home has a file."""
    print("begun")
    while not (Path(__file__).parents[1] / name).exists():
        time.sleep(0.01)


def drawn(data=None):
    """What is drawn: twice from each, so that both run on."""
    numbers = [random.random(), np.random.random()]
    return [*numbers, random.random(), np.random.random()]


def slowly(data=None):
    """The same, for items that shall be spread over slots."""
    time.sleep(0.02)
    return [current_job.seed, *drawn()]


def both(data=None):
    """What is drawn as the same numbers by the two."""
    return [random.getrandbits(32), int(np.random.randint(2**32, dtype=np.uint32))]


def many(data=None):
    """How many of the first numbers of the two are the same."""
    return len({random.random() for _ in range(100)} & set(np.random.random(100)))


def told():
    """The seed as the script sees it."""
    return [current_job.seed, random.random()]


def of_its_own():
    """A generator made of the seed."""
    return float(np.random.default_rng(current_job.seed).random())
'''
LARGEST = LIMIT - 1


def add_drawing(home: Path) -> None:
    """Put the scripts into a home."""
    (home / "scripts" / "drawing_numbers.py").write_text(DRAWING)


@pytest.fixture(scope="module")
def server(make_server: MakeServer) -> Iterator[Server]:
    """A server with several slots."""
    with make_server(prepare=add_drawing, WORKERS=SLOTS) as server:
        yield server
        server.check()


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    """A client of that server."""
    return server.client


def run(client: httpx.Client, script: str, **fields: Any) -> Job:
    """Run a script; the job at its end."""
    job = finished(client, start(client, script, fields))
    assert job["state"] == "finished", job["message"]
    return job


def seed_of(job: Job) -> int:
    """The seed that was recorded."""
    seed: int = job["provenance"]["seed"]
    return seed


def expected(seed: int) -> list[float]:
    """What `drawn` gives after a small seed."""
    own = random.Random(seed)  # noqa: S311 - no secret
    numpy = np.random.RandomState(seed)
    return [own.random(), numpy.random(), own.random(), numpy.random()]


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1])
def test_a_seed_is_that_of_the_libraries(client: httpx.Client, seed: int) -> None:
    job = run(client, "drawn", seed=seed)
    assert job["result"] == expected(seed)
    assert seed_of(job) == job["seed"] == seed


@pytest.mark.parametrize("seed", [42, 2**32, 2**53 + 1, LARGEST])
def test_the_same_seed_gives_the_same_numbers(client: httpx.Client, seed: int) -> None:
    first, second = (run(client, "drawn", seed=seed) for _ in range(2))
    assert first["result"] == second["result"]
    assert seed_of(first) == seed_of(second) == seed
    assert len(set(first["result"])) == 4


def test_seeds_that_differ_anywhere_give_other_numbers(client: httpx.Client) -> None:
    seeds = [5, 5 + 2**32, 5 + 2**33, 5 + 2**62, LARGEST]
    drawn = [number for seed in seeds for number in run(client, "drawn", seed=seed)["result"]]
    assert len(set(drawn)) == len(drawn)


def test_each_run_has_a_seed_of_its_own(client: httpx.Client) -> None:
    jobs = [run(client, "drawn") for _ in range(5)]
    drawn = [number for job in jobs for number in job["result"]]
    assert len(set(drawn)) == len(drawn)
    assert len({seed_of(job) for job in jobs}) == len(jobs)
    assert all(0 <= seed_of(job) < 2**53 for job in jobs)
    assert not any("seed" in job for job in jobs)


def test_runs_at_the_same_time_draw_other_numbers(client: httpx.Client) -> None:
    ids = [start(client, "drawn") for _ in range(12)]
    drawn = [number for job_id in ids for number in finished(client, job_id)["result"]]
    assert len(set(drawn)) == len(drawn)


def test_the_two_generators_draw_other_numbers(client: httpx.Client) -> None:
    for seed in (2**32 + 7, 2**40, LARGEST):
        assert run(client, "many", seed=seed)["result"] == 0
        own, numpy = run(client, "both", seed=seed)["result"]
        assert own != numpy
    assert run(client, "many")["result"] == 0


def test_the_recorded_seed_repeats_a_run(client: httpx.Client) -> None:
    job = run(client, "drawn")
    assert run(client, "drawn", seed=seed_of(job))["result"] == job["result"]


@pytest.mark.parametrize("fields", [{}, {"seed": 7}, {"seed": LARGEST}])
def test_a_run_made_again_draws_the_same(client: httpx.Client, fields: Job) -> None:
    job = run(client, "drawn", **fields)
    again = client.post(f"/job/{job['_id']}/rerun", params=NATIVE).json()
    assert again["seed"] == seed_of(job)
    client.post(f"/job/{again['_id']}/run")
    assert finished(client, again["_id"])["result"] == job["result"]


def test_a_run_made_again_may_have_another_seed(client: httpx.Client) -> None:
    job = run(client, "drawn", seed=7)
    again = client.post(f"/job/{job['_id']}/rerun", json={"seed": 8}, params=NATIVE).json()
    client.post(f"/job/{again['_id']}/run")
    assert finished(client, again["_id"])["result"] == expected(8)


@pytest.mark.parametrize("seed", [None, 3, 2**40 + 1])
def test_a_script_sees_its_seed(client: httpx.Client, seed: int | None) -> None:
    job = run(client, "told", **({} if seed is None else {"seed": seed}))
    assert job["result"][0] == seed_of(job)
    assert seed in (None, seed_of(job))
    own = run(client, "of_its_own", seed=seed_of(job))["result"]
    assert own == np.random.default_rng(seed_of(job)).random()


BAD = [-1, LIMIT, 2**64, 10**30, 1.5, 1.0, "x", "5", True, False, [], [1], {}, {"a": 1}]


@pytest.mark.parametrize("seed", BAD, ids=repr)
def test_a_seed_that_is_none_is_refused_at_the_start(client: httpx.Client, seed: Any) -> None:
    body = {"script": {"name": "drawn"}, "seed": seed}
    answer = client.put("/job", json=body)
    if answer.status_code == 400:  # no number of the database
        assert "seed" in answer.json()["message"]
        return
    assert answer.status_code == 201, answer.text
    job_id = answer.json()["_id"]
    before = client.get(f"/job/{job_id}").json()
    refused = client.post(f"/job/{job_id}/run")
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"field": "seed", "problem": f"must be a whole number from 0 to {LARGEST}"}
    ]
    assert client.get(f"/job/{job_id}").json() == before
    assert before["state"] == "created"


def test_no_seed_is_a_fresh_one(client: httpx.Client) -> None:
    jobs = [run(client, "told", seed=None) for _ in range(2)]
    assert [job["result"][0] for job in jobs] == [seed_of(job) for job in jobs]
    assert seed_of(jobs[0]) != seed_of(jobs[1])


def test_a_job_whose_seed_was_mended_runs(client: httpx.Client) -> None:
    job_id = create(client, "drawn", {"seed": "x"})
    assert client.post(f"/job/{job_id}/run").status_code == 422
    assert client.post(f"/job/{job_id}", json={"seed": 9}).status_code == 200
    assert client.post(f"/job/{job_id}/run").status_code == 202
    assert finished(client, job_id)["result"] == expected(9)


# Items of maps


def items(client: httpx.Client, count: int, seed: int, **fields: Any) -> list[Any]:
    """What the items of a map draw."""
    job = mapped(client, {"range": [count]}, "slowly", fields, seed=seed)
    assert job["state"] == "finished", job["message"]
    found: list[Any] = job["result"]
    return found


@pytest.mark.parametrize("seed", [7, LARGEST])
def test_items_draw_the_same_on_any_number_of_slots(
    server: Server, client: httpx.Client, seed: int
) -> None:
    with all_busy(server, SLOTS - 1):
        alone = items(client, 20, seed)
    spread = items(client, 20, seed)
    assert spread == alone
    numbers = [number for item in alone for number in item]
    assert len(set(numbers)) == len(numbers)
    assert alone[:5] == items(client, 5, seed)


def test_items_of_another_seed_draw_other_numbers(client: httpx.Client) -> None:
    found = [*items(client, 5, 1), *items(client, 5, 2)]
    numbers = [number for item in found for number in item]
    assert len(set(numbers)) == len(numbers)


def test_a_map_made_again_draws_the_same(client: httpx.Client) -> None:
    job = mapped(client, {"range": [8]}, "drawn")
    again = client.post(f"/job/{job['_id']}/rerun").json()
    client.post(f"/job/{again['_id']}/run")
    assert finished(client, again["_id"])["result"] == job["result"]


def test_what_an_item_draws_does_not_depend_on_others_that_fail(client: httpx.Client) -> None:
    whole = mapped(client, [1, 2, 3], "drawn", seed=3)["result"]
    script = over([1, 2, 3], "drawn", collect_errors=True)
    assert finished(client, launch(client, script, seed=3))["result"] == whole


def test_the_maps_of_a_pipeline_draw_other_numbers(client: httpx.Client) -> None:
    steps = [over([1, 2], "both"), over({"items": True}, "both")]
    pipeline = {"type": "pipeline", "steps": steps}
    job = finished(client, launch(client, pipeline, seed=5))
    assert job["state"] == "finished", job["message"]
    alone = mapped(client, [1, 2], "both", seed=5)["result"]
    numbers = [number for item in [*alone, *job["result"]] for number in item]
    assert len(set(numbers)) == len(numbers)
    again = finished(client, launch(client, pipeline, seed=5))
    assert again["result"] == job["result"]


def test_the_items_of_maps_within_maps_draw_other_numbers(client: httpx.Client) -> None:
    within = {"type": "map", "over": [[1, 2], [3, 4]], "script": over({"items": True}, "both")}
    job = finished(client, launch(client, within, seed=5))
    assert job["state"] == "finished", job["message"]
    numbers = [number for outer in job["result"] for inner in outer for number in inner]
    assert len(set(numbers)) == len(numbers) == 8


def test_a_map_leaves_the_numbers_of_the_run_as_they_are(client: httpx.Client) -> None:
    steps = [over([1, 2], "both"), "drawn"]
    job = finished(client, launch(client, {"type": "pipeline", "steps": steps}, seed=42))
    assert job["result"] == expected(42)


@settings(max_examples=fuzzed(5))
@given(seed=st.integers(0, LARGEST))
def test_any_seed_is_taken_and_recorded(client: httpx.Client, seed: int) -> None:
    job = run(client, "told", seed=seed)
    assert job["result"][0] == seed_of(job) == seed
