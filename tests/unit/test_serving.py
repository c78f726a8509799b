"""Several roots in one run: the status is the worst of theirs, and a signal ends all."""

import json
from pathlib import Path
from typing import Any

import pytest

from civsync.cli.goal import Goal
from civsync.cli.options import Context
from civsync.cli.output import OutputChoice
from civsync.cli.project import Project
from civsync.cli.roots import Located
from civsync.cli.serving import serve
from civsync.core.codes import Code
from civsync.core.errors import SafetyError, UserError
from civsync.core.lock import Lock

REFUSED = SafetyError(Code.ROOT_UNUSABLE, "it leads elsewhere")


def context(*, json: bool = False) -> Context:
    made = Context()
    made.output.choice = OutputChoice(json=json)
    return made


def goal(name: str, refused: SafetyError | None = None) -> Goal:
    project = Project(manifest=Path("civsync.yaml"), lock=Path("civsync.lock"))
    at = Located(name=name, path=Path.cwd() / f"at-{name}", refused=refused)
    return Goal(lock=Lock(), at=at, project=project)


@pytest.mark.parametrize(
    ("statuses", "served", "worst"),
    [
        ([0, 0], 2, 0),
        ([0, 2], 2, 2),
        ([2, 0], 2, 2),
        ([2, 8], 2, 8),
        ([8, 2, 0], 3, 8),
        ([6, 0], 2, 6),
        ([6, 75], 2, 4),
        ([4, 75], 2, 4),
        ([8, 5, 3], 3, 5),
        ([3, 8], 2, 8),
        ([0, 130, 0], 2, 130),
        ([8, 143, 0], 2, 143),
    ],
)
def test_the_worst_status_is_that_of_the_run(statuses: list[int], served: int, worst: int) -> None:
    left = iter(statuses)
    goals = [goal(f"r{number}") for number in range(len(statuses))]
    assert serve(context(), goals, lambda _: next(left)) == worst
    assert len(list(left)) == len(statuses) - served


def test_the_one_root_without_a_name_is_served_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: Goal) -> int:
        raise UserError(Code.USAGE, "no")

    with pytest.raises(UserError):
        serve(context(), [goal("")], work)
    assert serve(context(), [goal("")], lambda _: 8, document="civsync.status") == 8
    assert capsys.readouterr() == ("", "")


def test_what_fails_is_said_by_root_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    goals = [goal("a"), goal("b", REFUSED), goal("c")]
    assert serve(context(), goals, lambda each: 130 if each.at.name == "c" else 2) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "a  at-a"
    assert err.splitlines()[-3:] == [
        "a: changes pending",
        "b: failed, exit status 8",
        "c: interrupted",
    ]


def test_documents_of_roots_become_one(capsys: pytest.CaptureFixture[str]) -> None:
    run = context(json=True)

    def work(each: Goal) -> int:
        run.output.document("civsync.verify", {"files": len(each.at.name)})
        return 0

    goals = [goal("a"), goal("bb"), goal("c", REFUSED)]
    assert serve(run, goals, work, document="civsync.verify") == 8
    document = json.loads(capsys.readouterr().out)
    here = Path.cwd()
    assert document["schema"] == "civsync.verify"
    first, second, third = document["roots"]
    assert first == {"name": "a", "root": str(here / "at-a"), "files": 1}
    assert second == {"name": "bb", "root": str(here / "at-bb"), "files": 2}
    assert (third["name"], third["error"]["code"]) == ("c", "root-unusable")


def test_each_line_of_a_stream_names_its_root_and_none_after_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = context(json=True)

    def work(each: Goal) -> int:
        run.output.event({"event": "finished"})
        return 0

    serve(run, [goal("a"), goal("b", REFUSED)], work)
    run.output.event({"event": "finished"})
    lines: list[Any] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("root") for line in lines] == ["a", "b", None]
    assert lines[1]["schema"] == "civsync.error"
