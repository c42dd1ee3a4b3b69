"""Convert values between Python, BSON, JSON and text formats.

``json_reader`` reads what clients send, ``json_writer`` writes what they get. ``encoder``,
``scalars`` and ``tables`` turn a script's result into values that BSON can store, ``results``
stores these in the job's document or in a file, and ``formats`` shows them as a client asks for.

Tables are read by columns (``table_columns``): ``columns`` reads pandas and numpy, ``table_file`` a
file. ``text_tables`` writes them as csv, HTML and text.
"""

from __future__ import annotations

from jobserver.encoding.arrays import plain
from jobserver.encoding.encoder import EncodedValue, Encoder
from jobserver.encoding.formats import (
    BINARY_TABLES,
    File,
    check_format,
    describes_file,
    output_formats,
    show_file,
    show_value,
)
from jobserver.encoding.json_reader import is_deeper, read_object
from jobserver.encoding.json_writer import dumps, stringify
from jobserver.encoding.results import (
    decode_result,
    encode_result,
    encoded_size,
    store_result,
)
from jobserver.encoding.tables import decode_table, is_table
from jobserver.encoding.text import restore_keys

__all__ = [
    "BINARY_TABLES",
    "EncodedValue",
    "Encoder",
    "File",
    "check_format",
    "decode_result",
    "decode_table",
    "describes_file",
    "dumps",
    "encode_result",
    "encoded_size",
    "is_deeper",
    "is_table",
    "output_formats",
    "plain",
    "read_object",
    "restore_keys",
    "show_file",
    "show_value",
    "store_result",
    "stringify",
]
