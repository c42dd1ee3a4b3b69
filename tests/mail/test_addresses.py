"""Mail addresses: what passes can stand in a header and in SMTP as it is."""

from __future__ import annotations

import re
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.errors import BadRequest
from jobserver.mail import is_address, normalize_address
from jobserver.mail.messages import check_address

GOOD = ["anna@example.org", "a.b+c@x-y.example", "root@localhost", "o'neil@a.b", f"{'a' * 64}@b.c"]
BAD = [
    *("", "anna", "@", "a@", "@b", "a@b@c", "a b@c", "a@b c", ".a@b", "a.@b", "a..b@c", "a@-b"),
    *("a@b-", "a@b..c", "a@.b", "a@b.", '"a"@b', "a@[127.0.0.1]", "<a@b>", "a <a@b>", "a@b,c@d"),
    *("a@b;c@d", "a@b\n", "\na@b", "a@b\r\nBcc: c@d", "a\0@b", "a@b\x7f", "ä@b", "a@ä.example"),
    *(
        "a@b\u2028",
        "a(b)@c",
        "a:b@c",
        "a\\b@c",
        f"{'a' * 65}@b",
        f"a@{'b.' * 130}c",
        None,
        1,
        ["a@b"],
    ),
]


@pytest.mark.parametrize("address", GOOD)
def test_valid_addresses(address: str) -> None:
    assert is_address(address)
    check_address(address)
    assert normalize_address(f" {address.upper()}\n") == address.lower()


@pytest.mark.parametrize("value", BAD)
def test_invalid_addresses(value: object) -> None:
    assert not is_address(value)
    with pytest.raises(BadRequest) as refused:
        check_address(value, "notify")
    assert refused.value.errors[0].field == "notify"
    if not isinstance(value, str) or not is_address(value.strip().lower()):
        with pytest.raises(BadRequest):
            normalize_address(value)


@given(
    st.one_of(
        st.text("ab.@-+ <>\r\n\"',;:()[]\\\0é", max_size=12),
        st.tuples(st.sampled_from(GOOD), st.text(max_size=3)).map("".join),
    )
)
def test_nothing_hides_in_an_address(text: str) -> None:
    if is_address(text):
        assert getaddresses([text]) == [("", text)]
        assert re.search(r"[\s\x00-\x20\x7f-\U0010ffff<>()\[\],;:\\\"]", text) is None
