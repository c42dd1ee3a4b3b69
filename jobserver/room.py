"""Room on the disk: what is stored must leave enough for the embedded database to live on."""

from __future__ import annotations

import shutil
from pathlib import Path

from jobserver.errors import Unavailable
from jobserver.sizes import MIB, rounded_size

#: Bytes of a disk that clients cannot fill: a database without room to write breaks down. Of a
#: small disk it is this part.
RESERVE = 64 * MIB
_PART = 4


def check_room(folder: Path, size: int = 0) -> None:
    """See to it that so many bytes can be stored in a folder, and the reserve stays free.

    Parameters
    ----------
    size : int
        Bytes to be stored.

    Raises
    ------
    Unavailable
        If the disk is too full.
    """
    disk = shutil.disk_usage(folder)
    if disk.free - size < min(RESERVE, disk.total // _PART):
        raise Unavailable(
            f"The server's disk is almost full: {rounded_size(disk.free)} are left. Delete data "
            "files, or ask its administrator for room.",
            retry_after=60,
        )
