"""What an audit finds, as values: rules, how grave a breach of each is, and its exit status."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from civsync.core.errors import united_exit
from civsync.core.exits import ExitCode
from civsync.core.lock import LockedFile
from civsync.core.problems import Place
from civsync.core.values import dataclass


class Severity(StrEnum):
    """How grave a finding is; only errors change the exit status."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Rule(StrEnum):
    """What a finding is about. Those with a dot are keys of the manifest."""

    CONTENT_CHANGED = "content-changed"
    SIZE_CHANGED = "size-changed"
    GONE = "gone"
    MODEL_GONE = "model-gone"
    FILE_GONE = "file-gone"
    ARCHIVED = "archived"
    TAKEN_DOWN = "taken-down"
    DOWNLOADS_DISABLED = "downloads-disabled"
    UNVERIFIED = "unverified"
    SCAN_CHANGED = "scan-changed"
    LICENSE_CHANGED = "license-changed"
    RATING_CHANGED = "rating-changed"
    CREATOR_RENAMED = "creator-renamed"
    STALE = "stale"
    PICKLE = "policy.pickle"
    SCANS = "policy.scans"
    LICENSE = "policy.license"
    RATING = "policy.nsfw"
    MAX_SIZE = "policy.max_size"
    CREATORS_ALLOW = "policy.creators.allow"
    CREATORS_DENY = "policy.creators.deny"
    EARLY_ACCESS = "policy.early_access"


_STATUSES: Final[Mapping[Rule, ExitCode]] = MappingProxyType(
    {
        Rule.CONTENT_CHANGED: ExitCode.INTEGRITY,
        Rule.SIZE_CHANGED: ExitCode.INTEGRITY,
        Rule.GONE: ExitCode.GONE,
        Rule.MODEL_GONE: ExitCode.GONE,
        Rule.FILE_GONE: ExitCode.GONE,
        Rule.ARCHIVED: ExitCode.GONE,
        Rule.DOWNLOADS_DISABLED: ExitCode.CREDENTIALS,
    }
)
"""Exit statuses of errors; all others are refusals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that an audit found about an entry, or about one of its files.

    `place` is where the manifest asks for it, None where it does not.
    """

    severity: Severity
    rule: Rule
    entry: str
    message: str
    file: LockedFile | None = None
    place: Place | None = None

    @property
    def exit(self) -> ExitCode:
        """The exit status that this finding alone would give."""
        if self.severity is not Severity.ERROR:
            return ExitCode.OK
        return _STATUSES.get(self.rule, ExitCode.REFUSED)


def exit_of_findings(findings: Iterable[Finding]) -> ExitCode:
    """Return the one exit status for all that was found, as for failures of a run."""
    return united_exit(each.exit for each in findings if each.severity is Severity.ERROR)
