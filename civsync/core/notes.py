"""What notes and exit statuses mean for a person: what happens without being an error.

Tables and nothing else; `civsync explain` prints them. A note is an event of a run that goes
on; its code is as stable as that of an error, and never the same.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from civsync.core.exits import ExitCode

NOTES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "api-retry": "Civitai did not answer properly; it is asked again after a pause.",
        "blake3-disagrees": (
            "A file has the locked SHA-256 but not the BLAKE3 that Civitai publishes. SHA-256"
            " decides, so the file is taken; the published BLAKE3 is wrong."
        ),
        "link-fallback": (
            "What another root of this machine holds could not be shared in the way that was asked"
            " for, so it was copied. The message has the answer of the system."
        ),
        "not-shared": (
            "What another root of this machine holds was copied: it is on another file system, or"
            " on one whose files cannot share their blocks."
        ),
        "not-tried": (
            "With --fail-fast the run stopped at a failure, before it came to these files."
            " The next sync goes on with them."
        ),
        "part-dropped": (
            "A download that was resumed, or a copy from this disk, has another SHA-256 than the"
            " locked one. It is thrown away, and the file comes again from its first byte."
        ),
        "quarantined": (
            "A damaged file of civsync's was taken out of the tree. It is kept in"
            " .civsync/quarantine, with a note beside it, until it is old enough to be swept."
        ),
        "receipt-postponed": (
            "The list of what civsync placed could not be written yet. Notes beside it keep what"
            " was done, and the next write includes it."
        ),
        "released": (
            "A file that civsync placed is not wanted any more, but was changed since. It is left"
            " to you and not touched again."
        ),
        "no-hard-links": (
            "Files got their names by rename, because the file system below the root has no hard"
            " links. A file that another program puts there in the same instant could then be"
            " replaced; elsewhere that cannot happen."
        ),
        "retire-postponed": (
            "Files that are not wanted any more stay, because something failed: nothing is"
            " retired before everything else is in place. The next sync without a failure"
            " retires them; with --prune-first they go first."
        ),
        "paused": "You paused this download. It goes on when you resume it, or with the next sync.",
        "resumed": "You let this download go on.",
        "served-name": (
            "Civitai offers the file under another name than the locked one, as it does when a"
            " model was renamed. The bytes are the locked ones, and so is the name on your disk."
        ),
        "trash-emptied": (
            "The disk had no room for what is still to come, and you said --empty-trash: a file"
            " that had waited in trash was deleted for good. The oldest goes first, and never one"
            " that the lock wants."
        ),
        "waiting": "Another civsync holds the root, and --wait says to wait for its end.",
        "token-withheld": ("The API address is not encrypted, so the API key is not sent there."),
    }
)
"""Every code of a note, and what it means."""

STATUSES: Final[Mapping[ExitCode, str]] = MappingProxyType(
    {
        ExitCode.OK: "converged, nothing pending",
        ExitCode.UNEXPECTED: "unexpected failure",
        ExitCode.PENDING: (
            "changes pending; only from `sync --check`, and from `status`, `diff` and `outdated`"
            " with `--exit-code`"
        ),
        ExitCode.STALE: "the lock is missing or stale",
        ExitCode.PARTIAL: (
            "partial: items failed for several different reasons, or you cancelled some; the"
            " others are in place"
        ),
        ExitCode.INTEGRITY: "integrity: bytes do not match the lock",
        ExitCode.CREDENTIALS: "credentials are missing, refused, or not entitled to a file",
        ExitCode.GONE: "a locked file is not served any more",
        ExitCode.REFUSED: (
            "refused by a safety rule: a foreign or modified file in the way, a prune guard, an"
            " unsafe path, no space; or an order for a sync that is not downloading"
        ),
        ExitCode.USAGE: "the command line is wrong",
        ExitCode.INVALID: "the manifest, the lock or the configuration is invalid",
        ExitCode.TEMPORARY: (
            "temporary: the network, a rate limit, or another civsync holds the root; run it"
            " again later"
        ),
        ExitCode.INTERRUPTED: "interrupted (Ctrl-C); progress is kept",
        ExitCode.TERMINATED: "terminated; progress is kept",
    }
)
"""Every exit status, and what it means."""
