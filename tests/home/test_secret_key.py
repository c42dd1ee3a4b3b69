"""The key of a home: made once, for its owner only, the same for all who start at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobserver.errors import SettingsError
from jobserver.home.secret_key import secret_key
from jobserver.home.settings import Settings

ROOT = Path(__file__).parents[2]
LONG, SHORT = "k" * 16, "hunter2"


def test_the_key_of_the_settings(tmp_path: Path) -> None:
    assert secret_key(Settings(home=tmp_path, SECRET_KEY=LONG)) == LONG
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SettingsError, match="at least 16 characters") as refused:
        secret_key(Settings(home=tmp_path, SECRET_KEY=SHORT))
    assert SHORT not in str(refused.value)


def test_it_is_made_once_for_its_owner(tmp_path: Path) -> None:
    key = secret_key(Settings(home=tmp_path))
    assert len(key) >= 64
    assert secret_key(Settings(home=tmp_path)) == key
    (path,) = tmp_path.iterdir()
    assert path.name == "secret.key"
    assert path.stat().st_mode & 0o777 == 0o600


def test_others_lose_sight_of_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = secret_key(Settings(home=tmp_path))
    (tmp_path / "secret.key").chmod(0o644)
    assert secret_key(Settings(home=tmp_path)) == key
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    assert "could be read by others" in caplog.text
    assert key not in caplog.text


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64])
def test_a_damaged_one_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret.key").write_bytes(content)
    with pytest.raises(SettingsError, match=r"secret\.key"):
        secret_key(Settings(home=tmp_path))
    assert (tmp_path / "secret.key").read_bytes() == content


def test_a_home_without_room_for_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Set SECRET_KEY"):
        secret_key(Settings(home=tmp_path / "none"))


def test_many_that_start_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from jobserver.home.secret_key import secret_key\n"
        "from jobserver.home.settings import Settings\n"
        "print(flush=True); sys.stdin.readline()\n"
        "print(secret_key(Settings(home=Path(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    keys = {process.communicate(timeout=30)[0] for process in started}
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]
