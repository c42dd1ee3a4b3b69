"""What a Dask worker gets beside a job's id: the home and its settings, without any secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypedDict

from jobserver.errors import SettingsError
from jobserver.home.settings import HOME, Settings, load, public_values
from jobserver.storage.database import Database
from jobserver.storage.embedded import uri_of
from jobserver.system.logs import log_to_stderr, redact


class Answer(TypedDict, total=False):
    """What a worker reports about a job: the state that it is in, or why it could not be run."""

    state: str
    problem: str


@dataclass(frozen=True)
class WorkerSettings:
    """Identifies the server whose jobs a worker runs.

    Attributes
    ----------
    home : str
        Folder of the server; ``JOBSERVER_HOME`` overrides it in a worker's environment.
    config : str
        Name in the ``config`` table of its ``config.py``.
    embedded : bool
        Whether its jobs are in the embedded database.
    values : tuple
        Names and values of the server's settings, except secrets.
    scripts : str
        Key of the archive of its scripts; empty if there is none. See `ScriptArchives`.
    """

    home: str
    config: str
    embedded: bool
    values: tuple[tuple[str, object], ...]
    scripts: str = ""

    @classmethod
    def from_settings(cls, settings: Settings) -> WorkerSettings:
        """Return what the workers of a server need."""
        values = tuple(public_values(settings).items())
        return cls(str(settings.home), settings.config, settings.MONGO_URI is None, values)

    @classmethod
    def received(cls, sent: Mapping[str, Any]) -> WorkerSettings:
        """Return what a server sent; a later release may send more."""
        return cls(**{entry.name: sent[entry.name] for entry in fields(cls) if entry.name in sent})

    @property
    def path(self) -> Path:
        """Path of the home on this machine, where it need not exist."""
        return Path(os.environ.get(HOME, self.home))

    @property
    def needs_home(self) -> bool:
        """Whether a worker cannot do without the home, as it gets nothing from a database."""
        return self.embedded or not self.scripts

    def settings(self, slots: int, home: Path | None = None) -> Settings:
        """Return the settings of a worker; secrets come from its own machine.

        Parameters
        ----------
        slots : int
            How many jobs it runs at once.
        home : Path, optional
            An empty folder to use instead of a home that does not exist here.

        Raises
        ------
        SettingsError
            If the home does not exist.
        """
        values = {**dict(self.values), "WORKERS": slots}
        if home is None:
            return load(self.path, self.config, options=values)
        return load(home, options=values)

    def address(self, settings: Settings) -> str:
        """Return the connection string of the server's database.

        Raises
        ------
        SettingsError
            If this worker has no way to find it.
        """
        if not self.embedded and settings.MONGO_URI is None:
            raise SettingsError(
                "a Dask worker does not know the server's database: set JOBSERVER_MONGO_URI in the "
                "worker's environment, or MONGO_URI in a config.py that it can read"
            )
        uri = uri_of(settings.home) if self.embedded else settings.MONGO_URI
        if uri is None:
            raise SettingsError(
                "a Dask worker cannot find the embedded database, which serves its own machine "
                "only: set MONGO_URI to a MongoDB server"
            )
        return uri

    def connect(self, uri: str, settings: Settings) -> Database:
        """Connect to the server's database."""
        log_to_stderr(settings.LOG_FORMAT)
        redact(uri)
        database = Database(uri, settings.home if self.embedded else None)
        database.now()  # says if this host's clock is wrong
        return database
