"""The indexes that `jobserver.storage.database.Database.create_indexes` creates."""

from __future__ import annotations

from collections.abc import Mapping

from jobserver.errors import SettingsError
from jobserver.storage.filters import is_field

#: Fields of an index, each with 1 for ascending.
Index = tuple[tuple[str, int], ...]

BY_ID: Index = (("_id", 1),)
#: The order of every list.
BY_CREATION: Index = (("created", 1), ("_id", 1))
_MOST_SEARCH_FIELDS = 32


def index_of(field: str) -> Index:
    """Return the index of a field of jobs, which sorts equal values by creation.

    With login, it lists one user's jobs without reading those of others.
    """
    last = () if field == "_owner" else (("_owner", 1),)
    return ((field, 1), *BY_CREATION, *last)


# Each equality or two-sided range that the server queries has an index here. An update rewrites all
# entries of a document on the embedded server, and takes a tenth longer with each index.
INDEXES: Mapping[str, tuple[Index, ...]] = {
    "jobs": (
        BY_CREATION,
        index_of("state"),
        (("_run.change", 1),),
    ),
    "tokens": ((("user", 1),),),
    "jobs.marks": ((("since", 1),),),
    "data.marks": ((("since", 1),),),
    "datafiles.marks": ((("since", 1),),),
    "jobs.content.chunks": ((("files_id", 1), ("n", 1)),),
    "data": (BY_CREATION,),
    "data.content.chunks": ((("files_id", 1), ("n", 1)),),
    "datafiles": ((("owner", 1), ("_id", 1)),),
    "outbox": ((("due", 1),),),
    "datafiles.content.chunks": ((("files_id", 1), ("n", 1)),),
    "script_archives": ((("used", 1),),),
    "script_archives.marks": ((("since", 1),),),
    "script_archives.content.chunks": ((("files_id", 1), ("n", 1)),),
}

#: Indexes that only servers with login need: each one slows down every write.
OWNED: Mapping[str, tuple[Index, ...]] = {
    "jobs": (index_of("_owner"), (("_owner", 1), ("state", 1))),
    "data": (index_of("_owner"),),
}

#: Fields that few documents of a collection have; the others get no entry.
SPARSE: Mapping[str, str] = {"jobs": "_run.mail"}

#: Indexes of older homes, which would slow down every write.
OUTDATED: Mapping[str, tuple[str, ...]] = {
    "jobs": (
        *("_run.file.key_1", "_run.mail_1"),
        *("created_1", "state_1_created_1", "_owner_1_created_1"),
    ),
    "data": ("_value_1",),
    "datafiles": ("file_1",),
}

#: Collections of older homes that are not used anymore.
DROPPED = ("windows", "deleted")

#: Fields with unique values within a collection.
UNIQUE: Mapping[str, str] = {"users": "email"}

#: Collections that the database cleans up: the field with the time, and the seconds to keep.
EXPIRY: Mapping[str, tuple[str, int]] = {
    "outbox": ("at", 14 * 86400),
    "attempts": ("until", 60),
    "workers": ("seen", 3600),
}


def check_search_fields(names: tuple[str, ...]) -> None:
    """Raise `SettingsError` if ``SEARCH_FIELDS`` names a field that cannot have an index."""
    for name in names:
        top, *inner = name.split(".")
        numbered = any(part.isdigit() for part in inner)  # an index or a name: ambiguous
        if not is_field(name) or numbered or top in ("_id", "_owner", "_run", "created", "state"):
            raise SettingsError(
                f"SEARCH_FIELDS names {name!r}. Name fields of jobs, such as script_name or "
                "result.station; _id, created and state have an index already."
            )
    if len(set(names)) > _MOST_SEARCH_FIELDS:
        raise SettingsError(f"SEARCH_FIELDS may name at most {_MOST_SEARCH_FIELDS} fields.")
