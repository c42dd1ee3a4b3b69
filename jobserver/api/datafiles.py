"""``/datafiles``: all data files: list, delete."""

from __future__ import annotations

from flask import Blueprint

from jobserver.api.endpoint import Answer, endpoint, refuse_filter
from jobserver.api.identity import own_datafiles
from jobserver.api.schemas import AllDeleted, DataFileList

datafiles = Blueprint("datafiles", __name__)


@endpoint(datafiles, "GET", "/datafiles", policy="datafiles.list", answers={200: DataFileList})
def list_datafiles() -> Answer:
    """List all data files."""
    files = [{"type": "datafile", **info} for info in own_datafiles().list()]
    return Answer({"found": len(files), "files": files})


@endpoint(
    datafiles,
    "DELETE",
    "/datafiles",
    policy="datafile.delete",
    answers={200: AllDeleted},
    refusals=(413, 415),
)
def delete_datafiles() -> Answer:
    """Delete all data files, without asking again."""
    refuse_filter()
    deleted = own_datafiles().delete_all()
    return Answer(
        {
            "status": 200,
            "acknowledged": True,
            "deleted": deleted,
            "total": deleted,
            "message": f"{deleted} data files were deleted.",
        }
    )
