"""Secrets are taken out of the log, whatever put them in."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.errors import SettingsError
from jobserver.storage.database import Database
from jobserver.system.logs import MaskedFormatter, masked, redact

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mongodb://bob:hunter2@host/x failed", "mongodb://bob:***@host/x failed"),
        ("GET /user/1/activate?token=abc.def&x=1", "GET /user/1/activate?token=***&x=1"),
        ("/reset?access_token=abc", "/reset?access_token=***"),
        ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer ***"),
        ("Authorization: Basic Ym9iOmh1bnRlcjI=", "Authorization: Basic ***"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("job 5b9011469eb82b0d84ca212f is failed", "job 5b9011469eb82b0d84ca212f is failed"),
    ],
)
def test_what_looks_like_a_secret(text: str, expected: str) -> None:
    assert masked(text) == expected


def test_what_is_known_to_be_one() -> None:
    redact("mongodb+srv://bob:p%40ss-w0rd@host", "a-mail-password", None, "", "abc")
    for text in ("p%40ss-w0rd", "p@ss-w0rd", "a-mail-password", "x p@ss-w0rd y"):
        assert "ss-w0rd" not in masked(text)
        assert "a-mail-password" not in masked(text)
    assert masked("abc") == "abc"


@given(st.text("ab:/@ %=?&tokenBearer", max_size=40))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert masked(masked(text)) == masked(text)


def test_tracebacks_too() -> None:
    try:
        raise ValueError("cannot reach mongodb://bob:hunter2@host/x?authSource=admin")
    except ValueError:
        record = logging.LogRecord(
            "x", 40, __file__, 1, "failed: %s", ("u?token=t0k",), sys.exc_info()
        )
    line = MaskedFormatter().format(record)
    assert "Traceback" in line
    assert [word for word in ("hunter2", "t0k") if word in line] == []


@pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\x00", "\x9b", "\u2028", "\u202e", "\ud800"])
def test_nobody_forges_a_line_of_the_log(char: str) -> None:
    forged = f"/a{char}[2JWARNING all is well"
    try:
        raise ValueError(forged)
    except ValueError:
        record = logging.LogRecord("x", 40, __file__, 1, "GET %s", (forged,), sys.exc_info())
    first, *others = MaskedFormatter("%(levelname)s %(message)s").format(record).split("\n")
    assert first.startswith("ERROR GET /a\\")
    assert "all is well" in first
    assert all(line.startswith("  ") for line in others)
    assert any("Traceback" in line for line in others)
    assert all(line.isprintable() for line in (first, *others))


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://bob:hunter2@@host/x",
        "mongodb://bob:hunter2/hunter2@host/x",
        "mongodb://bob:hunter2@host:port/x",
        "mongodb+srv://bob:hunter2@host:27017/x",
        "http://bob:hunter2@host",
        "mongodb://bob:hunter2%zz@host",
        "mongodb://hunter2",
        "mongodb://bob:hunter2@:27017/a b",
    ],
)
def test_a_malformed_address_is_not_repeated(uri: str) -> None:
    try:
        Database(uri).close()
    except SettingsError:
        assert "hunter2" not in traceback.format_exc()
    else:
        assert uri == "mongodb://hunter2"


def test_a_server_that_does_not_start_reveals_no_password(tmp_path: Path) -> None:
    """As gunicorn would show it: with the whole traceback."""
    code = "from jobserver.wsgi import app; app({}, print)"
    (tmp_path / "config.py").touch()
    environ = os.environ | {
        "JOBSERVER_HOME": str(tmp_path),
        "JOBSERVER_MONGO_URI": "mongodb://bob:hun/ter2@host/x",
        "JOBSERVER_MAIL_PASSWORD": "hunter2",
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "MONGO_URI cannot be used: the string is malformed." in done.stderr
    assert [word for word in ("ter2", "hun/") if word in done.stderr] == []
