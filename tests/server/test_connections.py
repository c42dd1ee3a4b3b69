"""How waitress's connections are used by several threads."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from waitress.adjustments import Adjustments

from jobserver.server.connections import Crowd, HttpChannel, ServingLimits


def test_one_thread_at_a_time_sends_on_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SimpleNamespace(active_channels={}, crowd=Crowd(ServingLimits(10, 5.0)))
    ours, theirs = socket.socketpair()
    channel = HttpChannel(server, ours, ("127.0.0.1", 1), Adjustments(), {})
    others_may: list[bool] = []

    def send(data: bytes, do_close: bool = True) -> int:
        with ThreadPoolExecutor(1) as other:
            others_may.append(other.submit(channel.outbuf_lock.acquire, False).result())
        return len(data)

    monkeypatch.setattr(channel, "send", send)
    with ours, theirs:
        channel.outbufs[-1].append(b"HTTP/1.1 100 Continue\r\n\r\n")
        channel.total_outbufs_len = 25
        channel.handle_write()
    assert others_may == [False]
    assert channel.total_outbufs_len == 0
