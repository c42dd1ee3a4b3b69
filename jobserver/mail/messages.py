"""Email addresses, and what mails say: a template for each kind, as plain text and as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.message import EmailMessage
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from jobserver.errors import BadRequest, Problem

#: Subjects by kind of mail. Only the server's own words may appear in them.
SUBJECTS: Mapping[str, str] = {
    "activate": "Activate your account",
    "reset": "Choose a new password",
    "finished": "Job {id}: {state}",
}
LONGEST = 254
_LONGEST_NAME = 64
_NAME = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_NAME}(?:\.{_NAME})*)@{_LABEL}(?:\.{_LABEL})*", re.ASCII)


def compose(kind: str, values: Mapping[str, object]) -> EmailMessage:
    """Return the subject and the text, plain and as HTML, of a kind of mail.

    Parameters
    ----------
    values : mapping
        The variables of its templates.

    Raises
    ------
    jinja2.UndefinedError
        If a variable is missing.
    """
    message = EmailMessage()
    message["Subject"] = subject = SUBJECTS[kind].format_map(values)
    plain, html = (_templates().get_template(f"{kind}.{suffix}") for suffix in ("txt", "html"))
    message.set_content(plain.render(values, subject=subject))
    message.add_alternative(html.render(values, subject=subject), subtype="html")
    return message


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
    """Whether a value is an email address that mail can be sent to."""
    if not isinstance(value, str) or len(value) > LONGEST:
        return False
    found = _ADDRESS.fullmatch(value)
    return found is not None and len(found[1]) <= _LONGEST_NAME


def check_address(value: object, field: str = "email") -> None:
    """Raise `BadRequest`, naming the field, unless a value is an email address."""
    if not is_address(value):
        problem = Problem(field, "must be an email address such as anna@example.org")
        shown = repr(value[:60]) if isinstance(value, str) and value else "This"
        text = f"{shown} is not a valid email address such as anna@example.org."
        raise BadRequest(text, [problem])


def normalize_address(value: object) -> str:
    """Return an email address in lower case, as it is stored; `BadRequest` if it is not valid."""
    address = value.strip().lower() if isinstance(value, str) else ""
    check_address(address)
    return address
