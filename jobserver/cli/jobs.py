"""Commands for the jobs of a server, which may run anywhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from jobserver.cli.remote import (
    complete_id,
    complete_script,
    for_each,
    parse_assignments,
    print_json,
    print_pieces,
    print_table,
    remote,
    served,
)

if TYPE_CHECKING:
    from jobserver.client import Client, Job
    from jobserver.client.client import Sent

_DATA_FIELDS = ("data", "datafile", "raw_data")
_STATES = click.Choice(["created", "queued", "running", "finished", "failed", "cancelled"])
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_BINARY = ("xlsx", "parquet", "png", "bin")
_FORMATS = ("json", "csv", "txt", "html", *_BINARY)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_job_argument = click.argument("job_id", metavar="ID", shell_complete=complete_id)


@click.command()
@click.argument("script", shell_complete=complete_script)
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=parse_assignments,
    help="Parameter of the script, in JSON or as text; may be repeated.",
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=VALUE",
    callback=parse_assignments,
    help="Field of the job, such as timeout=60 or seed=1; may be repeated.",
)
@click.option("--datafile", metavar="NAME", help="Data file on the server.")
@click.option("--data", type=_FILE, metavar="FILE", help="File to upload as the data.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    callback=parse_assignments,
    help="Option of reading the file, such as decimal=, or skip=2; may be repeated.",
)
@click.option("--wait", is_flag=True, help="Wait until the job has ended; 1 if it failed.")
@remote
def submit(opened: Client, as_json: bool, script: str, wait: bool, **given: Any) -> None:
    """Run a SCRIPT as a job, and print its id."""
    has_file = _check_data(**given)
    try:
        job = opened.submit(script, **given)
    except ValueError as error:  # a value that JSON has not, or what is no option
        raise click.UsageError(str(error)) from error
    if not as_json:
        click.echo(job.id)
    if wait:
        job.wait(progress=not as_json)
    if as_json:
        print_json(job.document)
    _check_ended(job, has_file=has_file)


def _check_data(
    datafile: str | None,
    data: Path | None,
    fields: dict[str, Any],
    options: dict[str, Any],
    **_: Any,
) -> bool:
    """Return whether there is a file; refuse several kinds of data, and options without a file."""
    given = [name for name, value in (("--datafile", datafile), ("--data", data)) if value]
    kinds = [*given, *(f"--field {name}" for name in _DATA_FIELDS if name in fields)]
    if len(kinds) > 1:
        raise click.UsageError(f"Give {' or '.join(kinds)}, not both.")
    if options and not given:
        raise click.UsageError("--option says how to read a file: give --datafile or --data, too.")
    return bool(given)


def _check_ended(job: Job, *, has_file: bool) -> None:
    """Raise the error of a failed job, with the way to say how its file is read."""
    from jobserver.client import JobFailed

    try:
        job.check()
    except JobFailed as failure:
        if has_file and failure.error == "JobNotRunnable":
            failure.add_note("Set options of reading with --option NAME=VALUE: --option decimal=,")
        raise


@click.command()
@click.option("--state", type=_STATES, help="Only jobs in this state.")
@click.option(
    "--script", metavar="NAME", shell_complete=complete_script, help="Only jobs with this script."
)
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many."
)
@remote
def ps(opened: Client, as_json: bool, state: str | None, script: str | None, limit: int) -> None:
    """List jobs, newest first."""
    found = opened.jobs(state=state, script=script, limit=limit)
    if as_json:
        print_json([job.document for job in found])
    else:
        print_table([["ID", "STATE", "SCRIPT", "CREATED", "SECONDS", "MESSAGE"], *map(_row, found)])


def _row(job: Job) -> list[object]:
    state = job.state if job.progress is None or job.ended else f"{job.state} {job.progress:.0%}"
    times = (job.document.get("created"), job.document.get("time_sec"))
    return [job.id, state, job.script, *times, job.message]


@click.command()
@_job_argument
@click.option("-f", "--follow", is_flag=True, help="Print what comes until the job has ended.")
@remote
def logs(opened: Client, as_json: bool, job_id: str, follow: bool) -> None:
    """Print what the script of a job printed and logged."""
    pieces = opened.job(job_id).log(follow=True) if follow else [opened.job(job_id).log()]
    if as_json:
        for piece in pieces:
            click.echo(json.dumps({"id": job_id, "log": piece}))
    else:
        print_pieces(piece.encode() for piece in pieces)


@click.command()
@_job_argument
@click.option(
    "--format",
    "output_format",
    type=click.Choice(_FORMATS),
    help="Format; by default that of FILE, else json.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File to write; it is replaced.",
)
@remote
def result(
    opened: Client, as_json: bool, job_id: str, output_format: str | None, output: Path | None
) -> None:
    """Print the result of a finished job, or write it to a file."""
    ending = output.suffix[1:].lower() if output else ""
    kind = "json" if as_json else output_format or ending or "json"
    if kind not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise click.UsageError(f"{kind} is not a format of results: give --format, one of {known}.")
    pieces = opened.job(job_id).check().result_pieces(kind)
    if output:
        _write(output, pieces)
    elif kind in _BINARY and sys.stdout.isatty():
        raise click.UsageError(f"{kind} is not for a terminal: name a file with -o.")
    elif kind in _BINARY:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
    else:
        print_pieces(pieces)


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    """Write a file as a whole, or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with new.open("wb") as file:
            file.writelines(pieces)
        new.replace(path)
    except OSError as error:
        raise click.FileError(str(path), hint=error.strerror or "cannot be written") from error
    finally:
        new.unlink(missing_ok=True)


@click.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True, shell_complete=complete_id)
@remote
def cancel(opened: Client, as_json: bool, job_ids: tuple[str, ...]) -> None:
    """Stop queued or running jobs."""

    def stop(job_id: str) -> None:
        job = opened.job(job_id).cancel()
        if as_json:
            click.echo(json.dumps({"id": job.id, "state": job.state}))
        else:
            click.echo(f"{job.id} is {'being cancelled' if not job.ended else job.state}")

    for_each(job_ids, stop)


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@remote
def upload(opened: Client, as_json: bool, files: tuple[Path, ...]) -> None:
    """Upload data files. Files on the server are never replaced."""

    def send(file: str) -> None:
        path = Path(file)
        with _upload_bar(path.name, wanted=not as_json) as sent:
            name = opened.upload(path, sent=sent)
        size = path.stat().st_size
        click.echo(json.dumps({"name": name, "size": size}) if as_json else name)

    for_each(map(str, files), send)


@contextmanager
def _upload_bar(name: str, *, wanted: bool) -> Iterator[Sent | None]:
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from jobserver.client.display import one_line

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        line = progress.add_task(escape(one_line(name)), total=None)
        yield lambda done, size: progress.update(line, completed=done, total=size)


@click.command()
@click.option("--url", metavar="URL", help="Server; JOBSERVER_URL or the one kept if unset.")
@click.option("--email", help="Address of the account; asked for if unset.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def login(url: str | None, email: str | None, password_stdin: bool) -> None:
    """Keep a server's address and a token for it.

    The other commands and the Python client use them.
    """
    from jobserver.client.access import Access, find_access, keep
    from jobserver.client.account import make_token, needs_login

    with served():
        found = find_access(url).url
        if not needs_login(found):
            path = keep(Access(found, None))
            click.echo(f"{found} asks for no login; the address is kept in {path}.")
            return
        if found.startswith("http://") and urlsplit(found).hostname not in _LOOPBACK:
            click.echo(f"Warning: {found} is not encrypted; use https if it has it.", err=True)
        email = email or click.prompt("Email address")
        if password_stdin:
            password = sys.stdin.readline().rstrip("\r\n")
        else:
            password = click.prompt("Password", hide_input=True)
        path = keep(Access(found, make_token(found, email, password)))
    click.echo(f"Logged in to {found}; the token is kept in {path}.")


@click.command()
def logout() -> None:
    """Forget the token that 'login' kept."""
    from jobserver.client.access import access_file, forget_token

    forgotten = forget_token()
    if forgotten is None:
        click.echo(f"No token is kept in {access_file()}.")
    else:
        click.echo(f"The token for {forgotten.url} is forgotten, but stays valid.")
        click.echo(f"To revoke it, delete it at {forgotten.url}/ui/account")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands in a SHELL.

    For bash: eval "$(jobserver completion bash)"
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(found(context.find_root().command, {}, "jobserver", "_JOBSERVER_COMPLETE").source())


commands = (submit, ps, logs, result, cancel, upload, login, logout, completion)
