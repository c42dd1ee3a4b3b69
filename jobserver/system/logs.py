"""The log: lines for people or in JSON, free of secrets and addresses, with the ids they are about.

``LOG_FORMAT`` chooses. In JSON each line is one object, whatever was logged: a traceback, a warning
of Python, the end of a thread. A line names the request, user, job and attempt during which it was
written, if there are any: see `about`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from urllib.parse import unquote

MASK = "***"
#: A shorter secret is not masked: it may be an ordinary word.
_SHORTEST_MASKED = 4
_LOCAL = r"[^\s/@:;,\"'<>()*=]"
_PATTERNS = (
    (re.compile(r"(://[^\s/@:]*:)[^\s/]+@"), rf"\1{MASK}@"),
    (re.compile(r"\b((?:\w*token|code|password)=)[^\s&\"'<>]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    # An email address. Only the start of a word is tried: a long one would take for ever.
    (re.compile(rf"(?<!{_LOCAL}){_LOCAL}++@[\w-]+(?:\.[\w-]+)+"), MASK),
)
#: What a text holds that one of the patterns matches: most hold nothing of it.
_SUSPECT = re.compile(r"[@=]|B(?:earer|asic) ")
#: The longest first, which may contain others.
_known: list[str] = []

#: Loggers of lines that are no problems: the start and end of a process, requests, and runs.
_SERVICE = logging.getLogger("jobserver.service")
_ACCESS = logging.getLogger("jobserver.access")
_RUNS = logging.getLogger("jobserver.runs")
_log = logging.getLogger(__name__)

_NOTHING: Mapping[str, object] = {}
_ids: ContextVar[Mapping[str, object]] = ContextVar("ids", default=_NOTHING)


def redact(*secrets: str | None) -> None:
    """Mask secrets in the log from now on, and the password in a URL."""
    for secret in filter(None, secrets):
        found = re.search(r"://[^/@]*?:(.+)@", secret)
        password = found[1] if found else ""
        spellings = {secret, password, unquote(password)}
        found_now = {each for each in spellings if len(each) >= _SHORTEST_MASKED}
        _known[:] = sorted(found_now.union(_known), key=len, reverse=True)


def masked(text: str) -> str:
    """Return a text with its secrets masked."""
    for secret in _known:
        text = text.replace(secret, MASK)
    if not _SUSPECT.search(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Name ids in each line that this thread logs meanwhile; None and empty ones are left out."""
    token = _ids.set(_ids.get())
    add_ids(**ids)
    try:
        yield
    finally:
        _ids.reset(token)


def add_ids(**ids: object) -> None:
    """Name further ids, until the `about` ends in which this is called."""
    _ids.set({**_ids.get(), **{name: value for name, value in ids.items() if value}})


def current_request() -> str | None:
    """Return the id of the request that this thread answers; None if it answers none."""
    found = _ids.get().get("request")
    return None if found is None else str(found)


def announce(text: str) -> None:
    """Log a line about the process as a whole, such as its start."""
    _SERVICE.info("%s", text)


def log_request(text: str, **fields: object) -> None:
    """Log that a request was answered; in JSON only."""
    _ACCESS.info("%s", text, extra={"fields": fields})


def log_run(text: str, **fields: object) -> None:
    """Log what became of a run; in JSON only."""
    _RUNS.info("%s", text, extra={"fields": fields})


def logs_requests() -> bool:
    """Whether requests are logged."""
    return _ACCESS.isEnabledFor(logging.INFO)


class MaskedFormatter(logging.Formatter):
    """Masks secrets in log records, tracebacks included, and escapes what could forge others.

    A path or a name may hold line breaks and commands for terminals. So a message is one line, and
    the lines of a traceback are indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, secrets masked."""
        lines = masked(super().format(record)).split("\n")
        return "\n  ".join(map(_escaped, lines))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of the base class
        """Return the message as one line."""
        return _escaped(super().formatMessage(record))


class JsonFormatter(logging.Formatter):
    """Returns records as JSON objects of one line, secrets masked, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        content = {
            "message": record.getMessage().rstrip("\n"),
            **_ids.get(),
            **getattr(record, "fields", _NOTHING),
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            content["stack"] = record.stack_info
        origin = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
        }
        line = json.dumps(origin | {name: _plain(value) for name, value in content.items()})
        return line.replace("\x7f", "\\u007f")


def _plain(value: object) -> object:
    return value if isinstance(value, int | float) else masked(str(value))


def _escaped(text: str) -> str:
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def log_to_stderr(log_format: str) -> None:
    """Log to stderr with secrets masked, unless logging is already configured.

    Parameters
    ----------
    log_format : str
        ``text``, or ``json`` for one object a line, requests and runs included.
    """
    in_json, root = log_format == "json", logging.getLogger()
    _SERVICE.setLevel(logging.INFO)
    for logger in (_ACCESS, _RUNS):
        logger.setLevel(logging.INFO if in_json else logging.WARNING)
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter() if in_json else MaskedFormatter())
        root.addHandler(handler)
    if any(isinstance(each.formatter, JsonFormatter) for each in root.handlers):
        for each in logging.getLogger("gunicorn.error").handlers:  # if it serves this process
            each.setFormatter(JsonFormatter())
        logging.captureWarnings(True)
        sys.excepthook = _log_end
        threading.excepthook = _log_end_of_thread


def _log_end(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    _log.critical("the process ends: %s", kind.__name__, exc_info=(kind, error, traceback))


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is SystemExit or ended.exc_value is None:
        return
    about = (ended.exc_type, ended.exc_value, ended.exc_traceback)
    _log.error("a thread ended: %s", ended.thread and ended.thread.name, exc_info=about)
