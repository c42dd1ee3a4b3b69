"""Run a script of your own with parameters: first valid ones, then ones that are refused."""

import os
import time
from typing import Any

import requests

SERVER = os.environ.get("JOBSERVER_ADDRESS", "http://localhost:5000")


def start(**parameters: float) -> requests.Response:
    """Create a job for the script ``melt`` and start it."""
    script = {"name": "melt", "kwargs": parameters}
    fields: dict[str, Any] = {"script": script, "raw_data": [-2.0, 1.5, 4.0]}
    job = requests.put(f"{SERVER}/job", json=fields, timeout=30)
    job.raise_for_status()
    return requests.post(f"{SERVER}{job.headers['Location']}/run", timeout=30)


started = start(factor=3.5, threshold=0.5)
started.raise_for_status()
address = f"{SERVER}/job/{started.json()['_id']}"
while requests.get(address, timeout=30).json()["state"] in ("queued", "running"):
    time.sleep(0.2)
print(requests.get(f"{address}/result", timeout=30).json())

refused = start(facter=3.5)
print(refused.status_code, refused.json()["errors"])
