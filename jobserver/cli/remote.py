"""Shared by the commands that talk to a server: their options, errors and output."""

from __future__ import annotations

import codecs
import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from jobserver.errors import ApiError, JobserverError, SettingsError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from jobserver.client import Client

#: Exit codes; 0 is success, 2 a wrong use of the command.
JOB_FAILED, NOT_SERVED = 1, 3
#: Seconds that a completion may take, and how many ids it offers.
_COMPLETION_SECONDS, _COMPLETED_IDS = 1.0, 50
#: Characters of a cell in a table.
_LONGEST_CELL = 200


def remote(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options of commands that talk to a server, and call them with a client.

    The command gets the client and whether to print JSON as its first two arguments. It exits with
    1 if a job failed, and with 3 if the server is away or refuses the request.
    """

    @click.option("--url", metavar="URL", help="Server; JOBSERVER_URL or that of 'login' if unset.")
    @click.option("--token", metavar="TOKEN", help="Token; better in JOBSERVER_TOKEN.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def wrapped(url: str | None, token: str | None, as_json: bool, **options: object) -> None:
        with served(), client(url, token) as opened:
            command(opened, as_json, **options)

    return wrapped


def client(url: str | None, token: str | None, **options: float) -> Client:
    """Return a client of the server that the options or the environment name."""
    from jobserver.client import Client

    return Client(url, token, **options)


@contextmanager
def served() -> Iterator[None]:
    """Exit with a message and a code if the server refuses a request, or a job failed."""
    from jobserver.client import JobFailed

    try:
        yield
    except (SettingsError, click.ClickException):
        raise  # exit code 2
    except JobserverError as error:
        complain(error)
        sys.exit(JOB_FAILED if isinstance(error, JobFailed) else NOT_SERVED)


def complain(error: JobserverError) -> None:
    """Print an error with everything that is said about it."""
    from jobserver.client.display import visible

    click.echo(visible(f"Error: {error}"), err=True)
    for note in getattr(error, "__notes__", ()):
        click.echo(visible(f"  {note}"), err=True)


def for_each(items: Iterable[str], action: Callable[[str], None]) -> None:
    """Call an action with each item; those that the server refuses do not stop the others."""
    refused = False
    for item in items:
        try:
            action(item)
        except ApiError as error:
            complain(error)
            refused = True
    if refused:
        sys.exit(NOT_SERVED)


def print_json(value: object) -> None:
    """Print JSON, in ASCII: it cannot control a terminal."""
    click.echo(json.dumps(value, indent=2))


def print_table(rows: list[list[object]]) -> None:
    """Print rows in columns, without the end of what is long; --json prints all of it."""
    from shutil import get_terminal_size

    from jobserver.client.display import one_line

    cells = [[_shortened(one_line(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    most = get_terminal_size().columns if sys.stdout.isatty() else None
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip()[:most])


def _shortened(text: str) -> str:
    """Return the beginning of a long text."""
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


def print_pieces(pieces: Iterable[bytes]) -> None:
    """Print text in UTF-8; on a terminal, control characters in it are shown as symbols."""
    if not sys.stdout.isatty():
        for piece in pieces:
            click.echo(piece, nl=False)
        return
    from jobserver.client.display import visible

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        click.echo(visible(decoder.decode(piece)), nl=False)


def completed(names: Callable[[Client], Iterable[str]]) -> Callable[..., list[CompletionItem]]:
    """Return a completion that asks the server; it offers nothing if that does not answer."""

    def complete(
        context: click.Context, _: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        try:
            given = context.params
            opened = client(
                given.get("url"), given.get("token"), timeout=_COMPLETION_SECONDS, patience=0
            )
            with opened:
                found = list(names(opened))
        except JobserverError:  # there is nobody to tell
            return []
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]

    return complete


complete_id = completed(lambda opened: (job.id for job in opened.jobs(limit=_COMPLETED_IDS)))
complete_script = completed(lambda opened: (script["name"] for script in opened.scripts()))


def parse_assignments(
    _: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, object]:
    """Return ``name=value`` options as a dict; a value is JSON, or else text."""
    parsed: dict[str, object] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param=parameter)
        if name in parsed:
            raise click.BadParameter(f"{name} is given twice.", param=parameter)
        parsed[name] = _value(value)
    return parsed


def _value(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_not_json)
    except ValueError:
        return text


def _not_json(name: str) -> None:
    raise ValueError(name)
