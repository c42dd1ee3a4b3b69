"""What clients may send, as hypothesis strategies, and how much of it is tried."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import strategies as st

from jobserver.jobs.job import FLAGS, READ_FIELDS, SERVER_FIELDS

Json = Any
#: How many times more examples than in the gate; `make fuzz` sets it.
FUZZ = int(os.environ.get("FUZZ", "1"))

#: hypothesis draws names from the source, too: these mean something to the server.
NAMED_FIELDS = SERVER_FIELDS | READ_FIELDS | {*FLAGS, "args", "kwargs"}

int64 = st.integers(-(2**63), 2**63 - 1)
numbers = int64 | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text()

# Lone surrogates, NUL, operators, integers of any size: whatever a JSON parser lets through.
wild_text = st.text(st.characters(), max_size=30)
wild_names = wild_text | st.builds("${}".format, wild_text) | st.just("")
wild_scalars = st.none() | st.booleans() | st.integers() | st.floats() | wild_text

names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30
).filter(lambda name: not name.startswith("$"))
free_fields = names.filter(
    lambda name: "." not in name and not name.startswith("_") and name not in NAMED_FIELDS
)


def nested(
    leaves: st.SearchStrategy[Json], keys: st.SearchStrategy[str], max_leaves: int = 20
) -> st.SearchStrategy[Json]:
    """Leaves, and lists and objects of them inside each other."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
        max_leaves=max_leaves,
    )


def json_values() -> st.SearchStrategy[Json]:
    """Any JSON value that a job may hold."""
    return nested(scalars, names)


def documents() -> st.SearchStrategy[dict[str, Json]]:
    """Any object of fields that mean nothing to the server and come back as sent."""
    return st.dictionaries(free_fields, json_values(), max_size=5)


def wild_json() -> st.SearchStrategy[Json]:
    """Anything that ``json.loads`` can return, refused or not."""
    return nested(wild_scalars, wild_names)


def fuzzed(count: int) -> int:
    """How many examples to try, where the gate tries so many."""
    return count * FUZZ
