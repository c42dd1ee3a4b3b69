"""It starts a program when it is imported."""

from __future__ import annotations

import subprocess

process = subprocess.Popen(["sleep", "600"])


def spawning() -> bool:
    return process.poll() is None
