"""Which index a search of jobs uses.

Every list is read in the order of an index, so nothing is ever sorted in memory: the planner of the
database would do that now and then, and fail where the jobs are large. So the index is named here.

A condition that asks for a field's value gives its matches in order of creation, as each index goes
on with ``created`` and ``_id``. A range of values does not: its keys are read first, if they are
few. All other conditions are checked along the index of the list itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobserver.database import Document
from jobserver.indexes import BY_CREATION, BY_ID, Index, index_of

#: Matches of a condition that are read by their keys. So many are counted to compare conditions.
FEW = 1000
_RANGES = ("$gt", "$gte", "$lt", "$lte", "$all")


@dataclass(frozen=True)
class Path:
    """A way to the matches of a query.

    Attributes
    ----------
    index : tuple
        Fields of the index to use.
    in_order : bool
        Whether it gives the matches in order of creation.
    condition : dict
        The part of the query that it narrows.
    """

    index: Index
    in_order: bool
    condition: Document


#: Looks at every job.
WHOLE_LIST = Path(BY_CREATION, True, {})


def paths(query: Mapping[str, Any], fields: tuple[str, ...]) -> list[Path]:
    """Ways to the matches of a query that need not look at every job.

    Parameters
    ----------
    query : mapping
        A safe query; see `jobserver.filters`.
    fields : tuple of str
        Fields that have an index, beside ``_id``.
    """
    conditions = list(_conditions(query))
    names = [name for name, _ in conditions]
    found = []
    for name, operand in conditions:
        narrowing = _narrowing(operand) if name == "_id" or name in fields else None
        if narrowing is not None and name == "_id":
            found.append(Path(BY_ID, False, {name: narrowing}))
        elif narrowing is not None:
            # The planner might prefer another condition on the same field, and sort.
            in_order = _asks_for_values(operand) and names.count(name) == 1
            found.append(Path(index_of(name), in_order, {name: narrowing}))
    return found


def _conditions(query: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Fields and operands that must all hold."""
    for name, operand in query.items():
        if name == "$and":
            for part in operand:
                yield from _conditions(part)
        elif not name.startswith("$"):
            yield name, operand


def _asks_for_values(operand: Any) -> bool:
    return not _has_operators(operand) or list(operand) in (["$eq"], ["$in"])


def _narrowing(operand: Any) -> Any:
    """What of an operand an index can narrow; None if there is nothing."""
    if not _has_operators(operand):
        return {"$eq": operand}
    for name in ("$eq", "$in"):
        if name in operand:
            return {name: operand[name]} if operand[name] != [] else None
    return {name: operand[name] for name in _RANGES if operand.get(name, []) != []} or None


def _has_operators(operand: Any) -> bool:
    return isinstance(operand, dict) and any(name.startswith("$") for name in operand)
