"""Hosts as network namespaces on one bridge; needs root and iproute2."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


class Network:
    """Some hosts that reach each other, and that this process reaches.

    Parameters
    ----------
    bridge : str
        Name of the bridge, at most ten characters; the namespaces are named after it.
    subnet : str
        The first three numbers of its addresses.
    hosts : tuple of str
        Names of the hosts.
    """

    def __init__(self, bridge: str, subnet: str, hosts: tuple[str, ...]) -> None:
        self.bridge = bridge
        self.subnet = subnet
        self.hosts = hosts

    def address(self, host: str) -> str:
        """Return the address of a host."""
        return f"{self.subnet}.{11 + self.hosts.index(host)}"

    def within(self, host: str) -> tuple[str, ...]:
        """Return what stands before a command that is to run on a host."""
        return "ip", "netns", "exec", self.namespace(host)

    def namespace(self, host: str) -> str:
        """Return the name of a host's namespace."""
        return f"{self.bridge}-{host}"

    def cut_off(self, host: str) -> None:
        """Have a host reach nobody, and nobody reach it."""
        ip("-n", self.namespace(host), "link", "set", "eth0", "down")

    def join(self, host: str) -> None:
        """End what `cut_off` began."""
        ip("-n", self.namespace(host), "link", "set", "eth0", "up")

    def make(self, stack: ExitStack) -> None:
        """Make all of it; the stack takes it down."""
        ip("link", "add", self.bridge, "type", "bridge")
        stack.callback(ip, "link", "del", self.bridge)
        ip("address", "add", f"{self.subnet}.1/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for number, host in enumerate(self.hosts):
            name, end = self.namespace(host), f"{self.bridge}-{number}"
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", name)
            stack.callback(ip, "link", "del", end)  # others may hold the namespace
            ip("link", "set", end, "master", self.bridge, "up")
            ip("-n", name, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", name, "link", "set", device, "up")


@contextmanager
def network(bridge: str, subnet: str, *hosts: str) -> Iterator[Network]:
    """Hosts on a bridge; nothing of it is left afterwards."""
    with ExitStack() as stack:
        made = Network(bridge, subnet, hosts)
        made.make(stack)
        yield made


def ip(*words: str) -> None:
    """Call ``ip``."""
    subprocess.run(["ip", *words], check=True)
