"""Where the API key is looked for, in which order, and what is not believed."""

import os
import sys
from pathlib import Path

import pytest

from civsync.cli.credentials import VARIABLES, find_credentials, token_file
from civsync.cli.key_keeping import forget, keep
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.secrets import Token

API = "https://civitai.com"
COMMAND = "CIVSYNC_TOKEN_COMMAND"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, no key anywhere, and no keyring."""
    for name in (*VARIABLES, COMMAND):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "keyring", None)
    return tmp_path / "civsync"


def found() -> tuple[str, str] | None:
    credentials = find_credentials(API)
    return None if credentials is None else (credentials.token.reveal(), credentials.origin)


def printing(text: str) -> str:
    """A command that prints `text`."""
    return f"{sys.executable} -c \"print('{text}')\""


def test_without_any_there_is_none() -> None:
    assert found() is None


def test_the_first_of_variables_command_and_file_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    where = keep(Token("of-the-file"), API)
    assert found() == ("of-the-file", where)
    monkeypatch.setenv(COMMAND, printing("of-the-command"))
    assert found() == ("of-the-command", "the token command")
    for name in reversed(VARIABLES):
        monkeypatch.setenv(name, f" {name.lower()}\n")
        assert found() == (name.lower(), f"the variable {name}")
    monkeypatch.setenv(VARIABLES[0], "  ")
    assert found() == (VARIABLES[1].lower(), f"the variable {VARIABLES[1]}")


def test_the_command_may_stand_in_the_config(home: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text(f"token_command: |\n  {printing('of-the-config')}\n")
    assert found() == ("of-the-config", "the token command")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        pytest.param(
            f"{sys.executable} -c 'raise SystemExit(3)'", "ended with status 3", id="status"
        ),
        pytest.param("/no/such/program --secret abc", "could not be started", id="no program"),
        pytest.param("'never closed", "its quotes do not match", id="quotes"),
        pytest.param(f"{sys.executable} -c 'pass'", "the API key is empty", id="prints nothing"),
        pytest.param(printing("two words"), "blanks", id="prints a sentence"),
    ],
)
def test_a_token_command_that_fails_is_told_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, command: str, told: str
) -> None:
    monkeypatch.setenv(COMMAND, command)
    with pytest.raises(UserError) as caught:
        found()
    assert caught.value.code is Code.CONFIG_INVALID
    assert told in caught.value.message
    assert "token command" in caught.value.message
    assert "secret" not in caught.value.message
    assert "two words" not in caught.value.message


def test_a_key_that_holds_a_line_break_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLES[0], "abc\nX-Evil: 1")
    with pytest.raises(UserError, match="the variable CIVITAI_API_KEY") as caught:
        found()
    assert "Evil" not in caught.value.message


def test_every_origin_has_a_key_of_its_own() -> None:
    keep(Token("for-civitai"), API)
    keep(Token("for-the-demo"), "http://127.0.0.1:8080")
    assert found() == ("for-civitai", f"the file {token_file(API)}")
    assert forget(API) == (f"the file {token_file(API)}",)
    assert found() is None
    assert find_credentials("http://127.0.0.1:8080") is not None
    assert forget(API) == ()


def test_keeping_a_key_again_replaces_it_and_leaves_nothing_beside_it(home: Path) -> None:
    keep(Token("first"), API)
    keep(Token("second"), API)
    assert found() == ("second", f"the file {token_file(API)}")
    assert [path.name for path in home.iterdir()] == ["token-civitai.com"]


def test_a_key_file_that_cannot_be_read_is_no_silent_logout(home: Path) -> None:
    token_file(API).mkdir(parents=True)
    with pytest.raises(UserError, match="cannot be read") as caught:
        found()
    assert caught.value.subject == str(token_file(API))
    with pytest.raises(UserError, match="cannot be removed"):
        forget(API)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_a_link_to_a_file_that_others_can_read_is_refused(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    shared = tmp_path / "shared"
    shared.write_text("key")
    shared.chmod(0o644)
    token_file(API).symlink_to(shared)
    with pytest.raises(UserError, match="others can read"):
        found()
