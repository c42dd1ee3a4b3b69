"""The address of a client: of the connection, or what a trusted proxy says of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from jobserver.errors import SettingsError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
#: Bits of an IPv6 address that name a network: one client has all addresses in it.
_CLIENT_BITS = 64


@lru_cache(8)
def networks(names: tuple[str, ...]) -> tuple[Network, ...]:
    """Return the networks in ``TRUSTED_PROXIES``.

    Raises
    ------
    SettingsError
        If one is neither an address nor a network.
    """
    try:
        return tuple(map(ip_network, names))
    except ValueError as error:
        raise SettingsError(
            f"TRUSTED_PROXIES: {error}. Write addresses or networks, such as 127.0.0.1 or "
            "10.0.0.0/8."
        ) from error


def real_client(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return who sent a request, for limits: an IPv4 address, or an IPv6 network of 64 bits.

    Parameters
    ----------
    peer : str
        Address of the connection; may be empty, for a Unix socket.
    forwarded : sequence of str
        Values of ``X-Forwarded-For``. Each proxy appends the address of its client, so the
        right-most untrusted one counts: whatever is left of it, anybody could have sent.
    trusted : sequence of network
        The proxies that are believed.
    """
    hops = [hop for value in forwarded for hop in value.split(",")]
    found = _parsed(peer)
    while found and hops and any(found in network for network in trusted):
        hop = _parsed(hops.pop())
        if hop is None:  # the proxy does not say who it was
            break
        found = hop
    if isinstance(found, IPv6Address):
        return str(ip_network((found, _CLIENT_BITS), strict=False))
    return peer if found is None else str(found)


def is_proxy(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether a connection is from a trusted proxy, and so from any of its clients."""
    found = _parsed(peer)
    return found is not None and any(found in network for network in trusted)


def _parsed(text: str) -> Address | None:
    """Return an address, which some proxies write with a port; None if it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
