"""What maps run over: the forms that are refused, and the items in their order."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.errors import JobNotRunnable
from jobserver.processes.over import MOST_ITEMS, Grid, Groups, Rows, expand, over_problems

VALUES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3)


def no_data(datatype: str) -> Any:
    raise AssertionError(f"nothing asks for data as {datatype}")


def fields(over: Any) -> list[str]:
    return [problem.field for problem in over_problems(over, "over")]


@given(st.lists(VALUES))
def test_a_list_is_its_items(items: list[Any]) -> None:
    assert fields(items) == []
    assert list(expand(items, no_data)) == items


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=3).filter(lambda b: b[2:] != [0]))
def test_a_range_is_that_of_python(bounds: list[int]) -> None:
    assert fields({"range": bounds}) == []
    assert list(expand({"range": bounds}, no_data)) == list(range(*bounds))


@given(st.dictionaries(st.text(max_size=3), st.lists(VALUES, max_size=4), min_size=1, max_size=4))
def test_a_grid_is_the_product_of_its_axes_in_order(axes: dict[str, list[Any]]) -> None:
    assert fields({"grid": axes}) == []
    grid = expand({"grid": axes}, no_data)
    product = itertools.product(*axes.values())
    expected = [dict(zip(axes, point, strict=True)) for point in product]
    assert isinstance(grid, Grid)
    assert [grid[n] for n in range(len(grid))] == expected
    assert all(list(point) == list(axes) for point in expected)


COLUMN = st.lists(st.none() | st.sampled_from(["b", "a", "c"]), max_size=12)


@given(COLUMN)
def test_groups_have_each_row_once_by_value_with_the_missing_last(column: list[str | None]) -> None:
    frame = pd.DataFrame({"name": pd.Series(column, dtype=object), "n": range(len(column))})
    groups = Groups(frame, "name")
    found = [groups[n] for n in range(len(groups))]
    names = [group["name"].iloc[0] for group in found]
    present = sorted({name for name in column if name is not None})
    assert names[: len(present)] == present
    assert len(names) - len(present) == (None in column)
    assert sorted(n for group in found for n in group["n"]) == list(range(len(column)))
    for group in found:
        assert group["name"].nunique(dropna=False) == 1
        assert list(group["n"]) == sorted(group["n"])


@given(st.lists(st.tuples(st.integers(-9, 9), st.floats(-1, 1), st.text(max_size=3))))
def test_rows_have_plain_values(data: list[tuple[int, float, str]]) -> None:
    frame = pd.DataFrame(data, columns=["i", "f", "s"]).astype({"i": "int64", "f": "float64"})
    rows = Rows(frame)
    found = [rows[n] for n in range(len(rows))]
    assert [tuple(row.values()) for row in found] == data
    assert all(list(row) == ["i", "f", "s"] for row in found)
    assert {type(value) for row in found for value in row.values()} <= {int, float, str}


@pytest.mark.parametrize(
    ("over", "field"),
    [
        (None, "over"),
        ("abc", "over"),
        ({}, "over"),
        ({"rows": True, "items": True}, "over"),
        ({"columns": True}, "over"),
        ({"range": 3}, "over.range"),
        ({"range": []}, "over.range"),
        ({"range": [1, 2, 3, 4]}, "over.range"),
        ({"range": [0, 10, 0]}, "over.range"),
        ({"range": [True]}, "over.range"),
        ({"range": [1.5]}, "over.range"),
        ({"range": [MOST_ITEMS + 1]}, "over.range"),
        ({"range": [-(2**62), 2**62]}, "over.range"),
        ({"rows": False}, "over.rows"),
        ({"items": 1}, "over.items"),
        ({"groups": 3}, "over.groups"),
        ({"grid": {}}, "over.grid"),
        ({"grid": [1]}, "over.grid"),
        ({"grid": {"a": 1}}, "over.grid"),
        ({"grid": {name: [0] * 101 for name in "abc"}}, "over.grid"),
    ],
)
def test_forms_that_are_refused(over: Any, field: str) -> None:
    assert fields(over) == [field]


@pytest.mark.parametrize(
    ("over", "data", "text"),
    [
        ({"groups": "station"}, pd.DataFrame({"a": [1]}), "no column station, only: a"),
        ({"items": True}, {"a": 1}, "a list is needed, not a dict"),
        ({"items": True}, [0] * (MOST_ITEMS + 1), f"at most {MOST_ITEMS}"),
    ],
)
def test_data_without_such_items(over: Any, data: Any, text: str) -> None:
    with pytest.raises(JobNotRunnable) as raised:
        expand(over, lambda _: data)
    assert text in raised.value.errors[0].problem
