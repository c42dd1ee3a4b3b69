"""Its processes can open no more files: no run can start from them."""

from __future__ import annotations

import resource

resource.setrlimit(resource.RLIMIT_NOFILE, (5, 5))


def starved() -> None:
    pass
