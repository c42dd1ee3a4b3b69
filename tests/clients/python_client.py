"""The four steps of the guide, and an upload, by the client that openapi-python-client generates.

It is run where that client can be imported, with the address of a server.
"""

from __future__ import annotations

import sys
import time
from io import BytesIO

from jobserver_client import Client  # type: ignore[import-not-found, unused-ignore]
from jobserver_client.api.datafile import (  # type: ignore[import-not-found, unused-ignore]
    delete_datafile,
    upload_datafile,
)
from jobserver_client.api.job import (  # type: ignore[import-not-found, unused-ignore]
    change_job,
    create_job,
    read_job,
)
from jobserver_client.api.jobs import (  # type: ignore[import-not-found, unused-ignore]
    list_jobs,
)
from jobserver_client.api.runs import (  # type: ignore[import-not-found, unused-ignore]
    run_job_post,
)
from jobserver_client.models import (  # type: ignore[import-not-found, unused-ignore]
    Deleted,
    JobBody,
    JobDocument,
    JobList,
    State,
    UploadDatafileFilesBody,
    Uploaded,
)
from jobserver_client.types import File  # type: ignore[import-not-found, unused-ignore]

SECONDS = 30


def run(address: str) -> None:
    """Create a job, add its data, start it and wait for its result."""
    client = Client(address)
    job = create_job.sync(client=client, body=JobBody(script_name="summary"))
    assert isinstance(job, JobDocument)
    assert job.state is State.CREATED
    job_id = job.field_id
    job = change_job.sync(job_id, client=client, body=JobBody(datafile="timeseries.csv"))
    assert isinstance(job, JobDocument)
    assert job.script_name == "summary", "a change sent the defaults of other fields"
    job = run_job_post.sync(job_id, client=client)
    end = time.monotonic() + SECONDS
    while isinstance(job, JobDocument) and job.state in (State.QUEUED, State.RUNNING):
        assert time.monotonic() < end, "the job did not end"
        job = read_job.sync(job_id, client=client, stringify=False)
    assert isinstance(job, JobDocument)
    assert job.state is State.FINISHED, job.message
    assert job.result["value"]["count"] == 12000
    listed = list_jobs.sync(client=client, limit=1, fields="state")
    assert isinstance(listed, JobList)
    assert [each.state for each in listed.jobs] == [State.FINISHED]


def upload(address: str) -> None:
    """Upload a data file as a form and as the body, and delete it."""
    client = Client(address)
    form = UploadDatafileFilesBody(file=File(BytesIO(b"a,b\n1,2\n"), "client.csv"))
    for body in (form, File(BytesIO(b"a,b\n1,2\n"), "client.csv")):
        stored = upload_datafile.sync("client.csv", client=client, body=body)
        assert isinstance(stored, Uploaded), stored
        assert isinstance(delete_datafile.sync("client.csv", client=client), Deleted)


if __name__ == "__main__":
    run(sys.argv[1])
    upload(sys.argv[1])
