"""What a job binds: which script with which parameters, and which data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jobserver.data.sources import DataSources
from jobserver.errors import ApiError, JobNotRunnable, Problem
from jobserver.processes.forms import MOST_PROBLEMS, own_problems, parts
from jobserver.processes.seeds import LIMIT as SEEDS
from jobserver.storage.database import Document

#: What a script of each type has to say, and what it may say, with the types of these fields.
FORMS: Mapping[str, tuple[Mapping[str, type], Mapping[str, type]]] = {
    "function": ({"name": str}, {"module": str, "args": list, "kwargs": dict}),
    "file": ({"name": str}, {"args": list, "kwargs": dict}),
    "eval": ({"code": str}, {}),
    "pipeline": ({"steps": list}, {}),
    "map": (
        {"over": object},
        {"name": str, "module": str, "script": dict, "collect_errors": bool}
        | {"args": list, "kwargs": dict},
    ),
}
_NAMES: Mapping[type, str] = {
    **{str: "a string", list: "a list", dict: "an object", bool: "true or false"},
}
MOST_RETRIES = 100
_DATA_SPELLINGS = ("data", "datafile", "raw_data")


class ScriptTable(Protocol):
    """Knows the scripts and their signatures."""

    def problems(self, script: Document, has_data: bool) -> list[Problem]:
        """Every reason why a script cannot run with its parameters."""


def bind(
    job: Document, scripts: ScriptTable, sources: DataSources, more: Sequence[Problem] = ()
) -> Document:
    """Resolve what a job binds, as it is stored when the job is accepted.

    Parameters
    ----------
    more : sequence of Problem
        What was found to be wrong with it already.

    Returns
    -------
    dict
        ``script`` with its name, args and kwargs, and ``data`` where data is bound.

    Raises
    ------
    JobNotRunnable
        With every reason why the job cannot run.
    """
    problems = list(more)
    script = _script(job, problems)
    data = _data(job, sources.for_job(job), problems)
    _check_options(job, problems)
    if script is not None:
        has_data = any(name in job for name in _DATA_SPELLINGS)
        problems += scripts.problems(script, has_data)
    if problems or script is None:
        raise JobNotRunnable(
            "The job cannot run as it is. Change it with POST, then run it.", problems
        )
    return {"script": script} | ({} if data is None else {"data": data})


def _script(job: Document, problems: list[Problem]) -> Document | None:
    named = {"name": job["script_name"]} if "script_name" in job else None
    script: Any = job.get("script", named)
    before = len(problems)
    if script is None:
        problems.append(Problem("script_name", "is missing: name the script to run"))
    elif not isinstance(script, dict):
        problems.append(Problem("script", "has to be an object with at least a name"))
    else:
        problems += form_problems(script, "script")
        if job.get("script_name", script.get("name")) != script.get("name"):
            problems.append(Problem("script_name", "names another script than script.name"))
    return None if len(problems) > before else _completed(script)


def form_problems(script: Any, field: str, depth: int = 0) -> list[Problem]:
    """What is wrong with the form of a script and of those it is made of, whatever they mean.

    Parameters
    ----------
    field : str
        Where in the job it stands.
    depth : int
        Scripts around it.
    """
    if not isinstance(script, dict):
        return [Problem(field, "has to be the name of a script, or an object")]
    wrong = _own_form_problems(script, field) + list(own_problems(script, field, depth))
    for place, part in parts(script, field) if not wrong else ():
        if len(wrong) < MOST_PROBLEMS:
            wrong += form_problems(part, place, depth + 1)
    return wrong


def _own_form_problems(script: Document, field: str) -> list[Problem]:
    kind = script.get("type", "function")
    if not isinstance(kind, str) or kind not in FORMS:
        return [Problem(f"{field}.type", f"is none of: {', '.join(FORMS)}")]
    required, optional = FORMS[kind]
    known = {**required, **optional}
    wrong = [
        Problem(f"{field}.{name}", "is unknown")
        for name in sorted(script.keys() - {"type"} - known.keys())
    ]
    wrong += [Problem(f"{field}.{name}", "is missing") for name in required if name not in script]
    mistyped = [
        name for name in known if name in script and not isinstance(script[name], known[name])
    ]
    return wrong + [
        Problem(f"{field}.{name}", f"has to be {_NAMES[known[name]]}") for name in mistyped
    ]


def _completed(script: Document) -> Document:
    """A script with the parameters that its type takes and that were left out."""
    known = FORMS[script.get("type", "function")][1]
    defaults = {name: known[name]() for name in ("args", "kwargs") if name in known}
    return {**defaults, **script}


def _data(job: Document, sources: DataSources, problems: list[Problem]) -> Document | None:
    given = [name for name in _DATA_SPELLINGS if name in job]
    if not given:
        return None
    if len(given) > 1:
        text = f"bind data once: {' and '.join(given)} are given"
        problems.append(Problem(given[-1], text))
        return None
    try:
        return _bound(given[0], job[given[0]], sources)
    except ApiError as refusal:
        problems += refusal.errors or [Problem(given[0], refusal.message)]
        return None


def _bound(spelling: str, value: Any, sources: DataSources) -> Document:
    if spelling == "raw_data":
        return {"type": "raw_data"}
    if spelling == "data":
        return sources.bind(value)
    if not isinstance(value, str):
        raise JobNotRunnable("", [Problem("datafile", "has to be the name of a data file")])
    return sources.bind({"type": "datafile", "name": value})


def _check_options(job: Document, problems: list[Problem]) -> None:
    seed = 0 if job.get("seed") is None else job["seed"]
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEEDS:
        problems.append(Problem("seed", f"has to be a whole number from 0 to {SEEDS - 1}"))
    timeout, retries = job.get("timeout", 1), job.get("retries", 0)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        problems.append(Problem("timeout", "has to be a number of seconds above 0"))
    if isinstance(retries, bool) or retries not in range(MOST_RETRIES + 1):
        problems.append(Problem("retries", f"has to be a whole number from 0 to {MOST_RETRIES}"))
