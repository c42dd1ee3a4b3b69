"""Options of reading that are kept with data files, in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from jobserver.data.gridfs_storage import file_key
from jobserver.storage.database import Database


class KeptOptions:
    """The options kept with the files of an owner.

    Parameters
    ----------
    database : Database
        The database.
    owner : ObjectId, optional
        The user who owns the files.
    """

    def __init__(self, database: Database, owner: ObjectId | None = None) -> None:
        self._database = database
        self._owner = owner
        self._collection = database["datafiles.options"]

    def for_owner(self, owner: ObjectId) -> KeptOptions:
        """Return the options of a user's files."""
        return KeptOptions(self._database, owner)

    def get(self, name: str) -> dict[str, Any]:
        """Return the options of a file; none if it has none."""
        found = self._database.call(self._collection.find_one, self._key(name))
        return found["options"] if found else {}

    def set(self, name: str, options: Mapping[str, Any]) -> None:
        """Keep options with a file instead of those it had; forget these if there are none."""
        key = self._key(name)
        if options:
            document = {**key, "options": dict(options)}
            self._database.check_room()
            self._database.call(self._collection.replace_one, key, document, upsert=True)
        else:
            self._database.call(self._collection.delete_one, key)

    def _key(self, name: str) -> dict[str, str]:
        return {"_id": file_key(name, self._owner)}
