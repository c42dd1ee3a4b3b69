"""Write a data file or a result in another format, in a process that runs nothing else.

The order names the ``path`` to read and the ``output`` to write, the ``format`` of that, the limits
``seconds`` and ``memory``, and either the ``options`` of a data file or the ``kind`` and
``file_format`` of a result, see `jobserver.encoding.File`. The reply's ``op`` is ``shown`` with the
``remarks`` of the reader, or ``refused`` or ``failed`` with a ``reason``, perhaps with ``advice``.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import resource
import socket
import traceback
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from jobserver.encoding import Encoder, File, dumps, restore_keys, show_file
from jobserver.encoding.table_columns import ColumnTable
from jobserver.encoding.text_tables import write_text
from jobserver.errors import Advised, UnsupportedType, plain
from jobserver.system.protocol import Message, send
from jobserver.tables.conversion import convert
from jobserver.tables.errors import sentence
from jobserver.tables.loading import REFUSALS, explain, read_file
from jobserver.tables.options import Options, datatype_of

if TYPE_CHECKING:
    import pandas as pd

_JSON = (".json", ".geojson")
_DAY = "%Y-%m-%d"
#: The name of an option that a message proposes.
_OPTION = re.compile(r'"\w+": ')
#: Where the messages of the reader say that options stand: in a job, of which there is none here.
_IN_A_JOB = ' in "data"'


def show(control: socket.socket, order: Message) -> None:
    """Carry out an order, and send the reply; none if it takes too much memory."""
    os.dup2(1, 2)  # what libraries print is nothing for the server's log
    if order["format"] == "parquet":
        with suppress(ImportError):  # the writer names what is missing
            import_module("pyarrow.parquet")  # its own memory does not count
    _limit(ceil(order["seconds"]), order["memory"])
    remarks = _Remarks()
    logging.getLogger("jobserver").addHandler(remarks)
    try:
        send(control, {**_reply(order), "remarks": remarks.texts})
    except MemoryError:  # as if the system had ended it
        return
    except Exception:  # the server logs it
        send(control, {"op": "failed", "reason": _sendable(traceback.format_exc())})


def _reply(order: Message) -> Message:
    path = Path(order["path"])
    try:
        with path.open("rb") as source, Path(order["output"]).open("wb") as output:
            if "options" in order:
                content = pieces(path, order["format"], order["options"])
            else:
                content = iter(show_file(_result(source, order), order["format"]))
            output.writelines(content)
    except UnsupportedType as error:
        reason = plain(error.message)
        advice = error.message[len(reason) :].strip()
        return {"op": "refused", "reason": _sendable(reason), "advice": _sendable(advice)}
    except FileNotFoundError:
        return {"op": "refused", "reason": "The file has been deleted meanwhile."}
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return {"op": "refused", "reason": "The server has no room for it in its temporary folder."}
    return {"op": "shown"}


class _Remarks(logging.Handler):
    """Collects what the reader warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        self.texts.append(_sendable(record.getMessage().replace(_IN_A_JOB, "")))


def _sendable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _limit(seconds: int, memory: int) -> None:
    """Limit the time of the processor, and the memory on top of what the process has."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    if memory:
        size = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        limit = size * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _result(source: BinaryIO, order: Message) -> File:
    """Return the result in a file."""
    fd = source.fileno()

    def read(start: int, size: int) -> bytes:
        return os.pread(fd, size, start)

    return File(order["kind"], order["file_format"], os.fstat(fd).st_size, read)


def pieces(path: Path, output_format: str, options: Options) -> Iterator[bytes]:
    """Yield a data file in a format; see `jobserver.execution.preview.Previews`.

    Raises
    ------
    UnsupportedType
        If it cannot be read.
    """
    is_json = path.suffix.lower() in _JSON
    natural = "json" if is_json and output_format == "json" else "dataframe"
    try:
        value = read_file(path, {**options, "datatype": datatype_of(options, natural)})
        if natural == "json" and datatype_of(options, natural) in ("json", "text"):
            yield dumps(value) + b"\n"
            return
        frame = _with_dates(convert(value, "dataframe"))
    except REFUSALS as error:
        raise UnsupportedType(_refusal(path, explain(error, path))) from error
    table = cast(ColumnTable, Encoder(largest=-1).encode(frame))
    yield from _rows(table) if output_format == "json" else write_text(table, output_format)


def _refusal(path: Path, reason: str) -> str:
    """Return why a file cannot be read, and how to set the options that the reason names."""
    text = f"The file {sentence(reason.replace(_IN_A_JOB, ''))}"
    if _IN_A_JOB not in reason:
        return text
    options = f"{{{', '.join(_proposed(reason)) or '...'}}}"
    return Advised(
        text,
        f"To try options, add &options={options} to the query; to keep them with the file, "
        f'POST {{"options": {options}}} as JSON to /datafile/{path.name}.',
    )


def _proposed(reason: str) -> list[str]:
    """Return the options that a reason proposes first, as JSON; none if it leaves a choice."""
    start = reason.find('set "')
    if start < 0:
        return []
    at, found = start + len("set "), []
    while pair := _OPTION.match(reason, at):
        try:
            _, at = json.JSONDecoder().raw_decode(reason, pair.end())
        except ValueError:  # a placeholder, or the meaning of the option
            break
        found.append(reason[pair.start() : at])
        if not reason.startswith(", ", at):
            break
        at += len(", ")
    return [] if reason.startswith(" or ", at) else found


def _with_dates(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose days, in columns and row labels, are shown without the time 00:00."""
    for n in range(frame.shape[1]):
        if _are_days(frame.iloc[:, n]):
            frame.isetitem(n, frame.iloc[:, n].dt.strftime(_DAY))
    if _are_days(frame.index.to_series()):
        frame = frame.set_axis(frame.index.strftime(_DAY), axis=0)
    return frame


def _are_days(column: pd.Series[object]) -> bool:
    if not str(column.dtype).startswith("datetime64") or column.dt.tz is not None:
        return False
    present = column.dropna()
    return bool(len(present)) and bool((present == present.dt.normalize()).all())


def _rows(table: ColumnTable) -> Iterator[bytes]:
    """Yield a list with an object for each row."""
    head = table.head
    names = ([head["names"]["index"] or ""] if head["index"] else []) + head["data"]
    separator = b"["
    for columns in table.slices():
        for row in zip(*columns, strict=True):
            yield separator + dumps(restore_keys(dict(zip(names, row, strict=True))))
            separator = b",\n"
    yield b"]" if separator != b"[" else b"[]"
