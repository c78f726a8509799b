"""Ask a command of the user's for the API key. Neither it nor its output is ever printed."""

import shlex
import subprocess
from typing import Final

from civsync.cli.credentials import COMMAND_VARIABLE
from civsync.core.codes import Code
from civsync.core.errors import UserError

_TIMEOUT_S: Final = 60


def run_token_command(command: str) -> str:
    """Return what the command prints. Raises UserError config-invalid if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - the user's own command, from the user's own config
            shlex.split(command),
            check=True,
            stdout=subprocess.PIPE,
            timeout=_TIMEOUT_S,
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
            return f"took longer than {_TIMEOUT_S} s"
        case OSError():
            return f"could not be started: {error.strerror}"
        case _:
            return "cannot be read: its quotes do not match, or it does not print text"
