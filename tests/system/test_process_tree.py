"""What other processes may see of this one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.support.server import ROOT

#: The system's own interpreter: any user can run it.
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
NOBODY = 65534
SHIELDED = """
from jobserver.system.process_tree import shield_memory
{action}
print("ready", flush=True)
input()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
@pytest.mark.parametrize(("action", "readable"), [("", True), ("shield_memory()", False)])
def test_a_shielded_process_hides_its_environment_from_its_user(
    action: str, readable: bool
) -> None:
    if os.geteuid():
        command, options = [sys.executable], {}
    else:
        command, options = [PYTHON], {"user": NOBODY, "group": NOBODY, "extra_groups": ()}
    environ = {"SECRET": "hidden", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, "-c", SHIELDED.format(action=action)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
        cwd="/",
        **options,  # type: ignore[call-overload]
    ) as process:
        assert process.stdout
        if process.stdout.readline() != "ready\n":
            pytest.skip("another user cannot run this checkout")
        seen = subprocess.run(
            ["/bin/cat", f"/proc/{process.pid}/environ"],
            capture_output=True,
            check=False,
            **options,  # type: ignore[call-overload]
        )
        assert (b"hidden" in seen.stdout) is readable
        process.communicate("\n")
