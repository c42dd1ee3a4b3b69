from __future__ import annotations

import httpx
import pytest

import jobserver


@pytest.mark.parametrize("path", ["/", "/info"])
def test_info_tells_what_answers(client: httpx.Client, path: str) -> None:
    answer = client.get(path).json()
    assert answer == {"status": 200, "message": answer["message"], "version": jobserver.__version__}
