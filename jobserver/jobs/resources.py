"""The field ``resources`` of a job: what its run needs of the machine it runs on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from jobserver.errors import Problem
from jobserver.sizes import MEMORY_UNITS, exact_size, parse_size

MEMORY = "memory"
#: Resources and their amounts: memory in bytes, all others in units of their own.
Needs = Mapping[str, float]
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,49}", re.ASCII)
_MOST = 20


def parse_resources(value: object, most_memory: int) -> tuple[dict[str, float], list[Problem]]:
    """Return the resources that a job asks for, and what is wrong with the others.

    Parameters
    ----------
    value : object
        The field as the client sent it; None for no resources.
    most_memory : int
        Most bytes that a run may use; 0 for no limit.
    """
    if value is None:
        return {}, []
    if not isinstance(value, dict) or len(value) > _MOST:
        text = f'must be an object with at most {_MOST} names, such as {{"memory": "4 GB"}}'
        return {}, [Problem("resources", text)]
    wrong = {name: [*_problems(name, value[name], most_memory)] for name in value}
    needs = {name: _amount(name, value[name]) for name in value if not wrong[name]}
    return needs, [problem for problems in wrong.values() for problem in problems]


def _problems(name: str, value: object, most_memory: int) -> Iterator[Problem]:
    amount = _amount(name, value)
    if not _NAME.fullmatch(name):
        text = "must have 1 to 50 letters, digits, '_' and '-', and start with a letter"
        yield Problem("resources", f"names {name[:50]!r}: a name {text}")
    elif name == MEMORY and not amount:
        text = f'a whole number of bytes, or text with a unit, such as "4 GB" ({MEMORY_UNITS})'
        yield Problem("resources.memory", f"must be {text}")
    elif name == MEMORY and most_memory and amount > most_memory:
        text = f"must be at most {exact_size(most_memory)}, the server's JOB_MEMORY_LIMIT"
        yield Problem("resources.memory", text)
    elif not amount:
        yield Problem(f"resources.{name}", "must be a number above 0, without quotes")


def _amount(name: str, value: object) -> float:
    """Return an amount, memory in whole bytes; 0 if it is invalid."""
    if name == MEMORY and isinstance(value, str):
        return parse_size(value) or 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        return 0
    if name != MEMORY:
        return value
    return int(value) if value == int(value) else 0


def memory_limit(resources: object, most: int) -> int:
    """Return the bytes that the run of an accepted job may use; 0 for no limit.

    Parameters
    ----------
    resources : object
        The job's field. A job that an earlier release accepted may have anything there.
    most : int
        The server's limit; 0 for none.
    """
    wanted, problems = parse_resources(resources, most)
    return most if problems else int(wanted.get(MEMORY, most))


def described(needs: Needs) -> str:
    """Return resources as Dask's option ``--resources`` takes them: ``GPU=1 memory=8000000000``."""
    return " ".join(f"{name}={needs[name]:.15g}" for name in sorted(needs))
