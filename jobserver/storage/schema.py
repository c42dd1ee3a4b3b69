"""The schema number: which databases this release reads."""

from __future__ import annotations

from jobserver.errors import SettingsError
from jobserver.storage.database import Database
from jobserver.storage.duties import COLLECTION

#: The number of what this release stores. It grows when an older release could not read it.
SCHEMA = 1
_ID = "schema"
#: Jobs without what every release since 0.2 stores.
_FOREIGN = {"_run": {"$exists": False}}


def check_schema(database: Database) -> None:
    """Note the schema number in a database that has none, or an older one.

    Raises
    ------
    SettingsError
        If a later release has stored something that this one cannot read, or one before 0.2.
    """
    documents = database[COLLECTION]
    found = database.call(documents.find_one, {"_id": _ID}) or {"number": 0}
    if not found["number"] and database.call(database["jobs"].find_one, _FOREIGN, {"_id": 1}):
        raise SettingsError(
            "The jobs in this database cannot be read: Jobserver 0.1 or another program stored "
            "them. Name another database in MONGO_URI, as in mongodb://localhost/jobserver2."
        )
    if not isinstance(found["number"], int):
        raise SettingsError(
            f"The schema number of this database is damaged: {found['number']!r}. Restore the "
            "database from a backup, or use another one."
        )
    if found["number"] > SCHEMA:
        raise SettingsError(
            f"A later Jobserver has used this database: its schema is {found['number']}, and this "
            f"release reads up to {SCHEMA}. Upgrade Jobserver, or use another database."
        )
    if found["number"] < SCHEMA:
        number = {"$max": {"number": SCHEMA}}
        database.call(documents.update_one, {"_id": _ID}, number, upsert=True)
