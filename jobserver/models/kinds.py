"""Every kind of process there is, for those who run one; `make_process` finds it by its type."""

from __future__ import annotations

from jobserver.models.mapping import Map
from jobserver.models.pipeline import Pipeline
from jobserver.models.process import PROCESSES, make_process

__all__ = ["PROCESSES", "make_process"]

PROCESSES |= {process.type: process for process in (Pipeline, Map)}
