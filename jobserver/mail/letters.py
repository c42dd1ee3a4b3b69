"""What mails say: templates for each kind, as plain text and as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

#: The kinds of mails, with their subjects. Only the server's own words may go into these.
SUBJECTS: Mapping[str, str] = {
    "activate": "Activate your account",
    "reset": "Choose a new password",
    "finished": "Job {id} is {state}",
}


@dataclass(frozen=True)
class Letter:
    """A mail as it is sent.

    Attributes
    ----------
    subject, text, html : str
        In plain words, and as HTML.
    """

    subject: str
    text: str
    html: str


def compose(kind: str, values: Mapping[str, Any]) -> Letter:
    """Write a mail of a kind.

    Parameters
    ----------
    values : mapping
        What its templates ask for.

    Raises
    ------
    jinja2.UndefinedError
        If one is missing.
    """
    subject = SUBJECTS[kind].format_map(values)
    text, html = (
        _templates().get_template(f"{kind}.{form}").render(values, subject=subject)
        for form in ("txt", "html")
    )
    return Letter(subject, text, html)


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("jobserver.mail"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
