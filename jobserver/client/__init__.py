"""The Python client: submit jobs to a server, wait for them, get their results.

It speaks HTTP only, and knows nothing of the server's modules. pandas and NumPy are imported when
a table or an array is sent or received.
"""

from jobserver.client.client import Client
from jobserver.client.failures import JobFailed, Unreachable
from jobserver.client.job import Job
from jobserver.client.results import Picture

__all__ = ["Client", "Job", "JobFailed", "Picture", "Unreachable"]
