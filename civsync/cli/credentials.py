"""Find, keep and forget the API key. It is never printed.

Order: CIVITAI_API_KEY, CIVITAI_API_TOKEN, CIVITAI_TOKEN, a token command, the keyring,
the file that `civsync auth login` wrote.
"""

import contextlib
import os
import shlex
import stat
import subprocess
import tempfile
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
_SERVICE: Final = "civsync"
_COMMAND_TIMEOUT_S: Final = 60
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
        return _credentials(_from_command(command), "the token command")
    kept = _from_keyring(api_url)
    if kept:
        return _credentials(kept, "the keyring")
    filed = _from_file(api_url)
    if filed:
        return _credentials(filed, f"the file {token_file(api_url)}")
    return None


def keep(token: Token, api_url: str) -> str:
    """Keep the key for this user and return where, in words.

    Raises UserError config-invalid where it cannot be kept.
    """
    path = token_file(api_url)
    if _to_keyring(token, api_url):
        with contextlib.suppress(OSError):
            path.unlink()  # an older key must not come back when the keyring is locked
        return "the keyring"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made for this user alone (0600) before a byte of the key is in it.
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(token.reveal() + "\n")
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(
            Code.CONFIG_INVALID,
            f"the API key cannot be kept: {error.strerror}",
            subject=str(path),
            hint=f"Make the folder writable for you, or set {VARIABLES[0]} instead.",
        ) from None
    return f"the file {path}"


def forget(api_url: str) -> tuple[str, ...]:
    """Remove the kept key; return the places, in words, that held it.

    Raises UserError config-invalid for a file that cannot be removed.
    """
    places: list[str] = []
    if _from_keyring(api_url):
        _drop_from_keyring(api_url)
        places.append("the keyring")
    path = token_file(api_url)
    try:
        path.unlink()
        places.append(f"the file {path}")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UserError(
            Code.CONFIG_INVALID,
            f"the API key cannot be removed: {error.strerror}",
            subject=str(path),
            hint="Remove the file by hand.",
        ) from None
    return tuple(places)


def token_file(api_url: str) -> Path:
    """Return where the key for this origin is kept without a keyring."""
    host = api_url.partition("://")[2].replace(":", "_").replace("/", "_")
    return Path(config_dir(), f"token-{host}")


def _credentials(text: str, origin: str) -> Credentials:
    try:
        return Credentials(token=Token(text), origin=origin)
    except ValueError as error:
        raise UserError(Code.CONFIG_INVALID, f"{error}, in {origin}") from None


def _from_command(command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own command, from the user's own config
            shlex.split(command),
            check=True,
            stdout=subprocess.PIPE,
            timeout=_COMMAND_TIMEOUT_S,
            text=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise UserError(
            Code.CONFIG_INVALID,
            f"the token command {_why(error)}",
            hint=f"Run it by hand, then correct {COMMAND_VARIABLE} or `token_command`.",
        ) from None
    return done.stdout


def _why(error: OSError | ValueError | subprocess.SubprocessError) -> str:
    """Say how the command failed, without repeating it or its output: either may hold a secret."""
    match error:
        case subprocess.CalledProcessError(returncode=status):
            return f"ended with status {status}"
        case subprocess.TimeoutExpired():
            return f"took longer than {_COMMAND_TIMEOUT_S} s"
        case OSError():
            return f"could not be started: {error.strerror}"
        case _:
            return "cannot be read: its quotes do not match, or it does not print text"


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
        raise UserError(
            Code.CONFIG_INVALID,
            "others can read the file with the API key",
            subject=str(path),
            hint=f"Run `chmod 600 {shlex.quote(str(path))}`.",
        )
    return data.decode("utf-8", "replace").strip()


def _from_keyring(api_url: str) -> str:
    try:
        import keyring
    except ImportError:
        return ""
    try:
        return keyring.get_password(_SERVICE, api_url) or ""
    except Exception:  # noqa: BLE001 - backends raise what they like; no keyring is no failure
        return ""


def _to_keyring(token: Token, api_url: str) -> bool:
    try:
        import keyring

        keyring.set_password(_SERVICE, api_url, token.reveal())
    except Exception:  # noqa: BLE001 - as above; the file takes over
        return False
    return _from_keyring(api_url) == token.reveal()


def _drop_from_keyring(api_url: str) -> None:
    import keyring

    keyring.delete_password(_SERVICE, api_url)
