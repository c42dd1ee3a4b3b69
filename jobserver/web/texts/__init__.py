"""The texts of pages: one catalogue a language, with the same keys."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
DEFAULT_LANGUAGE = "en"
#: Languages by their codes, each named in itself.
LANGUAGES = {"en": "English", "de": "Deutsch"}
#: What the keys of texts start with that scripts of pages show.
_OF_SCRIPTS = "js."


class Texts:
    """The texts of one language.

    Parameters
    ----------
    entries : dict of str to str
        Texts by key; placeholders are as in `str.format`.
    """

    def __init__(self, entries: dict[str, str]) -> None:
        self.entries = entries

    def get(self, key: str, **values: object) -> str:
        """Return a text with its placeholders filled in."""
        return self.entries[key].format(**values)

    def of_scripts(self) -> dict[str, str]:
        """Return the texts that scripts of pages show, by key."""
        return {
            key.removeprefix(_OF_SCRIPTS): text
            for key, text in self.entries.items()
            if key.startswith(_OF_SCRIPTS)
        }


@cache
def texts(language: str) -> Texts:
    """Return the texts of a language in `LANGUAGES`."""
    return Texts(json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8")))
