"""A server's scripts as an archive in the database, for workers that do not have its home.

The key of an archive is the SHA-256 of its bytes. It is the same for the same files, so an archive
never changes, and every server and worker can tell whether it has these scripts already.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

from bson import ObjectId

from jobserver.errors import NotFound, SettingsError
from jobserver.home.settings import Settings
from jobserver.sizes import MIB, exact_size
from jobserver.storage.blobs import Blobs
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database
from jobserver.system.disk import temporary_folder

COLLECTION = "script_archives"
#: Names of the folders in an archive: scripts, and executables that jobs may run.
SCRIPTS, FILES = "scripts", "files"
#: Limits of an archive, so that a folder with data beside the scripts is noticed.
LARGEST, _MOST_FILES, _DEPTH = 64 * MIB, 5000, 8
#: Age at which an archive that no server needs any more is deleted.
UNUSED = timedelta(days=1)


#: Each file by its path in the archive, with modification time (ns), size and mode.
Found = dict[str, tuple[Path, tuple[int, int, int]]]


class ScriptFolders:
    """The folders of a home that make up an archive; packed again only when a file changed.

    Parameters
    ----------
    settings : Settings
        Where they are.
    """

    def __init__(self, settings: Settings) -> None:
        folders = {SCRIPTS: settings.scripts_path, FILES: settings.files_path}
        self._folders = {name: folder for name, folder in folders.items() if folder}
        self._found: Found | None = None
        self._digest, self._content = "", b""

    def packed(self) -> tuple[str, bytes]:
        """Return the key of the archive, and its bytes.

        Raises
        ------
        SettingsError
            If there is too much for an archive, or a file cannot be read.
        """
        try:
            found = self._files()
            if found != self._found:
                self._content = _packed(found)
                self._digest, self._found = hashlib.sha256(self._content).hexdigest(), found
        except OSError as error:
            raise SettingsError(f"the scripts cannot be sent to workers: {error}") from error
        return self._digest, self._content

    def _files(self) -> Found:
        found: Found = {}
        size = 0
        for prefix, folder in self._folders.items():
            for path in _walk(folder):
                stat = path.stat()
                name = f"{prefix}/{path.relative_to(folder).as_posix()}"
                found[name] = path, (stat.st_mtime_ns, stat.st_size, stat.st_mode)
                size += stat.st_size
                if size > LARGEST or len(found) > _MOST_FILES:
                    raise SettingsError(
                        f"{folder} is not sent to workers, as it has more than {_MOST_FILES} files "
                        f"or {exact_size(LARGEST)}: move data elsewhere, or share the home"
                    )
        return found


class ScriptArchives:
    """The archives in a database. Only servers with its credentials can write there.

    Parameters
    ----------
    database : Database
        The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._archives = database[COLLECTION]
        self._blobs = Blobs(database, COLLECTION, "file")

    def store(self, digest: str, content: bytes) -> None:
        """Store an archive unless it is there, and note that it is in use."""
        if self.note_use([digest]):
            return
        key = ObjectId()
        with self._blobs.settled({key: digest}):
            self._blobs.save(key, io.BytesIO(content))
            self._database.insert(COLLECTION, {"_id": digest, "file": key, "used": utcnow()})

    def note_use(self, digests: Iterable[str]) -> int:
        """Note that archives are in use; return how many of them there are."""
        query = {"_id": {"$in": sorted(set(digests))}}
        update = {"$set": {"used": utcnow()}}
        return self._database.call(self._archives.update_many, query, update).matched_count

    def remove_unused(self) -> None:
        """Delete the archives that no server has used for a day."""
        old = {"used": {"$lt": utcnow() - UNUSED}}
        for found in list(self._database.find(COLLECTION, old)):
            with self._blobs.settled({found["file"]: found["_id"]}):
                self._database.call(self._archives.delete_one, {"_id": found["_id"], **old})

    def fetch(self, digest: str, folder: Path) -> None:
        """Unpack an archive into a private, empty folder.

        Raises
        ------
        NotFound
            If it does not exist.
        SettingsError
            If it is not what its key says, or contains anything but files below its folders.
        """
        found = self._database.call(self._archives.find_one, {"_id": digest})
        content = self._blobs.read(found["file"]) if found else None
        if content is None:
            raise NotFound("The scripts of the job are not in the database any more.")
        if hashlib.sha256(content).hexdigest() != digest:
            raise SettingsError("the scripts in the database are damaged: their checksum is wrong")
        _unpack(content, folder)


class WorkerScripts:
    """The scripts that a worker runs: those of its home if they are the server's, else a copy.

    Parameters
    ----------
    settings : Settings
        Of the worker.
    digest : str
        Key of the archive of the server's scripts; empty if there is none.
    archives : ScriptArchives
        Where a copy comes from.

    Attributes
    ----------
    settings : Settings
        The settings with the paths of a copy.
    """

    def __init__(self, settings: Settings, digest: str, archives: ScriptArchives) -> None:
        self._own = ScriptFolders(settings)
        self._copied = ""
        self.settings = settings
        if self.are(digest):
            return
        self._folder = temporary_folder("scripts")
        try:
            archives.fetch(digest, Path(self._folder.name))
        except BaseException:
            self._folder.cleanup()
            raise
        self._copied = digest
        paths = {name: str(Path(self._folder.name, name)) for name in (SCRIPTS, FILES)}
        self.settings = replace(
            settings, SCRIPTS_PATH=paths[SCRIPTS], PROCESS_FILE_PATH=paths[FILES]
        )

    def are(self, digest: str) -> bool:
        """Whether they are those of an archive."""
        if self._copied or not digest:
            return digest == self._copied
        try:
            return self._own.packed()[0] == digest
        except SettingsError:  # too many here, unlike there
            return False

    def remove(self) -> None:
        """Remove a copy."""
        if self._copied:
            self._folder.cleanup()


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in order, without hidden ones and byte code."""
    for top, folders, files in os.walk(folder, followlinks=True):
        depth = len(Path(top).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if _belongs(name) and depth < _DEPTH)
        yield from (path for name in sorted(files) if _is_sent(path := Path(top, name)))


def _belongs(name: str) -> bool:
    return not name.startswith(".") and name != "__pycache__"


def _is_sent(path: Path) -> bool:
    return _belongs(path.name) and path.is_file()


def _packed(found: Found) -> bytes:
    """Return a tar archive, equal for equal names, contents and rights to execute."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(found):
            path, (_, _, mode) = found[name]
            content = path.read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o700 if mode & 0o100 else 0o600
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _unpack(content: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            is_inside = path.parts[:1] in ((SCRIPTS,), (FILES,)) and ".." not in path.parts
            file = archive.extractfile(member) if member.isfile() and is_inside else None
            if file is None:
                raise SettingsError(f"the scripts in the database contain {member.name!r}")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read())
            target.chmod(member.mode & 0o700)
