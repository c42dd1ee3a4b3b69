"""Its forks end at once: no run can start from them."""

from __future__ import annotations

import os

os.register_at_fork(after_in_child=lambda: os._exit(0))


def unforked() -> None:
    pass
