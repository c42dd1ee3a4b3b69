"""One walk through a result, giving each value the form in which it is stored."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import (
    Callable,
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    Set,
    ValuesView,
)
from enum import Enum
from io import BytesIO
from itertools import islice
from math import inf
from typing import Any

from jobserver.encoding.columns import Encode, objects
from jobserver.encoding.keys import escape_key, unique_keys
from jobserver.encoding.scalars import scalars
from jobserver.encoding.table_columns import ColumnTable
from jobserver.encoding.tables import array_sheet, frame_sheet, index_sheet, series_sheet
from jobserver.encoding.text import text_of
from jobserver.errors import JobserverError

#: Levels of dicts and lists in a result. MongoDB takes 100, and the job around it is one.
MAX_DEPTH = 96
#: How many warnings one result gives at most.
WARNINGS_TOLD = 20

#: As deep as a table goes by itself: its dtypes, of categories, that are intervals.
_TABLE_LEVELS = 6
_ATOMS = {type(None), bool, float}

_Handler = Callable[[Any], Any]
_SheetMaker = Callable[[Any, Encode], ColumnTable]


@dataclasses.dataclass(frozen=True)
class EncodedValue:
    """A value that was encoded before, as a part of a result.

    Attributes
    ----------
    value : Any
        As an `Encoder` made it.
    """

    value: Any


class Encoder:
    """Encodes one result and remembers where it is.

    Parameters
    ----------
    largest : float
        Tables of more cells become a `ColumnTable`, whose values are encoded when they are read.
    around : int
        Levels of dicts and lists that will be around it.

    Attributes
    ----------
    warnings : list of str
        What is not kept as it was, so far.
    """

    def __init__(self, largest: float = inf, around: int = 0) -> None:
        self.warnings: list[str] = []
        self._largest = largest
        self._warned: set[tuple[type, str]] = set()
        # of [container, key of what is being encoded]
        self._path: list[list[Any]] = [[None, None] for _ in range(around)]
        self._handlers: dict[type, _Handler] = {
            object: self._other,
            dict: self._mapping,
            list: self._list,
            tuple: self._tuple,
            set: self._set,
            frozenset: self._set,
            Enum: lambda member: self.encode(member.value),
            EncodedValue: lambda stored: stored.value,
            **scalars(),
            **self._imported(),
        }

    def _imported(self) -> dict[type, _Handler]:
        """How values of other libraries are encoded, where they are imported."""
        found: dict[type, _Handler] = {}
        if numpy := sys.modules.get("numpy"):
            found |= {numpy.ndarray: self._array, numpy.void: self._record}
        if pandas := sys.modules.get("pandas"):
            found |= {
                pandas.DataFrame: lambda frame: self._table(frame_sheet, frame),
                pandas.Series: lambda series: self._table(series_sheet, series),
                pandas.Index: lambda index: self._table(index_sheet, index),
                pandas.api.extensions.ExtensionArray: lambda a: self.encode(pandas.Series(a)),
            }
        if pydantic := sys.modules.get("pydantic"):
            found[pydantic.BaseModel] = lambda model: self._mapping(dict(model), model)
        if figure := sys.modules.get("matplotlib.figure"):
            found[figure.Figure] = _png
        return found

    def encode(self, value: Any) -> Any:
        """One value, whatever it is."""
        kind = type(value)
        if kind in _ATOMS:
            return value
        depth = len(self._path)
        try:
            return self._handler(kind)(value)
        except (JobserverError, MemoryError):
            raise
        except Exception as error:  # of the code behind a foreign object
            del self._path[depth:]
            self._warn(value, f"could not be read ({type(error).__name__}) and is kept as text")
            return text_of(value)

    def _handler(self, kind: type) -> _Handler:
        if kind not in self._handlers:
            known = (base for base in kind.__mro__ if base in self._handlers)
            self._handlers[kind] = self._handlers[next(known)]
        return self._handlers[kind]

    def _list(self, value: list[Any] | tuple[Any, ...]) -> list[Any]:
        if self._is_simple(value):
            return list(value)
        return self._items(value, enumerate(value))

    @staticmethod
    def _is_simple(items: Sequence[Any]) -> bool:
        """Whether a list can be taken over as it is: long ones of numbers and words are common."""
        kinds = set(map(type, items))
        if kinds == {int}:
            return bool(min(items) >= -(2**63) and max(items) < 2**63)
        return kinds <= _ATOMS or (kinds == {str} and all(map(str.isascii, items)))

    def _items(self, owner: Any, items: Any) -> list[Any]:
        self._enter(owner)
        encoded = []
        for key, item in items:
            self._path[-1][1] = key
            encoded.append(self.encode(item))
        self._path.pop()
        return encoded

    def _mapping(self, value: Mapping[Any, Any], owner: Any = None) -> dict[str, Any]:
        items = list(islice(value.items(), len(value)))
        keys = [escape_key(key) for key in unique_keys(key for key, _ in items)]
        return dict(zip(keys, self._items(value if owner is None else owner, items), strict=True))

    def _tuple(self, value: tuple[Any, ...]) -> Any:
        names = getattr(value, "_fields", None)
        if names:
            return self._mapping(dict(zip(names, value, strict=True)), value)
        return self._list(value)

    def _set(self, value: Set[Any]) -> list[Any]:
        try:
            ordered = sorted(value)
        except Exception:  # of things that have no order among each other
            ordered = sorted(value, key=text_of)
        return self._list(ordered)

    def _array(self, array: Any) -> Any:
        import numpy as np

        if array.dtype.names:
            return self._record(array)
        if isinstance(array, np.ma.MaskedArray):
            cells = zip(array.data.flat, np.ma.getmaskarray(array).flat, strict=True)
            items = [None if masked else item for item, masked in cells]
            array = objects(items).reshape(array.shape)
        if array.ndim == 0:
            return self.encode(array[()])
        return self._table(array_sheet, np.asarray(array), levels=1 + array.ndim)

    def _record(self, value: Any) -> Any:
        names = value.dtype.names
        return self._mapping({name: value[name] for name in names}) if names else value.tobytes()

    def _table(self, make: _SheetMaker, table: Any, levels: int = _TABLE_LEVELS) -> Any:
        self._enter(table, levels)
        sheet = make(table, self._list)
        encoded = sheet if table.size > self._largest else sheet.stored()
        del self._path[-levels:]
        return encoded

    def _other(self, value: Any) -> Any:
        """What has no handler of its own, by what it can do."""
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return self._mapping({name: getattr(value, name) for name in names}, value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, Iterator):
            self._warn(value, "can be read only once, perhaps without end, and is kept as text")
        elif isinstance(value, Sequence | KeysView | ItemsView | ValuesView):
            return self._list(list(islice(value, len(value))))
        elif isinstance(value, Set):
            return self._set(value)
        elif "numpy" in sys.modules and hasattr(type(value), "__array__"):
            self._warn(value, "is kept as the array of its values")
            return self._array(sys.modules["numpy"].asarray(value))
        else:
            self._warn(value, "has no form of its own and is kept as text")
        return text_of(value)

    def _enter(self, owner: Any, levels: int = 1) -> None:
        if len(self._path) + levels > MAX_DEPTH:
            around = [id(container) for container, _ in self._path if container is not None]
            cyclic = len(set(around)) < len(around)
            raise JobserverError(_CYCLIC if cyclic else _TOO_DEEP)
        self._path += [[owner, None], *([None, None] for _ in range(1, levels))]

    def _warn(self, value: Any, what: str) -> None:
        """Tell once for each type what is not kept as it was."""
        kind = type(value)
        if (kind, what) in self._warned or len(self.warnings) == WARNINGS_TOLD:
            return
        self._warned.add((kind, what))
        where = "".join(f"[{text_of(key):.60}]" for _, key in self._path if key is not None)
        self.warnings.append(f"result{where}: {kind.__qualname__} {what}; {_DO}")


_DO = "return numbers, text, lists, dicts, tables, figures or bytes to keep what is in it."
_CYCLIC = "The result contains itself; return a copy without the circle."
_TOO_DEEP = (
    f"The result is nested deeper than the {MAX_DEPTH} levels that can be stored; "
    "return it flatter, or as text."
)


def _png(figure: Any) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
