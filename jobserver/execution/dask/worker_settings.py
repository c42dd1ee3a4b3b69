"""What a Dask worker is told beside a job's id: the home and its settings, and no secret."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobserver.errors import SettingsError
from jobserver.home.secret_key import redact
from jobserver.home.settings import HOME, Settings, load, public_values
from jobserver.storage.database import Database
from jobserver.storage.embedded import uri_of


@dataclass(frozen=True)
class WorkerSettings:
    """Whose jobs a worker is to run.

    Attributes
    ----------
    home : str
        Folder of the server; a worker has its own where ``JOBSERVER_HOME`` says so.
    config : str
        Name in the ``config`` table of its ``config.py``.
    embedded : bool
        Whether its jobs are in the embedded database.
    values : tuple
        Names and values of the server's settings that are no secrets.
    """

    home: str
    config: str
    embedded: bool
    values: tuple[tuple[str, Any], ...]

    @classmethod
    def from_settings(cls, settings: Settings) -> WorkerSettings:
        """The post of a server."""
        values = tuple(public_values(settings).items())
        return cls(str(settings.home), settings.config, settings.MONGO_URI is None, values)

    def settings(self, slots: int) -> Settings:
        """The settings of a worker with so many slots; secrets are those of its own machine.

        Raises
        ------
        SettingsError
            If the home is not there.
        """
        values = {**dict(self.values), "WORKERS": slots}
        home = Path(os.environ.get(HOME, self.home))
        return load(home, self.config, os.environ, values)

    def address(self, settings: Settings) -> str:
        """Connection string of the server's database.

        Raises
        ------
        SettingsError
            If this worker cannot know it.
        """
        if not self.embedded and settings.MONGO_URI is None:
            raise SettingsError(
                "a Dask worker does not know the server's database: set JOBSERVER_MONGO_URI in the "
                "worker's environment, or MONGO_URI in a config.py that it can read"
            )
        uri = uri_of(settings.home) if self.embedded else settings.MONGO_URI
        if uri is None:
            raise SettingsError(
                "a Dask worker does not find the embedded database, which serves its own machine "
                "only: set MONGO_URI to a MongoDB server"
            )
        return uri

    def connect(self, uri: str, settings: Settings) -> Database:
        """Connect to the server's database."""
        redact(uri)
        return Database(uri, settings.home if self.embedded else None)
