"""A new home, as ``jobserver init`` creates it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from jobserver.errors import SettingsError
from jobserver.home.settings import table

_HEAD = '''"""Settings of this home: change what you need, delete the rest.

Copy this file to config.py, or run `jobserver init`. It may contain passwords: keep it private.
Sizes are in bytes, times in seconds, paths are relative to the home. Environment variables
JOBSERVER_<KEY> override this file.
"""


class Config:
'''
_TAIL = """

class DevelopmentConfig(Config):
    pass


class ProductionConfig(Config):
    # Your own MongoDB: MONGO_URI = "mongodb+srv://user:password@cluster.example.net/jobserver"
    pass


# Names for `jobserver run --config NAME`.
config = {
    "default": DevelopmentConfig,
    "development": DevelopmentConfig,
    "production": ProductionConfig,
}
"""


def config_text() -> str:
    """Return the text of ``config.default``: each setting with its help and default."""
    settings = (
        f"    # {entry.metadata['help']}\n    {entry.name} = {_literal(entry.default)}\n"
        for entry, _ in table()
    )
    return _HEAD + "\n".join(settings) + _TAIL


def _literal(value: object) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


def home_template() -> Path:
    """Return the folder with ``config.default`` and ``data/timeseries.csv``.

    Returns
    -------
    pathlib.Path
        ``jobserver/new_home`` of an installed package, or the top level of a checkout.

    Raises
    ------
    SettingsError
        If this installation lacks them.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "new_home", package.parent):
        if (folder / "config.default").is_file():
            return folder
    raise SettingsError(
        "This installation of Jobserver lacks config.default. Reinstall it from its wheel."
    )


def make_home(folder: Path) -> list[Path]:
    """Create a home, keeping what already exists.

    Parameters
    ----------
    folder : pathlib.Path
        The home; it may exist.

    Returns
    -------
    list of pathlib.Path
        What was created. Only its owner can read ``config.py``, as it may contain passwords.

    Raises
    ------
    SettingsError
        If a folder or file cannot be created.
    """
    example = home_template() / "data" / "timeseries.csv"
    config, data, scripts = folder / "config.py", folder / "data" / example.name, folder / "scripts"
    made = [path for path in (config, data, scripts) if not path.exists()]
    try:
        for needed in (data.parent, scripts):
            needed.mkdir(parents=True, exist_ok=True)
        if config in made:
            config.touch(mode=0o600)
            config.write_text(config_text(), encoding="utf-8")
        if data in made:
            shutil.copyfile(example, data)
    except OSError as error:
        raise SettingsError(f"Cannot create a home in {folder}: {error.strerror}.") from error
    return made
