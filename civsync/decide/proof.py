"""Which files need not be hashed with SHA-256 again: those that civsync hashed both ways before.

Both hashes are made in one pass while a file is received or adopted, and BLAKE3 alone takes
less than half the time of both. A file that still has the BLAKE3 of the receipt is, byte for
byte, the one whose SHA-256 the receipt names. That finds every change of the file. It does
not find somebody who changed file and receipt alike, except where the lock has a BLAKE3 of
its own.
"""

from collections.abc import Mapping

from civsync.core.disk import Digests, Receipt
from civsync.core.names import SafePath
from civsync.core.plan import Want


def proven(wants: Mapping[SafePath, Want], receipt: Receipt) -> dict[SafePath, Digests]:
    """Return what the owned files were when both their hashes were made, where that is known.

    Where the lock wants other content at that path, or publishes another BLAKE3 for the same,
    the SHA-256 has to judge.
    """
    found: dict[SafePath, Digests] = {}
    for path, mine in receipt.owned.items():
        if not mine.blake3:
            continue
        file = want.file if (want := wants.get(path)) is not None else None
        if file is not None and (
            file.sha256 != mine.sha256 or file.blake3 not in (None, mine.blake3)
        ):
            continue
        found[path] = Digests(sha256=mine.sha256, blake3=mine.blake3, size=mine.stamp.size)
    return found
