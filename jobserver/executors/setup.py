"""What a child is told before all else."""

from __future__ import annotations

import sys

from jobserver.protocol import Message
from jobserver.settings import Settings, public_values


def setup_message(settings: Settings, runs: bool = True) -> Message:
    """What a child needs to load its scripts, and no secret among it.

    Parameters
    ----------
    settings : Settings
        Where scripts are, and what they may know.
    runs : bool
        Whether the child will run scripts, or only look at them.
    """
    return {
        "runs": runs,
        "can_fork": sys.platform == "linux",
        "import_timeout": settings.SCRIPT_IMPORT_TIMEOUT,
        "home": str(settings.home),
        "scripts": str(settings.scripts_path),
        "modules": list(settings.SCRIPT_MODULES),
        "files": settings.files_path and str(settings.files_path),
        "code": settings.PROCESS_EVAL_ALLOWED,
        "output": settings.JOB_OUTPUT_LIMIT,
        "config": public_values(settings),
    }
