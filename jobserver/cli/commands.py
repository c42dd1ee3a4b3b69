"""The commands. They import what is heavy on call, so that ``--help`` is fast."""

from __future__ import annotations

import os
import shlex
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

import jobserver
from jobserver.cli.jobs import commands
from jobserver.cli.options import home_options, own_command, with_progress
from jobserver.cli.users import user
from jobserver.errors import JobserverError

if TYPE_CHECKING:
    from jobserver.server.server import Server

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - links cannot use these addresses


class Commands(click.Group):
    """Commands in two groups, which exit with code 2 and a message on a `JobserverError`."""

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands for a home, then those for the jobs of any server."""
        limit = formatter.width - 6 - max(map(len, self.commands))
        for title, of_jobs in (("Home", False), ("Jobs of any server", True)):
            rows = [
                (name, command.get_short_help_str(limit))
                for name, command in sorted(self.commands.items())
                if (command in commands) is of_jobs
            ]
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except JobserverError as error:
            raise click.UsageError(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(jobserver.__version__, prog_name="jobserver")
@click.pass_context
def main(context: click.Context) -> None:
    """Put Python functions, executables and command line tools behind HTTP, as jobs."""
    context.call_on_close(partial(os.umask, os.umask(0o077)))  # what is written is private
    warnings.formatwarning = lambda message, *_, **__: f"{message}\n"  # without the line of source


@main.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Create a home in FOLDER: settings, data, scripts."""
    from jobserver.home.template import make_home

    made = make_home(folder)
    for path in made:
        click.echo(f"created {path}")
    if not made:
        click.echo(f"{folder} is a home already; nothing was changed.")
    click.echo(f"Start it with: {own_command()} run --home {shlex.quote(str(folder))}")


@main.command()
@home_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, help="Port; 0 chooses a free one.")
def run(home: Path, config: str, host: str, port: int) -> None:
    """Serve a home over HTTP."""
    from jobserver.home.settings import load_and_log
    from jobserver.server.shutdown import exit_on_sigterm, leave

    exit_on_sigterm()
    settings = load_and_log(home, config)

    from jobserver.api.framework.origin import check_host
    from jobserver.server.http import listen, serve
    from jobserver.server.server import Server
    from jobserver.system.logs import announce

    check_host(host, settings)
    sockets = listen(host, port)
    opened = Server(settings).open()
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{sockets[0].getsockname()[1]}"
    if host not in _EVERYWHERE:
        opened.serve_at(address)
    line = f"Jobserver {jobserver.__version__} on {address}, {_described(opened)}"
    serve(opened, sockets, partial(announce, line))
    leave()


@main.command()
@home_options
def worker(home: Path, config: str) -> None:
    """Run a home's jobs without serving HTTP.

    It works next to the server or on another machine.
    """
    from jobserver.home.settings import load_and_log
    from jobserver.server.server import Server
    from jobserver.server.shutdown import exit_on_sigterm, leave, wait
    from jobserver.system.logs import announce

    exit_on_sigterm()
    settings = load_and_log(home, config)
    opened = Server(settings).open()
    line = f"Jobserver {jobserver.__version__} worker with {settings.workers} slots, "
    wait(opened, partial(announce, line + _described(opened)))
    leave()


def _described(home: Server) -> str:
    return f"home {home.settings.home}, {home.store}. Press Ctrl-C to stop."


@main.command("export")
@home_options
@click.argument("archive", type=click.Path(dir_okay=False, path_type=Path))
def export_command(home: Path, config: str, archive: Path) -> None:
    """Write a home to an ARCHIVE.

    It contains jobs, data, results, files and scripts.
    """
    from jobserver.server.archive import export_home

    with_progress(home, config, partial(export_home, archive), any_kind=True)
    click.echo(f"{archive} contains the home, without config.py, which may contain passwords.")


@main.command("import")
@home_options
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_command(home: Path, config: str, archive: Path) -> None:
    """Add an ARCHIVE to a home, keeping what exists."""
    from jobserver.server.archive import import_home

    skipped = with_progress(home, config, partial(import_home, archive))
    click.echo(f"Imported {archive}; {skipped} documents and files already existed and were kept.")


@main.command()
def demo() -> None:
    """Run an example job, printing each request."""
    from jobserver.cli.demo import show

    show()


for command in (user, *commands):
    main.add_command(command)
