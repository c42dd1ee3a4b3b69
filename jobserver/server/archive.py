"""Archives: the documents, large results, data files and scripts of a home in one file.

An archive is a zip: ``jobserver.json`` has its format, ``documents/<collection>.bson`` a sequence
of documents, ``files/data/`` and ``files/scripts/`` the files. Settings are left out, as they
contain passwords. An import only adds: existing documents and files are kept, so importing an
archive twice changes nothing.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import bson
from bson.errors import BSONError

import jobserver
from jobserver.data.files import check_name
from jobserver.data.folder_storage import USERS
from jobserver.errors import ApiError, SettingsError
from jobserver.home.settings import Settings
from jobserver.storage.database import Database, Document

FORMAT = 1
#: Documents read at once; chunks of large content are 1 MiB each.
_BATCH = 100
_BATCH_OF_CHUNKS = 8
_TRANSIENT = frozenset(("outbox", "attempts", "meta", "script_archives", "workers"))
_COLLECTION = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,100}", re.ASCII)
_DATA = re.compile(rf"data(/{USERS}/[0-9a-f]{{24}})?", re.ASCII)
_SCRIPT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,100}\.py", re.ASCII)

Progress = Callable[[str, int], None]


class InvalidArchive(SettingsError):
    """A file is not a valid archive of a home."""


def export_home(path: Path, settings: Settings, database: Database, progress: Progress) -> None:
    """Write a home, which may be in use, to an archive.

    Parameters
    ----------
    path : Path
        Archive to create.
    progress : callable
        Called repeatedly with the name of a kind of object and how many more were written.

    Raises
    ------
    SettingsError
        If the file already exists.
    """
    if path.exists():
        raise SettingsError(f"{path} already exists. Choose another file name.")
    part = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            head = {"format": FORMAT, "version": jobserver.__version__}
            archive.writestr("jobserver.json", json.dumps(head))
            for name in sorted(filter(_belongs_to_home, database.collections())):
                _write_documents(archive, database, name, progress)
            for kind, file in _files(settings):
                archive.write(file, f"files/{kind}/{file.name}")
                progress(f"{kind} file", 1)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def import_home(path: Path, settings: Settings, database: Database, progress: Progress) -> int:
    """Add the contents of an archive to a home.

    Returns
    -------
    int
        Number of documents and files skipped because they already exist.

    Raises
    ------
    InvalidArchive
        If the file is not an archive, or has a later format.
    """
    skipped = 0
    try:
        with zipfile.ZipFile(path) as archive:
            _check_head(archive)
            for entry in sorted(archive.infolist(), key=_may_refer):
                folder = entry.filename.rpartition("/")[0]
                if folder == "documents":
                    skipped += _read_documents(archive, entry, database, progress)
                elif folder.startswith("files/"):
                    kind = folder.removeprefix("files/")
                    skipped += _read_file(archive, entry, settings, kind)
                    progress(f"{kind} file", 1)
    except (zipfile.BadZipFile, BSONError, KeyError, json.JSONDecodeError) as error:
        raise InvalidArchive(
            f"{path} is not an archive of a home, or is damaged: {error}"
        ) from error
    return skipped


def _may_refer(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry may refer to large content, which must be imported first."""
    return ".content." not in entry.filename


def _belongs_to_home(collection: str) -> bool:
    """Whether a collection belongs to the home, rather than to a running server."""
    is_transient = collection.partition(".")[0] in _TRANSIENT
    return not is_transient and not collection.endswith(".marks")


def _write_documents(
    archive: zipfile.ZipFile, database: Database, name: str, progress: Progress
) -> None:
    size = _BATCH_OF_CHUNKS if name.endswith(".chunks") else _BATCH
    ids = iter([entry["_id"] for entry in database.find(name, {}, projection=["_id"])])
    with archive.open(f"documents/{name}.bson", "w", force_zip64=True) as file:
        while batch := list(islice(ids, size)):
            for document in database.find(name, {"_id": {"$in": batch}}):
                file.write(bson.encode(document))
            progress(name, len(batch))


def _read_documents(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, database: Database, progress: Progress
) -> int:
    """Add the documents of a collection; return how many already exist."""
    name = entry.filename.removeprefix("documents/").removesuffix(".bson")
    if not _COLLECTION.fullmatch(name):
        raise InvalidArchive(f"The archive contains an invalid collection name {name!r}.")
    skipped = 0
    with archive.open(entry) as file:
        documents: Iterator[Document] = bson.decode_file_iter(file)
        for document in documents:
            skipped += not database.insert(name, document)
            progress(name, 1)
    return skipped


def _files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yield the files of a home that go into an archive, with their kind."""
    users = settings.data_path / USERS
    own = [(f"data/{USERS}/{each.name}", each) for each in users.glob("*") if each.is_dir()]
    shared = [("data", settings.data_path), ("scripts", settings.scripts_path)]
    for kind, folder in (*shared, *sorted(own)):
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            if file.is_file() and not file.is_symlink() and _belongs(kind, file.name, settings):
                yield kind, file


def _belongs(kind: str, name: str, settings: Settings) -> bool:
    if kind == "scripts":
        return bool(_SCRIPT.fullmatch(name))
    try:
        check_name(name, settings.DATAFILE_EXTENSIONS)
    except ApiError:
        return False
    return bool(_DATA.fullmatch(kind))


def _read_file(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, settings: Settings, kind: str
) -> bool:
    """Add a file; return whether it already exists."""
    name = entry.filename.rpartition("/")[2]
    if not _belongs(kind, name, settings):
        raise InvalidArchive(f"The archive contains an invalid file name {entry.filename!r}.")
    below = settings.data_path / kind.partition("/")[2]
    folder = settings.scripts_path if kind == "scripts" else below
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / name, folder / f".{name}.part"
    if target.exists():
        return True
    with archive.open(entry) as source, part.open("wb") as file:
        shutil.copyfileobj(source, file)
    part.rename(target)
    return False


def _check_head(archive: zipfile.ZipFile) -> None:
    head = json.loads(archive.read("jobserver.json"))
    if head["format"] > FORMAT:
        version = head["version"]
        raise InvalidArchive(
            f"The archive was written by Jobserver {version}. Use that version or later."
        )
