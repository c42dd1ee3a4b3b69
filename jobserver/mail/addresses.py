"""Which mail addresses are taken: plain ones, in which nothing can hide.

The rules are narrower than RFC 5322: no quotes, no comments, no lists, letters of ASCII only. What
passes can stand in a header and in the dialogue with a mail server as it is.
"""

from __future__ import annotations

import re

from jobserver.errors import BadRequest, Problem

LONGEST = 254
_LONGEST_NAME = 64
_NAME = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_NAME}(?:\.{_NAME})*)@{_LABEL}(?:\.{_LABEL})*", re.ASCII)


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
