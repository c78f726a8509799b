"""The error tree, drawn once.

    CivsyncError
    ├── UserError        the manifest, the lock, a flag or the configuration is at fault
    │   └── DocumentError    problems of a document, each with its place (`core.problems`)
    ├── RegistryError    Civitai answered, and the answer is no
    ├── WireError        no usable answer came
    │   └── HostDeadError    nor will one come in this run
    ├── IntegrityError   bytes are not what the lock says
    ├── DiskError        the disk or the operating system said no
    └── SafetyError      civsync refuses, to protect the user's files

An error carries a `Code`; what the code means for a person (exit status, hint, whether
trying again can help) stands in `civsync.core.explanations`. Text, JSON and exit status are
all made from the same error value.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from civsync.core.exits import ExitCode, Owner

if TYPE_CHECKING:
    from civsync.core.codes import Code
    from civsync.core.explanations import About
    from civsync.core.problems import Place

Scalar = str | int | float | bool | None


class CivsyncError(Exception):
    """A failure that civsync understands.

    `message` says what failed, in one sentence without a final stop; `subject` names the
    thing (an entry, a path, a URL without its query); `hint` replaces the usual hint of
    the code; `data` is for `--json`.
    """

    owner: ClassVar[Owner]

    def __init__(
        self,
        code: "Code",
        message: str,
        *,
        subject: str = "",
        hint: str = "",
        place: "Place | None" = None,
        data: Mapping[str, Scalar] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        if self.about.owner is not self.owner:
            raise AssertionError(f"{code} does not belong to {type(self).__name__}")
        self.message = message
        self.subject = subject
        self.place = place
        self.data: Mapping[str, Scalar] = dict(data or {})
        self._hint = hint

    @property
    def about(self) -> "About":
        """What the code means for a person."""
        from civsync.core.explanations import ABOUT  # noqa: PLC0415 - only what failed needs it

        return ABOUT[self.code]

    @property
    def hint(self) -> str:
        """The command or edit that helps."""
        return self._hint or self.about.hint

    @property
    def exit(self) -> ExitCode:
        """The exit status that this failure alone would give."""
        return self.about.exit

    @property
    def retry(self) -> bool:
        """Whether the same thing may go well a little later, in this run."""
        return self.about.retry


class UserError(CivsyncError):
    """The manifest, the lock, a flag or the configuration is at fault."""

    owner = Owner.USER


class RegistryError(CivsyncError):
    """Civitai answered, and the answer is no."""

    owner = Owner.REGISTRY


class WireError(CivsyncError):
    """No usable answer came; `retry_after` is what the server asked for, in seconds."""

    owner = Owner.WIRE

    def __init__(
        self,
        code: "Code",
        message: str,
        *,
        subject: str = "",
        hint: str = "",
        data: Mapping[str, Scalar] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message, subject=subject, hint=hint, data=data)
        self.retry_after = retry_after


class HostDeadError(WireError):
    """A host is given up for the rest of the run, whatever the code says of trying again."""

    @property
    def retry(self) -> bool:
        """Never: it was tried long enough, for all files."""
        return False


class IntegrityError(CivsyncError):
    """Bytes are not what the lock says."""

    owner = Owner.INTEGRITY


class DiskError(CivsyncError):
    """The disk or the operating system said no."""

    owner = Owner.DISK


class SafetyError(CivsyncError):
    """civsync refuses, to protect the user's files."""

    owner = Owner.SAFETY


def exit_of(errors: Iterable[CivsyncError]) -> ExitCode:
    """Return the one exit status for what went wrong in a run.

    Invalid input, integrity, safety and a stale lock win, in this order. If every failed
    item failed for one and the same reason that is the status, else it is PARTIAL.
    """
    return united_exit(error.exit for error in errors)


def united_exit(statuses: Iterable[ExitCode]) -> ExitCode:
    """Return the one exit status for several, as `exit_of` chooses it."""
    seen = set(statuses)
    if not seen:
        return ExitCode.OK
    for winner in (ExitCode.INVALID, ExitCode.INTEGRITY, ExitCode.REFUSED, ExitCode.STALE):
        if winner in seen:
            return winner
    if len(seen) == 1:
        return seen.pop()
    return ExitCode.PARTIAL
