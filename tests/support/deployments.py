"""MongoDB as others run it, alone or of three members, and what may happen to it at any time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.support.database import OwnDatabase, own_database
from tests.support.networks import Network, ip, network
from tests.support.server import until

SET_NAME = "faults"
NAMES = ("0", "1", "2")
#: Seconds that a fault lasts: shorter and longer than a lease, and than an election.
SHORTEST, LONGEST = 0.2, 8.0
ELECTION_SECONDS = 60.0


class Deployment:
    """Some members that are hit by one fault at a time.

    Parameters
    ----------
    uri : str
        For ``MONGO_URI``.
    members : list of OwnDatabase
        What runs.
    """

    def __init__(self, uri: str, members: list[OwnDatabase]) -> None:
        self.uri = uri
        self.members = members
        self._mending: threading.Timer | None = None

    def faults(self) -> dict[str, Callable[[random.Random], Callable[[], None]]]:
        """What may happen: each begins, and gives what ends it."""
        return {"kill": self._kill, "hang": self._hang, "restart all": self._kill_all}

    def hit(self, chance: random.Random) -> str:
        """Have something happen that goes over by itself; its name."""
        self.mend()
        faults = self.faults()
        name = chance.choice([*faults])
        self._mending = threading.Timer(chance.uniform(SHORTEST, LONGEST), faults[name](chance))
        self._mending.start()
        return name

    def mend(self) -> None:
        """Wait until what happened last is over."""
        if self._mending:
            self._mending.join()
            self._mending = None

    def _kill(self, chance: random.Random) -> Callable[[], None]:
        member = chance.choice(self.members)
        member.kill()
        return member.start

    def _hang(self, chance: random.Random) -> Callable[[], None]:
        member = chance.choice(self.members)
        member.stop()
        return member.go_on

    def _kill_all(self, _: random.Random) -> Callable[[], None]:
        for member in self.members:
            member.kill()

        def start() -> None:
            for member in self.members:
                member.start()

        return start


class ReplicaSet(Deployment):
    """Three members, each on a host of its own; any may be cut off."""

    def __init__(self, uri: str, members: list[OwnDatabase], hosts: Network) -> None:
        super().__init__(uri, members)
        self._network = hosts

    def faults(self) -> dict[str, Callable[[random.Random], Callable[[], None]]]:
        """Those of one member, and those of several."""
        more = {"step down": self._step_down, "cut off": self._cut_off, "part": self._part}
        return {**super().faults(), **more}

    def _step_down(self, _: random.Random) -> Callable[[], None]:
        with suppress(PyMongoError), self.client() as client:  # there may be no primary
            client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=2)
        return lambda: None

    def _cut_off(self, chance: random.Random) -> Callable[[], None]:
        """Cut one off from everybody."""
        host = chance.choice(self._network.hosts)
        self._network.cut_off(host)
        return lambda: self._network.join(host)

    def _part(self, chance: random.Random) -> Callable[[], None]:
        """Cut one off from the other members only: clients still reach it."""
        host = chance.choice(self._network.hosts)
        name = self._network.namespace(host)
        others = [self._network.address(each) for each in self._network.hosts if each != host]
        for other in others:
            ip("-n", name, "route", "add", "blackhole", f"{other}/32")

        def join() -> None:
            for other in others:
                ip("-n", name, "route", "del", "blackhole", f"{other}/32")

        return join

    def client(self) -> MongoClient[dict[str, Any]]:
        """A client that waits for a primary only briefly."""
        return MongoClient(self.uri, serverSelectionTimeoutMS=2000)

    def initiate(self) -> None:
        """Make a set of the members, and wait for its primary."""
        hosts = [f"{member.host}:{member.port}" for member in self.members]
        config = {
            "_id": SET_NAME,
            "members": [{"_id": number, "host": host} for number, host in enumerate(hosts)],
            "settings": {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500},
        }
        with MongoClient[dict[str, Any]](self.members[0].uri) as client:
            client.admin.command("replSetInitiate", config)
        with self.client() as client:
            until(lambda: client.primary, ELECTION_SECONDS)


@contextmanager
def standalone(folder: Path) -> Iterator[Deployment]:
    """One server by itself."""
    with own_database(folder / "alone") as member:
        deployment = Deployment(member.uri, [member])
        yield deployment
        deployment.mend()


@contextmanager
def replica_set(folder: Path) -> Iterator[ReplicaSet]:
    """Three members; needs root and iproute2, for their networks."""
    options = ("--replSet", SET_NAME, "--oplogSize", "100")
    with network("jobserver0", "10.213.77", *NAMES) as hosts, ExitStack() as stack:
        members = []
        for name in NAMES:
            address, within = hosts.address(name), hosts.within(name)
            member = OwnDatabase(folder / name, None, options, address, within)
            members.append(member)
            member.start()
            stack.callback(member.kill)
        seeds = ",".join(f"{member.host}:{member.port}" for member in members)
        uri = f"mongodb://{seeds}/jobserver?replicaSet={SET_NAME}"
        deployment = ReplicaSet(uri, members, hosts)
        deployment.initiate()
        yield deployment
        deployment.mend()
