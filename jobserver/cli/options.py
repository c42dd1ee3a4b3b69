"""What commands have in common: the options that name a home, and a home opened for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from jobserver.home.settings import CONFIG, HOME


def home_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a home and its configuration."""
    for option in (
        click.option(
            "--config", default="default", envvar=CONFIG, help="Name in the table of config.py."
        ),
        click.option(
            "--home",
            default=".",
            envvar=HOME,
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder of the server; JOBSERVER_HOME or the present one by default.",
        ),
    ):
        command = option(command)
    return command


def with_database(
    home: Path, config: str, action: Callable[..., Any], *, any_kind: bool = False
) -> Any:
    """Do something with the settings and the database of a home.

    Parameters
    ----------
    any_kind : bool
        Whether an embedded database of the fall-back is opened as it is where mongod runs.
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


def with_home(
    home: Path, config: str, action: Callable[..., Any], *, any_kind: bool = False
) -> Any:
    """Do something with the settings and the database of a home, and show how far it is."""
    with shown_progress() as progress:
        return with_database(
            home, config, lambda *parts: action(*parts, progress), any_kind=any_kind
        )


@contextmanager
def shown_progress() -> Iterator[Callable[[str, int], None]]:
    """Show a line for each kind of thing with the number of them that are done.

    Yields
    ------
    callable
        Takes the kind and how many more are done.
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
