"""The declared interface against the server, by requests that schemathesis makes up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.strategies import fuzzed

#: A schema cannot say whether a job has what it needs to run.
LEFT_OUT = "positive_data_acceptance"
#: Streams end when the server does, the files of a page are not of the interface, and data files
#: hold what users put into them, such as JSON that is none.
PATHS = "/events$|^/docs|/content$"
#: Waiting for jobs that are never started takes long.
CONFIG = '[parameters]\n"query.wait" = 0\n'


@pytest.mark.hypothesis  # which schemathesis is made of
def test_no_answer_is_outside_the_declaration(public_server: Server, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "from schemathesis.cli import schemathesis; schemathesis()",
            ),
            *("run", f"{public_server.address}/openapi.json", "--checks", "all"),
            *("--exclude-checks", LEFT_OUT, "--exclude-path-regex", PATHS),
            *("--max-examples", str(fuzzed(5)), "--seed", "1", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=fuzzed(110),
        check=False,
    )
    public_server.check()
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "Selected" in done.stdout
