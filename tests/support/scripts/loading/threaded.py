"""It starts a thread when it is imported."""

from __future__ import annotations

import threading
import time

FOREVER = 600.0

threading.Thread(target=time.sleep, args=[FOREVER], daemon=True).start()


def threaded() -> int:
    return threading.active_count()
