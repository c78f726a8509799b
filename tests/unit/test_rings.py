"""The shape of the code: who may import whom, and where each outside thing is named."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

import civsync

PACKAGE = Path(civsync.__file__).parent

PURE = frozenset({"core", "documents", "decide"})
ADAPTERS = frozenset({"sources", "wire", "disk"})
INNER = PURE | {"ports"}

ALLOWED = {
    "core": frozenset({"core"}),
    "documents": frozenset({"core", "documents"}),
    "decide": frozenset({"core", "documents", "decide"}),
    "ports": frozenset({"core"}),
    "sources": INNER | {"sources"},
    "wire": INNER | {"wire"},
    "disk": INNER | {"disk"},
    "engine": INNER | {"engine"},
    "cli": INNER | ADAPTERS | {"engine", "cli"},
    "demo": INNER | {"demo"},
    "__main__": frozenset({"cli"}),
    "__init__": frozenset(),
}
"""Ring to the rings that it may import; stricter than the order of rings where that holds."""

EXCEPTIONS = frozenset(
    {
        # The command shows the demo, and the demo shows the commands.
        ("cli/commands/demo.py", "demo"),
        ("demo/show.py", "cli"),
        ("demo/show.py", "engine"),
    }
)

WORLD = frozenset(
    {
        *("asyncio", "concurrent", "ctypes", "fcntl", "ftplib", "getpass", "glob", "http.client"),
        *("http.server", "io", "logging", "mmap", "multiprocessing", "os", "pathlib", "platform"),
        *("random", "resource", "secrets", "select", "selectors", "shutil", "signal", "smtplib"),
        *("socket", "socketserver", "sqlite3", "ssl", "stat", "subprocess", "sys", "syslog"),
        *("tempfile", "threading", "time", "urllib.request", "uuid"),
    }
)
"""Standard modules through which a process touches disk, network, time, chance or others."""

FORBIDDEN = {
    "core": WORLD,
    "decide": WORLD,
    # Published schemas are read out of the wheel, which may need a path.
    "documents": WORLD - {"pathlib"},
    "ports": WORLD,
    "engine": frozenset({"http.client", "socket", "ssl", "subprocess", "urllib.request"}),
    "sources": frozenset({"http.client", "os", "random", "socket", "ssl", "subprocess", "time"}),
    "disk": frozenset({"http.client", "socketserver", "ssl", "subprocess", "urllib.request"}),
}

NAMED_IN = {
    # For the type checker alone: the names that the standard library's own types go by.
    "_typeshed": ("cli/*", "disk/*"),
    "anyio": ("engine/*", "sources/*", "wire/*", "cli/*"),
    "blake3": ("disk/hashing.py", "disk/digest.py", "documents/record.py", "demo/bodies.py"),
    "certifi": ("wire/trust.py",),
    "click": ("cli/*",),
    "httpx": ("wire/*",),
    "jsonschema": ("documents/*",),
    "keyring": ("cli/*",),
    "msgspec": ("documents/json_codec.py",),
    "platformdirs": ("cli/*",),
    "rich": ("cli/*",),
    "yaml": ("documents/yaml_text.py",),
}
"""Each outside package to the files that may name it, so that it can be replaced there."""

CLOCKS = frozenset({"now", "today", "utcnow"})
EFFECTS = frozenset({"open", "print", "input", "exec", "eval", "breakpoint"})


@dataclass(frozen=True, slots=True)
class Import:
    """One name that one file imports, wherever in it (functions and TYPE_CHECKING count)."""

    file: str
    line: int
    module: str

    def __str__(self) -> str:
        """As compilers write places."""
        return f"{self.file}:{self.line}: {self.module}"

    @property
    def ring(self) -> str:
        """The folder, or the name of a module at the top."""
        return self.file.partition("/")[0].removesuffix(".py")

    @property
    def root(self) -> str:
        """The package that is imported."""
        return self.module.partition(".")[0]


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def short(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def imports_in(file: str, source: str) -> Iterator[Import]:
    """Every import of a file, `from a import b` as both a and a.b."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(file, node.lineno, alias.name)
            case ast.ImportFrom(module=module, names=names, level=0) if module is not None:
                for alias in names:
                    yield Import(file, node.lineno, f"{module}.{alias.name}")
            case ast.ImportFrom():
                yield Import(file, node.lineno, "." * node.level)
            case _:
                pass


IMPORTS = [found for file in files() for found in imports_in(short(file), file.read_text("utf-8"))]
OWN = [found for found in IMPORTS if found.root == "civsync"]
OUTSIDE = [found for found in IMPORTS if found.root not in {"civsync", *sys.stdlib_module_names}]


def _ring_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def wrong_arrows(found: list[Import]) -> list[str]:
    return [
        str(each)
        for each in found
        if (target := _ring_of(each.module)) != "__version__"
        and target not in ALLOWED[each.ring]
        and (each.file, target) not in EXCEPTIONS
    ]


def touches(each: Import, modules: frozenset[str]) -> bool:
    return any(each.module == name or each.module.startswith(name + ".") for name in modules)


def wrong_modules(found: list[Import]) -> list[str]:
    return [str(each) for each in found if touches(each, FORBIDDEN.get(each.ring, frozenset()))]


def wrong_packages(found: list[Import]) -> list[str]:
    return [
        str(each)
        for each in found
        if not any(fnmatch(each.file, place) for place in NAMED_IN.get(each.root, ()))
    ]


def test_the_walk_sees_the_package() -> None:
    assert {each.ring for each in IMPORTS} >= set(ALLOWED) - {"__init__"}
    assert {each.root for each in OUTSIDE} >= set(NAMED_IN) - {"platformdirs", "keyring"}


def test_every_ring_has_its_rules() -> None:
    assert {short(file).partition("/")[0].removesuffix(".py") for file in files()} == set(ALLOWED)


def test_imports_go_inward_only() -> None:
    assert wrong_arrows(OWN) == []


def test_no_import_is_relative() -> None:
    assert [str(each) for each in IMPORTS if each.module.startswith(".")] == []


def test_pure_rings_reach_no_disk_network_clock_or_chance() -> None:
    assert wrong_modules(IMPORTS) == []


def test_each_outside_package_is_named_in_its_one_place() -> None:
    assert wrong_packages(OUTSIDE) == []


def effects_in(file: str, source: str) -> Iterator[str]:
    """Calls that need no import to reach the world."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in EFFECTS:
                yield f"{file}:{node.lineno}: {name}()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in CLOCKS:
                yield f"{file}:{node.lineno}: .{name}()"
            case _:
                pass


def test_pure_rings_call_nothing_that_reads_or_writes() -> None:
    found = [
        effect
        for file in files()
        if short(file).partition("/")[0] in PURE
        for effect in effects_in(short(file), file.read_text("utf-8"))
        # A text of names of fields, as the standard library has it for every dataclass.
        if not re.fullmatch(r"core/values\.py:\d+: exec\(\)", effect)
    ]
    assert found == []


def test_only_the_command_line_prints() -> None:
    found = [
        effect
        for file in files()
        if short(file).partition("/")[0] not in {"cli", "demo"}
        for effect in effects_in(short(file), file.read_text("utf-8"))
        if "print" in effect or "input" in effect
    ]
    assert found == []


@pytest.mark.parametrize(
    ("file", "source", "faults"),
    [
        pytest.param("core/x.py", "import os", 1, id="the core reaches the system"),
        pytest.param("core/x.py", "from os import path", 1, id="by a part of it"),
        pytest.param("core/x.py", "from os.path import join", 1, id="by a part of a part"),
        pytest.param("core/x.py", "from civsync.decide.plan import make_plan", 1, id="outward"),
        pytest.param("core/x.py", "from civsync import decide", 1, id="outward by the package"),
        pytest.param("documents/x.py", "import civsync.decide.plan", 1, id="outward, plain"),
        pytest.param("wire/x.py", "from civsync.disk.store import X", 1, id="adapter to adapter"),
        pytest.param("engine/x.py", "def f():\n  import civsync.cli.main", 1, id="in a function"),
        pytest.param(
            "engine/x.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  from civsync.cli import main",
            1,
            id="for types only",
        ),
        pytest.param("demo/x.py", "from civsync.engine.run import X", 1, id="the demo inward"),
        pytest.param("demo/show.py", "from civsync.cli.main import main", 0, id="the demo shows"),
        pytest.param("decide/x.py", "import httpx", 1, id="an outside package elsewhere"),
        pytest.param("wire/x.py", "import requests", 1, id="an unknown outside package"),
        pytest.param("wire/x.py", "import httpx", 0, id="an outside package in its place"),
        pytest.param("decide/x.py", "from urllib.parse import urlsplit", 0, id="a pure part"),
        pytest.param("decide/x.py", "from http import HTTPStatus", 0, id="another pure part"),
    ],
)
def test_the_walk_finds_every_kind_of_wrong_arrow(file: str, source: str, faults: int) -> None:
    found = list(imports_in(file, source))
    own = [each for each in found if each.root == "civsync"]
    outside = [each for each in found if each.root not in {"civsync", *sys.stdlib_module_names}]
    wrong = {*wrong_arrows(own), *wrong_modules(found), *wrong_packages(outside)}
    assert len(wrong) == faults
