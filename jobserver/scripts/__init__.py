"""The scripts shipped with the server, and how to write your own.

A **script** is a public function: its name does not start with ``_``, and it is defined in the
module, not imported into it. Every ``*.py`` file in the home's ``scripts/`` folder is such a
module, unless its name starts with ``_`` or ``.``; so is every module in ``SCRIPT_MODULES`` and
every entry point of the group ``jobserver.scripts``. A package also offers functions of its
submodules that it lists in ``__all__``, as this one does.

Bound data is the first argument; annotate it with `pathlib.Path` or `str` to get the file's path
instead of a table. The other parameters come from the job's ``args`` and ``kwargs`` and are checked
against the type hints before the job starts.

Files in the folder can import each other by name: the folder is the last entry of `sys.path`.
Installed modules take precedence, so a file with the name of one (``json.py``) is a script module,
but cannot be imported by others.

A module may define the hook ``on_init(app)``. It is called once in every process that loads the
scripts, before the first job: load there what all runs need. One of these processes only inspects
the scripts; there, ``app.runs`` is False.
"""

from __future__ import annotations

from typing import Any

from jobserver.scripts.shipped.balance import water_balance
from jobserver.scripts.shipped.baseflow import baseflow
from jobserver.scripts.shipped.drawing import plot
from jobserver.scripts.shipped.floods import return_periods
from jobserver.scripts.shipped.flow import flow_duration_curve
from jobserver.scripts.shipped.resampling import resample
from jobserver.scripts.shipped.timeseries import gaps, rolling, summary

__all__ = [
    "baseflow",
    "flow_duration_curve",
    "gaps",
    "on_init",
    "plot",
    "resample",
    "return_periods",
    "rolling",
    "summary",
    "water_balance",
]


def on_init(app: Any) -> None:
    """Warm up pandas, so that the first run is as fast as later ones.

    Parameters
    ----------
    app : jobserver.scripts.registry.App
        What the server tells scripts about itself: ``home``, ``config``, ``runs``.
    """
    if not app.runs:
        return
    from io import StringIO

    import pandas as pd

    summary(pd.read_csv(StringIO("date,value\n2018-09-05,1.5\n2018-09-06,2.5\n")))
