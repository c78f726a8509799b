"""The environment that belongs to a demo, for its own steps and for a user's shell.

Nothing of the user's (a root, a state folder, a key, a proxy) takes part in it, so that a
demo means the same everywhere and cannot touch what is not its own.
"""

import os
import shlex
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from civsync.demo.world import DEMO_TOKEN

STATE: Final = ".state"
"""Where the demo keeps what civsync keeps in the user's state and config folders."""

ENV_FILE: Final = "env.sh"
"""What a POSIX shell sources to work in the demo."""


_FOREIGN: Final = ("CIVSYNC_", "CIVITAI_")
"""Beginnings of variables that would make a demo another one; `CI` is one too."""

_UNSET: Final = (
    "unset CI "
    "$(env | sed -n '" + "; ".join(rf"s/^\({prefix}[A-Z_]*\)=.*/\1/p" for prefix in _FOREIGN) + "')"
)


def demo_environment(folder: Path, api_url: str) -> Mapping[str, str]:
    """Return the whole environment of a step."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and name != "CI"
    }
    return {**kept, **_own(folder, api_url)}


def shell_text(folder: Path, api_url: str) -> str:
    """Return the text of `env.sh`: it also puts this very civsync first on the PATH."""
    lines = [
        "# Made by civsync demo. Work in the demo: . ./env.sh",
        _UNSET,
        *(f"export {name}={shlex.quote(value)}" for name, value in _own(folder, api_url).items()),
        f'export PATH={shlex.quote(sysconfig.get_path("scripts"))}:"$PATH"',
    ]
    return "".join(f"{line}\n" for line in lines)


def shell_line(folder: Path) -> str:
    """Return the line that takes a POSIX shell into the demo."""
    return f"cd {shlex.quote(str(folder))} && . ./{ENV_FILE} && civsync status"


def _own(folder: Path, api_url: str) -> Mapping[str, str]:
    state = str((folder / STATE).resolve())
    return {
        "CIVSYNC_API_URL": api_url,
        # A root in the user's own config file must not make the demo work on it.
        "CIVSYNC_ROOT": str((folder / "models").resolve()),
        "CIVITAI_API_KEY": DEMO_TOKEN,
        "XDG_STATE_HOME": state,
        "XDG_CONFIG_HOME": state,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
