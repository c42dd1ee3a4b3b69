"""Executable files as scripts: what they get, what they give back, and which are refused."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.runs import MIB, below, cancel, log_of
from tests.support.server import Job, MakeServer, Server, finished, until

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
shown = {"name": os.path.basename(path), "text": open(path).read(1000), "rest": sys.argv[2:]}
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
    "both": """#!/bin/sh
echo begun
echo complained >&2
while [ ! -e "$1" ]; do sleep 0.05; done
""",
    "forever": "#!/bin/sh\necho begun\nsleep 1000 &\nsleep 1000\n",
    "leaves": "#!/bin/sh\necho begun\nsleep 1000 &\n",
    "much": "#!/bin/sh\nyes é | head -c 100000\n",
    "stdin": "#!/bin/sh\ncat\n",
    "hungry": "#!/usr/bin/env python3\nimport time\nblock = b'x' * (600 * 2**20)\ntime.sleep(60)\n",
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
    """Put executables into a home, and files that are not executable."""
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


def test_arguments_are_passed_as_they_are(files: httpx.Client) -> None:
    args = ["a b", "", "$HOME", "; rm -rf /", "-x", "--", "*", "'\"\\", "é", 1, 2.5, True, "a\nb"]
    text = [str(arg) for arg in args]
    text[text.index("True")] = "true"
    found = result(files, "arguments", args=args)
    assert found == {"stdout": "\n".join(text) + "\n", "stderr": "", "returncode": 0}


def test_kwargs_are_options(files: httpx.Client) -> None:
    kwargs = {"level": 5, "name": "a b", "each": ["x", 1], "flag": True, "off": False, "no": None}
    found = result(files, "arguments", args=["first"], kwargs=kwargs)
    lines = ["first", "--level", "5", "--name", "a b", "--each", "x", "--each", "1", "--flag"]
    assert found["stdout"].splitlines() == lines


def test_a_data_file_is_the_first_argument(files: httpx.Client, files_server: Server) -> None:
    job = run(files, "show.py", {"datafile": "timeseries.csv"}, args=["-v"])
    shown = job["result"]["stdout"]
    text = (files_server.data / "timeseries.csv").read_text()
    assert shown["name"] == "timeseries.csv"
    assert shown["text"] == text[:1000]
    assert shown["rest"] == ["-v"]
    assert [name for name in shown["cwd"] if not name.startswith("data-")] == []
    assert shown["secrets"] == []
    assert job["provenance"]["data"] == {
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "size": len(text),
    }


@pytest.mark.parametrize(
    ("fields", "name", "text"),
    [
        ({"raw_data": {"a": [1, 2.5, None]}}, "data.json", '{"a":[1,2.5,null]}\n'),
        ({"raw_data": None}, "data.json", "null\n"),
        ({"raw_data": "text, é"}, "data.txt", "text, é"),
        (
            {"data": {"type": "raw_data", "data": {"a": [1, 2]}, "datatype": "dataframe"}},
            *("data.csv", "a\n1\n2\n"),
        ),
        (
            {"data": {"type": "raw_data", "data": [1.5, 2], "datatype": "ndarray"}},
            *("data.csv", "1.5\n2.0\n"),
        ),
        (
            {"data": {"type": "raw_data", "data": [[[1]]], "datatype": "ndarray"}},
            *("data.json", None),
        ),
    ],
)
def test_other_data_is_written_to_a_file(
    files: httpx.Client, fields: Job, name: str, text: str | None
) -> None:
    shown = result(files, "show.py", fields)["stdout"]
    assert shown["name"] == name
    if text is not None:
        assert shown["text"] == text


def test_an_awk_script_runs(files: httpx.Client) -> None:
    found = result(files, "mean.awk", {"datafile": "timeseries.csv"})
    assert found["stdout"] == {"mean": pytest.approx(40.13, abs=0.01), "count": 12_000}


@pytest.mark.skipif(shutil.which("perl") is None, reason="no Perl here")
def test_a_perl_script_runs(files: httpx.Client) -> None:
    assert result(files, "count.pl", {"datafile": "timeseries.csv"})["stdout"] == 12_001


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_a_compiled_program_runs(files: httpx.Client, files_server: Server, tmp_path: Path) -> None:
    (tmp_path / "sum.c").write_text(PROGRAM)
    program = files_server.home / "files" / "sum"
    subprocess.run(["cc", "-o", program, tmp_path / "sum.c"], check=True)
    assert result(files, "sum", args=[1, 2.5, "3"])["stdout"] == 6.5


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="no R here")
def test_an_r_script_runs(files: httpx.Client, files_server: Server) -> None:
    script = files_server.home / "files" / "mean.R"
    script.write_text(
        "#!/usr/bin/env Rscript\ncat(mean(read.csv(commandArgs(TRUE)[1])$value), '\\n')\n"
    )
    script.chmod(0o755)
    found = result(files, "mean.R", {"datafile": "timeseries.csv"})
    assert found["stdout"] == pytest.approx(40.13, abs=0.01)


def test_output_is_streamed(files: httpx.Client, files_server: Server) -> None:
    gate = files_server.home / "both-gate"
    job_id = start(files, "both", args=[str(gate)])
    until(lambda: "complained" in log_of(files, job_id))
    assert files.get(f"/job/{job_id}").json()["state"] == "running"
    gate.touch()
    job = finished(files, job_id)
    assert job["result"] == {"stdout": "begun\n", "stderr": "complained\n", "returncode": 0}
    assert sorted(log_of(files, job_id).splitlines()) == ["begun", "complained"]


def test_another_exit_code_fails_with_what_was_complained(files: httpx.Client) -> None:
    job = run(files, "fail")
    assert (job["state"], job["error"], job["result"]) == ("failed", "ProgramFailed", None)
    assert job["message"] == "exit code 3: then it broke"
    assert "all was well so far" in log_of(files, job["_id"])
    assert "Traceback" not in log_of(files, job["_id"])


def test_a_signal_is_named(files: httpx.Client) -> None:
    assert run(files, "suicide")["message"] == "killed by SIGSEGV"


@pytest.mark.parametrize("name", ["bare", "lost"])
def test_what_cannot_be_started_says_how_to_mend_it(
    files: httpx.Client, files_server: Server, name: str
) -> None:
    job = run(files, name)
    assert job["state"] == "failed"
    assert job["message"].startswith(f"{name} could not be started: ")
    assert "#!/bin/sh" in job["message"]
    assert str(files_server.home) not in job["message"]


def test_no_output_and_no_input(files: httpx.Client) -> None:
    assert result(files, "nothing")["stdout"] == ""
    assert result(files, "stdin")["stdout"] == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1, 2]", [1, 2]),
        ('"a"', "a"),
        (" null\n", None),
        ("NaN", "NaN"),
        ("[1, NaN]", "[1, NaN]"),
        ("{}{}", "{}{}"),
        ("{'a': 1}", "{'a': 1}"),
        ('{"a.b": {"$c": 1}}', {"a.b": {"$c": 1}}),
        ("[" * 70 + "]" * 70, "[" * 70 + "]" * 70),
    ],
)
def test_json_is_parsed_where_all_of_it_is(files: httpx.Client, text: str, value: Any) -> None:
    assert result(files, "json", args=[text])["stdout"] == value


def test_output_beyond_the_limit_is_left_out_and_counted(files: httpx.Client) -> None:
    found = result(files, "much")
    assert len(found["stdout"].encode()) in (OUTPUT, OUTPUT - 1)
    assert set(found["stdout"]) == {"é", "\n"}
    assert found["left_out"] == {"stdout": 100_000 - OUTPUT}


def test_a_file_is_cancelled_with_all_that_it_started(
    files: httpx.Client, files_server: Server
) -> None:
    job_id = start(files, "forever")
    until(lambda: "begun" in log_of(files, job_id))
    began = time.monotonic()
    assert cancel(files, job_id)["state"] == "cancelled"
    assert time.monotonic() - began < 1.5
    until(lambda: not [each for each in below(files_server.home) if each.name() == "sleep"])


def test_a_file_has_its_time(files: httpx.Client) -> None:
    job = run(files, "forever", {"timeout": 0.3})
    assert (job["state"], job["message"]) == ("failed", "timeout of 0.3 s exceeded")


def test_a_file_has_its_memory(files: httpx.Client) -> None:
    job = run(files, "hungry")
    assert job["state"] == "failed"
    assert job["error"] in ("MemoryError", "ProgramFailed")
    assert "emory" in job["message"]


def test_what_a_file_leaves_running_is_ended(files: httpx.Client, files_server: Server) -> None:
    assert result(files, "leaves")["stdout"] == "begun\n"
    until(lambda: not [each for each in below(files_server.home) if each.name() == "sleep"])


def test_the_data_of_another_job_is_not_there(files: httpx.Client) -> None:
    result(files, "show.py", {"raw_data": 1})
    shown = result(files, "show.py", {"raw_data": 2})["stdout"]
    assert len(shown["cwd"]) == 1


def test_files_are_listed_and_described(files: httpx.Client, files_server: Server) -> None:
    scripts = files.get("/scripts").json()
    assert scripts["found"] == len(scripts["scripts"])
    listed = {each["name"]: each for each in scripts["scripts"] if each["type"] == "file"}
    assert listed.keys() - {"sum", "mean.R"} == FILES.keys()
    source = (files_server.home / "files" / "arguments").read_bytes()
    assert listed["arguments"] == {
        "type": "file",
        "name": "arguments",
        "module": None,
        "version": hashlib.sha256(source).hexdigest(),
        "description": "Give its arguments back, one a line.",
        "parameters": listed["arguments"]["parameters"],
    }
    assert listed["suicide"]["description"] == ""
    assert files.get("/script/mean.awk").json() == listed["mean.awk"]
    hidden = files.get("/script/summary", params={"type": "file"})
    assert hidden.status_code == 404
    assert "summary?" not in hidden.json()["message"]
    assert "mean.awk" in files.get("/script/mean").json()["message"]
    assert files.get("/script/summary").json()["type"] == "function"
    assert files.get("/script/plain").status_code == 404


def test_the_version_of_a_file_is_recorded_and_follows_it(
    files: httpx.Client, files_server: Server
) -> None:
    path = files_server.home / "files" / "json"
    for _ in range(2):
        job = run(files, "json", args=["1"])
        version = hashlib.sha256(path.read_bytes()).hexdigest()
        script = {"type": "file", "name": "json", "version": version}
        assert job["provenance"]["script"] == script
        assert files.get("/script/json").json()["version"] == version
        path.write_text(path.read_text() + "# changed\n")


HOSTILE = [
    *("", ".", "..", "/", "//", "./nothing", "../outside", "files/nothing", "folder", "folder/"),
    *("/bin/sh", "/bin/../bin/sh", "..\\outside", "C:\\nothing", "C:nothing", "~/nothing", "~"),
    *("nothing/", "nothing/.", "nothing\0", "nothing\0.sh", "\0nothing", "nothing\n", "\nnothing"),
    *(" nothing", "nothing ", "nothing.", ".nothing", "-nothing", "--help", "$HOME", "${IFS}"),
    *(
        "`nothing`",
        "$(nothing)",
        "nothing;ls",
        "nothing|ls",
        "nothing&",
        "nothing>x",
        "*",
        "noth?ng",
    ),
    *("nothing\u202e", "nоthing", "ｎothing", "NOTHING", "con", "nul.sh", "com1", "lpt9.exe"),
    *("link", "near", "plain", "sh", "a" * 101, "%2e%2e/outside", "..%2foutside", "file:nothing"),
    *("nothing:x", "nothing::$DATA", "/proc/self/exe", "/dev/stdin", "nothing'", 'nothing"', "é"),
]


def test_hostile_names_of_files_are_refused(files: httpx.Client) -> None:
    assert len(HOSTILE) >= 50
    for name in HOSTILE:
        answer = refusal(files, {"type": "file", "name": name})
        assert answer.keys() == {"script.name"}, name


def test_hostile_names_of_functions_are_refused(files: httpx.Client) -> None:
    odd = [
        *("__import__", "os.system", "builtins.eval", "jobserver.scripts.__init__", "__class__"),
        *(
            "summary.__globals__",
            "jobserver.scripts.shipped.timeseries._describe",
            "on_init",
            "_table",
        ),
        *("jobserver.scripts.on_init", "trials.Path", "trials.time.sleep", "trials.sys", "trials."),
        *(
            "summary()",
            "summary\n",
            " summary",
            "Summary",
            "lambda: 0",
            "jobserver.cli.commands.main",
        ),
    ]
    for name in [*HOSTILE, *odd]:
        assert refusal(files, {"name": name}).keys() == {"script.name"}, name


@pytest.mark.parametrize(
    ("script", "fields"),
    [
        ({"name": 5}, ["script.name"]),
        ({}, ["script.name"]),
        ({"name": "nothing", "code": "1"}, ["script.code"]),
        ({"name": "nothing", "args": "a"}, ["script.args"]),
        ({"name": "nothing", "kwargs": []}, ["script.kwargs"]),
        ({"name": "nothing", "args": [None, {}, [], "ok"]}, ["args[0]", "args[1]", "args[2]"]),
        ({"name": "nothing", "args": ["x" * 100_001]}, ["args[0]"]),
        ({"name": "nothing", "args": ["x" * 99_999] * 11}, ["args"]),
        ({"name": "nothing", "kwargs": {"a": {}, "b": [1, None]}}, ["kwargs.a", "kwargs.b[1]"]),
    ],
)
def test_what_cannot_be_passed_on_is_refused(
    files: httpx.Client, script: Job, fields: list[str]
) -> None:
    assert list(refusal(files, {"type": "file", **script})) == fields


@pytest.mark.parametrize(
    "key", ["-x", "--x", "a b", "a=b", "1a", "_a", "é", "a/b", "a;b", "a" * 65, "a\n", "`a`"]
)
def test_odd_names_of_options_are_refused(files: httpx.Client, key: str) -> None:
    (field,) = refusal(files, {"type": "file", "name": "nothing", "kwargs": {key: 1}})
    assert field.startswith("kwargs.")


def test_data_that_is_not_there_is_refused(files: httpx.Client) -> None:
    job = {"datafile": "nothing.csv"}
    assert refusal(files, {"type": "file", "name": "nothing"}, job).keys() == {"datafile"}


def test_files_are_off_by_default(server: Server) -> None:
    reasons = refusal(server.client, {"type": "file", "name": "nothing"})
    assert "PROCESS_FILE_ALLOWED" in reasons["script.type"]
    types = {each["type"] for each in server.client.get("/scripts").json()["scripts"]}
    assert types == {"function"}
