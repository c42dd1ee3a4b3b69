"""What mails say: templates for each kind, as plain text and as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from jobserver.errors import BadRequest, Problem

#: The kinds of mails, with their subjects. Only the server's own words may go into these.
SUBJECTS: Mapping[str, str] = {
    "activate": "Activate your account",
    "reset": "Choose a new password",
    "finished": "Job {id} is {state}",
}
LONGEST = 254
_LONGEST_NAME = 64
_NAME = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_NAME}(?:\.{_NAME})*)@{_LABEL}(?:\.{_LABEL})*", re.ASCII)


@dataclass(frozen=True)
class MailMessage:
    """A mail as it is sent.

    Attributes
    ----------
    subject, text, html : str
        In plain words, and as HTML.
    """

    subject: str
    text: str
    html: str


def compose(kind: str, values: Mapping[str, Any]) -> MailMessage:
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
    return MailMessage(subject, text, html)


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


def is_address(value: object) -> bool:
    """Whether a value is a mail address that may be written to."""
    if not isinstance(value, str) or len(value) > LONGEST:
        return False
    found = _ADDRESS.fullmatch(value)
    return found is not None and len(found[1]) <= _LONGEST_NAME


def check_address(value: object, field: str = "email") -> str:
    """Give an address back if it is one.

    Parameters
    ----------
    field : str
        Where in the request it stands.

    Raises
    ------
    BadRequest
        If it is none.
    """
    if isinstance(value, str) and is_address(value):
        return value
    problem = Problem(field, "has to be a mail address such as anna@example.org")
    raise BadRequest("This is no mail address that can be used.", [problem])
