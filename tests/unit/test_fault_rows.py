"""Every fault has a test over real parts, and a list shows which."""

from pathlib import Path

import pytest

from support.fault_rows import ROWS, SECTIONS, Row
from support.fault_tests import LIST, REAL, complaints, marked_tests, render

ROW = Row(id="4.1/x", happens="it", required="that", faults=("one", "two"))
REAL_PART = "from support.cli import Project\n"


def test_every_fault_has_a_test_and_every_marker_names_one() -> None:
    assert complaints(marked_tests()) == []


def test_the_list_is_up_to_date() -> None:
    wanted = render(marked_tests())
    assert LIST.read_text(encoding="utf-8") == wanted, (
        "run: PYTHONPATH=tests python -m support.fault_tests"
    )


def test_rows_have_an_id_in_a_section_and_stand_once() -> None:
    ids = [row.id for row in ROWS]
    assert len(set(ids)) == len(ids)
    assert {row_id.partition("/")[0] for row_id in ids} == set(SECTIONS) == set(REAL)
    assert all(row.faults and len(set(row.faults)) == len(row.faults) for row in ROWS)


def found(tmp_path: Path, source: str, file: str = "integration/test_x.py") -> list[str]:
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(source)
    return complaints(marked_tests(tmp_path), [ROW])


def test_a_fault_without_a_test_is_named(tmp_path: Path) -> None:
    source = REAL_PART + "@pytest.mark.fault('4.1/x', 'one')\ndef test_it(): ..."
    assert found(tmp_path, source) == ["4.1/x: no test for 'two'"]


@pytest.mark.parametrize(
    ("source", "file", "said"),
    [
        pytest.param(
            "@pytest.mark.fault('4.1/y', 'one')\ndef test_it(): ...", "", "no row", id="row"
        ),
        pytest.param(
            "@pytest.mark.fault('4.1/x', 'three')\ndef test_it(): ...", "", "no fault", id="fault"
        ),
        pytest.param("@pytest.mark.fault('4.1/x')\ndef test_it(): ...", "", "names no", id="none"),
        pytest.param("@pytest.mark.fault('4.1/x', 'one')\ndef it(): ...", "", "no test", id="help"),
        pytest.param("pytestmark = pytest.mark.fault", "", "on no test", id="module"),
        pytest.param(
            "@pytest.mark.fault('4.1/x', ONE)\ndef test_it(): ...", "", "computed", id="computed"
        ),
        pytest.param(
            "@pytest.mark.fault('4.1/x', 'one')\ndef test_it(): ...",
            "unit/test_x.py",
            "real transport",
            id="unit",
        ),
    ],
)
def test_a_marker_that_proves_nothing_is_named(
    tmp_path: Path, source: str, file: str, said: str
) -> None:
    first = found(tmp_path, REAL_PART + source, file or "integration/test_x.py")[0]
    assert said in first
    assert "test_x.py:2:" in first


def test_a_test_of_twins_alone_proves_nothing(tmp_path: Path) -> None:
    source = "@pytest.mark.fault('4.1/x', 'one', 'two')\ndef test_it(): ..."
    assert found(tmp_path, source) == [
        "integration/test_x.py:1: uses neither the command line nor the real transport or disk"
    ]


DISK = "from support.disk_worlds import make_root\n"
NAMES = "from civsync.core.names import join\n"


@pytest.mark.parametrize(
    ("section", "file", "imports", "counts"),
    [
        pytest.param("4.3", "crash/test_x.py", DISK, True, id="disk"),
        pytest.param("4.3", "unit/test_disk_x.py", DISK, True, id="adapters of the disk"),
        pytest.param("4.3", "unit/test_x.py", DISK, False, id="unit"),
        pytest.param("4.3", "unit/test_disk_x.py", NAMES, False, id="twins of the disk"),
        pytest.param("4.1", "contract/test_x.py", DISK, False, id="a disk is no connection"),
        pytest.param("4.5", "property/test_name_laws.py", NAMES, True, id="laws of names"),
        pytest.param("4.5", "property/test_x.py", NAMES, False, id="laws that use names"),
        pytest.param("4.3", "property/test_name_laws.py", NAMES, False, id="names are no disk"),
        pytest.param("9.9", "integration/test_x.py", REAL_PART, False, id="no such section"),
    ],
)
def test_what_is_real_depends_on_the_section(
    tmp_path: Path, section: str, file: str, imports: str, *, counts: bool
) -> None:
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(f"{imports}@pytest.mark.fault('{section}/x', 'one')\ndef test_it(): ...")
    (marked,) = marked_tests(tmp_path)
    assert marked.real is counts
