"""Which machine this is, and since when: names for what a process may rely on."""

import functools
import hashlib
import os
import platform
from pathlib import Path


@functools.cache
def this_host() -> str:
    """Return twelve digits for "where process ids mean the same as here".

    That is a machine, until it is started again, and a container on it.
    """
    facts = [platform.node()]
    for fact in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            link = os.path.islink(fact)
            facts.append(os.readlink(fact) if link else Path(fact).read_text("ascii"))
        except OSError:
            facts.append("")
    return hashlib.sha256("\n".join(facts).encode("utf-8", "replace")).hexdigest()[:12]


@functools.cache
def this_boot() -> str:
    """Return what names this system until it is started again; "" where nothing does.

    What a dead process wrote is still in the memory of the system that has this name.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
