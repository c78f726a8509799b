"""What is wrong with a document, each thing with its place: the errors of one that was read."""

from collections.abc import Iterable

from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A spot in a document: its name, 1-based line and column, and the key path if known."""

    document: str
    line: int | None = None
    column: int | None = None
    key: str = ""

    def __str__(self) -> str:
        """Return "civsync.yaml:4:9", as compilers write it."""
        numbers = [str(n) for n in (self.line, self.column) if n is not None]
        return ":".join([self.document, *numbers])


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a document."""

    code: Code
    message: str
    place: Place
    hint: str = ""


class DocumentError(UserError):
    """A document, or what it includes, has problems; all are here, in the order of their places.

    Documents come in the order in which they were first named.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        problems = tuple(problems)
        documents = list(dict.fromkeys(problem.place.document for problem in problems))
        self.problems = tuple(
            sorted(
                problems,
                key=lambda p: (
                    documents.index(p.place.document), p.place.line or 0, p.place.column or 0,
                ),
            )
        )  # fmt: skip
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(
            first.code, first.message + more, subject=first.place.document, place=first.place
        )
