"""A running home: its settings, its database and its application, opened and closed together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobserver.api.framework.origin import check_origins
from jobserver.app import create_app
from jobserver.errors import JobserverError
from jobserver.execution import check_executor
from jobserver.home.secret_key import mask_log, redact
from jobserver.mail import with_sender
from jobserver.server.services import Services
from jobserver.storage.database import PATIENCE_SECONDS, Database
from jobserver.storage.embedded import EmbeddedServer
from jobserver.storage.indexes import check_search_fields
from jobserver.storage.schema import check_schema
from jobserver.system.process_tree import hand_back_memory

if TYPE_CHECKING:
    from flask import Flask

    from jobserver.home.settings import Settings


class Server:
    """Everything that one server process holds.

    Parameters
    ----------
    settings : Settings
        Of the home.
    any_kind : bool
        Whether an embedded database of the fall-back is served as it is where mongod runs.
    patience : float
        Seconds to wait for a database that is away.

    Attributes
    ----------
    app : Flask
        The application, once `open` was called.
    store : str
        What stores the jobs, for the start-up line.
    """

    app: Flask
    store = "MongoDB"

    def __init__(
        self, settings: Settings, *, any_kind: bool = False, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._patience = patience
        self.settings = settings
        self._any_kind = any_kind
        self._embedded: EmbeddedServer | None = None

    def connect(self) -> Database:
        """Connect to the store; the embedded server is started where no other is named.

        Raises
        ------
        SettingsError
            If the database cannot be started or its address is malformed.
        StoreUnavailable
            If it does not answer.
        """
        hand_back_memory()
        mask_log()
        check_search_fields(self.settings.SEARCH_FIELDS)
        uri, folder = self.settings.MONGO_URI, None
        redact(uri, self.settings.MAIL_PASSWORD, self.settings.SECRET_KEY)
        if uri is None:
            folder = self.settings.home
            self._embedded = EmbeddedServer(folder, self.settings.MONGOD, any_kind=self._any_kind)
            uri = self._embedded.start()
            redact(uri)
            self.store = self._embedded.description
        try:
            database = Database(uri, folder)
            database.wait(self._patience)
            check_schema(database)
            database.create_indexes(
                login=self.settings.LOGIN_REQUIRED, search_fields=self.settings.SEARCH_FIELDS
            )
        except JobserverError:
            self.disconnect()
            raise
        return database

    def disconnect(self) -> None:
        """Stop the embedded server, if this process started it."""
        if self._embedded:
            self._embedded.stop()

    def open(self) -> Server:
        """Connect, and begin to run jobs.

        Raises
        ------
        SettingsError, StoreUnavailable
            As `connect`.
        """
        with_sender(self.settings)  # before anything is started
        check_origins(self.settings)
        check_executor(self.settings)
        self._parts = Services(self.settings, self.connect())
        self._parts.start()
        self.app = create_app(self._parts)
        return self

    def serve_at(self, address: str) -> None:
        """Tell the address that is served; links in mails lead there without ``PUBLIC_URL``."""
        self._parts.outbox.serve_at(address)

    def drain(self) -> None:
        """Start no more runs, and wait a grace for those that go on."""
        self._parts.drain(self.settings.SHUTDOWN_GRACE)

    def close(self) -> None:
        """End everything that was started."""
        self._parts.close()
        self.disconnect()
