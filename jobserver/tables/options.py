"""The options of reading a table: what they may be, and how refusals name them.

A job sets them in its ``data``; others are kept with a data file. Both use this one list.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails

from jobserver.encoding.zones import zone_of
from jobserver.errors import Problem
from jobserver.tables.datatypes import DATATYPES, check_datatype, pick_records
from jobserver.tables.errors import did_you_mean

#: Options of a table, as a job or a data file holds them: JSON.
Options = Mapping[str, Any]
#: Separators, the most likely first; the last stands for any white space.
SEPARATORS = ("\t", ";", "|", ",", " ")


def _check_encoding(name: str) -> str:
    try:
        "".encode(name)
    except LookupError as error:
        raise ValueError("unknown") from error
    if codecs.lookup(name).name in _NO_ENCODINGS:
        raise ValueError("not an encoding of files")
    return name


def _check_format(text: str) -> str:
    """Raise `ValueError` if a format is unknown, incomplete or contradictory."""
    codes = set(re.findall(r"%(.)", text, re.DOTALL))
    months, weeks, days = codes & {*"mbB"}, codes & {*"UW"}, codes & {*"waA"}
    if "Z" in codes:  # pandas takes any name as an offset that never changes
        raise ValueError('"zone" names the zone, and %z reads offsets, not %Z')
    if unknown := codes - _CODES:
        raise ValueError(f"unknown: {', '.join(f'%{code}' for code in sorted(unknown))}")
    if not codes & {"Y", "y"} or ("p" in codes) != ("I" in codes):
        raise ValueError("needs a year, and %p with %I")
    if "j" in codes and ("d" in codes or months):
        raise ValueError("names the day in two ways")
    if (weeks and not days) or ("d" in codes and not months):
        raise ValueError("needs the day of a week, such as %w, and the month of a day")
    if codes & {*"HIMS"} and not codes & {"d", "j"} and not weeks:
        raise ValueError("needs a day beside a time of day")
    try:
        datetime.strptime(datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC).strftime(text), text)
    except re.error as error:
        raise ValueError("a code is repeated") from error
    return text


def _check_zone(name: str) -> str:
    zone_of(name)
    return name


def _check_datatype(name: str) -> str:
    if name not in DATATYPES:
        raise ValueError("unknown")
    return name


#: What a format may hold, which datetime and pandas read alike.
_CODES = frozenset("YymbBdjUWwaAHIpMSfz%")
_Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
_Number = Annotated[int, Field(ge=0, lt=16_384)]
Column = _Name | _Number
_Datatype = Annotated[
    str,
    AfterValidator(_check_datatype),
    WithJsonSchema({"type": "string", "enum": [*DATATYPES]}),
]
_Columns = Annotated[list[Column], Field(min_length=1, max_length=8)]
#: Codecs of Python that are not encodings of text files.
_NO_ENCODINGS = ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf-7")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Times(_Model):
    """The columns that hold the times of a table, and how they are written."""

    columns: _Columns | Column = Field(
        description="a column, or the columns of date and time, or of year, month and day"
    )
    format: Annotated[_Name, AfterValidator(_check_format)] | None = Field(
        None,
        description='how times are written, such as "%d.%m.%Y %H:%M": %Y for the year, %m month, '
        "%d day, %H hour, %M minute, %S second",
    )
    zone: Annotated[_Name, AfterValidator(_check_zone)] | None = Field(
        None,
        description='the time zone they are in: a name such as "Europe/Berlin" or "UTC", or an '
        'offset such as "+01:00"',
    )


class TableOptions(_Model):
    """How to read data as a table. What is left out is inferred if it is certain."""

    datatype: _Datatype | None = Field(None, description=f"one of {', '.join(DATATYPES)}")
    separator: Literal["\t", ";", "|", ",", " "] | None = Field(
        None, description="a tab, ; | or , or a space for any white space"
    )
    decimal: Literal[".", ","] | None = Field(None, description='"." or ","')
    thousands: Literal[".", ",", " ", "'", "\u2019", "\u00a0", "\u202f"] | None = Field(
        None, description='"," "." "\'" or a space: what parts groups of three digits'
    )
    encoding: Annotated[_Name, AfterValidator(_check_encoding)] | None = Field(
        None, description="the name of an encoding, such as utf-8 or latin-1"
    )
    header: bool | None = Field(
        None, description="true or false: whether the first row names the columns"
    )
    skip: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        None, description="the number of lines above the header, or above the first row"
    )
    units: bool | None = Field(
        None, description="true or false: whether the row below the header holds units"
    )
    missing: list[_Name | int | float] | None = Field(
        None,
        max_length=100,
        description="a list of values that stand for a missing one, such as [-999]",
    )
    text: list[Column] | None = Field(
        None,
        max_length=1000,
        description="a list of columns, by name or number from 0, that are kept as text",
    )
    columns: list[Column] | None = Field(
        None, max_length=1000, description="a list of the columns to read, by name or number from 0"
    )
    times: Times | _Columns | Column | None = Field(
        None, description="a column, or an object of columns, format and zone"
    )
    sheet: Column | None = Field(
        None, description="the sheet of a workbook, by name or number from 0"
    )
    records: str | None = Field(
        None, description='the path of the list in JSON, such as "value.timeSeries.0.values"'
    )


OPTIONS = tuple(TableOptions.model_fields)
_TYPED = ("datatype", "missing", "text", "columns", "times")
_JSON = (*_TYPED, "decimal", "thousands", "header", "records")
#: Options that apply to files of an extension; any other file is delimited text, or has none.
_APPLICABLE: dict[str, tuple[str, ...]] = {
    ".json": (*_JSON, "encoding"),
    ".geojson": (*_TYPED, "decimal", "thousands", "encoding"),
    **dict.fromkeys(
        (".xls", ".xlsx"),
        (*_TYPED, "decimal", "thousands", "header", "skip", "units", "sheet"),
    ),
    **dict.fromkeys((".parquet", ".feather"), _TYPED),
    **dict.fromkeys((".nc", ".nc4", ".h5", ".hdf5"), (*_TYPED, "records")),
    ".npy": ("datatype",),
}
_TEXT = tuple(name for name in OPTIONS if name not in ("sheet", "records"))
#: What other libraries call some options.
_SYNONYMS = {
    **dict.fromkeys(("sep", "delimiter"), "separator"),
    **dict.fromkeys(("skiprows", "skip_rows"), "skip"),
    **dict.fromkeys(("na_values", "null_values"), "missing"),
    **dict.fromkeys(("parse_dates", "date", "time"), "times"),
    "usecols": "columns",
    "sheet_name": "sheet",
}
_ADAPTER = TypeAdapter(TableOptions)


def option_problems(
    options: Options, field: str = "", extension: str | None = None
) -> Iterator[Problem]:
    """Yield what is wrong with options, each in the field before its name.

    Parameters
    ----------
    field : str
        Where the options stand, such as ``data.``.
    extension : str, optional
        That of the file they are for, below its compression; ``""`` for JSON in a job or the
        database; None if it is unknown.
    """
    try:
        _ADAPTER.validate_python(dict(options))
    except ValidationError as error:
        known = OPTIONS if extension is None else applicable(extension)
        found = dict(_expected(each, known) for each in error.errors())
        for name, expected in found.items():
            if name != "times" or len(found) == 1:  # else a part of it says more
                yield Problem(f"{field}{name}", expected)
    thousands, decimal = options.get("thousands"), options.get("decimal")
    if thousands is not None and thousands == decimal:
        yield Problem(f"{field}thousands", "must be another mark than decimal")
    if extension is not None:
        for name, problem in inapplicable(options_of(options), extension):
            yield Problem(f"{field}{name}", problem)


def applicable(extension: str) -> tuple[str, ...]:
    """Return the options that apply to files of an extension; ``""`` stands for JSON in a job."""
    return _APPLICABLE.get(extension, _TEXT) if extension else _JSON


def inapplicable(options: Options, extension: str) -> Iterator[tuple[str, str]]:
    """Yield the options that do not apply to files of an extension, and why; see `OPTIONS`."""
    known = applicable(extension)
    data = f"{extension[1:]} files" if extension else "JSON"
    for name in OPTIONS:
        if options.get(name) is not None and name not in known:
            yield name, f"does not apply to {data}; these options do: {', '.join(known)}"


def extension_of(name: str) -> str | None:
    """Return the extension of a file below that of its compression; None if it is not known."""
    *_, inner, last = ["", "", *(suffix.lower() for suffix in PurePath(name).suffixes)]
    if last == ".zip":  # its member has an extension of its own
        return None
    return (inner if last in (".gz", ".bz2", ".xz") else last) or None


def _expected(error: ErrorDetails, known: tuple[str, ...]) -> tuple[str, str]:
    """Return the option that an error is about, and what it must be."""
    name, *inner = map(str, error["loc"])
    if name not in OPTIONS:
        meant = f"; did you mean {_SYNONYMS[name]}?" if name in _SYNONYMS else ""
        meant = meant or did_you_mean(name, OPTIONS)
        return name, f"is unknown; the options are: {', '.join(known)}{meant}"
    part = inner[1] if inner[:1] == ["Times"] and inner[1:] else None
    if part and error["type"] == "extra_forbidden":
        fields = ", ".join(Times.model_fields)
        return f"{name}.{part}", f"is unknown; an object of times has {fields}" + did_you_mean(
            part, Times.model_fields
        )
    if part in ("format", "zone"):
        reason = error.get("ctx", {}).get("error")
        why = f" ({reason})" if reason else ""
        wanted = Times.model_fields[part].description
        return f"{name}.{part}", f"must be {wanted}, not {str(error['input'])[:60]!r}{why}"
    return name, f"must be {TableOptions.model_fields[name].description}"


def options_of(fields: Options) -> dict[str, object]:
    """Return the options among the fields of a job's ``data``."""
    return {name: fields[name] for name in OPTIONS if fields.get(name) is not None}


def is_read_as_table(options: Options) -> bool:
    """Whether options ask for a table, even of data that is JSON by nature."""
    return not {"records", "header", "times", "columns", "text", "missing"}.isdisjoint(options)


def datatype_of(options: Options, natural: str) -> str:
    """Return the datatype that options ask for; ``natural`` if they do not."""
    asked = "dataframe" if is_read_as_table(options) else natural
    return str(options.get("datatype", asked))


def check_data(value: object, options: Options, natural: str) -> None:
    """Check that JSON can be read as its options say.

    Parameters
    ----------
    natural : str
        Its datatype if no option asks for another.

    Raises
    ------
    DatatypeMismatch
        If it cannot.
    """
    picked = pick_records(value, options.get("records"))
    check_datatype(picked, datatype_of(options, natural), has_times="times" in options)


def advise(*settings: str | Options) -> str:
    """Return the advice to set options, for a refusal.

    Parameters
    ----------
    *settings : str or mapping
        The options to choose from: names, or names and values that can be pasted.
    """
    return f'set {" or ".join(map(_shown, settings))} in "data"'


def _shown(setting: str | Options) -> str:
    if isinstance(setting, str):
        return f'"{setting}" ({_CHOICES[setting]})'
    shown = json.dumps(setting, ensure_ascii=False)[1:-1]
    return shown.replace("\u00a0", "\\u00a0").replace("\u202f", "\\u202f")  # look like a space


#: What options may be, where a refusal cannot name the right value.
_CHOICES = {
    "separator": '";", ",", "|", "\\t" or " "',
    "skip": "the number of lines above the header",
    "header": "true or false",
}
