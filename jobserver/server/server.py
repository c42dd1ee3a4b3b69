"""A running home: settings, database and application, opened and closed together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobserver.api.framework.client_address import networks
from jobserver.api.framework.origin import check_origins
from jobserver.app import create_app
from jobserver.errors import JobserverError
from jobserver.execution import check_executor
from jobserver.execution.run_as import check_run_as
from jobserver.home.folder import warn_if_exposed
from jobserver.home.platform import check_platform, on_app_engine
from jobserver.home.settings import take_secrets
from jobserver.mail import with_sender
from jobserver.server.services import Services
from jobserver.storage.database import PATIENCE_SECONDS, Database
from jobserver.storage.embedded import EmbeddedServer
from jobserver.storage.indexes import check_search_fields
from jobserver.storage.schema import check_schema
from jobserver.system.logs import log_to_stderr, redact
from jobserver.system.process_tree import hand_back_memory, shield_memory

if TYPE_CHECKING:
    from flask import Flask

    from jobserver.home.settings import Settings


class Server:
    """Everything that belongs to one server process.

    Parameters
    ----------
    settings : Settings
        Settings of the home.
    any_kind : bool
        Whether to open a database of the fall-back even if mongod is installed.
    patience : float
        Seconds to wait for a database that does not answer.

    Attributes
    ----------
    app : Flask
        The application, after `open`.
    store : str
        Name of the database, for the start-up line.
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
        """Connect to the database, starting the embedded one if the settings name no other.

        Raises
        ------
        SettingsError
            If the database cannot be started or its URI is malformed.
        StoreUnavailable
            If it does not answer.
        """
        hand_back_memory()
        log_to_stderr(self.settings.LOG_FORMAT)
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
            database.now()  # says if this host's clock is wrong
            database.create_indexes(
                login=self.settings.LOGIN_REQUIRED, search_fields=self.settings.SEARCH_FIELDS
            )
        except JobserverError:
            self.disconnect()
            raise
        return database

    def disconnect(self) -> None:
        """Stop the embedded database, if this process started it."""
        if self._embedded:
            self._embedded.stop()

    def open(self) -> Server:
        """Connect, and start to run jobs.

        Raises
        ------
        SettingsError, StoreUnavailable
            As `connect`.
        """
        shield_memory()
        take_secrets()
        with_sender(self.settings)  # before anything starts
        check_origins(self.settings)
        networks(self.settings.TRUSTED_PROXIES)
        check_executor(self.settings)
        check_run_as(self.settings)
        check_platform(self.settings)
        log_to_stderr(self.settings.LOG_FORMAT)
        if not on_app_engine():  # where there are no other users
            warn_if_exposed(self.settings)
        self._parts = Services(self.settings, self.connect())
        self._parts.start()
        self.app = create_app(self._parts)
        return self

    def serve_at(self, address: str) -> None:
        """Set the server's address, which links in mails use if ``PUBLIC_URL`` is not set."""
        self._parts.outbox.serve_at(address)

    def drain(self) -> None:
        """Start no more runs, and wait for those in progress, `SHUTDOWN_GRACE` at most."""
        self._parts.drain(self.settings.SHUTDOWN_GRACE)

    def close(self) -> None:
        """Stop everything that was started."""
        self._parts.close()
        self.disconnect()
