"""Every setting of a server in one table: name, type, default and help.

Sources of a setting, each overriding those before: the default, ``config.py`` in the home, the
environment (``JOBSERVER_<KEY>``), command line options.
"""

from __future__ import annotations

import os
import runpy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from jobserver.errors import SettingsError, similar_names
from jobserver.sizes import GIB, MIB
from jobserver.system.logs import log_to_stderr

PREFIX = "JOBSERVER_"
#: Environment variables that say where the settings are; they are not settings themselves.
HOME, CONFIG = f"{PREFIX}HOME", f"{PREFIX}CONFIG"
#: Variables that are no settings: options of commands, and what the client reads.
_OTHERS = (HOME, CONFIG, f"{PREFIX}URL", f"{PREFIX}TOKEN")
#: Secrets that were in the environment of this process.
_taken: dict[str, str] = {}


def setting(
    default: object,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    minimum: float = 0,
    secret: bool = False,
) -> Any:
    """Declare a setting: a dataclass field with its help and limits."""
    metadata = {"help": help, "choices": choices, "minimum": minimum, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one server. Sizes are in bytes, times in seconds.

    Attributes
    ----------
    home : Path
        Folder of the server; paths in the settings are relative to it.
    config : str
        Name of these settings in the table of ``config.py``.
    """

    home: Path
    config: str = "default"

    MONGO_URI: str | None = setting(
        None,
        "MongoDB to use, as a mongodb:// or mongodb+srv:// URI. None starts the embedded one.",
        secret=True,
    )
    MONGOD: str | None = setting(
        None, "Program of the embedded database. None uses mongod, or else secantusdb."
    )
    SEARCH_FIELDS: tuple[str, ...] = setting(
        (), "Job fields to index, so that filters on them are fast."
    )
    SECRET_KEY: str | None = setting(
        None,
        "Key that signs tokens and links. None generates one and stores it in the home.",
        secret=True,
    )
    LOGIN_REQUIRED: bool = setting(False, "Whether users have to log in.")
    ACCESS_TOKEN_LIFESPAN: int = setting(1200, "How long a login is valid.", minimum=1)
    PUBLIC_URL: str | None = setting(
        None, "URL of the server as clients see it, if it is behind a proxy."
    )
    TRUSTED_PROXIES: tuple[str, ...] = setting(
        (), "Addresses or networks of proxies whose X-Forwarded-For is believed."
    )
    CORS_ORIGINS: tuple[str, ...] = setting((), "Origins whose web pages may call the server.")
    STRINGIFY: bool = setting(True, "Whether answers contain every value of a job as a string.")

    MAIL_SERVER: str | None = setting(None, "Host name of the mail server. None sends no mail.")
    MAIL_PORT: int = setting(587, "Port of the mail server.", minimum=1)
    MAIL_USE_TLS: bool = setting(True, "Whether to use STARTTLS.")
    MAIL_USE_SSL: bool = setting(False, "Whether to use TLS from the start (port 465).")
    MAIL_USERNAME: str | None = setting(None, "User name at the mail server.")
    MAIL_PASSWORD: str | None = setting(None, "Password at the mail server.", secret=True)
    MAIL_DEFAULT_SENDER: str | None = setting(
        None, "Sender of mails. None uses MAIL_USERNAME, if that is an email address."
    )

    DATAFILE_STORAGE: str = setting(
        "folder",
        "Where data files are stored: folder (DATA_PATH) or gridfs (database).",
        choices=("folder", "gridfs"),
    )
    DATA_PATH: str = setting("data", "Folder of data files.")
    DATAFILE_EXTENSIONS: tuple[str, ...] = setting(
        (), "Extensions of data files beside the usual ones, such as rdb; they are read as text."
    )
    MAX_JSON_SIZE: int = setting(4 * MIB, "Largest JSON body of a request.", minimum=2)
    MAX_UPLOAD_SIZE: int = setting(256 * MIB, "Largest data file that can be uploaded.", minimum=1)

    STREAMS: int = setting(
        200,
        "Most event streams and waiting requests at once; a user may have a quarter.",
        minimum=1,
    )
    CONNECTIONS: int = setting(
        1000, "Most connections at once; a client address may have half of them.", minimum=8
    )
    CLIENT_TIMEOUT: float = setting(
        30, "Time a client gets to send a request, or more of it, or to read more.", minimum=0.1
    )

    SCRIPTS_PATH: str = setting("scripts", "Folder of your scripts, each *.py in it.")
    SCRIPT_MODULES: tuple[str, ...] = setting((), "Installed modules whose functions are scripts.")
    SCRIPT_IMPORT_TIMEOUT: float = setting(
        60, "Longest time that importing a module of scripts may take.", minimum=0.1
    )
    PROCESS_FILE_ALLOWED: bool = setting(
        False, "Whether jobs may run executables in PROCESS_FILE_PATH."
    )
    PROCESS_FILE_PATH: str = setting("files", "Folder of executables that jobs may run.")
    PROCESS_EVAL_ALLOWED: bool = setting(False, "Whether jobs of superusers may contain code.")

    EXECUTOR: str = setting(
        "local",
        "Where jobs run: local (child processes of the server) or dask.",
        choices=("local", "dask"),
    )
    DASK_SCHEDULER: str | None = setting(
        None, "Address of the Dask scheduler, such as tcp://10.0.0.5:8786, for EXECUTOR = dask."
    )
    WORKERS: int = setting(0, "Number of jobs that run at once. 0 means one per processor core.")
    RUN_AS: str | None = setting(
        None, "User as whom runs go on, if the server is root. None is the server's own."
    )
    JOB_TIMEOUT: float = setting(86400, "Longest run time of a job. 0 means no limit.")
    JOB_MEMORY_LIMIT: int = setting(2 * GIB, "Most memory a run may use. 0 means no limit.")
    JOB_OUTPUT_LIMIT: int = setting(MIB, "Most output of a run that is stored.", minimum=1)
    JOB_FILE_SIZE_LIMIT: int = setting(10 * GIB, "Largest file a run may write.", minimum=1)
    RESULT_LIMIT: int = setting(4 * GIB, "Largest result that is stored.", minimum=1)
    RESULT_TTL: int = setting(
        0, "How long after its end an unpinned job is deleted. 0 means never."
    )
    QUEUE_LIMIT: int = setting(10_000, "Most jobs in the queue.", minimum=1)
    LEASE_SECONDS: float = setting(
        30, "Time without a heartbeat before a running job is marked interrupted.", minimum=1
    )
    SHUTDOWN_GRACE: float = setting(30, "Time running jobs get to finish on shutdown.")
    LOG_FORMAT: str = setting(
        "text",
        "Format of the log: text, or json with one object a line, requests and runs included.",
        choices=("text", "json"),
    )

    @property
    def data_path(self) -> Path:
        """Absolute path of the folder of data files."""
        return self.home / self.DATA_PATH

    @property
    def scripts_path(self) -> Path:
        """Absolute path of the folder of scripts."""
        return self.home / self.SCRIPTS_PATH

    @property
    def files_path(self) -> Path | None:
        """Absolute path of the folder of executables, if jobs may run them."""
        return self.home / self.PROCESS_FILE_PATH if self.PROCESS_FILE_ALLOWED else None

    @property
    def workers(self) -> int:
        """Number of slots, with 0 resolved to the number of cores."""
        return self.WORKERS or os.cpu_count() or 1


def table() -> Iterator[tuple[Field[object], object]]:
    """Yield each setting's field and type, in the order of the table."""
    hints = get_type_hints(Settings)
    return ((entry, hints[entry.name]) for entry in fields(Settings) if entry.name.isupper())


def public_values(settings: Settings) -> dict[str, object]:
    """Return the settings that are not secret, by name."""
    values = {entry.name: getattr(settings, entry.name) for entry, _ in table()}
    secret = {entry.name for entry, _ in table() if entry.metadata["secret"]}
    return {name: value for name, value in values.items() if name not in secret}


def load(
    home: Path,
    config: str = "default",
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
) -> Settings:
    """Return the settings of a home.

    Parameters
    ----------
    home : Path
        Folder of the server.
    config : str
        Name in the ``config`` table of the home's ``config.py``.
    environ : mapping, optional
        Environment with ``JOBSERVER_<KEY>``; by default that of this process.
    options : mapping, optional
        Values that override all others; None is ignored.

    Raises
    ------
    SettingsError
        If the home or its ``config.py`` cannot be used, or a value is invalid.
    """
    home = home.resolve()
    if not home.is_dir():
        raise SettingsError(
            f"The folder {home} does not exist. Create it with: jobserver init {home}"
        )
    known = {entry.name: (entry, kind) for entry, kind in table()}
    given = dict(_from_config(home / "config.py", config, known.keys()))
    given |= {
        key.removeprefix(PREFIX): text
        for key, text in (_taken | os.environ if environ is None else environ).items()
        if key.startswith(PREFIX) and key not in _OTHERS
    }
    given |= {key: value for key, value in (options or {}).items() if value is not None}
    values = {}
    for key, value in given.items():
        if key in known:
            values[key] = _coerce(*known[key], value)
        else:
            _warn_unknown(key, list(known))
    return Settings(home=home, config=config, **values)


def load_and_log(home: Path, config: str) -> Settings:
    """Return the settings of a home, and log as they say, warnings about them included."""
    with warnings.catch_warnings(record=True) as early:
        settings = load(home, config)
    log_to_stderr(settings.LOG_FORMAT)
    for each in early:
        warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return settings


def take_secrets() -> None:
    """Remove the secrets from the environment, so that nothing started later inherits them.

    `load` still finds them.
    """
    for entry, _ in table():
        name = PREFIX + entry.name
        if entry.metadata["secret"] and name in os.environ:
            _taken[name] = os.environ.pop(name)


def _from_config(path: Path, name: str, known: Set[str]) -> Iterator[tuple[str, object]]:
    """Yield the upper-case attributes of a class in the table of ``config.py``."""
    if not path.exists():
        if name != "default":
            raise SettingsError(f"--config {name} needs a config.py in {path.parent}.")
        return
    try:
        module = runpy.run_path(str(path))
    except Exception as error:
        raise SettingsError(f"config.py cannot be read: {type(error).__name__}: {error}") from error
    classes = module.get("config", {"default": module.get("Config", object)})
    if not isinstance(classes, dict):
        raise SettingsError('config.py must end with a table: config = {"default": Config}.')
    if name not in classes:
        raise SettingsError(f"config.py has no config {name!r}, only: {', '.join(classes)}.")
    chosen = {key: getattr(classes[name], key) for key in dir(classes[name]) if key.isupper()}
    for key in known & module.keys():
        if module[key] != chosen.get(key):
            text = f"{key} in config.py has no effect outside a class: put it inside class Config."
            warnings.warn(text, stacklevel=3)
    yield from chosen.items()


def _warn_unknown(key: str, known: list[str]) -> None:
    close = similar_names(key, known)
    hint = f" Did you mean {close}?" if close else ""
    warnings.warn(f"There is no setting {key}; it is ignored.{hint}", stacklevel=3)


def _coerce(entry: Field[object], kind: object, value: object) -> Any:
    """Return the value of a setting in its type, within its limits; secrets are not repeated."""
    shown = "a secret" if entry.metadata["secret"] else repr(value)
    try:
        result = _READERS[kind](value)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{entry.name} is {shown}, but must be {_NAMES[kind]}.") from error
    choices, minimum = entry.metadata["choices"], entry.metadata["minimum"]
    if choices and result not in choices:
        raise SettingsError(f"{entry.name} is {shown}, but must be one of: {', '.join(choices)}.")
    if isinstance(result, int | float) and not result >= minimum:
        raise SettingsError(f"{entry.name} is {shown}, but must be at least {minimum}.")
    return result


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    try:
        return words[str(value).strip().lower()]
    except KeyError as error:
        raise ValueError(value) from error


def _text(value: object) -> str:
    if not isinstance(value, str | os.PathLike) or value == "":
        raise ValueError(value)
    return os.fspath(value)


def _optional_text(value: object) -> str | None:
    return None if value is None or value == "" else _text(value)


def _number(kind: type[int] | type[float]) -> Callable[[object], float]:
    def read(value: object) -> float:
        accepted = str | int if kind is int else str | int | float
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise ValueError(value)
        return kind(value)

    return read


def _texts(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, Iterable):
        raise TypeError(value)
    return tuple(_text(part).strip() for part in parts if part)


_READERS: dict[object, Callable[[object], object]] = {
    bool: _boolean,
    str: _text,
    str | None: _optional_text,
    int: _number(int),
    float: _number(float),
    tuple[str, ...]: _texts,
}
_NAMES: dict[object, str] = {
    bool: "true or false",
    str: "text",
    str | None: "text or None",
    int: "a whole number",
    float: "a number",
    tuple[str, ...]: "a list of strings",
}
