"""The catalogue of texts: complete in each language, and nothing in it that no page shows."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from jobserver.jobs.job import State
from jobserver.users.policy import Role, Scope
from jobserver.web.pages import STATIC
from jobserver.web.texts import LANGUAGES, texts

TEMPLATES = STATIC.parent / "templates"
_USED = re.compile(r"""\bt\(["']([\w.]*\w)["']""")
_QUOTED = re.compile(r"""["']([a-z]+(?:\.[a-z_]+)+)["']""")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", [*LANGUAGES])
def test_each_language_has_the_same_texts_with_the_same_placeholders(language: str) -> None:
    english, entries = texts("en").entries, texts(language).entries
    assert entries.keys() == english.keys()
    for key, text in entries.items():
        assert text.strip(), key
        assert placeholders(text) == placeholders(english[key]), key


def test_each_text_is_used_and_each_used_one_exists() -> None:
    named = (("state", State), ("role", Role), ("scope", Scope))
    used, mentioned = set(), {f"{kind}.{each}" for kind, enum in named for each in enum}
    for path in TEMPLATES.glob("*.html"):
        used |= set(_USED.findall(path.read_text("utf-8")))
        mentioned |= set(_QUOTED.findall(path.read_text("utf-8")))
    for path in STATIC.glob("*.js"):
        used |= {f"js.{key}" for key in _USED.findall(path.read_text("utf-8"))}
    known = texts("en").entries.keys()
    assert used <= known
    assert known <= used | mentioned
