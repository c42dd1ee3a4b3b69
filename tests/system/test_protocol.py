from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobserver.system.protocol import LIMIT, Channel, ChannelClosed, Message, Reader, receive, send
from tests.support.strategies import documents, fuzzed

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two ends of a socket: what is sent to the second arrives at the first."""
    reader, writer = socket.socketpair()
    with reader, writer:
        yield reader, writer


@settings(max_examples=fuzzed(30))
@given(st.lists(documents(), max_size=4))
def test_messages_arrive_as_they_were_sent(messages: list[Message]) -> None:
    reader, writer = socket.socketpair()
    with reader:
        with writer:
            for message in messages:
                send(writer, message)
        assert [receive(reader) for _ in messages] == messages
        with pytest.raises(ChannelClosed):
            receive(reader)


@settings(max_examples=fuzzed(30))
@given(st.lists(documents(), max_size=4), st.lists(st.integers(1, 40)))
def test_messages_in_pieces(messages: list[Message], sizes: list[int]) -> None:
    stream = b"".join(map(bson.encode, messages))
    reader, found = Reader(), []
    for size in [*sizes, len(stream)]:
        piece, stream = stream[:size], stream[size:]
        found += reader.feed(piece)
    assert [bson.decode(message.raw) for message in found] == messages


def test_a_message_larger_than_what_waits(pair: Pair) -> None:
    message: dict[str, Any] = {"text": "x" * 3_000_000, "list": list(range(1000))}
    sender = threading.Thread(target=send, args=(pair[1], message))
    sender.start()
    assert receive(pair[0]) == message
    sender.join()


def test_nobody_reads(pair: Pair) -> None:
    pair[0].close()
    with pytest.raises(ChannelClosed):
        send(pair[1], {"text": "x"})


@pytest.mark.parametrize("size", [0, 4, -1, LIMIT + 1, 2**31 - 1, -(2**31)])
def test_a_size_that_no_message_has(pair: Pair, size: int) -> None:
    header = struct.pack("<i", size)
    with pytest.raises(ChannelClosed):
        Reader().feed(header)
    pair[1].sendall(header + b"x" * 100)
    with pytest.raises(ChannelClosed):
        receive(pair[0])


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_a_socket_that_ends_within_a_message(pair: Pair, cut: int) -> None:
    pair[1].sendall(bson.encode({"text": "x" * 100})[:cut])
    pair[1].close()
    with pytest.raises(ChannelClosed):
        receive(pair[0])


def test_bytes_that_are_no_message(pair: Pair) -> None:
    pair[1].sendall(struct.pack("<i", 20) + b"\xff" * 16)
    with pytest.raises(ChannelClosed):
        receive(pair[0])


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_broken(stream: bytes) -> None:
    reader = Reader()
    try:
        for message in reader.feed(stream):
            assert isinstance(message.raw, bytes)
    except ChannelClosed:
        return


def test_descriptors_come_along_in_their_order(pair: Pair) -> None:
    channel, pipes = Channel(pair[0]), [os.pipe() for _ in range(2)]
    for number, (reader, writer) in enumerate(pipes):
        send(pair[1], {"number": number}, [reader, writer])
    messages: list[Any] = []
    while len(messages) < len(pipes):
        messages += channel.read()
    assert [message["number"] for message in messages] == [0, 1]
    for number, ends in enumerate(pipes):
        reader, writer = channel.take_files(2)
        os.write(ends[1], bytes([number]))
        assert os.read(reader, 2) == bytes([number])
        for fd in (*ends, reader, writer):
            os.close(fd)
    with pytest.raises(ChannelClosed):
        channel.take_files(1)


def test_a_channel_waits_for_nobody(pair: Pair) -> None:
    channel = Channel(pair[0])
    assert channel.read() == []
    with pytest.raises(ChannelClosed, match="does not read"):
        channel.send({"text": "x" * 10_000_000}, 0.05)
    pair[1].close()
    with pytest.raises(ChannelClosed):
        channel.read()


def test_messages_before_what_is_none_are_given_first() -> None:
    reader = Reader()
    good, bad = bson.encode({"op": "begun"}), struct.pack("<i", 64) + b"\xff" * 60
    assert [message["op"] for message in reader.feed(good + bad)] == ["begun"]
    with pytest.raises(ChannelClosed):
        reader.feed(b"")
