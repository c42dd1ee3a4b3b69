"""Words of messages about foreign values: in our terms, short, printable, without paths."""

from __future__ import annotations

import json
import re
import reprlib
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from jobserver.errors import Problem, similar_names

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
#: An absolute path, but not the `/` in `km/h`, `https://` or `./file`.
_PATH = re.compile(r"""(?<![\w:/.])(?:/[^\s/'"<>:,;()]+)+/?|\b[A-Za-z]:\\[^\s'"<>,;()]+""")
#: A number with a comma as its decimal mark.
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d{0,20},\d{1,20}\s*", re.ASCII)
#: The folder that the package lies in.
_OWN_FOLDER = Path(__file__).parents[2]
_FLAG, _WHOLE, _NUMBER, _TEXT = "true or false", "a whole number", "a number", "text"
_DATE, _TIME = "a date such as 2018-09-05", "a time such as 2018-09-05T17:24:22Z"
_CLOCK, _SPAN = "a time of day such as 17:24:22", "a duration such as PT1H30M, or seconds"
_LIST, _OBJECT = "a list", "an object"

#: What a value must be, by the type of pydantic's error; braces stand for its context.
_MUST_BE = {
    "bool_type": _FLAG,
    "bool_parsing": _FLAG,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "a whole number of fewer digits",
    "number": _NUMBER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "complex_type": _NUMBER,
    "complex_str_parsing": _NUMBER,
    "finite_number": "a finite number",
    "string_type": _TEXT,
    "string_sub_type": _TEXT,
    "bytes_type": _TEXT,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "iterable_type": _LIST,
    "sequence_str": _LIST,
    "dict_type": _OBJECT,
    "mapping_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dataclass_type": _OBJECT,
    "dataclass_exact_type": _OBJECT,
    "none_required": "null",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "time_type": _CLOCK,
    "time_parsing": _CLOCK,
    "time_delta_type": _SPAN,
    "time_delta_parsing": _SPAN,
    "uuid_type": "a UUID",
    "uuid_parsing": "a UUID",
    "url_type": "a URL",
    "url_parsing": "a URL",
    "is_instance_of": "a {class}",
}
#: Other problems, in full.
_OTHERS = {
    "missing": "is missing",
    "missing_argument": "is missing",
    "extra_forbidden": "is unknown",
    "unexpected_keyword_argument": "is unknown",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "too_short": "must have at least {min_length} items, not {actual_length}",
    "too_long": "must have at most {max_length} items, not {actual_length}",
    "value_error": "{error}",
    "assertion_error": "{error}",
}
_KINDS: dict[type, str] = {list: _LIST, dict: _OBJECT}
#: Problems reported for one value.
_MOST_PROBLEMS = 20
#: Characters of a key in the name of a field.
_LONGEST_STEP = 60


def problems_of(
    error: ValidationError, value: object, field: str = "", known: Sequence[str] = ()
) -> list[Problem]:
    """Return one problem for each field, joining those of a union's members.

    Parameters
    ----------
    value : object
        What pydantic refused.
    field : str
        Its field; none for a whole body or query string.
    known : sequence of str
        Names to suggest for unknown ones.
    """
    details = error.errors(include_url=False)
    by_field: dict[str, list[ErrorDetails]] = {}
    for detail in details[:_MOST_PROBLEMS]:
        by_field.setdefault(_field(detail, field, value), []).append(detail)
    problems = [
        Problem(name, _problem(found) + _hint(name, found[0], known))
        for name, found in by_field.items()
    ]
    if len(details) > _MOST_PROBLEMS:
        problems.append(Problem(field, f"has {len(details) - _MOST_PROBLEMS} more problems"))
    return problems


def _field(detail: ErrorDetails, field: str, value: object) -> str:
    """Return the field of a detail, without pydantic's steps that name members of unions."""
    steps = detail["loc"]
    for step in steps:
        if isinstance(value, dict) and step in value:
            field, value = _inside(field, step), value[step]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            field, value = f"{field}[{step}]", value[step]
    return _inside(field, steps[-1]) if detail["type"] == "missing" else field


def _hint(name: str, detail: ErrorDetails, known: Sequence[str]) -> str:
    """Return the known name that an unknown one may stand for."""
    close = similar_names(name, known) if detail["type"] == "extra_forbidden" else ""
    return f": did you mean {close}?" if close else ""


def _inside(field: str, name: str | int) -> str:
    """Return the path of a name in a field."""
    return f"{field}.{str(name)[:_LONGEST_STEP]}".removeprefix(".")


def _problem(details: list[ErrorDetails]) -> str:
    """Return what is wrong with a value, for one error or those of a union's members."""
    expected = [_MUST_BE[each["type"]].format(**_context(each)) for each in details if _is(each)]
    others = [_other(each) for each in details if not _is(each)]
    if expected:
        wanted, given = [*dict.fromkeys(expected)], details[0]["input"]
        text = f"must be {' or '.join(wanted)}{_given(given)}{_as_meant(wanted, given)}"
        others.insert(0, text)
    return "; or: ".join(dict.fromkeys(others))


def _is(detail: ErrorDetails) -> bool:
    return detail["type"] in _MUST_BE


def _other(detail: ErrorDetails) -> str:
    text = _OTHERS.get(detail["type"])
    return text.format(**_context(detail)) if text else detail["msg"]


def _context(detail: ErrorDetails) -> Mapping[str, object]:
    """Return the limits and choices of an error; a limit of 0.0 is shown as 0."""
    context = detail.get("ctx", {})
    return {
        name: str(value).removesuffix(".0") if isinstance(value, float) else value
        for name, value in context.items()
    }


def _given(value: object) -> str:
    """Return the value for the end of a message, as JSON, if it is short enough to show."""
    if value is None or isinstance(value, bool):
        return f", not {json.dumps(value)}"
    if isinstance(value, str | int | float):
        return f", not {printable(shortened(value))}"
    return f", not {_KINDS[type(value)]}" if type(value) in _KINDS else ""


def _as_meant(wanted: Sequence[str], value: object) -> str:
    """Return how to write a value of the wrong type that says what is meant."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    meant: object = None
    if _TEXT in wanted and not isinstance(value, str):
        meant = str(value)
    elif _NUMBER in wanted and isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value):
        return f": write {value.strip().replace(',', '.')}"
    elif wanted == [_LIST]:
        meant = [value]
    shown = "" if meant is None else json.dumps(meant, ensure_ascii=False)
    return f": write {printable(shown)}" if 0 < len(shown) <= _LONGEST_STEP else ""


def shortened(value: object) -> str:
    """Return the `repr` of a value, cut to about 60 characters."""
    return _SHORT.repr(value)


def printable(text: str) -> str:
    """Return the text without lone surrogates, which UTF-8 and JSON cannot represent."""
    return text.encode("utf-8", "replace").decode()


def without_paths(text: str) -> str:
    """Return the text with every absolute path reduced to its last part."""
    return _PATH.sub(lambda match: re.split(r"[/\\]", match[0].rstrip("/"))[-1], text)


def without(folders: list[str], text: str) -> str:
    """Remove folders from the paths in a text; a folder on its own becomes a dot."""
    for folder in folders:
        plain = folder.rstrip("/")
        text = re.sub(re.escape(plain) + r"(?![\w.-])", ".", text.replace(f"{plain}/", ""))
    return text


@cache
def import_folders() -> list[str]:
    """Return the folders that modules are imported from, the longest first."""
    folders = {folder for folder in sys.path if len(folder) > 1} | {str(_OWN_FOLDER)}
    return sorted(folders, key=len, reverse=True)
