"""Keep and forget the API key: what `civsync auth` does. It is never printed."""

import contextlib
import os
import tempfile
from pathlib import Path

from civsync.cli.credentials import SERVICE, VARIABLES, from_keyring, token_file
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.secrets import Token


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
    if from_keyring(api_url):
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


def _to_keyring(token: Token, api_url: str) -> bool:
    try:
        import keyring

        keyring.set_password(SERVICE, api_url, token.reveal())
    except Exception:  # noqa: BLE001 - backends raise what they like; the file takes over
        return False
    return from_keyring(api_url) == token.reveal()


def _drop_from_keyring(api_url: str) -> None:
    import keyring

    keyring.delete_password(SERVICE, api_url)
