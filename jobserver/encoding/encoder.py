"""Encode a result, value by value, as it is stored."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    Set,
    ValuesView,
)
from enum import Enum
from functools import partial
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any

from jobserver.encoding.columns import Values, objects
from jobserver.encoding.libraries import Converter, converters, figures_of
from jobserver.encoding.scalars import scalars
from jobserver.encoding.table_columns import ColumnTable, Encode, Items
from jobserver.encoding.tables import from_array, from_frame, from_index, from_series
from jobserver.encoding.text import escape_key, text_of, unique_keys
from jobserver.errors import JobserverError

if TYPE_CHECKING:
    import numpy as np

#: Levels of dicts and lists in a result. MongoDB allows 100, including those of the job.
MAX_DEPTH = 96
#: Warnings of one result.
MOST_WARNINGS = 20

#: Depth of a stored table: the dtype of categories that are intervals.
_TABLE_LEVELS = 6
_ATOMS = {type(None), bool, float}

_Handler = Callable[[Any], object]
_TableReader = Callable[[Any, Encode], ColumnTable]


@dataclasses.dataclass(frozen=True)
class EncodedValue:
    """A part of a result that is encoded already.

    Attributes
    ----------
    value : object
        The encoded value.
    """

    value: object


class Encoder:
    """Encodes one result.

    Parameters
    ----------
    largest : float
        Tables with more cells become a `ColumnTable`, whose values are encoded on access.
    around : int
        Levels of dicts and lists around the result in its document.
    text : callable
        Returns the text of an object that has no other form.

    Attributes
    ----------
    warnings : list of str
        What could not be kept unchanged so far.
    """

    def __init__(
        self, largest: float = inf, around: int = 0, text: Callable[[object], str] = text_of
    ) -> None:
        self.warnings: list[str] = []
        self._largest = largest
        self._text = text
        self._warned: set[tuple[type, str]] = set()
        # of [container, key of the value being encoded]
        self._path: list[list[Any]] = [[None, None] for _ in range(around)]
        self._handlers: dict[type, _Handler] = {
            object: self._other_object,
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
        """Return the handlers for types of imported libraries."""
        found: dict[type, _Handler] = {}
        if numpy := sys.modules.get("numpy"):
            found |= {numpy.ndarray: self._array, numpy.void: self._record}
        if pandas := sys.modules.get("pandas"):
            found |= {
                pandas.DataFrame: lambda frame: self._table(from_frame, frame),
                pandas.Series: lambda series: self._table(from_series, series),
                pandas.Index: lambda index: self._table(from_index, index),
                pandas.api.extensions.ExtensionArray: lambda a: self.encode(pandas.Series(a)),
            }
        if pydantic := sys.modules.get("pydantic"):
            found[pydantic.BaseModel] = lambda model: self._mapping(dict(model), model)
        for kind, convert in converters().items():
            found[kind] = partial(self._converted, convert)
        return found

    def _converted(self, convert: Converter, value: object) -> object:
        return self.encode(convert(value, self._warn))

    def encode(self, value: object) -> object:
        """Encode any value."""
        kind = type(value)
        if kind in _ATOMS:
            return value
        depth = len(self._path)
        try:
            return self._handler(kind)(value)
        except (JobserverError, MemoryError):
            raise
        except Exception as error:  # foreign objects may raise anything
            del self._path[depth:]
            self._warn(value, f"could not be read ({type(error).__name__}) and is kept as text")
            return self._text(value)

    def _handler(self, kind: type) -> _Handler:
        if kind not in self._handlers:
            known = (base for base in kind.__mro__ if base in self._handlers)
            self._handlers[kind] = self._handlers[next(known)]
        return self._handlers[kind]

    def _list(self, value: list[object] | tuple[object, ...]) -> list[object]:
        if self._is_simple(value):
            return list(value)
        return self._items(value, enumerate(value))

    @staticmethod
    def _is_simple(items: Items | tuple[object, ...]) -> bool:
        """Whether a list is stored unchanged; long ones of numbers or words are common."""
        kinds = set(map(type, items))
        if kinds == {int}:
            return bool(min(items) >= -(2**63) and max(items) < 2**63)
        return kinds <= _ATOMS or (kinds == {str} and all(map(str.isascii, items)))

    def _items(self, owner: object, items: Iterable[tuple[object, object]]) -> list[object]:
        self._enter(owner)
        encoded = []
        for key, item in items:
            self._path[-1][1] = key
            encoded.append(self.encode(item))
        self._path.pop()
        return encoded

    def _mapping(self, value: Mapping[object, object], owner: object = None) -> dict[str, object]:
        items = list(islice(value.items(), len(value)))
        keys = [escape_key(key) for key in unique_keys(key for key, _ in items)]
        return dict(zip(keys, self._items(value if owner is None else owner, items), strict=True))

    def _tuple(self, value: tuple[object, ...]) -> object:
        names = getattr(value, "_fields", None)
        if names:
            return self._mapping(dict(zip(names, value, strict=True)), value)
        return self._list(value)

    def _set(self, value: Set[Any]) -> list[object]:
        try:
            ordered = sorted(value)
        except Exception:  # items that cannot be ordered
            ordered = sorted(value, key=text_of)
        return self._list(ordered)

    def _array(self, array: np.ndarray) -> object:
        import numpy as np

        if array.dtype.names:
            return self._record(array)
        if array.dtype == object and (figures := figures_of(array.flat)):
            return self.encode(figures[0] if len(figures) == 1 else figures)
        if isinstance(array, np.ma.MaskedArray):
            cells = zip(array.data.flat, np.ma.getmaskarray(array).flat, strict=True)
            items = [None if masked else item for item, masked in cells]
            array = objects(items).reshape(array.shape)
        if array.ndim == 0:
            return self.encode(array[()])
        return self._table(from_array, np.asarray(array), levels=1 + array.ndim)

    def _record(self, value: np.void | np.ndarray) -> object:
        names = value.dtype.names
        return self._mapping({name: value[name] for name in names}) if names else value.tobytes()

    def _table(self, read: _TableReader, value: Values, levels: int = _TABLE_LEVELS) -> object:
        self._enter(value, levels)
        table = read(value, self._list)
        encoded = table if value.size > self._largest else table.stored()
        del self._path[-levels:]
        return encoded

    def _other_object(self, value: object) -> object:
        """Encode an object without a handler by its protocols."""
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return self._mapping({name: getattr(value, name) for name in names}, value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, Iterator):
            self._warn(value, "can be read only once, maybe endlessly, and is kept as text")
        elif isinstance(value, Sequence | KeysView | ItemsView | ValuesView):
            return self._list(list(islice(value, len(value))))
        elif isinstance(value, Set):
            return self._set(value)
        elif "numpy" in sys.modules and hasattr(type(value), "__array__"):
            self._warn(value, "is kept as the array of its values")
            return self._array(sys.modules["numpy"].asarray(value))
        else:
            self._warn(value, "cannot be stored as such and is kept as text")
        return self._text(value)

    def _enter(self, owner: object, levels: int = 1) -> None:
        if len(self._path) + levels > MAX_DEPTH:
            around = [id(container) for container, _ in self._path if container is not None]
            cyclic = len(set(around)) < len(around)
            raise JobserverError(_CYCLIC if cyclic else _TOO_DEEP)
        self._path += [[owner, None], *([None, None] for _ in range(1, levels))]

    def _warn(self, value: object, text: str) -> None:
        """Warn, once for each type, that a value is not kept unchanged."""
        kind = type(value)
        if (kind, text) in self._warned or len(self.warnings) == MOST_WARNINGS:
            return
        self._warned.add((kind, text))
        path = "".join(f"[{text_of(key):.60}]" for _, key in self._path if key is not None)
        self.warnings.append(f"result{path}: {kind.__qualname__} {text}; {_ADVICE}")


_ADVICE = "return numbers, text, lists, dicts, tables, figures or bytes to keep its content."
_CYCLIC = "The result contains itself; return a copy without the cycle."
_TOO_DEEP = (
    f"The result is nested deeper than the {MAX_DEPTH} levels that can be stored; "
    "return it flatter, or as text."
)
