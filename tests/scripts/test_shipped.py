from __future__ import annotations

import math
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.scripts import on_init, summary
from jobserver.scripts.registry import Registry, ScriptSources
from jobserver.scripts.shipped import timeseries

KEYS = ["count", "mean", "std", "min", "25%", "50%", "75%", "max"]


def test_summary_gives_the_documented_numbers_in_the_documented_order() -> None:
    values = [4.0, 1.0, 3.0, 2.0, 10.0]
    result = summary(pd.DataFrame({"date": list("abcde"), "value": values}))
    assert list(result) == ["value"]
    assert list(result["value"]) == KEYS
    assert result["value"] == {
        **{"count": 5.0, "mean": 4.0, "std": pytest.approx(math.sqrt(12.5))},
        **{"min": 1.0, "25%": 2.0, "50%": 3.0, "75%": 4.0, "max": 10.0},
    }
    assert all(type(number) is float for number in result["value"].values())


def quantile(values: list[float], share: float) -> float:
    """Type 7 of Hyndman and Fan, written from the paper."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_summary_agrees_with_the_definitions(values: list[float]) -> None:
    found = summary(pd.DataFrame({"value": values}))["value"]
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    assert found["count"] == len(values)
    assert found["mean"] == pytest.approx(mean, abs=1e-6)
    assert found["std"] == pytest.approx(spread, abs=1e-6)
    assert (found["min"], found["max"]) == (min(values), max(values))
    for share in (0.25, 0.5, 0.75):
        expected = quantile(values, share)
        assert found[f"{share:.0%}"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ([1, 2, 3], "value"),
        ((1, 2, 3), "value"),
        (np.array([1.0, 2.0, 3.0]), "value"),
        ([1, None, 2, 3], "value"),
        (pd.Series([1, 2, 3]), "value"),
        (pd.Series([1, 2, 3], name="level"), "level"),
        (pd.Series([1, None, 2, 3], dtype="Int64"), "value"),
        ({"level": [1, 2, 3]}, "level"),
        ([{"level": 1}, {"level": 2}, {"level": 3}], "level"),
        (pd.DataFrame({7: [1, 2, 3]}), "7"),
    ],
)
def test_summary_takes_whatever_makes_a_table(data: Any, name: str) -> None:
    result = summary(data)
    assert list(result) == [name]
    assert result[name]["count"] == 3.0
    assert result[name]["50%"] == 2.0


def test_summary_takes_real_numbers_only() -> None:
    table = pd.DataFrame(
        {
            **{"flag": [True, False], "text": ["1", "2"], "wave": [1j, 2j]},
            **{"time": pd.to_datetime(["2020", "2021"]), "lag": pd.to_timedelta([1, 2])},
            **{"small": np.array([1, 2], "uint8"), "half": np.array([1, 2], "float16")},
        }
    )
    assert list(summary(table)) == ["small", "half"]


def test_summary_of_nothing_counts_nothing() -> None:
    result = summary(pd.DataFrame({"value": [np.nan, np.nan]}))["value"]
    assert result.pop("count") == 0.0
    assert all(math.isnan(number) for number in result.values())


@pytest.mark.parametrize("data", [None, [], ["a"], {"a": ["x"]}, pd.DataFrame()])
def test_a_table_without_numbers_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="no numeric column"):
        summary(data)


@pytest.mark.parametrize("data", ["abc", 5, {"a": 1}, {"a": [1], "b": [1, 2]}, np.zeros((2, 2, 2))])
def test_what_is_no_table_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="is not a table: bind a data file"):
        summary(data)


def test_the_package_ships_summary_and_describes_it() -> None:
    registry = Registry.load(ScriptSources(None))
    (described,) = (each for each in registry.describe()["scripts"] if each["name"] == "summary")
    assert (described["name"], described["module"]) == ("summary", "jobserver.scripts")
    assert described["version"] == sha256(Path(timeseries.__file__).read_bytes()).hexdigest()
    assert described["description"].startswith("Describe every numeric column")
    assert described["parameters"]["properties"]["data"]["x-data"] is True
    assert described["parameters"]["required"] == ["data"]
    assert registry.lookup("summary").func is summary
    assert not registry.lookup("summary").wants_path()


def test_summary_binds_data_and_runs() -> None:
    script = Registry.load(ScriptSources(None)).lookup("jobserver.scripts.summary")
    args, kwargs = script.bind([], {}, data=pd.DataFrame({"value": [1.0]}))
    assert script.func(*args, **kwargs)["value"]["count"] == 1.0
    assert [each.field for each in script.problems([], {}, False)] == ["data"]
    assert [each.field for each in script.problems([1], {"x": 1}, True)] == ["args[0]", "kwargs.x"]


@pytest.mark.parametrize(
    ("name", "parameter", "wrong", "right"),
    [
        ("resample", "period", ("1ns", "0D", "-1D", "1M"), ("15min", "W-SAT", "YS-NOV")),
        ("rolling", "window", ("0h", "MS"), ("D", "6h")),
        ("gaps", "frequency", ("1us", "-1h"), ("0.5h", None)),
    ],
)
def test_steps_are_checked_before_a_run(
    name: str, parameter: str, wrong: tuple[str, ...], right: tuple[str | None, ...]
) -> None:
    script = Registry.load(ScriptSources(None)).lookup(name)
    for text in right:
        assert script.problems([], {parameter: text}, True) == []
    for text in wrong:
        (problem,) = script.problems([], {parameter: text}, True)
        assert problem.field == f"kwargs.{parameter}"
        assert f"{text!r} is not a" in problem.problem
        assert "write 15min" in problem.problem
    described = Registry.load(ScriptSources(None)).describe()["scripts"]
    (properties,) = (each["parameters"]["properties"] for each in described if each["name"] == name)
    assert "15min" in str(properties[parameter])


def test_a_zone_is_checked_before_a_run() -> None:
    script = Registry.load(ScriptSources(None)).lookup("resample")
    for zone in ("Europe/Berlin", "+01:00", "-05:30"):
        assert script.problems([], {"zone": zone}, True) == []
    (problem,) = script.problems([], {"zone": "../Berlin"}, True)
    assert problem.field == "kwargs.zone"
    assert "'../Berlin' is unknown: write an IANA name" in problem.problem
    assert "offset from UTC, such as +01:00" in problem.problem


def test_the_hook_loads_what_runs_need() -> None:
    code = (
        "import sys\nfrom types import SimpleNamespace\nfrom jobserver.scripts import on_init\n"
        "on_init(SimpleNamespace(runs=False))\nbefore = set(sys.modules)\n"
        "on_init(SimpleNamespace(runs=True))\nwarm = set(sys.modules)\n"
        "import io, pandas as pd\nfrom jobserver.scripts import summary\n"
        "summary(pd.read_csv(io.StringIO('date,value\\n2018-09-05,1\\n')))\n"
        "print('pandas' in before, 'pandas' in warm, sorted(set(sys.modules) - warm))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False True []\n"


def test_the_hook_is_called_through_the_registry() -> None:
    registry = Registry.load(ScriptSources(None))
    registry.run_on_init(SimpleNamespace(runs=True))
    assert registry.describe()["errors"] == []
    on_init(SimpleNamespace(runs=False))
