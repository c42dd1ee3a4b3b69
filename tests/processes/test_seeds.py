"""What random numbers start from: the seed of a run, and those of the items of its maps."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.processes.seeds import LIMIT, Seeds, fresh, plant, undisturbed

ROOTS = st.integers(0, LIMIT - 1)
SMALL = st.integers(0, 2**32 - 1)
NUMBERS = st.integers(0, 10**7)


@pytest.fixture(autouse=True)
def own_numbers() -> Iterator[None]:
    """Leave the random numbers of other tests as they are."""
    with undisturbed():
        yield


def drawn() -> list[float]:
    """The next numbers of both."""
    return [*(random.random() for _ in range(2)), *np.random.random(2).tolist()]  # noqa: S311


def entered(seeds: Seeds, *numbers: int) -> list[float]:
    """What is drawn at an item within others."""
    levels = [seeds.enter(number)[1] for number in numbers]
    found = drawn()
    for level in reversed(levels):
        seeds.leave(level)
    return found


@given(SMALL)
def test_a_small_seed_is_that_of_the_libraries(seed: int) -> None:
    plant(seed)
    own = random.Random(seed)  # noqa: S311 - no secret
    numpy = np.random.RandomState(seed)
    assert drawn() == [*(own.random() for _ in range(2)), *numpy.random(2).tolist()]


@given(ROOTS)
def test_a_seed_repeats_its_numbers(seed: int) -> None:
    plant(seed)
    first = drawn()
    plant(seed)
    assert drawn() == first


@given(ROOTS, ROOTS)
def test_other_seeds_give_other_numbers(one: int, other: int) -> None:
    plant(one)
    first = drawn()
    plant(other)
    assert (drawn() == first) == (one == other)


@given(ROOTS)
def test_both_libraries_draw_other_numbers(seed: int) -> None:
    plant(seed)
    own = {random.getrandbits(32) for _ in range(50)}
    numpy = set(np.random.randint(2**32, size=50, dtype=np.uint32).tolist())
    assert len(own & numpy) <= 1  # of 2**32, two may be alike by chance


@given(ROOTS)
def test_items_and_their_run_draw_other_numbers(root: int) -> None:
    seeds = Seeds(root)
    plant(root)
    found = [*drawn(), *(number for item in range(20) for number in entered(seeds, item))]
    assert len(set(found)) == len(found)


@given(ROOTS, st.lists(NUMBERS, min_size=1, max_size=5, unique=True))
def test_an_item_draws_the_same_in_any_order(root: int, numbers: list[int]) -> None:
    seeds, others = Seeds(root), Seeds(root)
    forth = {number: entered(seeds, number) for number in numbers}
    back = {number: entered(others, number) for number in reversed(numbers)}
    assert forth == back


@given(ROOTS, st.lists(NUMBERS, min_size=1, max_size=3))
def test_an_item_draws_the_same_whatever_was_drawn_before(root: int, numbers: list[int]) -> None:
    first = entered(Seeds(root), *numbers)
    plant(1)
    drawn()
    seeds = Seeds(root)
    seeds.spawn(5)
    entered(seeds, 9, 9)
    assert entered(seeds, *numbers) == first


@given(ROOTS, st.lists(st.lists(st.integers(0, 3), max_size=3), unique_by=tuple, max_size=8))
def test_items_within_items_draw_other_numbers(root: int, paths: list[list[int]]) -> None:
    seeds = Seeds(root)
    found = [tuple(entered(seeds, *path)) for path in paths if path]
    assert len(set(found)) == len(found)


@given(ROOTS, NUMBERS)
def test_the_seed_of_an_item_may_be_that_of_a_run(root: int, number: int) -> None:
    seed, _ = Seeds(root).enter(number)
    assert 0 <= seed < LIMIT
    sequence = np.random.SeedSequence(root, spawn_key=(number,))
    low, high = sequence.generate_state(2).tolist()
    assert seed == low | high >> 1 << 32


def test_the_seeds_of_items_differ() -> None:
    seeds = Seeds(5)
    found = set()
    for number in range(2000):
        seed, level = seeds.enter(number)
        seeds.leave(level)
        found.add(seed)
    assert len(found) == 2000


@given(st.lists(st.integers(0, 100), max_size=5))
def test_maps_one_after_another_have_other_numbers(counts: list[int]) -> None:
    seeds = Seeds(1)
    firsts = [seeds.spawn(count) for count in counts]
    taken = [
        number
        for first, count in zip(firsts, counts, strict=True)
        for number in range(first, first + count)
    ]
    assert taken == list(range(sum(counts)))


def test_the_numbers_within_an_item_begin_anew_and_those_around_it_go_on() -> None:
    seeds = Seeds(1)
    assert seeds.spawn(3) == 0
    _, level = seeds.enter(2)
    assert seeds.spawn(5) == 0
    assert seeds.spawn(1) == 5
    seeds.leave(level)
    assert seeds.spawn(1) == 3


def test_fresh_seeds_are_numbers_that_javascript_holds() -> None:
    found = {fresh() for _ in range(200)}
    assert len(found) == 200
    assert all(0 <= seed < 2**53 for seed in found)


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_drawn_undisturbed_changes_nothing_outside(fails: bool) -> None:
    plant(3)
    expected = drawn()
    plant(3)
    try:
        with undisturbed():
            plant(4)
            drawn()
            if fails:
                raise ValueError("on purpose")
    except ValueError:
        assert fails
    assert drawn() == expected
