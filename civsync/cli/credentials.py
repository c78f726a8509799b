"""Find the API key. It is never printed.

Order: CIVITAI_API_KEY, CIVITAI_API_TOKEN, CIVITAI_TOKEN, a token command, the keyring,
the file that `civsync auth login` wrote.
"""

import os
import stat
from pathlib import Path
from typing import Final

from civsync.cli.output import KEY_VARIABLES
from civsync.cli.settings import config_dir, user_config
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.secrets import Token
from civsync.core.values import dataclass

VARIABLES: Final = KEY_VARIABLES
COMMAND_VARIABLE: Final = "CIVSYNC_TOKEN_COMMAND"
SERVICE: Final = "civsync"
"""Under which the keyring has the keys of civsync."""

_FILE_BYTES: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A token and where it came from, in words for people."""

    token: Token
    origin: str


def find_credentials(api_url: str) -> Credentials | None:
    """Return the API key for this origin, or None if there is none anywhere.

    Raises UserError config-invalid for a key that cannot be one, for a command that fails,
    and for a file that cannot be read or that others can read.
    """
    for name in VARIABLES:
        text = os.environ.get(name, "").strip()
        if text:
            return _credentials(text, f"the variable {name}")
    command = os.environ.get(COMMAND_VARIABLE) or user_config().token_command
    if command:
        from civsync.cli.token_command import run_token_command

        return _credentials(run_token_command(command), "the token command")
    kept = from_keyring(api_url)
    if kept:
        return _credentials(kept, "the keyring")
    filed = _from_file(api_url)
    if filed:
        return _credentials(filed, f"the file {token_file(api_url)}")
    return None


def token_file(api_url: str) -> Path:
    """Return where the key for this origin is kept without a keyring."""
    host = api_url.partition("://")[2].replace(":", "_").replace("/", "_")
    return Path(config_dir(), f"token-{host}")


def _credentials(text: str, origin: str) -> Credentials:
    try:
        return Credentials(token=Token(text), origin=origin)
    except ValueError as error:
        raise UserError(Code.CONFIG_INVALID, f"{error}, in {origin}") from None


def _from_file(api_url: str) -> str:
    path = token_file(api_url)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_FILE_BYTES)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UserError(
            Code.CONFIG_INVALID,
            f"the file with the API key cannot be read: {error.strerror}",
            subject=str(path),
            hint="Make it yours, or run `civsync auth logout` and `civsync auth login`.",
        ) from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        import shlex

        raise UserError(
            Code.CONFIG_INVALID,
            "others can read the file with the API key",
            subject=str(path),
            hint=f"Run `chmod 600 {shlex.quote(str(path))}`.",
        )
    return data.decode("utf-8", "replace").strip()


def from_keyring(api_url: str) -> str:
    """Return the key that the keyring has for this origin, "" if none or if there is no keyring."""
    try:
        import keyring
    except ImportError:
        return ""
    try:
        return keyring.get_password(SERVICE, api_url) or ""
    except Exception:  # noqa: BLE001 - backends raise what they like; no keyring is no failure
        return ""
