"""Values on their way between Python, JSON and BSON.

``reading`` takes JSON from clients, ``writing`` gives it to them, ``results`` turns whatever a
script returned into what MongoDB stores, ``tables`` holds the shape of tables in there, and
``keys`` the spelling of keys.

``keeping`` writes what is too large for a document into a file, and ``showing`` gives results in
the form that a client asks for. A ``sheet`` is a table read by columns: ``live`` from pandas and
numpy, ``container`` from a file. ``rendering`` and ``jsontext`` write it.
"""

from __future__ import annotations

from jobserver.encoding.encoder import EncodedValue, Encoder
from jobserver.encoding.formats import File, describes_file, show_file, show_value
from jobserver.encoding.json_reader import is_deeper, read_object
from jobserver.encoding.json_writer import dumps, native, stringify
from jobserver.encoding.keys import escape_key, restore_keys, unescape_key
from jobserver.encoding.result_file import Kept, store_result
from jobserver.encoding.results import Encoded, decode_result, encode_result, encoded_size
from jobserver.encoding.tables import decode_table, is_table

__all__ = [
    "Encoded",
    "EncodedValue",
    "Encoder",
    "File",
    "Kept",
    "decode_result",
    "decode_table",
    "describes_file",
    "dumps",
    "encode_result",
    "encoded_size",
    "escape_key",
    "is_deeper",
    "is_table",
    "native",
    "read_object",
    "restore_keys",
    "show_file",
    "show_value",
    "store_result",
    "stringify",
    "unescape_key",
]
