"""The user as whom runs go on, if not as the server's own: its rights to files, and to run."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypedDict

#: Numbers of the capabilities that a server needs to start, feed and end another user's processes.
_NEEDED = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7}
_READ, _ENTER = 0o4, 0o1


class Identity(TypedDict, total=False):
    """Options of `subprocess`; none of them for the user of this process."""

    user: int
    group: int
    extra_groups: tuple[int, ...]


@dataclass(frozen=True)
class RunUser:
    """A user of this machine.

    Attributes
    ----------
    name, home : str
        Its name and its own folder.
    uid, gid : int
        Its number, and that of its first group.
    groups : tuple of int
        All its groups.
    """

    name: str
    home: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @staticmethod
    @cache
    def named(name: str) -> RunUser:
        """Return the user with a name or number.

        Raises
        ------
        KeyError
            If there is none.
        """
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        return RunUser(entry.pw_name, entry.pw_dir, entry.pw_uid, entry.pw_gid, tuple(groups))

    @property
    def identity(self) -> Identity:
        """The options of `subprocess` that start a process as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": self.groups}

    def own(self, folder: str) -> None:
        """Make the user the owner of a folder."""
        os.chown(folder, self.uid, self.gid)

    def admit(self, path: Path, top: Path) -> None:
        """Let the user read a file, unless it can: the file gets its group, and that may read it.

        Parameters
        ----------
        top : pathlib.Path
            A folder above, which it may enter then, and each between them.
        """
        above = [(each, _ENTER) for each in path.parents if each.is_relative_to(top)]
        for each, right in ((path, _READ), *above):
            found = each.stat()
            if not self._has(right, found):
                os.chown(each, -1, self.gid)
                each.chmod(stat.S_IMODE(found.st_mode) & ~0o070 | right << 3)

    def _has(self, right: int, found: os.stat_result) -> bool:
        if found.st_uid == self.uid:
            return bool(found.st_mode >> 6 & right)
        if found.st_gid in self.groups:
            return bool(found.st_mode >> 3 & right)
        return bool(found.st_mode & right)


def missing_rights() -> list[str]:
    """Return what this process lacks to run others as another user."""
    if sys.platform != "linux":
        return [] if os.geteuid() == 0 else ["root"]
    held = capabilities()
    return [f"CAP_{name}" for name, number in _NEEDED.items() if not held >> number & 1]


def capabilities() -> int:
    """Return the effective capabilities of this process as bits; 0 on other systems than Linux."""
    if sys.platform != "linux":
        return 0
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
