"""What the random numbers of a run start from, so that a run can be repeated.

A run draws from `random` and `numpy.random` after they were seeded with one whole number. An item
of a map has a seed of its own, a child of the run's as `numpy.random.SeedSequence.spawn` makes
them, so that it draws the same wherever and beside whatever it runs. Generators that a script made
without a seed while it was imported are seeded anew as well: all runs would inherit one state.
"""

from __future__ import annotations

import gc
import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

#: Seeds are below this.
LIMIT = 2**63
#: Bits of a fresh seed: JSON of browsers holds such numbers exactly.
_FRESH_BITS = 53
_WORD = 32
_FIRST = 2**_WORD - 1

#: Where seeds of generators are below those of a run or an item, which has no so many items.
_GENERATORS = 2**_WORD - 1
#: Generators that were made without a seed.
_unseeded: list[Any] = []
#: Where among the seeds of a run something is.
Level = tuple[tuple[int, ...], int, int | None]


def fresh() -> int:
    """A seed that nobody can guess."""
    return secrets.randbits(_FRESH_BITS)


def plant(seed: int) -> None:
    """Seed `random` and `numpy.random`, as their own functions do with a number below 2**32."""
    import numpy as np

    seed = int(seed)  # the database has a type of its own for large ones
    random.seed(seed)
    # with the same words both would draw the same
    np.random.seed(seed if seed <= _FIRST else [seed & _FIRST, seed >> _WORD, _FIRST])
    _seed_generators(seed, ())


@contextmanager
def unseeded_noticed() -> Iterator[None]:
    """Notice which generators are made without a seed meanwhile: each run seeds them for itself."""
    import numpy as np

    source: Any = np.random.bit_generator  # where numpy takes what nobody gives
    pythons: WeakSet[random.Random] = WeakSet()
    drawn: set[int] = set()
    seed, randbits = random.Random.seed, source.randbits

    def noticed_seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        (pythons.add if a is None else pythons.discard)(self)
        seed(self, a, version)

    def noticed_bits(bits: int) -> int:
        number: int = randbits(bits)
        drawn.add(number)
        return number

    random.Random.seed, source.randbits = noticed_seed, noticed_bits  # type: ignore[method-assign]
    try:
        yield
    finally:
        random.Random.seed, source.randbits = seed, randbits  # type: ignore[method-assign]

    def is_unseeded(each: Any) -> bool:
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
    """The seeds of what a run consists of.

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
        """Take the seeds of so many items; the number of the first."""
        first, self._spawned = self._spawned, self._spawned + count
        return first

    def enter(self, number: int) -> tuple[int, Level]:
        """Draw as the item with a number does, and hand out the seeds below it, until `leave`.

        `numpy.random` takes 32 bits here, as it needs longer for more than many an item does. They
        are counted on from a word of the run's, so that no two items start from the same.

        Returns
        -------
        seed : int
            The item's.
        level : tuple
            What `leave` takes.
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
        """Come back from an item."""
        self._key, self._spawned, self._start = level

    def _words(self, key: tuple[int, ...], count: int) -> list[int]:
        import numpy as np

        words = np.random.SeedSequence(self._root, spawn_key=key).generate_state(count)
        found: list[int] = words.tolist()
        return found


@contextmanager
def undisturbed() -> Iterator[None]:
    """Go on afterwards with the random numbers as if nothing had been drawn."""
    import numpy as np

    former, formers = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(former)
        np.random.set_state(formers)
