"""What is kept of what a run prints: not endless, and without the folders of the server."""

from __future__ import annotations

from collections.abc import Iterable

CUT = b"\n[the output is cut here: the limit is reached]\n"
#: Bytes at the end of what was left out, in which the traceback of a failure is looked for.
_END = 16 * 1024
_TRACEBACK = b"Traceback (most recent call last):"


class Printed:
    """Takes the output of a run piece by piece, and gives what is kept of each.

    Parameters
    ----------
    limit : int
        Bytes that are kept; what comes after is left out, and a mark says so.
    folders : iterable of str
        Absolute folders; what is named in them is told by the rest of its name.
    """

    def __init__(self, limit: int, folders: Iterable[str]) -> None:
        self._left = limit
        self._folders: list[bytes] = []
        self._held = self._dropped = b""
        self.hide(*folders)

    def hide(self, *folders: str) -> None:
        """Do not tell these folders either."""
        names = {folder.rstrip("/").encode() + b"/" for folder in folders} - {b"/"}
        self._folders = sorted({*self._folders, *names}, key=len, reverse=True)

    def feed(self, text: bytes) -> bytes:
        """What is kept now; the start of what may be the name of a folder waits for its end."""
        text = self._without_folders(self._held + text)
        waits = max((_overlap(text, folder) for folder in self._folders), default=0)
        self._held = text[len(text) - waits :]
        return self._kept(text[: len(text) - waits])

    def end(self, *, failed: bool) -> bytes:
        """What is kept at the end: of a failure the traceback, also where much came before."""
        rest, self._held = self._kept(self._held), b""
        place = self._dropped.find(_TRACEBACK) if failed else -1
        return rest + self._dropped[place:] if place >= 0 else rest

    def _without_folders(self, text: bytes) -> bytes:
        for folder in self._folders:
            text = text.replace(folder, b"")
        return text

    def _kept(self, text: bytes) -> bytes:
        if not text:
            return b""
        kept = text[: max(self._left, 0)]
        if self._left < len(text):
            kept += CUT if self._left >= 0 else b""
            self._dropped = (self._dropped + text[max(self._left, 0) :])[-_END:]
            self._left = -1
        else:
            self._left -= len(text)
        return kept


def _overlap(text: bytes, folder: bytes) -> int:
    """How many bytes at the end of a text are the start of a folder's name."""
    for size in range(min(len(folder) - 1, len(text)), 0, -1):
        if text.endswith(folder[:size]):
            return size
    return 0
