"""Sharing the items of a map between the children of several slots, seen from a child.

The child of the map's job writes a plan into a folder of its run: the map and its data. It tells
its slot how many items there are, and asks it again and again what to do next. The children of
slots that have nothing else to do read the plan and ask the same (`help_out`). Each writes what its
items gave into a file of its own; in the end the first reads all of them.

A child always has the number of the item that it is at in a file. So if it dies, its slot knows
what it died of.
"""

from __future__ import annotations

import os
import struct
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bson
from bson.errors import InvalidBSON

from jobserver.context import current_job
from jobserver.course import Course, Failure, ItemFailed, present
from jobserver.encoding import Encoder
from jobserver.models.items import Items
from jobserver.models.plan import PLAN, read_plan, write_plan

if TYPE_CHECKING:
    from jobserver.course import Message
    from jobserver.scripts.registry import Registry

Record = dict[str, Any]

#: Seconds after which a child asks again, so that others get what is left of its share.
SHARE_SECONDS = 0.3
#: Levels of the job and the result around that of an item.
_AROUND = 3
#: Characters of a message: a pipe takes an answer with it at once.
_LONGEST = 1000
_MARK = struct.Struct("<q")
_NOWHERE = -1
_FOLDER = ".map-"


def carry_out(
    items: Items, course: Course, span: tuple[float, float], *, collect: bool
) -> list[Record]:
    """Run the script for all items, with the help of other slots where there is any.

    Parameters
    ----------
    items : Items
        The items.
    course : Course
        Of the run.
    span : tuple of float
        Where in the run's progress the map begins and ends.
    collect : bool
        Whether the items after one that failed are still run.

    Returns
    -------
    list of dict
        For each item its ``result``, or ``error`` and ``message``.

    Raises
    ------
    ItemFailed
        If an item fails and ``collect`` is not set.
    """
    # A child that came to help when nothing was left may just be opening its files. What it leaves
    # goes with the run's folder.
    with tempfile.TemporaryDirectory(
        prefix=_FOLDER, dir=course.folder, ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        if not course.ask or not write_plan(items, folder / PLAN):
            return _one_by_one(items, course, folder, collect=collect)
        begin, end = span
        what = {"folder": folder.name, "count": len(items.items), "collect": collect}
        where = {"where": course.where(), "begin": begin, "end": end, "again": not course.places}
        answer = course.ask({"op": "share", **what, **where})
        return _together(items, course, answer, collect=collect)


def help_out(registry: Registry, plan: Path, session: int) -> None:
    """Run items of a map that another slot carries out, until there are none.

    Parameters
    ----------
    plan : Path
        What the map's own child wrote.
    session : int
        A number that no other child of the map has.
    """
    items, collect = read_plan(registry, plan)
    with Share(items, present(), plan.parent, session, collect=collect) as share:
        share.work()


def _one_by_one(items: Items, course: Course, folder: Path, *, collect: bool) -> list[Record]:
    """Run all items here."""
    done, count = 0, len(items.items)
    with Share(items, course, folder, 0, collect=collect) as share:
        while done < count:
            done, failed = share.take(done, count)
            if failed:
                raise _failed(failed)
            current_job.progress(done / count, f"{done} of {count} items")
    return _gathered(folder, {}, count, collect=collect)


def _together(items: Items, course: Course, answer: Message, *, collect: bool) -> list[Record]:
    """Run items as the slot says, and put together what all children made of theirs."""
    folder = Path(course.folder, answer["folder"])
    lost: dict[int, Record] = {}
    with Share(items, course, folder, answer["session"], collect=collect) as share:
        while (last := share.work())["op"] == "lost":
            lost[last["item"]] = last
    if last["op"] == "failed":
        raise _failed(last)
    return _gathered(folder, lost, len(items.items), collect=collect)


def _failed(record: Record) -> ItemFailed:
    message = f"item {record['item'] + 1}: {record['message']}"
    return ItemFailed(Failure(record["error"], message))


def _gathered(folder: Path, lost: dict[int, Record], count: int, *, collect: bool) -> list[Record]:
    """What was made of the items, in their order."""
    found = dict(lost)
    for path in folder.glob("results-*"):
        # a child that was killed while it wrote left a piece of a record at the end
        with path.open("rb") as file, suppress(InvalidBSON):
            found |= {record["item"]: record for record in bson.decode_file_iter(file)}
    for number in range(count):
        if number not in found:
            message = "the script removed what it gave"
            found[number] = {"item": number, "error": "Killed", "message": message}
            if not collect:
                raise _failed(found[number])
    return [found[number] for number in range(count)]


class Share:
    """What one child does of a map.

    Parameters
    ----------
    items : Items
        The items.
    course : Course
        Of the run.
    folder : Path
        Of the map.
    session : int
        A number that no other child of the map has.
    collect : bool
        Whether errors are kept as results.
    """

    def __init__(
        self, items: Items, course: Course, folder: Path, session: int, *, collect: bool
    ) -> None:
        self._items = items
        self._course = course
        self._collect = collect
        self._encoder = Encoder(around=_AROUND)
        self._results = (folder / f"results-{session}").open("xb")
        self._pid = os.getpid()
        self._marker = (folder / f"at-{session}").open("xb", buffering=0)

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_: object) -> None:
        self._results.close()
        self._marker.close()

    def work(self) -> Message:
        """Do what the slot says, until there are no more items; its last answer."""
        report: Record = {}
        while True:
            answer = self._course.answer({"op": "next", **report})
            if answer["op"] != "items":
                return answer
            done, failed = self.take(answer["begin"], answer["end"])
            report = {"done": done, "failed": failed}

    def take(self, begin: int, end: int) -> tuple[int, Record | None]:
        """Run some items, as many as fit into a while.

        Returns
        -------
        done : int
            Number of the first that was not run.
        failed : dict or None
            The one that failed, and ended it.
        """
        due = time.monotonic() + SHARE_SECONDS
        done = begin
        while done < end and (done == begin or time.monotonic() < due):
            self._mark(done)
            record = self._record(done)
            if os.getpid() != self._pid:  # the script forked, and this is the copy
                os._exit(0)
            if "error" in record and not self._collect:
                return done, record
            self._results.write(bson.encode(record))
            self._results.flush()
            done += 1
        self._mark(_NOWHERE)
        return done, None

    def _record(self, number: int) -> Record:
        course = self._course
        depth = len(course.places)
        with course.alone(), current_job.within(0.0, 0.0):
            try:
                result = self._encoder.encode(self._items.run(number))
            except BaseException as error:  # a script may raise anything
                self._warn(number)
                self._encoder = Encoder(around=_AROUND)
                failure = course.describe(error, not self._collect)
                text = (course.where(depth) + failure.message)[:_LONGEST]
                text = text.encode(errors="replace").decode()
                if self._collect:
                    course.say(f"item {number + 1}: {text}")
                return {"item": number, "error": failure.error, "message": text}
        self._warn(number)
        return {"item": number, "result": result}

    def _warn(self, number: int) -> None:
        while self._encoder.warnings:
            self._course.say(f"item {number + 1}: {self._encoder.warnings.pop()}")

    def _mark(self, number: int) -> None:
        self._marker.seek(0)
        self._marker.write(_MARK.pack(number))
