"""The position of a run in its script, and the texts of its messages."""

from __future__ import annotations

import pytest

from jobserver.processes.run_context import (
    LONGEST_MESSAGE,
    RunContext,
    clipped,
    current_context,
    memory_exceeded,
    use_context,
)
from jobserver.sizes import MIB


def fail_in(context: RunContext, *steps: str) -> None:
    if not steps:
        raise KeyError
    with context.step(steps[0]):
        fail_in(context, *steps[1:])


def fail_in_item(context: RunContext) -> None:
    with context.item(0):
        assert context.in_item
        fail_in(context, "step 1")


def test_an_exception_leaves_the_position_where_it_was_raised() -> None:
    context = RunContext()
    with context.step("step 1"):
        assert context.prefix() == "step 1: "
    assert context.prefix() == ""
    with pytest.raises(KeyError):
        fail_in(context, "step 2", "item 3")
    assert context.prefix() == "step 2: item 3: "
    assert context.prefix(1) == "item 3: "


def test_an_item_forgets_the_position_of_its_own_failure() -> None:
    context = RunContext()
    with context.step("step 2"):
        with pytest.raises(KeyError):
            fail_in_item(context)
        assert not context.in_item
        assert context.prefix() == "step 2: "


def test_a_context_holds_for_its_block() -> None:
    context = RunContext(folder="here")
    with use_context(context):
        assert current_context() is context
    assert current_context().folder != "here"


def test_a_message_has_a_length_that_fits_and_can_be_stored() -> None:
    long = clipped("ä" * (LONGEST_MESSAGE + 1))
    assert len(long) == LONGEST_MESSAGE + 4
    assert long.endswith(" ...")
    assert clipped("a" * LONGEST_MESSAGE) == "a" * LONGEST_MESSAGE
    assert clipped("\ud800!") == "?!"


def test_the_message_about_memory_names_the_limit() -> None:
    assert "256 MiB" in memory_exceeded(256 * MIB)
    assert "limit" not in memory_exceeded(0)
