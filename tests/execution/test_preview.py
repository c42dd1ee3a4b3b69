"""Data files as they are shown: what a script gets, and nothing of the server's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobserver.child.show import pieces
from jobserver.encoding import encode_result
from jobserver.errors import Unavailable, UnsupportedType
from jobserver.execution import preview
from jobserver.execution.preview import Previews, Shown, is_as_it_is
from jobserver.execution.supervision.child_process import ChildProcess
from jobserver.execution.supervision.guards import Preloader
from jobserver.home.settings import Settings
from tests.support.contract import strict_json
from tests.support.server import is_open_below

MakePreviews = Callable[[int], Previews]
Show = Callable[..., Shown]


@pytest.fixture(scope="module")
def preloader() -> Iterator[Preloader]:
    """What processes are forked from, as long as another one is."""
    made = Preloader(None)
    slot = ChildProcess(made.fork)
    yield made
    slot.end()


@pytest.fixture
def previews(preloader: Preloader) -> MakePreviews:
    """Previews that may take so many bytes of memory; 0 for no limit."""
    return lambda memory: Previews(Settings(home=Path(), JOB_MEMORY_LIMIT=memory), preloader)


@pytest.fixture
def show(previews: MakePreviews) -> Show:
    """Show a file, with any memory."""
    return previews(0).show


def shown(folder: Path, text: str | bytes, form: str, name: str = "a.dat", **options: Any) -> bytes:
    """A file's content in a format."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return b"".join(pieces(path, form, options))


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("t;v\na;1,5\n", {}, [{"t": "a", "v": 1.5}]),
        ("t;v\na;1,5\n".encode("utf-16"), {}, [{"t": "a", "v": 1.5}]),
        ("tag;größe\nä;1,5\n".encode("cp1252"), {}, [{"tag": "ä", "größe": 1.5}]),
        ("tag;größe\nä;1,5\n".encode("utf-8-sig"), {}, [{"tag": "ä", "größe": 1.5}]),
        ("  t   v\n  a  1.5 \n", {}, [{"t": "a", "v": 1.5}]),
        ("# by me\n# t v\n1 1.5\n", {}, [{"t": 1, "v": 1.5}]),
        ("1.5,2\n3,4\n", {}, [{"0": 1.5, "1": 2}, {"0": 3, "1": 4}]),
        ("a;b\n1;2;\n3;4;\n", {}, [{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
        ("a;b\nx;1;2\n", {}, [{"": "x", "a": 1, "b": 2}]),
        ("a, b\n1, 2\n", {}, [{"a": 1, "b": 2}]),
        ("a,a\n1,2\n", {}, [{"a": 1, "a.1": 2}]),
        ("a,b\n1,2\n1\n", {}, [{"a": 1, "b": 2}, {"a": 1, "b": None}]),
        ("1990,1991\n1,2\n", {"header": True}, [{"1990": 1, "1991": 2}]),
        ("a;b\n1,234;5\n", {"thousands": ","}, [{"a": 1234, "b": 5}]),
        ("t,v\n2020-01-01T00:00,1\n", {}, [{"t": "2020-01-01", "v": 1}]),
        ("t,v\n2020-01-01T00:30,1\n", {}, [{"t": "2020-01-01T00:30:00", "v": 1}]),
    ],
)
def test_rows_are_those_that_scripts_get(
    tmp_path: Path, text: str | bytes, options: dict[str, Any], expected: list[Any]
) -> None:
    assert strict_json(shown(tmp_path, text, "json", **options)) == expected


def test_days_have_no_time_as_row_labels_either(tmp_path: Path) -> None:
    days, hours = "t,v\n2020-01-01,1\n2020-01-02,2\n", "t,v\n2020-01-01T00:30,1\n"
    for form, expected in (("csv", b"t,v\n2020-01-01,1\n"), ("json", b'[{"t":"2020-01-01","v":1}')):
        assert shown(tmp_path, days, form, datatype="timeseries").startswith(expected)
    assert b"\n2020-01-01T00:30:00,1" in shown(tmp_path, hours, "csv", datatype="timeseries")


def test_formats(tmp_path: Path) -> None:
    text = "t;v\na,b;1,5\n"
    assert shown(tmp_path, text, "csv") == b't,v\n"a,b",1.5\n'
    assert b"<th>t</th><th>v</th>" in shown(tmp_path, text, "html")
    assert is_as_it_is("a.csv", "csv", {})
    assert is_as_it_is("a.nc", "txt", {"skip": 1})
    assert not is_as_it_is("a.csv", "csv", {"skip": 1})
    assert not is_as_it_is("a.tsv", "csv", {})


def test_a_process_of_its_own_shows_a_file(tmp_path: Path, show: Show) -> None:
    path = tmp_path / "large.csv"
    path.write_text("n,x\n" + "".join(f"{n},{n / 7}\n" for n in range(50_000)), "ascii")
    with show(path, "json", {"text": ["n"]}).content as file:
        rows = json.loads(file.read())
    assert rows == [{"n": str(n), "x": n / 7} for n in range(50_000)]


def test_a_process_without_a_fork_shows_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, previews: MakePreviews
) -> None:
    monkeypatch.setattr(preview, "CAN_FORK", False)
    path = tmp_path / "a.tsv"
    path.write_text("a\tb\n1\t2\n", "ascii")
    with previews(10**9).show(path, "csv", {}).content as file:
        assert file.read() == b"a,b\n1,2\n"


def test_what_cannot_be_shown_says_why(tmp_path: Path, show: Show) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n1,2,3\n", "ascii")
    with pytest.raises(UnsupportedType, match=r'3 in line 3.*"separator".*Ask for txt') as refused:
        show(path, "json", {})
    assert str(tmp_path) not in refused.value.message
    with pytest.raises(UnsupportedType, match="only as txt"):
        show(tmp_path / "a.png", "html", {})


def test_a_file_that_is_deleted_meanwhile_is_no_fault_of_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, show: Show
) -> None:
    with pytest.raises(UnsupportedType, match="deleted"):
        show(tmp_path / "gone.csv", "json", {})
    assert caplog.messages == []


def test_a_file_that_takes_too_much_memory_is_refused(
    tmp_path: Path, previews: MakePreviews
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1.5,2.5\n" * 2_000_000, "ascii")
    with pytest.raises(UnsupportedType, match="too much memory"):
        previews(10_000_000).show(path, "json", {})


ROWS = [{"a": 1, "b": "x"}, {"a": None, "c": [1, {"d": "ä"}]}]


@pytest.mark.parametrize("name", ["a.json", "a.GeoJSON"])
def test_json_is_shown_as_it_is(tmp_path: Path, name: str) -> None:
    assert strict_json(shown(tmp_path, '{ "a":\n1e2 }', "json", name)) == {"a": 100}


def test_json_is_strict(tmp_path: Path) -> None:
    text = '[NaN, {"a": -Infinity}, "NaN", 12345678901234567890123]'
    assert strict_json(shown(tmp_path, text, "json", "a.json")) == [
        *(None, {"a": None}, "NaN", 12345678901234567890123)
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_json_is_shown_in_utf_8(tmp_path: Path, encoding: str) -> None:
    assert shown(tmp_path, '["ä"]'.encode(encoding), "json", "a.json") == '["ä"]\n'.encode()


@pytest.mark.parametrize("text", ["", "nan", "{", '{"a": 1,}', "[1] [2]", b"\xff", "[" * 100_000])
def test_what_is_not_json(tmp_path: Path, text: str | bytes, show: Show) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UnsupportedType, match=r"not valid JSON.*Ask for txt"):
        show(path, "csv", {})


def test_the_table_in_json(tmp_path: Path) -> None:
    text = json.dumps(ROWS)
    csv = shown(tmp_path, text, "csv", "a.json").decode()
    assert csv == 'a,b,c\n1.0,x,\n,,"[1,{""d"":""ä""}]"\n'
    assert "<td>x</td>" in shown(tmp_path, text, "html", "a.json").decode()
    split = '{"columns": ["x"], "index": ["p", "q"], "data": [[true], [NaN]]}'
    assert shown(tmp_path, split, "csv", "a.json").decode() == ",x\np,True\nq,\n"
    records = '{"a": {"b": [{"x": "1"}]}}'
    assert shown(tmp_path, records, "json", "a.json", records="a.b") == b'[{"x":1}]'


def test_few_requests_wait_for_a_turn(tmp_path: Path, previews: MakePreviews) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n", "ascii")
    busy = previews(0)
    with ExitStack() as others:
        for _ in range(6):
            others.enter_context(busy._waiting)
        with pytest.raises(Unavailable, match="Try again"):
            busy.show(path, "json", {})
    with busy.show(path, "json", {}).content as file:
        assert file.read() == b'[{"a":1,"b":2}]'


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[Path]:
    """A file whose end never comes, as that of a damaged one may not."""
    path = tmp_path / "endless.dat"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    yield path
    os.close(writer)


def is_shown(path: Path) -> bool:
    """Whether a process shows a file."""
    return is_open_below(os.getpid(), path)


def test_a_file_that_takes_too_long_is_refused(
    endless: Path, monkeypatch: pytest.MonkeyPatch, show: Show
) -> None:
    monkeypatch.setattr(preview, "SECONDS", 0.2)
    with pytest.raises(UnsupportedType, match=r"within 0\.2 seconds\. Ask for txt"):
        show(endless, "json", {})
    assert not is_shown(endless)


def test_nothing_is_shown_to_a_client_that_left(endless: Path, show: Show) -> None:
    with pytest.raises(Unavailable, match="closed the connection"):
        show(endless, "json", {}, lambda: is_shown(endless))
    assert not is_shown(endless)


def test_a_refusal_names_the_options_that_are_kept_with_the_file(
    tmp_path: Path, show: Show
) -> None:
    path = tmp_path / "rain.csv"
    path.write_text("a,b\n1,2\n1,2,3\n", "ascii")
    with pytest.raises(UnsupportedType, match=r'"options".*/datafile/rain\.csv') as refused:
        show(path, "json", {})
    assert '"data"' not in refused.value.message
    assert "sheet" not in refused.value.message


@pytest.mark.parametrize(
    ("cells", "filled"),
    [
        ("1.234,5", '{"thousands": ".", "decimal": ","}'),
        ("1.234", "{...}"),
    ],  # one way to read it, and two
)
def test_a_refusal_fills_in_the_options_that_it_proposes(
    tmp_path: Path, cells: str, filled: str, show: Show
) -> None:
    path = tmp_path / "rain.csv"
    path.write_text(f"a;b\n1;{cells}\n2;{cells}\n", "ascii")
    with pytest.raises(UnsupportedType) as refused:
        show(path, "json", {})
    assert f"&options={filled}" in refused.value.message
    assert f'POST {{"options": {filled}}}' in refused.value.message


@pytest.mark.parametrize("name", ["a.parquet", "a.xlsx", "a.nc", "a.npy"])
def test_a_damaged_binary_file_is_not_shown_as_text(tmp_path: Path, name: str, show: Show) -> None:
    path = tmp_path / name
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UnsupportedType, match="The file ") as refused:
        show(path, "json", {})
    assert "Ask for" not in refused.value.message
    assert f"GET /datafile/{name}/content" in refused.value.message
    assert "options" not in refused.value.message


def test_remarks_of_the_reader_come_with_the_file(tmp_path: Path, show: Show) -> None:
    path = tmp_path / "a.csv"
    path.write_text("größe,b\n" + "1,2\n" * 5 + "Ice,-999\n", "utf-8")
    found = show(path, "csv", {})
    with found.content as file:
        assert file.read().startswith("größe,b\n1,2".encode())
    first, second = found.remarks
    assert "größe" in first
    assert "Ice" in first
    assert '"missing": [-999]' in second
    assert '"data"' not in second


def read_workbook(path: Path) -> pd.DataFrame:
    return pd.read_excel(path)


@pytest.mark.parametrize(("form", "read"), [("parquet", pd.read_parquet), ("xlsx", read_workbook)])
def test_a_result_is_written_by_a_process_of_its_own(
    tmp_path: Path, form: str, read: Callable[[Path], pd.DataFrame], previews: MakePreviews
) -> None:
    frame = pd.DataFrame({"n": [1, 2], "x": [0.5, None], "größe": ["a", "b"]})
    path = tmp_path / "result"
    with previews(10**8).write_result(encode_result(frame).value, form) as file:
        path.write_bytes(file.read())
    assert read(path).astype(object).fillna("-").values.tolist() == [[1, 0.5, "a"], [2, "-", "b"]]


def test_a_result_that_takes_too_much_memory_is_refused(previews: MakePreviews) -> None:
    value = encode_result(pd.DataFrame({"x": range(500_000)})).value
    with pytest.raises(UnsupportedType, match=r"too much memory.*Ask for csv"):
        previews(1_000_000).write_result(value, "parquet")


@pytest.mark.parametrize(
    ("name", "text", "fact"),
    [
        ("a.npy", None, "Python objects"),
        ("a.json", "{a: 1}", "line 1, column 2"),
        ("a.json", "[" * 100_000, "too deep"),
        ("a.json", "9" * 5000, "too many digits"),
    ],
)
def test_a_refusal_gives_our_advice_and_not_that_of_a_library(
    tmp_path: Path, name: str, text: str | None, fact: str
) -> None:
    path = tmp_path / name
    if text is None:
        np.save(path, np.array([{}, None]), allow_pickle=True)
    else:
        path.write_text(text, "ascii")
    with pytest.raises(UnsupportedType, match=fact) as refused:
        list(pieces(path, "json", {}))
    for advice in ("pickle", "double quotes", "recursion", "set_int_max"):
        assert advice not in refused.value.message


def test_a_full_temporary_folder_is_said(
    tmp_path: Path, previews: MakePreviews, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "output").symlink_to("/dev/full")
    monkeypatch.setattr(preview, "temporary_folder", lambda _: nullcontext(tmp_path))
    (tmp_path / "a.csv").write_text("a;b\n1;2\n")
    with pytest.raises(UnsupportedType, match="no room for it"):
        previews(0).show(tmp_path / "a.csv", "csv", {"separator": ";"})
