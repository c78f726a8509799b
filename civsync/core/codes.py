"""Every error code and exit status by name; what they mean stands in `explanations`.

A code is part of the interface: scripts read it from `--json`, people look it up with
`civsync explain CODE`. A code is never given another meaning.
"""

from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple


class ExitCode(IntEnum):
    """Exit statuses of the command line; the sixties and 75 are those of sysexits.h."""

    OK = 0
    UNEXPECTED = 1
    PENDING = 2
    STALE = 3
    PARTIAL = 4
    INTEGRITY = 5
    CREDENTIALS = 6
    GONE = 7
    REFUSED = 8
    USAGE = 64
    INVALID = 65
    TEMPORARY = 75
    INTERRUPTED = 130
    TERMINATED = 143


class Owner(Enum):
    """Whose fault it was; one error class each."""

    USER = "user"
    REGISTRY = "registry"
    WIRE = "wire"
    INTEGRITY = "integrity"
    DISK = "disk"
    SAFETY = "safety"


class Code(StrEnum):
    """Names of everything that can go wrong."""

    # the user's documents and flags
    USAGE = "usage"
    MANIFEST_MISSING = "manifest-missing"
    MANIFEST_SYNTAX = "manifest-syntax"
    MANIFEST_INVALID = "manifest-invalid"
    UNKNOWN_KEY = "unknown-key"
    DUPLICATE_KEY = "duplicate-key"
    YAML_ALIAS = "yaml-alias"
    AMBIGUOUS_ID = "ambiguous-id"
    BAD_LINK = "bad-link"
    BAD_TEMPLATE = "bad-template"
    UNKNOWN_LAYOUT = "unknown-layout"
    DUPLICATE_ENTRY = "duplicate-entry"
    UNKNOWN_MODEL = "unknown-model"
    UNKNOWN_VERSION = "unknown-version"
    VERSION_OF_OTHER_MODEL = "version-of-other-model"
    NO_MATCHING_FILE = "no-matching-file"
    PICKLE_DENIED = "pickle-denied"
    SCAN_MISSING = "scan-missing"
    POLICY_DENIED = "policy-denied"
    TOO_NEW = "too-new"
    UNKNOWN_CREATOR = "unknown-creator"
    NO_HASH = "no-hash"
    UNLOCKABLE = "unlockable"
    LOCK_MISSING = "lock-missing"
    LOCK_STALE = "lock-stale"
    LOCK_INVALID = "lock-invalid"
    LOCK_CONFLICT = "lock-conflict"
    LOCK_NEWER = "lock-newer"
    PLAN_INVALID = "plan-invalid"
    CONFIG_INVALID = "config-invalid"
    CANCELLED = "cancelled"
    NO_JOB = "no-job"
    # Civitai
    LOGIN_NEEDED = "login-needed"
    TOKEN_REFUSED = "token-refused"  # noqa: S105 - the name of an error, not a secret
    DOWNLOADS_DISABLED = "downloads-disabled"
    EARLY_ACCESS = "early-access"
    ACCESS_DENIED = "access-denied"
    ARCHIVED = "archived"
    GONE = "gone"
    REGION_BLOCKED = "region-blocked"
    QUOTA = "quota"
    SEARCH_REFUSED = "search-refused"
    # the wire
    UNREACHABLE = "unreachable"
    TLS_FAILED = "tls-failed"
    TIMED_OUT = "timed-out"
    CONNECTION_LOST = "connection-lost"
    RATE_LIMITED = "rate-limited"
    SERVER_ERROR = "server-error"
    EDGE_REFUSED = "edge-refused"
    NOT_JSON = "not-json"
    REPLY_MALFORMED = "reply-malformed"
    ANSWER_TOO_LARGE = "answer-too-large"
    STORAGE_MISSING = "storage-missing"
    URL_EXPIRED = "url-expired"
    BAD_REDIRECT = "bad-redirect"
    OFFLINE = "offline"
    # bytes
    HASH_MISMATCH = "hash-mismatch"
    SIZE_MISMATCH = "size-mismatch"
    NOT_A_MODEL = "not-a-model"
    FORMAT_MISMATCH = "format-mismatch"
    CONTENT_CHANGED = "content-changed"
    DIFFERS = "differs"
    # the disk
    NO_SPACE = "no-space"
    READ_ONLY = "read-only"
    DISK_FAILED = "disk-failed"
    ROOT_BUSY = "root-busy"
    # refusals
    FOREIGN_FILE = "foreign-file"
    MODIFIED_FILE = "modified-file"
    NOT_WANTED = "not-wanted"
    MISPLACED = "misplaced"
    UNSELECTED_FILE = "unselected-file"
    PROTECTED_FILE = "protected-file"
    PRUNE_GUARD = "prune-guard"
    PLAN_STALE = "plan-stale"
    SEARCH_EMPTY = "search-empty"
    ROOT_MARKER_MISSING = "root-marker-missing"
    ROOT_UNUSABLE = "root-unusable"
    SYMLINKED_DIRECTORY = "symlinked-directory"
    UNDECLARED_DISK = "undeclared-disk"
    LINK_UNUSABLE = "link-unusable"
    OBSTACLE = "obstacle"
    PATH_TAKEN = "path-taken"
    UNSAFE_PATH = "unsafe-path"
    UNVERIFIED = "unverified"
    STATE_DAMAGED = "state-damaged"
    UNEDITABLE = "uneditable"


class About(NamedTuple):
    """What a code means for a person.

    `hint` is one imperative sentence, printed with every error; `meaning` is the paragraph
    of `civsync explain`.
    """

    owner: Owner
    exit: ExitCode
    hint: str
    meaning: str
    retry: bool = False
