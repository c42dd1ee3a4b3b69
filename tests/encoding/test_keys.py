"""The spelling of keys in results: reversible, and taken by every MongoDB."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.encoding import restore_keys
from jobserver.encoding.text import escape_key, unescape_key, unique_keys

odd_text = st.text(st.sampled_from(["$", "\\", "\0", "0", "a", ".", "é"]), max_size=8)


class Colour(Enum):
    """An enumeration as a key."""

    RED = 1


@pytest.mark.parametrize(
    ("key", "stored"),
    [
        ("a", "a"),
        ("a.b", "a.b"),
        ("", ""),
        ("a$b", "a$b"),
        ("$c", r"\$c"),
        ("\0", r"\0"),
        ("a\\b", r"a\\b"),
        ("\\$c", r"\\$c"),
        ("$a$\\0", r"\$a$\\0"),
    ],
)
def test_only_what_must_be_escaped_is(key: str, stored: str) -> None:
    assert escape_key(key) == stored
    assert unescape_key(stored) == key


@given(odd_text | st.text())
def test_escaping_is_undone(key: str) -> None:
    stored = escape_key(key)
    assert not stored.startswith("$")
    assert "\0" not in stored
    assert unescape_key(stored) == key


@given(odd_text, odd_text)
def test_different_keys_stay_different(one: str, other: str) -> None:
    assert (escape_key(one) == escape_key(other)) == (one == other)


def test_keys_are_restored_at_every_level() -> None:
    stored = {r"\$a": [{r"b\\": 1}, [{r"\0": {"c": 2}}]], "d": [1, r"\$x"]}
    assert restore_keys(stored) == {"$a": [{"b\\": 1}, [{"\0": {"c": 2}}]], "d": [1, r"\$x"]}
    assert restore_keys(r"\$a") == r"\$a"


@pytest.mark.parametrize(
    ("labels", "keys"),
    [
        (["a", "b"], ["a", "b"]),
        ([5, "5"], ["5 (2)", "5"]),
        (["5", 5, 5.0], ["5", "5 (2)", "5.0"]),
        ([1, "1", "1 (2)"], ["1 (3)", "1", "1 (2)"]),
        (["a", "a", "a"], ["a", "a (2)", "a (3)"]),
        ([None, True, (1, "x"), Colour.RED], ["None", "True", "(1, 'x')", "Colour.RED"]),
        (["\ud800", r"\ud800"], [r"\ud800", r"\ud800 (2)"]),
    ],
)
def test_labels_become_keys_of_their_own(labels: list[Any], keys: list[str]) -> None:
    assert unique_keys(labels) == keys


@given(st.lists(st.text(max_size=2) | st.integers(0, 9) | st.none() | st.floats()))
def test_no_label_is_lost(labels: list[Any]) -> None:
    keys = unique_keys(labels)
    assert len(set(keys)) == len(labels)
    texts = [label for label in labels if isinstance(label, str)]
    if len(set(texts)) == len(texts):
        assert [key for key, label in zip(keys, labels, strict=True) if label in texts] == texts


def test_ten_thousand_columns_of_one_name_are_told_apart_quickly() -> None:
    assert unique_keys(["a"] * 10_000)[-1] == "a (10000)"
