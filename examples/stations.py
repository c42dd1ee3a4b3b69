"""Map a script over the stations in a table: one item for each, on all free slots."""

import os
import time
from typing import Any

import requests

SERVER = os.environ.get("JOBSERVER_ADDRESS", "http://localhost:5000")

table = {
    "station": ["Bonn", "Bonn", "Koblenz", "Koblenz", "Mainz"],
    "discharge": [2100.0, 3450.5, 1980.0, 2760.0, 1650.25],
}
fields: dict[str, Any] = {
    "script": {"type": "map", "name": "peak", "over": {"groups": "station"}},
    "data": {"type": "raw_data", "data": table, "datatype": "dataframe"},
}
job = requests.put(f"{SERVER}/job", json=fields, timeout=30)
job.raise_for_status()
address = SERVER + job.headers["Location"]
requests.post(f"{address}/run", timeout=30).raise_for_status()

while requests.get(address, timeout=30).json()["state"] in ("queued", "running"):
    time.sleep(0.2)
for item in requests.get(f"{address}/result", timeout=30).json():
    print(item["station"], item["peak"])
