"""Mails on their way out: kept in the database until they are sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bson import ObjectId

if TYPE_CHECKING:
    from jobserver.database import Database
    from jobserver.settings import Settings


class Outbox:
    """The mails of one database.

    Parameters
    ----------
    database : Database
        Where they wait.
    settings : Settings
        Of the server.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self.settings = settings

    def post(self, to: str, kind: str, **values: Any) -> None:
        """Have a mail sent soon.

        Parameters
        ----------
        to : str
            The address.
        kind : str
            ``activate``, ``reset`` or ``finished``.
        **values
            What stands in it.
        """
        mail = {"_id": ObjectId(), "to": to, "kind": kind, "values": values}
        self._database.insert("outbox", mail | {"posted": datetime.now(UTC).replace(tzinfo=None)})
