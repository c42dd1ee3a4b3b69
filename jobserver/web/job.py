"""The page of one job."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Response, request

from jobserver.api.framework.identity import actor, is_stranger, own_datafiles, services
from jobserver.api.job import kept_options, public, readable
from jobserver.encoding import dumps, output_formats
from jobserver.errors import ApiError
from jobserver.jobs.job import ACTIVE, DATA_FIELDS, FLAGS, SCRIPT_FIELDS, Job, State
from jobserver.storage.database import Document
from jobserver.web.pages import page, render
from jobserver.web.same_in_code import Example, examples

#: Most characters of a value on the page; the API has it whole.
_LONGEST = 4000
#: Values with at most so many characters stand in one line.
_LINE = 72
#: Sequences that steer a terminal, and other characters that cannot be seen.
_UNSEEN = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*\x07?)|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_PARAMETERS = ("args", "kwargs")
#: Fields of bound data that say the same as the link to its file.
_SHOWN = ("type", "name", "path")
#: What the server reads besides script and data, and what it notes about where a job came from.
_OPTIONS = ("timeout", "retries", "seed", "resources", "notify", "rerun_of")


@dataclass(frozen=True)
class Field:
    """A field as the page shows it.

    Attributes
    ----------
    text : str
        Its value as JSON, or its beginning.
    length : int
        Characters of the whole text.
    """

    name: str
    text: str
    length: int

    @property
    def is_cut(self) -> bool:
        """Whether the text is only the beginning."""
        return self.length > len(self.text)


@page("/job/<job_id>", policy="job.read", refusals=(404,))
def show_job(job_id: str) -> Response:
    """Show a job."""
    job = readable(job_id)
    shared = is_stranger(job.document)
    content = public(_without_result(job), request.script_root, shared=shared)
    return render(
        "job.html",
        id=str(job.id),
        job=content,
        is_own=not shared,
        is_active=job.state in ACTIVE,
        name=_name(content),
        visible=_visible,
        times=_times(job),
        result=_result(job),
        parameters=[*_parameters(content.get("script"))],
        data=[*_data(content)],
        datafile=(datafile := _datafile(content)),
        has_file=_has_file(job, datafile),
        own=[*_fields(content, {*job.own_fields, *_OPTIONS} - {"description"})],
        provenance=[*_provenance(content.get("provenance"))],
        examples=_examples(job.shared() if shared else job) if not shared or _is_told(job) else [],
        keeps=bool(services().settings.RESULT_TTL) or job.is_pinned,
    )


def _without_result(job: Job) -> Job:
    """Return the job without its result, which may be large."""
    return Job({name: value for name, value in job.document.items() if name != "result"})


def _name(content: Document) -> str:
    """Return the name of the script, or its type if it has no name."""
    script = content.get("script")
    found = script.get("name") or script.get("type") if isinstance(script, dict) else None
    return str(found or content.get("script_name") or "")


def _visible(text: object, longest: int = _LONGEST) -> str:
    """Return a text as it is shown: without what steers terminals, and cut."""
    shown = str(text)[: 2 * longest] if text else ""
    return _UNSEEN.sub("", shown)[:longest]


def _times(job: Job) -> dict[str, datetime]:
    known = {"created": job.created, "started": job.started, "finished": job.finished}
    return {name: time.replace(tzinfo=UTC) for name, time in known.items() if time}


def _result(job: Job) -> Document | None:
    """Return how the result can be had, if there is one."""
    if job.state is not State.FINISHED:
        return None
    file = services().jobs.results.open(job)
    formats = output_formats(job.result if file is None else file)
    return {"formats": formats, "size": file.size if file else 0}


def _datafile(content: Document) -> str | None:
    """Return the name of the data file that is bound."""
    data = content.get("data")
    bound = data.get("name") if isinstance(data, dict) and data.get("type") == "datafile" else None
    found = content.get("datafile", bound)
    return found if isinstance(found, str) else None


def _has_file(job: Job, name: str | None) -> bool:
    """Whether the visitor has the data file of a job, which may be somebody else's."""
    if name is None or job.owner != actor().id:
        return False
    with suppress(ApiError):
        own_datafiles().info(name)
        return True
    return False


def _data(content: Document) -> Iterator[Field]:
    """Yield what describes the data besides the name of its file."""
    data = content.get("data")
    if isinstance(data, dict) and "raw_data" not in content:
        yield from (_field(name, value) for name, value in data.items() if name not in _SHOWN)
        return
    yield from _fields(content, DATA_FIELDS - {"datafile"} if data is None else {"raw_data"})


def _parameters(script: object) -> Iterator[Field]:
    """Yield what a script gets, and what else describes it."""
    if not isinstance(script, dict):
        return
    args, kwargs = (script.get(name) for name in _PARAMETERS)
    if isinstance(args, list):
        yield from (_field(str(number), value) for number, value in enumerate(args, 1))
    if isinstance(kwargs, dict):
        yield from (_field(name, value) for name, value in kwargs.items())
    hidden = {"name", *_PARAMETERS}
    yield from (_field(name, value) for name, value in script.items() if name not in hidden)


def _is_told(job: Job) -> bool:
    """Whether everybody may see all that a shared job ran."""
    return DATA_FIELDS.isdisjoint(job.document) and job.shared().script == job.script


def _examples(job: Job) -> list[Example]:
    """Return code that does what a job did, if it has a script."""
    inherited = job.inherited((), kept_options(job))
    fields = {name: value for name, value in inherited.items() if name not in FLAGS}
    if SCRIPT_FIELDS.isdisjoint(fields):
        return []
    settings = services().settings
    server = (settings.PUBLIC_URL or f"{request.host_url.rstrip('/')}{request.script_root}").rstrip(
        "/"
    )
    return examples(str(job.id), fields, server, login=settings.LOGIN_REQUIRED)


def _provenance(provenance: object) -> Iterator[Field]:
    """Yield where the result came from, each version and checksum on its own."""
    if not isinstance(provenance, dict):
        return
    for name, value in provenance.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        yield from (_field(f"{name} {part}".strip(), inner) for part, inner in parts)


def _fields(content: Mapping[str, object], names: Collection[str]) -> Iterator[Field]:
    yield from (_field(name, value) for name, value in content.items() if name in names)


def _field(name: str, value: object) -> Field:
    text = dumps(value).decode()
    if len(text) > _LINE and isinstance(value, dict | list) and len(text) <= _LONGEST:
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return Field(name, text[:_LONGEST], len(text))
