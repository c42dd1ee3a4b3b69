"""A Dask worker in an environment without Jobserver."""

from __future__ import annotations

import sys

from distributed.cli.dask_worker import main

if __name__ == "__main__":
    sys.modules["jobserver"] = None  # type: ignore[assignment]  # as if it were not installed
    main()
