"""Kill servers, children and databases at random moments: nothing acknowledged may be lost.

``python -m tests.faults.campaign --seeds 5 --kills 200`` does it at length and prints figures.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx

from tests.faults import hosts
from tests.faults.processes import compete
from tests.faults.upgrade import first_of_this_schema, upgrade
from tests.support.cluster import Cluster
from tests.support.database import own_database
from tests.support.deployments import Deployment, replica_set, standalone
from tests.support.fleet import GONE_SECONDS, PAIR, Fleet, fleet, manned
from tests.support.ledger import Entry, Ledger
from tests.support.races import ASKERS, race
from tests.support.runs import read, start
from tests.support.server import finished, until

LEASE = 3.0
#: Seconds that may pass beyond the lease until an interrupted job says so.
MARGIN = 5.0
#: Jobs that are kept going, and the seconds that the longest takes.
JOBS, LONGEST = 50, 1.2
#: The longest pause between two kills, and the kills between two times of rest.
PAUSE = 1.5
ROUND = 20
REST_SECONDS = 120.0
#: Share of the faults that hit the database, where that is none of the fleet's.
OUTSIDE = 0.7
DATABASES = {"standalone": standalone, "members": replica_set}
BRIEF = {"script": {"name": "work", "kwargs": {"seconds": 0}}}


@dataclass
class Figures:
    """What a campaign found.

    Attributes
    ----------
    kills, states, answers
        Counts by target, by the last state, and by the status of answers.
    settled, interrupted : list of float
        Seconds from the end of each round until every started job had come to its end, and until
        the last interrupted one had.
    orphans : float
        Longest time that a process without a living server above it was seen, s.
    """

    kills: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    settled: list[float] = field(default_factory=list)
    interrupted: list[float] = field(default_factory=list)
    orphans: float = 0.0


class Campaign:
    """Kills and asks at random, and checks what came of it.

    Parameters
    ----------
    members : Fleet
        What is killed.
    seed : int
        Of all chance.
    jobs : int
        Jobs that are kept going, in all states.
    longest : float
        Seconds that the longest of them takes.
    deployment : Deployment, optional
        The database, where it is none of theirs.
    """

    def __init__(
        self,
        members: Fleet,
        seed: int,
        jobs: int,
        longest: float,
        deployment: Deployment | None = None,
    ) -> None:
        self._jobs = jobs
        self._deployment = deployment
        self.random = random.Random(seed)  # noqa: S311 - it has to repeat itself
        self.fleet = members
        self.ledger = Ledger(self.random, longest)
        self.figures = Figures()

    def run(self, kills: int) -> Figures:
        """Kill so many times, and check after every round.

        Raises
        ------
        AssertionError
            If something that was acknowledged does not hold.
        """
        with self.fleet.client() as client:
            for number in range(kills):
                self._kill_one(client)
                if number % ROUND == ROUND - 1 or number == kills - 1:
                    self._rest(client)
                    print(f"{number + 1} of {kills} kills", file=sys.stderr, flush=True)
            self.figures.states = self.ledger.check(client, self.fleet.home / "book")
        self.figures.answers = self.ledger.answers
        assert list((self.fleet.home / "spool").glob("*")) == []
        return self.figures

    def _kill_one(self, client: httpx.Client) -> None:
        """Ask for things until a random moment, kill something, and start it again."""
        if self.random.random() < 0.8:  # else it may still be starting
            self.fleet.wait_ready()
        deadline = time.monotonic() + self.random.uniform(0.0, PAUSE)
        while time.monotonic() < deadline:
            self._ask(client)
        if self._deployment and self.random.random() < OUTSIDE:
            self.figures.kills[f"database: {self._deployment.hit(self.random)}"] += 1
            return
        own = () if self._deployment else ("database",)
        target = self.random.choice((*self.fleet.names, "child", *own, "all"))
        self._kill(target)
        self.figures.kills[target] += 1
        self.fleet.start()

    def _kill(self, target: str) -> None:
        match target:
            case "child":
                if children := self.fleet.children():
                    self.fleet.kill(self.random.choice(children))
            case "database":
                self.fleet.kill(*self.fleet.database())
            case "all":
                self.fleet.kill_all()
            case name:
                self.fleet.kill(self.fleet.members[name])

    def _ask(self, client: httpx.Client) -> None:
        """Ask for one thing."""
        entries = self.ledger.open()
        entry = self.random.choice(entries) if len(entries) >= self._jobs else self.ledger.new()
        if not entry.created:
            self.ledger.create(client, entry)
            if self.random.random() < 0.3:
                return
        match self.random.choice(("start", "cancel", "look", "look")):
            case "cancel" if entry.started:
                self.ledger.cancel(client, entry)
            case "start" | "cancel" if entry.started is not True:
                self.ledger.start(client, entry)
            case _ if self.ledger.look(client, entry) is None:
                time.sleep(0.02)

    def _rest(self, client: httpx.Client) -> None:
        """Wait until all that was started has ended, and all that was left behind is gone."""
        if self._deployment:
            self._deployment.mend()
        self._wait_for_orphans()
        self.fleet.wait_ready()
        began, moment = time.monotonic(), datetime.now(UTC)
        started = [entry for entry in self.ledger.open() if entry.started is not False]
        until(lambda: self._are_through(client, started), REST_SECONDS)
        self.figures.settled.append(time.monotonic() - began)
        late = [_interrupted(entry) for entry in started if _interrupted(entry)]
        if late:
            took = (max(time for time in late if time) - moment).total_seconds()
            assert took <= LEASE + MARGIN, f"an interrupted job said so after {took:.1f} s"
            self.figures.interrupted.append(took)
        self.ledger.check(client, self.fleet.home / "book")

    def _are_through(self, client: httpx.Client, started: list[Entry]) -> bool:
        self.fleet.tend()
        return all(self._is_through(client, entry) for entry in started)

    def _is_through(self, client: httpx.Client, entry: Entry) -> bool:
        """Whether a job came to its end, or was not started after all."""
        job = self.ledger.look(client, entry)
        at_rest = job is not None and job["state"] in ("none", "created")
        return not entry.is_open or (at_rest and not entry.started)

    def _wait_for_orphans(self) -> None:
        began = time.monotonic()
        until(lambda: not self.fleet.orphans(), GONE_SECONDS)
        self.figures.orphans = max(self.figures.orphans, time.monotonic() - began)


def _interrupted(entry: Entry) -> datetime | None:
    """When an interrupted job ended."""
    job = entry.ended
    if job is None or job.get("error") != "Interrupted":
        return None
    return datetime.fromisoformat(job["finished"])


def campaign(
    seed: int,
    kills: int,
    workers: int = 2,
    jobs: int = JOBS,
    longest: float = LONGEST,
    *,
    on: str = "slots",
) -> Figures:
    """One campaign in a home of its own.

    Parameters
    ----------
    on : str
        ``slots`` on its embedded database, ``dask`` in front of a cluster, or one of `DATABASES`.
    """
    settings: dict[str, object] = {"LEASE_SECONDS": LEASE, "SHUTDOWN_GRACE": 5}
    with ExitStack() as stack:
        prefix = "jobserver-faults-"
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
        database = stack.enter_context(DATABASES[on](folder)) if on in DATABASES else None
        if database:
            settings["MONGO_URI"] = database.uri
        home = folder / "home"
        if on == "dask":
            members: Fleet = Cluster(home, **settings)
        else:
            members = Fleet(home, PAIR, WORKERS=workers, **settings)
        stack.enter_context(manned(members))
        figures = Campaign(members, seed, jobs, longest, database).run(kills)
        if on != "dask":
            members.stop()
            until(lambda: not members.processes(), GONE_SECONDS)
    return figures


def races(count: int) -> int:
    """Let twenty start each of many jobs at once; how many jobs there were."""
    with (
        tempfile.TemporaryDirectory(prefix="jobserver-faults-") as folder,
        fleet(Path(folder), "server", WORKERS=2) as members,
        members.client(timeout=60) as client,
        ThreadPoolExecutor(ASKERS) as pool,
    ):
        for _ in range(count):
            answers = race(client, pool, BRIEF)
            assert answers == {202: 1, 409: ASKERS - 1}, answers
    return count


def outage(seconds: float) -> int:
    """Take the database away while jobs run, so that they end meanwhile; how many there were."""
    settings: dict[str, object] = {"WORKERS": 2, "LEASE_SECONDS": LEASE}
    with (
        tempfile.TemporaryDirectory(prefix="jobserver-faults-") as folder,
        own_database(Path(folder) / "database") as database,
        fleet(Path(folder) / "home", **settings, MONGO_URI=database.uri) as members,
        members.client(timeout=60) as client,
    ):
        ids = [start(client, "work", seconds=seconds / 3) for _ in range(4)]
        until(lambda: all(read(client, job_id)["state"] == "running" for job_id in ids))
        with database.away():
            end = time.monotonic() + seconds
            until(lambda: time.monotonic() >= end, seconds + 1)
        for job_id in ids:
            job = finished(client, job_id)
            assert (job["state"], job["result"]["attempt"]) == ("finished", 1), job
        book = (members.home / "book").read_text().splitlines()
        assert sorted(book) == sorted(f"{word} {one} 1" for one in ids for word in ("begin", "end"))
    return len(ids)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many campaigns (5)")
    parser.add_argument("--first", type=int, default=1, help="seed of the first (1)")
    parser.add_argument("--kills", type=int, default=200, help="kills in each (200)")
    parser.add_argument("--dask", type=int, default=50, help="kills in a Dask cluster, each (50)")
    parser.add_argument("--standalone", type=int, default=50, help="faults of one MongoDB, each")
    parser.add_argument("--members", type=int, default=50, help="of three members, each; as root")
    parser.add_argument("--races", type=int, default=1000, help="starts by 20 at once (1000)")
    parser.add_argument("--outage", type=float, default=60, help="seconds without database (60)")
    parser.add_argument("--hosts", type=int, default=1000, help="jobs on several hosts; as root")
    parser.add_argument("--processes", type=int, default=100, help="races on 4 processes (100)")
    parser.add_argument("--upgrade", metavar="REVISION", help="version to upgrade from, or none")
    return parser.parse_args()


def main() -> None:
    """Run campaigns and print what they found."""
    options = _options()
    for seed in range(options.first, options.first + options.seeds):
        _tell(seed, options.kills, "slots")
        for on in ("dask", *DATABASES):
            _tell(seed, getattr(options, on), on)
    kept = outage(options.outage) if options.outage else 0
    print(
        f"{options.outage:g} s without database: {kept} jobs ended meanwhile, all results arrived"
    )
    print(f"{races(options.races)} races of {ASKERS} starts: one 202 and all others 409 each time")
    for on in hosts.NAMES if options.hosts else ():
        _show(f"hosts, {on}", partial(hosts.campaign, options.first, options.hosts, on))
    if options.processes:
        answered = compete(options.processes)
        print(f"{options.processes} races and all limits on processes that answered {answered}")
    if options.upgrade != "none":
        _show("upgrade", partial(upgrade, options.upgrade or first_of_this_schema()))


def _tell(seed: int, kills: int, on: str) -> None:
    """Run one campaign and print what it found."""
    if not kills:
        return
    _show(f"seed {seed}, {on}", partial(campaign, seed, kills, on=on))


def _show(what: str, run: Callable[[], object]) -> None:
    began = time.monotonic()
    figures = run()
    took = time.monotonic() - began
    print(f"{what}: {took:.0f} s, nothing lost, nothing run twice")
    for name, found in vars(figures).items():
        print(f"  {name}: {dict(found) if isinstance(found, Counter) else found}", flush=True)


if __name__ == "__main__":
    main()
