"""Scripts that return what is still to be run; a copy lies in the home of their tests' server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from jobserver import current_job


def squares(count: int) -> Iterator[int]:
    """Yield squares, which need the run's context."""
    for number in range(count):
        assert current_job.id
        yield number**2


def endless(size: int = 0) -> Iterator[str]:
    """Yield text for ever."""
    while True:
        yield "x" * size


def slowly_endless() -> Iterator[int]:
    """Yield a number now and then, for ever."""
    import time

    while True:
        yield 1
        time.sleep(0.05)


def breaking(after: int) -> Iterator[int]:
    """Yield some numbers, then raise."""
    yield from range(after)
    raise ValueError("no more numbers")


async def fetched(x: int) -> dict[str, int]:
    """Wait for something."""
    first, second = await asyncio.gather(_later(x), _later(x + 1))
    return {"sum": first + second, "job": len(current_job.id or "")}


async def streamed(count: int) -> AsyncIterator[int]:
    """Yield numbers that arrive later."""
    for number in range(count):
        yield await _later(number)


async def returns_stream(count: int) -> Any:
    """Return an iterator that belongs to the event loop."""
    return streamed(count)


async def returns_coroutine(count: int) -> Any:
    """Return what is still to be awaited."""
    return asyncio.gather(_later(count), _later(count + 1))


def returns_error(again: int = 0) -> Exception:
    """Return an exception that names a file, instead of raising it."""
    return FileNotFoundError(2, "No such file", __file__)


async def failing() -> None:
    """Raise after a while."""
    await asyncio.sleep(0)
    raise LookupError("nothing there")


def total(data: list[int]) -> int:
    """Add numbers."""
    return sum(data)


async def _later(number: int) -> int:
    await asyncio.sleep(0.001)
    return number
