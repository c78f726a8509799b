"""What a decision wants a person to know although nothing failed."""

from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One remark about one entry; `code` is stable, for scripts, `message` for people.

    Codes: equal-candidates, no-weights, optional-missing, early-access, taken-down,
    unverified, scan-waived, renamed, owner-unknown, kept, gone, left-out, search-cut,
    search-kept.
    """

    code: str
    entry: str
    message: str
