"""Where the server is, and the token for it: arguments, the environment, a private file."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from jobserver.errors import SettingsError

DEFAULT_URL = "http://localhost:5000"
URL, TOKEN = "JOBSERVER_URL", "JOBSERVER_TOKEN"


@dataclass(frozen=True)
class Access:
    """Address of a server and token for it.

    Attributes
    ----------
    url : str
        Address, without a slash at its end.
    token : str or None
        None if the server asks for no login.
    """

    url: str
    token: str | None


def access_file() -> Path:
    """Return the path of the file that `keep` writes."""
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder, "jobserver", "client.toml")


def find_access(url: str | None = None, token: str | None = None) -> Access:
    """Return address and token: what is given, else the environment's, else those of the file.

    The file's token is only used for the file's address: no other server ever sees it.

    Raises
    ------
    SettingsError
        If the file can be read by others, or is malformed.
    """
    url = url or os.environ.get(URL) or None
    token = token or os.environ.get(TOKEN) or None
    if url and token:
        return Access(url.rstrip("/"), token)
    kept = _kept()
    found = (url or (kept.url if kept else DEFAULT_URL)).rstrip("/")
    if token is None and kept and kept.url == found:
        token = kept.token
    return Access(found, token)


def _kept() -> Access | None:
    """Return what the file holds; None if there is none."""
    path = access_file()
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise SettingsError(
                    f"Others can read {path}, which may hold a token: chmod 600 {path}"
                )
            content = tomllib.load(file)
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    wrong = [key for key, value in content.items() if not isinstance(value, str)]
    if wrong or content.keys() - {"url", "token"}:
        raise SettingsError(f'{path} may hold url = "..." and token = "...", nothing else.')
    return Access(content.get("url", DEFAULT_URL).rstrip("/"), content.get("token"))


def keep(access: Access) -> Path:
    """Write address and token to a file that only its user can read, and return its path."""
    path = access_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    fields = {"url": access.url, "token": access.token}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items() if value)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
    return path


def forget_token() -> Access | None:
    """Remove the token from the file, and return what it was for; None if there is none."""
    kept = _kept()
    if kept is None or kept.token is None:
        return None
    keep(Access(kept.url, None))
    return kept
