"""Run what a script returned to its end: coroutines, generators and other iterators."""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator

from jobserver.errors import TooLarge
from jobserver.sizes import exact_size

#: Bytes of an item in its list.
_POINTER = 8


def collect(value: object, limit: int) -> object:
    """Return a script's result, with a coroutine awaited and the items of an iterator as a list.

    Only the result itself is collected, not iterators inside it.

    Parameters
    ----------
    limit : int
        Bytes of memory that the items may take.

    Raises
    ------
    TooLarge
        If the items take more.
    """
    if inspect.iscoroutine(value) or isinstance(value, AsyncIterator):
        import asyncio

        value = asyncio.run(_awaited(value, limit))
    if not isinstance(value, Iterator) or isinstance(value, io.IOBase):
        return value
    items = _Items(limit)
    for item in value:
        items.add(item)
    return items.items


async def _awaited(
    value: Coroutine[object, object, object] | AsyncIterator[object], limit: int
) -> object:
    found: object = value
    while inspect.isawaitable(found):  # one may return another
        found = await found
    if not isinstance(found, AsyncIterator):
        return found
    items = _Items(limit)
    async for item in found:
        items.add(item)
    return items.items


class _Items:
    """Items collected so far, in limited memory."""

    def __init__(self, limit: int) -> None:
        self.items: list[object] = []
        self._limit = limit
        self._size = 0

    def add(self, item: object) -> None:
        """Add an item; `TooLarge` if there is no room for it."""
        self._size += _POINTER + memory_of(item)
        if self._size > self._limit:
            raise TooLarge(
                f"the script yielded more than {exact_size(self._limit)} in {len(self.items) + 1} "
                "items; yield fewer or smaller items"
            )
        self.items.append(item)


def memory_of(value: object) -> int:
    """Return about how many bytes of memory a value takes, with all that it contains."""
    size, seen, remaining = 0, set(), [value]
    while remaining:
        item: object = remaining.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        data = getattr(item, "nbytes", 0)  # of arrays, which may share their memory
        size += max(sys.getsizeof(item), data if isinstance(data, int) else 0)
        if isinstance(item, dict):
            remaining += [*item, *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            remaining += item
    return size
