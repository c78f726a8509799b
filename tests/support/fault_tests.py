"""Find the tests that stand for a row of `fault_rows`, and write `tests/FAULTS.md`.

Test files are read, not imported. To bring the list up to date:
`PYTHONPATH=tests python -m support.fault_tests`.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from support.fault_rows import ROWS, SECTIONS, Row

TESTS: Final = Path(__file__).parent.parent
LIST: Final = TESTS / "FAULTS.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """Test files that may stand for a row: those named so that import one of `parts`."""

    files: tuple[str, ...]
    parts: frozenset[str]

    def holds(self, file: str, imported: set[str]) -> bool:
        """Say whether this is such a file; `imported` are the modules that it imports from."""
        named = any(fnmatchcase(file, pattern) for pattern in self.files)
        return named and not self.parts.isdisjoint(imported)


_FOLDERS: Final = ("integration/*", "contract/*", "crash/*")

WIRED: Final = Real(
    files=_FOLDERS,
    parts=frozenset({"support.cli", "support.shop", "support.wired_world"})
    | {"civsync.wire.transport"},
)
"""These run the command line or move bytes over sockets."""

ON_DISK: Final = Real(
    files=(*_FOLDERS, "unit/test_disk_*"),
    parts=frozenset({"support.crash_worlds", "support.segment_world", "support.two_roots"})
    | {"support.disk_worlds", "civsync.disk.root", "civsync.disk.beneath"},
)
"""These run the command line, or the disk adapters in real folders."""

OF_NAMES: Final = Real(
    files=("property/test_name_laws.py",), parts=frozenset({"civsync.core.names"})
)
"""Laws of the one function that every name goes through, on every system."""

REAL: Final[Mapping[str, tuple[Real, ...]]] = {
    "4.1": (WIRED,),
    "4.2": (WIRED,),
    "4.3": (WIRED, ON_DISK),
    "4.4": (WIRED, ON_DISK),
    "4.5": (WIRED, ON_DISK, OF_NAMES),
    "4.8": (WIRED, ON_DISK),
}
"""What may stand for the rows of each section."""

_MARKER: Final = "pytest.mark.fault"

HEAD: Final = """\
# Faults and their tests

Every fault of connections, replies, disks, names and runs that civsync must survive, what it
must do then, and the tests that make it happen: through the command line, the real transport
or a real disk, and for names also as laws of the one function that makes them.

Made by `PYTHONPATH=tests python -m support.fault_tests` from the markers of the tests.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One marker: where it stands, and what it names. `test` is "" if it is on no test."""

    file: str
    test: str
    line: int
    row: str
    faults: tuple[str, ...]
    real: bool
    """Whether the file may stand for this row: it uses what is real there (`REAL`)."""

    def __str__(self) -> str:
        """Return where it stands, for messages."""
        return f"{self.file}:{self.line}"


def marked_tests(folder: Path = TESTS) -> list[Marked]:
    """Return every use of the marker below `folder`, in the order of files and lines."""
    return [
        each
        for path in sorted(folder.rglob("test_*.py"))
        if _MARKER in (source := path.read_text(encoding="utf-8"))
        for each in _in_source(source, path.relative_to(folder).as_posix())
    ]


def complaints(marked: Sequence[Marked], rows: Sequence[Row] = ROWS) -> list[str]:
    """Return what is wrong with the markers: nothing if every fault has a real test."""
    known = {row.id: row for row in rows}
    found = []
    for each in marked:
        if not each.test:
            found.append(f"{each}: the marker is on no test, or names something computed")
        elif each.row not in known:
            found.append(f"{each}: there is no row {each.row!r}")
        elif unknown := set(each.faults) - set(known[each.row].faults):
            found.append(f"{each}: row {each.row} has no fault {sorted(unknown)}")
        elif not each.faults:
            found.append(f"{each}: the marker names no fault of row {each.row}")
        elif not each.real:
            found.append(f"{each}: uses neither the command line nor the real transport or disk")
    for row in rows:
        tested = {name for each in marked if each.row == row.id for name in each.faults}
        found += [f"{row.id}: no test for {name!r}" for name in row.faults if name not in tested]
    return found


def render(marked: Sequence[Marked], rows: Sequence[Row] = ROWS) -> str:
    """Return the list as Markdown."""
    text = HEAD
    for section, title in SECTIONS.items():
        text += f"\n## {section} {title}\n"
        for row in rows:
            if not row.id.startswith(f"{section}/"):
                continue
            text += f"\n### {row.id}\n\n{_capital(row.happens)}. {_capital(row.required)}.\n\n"
            for name in row.faults:
                tests = [
                    f"`{each.file}::{each.test}`"
                    for each in marked
                    if each.row == row.id and name in each.faults
                ]
                text += f"- {name}\n" + "".join(f"  - {test}\n" for test in tests)
    return text


def _in_source(source: str, file: str) -> Iterator[Marked]:
    tree = ast.parse(source)
    imported = _imports(tree)
    owners = {
        id(decorator): node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for decorator in node.decorator_list
    }
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or ast.unparse(node) != _MARKER:
            continue
        call = calls.get(id(node))
        words = [] if call is None else [each for each in call.args if _is_text(each)]
        whole = call is not None and words and len(words) == len(call.args) and not call.keywords
        texts = [ast.literal_eval(each) for each in words]
        row = texts[0] if texts else ""
        kinds = REAL.get(row.partition("/")[0], ())
        yield Marked(
            file=file,
            test=owners.get(id(call), "") if whole else "",
            line=node.lineno,
            row=row,
            faults=tuple(texts[1:]),
            real=any(each.holds(file, imported) for each in kinds),
        )


def _imports(tree: ast.Module) -> set[str]:
    return {node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module}


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    LIST.write_text(render(marked_tests()), encoding="utf-8")
