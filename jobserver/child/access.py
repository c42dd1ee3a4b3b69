"""Prints what the user it runs as may do and should not, or should and may not, as JSON.

Run by `jobserver.execution.run_as` as ``python -m jobserver.child.access FACTS``.
"""

from __future__ import annotations

import json
import os
import sys

from jobserver.system.run_user import capabilities


def main() -> None:
    """Print the problems, each as what the user can or cannot do."""
    facts = json.loads(sys.argv[1])
    problems = [f"cannot read {path}" for path in facts["read"] if not _may(path, os.R_OK)]
    problems += [f"cannot enter {path}" for path in facts["enter"] if not _may(path, os.X_OK)]
    problems += [f"can read {path}" for path in facts["secret"] if _may(path, os.R_OK)]
    problems += [f"can change {path}" for path in facts["closed"] if _may(path, os.W_OK)]
    print(json.dumps(problems + ["keeps capabilities"] * bool(capabilities())))


def _may(path: str, right: int) -> bool:
    return os.access(path, right)


if __name__ == "__main__":
    main()
