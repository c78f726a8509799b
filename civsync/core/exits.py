"""How a run can end, and whose fault it may be that it did not go well."""

from enum import Enum, IntEnum


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
