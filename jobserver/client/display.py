"""Show jobs to people: a bar while one runs, HTML in notebooks, text that is safe in terminals."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobserver.client.job import Job

#: Control characters as the symbols that Unicode has for them, and those that change the direction
#: of text as nothing; tab and line feed stay.
_VISIBLE = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\u2421",
    **dict.fromkeys([*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"),
}
Show = Callable[["Job"], None]


def visible(text: str) -> str:
    """Return a text that cannot control a terminal: control characters become symbols."""
    return text.translate(_VISIBLE)


def one_line(value: object) -> str:
    """Return a value as one line of visible text; nothing for None."""
    return "" if value is None else visible(" ".join(str(value).split()))


def job_html(job: Job) -> str:
    """Return a job as a table in HTML."""
    rows = {
        "state": job.state,
        "progress": _percent(job),
        "script": job.script,
        "message": job.message,
        "error": job.error,
        "created": job.document.get("created"),
        "time": _seconds(job),
    }
    cells = "".join(
        f"<tr><th style='text-align:left'>{name}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows.items()
        if value is not None
    )
    bar = f"<progress value='{job.progress}'></progress>" if job.progress is not None else ""
    return f"<table><caption>Job {escape(job.id)} {bar}</caption>{cells}</table>"


def _percent(job: Job) -> str | None:
    return None if job.progress is None else f"{job.progress:.0%}"


def _seconds(job: Job) -> str | None:
    seconds = job.document.get("time_sec")
    return None if seconds is None else f"{seconds} s"


@contextmanager
def shown(job: Job, *, wanted: bool) -> Iterator[Show | None]:
    """Show a job while it runs.

    Yields
    ------
    callable or None
        Shows the job as it is now. None if nothing is wanted, or nobody would see it.
    """
    if wanted and _in_notebook():
        yield _in_cell(job)
    elif wanted and sys.stderr.isatty():
        with _in_terminal(job) as show:
            yield show
    else:
        yield None


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


def _in_cell(job: Job) -> Show:
    from IPython.display import HTML, display

    cell = display(HTML(job_html(job)), display_id=True)
    return lambda job: cell.update(HTML(job_html(job)))


@contextmanager
def _in_terminal(job: Job) -> Iterator[Show]:
    from rich.console import Console
    from rich.markup import escape as plain
    from rich.progress import Progress, TimeElapsedColumn

    columns = Progress.get_default_columns()[:3]
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        line = progress.add_task("", total=None)

        def show(job: Job) -> None:
            text = plain(one_line(f"{job.script or 'job'}: {job.message or job.state}"))
            total = None if job.progress is None else 1.0
            progress.update(line, description=text, total=total, completed=job.progress or 0.0)

        show(job)
        yield show
