"""Handing bound data to a program: as the path of a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from jobserver.encoding import encode_result, show_value
from jobserver.errors import WrongType
from jobserver.models.reading import load


@contextmanager
def as_file(source: Mapping[str, Any] | None) -> Iterator[Path | None]:
    """Data as a file in a folder of its own, for a while; None where none is bound.

    A data file keeps its name and is what it is. Anything else is written: tables as csv, text as
    it is, bytes as they are, and everything else as JSON.

    Parameters
    ----------
    source : mapping or None
        As `jobserver.models.reading.load` takes it.
    """
    if source is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="data-", ignore_cleanup_errors=True) as folder:
        value = load(source, as_path=True)
        if isinstance(value, Path):
            path = Path(folder, value.name)  # a link: where data lies is not told to programs
            path.symlink_to(value)
        else:
            extension, pieces = _written(value)
            path = Path(folder, f"data.{extension}")
            with path.open("wb") as file:
                file.writelines(pieces)
        yield path


def _written(value: Any) -> tuple[str, Iterable[bytes]]:
    """The extension that tells what a file holds, and its content."""
    encoded = encode_result(value)
    if encoded.kind in ("png", "bytes"):
        return ("png" if encoded.kind == "png" else "bin"), [encoded.value]
    if encoded.kind == "text":
        return "txt", show_value(encoded.value, "txt")
    if encoded.kind != "json":
        try:
            pieces = iter(show_value(encoded.value, "csv"))
            return "csv", chain(list(islice(pieces, 1)), pieces)  # a refusal shows at once
        except WrongType:  # an array of more dimensions than a table has
            return "json", show_value(encoded.value, "json")
    return "json", show_value(encoded.value, "json")
