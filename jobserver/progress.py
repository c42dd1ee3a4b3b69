"""How far a long command is, shown on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def shown_progress() -> Iterator[Callable[[str, int], None]]:
    """Show a line for each kind of thing with the number of them that are done.

    Yields
    ------
    callable
        Takes the kind and how many more are done.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn

    columns = SpinnerColumn(), TextColumn("{task.completed:,.0f} {task.description}")
    with Progress(*columns, console=Console(stderr=True)) as progress:
        lines: dict[str, TaskID] = {}

        def advance(kind: str, number: int) -> None:
            if kind not in lines:
                lines[kind] = progress.add_task(kind, total=None)
            progress.advance(lines[kind], number)

        yield advance
