"""Large results: stored beside the job, returned in full, deleted, refused with a reason."""

from __future__ import annotations

import io
import os
import shutil
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import httpx
import numpy as np
import pandas as pd
import psutil
import pytest
from bson.raw_bson import RawBSONDocument
from pandas.testing import assert_frame_equal

from jobserver.errors import NotFound, TooLarge
from jobserver.execution.supervision.child_messages import parse_outcome
from jobserver.jobs.job import Job as StoredJob
from jobserver.jobs.job import State
from jobserver.jobs.lifecycle.spool import Spool, SpooledOutcome
from jobserver.jobs.outcome import Outcome
from jobserver.jobs.results import Results
from jobserver.sizes import GIB
from jobserver.storage.database import Database
from tests.support.database import OwnDatabase, own_database
from tests.support.runs import MIB, begin, carry_out, create, read, start
from tests.support.scripts import yielding
from tests.support.scripts.yielding import binary, cube, mixed, picture, table, text, within
from tests.support.server import Job, MakeServer, Server, finished, until

LIMIT = 24 * MIB


def add_yielding(home: Path) -> None:
    """Put the scripts into a home."""
    shutil.copy(yielding.__file__, home / "scripts")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnDatabase]:
    """A database that these tests may look into and take away."""
    with own_database(tmp_path_factory.mktemp("database") / "own") as own:
        yield own


@pytest.fixture(scope="module")
def server_of_results(make_server: MakeServer, database: OwnDatabase) -> Iterator[Server]:
    """One server for most of these tests."""
    with make_server(prepare=add_yielding, MONGO_URI=database.uri, RESULT_LIMIT=LIMIT) as server:
        yield server


@pytest.fixture
def client(server_of_results: Server) -> Iterator[httpx.Client]:
    """A client of that server; a test leaves no jobs and nothing that belonged to one."""
    yield server_of_results.client
    server_of_results.check()
    server_of_results.clear()


@pytest.fixture
def store(database: OwnDatabase) -> Iterator[Database]:
    """What is in the database."""
    store = Database(database.uri)
    yield store
    store.close()


def kept(store: Database) -> list[int]:
    """Return the numbers of chunks, files and pending keys of large results."""
    parts = ("content.chunks", "content.files", "marks")
    return [len(list(store.find(f"jobs.{part}", {}, projection=["_id"]))) for part in parts]


NOTHING = [0, 0, 0]
JOB = StoredJob({"_id": "x"})


def give(client: httpx.Client, script: str, fields: Job | None = None, **kwargs: Any) -> Job:
    """A job that finished with a large result."""
    job = carry_out(client, script, fields, **kwargs)
    assert job["state"] == "finished", job["message"]
    result = job["result"]
    assert result.keys() == {"type", "size", "href"}
    assert result["href"] == f"/job/{job['_id']}/result"
    return job


def shown(client: httpx.Client, job: Job, form: str = "json") -> bytes:
    answer = client.get(job["result"]["href"], params={"format": form})
    assert answer.status_code == 200, answer.text
    return answer.content


def test_a_large_table(client: httpx.Client) -> None:
    job = give(client, "table", rows=140_000)
    assert job["result"]["type"] == "dataframe"
    assert 140_000 * 8 * 8 < job["result"]["size"] < 140_000 * 8 * 8 + 10_000
    found = pd.read_csv(io.BytesIO(shown(client, job, "csv")))
    assert_frame_equal(found, table(140_000), check_exact=True)
    answer = client.get(job["result"]["href"]).json()
    assert answer["columns"] == list(found.columns)
    assert answer["index"] is None
    assert answer["data"]["c7"] == table(140_000)["c7"].tolist()
    assert answer["data"]["c0"][:2] == [None, None]
    assert shown(client, job, "txt").count(b"\n") == 140_001
    assert shown(client, job, "html").count(b"<tr>") == 140_001


def test_a_large_table_of_all_kinds(client: httpx.Client) -> None:
    job = give(client, "mixed", rows=100_000)
    found = pd.read_csv(io.BytesIO(shown(client, job, "csv")), index_col=["n", "m"])
    found["zone"] = pd.to_datetime(found["zone"]).dt.tz_convert("Europe/Berlin")
    found["category"] = found["category"].astype("category")
    assert_frame_equal(found, mixed(100_000), check_dtype=False, check_index_type=False)
    answer = client.get(job["result"]["href"]).json()
    assert answer["index"][12345] == [1234, 5]
    assert answer["data"]["int"] == mixed(100_000)["int"].tolist()
    assert answer["data"]["category"][:4] == ["a", "b", "c", "a"]


def test_a_large_array(client: httpx.Client) -> None:
    job = give(client, "cube", side=104)
    answer = client.get(job["result"]["href"], params={"typed": "true"}).json()
    assert answer["shape"] == [104, 104, 104]
    np.testing.assert_array_equal(answer["data"], cube(104))
    np.testing.assert_array_equal(client.get(job["result"]["href"]).json(), cube(104))
    refused = client.get(job["result"]["href"], params={"format": "csv"})
    assert refused.status_code == 415
    assert "3 dimensions" in refused.json()["message"]


def test_a_table_inside_of_something(client: httpx.Client) -> None:
    job = give(client, "within", rows=90_000)
    assert job["result"]["type"] == "json"
    answer = client.get(job["result"]["href"]).json()
    assert answer["$odd"] == [1, None, {"a.b": None}]
    assert answer["table"]["data"]["c3"] == within(90_000)["table"]["c3"].tolist()


def test_texts_bytes_and_pictures(client: httpx.Client) -> None:
    job = give(client, "text", mib=9)
    assert shown(client, job, "txt").decode() == text(9)
    assert client.get(job["result"]["href"]).json() == text(9)
    job = give(client, "binary", mib=9)
    assert b64decode(client.get(job["result"]["href"]).json()) == binary(9)
    assert shown(client, job, "bin") == binary(9)
    job = give(client, "picture", mib=9)
    answer = client.get(job["result"]["href"], params={"format": "png"})
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.content == picture(9)


def test_many_small_things(client: httpx.Client) -> None:
    job = give(client, "many", count=300_000)
    answer = client.get(job["result"]["href"]).json()
    assert answer[299_999] == {"n": 299_999, "t": "299999"}
    assert len(answer) == 300_000


def test_the_documented_limit_decides(client: httpx.Client, store: Database) -> None:
    job = carry_out(client, "binary", mib=7)
    assert b64decode(job["result"]) == binary(7)
    assert kept(store) == NOTHING
    give(client, "binary", mib=8)
    until(lambda: kept(store) == [8, 1, 0])  # its mark goes just after the job has ended


def test_no_listing_pays_for_a_large_result(client: httpx.Client) -> None:
    job = give(client, "binary", mib=20)
    listed = client.get("/jobs")
    assert len(listed.content) < 2000
    strings = listed.json()["jobs"][0]["result"]
    assert strings == {name: str(value) for name, value in job["result"].items()}


def test_a_job_that_holds_much_itself_leaves_its_result_to_a_file(client: httpx.Client) -> None:
    job_id = create(client, "binary", {"note": "x" * (3 * MIB)}, mib=7)
    for name in ("more", "again", "last"):
        assert client.post(f"/job/{job_id}", json={name: "x" * (3 * MIB)}).status_code == 200
    client.post(f"/job/{job_id}/run")
    job = finished(client, job_id)
    assert job["result"]["type"] == "bytes"
    assert b64decode(client.get(job["result"]["href"]).json()) == binary(7)


@pytest.mark.parametrize(
    ("script", "kwargs", "size"),
    [
        ("binary", {"mib": 25}, 25 * MIB),
        ("text", {"mib": 25}, len(text(25).encode())),
        ("table", {"rows": 400_000}, 400_000 * 8 * 8),
        ("within", {"rows": 180_000}, None),
    ],
)
def test_what_is_too_large_fails_with_its_size(
    client: httpx.Client, store: Database, script: str, kwargs: Any, size: int | None
) -> None:
    job = carry_out(client, script, **kwargs)
    assert (job["state"], job["error"], job["result"]) == ("failed", "TooLarge", None)
    words = job["message"].split()
    assert job["message"].endswith("; at most 24 MiB can be kept")
    assert size is None or size <= int(words[3]) < size * 1.01
    assert kept(store) == NOTHING


def test_deleting_a_job_deletes_its_result(client: httpx.Client, store: Database) -> None:
    jobs = [give(client, "binary", mib=9) for _ in range(3)]
    until(lambda: kept(store) == [27, 3, 0])
    assert client.delete(f"/job/{jobs[0]['_id']}").status_code == 200
    assert kept(store) == [18, 2, 0]
    assert client.delete("/jobs").json()["deleted"] == 2
    assert kept(store) == NOTHING
    assert client.get(jobs[0]["result"]["href"]).status_code == 404


def test_a_cancelled_run_leaves_nothing(client: httpx.Client, store: Database) -> None:
    job_id = begin(client, "late", mib=9, gate="never")
    client.post(f"/job/{job_id}/cancel")
    assert until(lambda: read(client, job_id)["state"] == "cancelled")
    assert kept(store) == NOTHING


def test_a_result_waits_for_the_database(
    server_of_results: Server, client: httpx.Client, database: OwnDatabase, store: Database
) -> None:
    spool = server_of_results.home / "spool"
    gate = server_of_results.home / "open"
    job_id = begin(client, "late", mib=9, gate="open")
    with database.away():
        gate.touch()
        until(lambda: sorted(path.suffix for path in spool.glob("*")) == [".bson", ".result"], 30)
    job = until(lambda: read(client, job_id) if not list(spool.iterdir()) else None, 30)
    assert job["state"] == "finished"
    assert b64decode(shown(client, job)[1:-2]) == binary(9)
    until(lambda: kept(store) == [9, 1, 0])
    gate.unlink()


def test_a_result_outlives_the_server_that_made_it(
    make_server: MakeServer, database: OwnDatabase
) -> None:
    uri = database.uri.replace("/jobserver?", "/other?")
    with make_server(prepare=add_yielding, MONGO_URI=uri) as server:
        spool = server.home / "spool"
        job_id = begin(server.client, "late", mib=9, gate="open")
        with database.away():
            (server.home / "open").touch()
            until(lambda: len(list(spool.glob("[!.]*"))) == 2, 30)
            server.terminate()
            server.process.wait()

    def add_spool(home: Path) -> None:
        shutil.copytree(spool, home / "spool")

    with make_server(prepare=add_spool, MONGO_URI=uri) as server:
        until(lambda: read(server.client, job_id)["state"] == "finished", 30)
        assert b64decode(server.client.get(f"/job/{job_id}/result").json()) == binary(9)
        until(lambda: not list((server.home / "spool").iterdir()))


def test_a_table_never_lies_whole_in_the_server(make_server: MakeServer) -> None:
    """One of 64 MiB here; ``make bench`` shows the same with 200 and 500 MiB."""
    rows = 64 * MIB // 64
    with make_server(prepare=add_yielding) as server:
        sizes = [server_size(server)]
        job_id = start(server.client, "table", rows=rows)
        until(lambda: ended_while_watched(server, job_id, sizes), 200)
        job = read(server.client, job_id)
        assert job["state"] == "finished", job["message"]
        lines = 0
        with server.client.stream("GET", job["result"]["href"], params={"format": "csv"}) as answer:
            for number, piece in enumerate(answer.iter_bytes(MIB)):
                lines += piece.count(b"\n")
                if number % 5 == 0:
                    sizes.append(server_size(server))
        assert lines == rows + 1
        assert max(sizes) - sizes[0] < 60 * MIB


def server_size(server: Server) -> int:
    """Bytes of memory that the server holds."""
    return int(psutil.Process(server.process.pid).memory_info().rss)


def ended_while_watched(server: Server, job_id: str, sizes: list[int]) -> bool:
    sizes.append(server_size(server))
    return read(server.client, job_id)["state"] in {"finished", "failed"}


@pytest.mark.parametrize(
    "file",
    [
        {"name": "../passwd", "kind": "bytes", "form": "bytes"},
        {"name": "/etc/passwd", "kind": "bytes", "form": "bytes"},
        {"name": "", "kind": "bytes", "form": "bytes"},
        {"name": "..", "kind": "bytes", "form": "bytes"},
        {"name": "result-x", "kind": "bytes", "form": "pickle"},
        {"name": "result-x", "kind": "secret", "form": "bytes"},
        {},
        [],
        None,
        "result-x",
    ],
)
def test_a_child_names_no_file_but_its_own(file: object) -> None:
    message = bson.encode({"state": "finished", "file": file})
    outcome = parse_outcome(RawBSONDocument(message), "/run")
    assert (outcome.state, outcome.error, outcome.file) == ("failed", "Killed", None)


def make_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize("make", [make_link, os.mkfifo, Path.mkdir, Path])
def test_what_is_no_file_is_refused_at_once(make: Any, store: Database, tmp_path: Path) -> None:
    make(tmp_path / "result")
    file = {"path": str(tmp_path / "result"), "kind": "bytes", "form": "bytes"}
    outcome = Outcome(State.FINISHED, file=file)
    with pytest.raises(OSError), Results(store).stored(JOB, outcome, 100):  # noqa: PT011
        pass
    assert kept(store) == NOTHING


def test_a_result_that_came_too_late_is_deleted(store: Database, tmp_path: Path) -> None:
    (tmp_path / "result").write_bytes(b"late")
    file = {"path": str(tmp_path / "result"), "kind": "bytes", "form": "bytes"}
    with Results(store).stored(JOB, Outcome(State.FINISHED, file=file), 100) as outcome:
        assert outcome.result == {"type": "bytes", "size": 4, "href": "/job/x/result"}
        assert kept(store) == [1, 1, 1]
    assert kept(store) == NOTHING
    with (
        pytest.raises(TooLarge, match="has 4 bytes; at most 3 B can be kept"),
        Results(store).stored(JOB, Outcome(State.FINISHED, file=file), 3),
    ):
        pass


def test_a_result_that_is_deleted_while_it_is_read(store: Database, tmp_path: Path) -> None:
    (tmp_path / "result").write_bytes(bytes(3 * MIB))
    file = {"path": str(tmp_path / "result"), "kind": "bytes", "form": "bytes"}
    with Results(store).stored(JOB, Outcome(State.FINISHED, file=file), GIB) as outcome:
        opened = Results(store).open(StoredJob({"_run": {"file": outcome.file}}))
        assert opened is not None
        pieces = opened.pieces()
        next(pieces)
        store["jobs.content.chunks"].delete_many({})
        with pytest.raises(NotFound, match="deleted"):
            list(pieces)


def test_a_result_that_nothing_can_hold_is_told(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()  # no folder can be made there
    file = {"path": str(tmp_path / "result-x"), "kind": "bytes", "form": "bytes"}
    spool = Spool(tmp_path / "spool")
    found: list[Outcome] = []
    for outcome in (Outcome(State.FINISHED, file=file), Outcome(State.FINISHED, 42)):
        job = StoredJob({"_id": "x", "_run": {"key": 1, "attempt": 1}})
        spool.save(SpooledOutcome(job, outcome, b"", 0))
    spool.flush(lambda ended: found.append(ended.outcome))
    assert [outcome.state for outcome in found] == ["failed", "finished"]
    assert "no room for the result" in str(found[0].message)
