"""What is kept of the output of a run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobserver.execution.run_output import CUT, OutputFilter

HOME, PACKAGES, RUN = "/srv/jobs", "/srv/lib/python3/site-packages", "/var/run-x"
TRACEBACK = b"Traceback (most recent call last):\n  ...\nValueError: no\n"

words = st.sampled_from(["a", "/srv", "/", "/srv/", "/var/run", "/srv/other/x", "ä", "50%|", "\n"])
named = st.sampled_from([HOME, PACKAGES, RUN]).map(lambda folder: f" {folder}/scripts/a.py ")


def output_filter(limit: int = 1000) -> OutputFilter:
    kept = OutputFilter(limit, [f"{HOME}/", PACKAGES])
    kept.redact(RUN)
    return kept


def in_pieces(text: bytes, offsets: list[int]) -> list[bytes]:
    ends = sorted({offset % (len(text) + 1) for offset in offsets})
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


@given(st.lists(words | named), st.lists(st.integers(0, 10_000)))
def test_no_folder_of_the_server_is_shown_however_it_arrives(
    parts: list[str], offsets: list[int]
) -> None:
    text = "".join(parts).encode()
    whole, split = output_filter(100_000), output_filter(100_000)
    expected = whole.feed(text) + whole.end(failed=False)
    kept = [split.feed(piece) for piece in in_pieces(text, offsets)]
    assert b"".join([*kept, split.end(failed=False)]) == expected
    for folder in (HOME, PACKAGES, RUN):
        assert f"{folder}/".encode() not in expected
    assert (
        expected
        == "".join(parts)
        .replace(f" {HOME}/", " ")
        .replace(f" {PACKAGES}/", " ")
        .replace(f" {RUN}/", " ")
        .encode()
    )


def test_what_may_become_a_folder_is_held_back() -> None:
    kept = output_filter()
    assert kept.feed(b"in /srv/jo") == b"in "
    assert kept.feed(b"urnal") == b"/srv/journal"
    assert kept.feed(b"/") == b""
    assert kept.end(failed=False) == b"/"


@given(st.lists(st.integers(0, 10_000)))
def test_too_much_output_is_cut_and_a_line_says_so(offsets: list[int]) -> None:
    for size in (9, 10, 11, 100):
        kept = output_filter(10)
        text = b"".join(map(kept.feed, in_pieces(b"x" * size, offsets)))
        assert text == b"x" * min(size, 10) + (CUT if size > 10 else b"")
        assert kept.end(failed=True) == b""


def test_the_traceback_comes_after_the_cut() -> None:
    kept = output_filter(10)
    text = (
        kept.feed(b"x" * 50_000) + kept.feed(b"y" * 9 + TRACEBACK[:30]) + kept.feed(TRACEBACK[30:])
    )
    assert text == b"x" * 10 + CUT
    assert kept.end(failed=True) == TRACEBACK


def test_only_a_failure_has_a_traceback_at_its_end() -> None:
    kept = output_filter(10)
    kept.feed(b"x" * 11 + TRACEBACK)
    assert kept.end(failed=False) == b""
