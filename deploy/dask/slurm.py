"""A Dask scheduler that starts its workers as jobs of Slurm, as many as Jobserver has work for.

Change the values below to those of your cluster, and run it where it lasts, such as on a login
node or below systemd::

    pip install "jobserver-rest[dask]" dask-jobqueue
    python slurm.py                     # serves until Ctrl-C
    python slurm.py --job-script        # shows what it hands to sbatch

Then point the server to it: ``JOBSERVER_DASK_SCHEDULER=tcp://<this host>:8786``.
"""

from __future__ import annotations

import sys
import threading

from dask_jobqueue import SLURMCluster

PARTITION = "normal"
ACCOUNT = "hydrology"
#: One worker: it runs so many jobs at once, which share its memory.
JOBS_AT_ONCE = 4
MEMORY = 16 * 1000**3
WALLTIME = "08:00:00"
#: Before the walltime ends, a worker takes no more jobs; what runs then is interrupted, and tried
#: again if the job has retries.
LIFETIME = "7h45m"
#: Workers at most; set WORKERS of the server to this times JOBS_AT_ONCE.
MOST_WORKERS = 20
#: What a worker offers to jobs that ask for "resources".
RESOURCES = f"memory={MEMORY}"
#: A file that only you can read, with the URI of the database. A URI in the job script would be
#: seen by everybody who may run scontrol.
URI_FILE = "$HOME/.jobserver-mongo-uri"
#: Python of an environment that every node sees, with the same versions as the server's.
PYTHON = sys.executable
SCHEDULER_PORT, DASHBOARD = 8786, ":8787"


def make_cluster(port: int = SCHEDULER_PORT, dashboard: str = DASHBOARD) -> SLURMCluster:
    """Start the scheduler; it submits no job yet."""
    return SLURMCluster(
        queue=PARTITION,
        account=ACCOUNT,
        job_name="jobserver",
        cores=JOBS_AT_ONCE,
        processes=1,
        memory=f"{MEMORY} B",
        walltime=WALLTIME,
        local_directory="${SLURM_TMPDIR:-/tmp}",
        python=PYTHON,
        # For GPUs: job_extra_directives=["--gres=gpu:1"], and "GPU=1" in RESOURCES.
        job_script_prologue=["umask 077", f'export JOBSERVER_MONGO_URI="$(cat {URI_FILE})"'],
        worker_extra_args=[
            *("--resources", f"'{RESOURCES}'"),
            *("--lifetime", LIFETIME, "--lifetime-stagger", "5m"),
        ],
        scheduler_options={"port": port, "dashboard_address": dashboard},
    )


def main() -> None:
    """Show the job script, or serve."""
    if "--job-script" in sys.argv:
        with make_cluster(port=0, dashboard="127.0.0.1:0") as cluster:
            print(cluster.job_script())
        return
    with make_cluster() as cluster:
        cluster.adapt(minimum=0, maximum=MOST_WORKERS, wait_count=30)
        print(f"Set JOBSERVER_DASK_SCHEDULER={cluster.scheduler_address}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
