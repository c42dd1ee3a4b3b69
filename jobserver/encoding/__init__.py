"""Values on their way between Python, JSON and BSON.

``reading`` takes JSON from clients, ``writing`` gives it to them, ``results`` turns whatever a
script returned into what MongoDB stores, ``tables`` holds the shape of tables in there, and
``keys`` the spelling of keys.
"""

from __future__ import annotations

from jobserver.encoding.keys import escape_key, restore_keys, unescape_key
from jobserver.encoding.reading import read_object
from jobserver.encoding.results import Encoded, encode_result, encoded_size
from jobserver.encoding.tables import decode_table, is_table
from jobserver.encoding.writing import dumps, native, stringify

__all__ = [
    "Encoded",
    "decode_table",
    "dumps",
    "encode_result",
    "encoded_size",
    "escape_key",
    "is_table",
    "native",
    "read_object",
    "restore_keys",
    "stringify",
    "unescape_key",
]
