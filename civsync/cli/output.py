"""The one place where text reaches the terminal.

stdout is data, stderr is talk. Whatever came from outside (names, server texts, paths) is
escaped here, so that no name can move the cursor, recolor or hide a line.
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple, TextIO

from civsync.core.errors import CivsyncError, DiskError
from civsync.core.secrets import MASK, Token

COLORS: Final = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "cyan": 36, "dim": 2, "bold": 1}


KEY_VARIABLES: Final = ("CIVITAI_API_KEY", "CIVITAI_API_TOKEN", "CIVITAI_TOKEN")
"""Where the API key may be given; the first that is set wins."""

SHORTEST_SECRET: Final = 8
"""Shorter keys would mask ordinary words."""

_KEY_IN_LINK: Final = re.compile(r"""([?&]token=)[^&\s"'\\#]+""", re.IGNORECASE)
"""A pasted download link may carry somebody's key."""


class OutputChoice(NamedTuple):
    """How the user wants to be spoken to. `color` is "auto", "always" or "never"."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    progress: bool = True
    color: str = "auto"


class NobodyReadsError(Exception):
    """Whoever read our output has gone. Not an OSError, of which click makes an end of its own."""


class Output:
    """Writes data and talk the way the user chose."""

    def __init__(self, choice: OutputChoice) -> None:
        self.choice = choice
        self.root = ""
        """The name of the root that is spoken of, "" where there is only one."""
        self.gathered: list[Mapping[str, object]] | None = None
        """Where documents on one root each are gathered, to be printed as one."""
        self.unheard: CivsyncError | NobodyReadsError | None = None
        """What kept a line of a JSON stream from being written; what followed went nowhere."""
        self._tokens: set[Token] = set()
        for name in KEY_VARIABLES:
            with contextlib.suppress(ValueError):
                self.hide(Token(os.environ.get(name, "")))

    def hide(self, token: Token) -> None:
        """Never print `token`, whoever asks: a last net under the rule that nothing does."""
        if len(token.reveal()) >= SHORTEST_SECRET:
            self._tokens.add(token)

    @property
    def live(self) -> bool:
        """Whether a progress display that redraws itself is wanted and possible."""
        choice = self.choice
        quiet = choice.quiet or choice.json or not choice.progress
        terminal = sys.stderr is not None and sys.stderr.isatty()
        return not quiet and terminal and os.environ.get("TERM") != "dumb"

    @property
    def colored(self) -> bool:
        """Whether what is said may have colors."""
        return sys.stderr is not None and self._colors(sys.stderr)

    def data(self, text: str = "") -> None:
        """Print a line of what was asked for."""
        self._put(sys.stdout, text + "\n")

    def document(self, schema: str, body: Mapping[str, object], *, in_stream: bool = False) -> None:
        """Print a JSON document; with `in_stream` as one line, like an event: it cannot fail."""
        if in_stream:
            self._line(schema, body)
        elif self.gathered is not None:
            self.gathered.append(body)
        else:
            whole = {"schema": schema, "schema_version": 1, **body}
            self._put(sys.stdout, json_line(whole, indent=2))

    def event(self, body: Mapping[str, object]) -> None:
        """Print one line of a JSON stream; where that fails, `unheard` says why.

        Work that is under way must not end half-way because nobody hears of it.
        """
        self._line("civsync.event", body)

    def _line(self, schema: str, body: Mapping[str, object]) -> None:
        line = json_line({"schema": schema, "schema_version": 1, **self._named(body)})
        try:
            self._put(sys.stdout, line)
        except (CivsyncError, NobodyReadsError) as error:
            self.unheard = error

    def _named(self, body: Mapping[str, object]) -> Mapping[str, object]:
        return {"root": self.root, **body} if self.root else body

    def talk(self, text: str = "") -> None:
        """Say something that is not data; silent with --quiet."""
        if not self.choice.quiet:
            self._put(sys.stderr, text + "\n")

    def warn(self, text: str) -> None:
        """Say something that the user should not miss; shown also with --quiet."""
        self._put(sys.stderr, f"{self.paint('warning:', 'yellow')} {text}\n")

    def warn_line(self, text: str) -> None:
        """Print a line that belongs to an error; shown also with --quiet."""
        self._put(sys.stderr, text + "\n")

    def error(self, error: CivsyncError) -> None:
        """Print an error as text: what, where, code, and after a blank line what helps."""
        from civsync.core.explanations import ABOUT
        from civsync.core.problems import DocumentError

        if isinstance(error, DocumentError):
            for problem in error.problems:
                self._problem(str(problem.place), problem.place.key, problem.message, problem.code)
                if problem.hint:
                    self.hint(problem.hint, indent="  ")
            hints = [ABOUT[problem.code].hint for problem in error.problems if not problem.hint]
        else:
            where = str(error.place) if error.place else error.subject
            self._problem(where, "", error.message, error.code)
            hints = [error.hint]
        if hints:
            self._put(sys.stderr, "\n")
        for hint in dict.fromkeys(hints):
            self.hint(hint)

    def hint(self, text: str, *, indent: str = "") -> None:
        """Print what helps against an error; shown also with --quiet."""
        self._put(sys.stderr, f"{indent}{self.paint('hint:', 'cyan')} {show(text)}\n")

    def _problem(self, where: str, key: str, message: str, code: str) -> None:
        at = f"{show(where)}: " if where else ""
        spot = f" (at {show(key)})" if key else ""
        label = self.paint("error:", "red", "bold")
        self._put(sys.stderr, f"{label} {at}{show(message)}{spot} [{code}]\n")

    def paint(self, text: str, *names: str, to_stdout: bool = False) -> str:
        """Color `text` if the stream it goes to shows colors and the user wants them."""
        stream = sys.stdout if to_stdout else sys.stderr
        if stream is None or not self._colors(stream):
            return text
        codes = ";".join(str(COLORS[name]) for name in names)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def _colors(self, stream: TextIO) -> bool:
        if self.choice.color != "auto":
            return self.choice.color == "always"
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return not plain and stream.isatty()

    def _put(self, stream: TextIO | None, text: str) -> None:
        for token in self._tokens:
            text = token.redact(text)
        _write(stream, _KEY_IN_LINK.sub(rf"\1{MASK}", text))


def show(text: str) -> str:
    r"""Escape all that is not printable: ESC becomes \x1b, a bidi override \u202e.

    A line break too: a name must not be able to forge a line of ours.
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable()
        else char.encode("unicode_escape", "backslashreplace").decode("ascii", "backslashreplace")
        for char in text
    )


def error_document(error: CivsyncError) -> dict[str, object]:
    """Return an error as data; exit status and text come from the same value."""
    from civsync.core.problems import DocumentError

    body: dict[str, object] = {
        "code": str(error.code),
        "exit": int(error.exit),
        "message": error.message,
        "hint": error.hint,
        "subject": error.subject,
        "data": dict(error.data),
    }
    if isinstance(error, DocumentError):
        body["problems"] = [
            {
                "code": str(problem.code),
                "message": problem.message,
                "document": problem.place.document,
                "line": problem.place.line,
                "column": problem.place.column,
                "key": problem.place.key,
                "hint": problem.hint,
            }
            for problem in error.problems
        ]
    return body


def json_line(body: Mapping[str, object], *, indent: int | None = None) -> str:
    """Return JSON in ASCII, so that no terminal or pipe can stumble over it."""
    return json.dumps(body, indent=indent, default=str) + "\n"


def size_text(count: int) -> str:
    """Return bytes as people read them, in powers of 1024: "2.0 GiB"."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def count_text(number: int, noun: str) -> str:
    """Return "1 file" or "2 files"."""
    plural = {"entry": "entries"}.get(noun, noun + "s")
    return f"{number:,} {noun if number == 1 else plural}"


def duration_text(seconds: float) -> str:
    """Return a time as people read it: "0.4 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _write(stream: TextIO | None, text: str) -> None:
    """Write and flush. Raises DiskError disk-failed, NobodyReadsError."""
    if stream is None:
        return  # closed by whoever started us: they do not want to hear it
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        discard(stream)
        if stream is sys.stderr:
            return  # what was only said is no reason to stop the work
        raise NobodyReadsError from None
    except OSError as error:
        if stream is sys.stderr:
            return  # there is no one left to tell
        discard(stream)
        from civsync.core.codes import Code

        message = f"the output cannot be written: {error.strerror}"
        raise DiskError(Code.DISK_FAILED, message) from None


def discard(stream: TextIO) -> None:
    """Lead a stream that failed into nothing, or its rest would fail again at exit."""
    with contextlib.suppress(OSError):  # without a free descriptor it can only be left alone
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
