"""Write a data file in another format: ``python -m jobserver.child.show``, started by a server.

Its arguments are the file's path, the output format, and the bytes of memory it may take; the
options come as JSON on standard input. It ends with `NOT_SHOWN` and the reason on standard error if
the file cannot be read.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jobserver.encoding import Encoder, dumps, restore_keys
from jobserver.encoding.table_columns import ColumnTable
from jobserver.encoding.text_tables import write_text
from jobserver.errors import UnsupportedType
from jobserver.system.process_tree import NOT_SHOWN, OUT_OF_MEMORY
from jobserver.tables.conversion import convert
from jobserver.tables.loading import REFUSALS, explain, read_file
from jobserver.tables.options import Options, datatype_of

if TYPE_CHECKING:
    import pandas as pd

#: Seconds of processor time.
_SECONDS = 30
_JSON = (".json", ".geojson")


def main() -> None:
    """Write the file named on the command line to standard output."""
    path, output_format, memory = sys.argv[1:]
    options = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    import pandas as pd  # noqa: F401 - its memory does not count

    if int(memory):
        size = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        limit = size * resource.getpagesize() + int(memory)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        for piece in pieces(Path(path), output_format, options):
            sys.stdout.buffer.write(piece)
    except (*REFUSALS, UnsupportedType) as error:
        reason = f"The file {explain(error)}" if isinstance(error, REFUSALS) else str(error)
        sys.stderr.write(reason)
        sys.exit(NOT_SHOWN)
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)


def pieces(path: Path, output_format: str, options: Options) -> Iterator[bytes]:
    """Yield a data file in a format; see `jobserver.execution.preview.show`."""
    is_json = path.suffix.lower() in _JSON
    natural = "json" if is_json and output_format == "json" else "dataframe"
    value = read_file(path, {**options, "datatype": datatype_of(options, natural)})
    if natural == "json" and datatype_of(options, natural) in ("json", "text"):
        yield dumps(value) + b"\n"
        return
    frame = _with_dates(convert(value, "dataframe"))
    table = cast(ColumnTable, Encoder(largest=-1).encode(frame))
    yield from _rows(table) if output_format == "json" else write_text(table, output_format)


def _with_dates(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose days are shown as such: without the time 00:00."""
    for n, dtype in enumerate(frame.dtypes):
        if str(dtype).startswith("datetime64") and frame.iloc[:, n].notna().any():
            days = frame.iloc[:, n]
            if days.dt.tz is None and (days.dropna() == days.dropna().dt.normalize()).all():
                frame.isetitem(n, days.dt.strftime("%Y-%m-%d"))
    return frame


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


if __name__ == "__main__":
    main()
