"""Tables, arrays, pictures and bytes: sent to a script and back, unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

from jobserver.client import Client, Picture
from jobserver.client.payload import MOST_CELLS
from jobserver.client.results import decode
from tests.support.server import Server

SCRIPTS = """
import numpy as np
import pandas as pd


def every_dtype():
    times = pd.DatetimeIndex(["2020-03-29 00:00", "2021-10-31 01:30"], tz="UTC")
    frame = pd.DataFrame(
        {
            "float": [1.5, np.inf],
            "gap": [np.nan, -np.inf],
            "small": np.array([1, 2], "int8"),
            "large": np.array([2**64 - 1, 1], "uint64"),
            "nullable": pd.array([2**60 + 1, None], "Int64"),
            "yes": [True, False],
            "maybe": pd.array([True, None], "boolean"),
            "text": ["inf", None],
            "any": [1, "x"],
            "day": pd.to_datetime(["2020-01-01", None]),
            "nano": pd.to_datetime(["2020-01-01 00:00:00.123456789", None]).as_unit("ns"),
            "zoned": times.tz_convert("Europe/Berlin"),
            "span": pd.to_timedelta(["1 days 02:00:00", None]),
            "category": pd.Categorical(["b", None], ["c", "b"], ordered=True),
            "period": pd.PeriodIndex(["2020-01", "2020-02"], freq="M"),
            "interval": pd.interval_range(0, 2),
            "complex": [1 + 2j, 3j],
        }
    )
    return frame.set_index(pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"]))


def long_text():
    return pd.DataFrame({"text": ["x" * 200_000, "a\\n\\"b,inf"], "q": [np.inf, np.nan]})


def labels():
    return pd.Index([1.5, np.inf, np.nan], name="q")


def twice():
    return pd.DataFrame([[1, 2.5]], columns=["a", "a"])


def inside():
    return {"table": pd.Series([1, 2]), "arrays": [np.arange(3), np.array([np.nan])]}


def cube():
    return np.array([[[1.0, np.inf]]])


def picture():
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1))


def some_bytes():
    return bytes(range(256))


def mixed():
    return {"a": {"n": 2**53 + 1, "mean": 0.5}, "b": {"n": 1, "mean": np.inf}}


def many(rows: int):
    return pd.DataFrame({"n": np.arange(rows), "q": np.linspace(0, 1, rows)})


def like_a_table():
    return {"type": "dataframe", "columns": 1, "index": 2, "data": 3, "dtypes": 4, "names": 5}
"""


@pytest.fixture(scope="module")
def scripts(shared_server: Server) -> Iterator[dict[str, Any]]:
    """The functions of the scripts, which the server has as well."""
    path = shared_server.home / "scripts" / "results_of_clients.py"
    path.write_text(SCRIPTS)
    namespace: dict[str, Any] = {}
    exec(SCRIPTS, namespace)  # noqa: S102 - our own text
    yield namespace
    path.unlink()


def test_a_table_keeps_values_dtypes_and_labels(jobs: Client, scripts: dict[str, Any]) -> None:
    expected = scripts["every_dtype"]()
    expected["any"] = expected["any"].astype(object)
    assert_frame_equal(jobs.run("every_dtype").result(), expected)


def test_columns_of_the_same_name_stay(jobs: Client, scripts: dict[str, Any]) -> None:
    assert_frame_equal(jobs.run("twice").result(), scripts["twice"]())


def test_infinities_beside_a_long_text_are_found(jobs: Client, scripts: dict[str, Any]) -> None:
    assert_frame_equal(jobs.run("long_text").result(), scripts["long_text"]())


def test_labels_alone_stay_an_index(jobs: Client, scripts: dict[str, Any]) -> None:
    assert_index_equal(jobs.run("labels").result(), scripts["labels"]())


def test_tables_and_arrays_inside_are_found(jobs: Client, scripts: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="NaN or infinite"):
        result = jobs.run("inside").result()
    assert_series_equal(result["table"], pd.Series([1, 2]))
    np.testing.assert_array_equal(result["arrays"][0], np.arange(3))


def test_what_json_cannot_tell_apart_is_warned_of(jobs: Client, scripts: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="NaN or infinite"):
        result = jobs.run("cube").result()
    assert result.shape == (1, 1, 2)


def test_a_picture_is_shown_by_notebooks(jobs: Client, scripts: dict[str, Any]) -> None:
    result = jobs.run("picture").result()
    assert isinstance(result, Picture)
    assert result._repr_png_().startswith(b"\x89PNG\r\n\x1a\n")


def test_bytes_are_bytes_and_text_is_text(jobs: Client, scripts: dict[str, Any]) -> None:
    assert jobs.run("some_bytes").result() == bytes(range(256))
    for text in ("abcd", "iVBORw0KGgoAAAA=", "", "Größe\n"):
        assert jobs.run("echo", raw_data=text).result() == text


def test_integers_beside_floats_are_not_rounded(jobs: Client, scripts: dict[str, Any]) -> None:
    result = jobs.run("mixed").result()
    assert result.loc["n", "a"] == 2**53 + 1
    assert result.loc["mean", "b"] == np.inf


def test_a_large_result_is_read_whole(jobs: Client, scripts: dict[str, Any]) -> None:
    job = jobs.run("many", rows=600_000)
    assert job.document["result"]["type"] == "dataframe"
    assert_frame_equal(job.result(), scripts["many"](600_000))


def test_what_resembles_a_table_stays_as_it_is(jobs: Client, scripts: dict[str, Any]) -> None:
    assert jobs.run("like_a_table").result() == scripts["like_a_table"]()


def test_a_raw_result_is_the_json(jobs: Client) -> None:
    job = jobs.run("echo", data=pd.Series([1.5]))
    assert job.result(raw=True)["data"] == [1.5]
    assert job.result_as("csv").startswith(b"0\n1.5")


TIMES = pd.DatetimeIndex(["2020-01-01 00:00", "2020-01-01 12:30"], name="date")
TABLES = {
    "plain": pd.DataFrame({"n": [1, 2], "q": [0.1, np.nan], "s": ["x", None]}),
    "timed": pd.DataFrame({"q": [0.1, 0.2]}, index=TIMES),
    "numbered columns": pd.DataFrame([[1, 2]]),
    "infinite": pd.DataFrame({"q": [np.inf, np.nan]}),
    "unsigned": pd.DataFrame({"n": np.array([2**63 - 1, 0], "uint64")}),
    "odd names": pd.DataFrame({"$a": [1], "": [2]}),
    "large": pd.DataFrame({"n": np.arange(MOST_CELLS + 1)}),
    "large and timed": pd.DataFrame(
        {"q": np.arange(MOST_CELLS + 1.0)},
        index=pd.date_range("2000", periods=MOST_CELLS + 1, name="date"),
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_reaches_a_script_as_it_is(jobs: Client, name: str) -> None:
    table = TABLES[name]
    assert_frame_equal(jobs.run("echo", data=table).result(), table, check_freq=False)


ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.array([[1.5, np.nan], [np.inf, 2]]),
    np.array([np.inf, np.nan, 1]),
    np.array([1 + 2j]),
    np.array(["2020-01-01", "NaT"], "datetime64[D]"),
    np.arange(MOST_CELLS + 1, dtype="uint8"),
    np.arange(24, dtype="int16").reshape(2, 3, 4),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype} {array.shape}")
def test_an_array_reaches_a_script_as_it_is(jobs: Client, array: np.ndarray) -> None:
    result = jobs.run("echo", data=array).result()
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize("values", [[1.0, np.nan], [np.inf, 2.0]])
def test_a_series_reaches_a_script_as_it_is(jobs: Client, values: list[float]) -> None:
    series = pd.Series(values, index=TIMES, name="q")
    assert_series_equal(jobs.run("echo", data=series).result(), series)


def test_a_small_table_is_part_of_its_job(jobs: Client) -> None:
    job = jobs.run("echo", data=TABLES["timed"])
    assert job.document["data"]["type"] == "raw_data"
    assert len(jobs.datafiles()) == 1


def test_scalars_of_numpy_and_times_are_parameters(jobs: Client) -> None:
    assert jobs.run("add", a=np.int64(3), b=np.float32(1).astype(int)).result() == 4
    sent = [pd.Timestamp("2020-01-01"), np.datetime64("2020-01-01T00:00:00.000000001"), np.bool(1)]
    expected = ["2020-01-01T00:00:00", "2020-01-01T00:00:00.000000001", True]
    assert jobs.run("echo", raw_data=sent).result() == expected


def test_nothing_is_asked_again_for_plain_values() -> None:
    def other(output_format: str) -> bytes:
        raise AssertionError(output_format)

    for value in (None, 1, "a text", [1, {"a": None}], {"a": {"b": [1]}}, {}):
        assert decode(value, other) == value
