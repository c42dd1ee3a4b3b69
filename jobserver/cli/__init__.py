"""The command line."""

from jobserver.cli.commands import main

__all__ = ["main"]
