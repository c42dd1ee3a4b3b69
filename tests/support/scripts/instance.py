"""What the app of a test on App Engine offers beside the shipped scripts."""

import random
import shutil
import signal
import tempfile
from pathlib import Path

from jobserver import current_job

SIZE = 50_000_000


def large() -> bytes:
    """Return 50 MB that a seed determines."""
    return random.randbytes(SIZE)  # noqa: S311 - a seed determines it


def room() -> int:
    """Return the free bytes where temporary files are."""
    return shutil.disk_usage(tempfile.gettempdir()).free


def spy() -> str:
    """Return the environment of the process that started all others."""
    return Path("/proc/1/environ").read_text()


def patient() -> int:
    """Return the number of the attempt; the first one never ends."""
    attempt = current_job.attempt
    print("begun")
    if attempt == 1:
        signal.pause()
    return attempt
