"""The demo: the real command line, run against the loopback registry, told step by step.

Every step is a civsync process of its own, as a user would start it. The registry lives in
this process; with `stay` it goes on until it is stopped.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from civsync.demo.served import serve
from civsync.demo.world import DEMO_TOKEN, demo_registry

FIRST: Final = """\
version: 1
layout: comfyui

prefer:
  format: [SafeTensor, GGUF]
  precision: [fp16, bf16, fp32]
  quant: [Q8_0, Q4_K_M]
  size: [pruned, full]

models:
  - model: 1204385            # a checkpoint; its oldest version, pinned
    version: 1401876
  - model: 843127             # four builds of one checkpoint: prefer picks fp16, pruned
    files:
      - {type: Model}
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
MARKER: Final = ".civsync-demo"


class DemoFolderError(Exception):
    """The folder is in use for something else."""


def show_demo(folder: Path, *, stay: bool, force: bool, quiet: bool) -> int:
    """Run the demo in `folder`; return the exit status (that of the first step that failed)."""
    _prepare(folder, force=force)
    stopped = threading.Event()
    with serve(demo_registry()) as served:
        show = _Show(folder, served.api_url, quiet=quiet)
        status = _tell(show)
        if stay and status == 0:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stopped.set())
            show.say(
                f"The registry runs at {served.api_url}. In another terminal:\n"
                f"  cd {folder}\n"
                f"  export CIVSYNC_API_URL={served.api_url} CIVITAI_API_KEY={DEMO_TOKEN}\n"
                "  civsync status\n"
                "Ctrl-C stops it."
            )
            stopped.wait()
    if status == 0:
        show.say(
            f"Play with {folder}: civsync.yaml, civsync.lock, models/."
            + ("" if stay else " `civsync demo --serve` keeps the registry running for that.")
        )
    return status


def _prepare(folder: Path, *, force: bool) -> None:
    marker = folder / MARKER
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not marker.exists():
            raise DemoFolderError("the folder holds something that is not a demo")
        if not force:
            raise DemoFolderError("a demo is there already")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text("made by civsync demo\n", encoding="utf-8")


def _tell(show: "_Show") -> int:
    show.say("A registry with a dozen models runs on loopback. No network, no account.")
    show.write(FIRST)
    steps = [
        lambda: show.run(
            "Resolve the manifest: which versions, which files, which hashes.", "lock"
        ),
        lambda: show.run("Make the disk hold exactly that.", "sync"),
        show.tree,
    ]
    for step in steps:
        if status := step():
            return status
    show.say("Now edit civsync.yaml: drop one model, bump another to its latest version.")
    show.write(FIRST.replace(DROPPED, "").replace(*BUMP))
    steps = [
        lambda: show.run("What would that do?", "sync", "--dry-run"),
        lambda: show.run("Do it: download, then retire what is not wanted any more.", "sync"),
        lambda: show.run("And once more: nothing to do, nothing asked.", "sync"),
        lambda: show.run("Every file, read again and compared with the lock.", "verify"),
    ]
    for step in steps:
        if status := step():
            return status
    return 0


class _Show:
    """Runs the steps in a folder, and says them like a terminal session."""

    def __init__(self, folder: Path, api_url: str, *, quiet: bool) -> None:
        self._folder = folder
        self._quiet = quiet
        self._environment = demo_environment(folder, api_url)

    def say(self, text: str) -> None:
        if not self._quiet:
            sys.stdout.write(f"\n# {text}\n".replace("\n  ", "\n#   "))
            sys.stdout.flush()

    def write(self, manifest: str) -> None:
        (self._folder / "civsync.yaml").write_text(manifest, encoding="utf-8")

    def run(self, why: str, *words: str) -> int:
        self.say(why)
        if not self._quiet:
            sys.stdout.write(f"$ civsync {' '.join(words)}\n")
            sys.stdout.flush()
        done = subprocess.run(  # noqa: S603 - this very program
            [sys.executable, "-m", "civsync", *words],
            cwd=self._folder,
            env=self._environment,
            check=False,
            stderr=subprocess.STDOUT if not self._quiet else None,
        )
        return done.returncode

    def tree(self) -> int:
        if self._quiet:
            return 0
        self.say("The tree:")
        root = self._folder / "models"
        for path in sorted(root.rglob("*")):
            below = path.relative_to(root)
            if path.is_file() and not below.parts[0].startswith("."):
                sys.stdout.write(f"  {below.as_posix():<60} {path.stat().st_size:>9,} B\n")
        sys.stdout.flush()
        return 0


def demo_environment(folder: Path, api_url: str) -> Mapping[str, str]:
    """Return the environment of the demo's steps: the same everywhere, and only the demo's."""
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CIVSYNC_", "CIVITAI_")) and name != "CI"
    }
    state = str((folder / ".state").resolve())
    return {
        **mine,
        "CIVSYNC_API_URL": api_url,
        "CIVITAI_API_KEY": DEMO_TOKEN,
        "XDG_STATE_HOME": state,
        "XDG_CONFIG_HOME": state,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
