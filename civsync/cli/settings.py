"""Where things are: manifest, lock, root, state, API origin.

Flags win over CIVSYNC_* variables, those over the user's own config file. A manifest from
a stranger can set none of them except a root below its own folder.
"""

import os
import sys
from collections.abc import Mapping
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from civsync.cli.output import OutputChoice
from civsync.core.errors import SafetyError, UserError

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import StrPath

    from civsync.core.link_mode import LinkMode

MANIFEST: Final = "civsync.yaml"
LOCK: Final = "civsync.lock"
DEFAULT_API_URL: Final = "https://civitai.com"


class Settings(NamedTuple):
    """What flags and variables said; None where they said nothing.

    Unless `durable` nothing that is written is flushed to the disk.
    """

    manifest: PathLike[str] | None = None
    lock: PathLike[str] | None = None
    roots: tuple[str, ...] = ()
    api_url: str | None = None
    follow_links: tuple[str, ...] = ()
    durable: bool = True
    output: OutputChoice = OutputChoice()

    @property
    def root(self) -> "Path | None":
        """The directory that was named, where there is one to keep in step: the last word."""
        from pathlib import Path

        return Path(self.roots[-1]) if self.roots else None


def find_documents(settings: Settings) -> tuple[str, str]:
    """Return where the manifest and its lock are; either may be missing.

    Unless they are named, they are those of this folder, or of the nearest above it with either.
    """
    if settings.manifest is not None:
        manifest = os.fspath(settings.manifest)
        if os.path.isdir(manifest):
            manifest = os.path.join(manifest, MANIFEST)
    elif settings.lock is not None:
        manifest = os.path.join(os.path.dirname(settings.lock), MANIFEST)
    else:
        manifest = os.path.join(_search(os.getcwd()), MANIFEST)
    if settings.lock is not None:
        return manifest, os.fspath(settings.lock)
    folder, name = os.path.split(manifest)
    # As pathlib has it: neither a first dot nor a last one begins an ending.
    dot = name.rfind(".")
    stem = name[:dot] if 0 < dot < len(name) - 1 else name
    return manifest, os.path.join(folder, LOCK if name == MANIFEST else f"{stem}.lock")


def _search(start: str) -> str:
    folder, last = start, ""
    while folder != last:
        if any(_is_there(os.path.join(folder, name)) for name in (MANIFEST, LOCK)):
            return folder
        folder, last = os.path.dirname(folder), folder
    return start


def _is_there(path: str) -> bool:
    """Tell whether there is a file. Raises UserError config-invalid where that cannot be seen.

    Then it may be there, and another one further up must not be taken for it.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _invalid(
            f"it cannot be looked at: {error.strerror}",
            subject=path,
            hint="Check the permissions of its folder, or name a manifest with --manifest.",
        ) from None
    return True


def require_utf8() -> None:
    """Raise UserError config-invalid where file names are not in UTF-8, as those of a lock are."""
    encoding = sys.getfilesystemencoding()
    if encoding.lower() != "utf-8":
        raise _invalid(
            f"file names are in {encoding} here, and those of a lock need UTF-8",
            hint="Set PYTHONUTF8=1, or LC_ALL to a UTF-8 locale.",
        )


def find_root(settings: Settings, folder: "StrPath", manifest_root: str) -> str:
    """Return the root: given by the user, or that of the manifest, which lies below its `folder`.

    Raises SafetyError root-unusable, UserError config-invalid.
    """
    require_utf8()
    if settings.roots:
        return given_root(settings.roots[-1])
    configured = user_config().root
    if configured:
        return configured_root(configured)
    return root_below(folder, manifest_root)


def given_root(text: str) -> str:
    """Return a root as a flag or a variable names it. Raises UserError usage."""
    root = os.path.expanduser(text)
    if root.startswith("~"):
        from civsync.core.codes import Code

        raise UserError(
            Code.USAGE,
            f"nobody can say whose home {text} begins with",
            hint=f"Write the whole path; a folder of that name is ./{text}.",
        )
    return root


def root_below(folder: "StrPath", path: str, name: str = "") -> str:
    """Return the folder at `path` that a manifest names as a root, below its own `folder`.

    Raises SafetyError root-unusable if it leads elsewhere.
    """
    root = os.path.join(folder, path)
    real = os.path.realpath(root)
    around, inner = (os.path.join(each, "") for each in (os.path.realpath(folder), real))
    if not os.path.normcase(inner).startswith(os.path.normcase(around)):
        import shlex

        from civsync.core.codes import Code

        key, word = ("path", f"{name}=") if name else ("root", "")
        raise SafetyError(
            Code.ROOT_UNUSABLE,
            f"`{key}: {path}` leads out of the manifest's folder, to {real}",
            subject=root,
            hint="If that is what you want, say so yourself:"
            f" --root {shlex.quote(f'{word}{real}')}.",
        )
    return root


def configured_root(text: str, key: str = "root") -> str:
    """Return a root under `key` of the user's config. Raises UserError config-invalid."""
    root = os.path.expanduser(text)
    if not os.path.isabs(root):
        raise _invalid(
            f"`{key}: {text}` is not a whole path, and would mean another folder everywhere",
            subject=config_file(),
            hint="Write the whole path, or begin it with ~/.",
        )
    return root


def find_api_url(settings: Settings) -> str:
    """Return the API origin, without a slash at the end.

    Raises UserError config-invalid for anything but https, or http on loopback.
    """
    from civsync.decide.origins import api_origin

    origin = api_origin(settings.api_url or user_config().api_url or DEFAULT_API_URL)
    if not origin.keeps_secrets:
        raise _invalid(
            f"the API address {origin} is not encrypted; plain http is for loopback alone",
            subject="CIVSYNC_API_URL",
            hint="Set CIVSYNC_API_URL or --api-url to an https origin.",
        )
    return str(origin)


def find_link_mode(flag: "LinkMode | None") -> "LinkMode":
    """Return how bytes of other roots may be used: what the flag says, else the user's config.

    Raises UserError config-invalid.
    """
    from civsync.core.link_mode import LinkMode

    if flag is not None:
        return flag
    text = user_config().link or LinkMode.AUTO
    try:
        return LinkMode(text)
    except ValueError:
        raise _invalid(
            f"`link: {text}` is no way to use files of other roots",
            subject=config_file(),
            hint=f"Write one of: {', '.join(LinkMode)}.",
        ) from None


class UserConfig(NamedTuple):
    """The user's own `config.yaml`. It may say what a manifest may not."""

    root: str = ""
    api_url: str = ""
    token_command: str = ""
    link: str = ""
    roots: Mapping[str, str] = MappingProxyType({})
    follow_links: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def user_config() -> UserConfig:
    """Read the user's config file; no file means nothing is configured.

    Raises UserError config-invalid.
    """
    path = config_file()
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return UserConfig()
    except OSError as error:
        raise _invalid(
            f"it cannot be read: {error.strerror}",
            subject=path,
            hint="Make the file readable for you, or move it away.",
        ) from None
    from civsync.documents.config import read_config

    known = ("root", "api_url", "token_command", "link")
    config = read_config(data, name=path, known=known, naming="roots", listing="follow_links")
    return UserConfig(**config.texts, roots=config.named, follow_links=config.lists)


def config_file() -> str:
    """Return where the user's config file is, if there is one."""
    return os.path.join(config_dir(), "config.yaml")


def config_dir() -> str:
    """Return the folder of the user's config and token file."""
    plain = _plain_dir("XDG_CONFIG_HOME", ".config")
    if plain is not None:
        return plain
    import platformdirs

    return platformdirs.user_config_dir("civsync", appauthor=False)


def state_dir() -> str:
    """Return the folder where civsync remembers roots between runs."""
    plain = _plain_dir("XDG_STATE_HOME", ".local/state")
    if plain is not None:
        return plain
    import platformdirs

    return platformdirs.user_state_dir("civsync", appauthor=False)


def _plain_dir(variable: str, below_home: str) -> str | None:
    """Return what platformdirs would say on Linux, where that is simple; None to ask it.

    It takes longer to import than all the rest of what such a folder is for.
    """
    if sys.platform != "linux" or "ANDROID_ROOT" in os.environ:
        return None
    named, home = os.environ.get(variable, ""), os.environ.get("HOME", "")
    if named.startswith("/") and named == named.strip():
        return os.path.join(named, "civsync")
    if not named and home.startswith("/"):
        return os.path.join(home, below_home, "civsync")
    return None


def _invalid(message: str, *, hint: str, subject: str = "") -> UserError:
    from civsync.core.codes import Code

    return UserError(Code.CONFIG_INVALID, message, subject=subject, hint=hint)


def in_ci() -> bool:
    """Tell whether `CI` is set to something that means yes."""
    return os.environ.get("CI", "").strip().lower() not in {"", "0", "false", "no"}
