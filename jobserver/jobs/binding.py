"""Binding of a job: which script with which parameters, and which data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Protocol

from jobserver.data.sources import DataSources
from jobserver.errors import Advised, ApiError, JobNotRunnable, Problem
from jobserver.jobs.job import DATA_FIELDS, Job
from jobserver.processes.forms import MOST_PROBLEMS, own_problems, parts
from jobserver.processes.seeds import LIMIT as SEEDS
from jobserver.storage.database import Document

#: Required and optional fields of a script of each type, with their types.
_FIELDS: Mapping[str, tuple[Mapping[str, type], Mapping[str, type]]] = {
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
_TYPE_NAMES: Mapping[type, str] = {
    **{str: "a string", list: "a list", dict: "an object", bool: "true or false"},
}
_MOST_RETRIES = 100
#: How similar the name of a field must be to be taken for a misspelled one.
_SIMILAR = 0.8


class ScriptTable(Protocol):
    """Knows the scripts and their signatures."""

    def problems(self, script: Document, has_data: bool) -> list[Problem]:
        """Return every reason why a script cannot run with its parameters."""


def bind(
    job: Job, scripts: ScriptTable, sources: DataSources, more: Sequence[Problem] = ()
) -> Document:
    """Resolve the script and the data of a job, as they are stored when it is accepted.

    Parameters
    ----------
    more : sequence of Problem
        Problems already found.

    Returns
    -------
    dict
        ``script`` with name, args and kwargs, and ``data`` if data is bound.

    Raises
    ------
    JobNotRunnable
        With every reason why the job cannot run.
    """
    problems = list(more)
    fields: Mapping[str, object] = job.document
    script = _script(fields, problems)
    data = _data(fields, sources.for_job(job.document), problems)
    problems += _option_problems(fields)
    if script is not None:
        has_data = not DATA_FIELDS.isdisjoint(fields)
        problems += scripts.problems(script, has_data)
    if problems or script is None:
        advice = "Change the job with POST, then run it."
        raise JobNotRunnable(Advised("The job cannot run as it is.", advice), problems)
    return {"script": script} | ({} if data is None else {"data": data})


def _script(fields: Mapping[str, object], problems: list[Problem]) -> Document | None:
    named = {"name": fields["script_name"]} if "script_name" in fields else None
    script = fields.get("script", named)
    if script is None:
        close = get_close_matches("script_name", fields, 1, _SIMILAR)
        meant = f"; {close[0]!r} is a field of your own" if close else ""
        problems.append(Problem("script_name", f"is missing: name the script to run{meant}"))
        return None
    if not isinstance(script, dict):
        problems.append(Problem("script", "must be an object with at least a name"))
        return None
    wrong = _structure_problems(script, "script")
    if fields.get("script_name", script.get("name")) != script.get("name"):
        wrong.append(Problem("script_name", "differs from script.name"))
    problems += wrong
    return None if wrong else _completed(script)


def _structure_problems(script: object, field: str, depth: int = 0) -> list[Problem]:
    """Return what is wrong with the structure of a script and of the scripts it is made of.

    Parameters
    ----------
    field : str
        Its field in the job.
    depth : int
        Number of scripts around it.
    """
    if not isinstance(script, dict):
        return [Problem(field, "must be the name of a script, or an object")]
    wrong = _own_structure_problems(script, field) + list(own_problems(script, field, depth))
    for path, part in parts(script, field) if not wrong else ():
        if len(wrong) < MOST_PROBLEMS:
            wrong += _structure_problems(part, path, depth + 1)
    return wrong


def _own_structure_problems(script: Document, field: str) -> list[Problem]:
    kind = script.get("type", "function")
    if not isinstance(kind, str) or kind not in _FIELDS:
        return [Problem(f"{field}.type", f"must be one of: {', '.join(_FIELDS)}")]
    required, optional = _FIELDS[kind]
    known = {**required, **optional}
    takes = f"is unknown: a script of type {kind} takes {', '.join(known)}"
    wrong = [
        Problem(f"{field}.{name}", takes)
        for name in sorted(script.keys() - {"type"} - known.keys())
    ]
    wrong += [Problem(f"{field}.{name}", "is missing") for name in required if name not in script]
    mistyped = [
        name for name in known if name in script and not isinstance(script[name], known[name])
    ]
    return wrong + [
        Problem(f"{field}.{name}", f"must be {_TYPE_NAMES[known[name]]}") for name in mistyped
    ]


def _completed(script: Document) -> Document:
    """Return a script with the parameters that were left out."""
    known = _FIELDS[script.get("type", "function")][1]
    defaults = {name: known[name]() for name in ("args", "kwargs") if name in known}
    return {**defaults, **script}


def _data(
    fields: Mapping[str, object], sources: DataSources, problems: list[Problem]
) -> Document | None:
    given = sorted(DATA_FIELDS & fields.keys())
    if not given:
        return None
    if len(given) > 1:
        text = f"data is bound only once, and {given[0]} binds it: remove this by PATCH with null"
        problems += [Problem(name, text) for name in given[1:]]
        return None
    try:
        return _bound(given[0], fields[given[0]], sources)
    except ApiError as refusal:
        problems += refusal.errors or [Problem(given[0], refusal.message)]
        return None


def _bound(field: str, value: object, sources: DataSources) -> Document:
    if field == "raw_data":
        return {"type": "raw_data"}
    if field == "data":
        return sources.bind(value)
    if not isinstance(value, str):
        raise JobNotRunnable("", [Problem("datafile", "must be the name of a data file")])
    return sources.bind({"type": "datafile", "name": value})


def _option_problems(fields: Mapping[str, object]) -> Iterator[Problem]:
    seed = 0 if fields.get("seed") is None else fields["seed"]
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEEDS:
        yield Problem("seed", f"must be a whole number from 0 to {SEEDS - 1}")
    timeout, retries = fields.get("timeout", 1), fields.get("retries", 0)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        yield Problem("timeout", f"must be a number of seconds above 0{_unquoted(timeout)}")
    if isinstance(retries, bool) or retries not in range(_MOST_RETRIES + 1):
        text = f"must be a whole number from 0 to {_MOST_RETRIES}"
        yield Problem("retries", f"{text}{_unquoted(retries)}")


def _unquoted(value: object) -> str:
    """Return the advice that turns a text into a number."""
    return ", without quotes" if isinstance(value, str) else ""
