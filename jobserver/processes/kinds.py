"""Every kind of process there is, for those who run one; `make_process` finds it by its type."""

from __future__ import annotations

from jobserver.processes.function import PROCESSES, make_process
from jobserver.processes.maps.map import Map
from jobserver.processes.pipeline import Pipeline

__all__ = ["PROCESSES", "make_process"]

PROCESSES |= {process.type: process for process in (Pipeline, Map)}
