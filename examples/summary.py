"""Upload a file, run a shipped script on it, and print the result."""

import io
import os
import time

import requests

SERVER = os.environ.get("JOBSERVER_ADDRESS", "http://localhost:5000")

csv = io.BytesIO(b"day,rain\n2026-01-01,0.5\n2026-01-02,12.25\n2026-01-03,3.0\n")
upload = requests.put(f"{SERVER}/datafile/rain.csv", files={"file": csv}, timeout=30)
if upload.status_code != 409:  # 409: it was uploaded before
    upload.raise_for_status()

fields = {"script_name": "summary", "datafile": "rain.csv"}
job = requests.put(f"{SERVER}/job", json=fields, timeout=30)
job.raise_for_status()
address = SERVER + job.headers["Location"]
requests.post(f"{address}/run", timeout=30).raise_for_status()

while requests.get(address, timeout=30).json()["state"] in ("queued", "running"):
    time.sleep(0.2)
result = requests.get(f"{address}/result", timeout=30)
result.raise_for_status()
print(result.json()["rain"])
