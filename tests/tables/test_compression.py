"""Compressed data files, and those that are damaged or want to fill the memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobserver.tables import compression
from jobserver.tables.compression import inner_extension, open_decompressed
from jobserver.tables.errors import UnreadableTable
from jobserver.tables.loading import load
from tests.support.strategies import fuzzed

TEXT = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(20_000))
quick = settings(max_examples=fuzzed(100), deadline=None)


def zipped(*names: str, content: bytes = TEXT, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zip": lambda content: zipped("a.csv", content=content),
}


def content(path: Path, packed: bytes) -> bytes:
    path.write_bytes(packed)
    with open_decompressed(path) as file:
        return file.read()


def refusal(path: Path, packed: bytes) -> str:
    with pytest.raises(UnreadableTable) as refused:
        content(path, packed)
    return str(refused.value)


@pytest.mark.parametrize("extension", PACKED)
def test_a_compressed_file_is_read_and_rewound(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.csv{extension}"
    path.write_bytes(PACKED[extension](TEXT))
    with open_decompressed(path) as file:
        assert file.read(100) == TEXT[:100]
        file.seek(0)
        assert file.read() == TEXT
    frame = load({"path": str(path)}, as_path=False)
    assert frame["b"].sum() == sum(n * n for n in range(20_000))


@pytest.mark.parametrize("extension", [".gz", ".bz2", ".xz"])
def test_the_first_bytes_show_the_compression_not_the_name(tmp_path: Path, extension: str) -> None:
    for name in ("a.csv", "a.csv.gz", "a.zip"):
        assert content(tmp_path / name, PACKED[extension](TEXT)) == TEXT
        assert content(tmp_path / name, TEXT) == TEXT


def test_files_of_several_streams_are_read_to_their_end(tmp_path: Path) -> None:
    for extension in (".gz", ".bz2", ".xz"):
        pack = PACKED[extension]
        assert content(tmp_path / "a", pack(TEXT) + pack(b"end") + pack(b"")) == TEXT + b"end"


@pytest.mark.parametrize("extension", PACKED)
def test_a_file_cut_off_or_changed_is_refused(tmp_path: Path, extension: str) -> None:
    packed = PACKED[extension](TEXT)
    middle = len(packed) // 2
    changed = packed[:middle] + bytes(255 - byte for byte in packed[middle:][:8])
    for damaged in (packed[:middle], packed[:-4], changed + packed[middle + 8 :]):
        assert "is damaged or not a" in refusal(tmp_path / f"a{extension}", damaged)


@pytest.mark.parametrize("extension", PACKED)
def test_a_small_file_of_huge_content_is_refused(
    tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = PACKED[extension](b"\0" * 10_000_000)
    assert len(bomb) < 20_000
    monkeypatch.setattr(compression, "LARGEST", 4 * 1024**2)
    assert "has more than 4 MiB when it is decompressed" in refusal(
        tmp_path / f"a{extension}", bomb
    )


def test_a_zip_file_that_understates_its_size_is_refused(tmp_path: Path) -> None:
    honest = zipped("a.csv")
    size = len(TEXT).to_bytes(4, "little")
    assert honest.count(size) == 2
    lying = honest.replace(size, (100).to_bytes(4, "little"))
    assert "is damaged or not a zip file" in refusal(tmp_path / "a.zip", lying)


def test_a_zip_file_needs_exactly_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for names in [("a.csv",), ("folder/", "folder/a.csv", "__MACOSX/folder/._a.csv", ".DS_Store")]:
        assert content(path, zipped(*names)) == TEXT
    assert "without a file" in refusal(path, zipped())
    assert "without a file" in refusal(path, zipped("folder/"))
    assert "2 files (a.csv, b.csv)" in refusal(path, zipped("a.csv", "b.csv"))
    many = refusal(path, zipped(*(f"{n}.csv" for n in range(6))))
    assert "6 files (0.csv, 1.csv, 2.csv, 3.csv, 4.csv, ...)" in many


def test_a_zip_file_of_too_many_members_is_refused_before_they_are_listed(tmp_path: Path) -> None:
    packed = zipped(*(f"{n:050}.csv" for n in range(11_000)), content=b"")
    noted = packed[:-2] + b"\x04\0note"
    for one in (packed, noted):
        assert "too many members" in refusal(tmp_path / "a.zip", one)


def test_a_zip_file_with_a_password_or_another_name_is_refused(tmp_path: Path) -> None:
    packed = bytearray(zipped("a.csv"))
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    assert "password" in refusal(tmp_path / "a.zip", bytes(packed))
    assert "name it .zip" in refusal(tmp_path / "a.csv", zipped("a.csv"))


def test_zip_methods_that_are_read(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert content(tmp_path / "a.zip", zipped("a.csv", method=method)) == TEXT
    unknown = bytearray(zipped("a.csv"))
    unknown[8] = unknown[unknown.index(b"PK\x01\x02") + 10] = 99
    assert "is damaged or not a zip file" in refusal(tmp_path / "a.zip", bytes(unknown))


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.csv", ".csv"),
        ("a.CSV.GZ", ".csv"),
        ("a.json.bz2", ".json"),
        ("a.dat.xz", ".dat"),
        ("a.gz", ".txt"),
        ("a", ""),
    ],
)
def test_the_extension_below_that_of_the_compression(name: str, extension: str) -> None:
    assert inner_extension(Path(name)) == extension


@pytest.mark.parametrize(
    ("name", "member", "extension"),
    [
        ("a.zip", "b/c.JSON", ".json"),
        ("a.csv.zip", "c.dat", ".dat"),
        ("a.csv.zip", "c", ".csv"),
        ("a.zip", "c", ".txt"),
    ],
)
def test_the_extension_in_a_zip_file(
    tmp_path: Path, name: str, member: str, extension: str
) -> None:
    (tmp_path / name).write_bytes(zipped(member))
    assert inner_extension(tmp_path / name) == extension


@quick
@given(st.sampled_from(list(PACKED)), st.data())
def test_any_damage_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, extension: str, data: st.DataObject
) -> None:
    packed = bytearray(PACKED[extension](TEXT[:2000]))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"damaged{extension}"
    with suppress(UnreadableTable):
        content(path, bytes(packed))
