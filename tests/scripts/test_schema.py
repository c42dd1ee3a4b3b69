from __future__ import annotations

import dataclasses
import enum
import functools
import operator
import timeit
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Optional, TypedDict

import numpy as np
import orjson
import pandas as pd
import pytest
from annotated_types import Ge, Interval, Len
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, FilePath

from jobserver.errors import JobNotRunnable, Problem
from jobserver.scripts.script import Script

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Reader(TypedDict, total=False):
    name: str


class Reading(TypedDict):
    level: float
    by: NotRequired[Reader]


class Gauge(BaseModel):
    """Where water is measured."""

    name: str
    format: str = "csv"
    height: Annotated[float, Ge(0)] = 0
    upstream: Optional[Gauge] = None  # noqa: UP045 - the old spelling is common


class DaskWorker(BaseModel):
    logfile: Path


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("not even")
    return number


def _explode(number: int) -> int:
    raise KeyError(f"/srv/secret/{number}")


def script(func: Callable[..., Any]) -> Script:
    return Script(func.__name__, "tests", func)


def told(problems: list[Problem]) -> dict[str, str]:
    said = {problem.field: problem.problem for problem in problems}
    assert len(said) == len(problems), "two problems of one field"
    return said


def taking(hint: Any, default: Any = ...) -> Script:
    """A script with data and one parameter, x, of the hint."""

    def required(data: Any, x: Any) -> None: ...

    def optional(data: Any, x: Any = default) -> None: ...

    func = required if default is ... else optional
    func.__annotations__["x"] = hint
    return script(func)


def schema(hint: Any, default: Any = ...) -> dict[str, Any]:
    found: dict[str, Any] = taking(hint, default).describe()["parameters"]["properties"]["x"]
    return found


@pytest.mark.parametrize(
    ("hint", "given", "value"),
    [
        (int, "5", 5),
        (int, 5.0, 5),
        (float, "1.5", 1.5),
        (float, 3, 3.0),
        (bool, True, True),
        (bool, "yes", True),
        (str, "5", "5"),
        (int | None, None, None),
        (Optional[float], 2, 2.0),  # noqa: UP045 - the old spelling is common
        (int | str, "5", "5"),
        (float | int, 5, 5),
        (bool | int, True, True),
        (list[int], ["1", 2], [1, 2]),
        (Sequence[float], [1, 2], [1.0, 2.0]),
        (Iterable[int], [1, "2"], [1, 2]),
        (Iterable, [1, "2"], [1, "2"]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 1], {1}),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (dict[int, int], {"1": 2}, {1: 2}),
        (Literal["mean", 5, None], 5, 5),
        (Colour, "blue", Colour.BLUE),
        (date, "2020-02-29", date(2020, 2, 29)),
        (datetime, "2020-02-29T12:00:00", datetime(2020, 2, 29, 12)),
        (Annotated[int, Ge(1)], "1", 1),
        (Annotated[int, AfterValidator(_even)], "4", 4),
        (Annotated[list[int], Len(1, 2)], ["1"], [1]),
        (Gauge, {"name": "a", "height": 1}, Gauge(name="a", height=1)),
        (Point, {"x": 1}, Point(1.0)),
        (Reading, {"level": "1"}, {"level": 1.0}),
        (list[Reading], [{"level": 1, "by": {"name": "a"}}], [{"level": 1, "by": {"name": "a"}}]),
        (object, [1], [1]),
        (Any, {"a": None}, {"a": None}),
        (pd.DataFrame, [1], [1]),
        (pd.DataFrame | None, {"a": 1}, {"a": 1}),
        (list[np.ndarray], 5, 5),
        (np.float64, "x", "x"),
        ("Unknown", "x", "x"),
        ("list[Unknown]", "x", "x"),
        ("in mm per day", 5, 5),
        (5, "x", "x"),
    ],
)
def test_values_become_their_type(hint: Any, given: Any, value: Any) -> None:
    subject = taking(hint)
    assert subject.problems([], {"x": given}, True) == []
    _, kwargs = subject.bind([], {"x": given}, data=None)
    assert kwargs == {"x": value}
    assert type(kwargs["x"]) is type(value)
    assert subject.bind([given], {}, data=None)[0] == (None, value)


@pytest.mark.parametrize(
    ("hint", "given", "expected"),
    [
        (int, "five", {"x": "must be a whole number, not 'five'"}),
        (int, 1.5, {"x": "must be a whole number, not 1.5"}),
        (int, True, {"x": "must be a number, not true"}),
        (int, None, {"x": "must be a whole number, not null"}),
        (int, "1" * 5000, {"x": "must be a whole number of fewer digits, not '111"}),
        (float, False, {"x": "must be a number, not false"}),
        (float, [], {"x": "must be a number, not a list"}),
        (str, 5, {"x": "must be text, not 5"}),
        (int | None, True, {"x": "must be a number, not true"}),
        (int | float, "a", {"x": "must be a whole number or a number, not 'a'"}),
        (int | str, None, {"x": "must be a whole number or text, not null"}),
        (
            list[int],
            ["a", 1, True],
            {"x[0]": "must be a whole number, not 'a'", "x[2]": "must be a number, not true"},
        ),
        (
            list[int] | str,
            [None],
            {"x": "must be text, not a list", "x[0]": "must be a whole number, not null"},
        ),
        (list[int], "12", {"x": "must be a list, not '12'"}),
        (Sequence[int], "12", {"x": "must be a list, not '12'"}),
        (Iterable[int], ["a"], {"x[0]": "must be a whole number, not 'a'"}),
        (dict[str, int], {"a": "b"}, {"x.a": "must be a whole number, not 'b'"}),
        (dict[str, int], [], {"x": "must be an object, not a list"}),
        (Literal["mean", "max"], "min", {"x": "must be 'mean' or 'max', not 'min'"}),
        (Colour, "green", {"x": "must be 'red' or 'blue', not 'green'"}),
        (date, "2021-02-29", {"x": "must be a date such as 2018-09-05, not '2021-02-29'"}),
        (Annotated[int, Interval(ge=1, le=5)], 6, {"x": "must be at most 5, not 6"}),
        (Annotated[int, Interval(ge=1, le=5)], True, {"x": "must be a number, not true"}),
        (Annotated[list[int], Len(2)], [1], {"x": "must have at least 2 items, not 1"}),
        (Annotated[int, AfterValidator(_even)], 3, {"x": "not even"}),
        (Annotated[int, AfterValidator(_explode)], 3, {"x": "cannot be checked (KeyError: '3')"}),
        (Gauge, {"height": -1}, {"x.name": "is missing", "x.height": "must be at least 0, not -1"}),
        (Gauge, {"name": "a", "upstream": {}}, {"x.upstream.name": "is missing"}),
        (Gauge | None, {"name": 5}, {"x.name": "must be text, not 5"}),
        (
            Reading,
            {"by": {"name": 1}},
            {"x.level": "is missing", "x.by.name": "must be text, not 1"},
        ),
        (Reading, {"level": True, "other": 1}, {"x.level": "must be a number, not true"}),
        (Point, {"y": "a"}, {"x.x": "is missing", "x.y": "must be a number, not 'a'"}),
    ],
)
def test_wrong_values_are_told_with_their_place(
    hint: Any, given: Any, expected: dict[str, str]
) -> None:
    found = told(taking(hint).problems([], {"x": given}, True))
    assert set(found) == {f"kwargs.{field}" for field in expected}
    for field, part in expected.items():
        assert part in found[f"kwargs.{field}"]
        assert "http" not in found[f"kwargs.{field}"]


@pytest.mark.parametrize(
    ("hint", "given", "write"),
    [
        (str, 1, '"1"'),
        (str | list[str], 1.5, '"1.5"'),
        (list[float], 95, "[95]"),
        (list[float] | None, 0.5, "[0.5]"),
        (float, "0,98", "0.98"),
        (float | None, "-1,5", "-1.5"),
        (int, "0,98", None),
        (float, "1,250.5", None),
        (float, "1,5,0", None),
        (list[str], {"a": 1}, None),
        (str, True, None),
    ],
)
def test_a_value_of_the_wrong_type_shows_how_to_write_it(
    hint: Any, given: Any, write: str | None
) -> None:
    problem = told(taking(hint).problems([], {"x": given}, True))["kwargs.x"]
    assert problem.partition(": write ")[2] == (write or "")


def test_problems_of_one_value_are_limited() -> None:
    problems = taking(list[int]).problems([], {"x": ["a"] * 1000 + [{"k" * 9999: 1}]}, True)
    assert len(problems) == 21
    assert problems[-1] == Problem("kwargs.x", "has 981 more problems")
    long_key = taking(dict[str, int]).problems([], {"x": {"k" * 9999: "a"}}, True)
    assert len(long_key[0].field) < 100


@given(JSON)
def test_any_json_is_taken_or_refused_with_a_reason(value: Any) -> None:
    for hint in (int, float | None, list[int | str], dict[str, Gauge], Gauge, date, Colour, Point):
        problems = taking_once(hint).problems([value], {}, True)
        assert all(problem.field.startswith("args[0]") for problem in problems)
        if not problems:
            taking_once(hint).bind([value], {}, data=None)


taking_once = functools.cache(taking)


@given(st.lists(JSON, max_size=4), st.dictionaries(st.sampled_from("abcdxyz"), JSON), st.booleans())
def test_what_check_accepts_python_calls(
    args: list[Any], kwargs: dict[str, Any], has_data: bool
) -> None:
    def fixed(a: Any, b: Any, /, c: Any, d: Any = 4, *, x: Any, y: Any = 6) -> None: ...

    def open_ended(a: Any, *args: Any, x: Any = 1, **kwargs: Any) -> None: ...

    for func in (fixed, open_ended):
        leading = [0.5] if has_data else []
        problems = script(func).problems(args, kwargs, has_data)
        try:
            func(*leading, *args, **kwargs)
        except TypeError:
            assert problems
        else:
            assert problems == []
            bound = script(func).bind(args, kwargs, *leading)
            assert repr(bound) == repr(((*leading, *args), kwargs))


def add(a: int, b: int = 2) -> int:
    return a + b


def test_without_data_a_script_is_called_without_it() -> None:
    for args, kwargs in (([1], {}), ([], {"a": "1"}), (["1", 2], {}), ([1], {"b": 2})):
        positional, named = script(add).bind(args, kwargs)
        assert add(*positional, **named) == 3


def test_bound_data_is_the_first_argument_and_not_checked() -> None:
    data = object()
    assert script(add).bind([5], {}, data=data) == ((data, 5), {})
    assert script(add).bind([], {}, data=None) == ((None,), {})


def test_a_missing_first_argument_says_both_ways_out() -> None:
    found = told(script(add).problems([], {}, False))
    assert found == {
        "data": "is missing: bind data (datafile, raw_data or data), or pass it as kwargs.a"
    }


def test_data_for_a_script_that_takes_none_is_a_problem() -> None:
    def none() -> None: ...

    def named(*, x: int = 1) -> None: ...

    def many(*values: int) -> None: ...

    for func in (none, named):
        assert set(told(script(func).problems([], {}, True))) == {"data"}
        assert script(func).problems([], {}, False) == []
    assert script(many).bind(["1"], {}, data="d") == (("d", 1), {})


def test_all_problems_are_told_at_once() -> None:
    def many(data: Any, window: Annotated[int, Ge(1)], how: Literal["a"], *, z: int) -> None: ...

    found = told(script(many).problems([0, "b", 3, 4], {"window": 1, "data": 2, "windw": 3}, True))
    assert found == {
        "args[0]": "must be at least 1, not 0",
        "args[1]": "must be 'a', not 'b'",
        "args[2]": "is the first of 2 too many: the script takes 2 besides the data",
        "kwargs.window": "is given twice: by name, and by position or as the data",
        "kwargs.data": "is given twice: by name, and by position or as the data",
        "kwargs.windw": "is unknown: did you mean window?",
        "kwargs.z": 'is missing: set "kwargs": {"z": ...} in "script"',
    }
    with pytest.raises(JobNotRunnable, match="many cannot run with these parameters") as caught:
        script(many).bind([0], {}, data=1)
    assert [each.field for each in caught.value.errors] == ["args[0]", "kwargs.how", "kwargs.z"]


def test_positional_only_parameters_are_missed_by_position() -> None:
    def both(a: int, b: int, /) -> None: ...

    assert told(script(both).problems([], {"b": 1}, False)) == {
        "kwargs.b": "is unknown: the script takes no kwargs",
        "data": "is missing: bind data (datafile, raw_data or data), or pass it as args[0]",
        "args[1]": "is missing",
    }
    assert set(told(script(both).problems([], {}, True))) == {"args[0]"}


def test_stars_are_checked_where_they_are_annotated() -> None:
    def stars(data: Any, *args: int, **kwargs: float) -> None: ...

    assert script(stars).bind(["1"], {"k": "2"}, data=0) == ((0, 1), {"k": 2.0})
    found = told(script(stars).problems([1, "a"], {"k": "b", "a b": "c"}, True))
    assert set(found) == {"args[1]", "kwargs.k", "kwargs.'a b'"}


def test_args_and_kwargs_of_a_wrong_kind_are_told() -> None:
    subject: Any = script(add)
    assert set(told(subject.problems("[]", [1], True))) == {"args", "kwargs"}


def test_hostile_names_of_arguments_are_cut() -> None:
    def stars(**kwargs: int) -> None: ...

    kwargs = {"k" * 10_000: "a", "\0\ud800\n": "a", "": "a"}
    for subject in (script(stars), script(add)):
        fields = [problem.field for problem in subject.problems([], kwargs, True)]
        assert len(fields) >= 3
        assert all(field.isprintable() and len(field) < 80 for field in fields)


def test_a_flood_of_wrong_arguments_is_cut() -> None:
    def stars(*args: int, **kwargs: int) -> None: ...

    flood = {f"k{number}": "a" for number in range(10_000)}
    for subject in (script(add), script(stars)):
        problems = subject.problems(["a"] * 10_000, flood, False)
        assert 100 <= len(problems) <= 110


def by_path(path: Path, n: int = 1) -> None: ...
def by_text(path: str) -> None: ...
def by_either(path: Path | str | None = None) -> None: ...
def by_note(path: Annotated[Path, "the file"]) -> None: ...
def by_table(data: pd.DataFrame) -> None: ...
def by_both(data: Path | pd.DataFrame) -> None: ...
def by_null(data: None) -> None: ...
def by_second(data: dict[str, Any], path: Path) -> None: ...


@pytest.mark.parametrize("func", [by_path, by_text, by_either, by_note])
def test_a_path_is_wanted_where_the_annotation_says_so(func: Callable[..., Any]) -> None:
    assert script(func).wants_path()


@pytest.mark.parametrize("func", [by_table, by_both, by_null, by_second, len])
def test_otherwise_a_table_is_wanted(func: Callable[..., Any]) -> None:
    assert not script(func).wants_path()


def test_a_path_hint_for_the_type_checker_alone_counts() -> None:
    names: dict[str, Any] = {}
    exec("def f(a: 'Path'): ...\ndef g(a: 'pathlib.Path'): ...", names)  # noqa: S102 - our own text
    assert script(names["f"]).wants_path()
    assert script(names["g"]).wants_path()


def test_the_path_comes_as_the_annotated_type() -> None:
    path = Path("timeseries.csv")
    assert script(by_path).bind([], {}, data=path)[0] == (path,)
    assert script(by_either).bind([], {}, data=path)[0] == (path,)
    assert script(by_text).bind([], {}, data=path)[0] == ("timeseries.csv",)


@pytest.mark.parametrize("text", ["/etc/passwd", "~/x", "../x", "a/../../x", "file:///x", "C:\\x"])
def test_clients_cannot_name_a_file_to_read(text: str) -> None:
    for func in (by_path, by_text, by_note):
        for args, kwargs in (([text], {}), ([], {"path": text})):
            assert len(script(func).problems(args, kwargs, False)) == 1
        with pytest.raises(JobNotRunnable) as caught:
            script(func).bind([], {}, data=text)
        assert [problem.field for problem in caught.value.errors] == ["data"]


def test_no_other_parameter_takes_a_file_from_a_client() -> None:
    def star(*paths: Path) -> None: ...

    assert set(told(script(by_second).problems(["x.csv"], {}, True))) == {"args[0]"}
    assert set(told(script(star).problems(["x.csv"], {}, False))) == {"args[0]"}
    for hint in (list[Path], DaskWorker, FilePath, Path | None):
        assert set(told(taking(hint).problems([], {"x": ["a"]}, True))) == {"kwargs.x"}
    assert taking(Path | None).problems([], {"x": None}, True) == []
    missing = told(script(by_path).problems([], {}, False))
    assert missing == {"data": "is missing: bind a datafile, which the script reads by its path"}


@pytest.mark.parametrize("text", ["World", "and/or", "x.csv", "wait..", "https://example.org/x"])
def test_plain_text_is_no_path(text: str) -> None:
    assert script(by_text).problems([text], {}, False) == []
    assert script(by_text).bind([], {}, data=text)[0] == (text,)


def test_null_is_allowed_where_it_is_the_default() -> None:
    assert taking(int, None).problems([], {"x": None}, True) == []
    assert set(told(taking(int, 5).problems([], {"x": None}, True))) == {"kwargs.x"}


@pytest.mark.parametrize(
    ("hint", "default", "expected"),
    [
        (int, 5, {"type": "integer", "default": 5}),
        (
            Annotated[int, Interval(ge=1, le=5)],
            ...,
            {"type": "integer", "minimum": 1, "maximum": 5},
        ),
        (
            Annotated[int, Field(description="Steps")],
            ...,
            {"type": "integer", "description": "Steps"},
        ),
        (Literal["a", "b"], "a", {"enum": ["a", "b"], "type": "string", "default": "a"}),
        (float, None, {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None}),
        (list[int], ..., {"type": "array", "items": {"type": "integer"}}),
        (Iterable[int], ..., {"type": "array", "items": {"type": "integer"}}),
        (date, date(2020, 1, 1), {"type": "string", "format": "date", "default": "2020-01-01"}),
        (Any, float("nan"), {"default": None}),
        (Any, 2**70, {"default": 2.0**70}),
        (Any, object(), {}),
        (Any, "\ud800", {}),
        (pd.DataFrame, pd.DataFrame(), {}),
        (Callable[[int], int], len, {}),
        (Path, Path("/srv/secret"), {"type": "string", "format": "path"}),
        (Any, Path("/srv/secret"), {}),
    ],
)
def test_parameters_are_described_as_json_schema(
    hint: Any, default: Any, expected: dict[str, Any]
) -> None:
    found = schema(hint, default)
    assert found == expected
    orjson.dumps(found)


def test_models_are_described_once_for_all_parameters() -> None:
    def models(data: Any, gauge: Gauge, gauges: list[Gauge], /, point: Point | None = None) -> None:
        """Compare."""

    parameters = script(models).describe()["parameters"]
    assert set(parameters["$defs"]) == {"Gauge", "Point"}
    assert parameters["properties"]["gauge"] == {"$ref": "#/$defs/Gauge"}
    assert parameters["properties"]["gauges"]["items"] == {"$ref": "#/$defs/Gauge"}


def test_a_script_describes_itself() -> None:
    def flow(data: Any, window: int, how: str = "mean", **options: Any) -> None:
        """Smooth a series
        over a window.

        More about it.

        Parameters
        ----------
        data : pandas.DataFrame
            The series.
        window, how : int
            Steps, and
            the way.
        """

    assert script(flow).describe() == {
        "type": "function",
        "name": "flow",
        "module": "tests",
        "version": None,
        "description": "Smooth a series over a window.",
        "parameters": {
            "type": "object",
            "properties": {
                "data": {"description": "The series.", "x-data": True},
                "window": {"type": "integer", "description": "Steps, and the way."},
                "how": {"type": "string", "default": "mean", "description": "Steps, and the way."},
            },
            "required": ["data", "window"],
            "additionalProperties": True,
        },
    }


def test_google_docstrings_are_read_too() -> None:
    def google(x: int) -> None:
        """Do it.

        Args:
            x (int): The steps.
        """

    described = script(google).describe()
    assert described["description"] == "Do it."
    assert described["parameters"]["properties"]["x"]["description"] == "The steps."


@given(
    st.text() | st.lists(st.sampled_from(["Args:\n", ":: ", "x", "    ", "\n", "Yields: ", "---"]))
)
def test_no_docstring_breaks_the_description(doc: str | list[str]) -> None:
    def documented(x: int) -> None: ...

    documented.__doc__ = doc if isinstance(doc, str) else "".join(doc)
    assert script(documented).describe()["parameters"]["required"] == ["x"]


def test_a_surrogate_in_a_docstring_can_be_sent() -> None:
    def documented() -> None: ...

    documented.__doc__ = "Odd \ud800 text."
    assert orjson.loads(orjson.dumps(script(documented).describe()))["description"] == "Odd ? text."


def test_wrappers_around_c_functions_are_not_checked() -> None:
    @functools.wraps(dict.update)
    def update(*args: Any, **kwargs: Any) -> Any: ...

    @functools.wraps(operator.itemgetter)
    def getter(*args: Any) -> Any: ...

    assert script(update).problems([1, 2], {"x": 3}, False) == []
    assert script(getter).describe()["parameters"]["type"] == "object"


def test_a_check_takes_well_under_a_millisecond() -> None:
    subject = taking(Gauge)
    value = {"name": "a", "height": 1, "upstream": {"name": "b"}}
    subject.problems([value], {}, True)
    fastest = min(timeit.repeat(lambda: subject.problems([value], {}, True), number=10, repeat=20))
    assert fastest / 10 < 0.001
