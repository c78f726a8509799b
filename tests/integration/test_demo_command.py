"""`civsync demo`: the whole line on a registry of its own, on any machine that has civsync."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from civsync.demo.show import MADE, MARKER, free_folder
from support.cli import Ran, clean_environment, command

pytestmark = pytest.mark.slow  # whole processes, one after another

IN_PLACE = "14 files in place, nothing to do\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return an empty folder to run in, with a space in its name."""
    folder = tmp_path / "a demo"
    folder.mkdir()
    return folder


def run(here: Path, *words: str, env: Mapping[str, str] | None = None) -> Ran:
    """Run the demo to its end in the folder `here`."""
    done = subprocess.run(
        command("demo", *words),
        cwd=here,
        env={**clean_environment(here), **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(status=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """Return the folder of one whole demo, and what it said."""
    here = tmp_path_factory.mktemp("demo")
    return here / "civsync-demo", run(here)


def steps(out: str) -> dict[str, list[str]]:
    """Return the lines of each step by its command; a later one replaces an earlier."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in out.splitlines():
        if line.startswith("$ "):
            lines = found[line.removeprefix("$ ")] = []
        else:
            lines.append(line)
    return found


def test_the_demo_ends_well_and_says_nothing_on_stderr(told: tuple[Path, Ran]) -> None:
    _, ran = told

    assert (ran.status, ran.err) == (0, "")


def test_the_demo_ends_with_a_sync_that_asks_nothing(told: tuple[Path, Ran]) -> None:
    last = steps(told[1].out)["civsync sync"]

    assert last[:2] == [
        "14 files in place, nothing to do",
        "# Requests: 0 to the API, 0 to the storage.",
    ]


def test_the_demo_shows_the_plan_before_it_acts(told: tuple[Path, Ran]) -> None:
    plan = steps(told[1].out)["civsync sync --dry-run"]

    assert [line.split()[:2] for line in plan[:3]] == [
        ["+", "checkpoints/lanternMix_v30.safetensors"],
        ["-", "checkpoints/lanternMix_v20.safetensors"],
        ["-", "loras/inkwash_garden.safetensors"],
    ]


def test_the_session_in_the_readme_is_what_the_demo_prints(told: tuple[Path, Ran]) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    session = readme.partition("```console\n")[2].partition("```")[0]
    shown = [line for line in session.splitlines() if " at " not in line]

    assert len(shown) > 20
    assert [line for line in shown if line not in told[1].out.splitlines()] == []


def test_the_demo_leaves_a_folder_to_play_with(told: tuple[Path, Ran]) -> None:
    folder, _ = told
    made = {path.name for path in folder.iterdir()}
    files = [path for path in (folder / "models").rglob("*") if path.is_file()]
    wanted = [path for path in files if ".civsync" not in path.parts]

    assert made == {*MADE, MARKER}
    assert len(wanted) == 14
    assert "inkwash_garden.safetensors" not in {path.name for path in wanted}


def test_the_demo_writes_no_escape_codes_where_there_is_no_terminal(told: tuple[Path, Ran]) -> None:
    assert "\x1b" not in told[1].out


def test_the_demo_means_the_same_everywhere_and_stays_in_its_folder(here: Path) -> None:
    library = here / "library"
    library.mkdir()
    config = here / "config"
    (config / "civsync").mkdir(parents=True)
    (config / "civsync" / "config.yaml").write_text(f"root: {library}\n", encoding="utf-8")
    nowhere = str(here / "no" / "home")

    ran = run(
        here,
        "d",
        env={
            "CI": "true",
            "CIVSYNC_FROZEN": "1",
            "CIVSYNC_ROOT": str(library),
            "CIVITAI_API_KEY": "a-key-of-the-user",
            "HTTP_PROXY": "http://127.0.0.1:1",
            "HOME": nowhere,
            "XDG_STATE_HOME": nowhere,
            "XDG_CONFIG_HOME": str(config),
        },
    )

    assert ran.status == 0, ran.out + ran.err
    assert sorted(path.name for path in here.iterdir()) == ["config", "d", "library"]
    assert list(library.iterdir()) == []
    assert "a-key-of-the-user" not in ran.out


def test_a_second_demo_takes_the_next_free_folder(here: Path) -> None:
    (here / "civsync-demo").mkdir()
    (here / "civsync-demo-2").mkdir()

    assert free_folder(here / "civsync-demo") == here / "civsync-demo-3"


def test_a_folder_in_use_is_refused_and_left_as_it_is(here: Path) -> None:
    mine = here / "d"
    mine.mkdir()
    (mine / "civsync.yaml").write_text("version: 1\nmodels: []\n", encoding="utf-8")

    ran = run(here, "d", "--force")

    assert ran.status == 64
    assert "holds something that is not a demo" in ran.err
    assert [path.name for path in mine.iterdir()] == ["civsync.yaml"]


def test_a_file_in_the_place_of_the_folder_is_refused(here: Path) -> None:
    (here / "d").write_text("mine", encoding="utf-8")

    ran = run(here, "d", "--force")

    assert (ran.status, (here / "d").read_text(encoding="utf-8")) == (64, "mine")


def test_a_folder_that_cannot_be_made_is_a_clear_error(here: Path) -> None:
    (here / "file").touch()

    ran = run(here, "file/d")

    assert ran.status == 64
    assert "cannot be used" in ran.err


def test_force_starts_a_demo_over_and_keeps_what_it_did_not_make(here: Path) -> None:
    demo = here / "d"
    (demo / "models").mkdir(parents=True)
    (demo / "models" / "old.bin").touch()
    (demo / MARKER).touch()
    (demo / "notes.txt").write_text("mine", encoding="utf-8")

    refused = run(here, "d")
    started_over = run(here, "d", "--force", "--json")

    assert (refused.status, "a demo is there already" in refused.err) == (64, True)
    assert started_over.json["exit"] == started_over.status == 0
    assert started_over.err == ""
    assert not (demo / "models" / "old.bin").exists()
    assert (demo / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.fixture
def serving(here: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run `civsync demo --serve` until the test is over."""
    process = subprocess.Popen(
        command("demo", "d", "--serve", "--quiet"),
        cwd=here,
        env=clean_environment(here),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "kill"])
def test_serve_keeps_the_registry_until_it_is_told_to_stop(
    here: Path, serving: "subprocess.Popen[str]", number: signal.Signals
) -> None:
    assert serving.stdout is not None
    line = next(each for each in serving.stdout if each.endswith("civsync status\n"))
    demo = here / "d"
    (demo / "models" / "loras" / "paper_theatre_v2.safetensors").unlink()

    synced = shell(here, line.strip().replace("status", "sync"))
    serving.send_signal(number)

    assert f"cd '{demo.resolve()}' && " in line
    assert synced.status == 0, synced.out + synced.err
    assert (demo / "models" / "loras" / "paper_theatre_v2.safetensors").is_file()
    assert serving.wait(timeout=30) == 0


def shell(here: Path, line: str, env: Mapping[str, str] | None = None) -> Ran:
    """Run a line that the demo printed, in a shell that does not have civsync on its PATH."""
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=here,
        env={**clean_environment(here), "PATH": os.defpath, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(status=done.returncode, out=done.stdout, err=done.stderr)


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_the_line_that_the_demo_ends_with_works_also_after_the_demo_was_made_anew(
    here: Path,
) -> None:
    hostile = {"CI": "true", "CIVSYNC_ROOT": str(here), "CIVSYNC_LOCK": "x", "PATH": os.defpath}
    line = run(here, "it's", env=hostile).out.splitlines()[-1]

    first = shell(here, line, hostile)
    run(here, "it's", "--force")
    again = shell(here, line, hostile)

    assert line.endswith(" && . ./env.sh && civsync status")
    assert (first.status, first.out, first.err) == (0, IN_PLACE, "")
    assert (again.status, again.out, again.err) == (0, IN_PLACE, "")


def test_the_demo_says_first_which_folder_it_takes(here: Path) -> None:
    (here / "civsync-demo").mkdir()

    assert "# This demo goes to the folder civsync-demo-2." in run(here).out.splitlines()
