from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from io import RawIOBase
from typing import Any

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobserver.protocol import LIMIT, Broken, Message, Reader, receive, send
from tests.unit.strategies import documents

Pipe = tuple[RawIOBase, RawIOBase]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """The reading and the writing end of a pipe."""
    read, write = os.pipe()
    with os.fdopen(read, "rb", 0) as reader, os.fdopen(write, "wb", 0) as writer:
        yield reader, writer


@settings(max_examples=30)
@given(st.lists(documents(), max_size=4))
def test_messages_arrive_as_they_were_sent(messages: list[Message]) -> None:
    read, write = os.pipe()
    try:
        for message in messages:
            send(write, message)
        os.close(write)
        assert [receive(read) for _ in messages] == messages
        with pytest.raises(Broken):
            receive(read)
    finally:
        os.close(read)


@settings(max_examples=30)
@given(st.lists(documents(), max_size=4), st.lists(st.integers(1, 40)))
def test_messages_in_pieces(messages: list[Message], sizes: list[int]) -> None:
    stream = b"".join(map(bson.encode, messages))
    reader, found = Reader(), []
    for size in [*sizes, len(stream)]:
        piece, stream = stream[:size], stream[size:]
        found += reader.feed(piece)
    assert [bson.decode(message.raw) for message in found] == messages


def test_a_message_larger_than_a_pipe(pipe: Pipe) -> None:
    message: dict[str, Any] = {"text": "x" * 3_000_000, "list": list(range(1000))}
    sender = threading.Thread(target=send, args=(pipe[1].fileno(), message))
    sender.start()
    assert receive(pipe[0].fileno()) == message
    sender.join()


def test_nobody_reads(pipe: Pipe) -> None:
    pipe[0].close()
    with pytest.raises(Broken):
        send(pipe[1].fileno(), {"text": "x"})


@pytest.mark.parametrize("size", [0, 4, -1, LIMIT + 1, 2**31 - 1, -(2**31)])
def test_a_size_that_no_message_has(pipe: Pipe, size: int) -> None:
    header = struct.pack("<i", size)
    with pytest.raises(Broken):
        Reader().feed(header)
    pipe[1].write(header + b"x" * 100)
    with pytest.raises(Broken):
        receive(pipe[0].fileno())


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_a_pipe_that_ends_within_a_message(pipe: Pipe, cut: int) -> None:
    pipe[1].write(bson.encode({"text": "x" * 100})[:cut])
    pipe[1].close()
    with pytest.raises(Broken):
        receive(pipe[0].fileno())


def test_bytes_that_are_no_message(pipe: Pipe) -> None:
    pipe[1].write(struct.pack("<i", 20) + b"\xff" * 16)
    with pytest.raises(Broken):
        receive(pipe[0].fileno())


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_broken(stream: bytes) -> None:
    reader = Reader()
    try:
        for message in reader.feed(stream):
            assert isinstance(message.raw, bytes)
    except Broken:
        return
