"""Outcomes that wait on the disk for the database."""

from __future__ import annotations

import tempfile
from pathlib import Path

import bson
import pytest

from jobserver.errors import StoreUnavailable
from jobserver.jobs.job import Job, State
from jobserver.jobs.lifecycle.spool import Spool, SpooledOutcome
from jobserver.jobs.outcome import Outcome


def ended(key: str) -> SpooledOutcome:
    job = Job({"_id": key, "_run": {"key": key, "attempt": 1}})
    return SpooledOutcome(job, Outcome(State.FINISHED, result={"value": 1}), b"printed", 3)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_waits_is_stored_and_forgotten(tmp_path: Path) -> None:
    spool, stored = Spool(tmp_path / "spool"), list[SpooledOutcome]()
    spool.save(ended("one"))
    Spool(tmp_path / "spool").flush(stored.append)  # as after a restart
    assert stored == [ended("one")]
    assert names(tmp_path / "spool") == []


def test_while_the_database_is_away_all_goes_on_waiting(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.save(ended("one"))

    def away(_: SpooledOutcome) -> None:
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        spool.flush(away)
    assert names(tmp_path) == ["one-1.bson"]


def test_a_temporary_folder_serves_where_no_other_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spool, stored = Spool(tmp_path / "missing" / "spool"), list[SpooledOutcome]()
    spool.save(ended("one"))
    assert [path.name for path in tmp_path.rglob("*.bson")] == ["one-1.bson"]
    spool.flush(stored.append)
    assert stored == [ended("one")]
    del spool
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        ended("bad").encode()[:-3],
        bson.encode({"job": {}}),
        bson.encode({**bson.decode(ended("bad").encode()), "outcome": {"state": "gone"}}),
        bson.encode(
            {**bson.decode(ended("bad").encode()), "outcome": {"state": "failed", "unknown": 1}}
        ),
    ],
    ids=["empty", "cut off", "without an outcome", "an unknown state", "an unknown field"],
)
def test_a_file_that_cannot_be_read_is_left_aside(tmp_path: Path, content: bytes) -> None:
    spool, stored = Spool(tmp_path), list[SpooledOutcome]()
    (tmp_path / "bad-1.bson").write_bytes(content)
    spool.save(ended("one"))
    spool.flush(stored.append)
    assert stored == [ended("one")]
    assert names(tmp_path) == ["bad-1.broken"]
    assert (tmp_path / "bad-1.broken").read_bytes() == content
