"""Processes that outlived their guard are found by the tag in their environment."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator

import psutil
import pytest

from jobserver.system.orphans import TAG, end_abandoned, end_tagged, unique_name
from tests.support.server import lives, until

Start = Callable[[str], subprocess.Popen[bytes]]
HOST = socket.gethostname()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process with a tag."""
    started = []

    def make(tag: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["sleep", "60"], env={**os.environ, TAG: tag}))
        return started[-1]

    yield make
    for process in started:
        process.kill()
        process.wait()


def test_names_are_unique_and_name_this_process() -> None:
    one, two = unique_name(), unique_name()
    assert one != two
    assert one.startswith(f"{HOST}:{os.getpid()}:")


def test_only_what_has_the_tag_is_ended(start: Start) -> None:
    tag = unique_name()
    ours, others = start(tag), start(unique_name())
    end_tagged(tag)
    assert ours.wait(10) < 0
    assert others.poll() is None


def test_what_a_server_left_that_is_gone_is_ended(start: Start) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = start(f"{HOST}:{gone.pid}:x")
    kept = [start(tag) for tag in (unique_name(), f"elsewhere:{gone.pid}:x", "of-something-else")]
    end_abandoned()
    assert left.wait(10) < 0
    assert [process.poll() for process in kept] == [None] * 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a namespace as containers have")
def test_what_runs_in_a_container_with_the_name_of_this_machine_goes_on() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    inside = ["env", f"{TAG}={HOST}:{gone.pid}:x", "sleep", "60"]
    with subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", *inside]) as container:
        try:
            (contained,) = until(psutil.Process(container.pid).children)
            until(lambda: TAG in contained.environ())
            end_abandoned()
            assert lives(contained)
        finally:
            container.kill()
