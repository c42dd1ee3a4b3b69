"""What an embedded database has to offer, whichever program serves it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jobserver.storage.embedded.folder import DatabaseFolder


class Engine(ABC):
    """A program that serves the database in a home's ``db``.

    Attributes
    ----------
    kind : str
        Whose files they are: ``mongod`` or ``SecantusDB``.
    name : str
        The kind and its version.
    advice : str
        What the line at the start says about it.
    """

    kind: str
    name: str
    advice: str

    @abstractmethod
    def prepare(self, folder: DatabaseFolder) -> None:
        """See to what must be done before the program is started.

        Raises
        ------
        SettingsError
            If the folder cannot be served.
        """

    @abstractmethod
    def choose_port(self, last: int | None) -> int | None:
        """Return the port to listen on, the last one if possible; None for a Unix socket."""

    @abstractmethod
    def command(self, folder: DatabaseFolder, port: int | None) -> list[str]:
        """Return the command line of the program, which runs in the folder ``folder.own``."""

    @abstractmethod
    def explain(self, folder: DatabaseFolder, code: int) -> str:
        """Say why the program ended, from its log or else its exit code."""
