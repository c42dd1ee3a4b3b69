#!/bin/sh
# Run a job with curl alone: create it, start it, wait for its end, read its result.
set -eu

server=${JOBSERVER_ADDRESS:-http://localhost:5000}
id=example-$$

curl -sS -X PUT "$server/job/$id" -H 'Content-Type: application/json' \
     -d '{"script_name": "summary", "datafile": "timeseries.csv"}' >/dev/null
curl -sS -X POST "$server/job/$id/run" >/dev/null
curl -sSN "$server/job/$id/events" >/dev/null  # the stream ends with the job
curl -sS "$server/job/$id/result"
