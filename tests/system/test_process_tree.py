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
HIDDEN = """
import os, signal
from jobserver.system.process_tree import is_alive, shield_memory
ours, theirs = os.pipe()
pid = os.fork()
if pid == 0:
    shield_memory()
    os.write(theirs, b"!")
    signal.pause()
os.read(ours, 1)
print(os.path.exists(f"/proc/{pid}"), is_alive(pid))
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
print(is_alive(pid))
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


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a /proc")
def test_a_process_that_proc_hides_is_alive() -> None:
    """As with `ProtectProc` of systemd: a second server must not take the first for gone."""
    mount = (
        f"mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid {NOBODY} --regid {NOBODY} "
    )
    command = f'{mount} --clear-groups "$@"'
    done = subprocess.run(
        ["unshare", "-m", "-p", "-f", "sh", "-c", command, "sh", PYTHON, "-c", HIDDEN],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False True\nFalse\n"
