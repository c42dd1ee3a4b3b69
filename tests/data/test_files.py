from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from unicodedata import category, is_normalized

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from jobserver.data.files import EXTENSIONS, DataFiles, KeptOptions, check_name
from jobserver.data.folder_storage import FolderStorage
from jobserver.errors import (
    BadRequest,
    Conflict,
    InvalidName,
    NotFound,
    TooLarge,
    Unavailable,
    UnsupportedType,
)
from jobserver.storage.database import Database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def options(uri: str) -> Iterator[KeptOptions]:
    database = Database(uri)
    yield KeptOptions(database)
    database["datafiles.options"].delete_many({})
    database.close()


@pytest.fixture
def files(folder: Path, options: KeptOptions) -> DataFiles:
    return DataFiles(FolderStorage(folder, folder.parent), options)


def save(
    files: DataFiles, name: str = "a.csv", content: bytes = b"1,2\n", limit: int = 100
) -> None:
    files.save(name, BytesIO(content), limit)


def names(folder: Path) -> list[str]:
    """Everything in the folder."""
    return sorted(path.name for path in folder.iterdir())


LETTERS = ("Lu", "Ll", "Lt", "Lm", "Lo")


@given(st.text() | st.from_regex(r"[\w.\\/~ -]{1,110}(\.csv)?", fullmatch=True))
def test_a_name_that_is_taken_is_harmless(name: str) -> None:
    try:
        check_name(name)
    except (InvalidName, UnsupportedType):
        return
    assert Path("/data", name).resolve().parent == Path("/data")
    assert is_normalized("NFC", name)
    assert {category(each) for each in name if each not in "._- "} <= {
        *LETTERS,
        "Nd",
        "Mn",
        "Mc",
        "Me",
    }
    assert name.isprintable()
    assert len(name) <= 100
    assert not name.startswith((".", "-", " "))
    assert name.rpartition(".")[2].lower() in EXTENSIONS


@given(
    st.from_regex("[A-Za-z0-9_][A-Za-z0-9._ -]{0,90}", fullmatch=True),
    st.sampled_from(EXTENSIONS),
    st.booleans(),
)
def test_a_name_inside_the_rules_is_taken(stem: str, extension: str, upper: bool) -> None:
    name = f"x{stem}.{extension.upper() if upper else extension}"
    check_name(name)


@pytest.mark.parametrize("name", ["CON.csv", "con.tar.gz", "aux .csv", "lpt1.txt", "Com9.json"])
def test_devices_are_no_files(name: str) -> None:
    with pytest.raises(InvalidName, match="device"):
        check_name(name)


def test_info(files: DataFiles, folder: Path) -> None:
    save(files)
    assert files.info("a.csv") == {"name": "a.csv", "path": "data/a.csv", "size": "4 B"}
    with files.open("a.csv").content as file:
        assert file.read() == b"1,2\n"
    with files.as_file("a.csv") as path:
        assert path == folder / "a.csv"


def test_a_folder_outside_of_the_home_is_not_told(tmp_path: Path, options: KeptOptions) -> None:
    files = DataFiles(FolderStorage(tmp_path / "elsewhere", tmp_path / "home"), options)
    assert files.save("a.csv", BytesIO(b""), 1)["path"] == "data/a.csv"


def test_a_folder_deeper_in_the_home_is_told(tmp_path: Path, options: KeptOptions) -> None:
    files = DataFiles(FolderStorage(tmp_path / "my" / "data", tmp_path), options)
    assert files.save("a.csv", BytesIO(b""), 1)["path"] == "my/data/a.csv"


def test_the_list_is_by_name(files: DataFiles) -> None:
    assert list(files.list()) == []
    for name in ("b.csv", "a.csv", "C.csv"):
        save(files, name)
    assert [info["name"] for info in files.list()] == ["C.csv", "a.csv", "b.csv"]


def test_limits_hold_to_the_byte(files: DataFiles, folder: Path) -> None:
    save(files, "a.csv", b"x" * 100, limit=100)
    with pytest.raises(TooLarge, match="100 B"):
        save(files, "b.csv", b"x" * 101, limit=100)
    assert names(folder) == ["a.csv"]


def test_a_name_is_taken_once(files: DataFiles, folder: Path) -> None:
    save(files)
    with pytest.raises(Conflict, match=r"a\.csv"):
        save(files, content=b"other")
    assert (folder / "a.csv").read_bytes() == b"1,2\n"


def test_nothing_is_seen_of_a_file_until_it_is_whole(files: DataFiles, folder: Path) -> None:
    seen = []

    class Slow(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            seen.append((list(files.list()), len(list(folder.glob(".*.part")))))
            return super().read(size)

    files.save("a.csv", Slow(b"x" * 10), 100)
    assert seen == [([], 1), ([], 1)]
    assert names(folder) == ["a.csv"]


def test_nothing_is_left_of_a_file_that_breaks_off(files: DataFiles, folder: Path) -> None:
    class ChannelClosed(BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(Unavailable, match="Input/output error"):
        files.save("a.csv", ChannelClosed(), 100)
    assert names(folder) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path, options: KeptOptions) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(Unavailable):
        save(DataFiles(FolderStorage(tmp_path / "data" / "deeper", tmp_path), options))


def test_parts_that_nobody_writes_are_removed(files: DataFiles, folder: Path) -> None:
    files.clear()  # there is no folder yet
    save(files)
    for name in (".a.part", ".b.part", "c.part", ".d"):
        (folder / name).write_bytes(b"x")
    with (folder / ".b.part").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        files.clear()
    assert names(folder) == [".b.part", ".d", "a.csv", "c.part"]


def test_a_part_that_is_written_is_not_removed(
    files: DataFiles, folder: Path, options: KeptOptions
) -> None:
    started, go_on = threading.Event(), threading.Event()

    class Slow(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            started.set()
            go_on.wait(10)
            return super().read(size)

    thread = threading.Thread(target=files.save, args=("a.csv", Slow(b"x"), 100))
    thread.start()
    started.wait(10)
    DataFiles(FolderStorage(folder, folder.parent), options).clear()
    go_on.set()
    thread.join()
    assert (folder / "a.csv").read_bytes() == b"x"


def test_links_and_folders_are_no_data_files(
    files: DataFiles, folder: Path, tmp_path: Path
) -> None:
    folder.mkdir()
    (tmp_path / "secret.csv").write_text("secret")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "folder.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    assert list(files.list()) == []
    for name in ("link.csv", "folder.csv", "pipe.csv", "none.csv"):
        with pytest.raises(NotFound, match=name):
            files.open(name)
        with pytest.raises(NotFound):
            files.delete(name)
    assert files.delete_all() == ()
    assert (tmp_path / "secret.csv").read_text() == "secret"


def test_delete(files: DataFiles) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        save(files, name)
    files.delete("a.csv")
    assert [info["name"] for info in files.list()] == ["b.csv", "c.csv"]
    assert len(files.delete_all()) == 2
    assert list(files.list()) == []


def test_options_are_kept_with_a_file(files: DataFiles) -> None:
    save(files)
    assert "options" not in files.described("a.csv")
    assert files.keep_options("a.CSV", {"separator": ";"})["options"] == {"separator": ";"}
    assert files.described("a.csv")["options"] == {"separator": ";"}
    files.keep_options("a.csv", {"skip": 2, "units": None})
    assert files.described("a.csv")["options"] == {"skip": 2}
    files.keep_options("a.csv", {})
    assert "options" not in files.described("a.csv")


def test_options_that_are_wrong_are_refused(files: DataFiles) -> None:
    save(files)
    with pytest.raises(BadRequest) as refused:
        files.keep_options("a.csv", {"separator": "x", "skip": -1, "delimiter": ";"})
    problems = {problem.field: problem.problem for problem in refused.value.errors}
    assert problems.keys() == {"options.separator", "options.skip", "options.delimiter"}
    assert "separator" in problems["options.delimiter"]
    with pytest.raises(BadRequest) as refused:
        files.keep_options("a.csv", {"sheet": 1})
    assert [problem.field for problem in refused.value.errors] == ["options.sheet"]
    assert "options" not in files.described("a.csv")
    with pytest.raises(NotFound):
        files.keep_options("b.csv", {})


def test_a_new_file_does_not_inherit_options(files: DataFiles, folder: Path) -> None:
    for by_hand in (True, False):
        save(files)
        files.keep_options("a.csv", {"skip": 2})
        if by_hand:
            (folder / "a.csv").unlink()
        else:
            files.delete("a.csv")
        save(files)
        assert "options" not in files.described("a.csv")
        files.delete("a.csv")


def test_extensions_can_be_added(folder: Path, options: KeptOptions) -> None:
    files = DataFiles(FolderStorage(folder, folder.parent), options, ("rdb",))
    save(files, "a.RDB")
    assert files.info("a.rdb")["name"] == "a.RDB"
    with pytest.raises(UnsupportedType, match="rdb"):
        save(files, "a.exe")


def test_a_misspelled_name_is_named_unless_it_is_hidden_or_of_another_user(
    files: DataFiles, folder: Path
) -> None:
    owner, other = ObjectId(), ObjectId()
    save(files.for_owner(owner), "rainfall.csv")
    with pytest.raises(NotFound, match=r"Did you mean rainfall\.csv\?"):
        files.for_owner(owner).info("rainfal.csv")
    for stranger in (files, files.for_owner(other)):
        with pytest.raises(NotFound, match="no data file rainfal") as refused:
            stranger.info("rainfal.csv")
        assert "Did you mean" not in refused.value.message
    save(files, "first.csv")
    save(files, "logger.csv")
    with pytest.raises(NotFound, match="no data file nope") as refused:
        files.info("nope.csv")
    assert "Did you mean" not in refused.value.message
    (folder / ".rainfall.csv").touch()
    (folder / "rainfall.exe").touch()
    with pytest.raises(NotFound) as refused:
        files.info("rainfall.csv")
    assert "Did you mean" not in refused.value.message


@pytest.mark.parametrize(
    ("name", "wrong", "usable"),
    [
        ("Pegel (neu).csv", "'('", "Pegel neu.csv"),
        ("q&a:1.csv", "'&'", "q a 1.csv"),
        ("Übersicht#1 .csv", "'#'", "Übersicht 1.csv"),
    ],
)
def test_a_name_that_is_refused_shows_the_character_and_a_name_to_use(
    name: str, wrong: str, usable: str
) -> None:
    with pytest.raises(InvalidName) as refused:
        check_name(name)
    assert refused.value.message.endswith(f"{wrong} is not allowed: use {usable}.")
    check_name(usable)
