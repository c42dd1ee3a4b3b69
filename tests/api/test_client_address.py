"""Who a request comes from, behind proxies or not."""

from __future__ import annotations

import pytest

from jobserver.api.framework.client_address import networks, real_client
from jobserver.errors import SettingsError

PROXIES = ("127.0.0.1", "10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.1", [], "198.51.100.1"),
        ("198.51.100.1", ["203.0.113.1"], "198.51.100.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.1"], "203.0.113.1"),
        ("127.0.0.1", ["1.1.1.1, 203.0.113.1, 10.1.2.3"], "203.0.113.1"),
        ("127.0.0.1", ["1.1.1.1", "203.0.113.1", "10.1.2.3"], "203.0.113.1"),
        ("127.0.0.1", ["203.0.113.1, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.1,"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.1:4711"], "203.0.113.1"),
        ("127.0.0.1", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::4", [], "2001:db8:1:2::/64"),
        ("::ffff:127.0.0.1", ["203.0.113.1"], "203.0.113.1"),
        ("fd00::1", ["10.0.0.1", "10.0.0.2"], "10.0.0.1"),
        ("", ["203.0.113.1"], ""),
    ],
)
def test_the_right_most_address_that_is_no_proxy_counts(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert real_client(peer, forwarded, networks(PROXIES)) == client


def test_nobody_is_believed_by_default() -> None:
    assert real_client("127.0.0.1", ["203.0.113.1"], networks(())) == "127.0.0.1"


@pytest.mark.parametrize("name", ["proxy.example", "10.0.0.1/8", "10.0.0.0/33", ""])
def test_what_is_no_network_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES"):
        networks((name,))
