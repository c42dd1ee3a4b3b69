"""Executable files as scripts: what they get, what they give back, and which are refused."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import Job, MakeServer, Server, finished, until
from tests.runs.conftest import MIB, below, cancel, log_of

OUTPUT = 20_000
FILES = {
    "arguments": """#!/bin/sh
# Give its arguments back, one a line.
#
# This is for tests.
for each in "$@"; do printf '%s\\n' "$each"; done
""",
    "mean.awk": """#!/usr/bin/awk -f
# The mean of the last column.
BEGIN { FS = "," }
NR > 1 { sum += $NF; count++ }
END { printf "{\\"mean\\": %.6f, \\"count\\": %d}\\n", sum / count, count }
""",
    "count.pl": """#!/usr/bin/perl
use strict;
my $lines = 0;
open(my $file, '<', $ARGV[0]) or die "no file: $!";
while (<$file>) { $lines++ }
print "$lines\\n";
""",
    "show.py": """#!/usr/bin/env python3
import json, os, sys
path = sys.argv[1]
shown = {"name": os.path.basename(path), "text": open(path).read(), "rest": sys.argv[2:]}
shown["cwd"] = os.listdir(".")
shown["secrets"] = [name for name in os.environ if name.startswith("JOBSERVER")]
json.dump(shown, sys.stdout)
""",
    "fail": """#!/bin/sh
echo "all was well so far"
echo "then it broke" >&2
exit 3
""",
    "suicide": "#!/bin/sh\nkill -SEGV $$\n",
    "nothing": "#!/bin/sh\n",
    "cat": '#!/bin/sh\ncat "$1"\n',
    "both": '#!/bin/sh\necho begun; echo complained >&2; while [ ! -e "$1" ]; do sleep 0.05; done\n',
    "forever": "#!/bin/sh\necho begun\nsleep 1000 &\nsleep 1000\n",
    "leaves": "#!/bin/sh\necho begun\nsleep 1000 &\n",
    "much": "#!/bin/sh\nyes é | head -c 100000\n",
    "stdin": "#!/bin/sh\ncat\n",
    "hungry": "#!/usr/bin/env python3\nblock = bytearray(600 * 2**20)\n",
    "bare": "echo no interpreter\n",
    "lost": "#!/no/such/interpreter\n",
    "json": "#!/bin/sh\nprintf '%s' \"$1\"\n",
}
PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    double sum = 0;
    for (int n = 1; n < argc; n++) sum += atof(argv[n]);
    printf("%g\\n", sum);
    return 0;
}
"""


def add_files(home: Path) -> None:
    """Put executables into a home, and what is none beside them."""
    folder = home / "files"
    (folder / "folder").mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "plain").write_text("#!/bin/sh\necho not executable\n")
    (folder / "link").symlink_to("/bin/echo")
    (folder / "near").symlink_to("nothing")
    (home / "outside").write_text("#!/bin/sh\n")
    (home / "outside").chmod(0o755)


@pytest.fixture(scope="module")
def files_server(make_server: MakeServer) -> Iterator[Server]:
    with make_server(
        prepare=add_files,
        PROCESS_FILE_ALLOWED=True,
        WORKERS=2,
        JOB_OUTPUT_LIMIT=OUTPUT,
        JOB_MEMORY_LIMIT=256 * MIB,
    ) as server:
        yield server


@pytest.fixture
def files(files_server: Server) -> Iterator[httpx.Client]:
    yield files_server.client
    files_server.check()


def start(client: httpx.Client, name: str, fields: Job | None = None, **script: Any) -> str:
    """Create a job of a file and start it; its id."""
    body = {"script": {"type": "file", "name": name, **script}, **(fields or {})}
    job_id = str(client.put("/job", json=body).json()["_id"])
    answer = client.post(f"/job/{job_id}/run")
    assert answer.status_code == 202, answer.text
    return job_id


def run(client: httpx.Client, name: str, fields: Job | None = None, **script: Any) -> Job:
    """Run a file; its job at its end."""
    return finished(client, start(client, name, fields, **script))


def result(client: httpx.Client, name: str, fields: Job | None = None, **script: Any) -> Any:
    """What a file gave."""
    job = run(client, name, fields, **script)
    assert job["state"] == "finished", job
    return job["result"]


def refusal(client: httpx.Client, script: Any, fields: Job | None = None) -> dict[str, str]:
    """Why a job is not run, by field; it stays as it was."""
    job_id = client.put("/job", json={"script": script, **(fields or {})}).json()["_id"]
    before = client.get(f"/job/{job_id}").json()
    answer = client.post(f"/job/{job_id}/run")
    assert answer.status_code == 422, answer.text
    assert client.get(f"/job/{job_id}").json() == before
    return {each["field"]: each["problem"] for each in answer.json()["errors"]}


def test_smoke(files: httpx.Client) -> None:
    print(run(files, "arguments", args=["a", 1]))
    print(run(files, "mean.awk", {"datafile": "timeseries.csv"}))
    print(run(files, "fail"))
