"""Where things are: manifest, lock, root, state, API origin.

Flags win over CIVSYNC_* variables, those over the user's own config file. A manifest from
a stranger can set none of them except a root below its own folder.
"""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from civsync.cli.output import OutputChoice
from civsync.core.codes import Code
from civsync.core.errors import SafetyError, UserError

if TYPE_CHECKING:
    from civsync.core.link_mode import LinkMode

MANIFEST: Final = "civsync.yaml"
LOCK: Final = "civsync.lock"
DEFAULT_API_URL: Final = "https://civitai.com"


class Settings(NamedTuple):
    """What flags and variables said; None where they said nothing.

    Unless `durable` nothing that is written is flushed to the disk.
    """

    manifest: Path | None = None
    lock: Path | None = None
    roots: tuple[str, ...] = ()
    api_url: str | None = None
    follow_links: tuple[str, ...] = ()
    durable: bool = True
    output: OutputChoice = OutputChoice()

    @property
    def root(self) -> Path | None:
        """The directory that was named, where there is one to keep in step: the last word."""
        return Path(self.roots[-1]) if self.roots else None


class Project(NamedTuple):
    """A manifest and its lock; either file may be missing.

    Unless `durable` the lock is not flushed to the disk when it is written.
    """

    manifest: Path
    lock: Path
    durable: bool = True

    @property
    def name(self) -> str:
        """The manifest's name for messages."""
        return self.manifest.name

    @property
    def folder(self) -> Path:
        """The folder that a relative root lies below."""
        return self.manifest.parent


def find_project(settings: Settings) -> Project:
    """Find the manifest in this folder or the nearest above it that has a manifest or lock."""
    if settings.manifest is not None:
        manifest = settings.manifest
        if manifest.is_dir():
            manifest = manifest / MANIFEST
    elif settings.lock is not None:
        manifest = settings.lock.parent / MANIFEST
    else:
        manifest = _search(Path.cwd()) / MANIFEST
    lock = settings.lock or manifest.with_name(
        LOCK if manifest.name == MANIFEST else manifest.stem + ".lock"
    )
    return Project(manifest=manifest, lock=lock, durable=settings.durable)


def _search(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / MANIFEST).exists() or (folder / LOCK).exists():
            return folder
    return start


def require_utf8() -> None:
    """Raise UserError config-invalid where file names are not in UTF-8, as those of a lock are."""
    encoding = sys.getfilesystemencoding()
    if encoding.lower() != "utf-8":
        raise UserError(
            Code.CONFIG_INVALID,
            f"file names are in {encoding} here, and those of a lock need UTF-8",
            hint="Set PYTHONUTF8=1, or LC_ALL to a UTF-8 locale.",
        )


def find_root(settings: Settings, project: Project, manifest_root: str) -> Path:
    """Return the root: given by the user, or the manifest's, which lies below its folder.

    Raises SafetyError root-unusable, UserError config-invalid.
    """
    require_utf8()
    if settings.root is not None:
        return settings.root.expanduser()
    configured = user_config().root
    if configured:
        return configured_root(configured)
    return root_below(project, manifest_root)


def root_below(project: Project, path: str, name: str = "") -> Path:
    """Return the folder at `path` that a manifest names as a root, below its own.

    Raises SafetyError root-unusable if it leads elsewhere.
    """
    root = project.folder / path
    folder = project.folder.resolve()
    real = root.resolve()
    if not real.is_relative_to(folder):
        key, word = ("path", f"{name}=") if name else ("root", "")
        raise SafetyError(
            Code.ROOT_UNUSABLE,
            f"`{key}: {path}` leads out of the manifest's folder, to {real}",
            subject=str(root),
            hint="If that is what you want, say so yourself:"
            f" --root {shlex.quote(f'{word}{real}')}.",
        )
    return root


def configured_root(text: str, key: str = "root") -> Path:
    """Return a root under `key` of the user's config. Raises UserError config-invalid."""
    try:
        root = Path(text).expanduser()
    except RuntimeError:  # "~nobody"
        root = Path()
    if not root.is_absolute():
        raise UserError(
            Code.CONFIG_INVALID,
            f"`{key}: {text}` is not a whole path, and would mean another folder everywhere",
            subject=str(config_dir() / "config.yaml"),
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
        raise UserError(
            Code.CONFIG_INVALID,
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
        raise UserError(
            Code.CONFIG_INVALID,
            f"`link: {text}` is no way to use files of other roots",
            subject=str(config_dir() / "config.yaml"),
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
    path = config_dir() / "config.yaml"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return UserConfig()
    except OSError as error:
        raise UserError(
            Code.CONFIG_INVALID,
            f"it cannot be read: {error.strerror}",
            subject=str(path),
            hint="Make the file readable for you, or move it away.",
        ) from None
    from civsync.documents.config import read_config

    known = ("root", "api_url", "token_command", "link")
    config = read_config(data, name=str(path), known=known, naming="roots", listing="follow_links")
    return UserConfig(**config.texts, roots=config.named, follow_links=config.lists)


def config_dir() -> Path:
    """Return the folder of the user's config and token file."""
    plain = _plain_dir("XDG_CONFIG_HOME", ".config")
    if plain is not None:
        return plain
    import platformdirs

    return platformdirs.user_config_path("civsync", appauthor=False)


def state_dir() -> Path:
    """Return the folder where civsync remembers roots between runs."""
    plain = _plain_dir("XDG_STATE_HOME", ".local/state")
    if plain is not None:
        return plain
    import platformdirs

    return platformdirs.user_state_path("civsync", appauthor=False)


def _plain_dir(variable: str, below_home: str) -> Path | None:
    """Return what platformdirs would say on Linux, where that is simple; None to ask it.

    It takes longer to import than all the rest of what such a folder is for.
    """
    if sys.platform != "linux" or "ANDROID_ROOT" in os.environ:
        return None
    named, home = os.environ.get(variable, ""), os.environ.get("HOME", "")
    if named.startswith("/") and named == named.strip():
        return Path(named, "civsync")
    if not named and home.startswith("/"):
        return Path(home, below_home, "civsync")
    return None


def in_ci() -> bool:
    """Tell whether `CI` is set to something that means yes."""
    return os.environ.get("CI", "").strip().lower() not in {"", "0", "false", "no"}
