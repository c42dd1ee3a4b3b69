"""MongoDB as others run it, alone or of three members, and what may happen to it at any time."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.support.database import OwnDatabase, own_database
from tests.support.server import until

SET_NAME = "faults"
MEMBERS = 3
#: Seconds that a fault lasts: shorter and longer than a lease, and than an election.
SHORTEST, LONGEST = 0.2, 8.0
ELECTION_SECONDS = 60.0
_BRIDGE = "jobserver0"
_NETWORK = "10.213.77"


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
    """Three members, each in a network of its own; any may be cut off."""

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
        name = _namespace(chance.randrange(MEMBERS))
        _ip("-n", name, "link", "set", "eth0", "down")
        return lambda: _ip("-n", name, "link", "set", "eth0", "up")

    def _part(self, chance: random.Random) -> Callable[[], None]:
        """Cut one off from the other members only: clients still reach it."""
        number = chance.randrange(MEMBERS)
        name, others = _namespace(number), [_host(n) for n in range(MEMBERS) if n != number]
        for other in others:
            _ip("-n", name, "route", "add", "blackhole", f"{other}/32")

        def join() -> None:
            for other in others:
                _ip("-n", name, "route", "del", "blackhole", f"{other}/32")

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
    with ExitStack() as stack:
        _make_networks(stack)
        members = []
        for number in range(MEMBERS):
            within = ("ip", "netns", "exec", _namespace(number))
            member = OwnDatabase(folder / str(number), None, options, _host(number), within)
            members.append(member)
            member.start()
            stack.callback(member.kill)
        hosts = ",".join(f"{member.host}:{member.port}" for member in members)
        deployment = ReplicaSet(f"mongodb://{hosts}/jobserver?replicaSet={SET_NAME}", members)
        deployment.initiate()
        yield deployment
        deployment.mend()


def _namespace(number: int) -> str:
    return f"jobserver{number}"


def _host(number: int) -> str:
    return f"{_NETWORK}.{11 + number}"


def _make_networks(stack: ExitStack) -> None:
    """A network for each member, on a bridge that this process reaches too."""
    _ip("link", "add", _BRIDGE, "type", "bridge")
    stack.callback(_ip, "link", "del", _BRIDGE)
    _ip("address", "add", f"{_NETWORK}.1/24", "dev", _BRIDGE)
    _ip("link", "set", _BRIDGE, "up")
    for number in range(MEMBERS):
        name, end = _namespace(number), f"{_BRIDGE}-{number}"
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "del", name)
        _ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", end, "master", _BRIDGE, "up")
        _ip("-n", name, "address", "add", f"{_host(number)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", name, "link", "set", device, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
