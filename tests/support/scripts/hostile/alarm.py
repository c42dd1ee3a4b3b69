"""It sets an alarm that would end the process with its scripts."""

from __future__ import annotations

import signal

signal.alarm(1)


def alarmed() -> str:
    return "alarmed"
