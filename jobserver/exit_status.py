"""How a process ended, for the user."""

from __future__ import annotations

import signal

#: Exit code of a child whose channel to the server does not work any more.
CUT_OFF = 113
#: And of one in which a module keeps forks from working.
NO_FORK = 114


def describe_end(status: int) -> str:
    """What ended the process of a script.

    Parameters
    ----------
    status : int
        Its exit code, or the negative number of a signal.
    """
    if status < 0:
        return f"killed by {signal_name(-status)}"
    if status == CUT_OFF:
        return "the script closed the pipes of its process"
    if status == NO_FORK:
        return "it keeps the processes of runs from starting"
    return f"the script ended its process with exit code {status}"


def signal_name(number: int) -> str:
    """The name of a signal, or its number where it has none."""
    names = {known.value: known.name for known in signal.Signals}
    return names.get(number, f"signal {number}")
