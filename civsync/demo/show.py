"""The demo: the real command line, run against the loopback registry, told step by step.

Every step is a civsync process of its own, as a user would start it. The registry lives in
this process; with `stay` it goes on until it is stopped. Nothing outside the demo's folder
is written, and in a folder that is there already only what a demo made is replaced.
"""

import difflib
import itertools
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from civsync.demo.environment import ENV_FILE, STATE, demo_environment, shell_line, shell_text
from civsync.demo.served import Served, serve
from civsync.demo.world import demo_registry

FIRST: Final = """\
version: 1
layout: comfyui

prefer:
  format: [SafeTensor, GGUF]
  precision: [fp16, bf16, fp32]
  quant: [Q8_0, Q4_K_M]
  size: [pruned, full]

models:
  - model: 1204385            # a checkpoint that has three versions
    version: 1401876
  - model: 843127             # four builds of one checkpoint: of the pruned ones `prefer`
    files:                    # picks fp16; its VAE goes to the folder of VAEs
      - {type: Pruned Model}
      - {type: VAE}
  - https://civitai.com/models/1133590/a-lora
  - https://civitai.com/models/967204
  - urn:air:sd1:embedding:civitai:621540@694870
  - model: 1387615            # a GGUF build, the best quant of `prefer`
  - model: 918830             # two files of one name in one version
    files:
      - {size: pruned}
      - {size: full}
  - model: 744091             # weights and their config
    files:
      - {type: Model}
      - {type: Config}
  - model: 1190462
  - model: 588213             # an upscaler that exists only as a pickle
    allow_pickle: true
  - model: 355418             # a pickle under an unsafe name
    allow_pickle: true
  - model: 1279844            # a ComfyUI workflow
"""

DROPPED: Final = "  - https://civitai.com/models/967204\n"
BUMP: Final = ("    version: 1401876\n", "    version: latest\n")
SECOND: Final = FIRST.replace(DROPPED, "").replace(*BUMP)

MARKER: Final = ".civsync-demo"
MADE: Final = ("civsync.yaml", "civsync.lock", "models", ENV_FILE, STATE)
"""What a demo leaves in its folder besides the marker."""


class DemoFolderError(Exception):
    """The folder cannot be used: it holds something else, or cannot be written."""


def free_folder(base: Path) -> Path:
    """Return `base`, or the first of `base`-2, `base`-3, ... that is not there yet."""
    numbered = (base.with_name(f"{base.name}-{number}") for number in itertools.count(2))
    return next(folder for folder in itertools.chain([base], numbered) if not folder.exists())


def show_demo(folder: Path, *, stay: bool, force: bool, quiet: bool) -> int:
    """Run the demo in `folder`; return the exit status (that of the first step that failed).

    With `stay` the registry goes on until SIGINT or SIGTERM. Raises DemoFolderError.
    """
    try:
        _prepare(folder, force=force)
    except OSError as error:
        raise DemoFolderError(f"it cannot be used: {error.strerror or error}") from None
    with serve(demo_registry()) as served:
        show = _Show(folder, served, quiet=quiet)
        for step in _steps(show):
            if status := step():
                return status
        if stay:
            _stay(folder, served.api_url)
        else:
            show.say(
                f"Play with {folder}: civsync.yaml, civsync.lock, models/."
                " The registry has stopped; `civsync demo --serve` keeps it running."
            )
            show.line(shell_line(folder))
    return 0


def _prepare(folder: Path, *, force: bool) -> None:
    marker = folder / MARKER
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not marker.is_file():
            raise DemoFolderError("the folder holds something that is not a demo")
        if not force:
            raise DemoFolderError("a demo is there already")
        for made in (folder / name for name in MADE):
            if made.is_dir() and not made.is_symlink():
                shutil.rmtree(made)
            else:
                made.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text("made by civsync demo\n", encoding="utf-8")


def _steps(show: "_Show") -> tuple[Callable[[], int], ...]:
    return (
        show.begin,
        lambda: show.run("Resolve it: which versions, which files, which hashes.", "lock"),
        lambda: show.run("Make the disk hold exactly that.", "sync"),
        show.tree,
        show.edit,
        lambda: show.run("What would that do?", "sync", "--dry-run"),
        lambda: show.run("Do it: download, then retire what is not wanted any more.", "sync"),
        lambda: show.run("And once more: nothing to do, nothing asked.", "sync"),
        lambda: show.run("Every file, read again and compared with the lock.", "verify"),
    )


def _stay(folder: Path, api_url: str) -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    # Said also with --quiet: it is what was asked for, and cannot be known otherwise.
    _write(
        f"\n# The registry runs at {api_url} until Ctrl-C. In another terminal:\n"
        f"{shell_line(folder.resolve())}\n"
    )
    # Not one long wait, which on Windows would be deaf to Ctrl-C.
    while not stopped.wait(1.0):
        pass


class _Show:
    """Runs the steps in a folder, and says them like a terminal session."""

    def __init__(self, folder: Path, served: Served, *, quiet: bool) -> None:
        self._folder = folder
        self._served = served
        self._quiet = quiet
        self._environment = demo_environment(folder, served.api_url)
        self._shell = shell_text(folder, served.api_url)

    def say(self, text: str) -> None:
        self._tell(f"\n# {text}\n")

    def line(self, text: str) -> None:
        self._tell(f"{text}\n")

    def begin(self) -> int:
        (self._folder / ENV_FILE).write_text(self._shell, encoding="utf-8", newline="\n")
        self.say("A registry with fifteen models runs on loopback. No network, no account.")
        self.line(f"# This demo goes to the folder {self._folder}.")
        self.say("This manifest, civsync.yaml, asks for twelve of them:")
        self._tell(FIRST)
        return self._save(FIRST)

    def edit(self) -> int:
        self.say("Now edit civsync.yaml: drop one model, take the latest version of another.")
        lines = difflib.unified_diff(FIRST.splitlines(), SECOND.splitlines(), n=0, lineterm="")
        changed = (line for line in lines if not line.startswith(("---", "+++", "@@")))
        self._tell("".join(f"{line}\n" for line in changed))
        return self._save(SECOND)

    def run(self, why: str, *words: str) -> int:
        self.say(why)
        self._tell(f"$ civsync {' '.join(words)}\n")
        self._served.reset_counts()
        done = subprocess.run(  # noqa: S603 - this very program
            [sys.executable, "-m", "civsync", *words, *(["--quiet"] if self._quiet else [])],
            cwd=self._folder,
            env=self._environment,
            check=False,
            stdout=subprocess.DEVNULL if self._quiet else None,
            stderr=None if self._quiet else subprocess.STDOUT,
        )
        asked = (self._served.count(origin=origin) for origin in ("api", "storage"))
        self._tell("# Requests: {} to the API, {} to the storage.\n".format(*asked))
        return done.returncode

    def tree(self) -> int:
        self.say("The tree:")
        root = self._folder / "models"
        for path in sorted(root.rglob("*")):
            below = path.relative_to(root)
            if path.is_file() and not below.parts[0].startswith("."):
                self._tell(f"  {below.as_posix():<52} {path.stat().st_size:>9,} B\n")
        return 0

    def _save(self, manifest: str) -> int:
        (self._folder / "civsync.yaml").write_text(manifest, encoding="utf-8", newline="\n")
        return 0

    def _tell(self, text: str) -> None:
        if not self._quiet:
            _write(text)


def _write(text: str) -> None:
    # Flushed at once, because the steps write to the same place by themselves.
    sys.stdout.write(text)
    sys.stdout.flush()
