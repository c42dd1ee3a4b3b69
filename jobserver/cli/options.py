"""Shared by the commands: the options for a home, and access to its database."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource

from jobserver.home.settings import CONFIG, HOME

T = TypeVar("T")


def home_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options for a home and its configuration."""
    for option in (
        click.option(
            "--config", default="default", envvar=CONFIG, help="Name in the table of config.py."
        ),
        click.option(
            "--home",
            default=".",
            envvar=HOME,
            type=click.Path(file_okay=False, path_type=Path),
            callback=_checked,
            help="Folder of the server; JOBSERVER_HOME or the current folder by default.",
        ),
    ):
        command = option(command)
    return command


def _checked(context: click.Context, parameter: click.Parameter, home: Path) -> Path:
    """Return a home; refuse a folder that is none."""
    from jobserver.home.folder import check_home

    source = context.get_parameter_source(parameter.name or "")
    check_home(home, is_named=source is not ParameterSource.DEFAULT)
    return home


def own_command() -> str:
    """Return the command that was called, as it can be typed here."""
    own = Path(sys.argv[0])
    if own.name != "jobserver":
        return f"{shlex.quote(sys.executable)} -m jobserver"
    found = shutil.which("jobserver")
    return "jobserver" if found and Path(found).samefile(own) else shlex.quote(str(own))


def with_database(
    home: Path, config: str, action: Callable[..., T], *, any_kind: bool = False
) -> T:
    """Call an action with the settings and the database of a home; return its result.

    Parameters
    ----------
    any_kind : bool
        Whether to open a database of the fall-back even if mongod is installed.
    """
    from jobserver.home.settings import load
    from jobserver.server.server import Server

    opened = Server(load(home, config), any_kind=any_kind)
    database = opened.connect()
    try:
        return action(opened.settings, database)
    finally:
        database.close()
        opened.disconnect()


def with_progress(
    home: Path, config: str, action: Callable[..., T], *, any_kind: bool = False
) -> T:
    """Call an action as `with_database` does, and with a callable that shows its progress."""
    with shown_progress() as progress:
        return with_database(
            home, config, lambda *parts: action(*parts, progress), any_kind=any_kind
        )


@contextmanager
def shown_progress() -> Iterator[Callable[[str, int], None]]:
    """Show a line for each kind of object, with the number done.

    Yields
    ------
    callable
        Takes a kind of object and how many more are done.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn

    columns = SpinnerColumn(), TextColumn("{task.completed:,.0f} {task.description}")
    with Progress(*columns, console=Console(stderr=True)) as progress:
        lines: dict[str, TaskID] = {}

        def advance(kind: str, number: int) -> None:
            if kind not in lines:
                lines[kind] = progress.add_task(kind, total=None)
            progress.advance(lines[kind], number)

        yield advance
