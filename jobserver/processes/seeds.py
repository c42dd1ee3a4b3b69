"""Seed the random numbers of a run, so that it can be repeated.

`random` and `numpy.random` are seeded with one integer per run. Each item of a map has its own
seed, spawned from the run's as in `numpy.random.SeedSequence.spawn`, so that its numbers depend
neither on the slot nor on other items. Generators that scripts create without a seed at import are
seeded too: otherwise all runs would inherit one state.
"""

from __future__ import annotations

import gc
import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeGuard
from weakref import WeakSet

if TYPE_CHECKING:
    import numpy as np

#: Seeds are below this.
LIMIT = 2**63
#: Bits of a fresh seed: JavaScript represents such integers exactly.
_FRESH_BITS = 53
_WORD = 32
_FIRST = 2**_WORD - 1

#: Spawn key of generators, below that of a run or an item: no map has that many items.
_GENERATORS = 2**_WORD - 1
#: Generators that were created without a seed.
_unseeded: list[random.Random | np.random.BitGenerator] = []
#: State of `Seeds` outside an item.
Level = tuple[tuple[int, ...], int, int | None]


def fresh() -> int:
    """Return an unpredictable seed."""
    return secrets.randbits(_FRESH_BITS)


def plant(seed: int) -> None:
    """Seed `random` and `numpy.random`; seeds below 2**32 act as in their own functions."""
    import numpy as np

    seed = int(seed)  # the database has its own type for large integers
    random.seed(seed)
    # seeded with the same words, both would draw the same numbers
    np.random.seed(seed if seed <= _FIRST else [seed & _FIRST, seed >> _WORD, _FIRST])
    _seed_generators(seed, ())


@contextmanager
def track_unseeded() -> Iterator[None]:
    """Remember the generators created meanwhile without a seed; `plant` seeds them for each run."""
    import numpy as np

    source: Any = np.random.bit_generator  # where numpy gets entropy for missing seeds
    pythons: WeakSet[random.Random] = WeakSet()
    drawn: set[int] = set()
    seed, randbits = random.Random.seed, source.randbits

    def tracked_seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        (pythons.add if a is None else pythons.discard)(self)
        seed(self, a, version)

    def tracked_bits(bits: int) -> int:
        number: int = randbits(bits)
        drawn.add(number)
        return number

    random.Random.seed, source.randbits = tracked_seed, tracked_bits  # type: ignore[method-assign]
    try:
        yield
    finally:
        random.Random.seed, source.randbits = seed, randbits  # type: ignore[method-assign]

    def is_unseeded(each: object) -> TypeGuard[random.Random | np.random.BitGenerator]:
        if isinstance(each, np.random.BitGenerator):
            return getattr(each.seed_seq, "entropy", None) in drawn
        return isinstance(each, random.Random) and each in pythons

    _unseeded.extend(filter(is_unseeded, gc.get_objects()))


def _seed_generators(root: int, key: tuple[int, ...]) -> None:
    import numpy as np

    for number, generator in enumerate(_unseeded):
        sequence = np.random.SeedSequence(root, spawn_key=(*key, _GENERATORS, number))
        if isinstance(generator, random.Random):
            generator.seed(int(sequence.generate_state(1, np.uint64)[0]))
        else:
            generator.state = type(generator)(sequence).state


class Seeds:
    """The seeds of a run's items.

    Parameters
    ----------
    root : int
        Seed of the run.
    """

    def __init__(self, root: int = 0) -> None:
        self._root = root
        self._key: tuple[int, ...] = ()
        self._spawned = 0
        self._start: int | None = None

    def spawn(self, count: int) -> int:
        """Reserve seeds for so many items; return the number of the first."""
        first, self._spawned = self._spawned, self._spawned + count
        return first

    def enter(self, number: int) -> tuple[int, Level]:
        """Seed the random numbers for an item; until `leave`, `spawn` reserves seeds below it.

        `numpy.random` gets 32 bits, as seeding it with more takes longer than many an item. They
        count up from a word of the run's, so that no two items start the same.

        Returns
        -------
        seed : int
            The item's seed.
        level : tuple
            For `leave`.
        """
        import numpy as np

        if self._start is None:
            self._start = self._words(self._key, 3)[2]
        level, self._key = (self._key, self._spawned, self._start), (*self._key, number)
        words = self._words(self._key, 2)
        seed = words[0] | words[1] >> 1 << _WORD
        random.seed(seed)
        np.random.seed((self._start + number) & _FIRST)
        _seed_generators(self._root, self._key)
        self._spawned, self._start = 0, None
        return seed, level

    def leave(self, level: Level) -> None:
        """Return to the level around an item."""
        self._key, self._spawned, self._start = level

    def _words(self, key: tuple[int, ...], count: int) -> list[int]:
        import numpy as np

        words = np.random.SeedSequence(self._root, spawn_key=key).generate_state(count)
        found: list[int] = words.tolist()
        return found


@contextmanager
def undisturbed() -> Iterator[None]:
    """Restore the state of `random` and `numpy.random` afterwards."""
    import numpy as np

    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
