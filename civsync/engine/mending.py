"""Take damaged files out of the tree, so that nothing wrong keeps a final name.

What follows is a plan like any other; if the run ends here, the next one finds files that
are missing.
"""

from collections.abc import Iterable
from dataclasses import field

from civsync.core.errors import CivsyncError
from civsync.core.events import Noted
from civsync.core.names import SafePath
from civsync.core.values import dataclass
from civsync.decide.mending import Mend
from civsync.ports import Quarantine, Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What became of the mends: `ready` have nothing at their path, `kept` says where it is.

    `failed` could not be taken away and are left as they are.
    """

    ready: tuple[Mend, ...] = ()
    kept: dict[SafePath, str] = field(default_factory=dict)
    failed: dict[SafePath, CivsyncError] = field(default_factory=dict)


def clear(mends: Iterable[Mend], quarantine: Quarantine, report: Reporter) -> Cleared:
    """Move what is damaged into quarantine, one file after the other. Blocks."""
    ready: list[Mend] = []
    kept: dict[SafePath, str] = {}
    failed: dict[SafePath, CivsyncError] = {}
    for mend in mends:
        if mend.stamp is not None:
            try:
                kept[mend.path] = quarantine.set_aside(
                    mend.path, expected=mend.stamp, sha256=mend.sha256, reason=mend.reason
                )
            except CivsyncError as error:
                failed[mend.path] = error
                continue
            message = f"{mend.reason}; kept as {kept[mend.path]}"
            report(Noted(code="quarantined", message=message, path=mend.path))
        ready.append(mend)
    return Cleared(ready=tuple(ready), kept=kept, failed=failed)
