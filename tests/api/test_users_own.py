"""What is whose, and how much of it: jobs, data and files of two users; quotas."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from bson import ObjectId

from jobserver.jobs.job import Job, State
from jobserver.jobs.lifecycle.transitions import JobLifecycle
from jobserver.jobs.outcome import Outcome, interrupted
from jobserver.users.policy import Role
from tests.support.members import Member, Members
from tests.support.server import finished, run_through, until

NATIVE = {"stringify": "false"}


def ids(answer: httpx.Response) -> set[str]:
    return {job["_id"] for job in answer.json()["jobs"]}


def test_lists_hold_ones_own(alice: Member, bob: Member, members: Members) -> None:
    admin = members.add(Role.ADMIN)
    theirs = {who: set[str]() for who in (alice.id, bob.id)}
    for number in range(6):
        for member in (alice, bob):
            job = member.client.put("/job", json={"n": number}).json()
            theirs[member.id].add(job["_id"])
    for member in (alice, bob):
        mine = theirs[member.id]
        for _ in range(2):  # the second time from what was kept
            assert ids(member.client.get("/jobs")) == mine
        everything: list[dict[str, Any]] = [{}, {"$nor": [{"n": 9}]}, {"_owner": alice.id}]
        for body, expected in zip(everything, (mine, mine, mine & theirs[alice.id]), strict=True):
            assert ids(member.client.post("/jobs", json=body)) == expected
        first = member.client.get("/jobs", params={"limit": 4}).json()
        rest = member.client.get(first["next"]).json()
        assert (first["found"], rest["found"]) == (6, 6)
        assert {job["_id"] for job in first["jobs"] + rest["jobs"]} == mine
    assert ids(admin.client.get("/jobs")) >= theirs[alice.id] | theirs[bob.id]
    assert alice.client.delete("/jobs").json()["total"] == 6
    assert ids(alice.client.get("/jobs")) == set()
    assert ids(bob.client.get("/jobs")) == theirs[bob.id]
    assert ids(admin.client.get("/jobs")) >= theirs[bob.id]


def test_lists_longer_than_a_window(members: Members) -> None:
    member, other = members.add(), members.add()
    for number in range(210):
        who = member if number % 2 else other
        who.client.put("/job", json={"n": number})
    numbers = [job["n"] for job in member.client.get("/jobs", params=NATIVE).json()["jobs"]]
    assert numbers == list(range(1, 210, 2))
    newest = member.client.get("/jobs", params={**NATIVE, "sort": "-created", "limit": 3}).json()
    assert [job["n"] for job in newest["jobs"]] == [209, 207, 205]


def test_public_jobs_show_parameters_and_result_only(alice: Member, bob: Member) -> None:
    fields = {"script": {"name": "echo"}, "raw_data": [1, 2], "note": "mine", "notify": True}
    job = run_through(alice.client, **fields)
    address = f"/job/{job['_id']}"
    assert bob.client.get(address).status_code == 404
    assert alice.client.post(address, json={"public": True}).status_code == 200
    shown = bob.client.get(address, params=NATIVE).json()
    assert shown["result"] == job["result"]
    assert shown["script"]["name"] == "echo"
    assert not shown.keys() & {"_owner", "note", "notify", "raw_data", "data", "_run"}
    assert bob.client.get(f"{address}/result").json() == [1, 2]
    for path in ("/log", "/events"):
        assert bob.client.get(address + path).status_code == 404
    assert bob.client.post(address, json={"public": False}).status_code == 404
    assert bob.client.delete(address).status_code == 404
    assert alice.client.post(address, json={"public": "yes"}).status_code == 400
    assert alice.client.post(address, json={"public": False}).status_code == 200
    assert bob.client.get(f"{address}/result").status_code == 404


@pytest.mark.parametrize("role", [Role.ADMIN, Role.SUPERUSER])
def test_a_script_is_changed_by_its_owner_only(members: Members, role: Role) -> None:
    owner, other = members.add(Role.SUPERUSER), members.add(role)
    code = {"type": "eval", "code": "1"}
    address = f"/job/{owner.client.put('/job', json={'script': code}).json()['_id']}"
    before = owner.client.get(address).json()
    for fields in ({"script": {**code, "code": "2"}}, {"script_name": "noop", "note": 1}):
        for path in (address, f"{address}/rerun"):
            answer = other.client.post(path, json=fields)
            assert answer.status_code == 403
            assert "PUT /job" in answer.json()["message"]
    assert other.client.patch(address, json={"script": None}).status_code == 403
    assert owner.client.get(address).json() == before
    assert other.client.post(address, json={"note": "seen"}).status_code == 200
    assert other.client.post(f"{address}/rerun", json={"note": "again"}).status_code == 201
    changed = owner.client.post(address, json={"script": {**code, "code": "3"}}, params=NATIVE)
    assert changed.json()["script"] == {**code, "code": "3"}


def test_strangers_learn_nothing_from_a_change_of_script(alice: Member, bob: Member) -> None:
    address = f"/job/{alice.client.put('/job', json={}).json()['_id']}"
    missing = f"/job/{'f' * 24}"
    for path in (address, missing):
        answer = bob.client.post(path, json={"script_name": "noop"})
        assert answer.status_code == 404


def names(member: Member) -> list[str]:
    return [file["name"] for file in member.client.get("/datafiles").json()["files"]]


def test_files_are_ones_own(alice: Member, bob: Member, members: Members) -> None:
    for member, content in ((alice, b"a\n1\n"), (bob, b"a\n22\n333\n")):
        answer = member.client.put("/datafile/same.csv", files={"file": content})
        assert (answer.status_code, answer.json()["path"]) == (201, "data/same.csv")
    for member, size in ((alice, 4), (bob, 9)):
        job = run_through(member.client, script_name="size_of", datafile="same.csv")
        assert job["result"] == size
        assert names(member) == ["same.csv"]
    assert alice.client.delete("/datafiles").json()["deleted"] == 1
    assert bob.client.get("/datafile/same.csv", params={"format": "txt"}).text == "a\n22\n333\n"
    job_id = alice.client.put("/job", json={"script_name": "size_of", "datafile": "same.csv"})
    assert alice.client.post(f"/job/{job_id.json()['_id']}/run").status_code == 422
    assert (members.server.data / "timeseries.csv").exists()


def test_data_is_ones_own(alice: Member, bob: Member) -> None:
    data_id = alice.client.put("/data", json={"data": [1]}).json()["_id"]
    fields = {"script_name": "echo", "data": {"type": "mongodb", "id": data_id}}
    assert run_through(alice.client, **fields)["result"] == [1]
    job_id = bob.client.put("/job", json=fields).json()["_id"]
    assert bob.client.post(f"/job/{job_id}/run").status_code == 422
    assert bob.client.get("/data").json()["found"] == 0
    assert bob.client.post(f"/data/{data_id}", json={"data": 1}).status_code == 404
    assert bob.client.delete(f"/data/{data_id}").status_code == 404


def test_events_of_others_are_not_heard(alice: Member, bob: Member) -> None:
    heard: list[str] = []
    begun = threading.Event()
    last = bob.client.put("/job/the-last-one", json={"script_name": "noop"}).json()["_id"]

    def listen() -> None:
        with bob.client.stream("GET", "/jobs/events") as stream:
            for line in stream.iter_lines():
                begun.set()
                heard.append(line)
                if last in line and "finished" in line:
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    begun.wait(10)
    other = run_through(alice.client, script_name="noop")
    bob.client.post(f"/job/{last}/run")
    thread.join(20)
    text = "\n".join(heard)
    assert last in text
    assert str(other["_id"]) not in text


def runs_at_once(member: Member, number: int, script: str = "hold") -> list[httpx.Response]:
    """Start so many jobs at the same moment."""
    made = [member.client.put("/job", json={"script_name": script}).json() for _ in range(number)]
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda job: member.client.post(f"/job/{job['_id']}/run"), made))


@pytest.mark.parametrize("quota", [{"job_quota": 1}, {"job_limit": 1}])
def test_of_many_runs_at_once_a_quota_lets_one_pass(
    members: Members, quota: dict[str, int]
) -> None:
    member = members.add(Role.USER, **quota)
    answers = runs_at_once(member, 20)
    assert sorted(answer.status_code for answer in answers) == [202] + [429] * 19
    refused = next(answer for answer in answers if answer.status_code == 429).json()["message"]
    assert next(iter(quota)) in refused
    started = next(answer for answer in answers if answer.status_code == 202).json()["_id"]
    member.client.post(f"/job/{started}/cancel")
    assert finished(member.client, started)["state"] == "cancelled"
    used = until(lambda: settled(member))
    assert (used["jobs_started"], used["jobs_active"]) == (1, 0)
    again = runs_at_once(member, 1, "noop")[0].status_code
    assert again == (429 if "job_quota" in quota else 202)


def settled(member: Member) -> dict[str, Any] | None:
    """A user, once none of their jobs is active."""
    shown: dict[str, Any] = member.client.get(f"/user/{member.id}").json()
    return None if shown["jobs_active"] else shown


def test_a_job_that_cannot_run_costs_nothing(members: Members) -> None:
    member = members.add(job_quota=1)
    assert runs_at_once(member, 1, "no_such_script")[0].status_code == 422
    assert runs_at_once(member, 1, "noop")[0].status_code == 202


@pytest.fixture
def runs(members: Members) -> JobLifecycle:
    return JobLifecycle(members.database, "test", 3600)


def open_run(members: Members, runs: JobLifecycle, **quota: int) -> tuple[ObjectId, Job]:
    """A running job that no server works on, and its owner."""
    owner = ObjectId(members.add(Role.USER, **quota).id)
    job = runs.jobs.create({}, owner=owner)
    with runs.jobs.quotas.charged(job) as charge:
        assert runs.enqueue(job, {"script": {"name": "noop", "type": "none"}}, charge)
    members.database["jobs"].update_one(
        {"_id": job.id},
        {"$set": {"state": "running", "_run.attempt": 1, "_run.beat": members.database.now()}},
    )
    return owner, runs.jobs.get(job.id)


def used(members: Members, owner: ObjectId) -> tuple[int, int]:
    user = members.users.get(owner)
    assert user
    return user.charged, len(user.open)


ENDS: list[tuple[Outcome, int]] = [
    (Outcome(State.FINISHED), 1),
    (Outcome(State.FAILED, error="ValueError"), 1),
    (interrupted("on purpose"), 0),
]


@pytest.mark.parametrize(("outcome", "left"), ENDS)
@pytest.mark.parametrize("killed", [False, True])
def test_interrupted_runs_are_given_back_once(
    members: Members,
    runs: JobLifecycle,
    monkeypatch: pytest.MonkeyPatch,
    outcome: Outcome,
    left: int,
    killed: bool,
) -> None:
    owner, job = open_run(members, runs)
    if killed:  # between the end of the job and its settling
        monkeypatch.setattr(runs.jobs.quotas, "settle", lambda *_: None)
    assert used(members, owner) == (1, 1)
    assert runs.finish(job, outcome) is outcome.state
    for _ in range(3):
        runs.jobs.quotas.reconcile(owner)
    assert used(members, owner) == (left, 0)


def test_a_job_is_settled_before_it_is_deleted(
    members: Members, runs: JobLifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, job = open_run(members, runs)
    with monkeypatch.context() as patched:
        patched.setattr(runs.jobs.quotas, "settle", lambda *_: None)
        runs.finish(job, interrupted("on purpose"))
    runs.jobs.delete(job.id)
    assert used(members, owner) == (0, 0)


def test_a_charge_without_a_run_is_given_back(members: Members, runs: JobLifecycle) -> None:
    """A server was killed after it charged; one that is only slow does not queue any more."""
    owner = ObjectId(members.add(job_limit=1).id)
    job = runs.jobs.create({}, owner=owner)
    old = {"token": ObjectId("0" * 24), "job": job.id}
    members.users.change(owner, {}, {"open": [old], "charged": 1})
    with runs.jobs.quotas.charged(runs.jobs.get(job.id)) as charge:
        assert runs.enqueue(job, {}, {"charge": old["token"]}) is None
        assert runs.enqueue(runs.jobs.get(job.id), {}, charge)
    assert used(members, owner) == (1, 1)
    members.database["jobs"].delete_one({"_id": job.id})


def test_uploads_at_once_share_the_storage_quota(members: Members) -> None:
    member = members.add(storage_quota=250)

    def upload(number: int) -> int:
        files = {"file": b"x" * 100}
        return member.client.put(f"/datafile/{number}.csv", files=files).status_code

    with ThreadPoolExecutor(12) as pool:
        codes = sorted(pool.map(upload, range(12)))
    assert codes == [201] * 2 + [429] * 10
    name = names(member)[0]
    assert member.client.delete(f"/datafile/{name}").status_code == 200
    assert upload(20) == 201


def stored(member: Member) -> int:
    """What a user has stored in bytes, once their jobs are settled."""
    shown: dict[str, Any] = until(lambda: settled(member))
    size: int = shown["bytes_stored"]
    return size


WAYS: dict[str, Callable[[Member, int], httpx.Response]] = {
    "file": lambda who, n: who.client.put(f"/datafile/f{n}.csv", files={"file": b"x" * 3000}),
    "data": lambda who, _: who.client.put("/data", json={"data": ["x" * 3000]}),
    "job": lambda who, _: who.client.put("/job", json={"raw_data": "x" * 3000}),
}
DELETING = ("/datafiles", "/jobs")


@pytest.mark.parametrize("kind", WAYS)
def test_everything_counts_and_is_given_back(members: Members, kind: str) -> None:
    member = members.add()
    answer = WAYS[kind](member, 0)
    assert 3000 <= stored(member) <= 3500
    identity = answer.json().get("_id", "f0.csv")
    path = {"file": "/datafile/", "data": "/data/", "job": "/job/"}[kind] + identity
    assert WAYS[kind](member, 0).status_code == (409 if kind == "file" else 201)
    if kind != "file":
        grown = {"data": "x" * 9000} if kind == "data" else {"raw_data": "x" * 9000}
        before = stored(member)
        assert member.client.post(path, json=grown).status_code == 200
        assert 5900 <= stored(member) - before <= 6100
        shrunk = dict.fromkeys(grown, "x")
        assert member.client.post(path, json=shrunk).status_code == 200
        assert stored(member) - before <= -2900
    assert member.client.delete(path).status_code == 200
    for address in DELETING:
        assert member.client.delete(address).status_code == 200
    for document in member.client.get("/data").json()["data"]:
        assert member.client.delete(f"/data/{document['_id']}").status_code == 200
    assert stored(member) == 0


@pytest.mark.parametrize("kind", WAYS)
def test_of_many_at_once_the_storage_quota_lets_some_pass(members: Members, kind: str) -> None:
    member = members.add(storage_quota=8000)
    with ThreadPoolExecutor(12) as pool:
        codes = sorted(pool.map(lambda n: WAYS[kind](member, n).status_code, range(12)))
    assert codes == [201] * 2 + [429] * 10
    used = stored(member)
    assert 6000 <= used <= 8000
    for store in WAYS.values():
        answer = store(member, 20)
        assert answer.status_code == 429
        assert "storage_quota" in answer.json()["message"]
    assert stored(member) == used


def test_a_repeated_request_needs_no_storage(members: Members) -> None:
    member, key = members.add(storage_quota=4000), {"Idempotency-Key": "again"}
    made = [member.client.put("/job", json={"raw_data": "x" * 3000}, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json() == made[1].json()
    assert 3000 <= stored(member) <= 3500


def test_results_count_and_a_full_storage_starts_no_run(members: Members) -> None:
    member = members.add()
    fields = {"script_name": "echo", "raw_data": "x" * 3000}
    ids = [member.client.put("/job", json=fields).json()["_id"] for _ in range(2)]
    before = stored(member)
    assert member.client.post(f"/job/{ids[0]}/run").status_code == 202
    finished(member.client, ids[0])
    assert 3000 <= stored(member) - before <= 6000
    members.users.change(ObjectId(member.id), {}, {"storage_quota": 5000})
    answer = member.client.post(f"/job/{ids[1]}/run")
    assert answer.status_code == 429
    assert "storage_quota" in answer.json()["message"]
    assert member.client.delete(f"/job/{ids[0]}").status_code == 200
    assert member.client.post(f"/job/{ids[1]}/run").status_code == 202
    finished(member.client, ids[1])


@pytest.mark.parametrize("retries", [0, 1])
def test_logs_count_and_are_given_back(members: Members, retries: int) -> None:
    member = members.add()
    fields = {"script": {"name": "chatter", "args": [1000, True]}, "retries": retries}
    job_id = run_through(member.client, **fields)["_id"]
    printed = len(member.client.get(f"/job/{job_id}/log").content)
    assert printed > 10_000 * (1 + retries)
    assert printed < stored(member) < printed + 3000
    assert member.client.delete(f"/job/{job_id}").status_code == 200
    assert stored(member) == 0


def test_a_large_result_beyond_the_storage_quota_fails_its_job(members: Members) -> None:
    member = members.add(storage_quota=8 * 2**20)
    job = run_through(member.client, script={"name": "text_of", "args": [9 * 2**20]}, retries=0)
    assert (job["state"], job["error"]) == ("failed", "TooLarge")
    assert stored(member) < 2**20


def test_a_sum_that_is_wrong_is_counted_again(members: Members) -> None:
    """As after a server was killed between a charge and what it was made for."""
    member = members.add(storage_quota=9000)
    for store in WAYS.values():
        assert store(member, 0).status_code == (201 if store is not WAYS["job"] else 429)
    right = stored(member)
    long_ago = ObjectId("5b9011469eb82b0d84ca212f")
    wrong = {"stored": 9000, "stored_change": long_ago}
    members.users.change(ObjectId(member.id), {}, wrong)
    assert WAYS["data"](member, 1).status_code == 429
    assert stored(member) == right
    members.users.change(ObjectId(member.id), {}, {"stored": 8999})  # a charge may be waiting
    assert stored(member) == 8999


def test_two_users_on_many_threads_see_their_own(alice: Member, bob: Member) -> None:
    def mixed(number: int) -> bool:
        member = (alice, bob)[number % 2]
        job = member.client.put("/job", json={"n": number}).json()
        read = member.client.get(f"/job/{job['_id']}").json()
        listed = member.client.get("/jobs", params={"limit": 20, "sort": "-created"}).json()["jobs"]
        return read["_owner"] == member.id and {each["_owner"] for each in listed} == {member.id}

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(mixed, range(120)))
