"""The error tree: every code has its owner, its exit status and its help; one status for a run."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import civsync
from civsync.core.codes import Code
from civsync.core.errors import (
    CivsyncError,
    DiskError,
    IntegrityError,
    RegistryError,
    SafetyError,
    UserError,
    WireError,
    exit_of,
)
from civsync.core.exits import ExitCode, Owner
from civsync.core.explanations import ABOUT
from civsync.core.notes import NOTES, STATUSES
from civsync.core.problems import DocumentError, Place, Problem

CLASSES: dict[Owner, type[CivsyncError]] = {
    Owner.USER: UserError,
    Owner.REGISTRY: RegistryError,
    Owner.WIRE: WireError,
    Owner.INTEGRITY: IntegrityError,
    Owner.DISK: DiskError,
    Owner.SAFETY: SafetyError,
}
BY_NAME = {each.__name__: owner for owner, each in CLASSES.items()}
PACKAGE = Path(civsync.__file__).parent


def error_with(code: Code) -> CivsyncError:
    """An error of the right class."""
    return CLASSES[ABOUT[code].owner](code, "it failed")


def test_every_owner_has_one_class() -> None:
    assert {owner: each.owner for owner, each in CLASSES.items()} == {each: each for each in Owner}


@pytest.mark.parametrize("code", Code)
def test_every_code_says_what_it_means_and_what_helps(code: Code) -> None:
    about = ABOUT[code]
    for text in (about.hint, about.meaning):
        assert text.strip() == text
        assert text.endswith(".")
        assert text[0].isupper() or text.startswith(("civsync", "`"))
        assert text.isascii()
    assert about.exit is not ExitCode.OK
    assert not about.retry or about.exit is ExitCode.TEMPORARY


@pytest.mark.parametrize("code", Code)
def test_a_code_belongs_to_one_class_and_every_other_refuses_it(code: Code) -> None:
    error = error_with(code)
    assert (error.code, error.exit, error.hint) == (code, ABOUT[code].exit, ABOUT[code].hint)
    assert error.retry is ABOUT[code].retry
    for other in set(CLASSES.values()) - {type(error)}:
        with pytest.raises(AssertionError):
            other(code, "it failed")


def test_names_of_codes_are_fit_for_scripts() -> None:
    assert [
        code for code in Code if not code.replace("-", "").isalnum() or not code.islower()
    ] == []
    assert {code.name.lower().replace("_", "-") for code in Code} == {str(code) for code in Code}
    assert list(ABOUT) == list(Code)


def raises_in(source: str) -> Iterator[tuple[str, str, int]]:
    """Every `SomeError(Code.X, ...)` of a text."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Name(id=name),
                args=[ast.Attribute(value=ast.Name(id="Code"), attr=code), *_],
            ) if name in BY_NAME:
                yield name, code, node.lineno
            case _:
                pass


def test_every_error_in_the_code_has_a_code_of_its_class() -> None:
    found = [
        (file.relative_to(PACKAGE).as_posix(), line, name, code)
        for file in sorted(PACKAGE.rglob("*.py"))
        for name, code, line in raises_in(file.read_text("utf-8"))
    ]
    assert len(found) > 50
    assert [each for each in found if ABOUT[Code[each[3]]].owner is not BY_NAME[each[2]]] == []


def test_every_code_is_used_somewhere_and_none_is_left_over() -> None:
    used = {
        node.attr
        for file in PACKAGE.rglob("*.py")
        if file.name != "codes.py"
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Code"
    }
    assert {code.name for code in Code} - used == set()


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        pytest.param([], ExitCode.OK, id="nothing failed"),
        pytest.param([Code.HASH_MISMATCH], ExitCode.INTEGRITY, id="integrity"),
        pytest.param([Code.GONE], ExitCode.GONE, id="gone"),
        pytest.param([Code.GONE, Code.ARCHIVED], ExitCode.GONE, id="gone for two reasons"),
        pytest.param([Code.LOGIN_NEEDED, Code.EARLY_ACCESS], ExitCode.CREDENTIALS, id="access"),
        pytest.param([Code.TIMED_OUT, Code.QUOTA], ExitCode.TEMPORARY, id="temporary"),
        pytest.param([Code.GONE, Code.TIMED_OUT], ExitCode.PARTIAL, id="gone and temporary"),
        pytest.param([Code.LOGIN_NEEDED, Code.GONE], ExitCode.PARTIAL, id="access and gone"),
        pytest.param([Code.DISK_FAILED], ExitCode.UNEXPECTED, id="the disk alone"),
        pytest.param([Code.USAGE], ExitCode.USAGE, id="usage alone"),
        pytest.param([Code.DISK_FAILED, Code.GONE], ExitCode.PARTIAL, id="the disk and gone"),
        pytest.param(
            [Code.GONE, Code.FOREIGN_FILE, Code.TIMED_OUT], ExitCode.REFUSED, id="8 beats 7 and 75"
        ),
        pytest.param([Code.FOREIGN_FILE, Code.HASH_MISMATCH], ExitCode.INTEGRITY, id="5 beats 8"),
        pytest.param([Code.HASH_MISMATCH, Code.LOCK_INVALID], ExitCode.INVALID, id="65 beats 5"),
        pytest.param([Code.LOCK_STALE, Code.FOREIGN_FILE], ExitCode.REFUSED, id="8 beats 3"),
        pytest.param([Code.LOCK_STALE, Code.GONE], ExitCode.STALE, id="3 beats 7"),
        pytest.param([Code.NO_SPACE], ExitCode.REFUSED, id="no space is a refusal"),
    ],
)
def test_one_status_stands_for_all_that_failed(codes: list[Code], status: ExitCode) -> None:
    errors = [error_with(code) for code in codes]
    assert exit_of(errors) is status
    assert exit_of(reversed(errors)) is status


@pytest.mark.parametrize(
    ("status", "number"),
    [
        ("OK", 0),
        ("UNEXPECTED", 1),
        ("PENDING", 2),
        ("STALE", 3),
        ("PARTIAL", 4),
        ("INTEGRITY", 5),
        ("CREDENTIALS", 6),
        ("GONE", 7),
        ("REFUSED", 8),
        ("USAGE", 64),
        ("INVALID", 65),
        ("TEMPORARY", 75),
        ("INTERRUPTED", 130),
        ("TERMINATED", 143),
    ],
)
def test_exit_statuses_never_change(status: str, number: int) -> None:
    assert int(ExitCode[status]) == number


def test_a_document_reports_all_its_problems_in_the_order_of_their_places() -> None:
    places = [(9, 1), (2, 7), (2, 3)]
    error = DocumentError(
        Problem(
            code=Code.UNKNOWN_KEY,
            message=f"unknown at {line}",
            place=Place(document="civsync.yaml", line=line, column=column),
        )
        for line, column in places
    )
    assert [str(problem.place) for problem in error.problems] == [
        "civsync.yaml:2:3",
        "civsync.yaml:2:7",
        "civsync.yaml:9:1",
    ]
    assert error.message == "unknown at 2 (and 2 more)"
    assert (error.code, error.exit) == (Code.UNKNOWN_KEY, ExitCode.INVALID)
    assert str(error.place) == "civsync.yaml:2:3"


def test_a_hint_of_its_own_replaces_the_usual_one() -> None:
    assert UserError(Code.USAGE, "no", hint="Do this.").hint == "Do this."


def test_a_pause_that_a_server_asked_for_is_kept() -> None:
    assert WireError(Code.RATE_LIMITED, "no", retry_after=7.5).retry_after == 7.5


def noted_codes() -> Iterator[str]:
    """Yield the codes of all notes that the sources make."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Noted":
                yield from (ast.literal_eval(k.value) for k in node.keywords if k.arg == "code")


def test_every_note_has_an_explanation_and_none_has_the_name_of_an_error() -> None:
    assert set(noted_codes()) == set(NOTES)
    assert NOTES.keys().isdisjoint(map(str, Code))


def test_every_exit_status_has_a_meaning() -> None:
    assert set(STATUSES) == set(ExitCode)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of descriptors here")
def test_a_sync_at_work_can_tell_that_no_file_can_be_opened() -> None:
    """Nothing may have to be loaded then."""
    told = subprocess.run(
        [sys.executable, "-c", OUT_OF_FILES], capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout == "cannot open x: Too many open files (EMFILE): 1\n"


OUT_OF_FILES = """
import errno, resource
import civsync.cli.commands.sync, civsync.cli.syncing, civsync.cli.acting
from civsync.disk.faults import translate
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
error = translate(OSError(errno.EMFILE, ""), "open", "x")
print(f"{error.message}: {int(error.exit)}")
"""
