"""Which indexes there are; `jobserver.database.Database.create_indexes` makes them."""

from __future__ import annotations

from collections.abc import Mapping

# Each equality or two-sided range that the server asks for has its index here. Every update of a
# document writes all its entries anew on the embedded server, and costs a tenth more with each.
INDEXES: Mapping[str, tuple[tuple[tuple[str, int], ...], ...]] = {
    "jobs": (
        (("created", 1),),
        (("state", 1), ("created", 1)),
        (("_run.change", 1),),
    ),
    "windows": ((("owner", 1),),),
    "tokens": ((("user", 1),),),
    "jobs.content.chunks": ((("files_id", 1), ("n", 1)),),
    "data": ((("created", 1), ("_id", 1)),),
    "data.content.chunks": ((("files_id", 1), ("n", 1)),),
    "datafiles": ((("owner", 1), ("_id", 1)),),
    "outbox": ((("due", 1),),),
    "datafiles.content.chunks": ((("files_id", 1), ("n", 1)),),
}

#: Those that only servers with login need: each index makes every write slower.
OWNED: Mapping[str, tuple[tuple[tuple[str, int], ...], ...]] = {
    "jobs": ((("_owner", 1), ("created", 1)), (("_owner", 1), ("state", 1))),
    "data": ((("_owner", 1), ("created", 1), ("_id", 1)),),
}

#: Fields that few documents of a collection have: the others have no entry.
SPARSE: Mapping[str, str] = {"jobs": "_run.mail"}

#: Fields whose full index older homes still have: it would make every write slower.
OUTDATED: Mapping[str, tuple[str, ...]] = {
    "jobs": ("_run.file.key", "_run.mail"),
    "data": ("_value",),
    "datafiles": ("file",),
}

#: Fields of which no two documents of a collection have the same value.
UNIQUE: Mapping[str, str] = {"users": "email"}

#: Documents that the database cleans up: the field with their time, and the seconds they stay.
EXPIRY: Mapping[str, tuple[str, int]] = {
    "deleted": ("at", 3600),
    "outbox": ("at", 14 * 86400),
    "attempts": ("until", 60),
}
