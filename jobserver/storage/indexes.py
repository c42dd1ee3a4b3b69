"""Which indexes there are; `jobserver.storage.database.Database.create_indexes` makes them."""

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
    """The index of a field of jobs; jobs of equal values are in order of creation.

    Where users log in, lists of one user's jobs are cut out of it without a look at the others'.
    """
    last = () if field == "_owner" else (("_owner", 1),)
    return ((field, 1), *BY_CREATION, *last)


# Each equality or two-sided range that the server asks for has its index here. Every update of a
# document writes all its entries anew on the embedded server, and costs a tenth more with each.
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
}

#: Those that only servers with login need: each index makes every write slower.
OWNED: Mapping[str, tuple[Index, ...]] = {
    "jobs": (index_of("_owner"), (("_owner", 1), ("state", 1))),
    "data": (index_of("_owner"),),
}

#: Fields that few documents of a collection have: the others have no entry.
SPARSE: Mapping[str, str] = {"jobs": "_run.mail"}

#: Indexes that older homes still have: they would make every write slower.
OUTDATED: Mapping[str, tuple[str, ...]] = {
    "jobs": (
        *("_run.file.key_1", "_run.mail_1"),
        *("created_1", "state_1_created_1", "_owner_1_created_1"),
    ),
    "data": ("_value_1",),
    "datafiles": ("file_1",),
}

#: Collections that older homes still have: lists were cut into windows by hand.
DROPPED = ("windows", "deleted")

#: Fields of which no two documents of a collection have the same value.
UNIQUE: Mapping[str, str] = {"users": "email"}

#: Documents that the database cleans up: the field with their time, and the seconds they stay.
EXPIRY: Mapping[str, tuple[str, int]] = {
    "outbox": ("at", 14 * 86400),
    "attempts": ("until", 60),
}


def check_search_fields(names: tuple[str, ...]) -> None:
    """Raise `SettingsError` unless ``SEARCH_FIELDS`` names fields that can have an index."""
    for name in names:
        top, *inner = name.split(".")
        numbered = any(part.isdigit() for part in inner)  # a place in a list, or a name: ambiguous
        if not is_field(name) or numbered or top in ("_id", "_owner", "_run", "created", "state"):
            raise SettingsError(
                f"SEARCH_FIELDS names {name!r}. Name fields of jobs, such as script_name or "
                "result.station; _id, created and state need no index of their own."
            )
    if len(set(names)) > _MOST_SEARCH_FIELDS:
        raise SettingsError(f"SEARCH_FIELDS may name {_MOST_SEARCH_FIELDS} fields at most.")
