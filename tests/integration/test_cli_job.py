"""`civsync job` and the keys against a sync that really runs: what they promise is what happens."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from civsync.cli.job_folder import HAS_SOCKETS
from civsync.core.limits import KIB
from civsync.demo.artifacts import safetensors
from civsync.demo.faults import Drip, Fault, Stall
from civsync.demo.registry import Model
from support.cli import Ran, command
from support.published import faults
from support.shop import Shop, only_file, open_shop

if not HAS_SOCKETS or sys.platform == "win32":
    pytest.skip("there are no sockets of this kind", allow_module_level=True)
else:
    from support.terminals import watched

pytestmark = pytest.mark.slow  # whole processes, one after another

JOB_SHELL = Path(__file__).parents[1] / "support" / "job_shell.py"
SIZE = 3_000_000
LOOKS = 150
"""How often a test asks how far a sync is; each takes a process, so a good while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A sync in a process of its own, and the file that its events go to."""

    shop: Shop
    process: "subprocess.Popen[bytes]"
    events: Path

    def job(self, *words: str) -> Ran:
        """Run `civsync job`, which must go well."""
        ran = self.shop.project.run("job", *words)
        assert ran.status == 0, ran.err
        return ran

    def look(self) -> Any:  # noqa: ANN401 - a document
        """What `job list` says of this sync; None if it says nothing."""
        document = self.job("list", "--json").json
        assert faults(document) == []
        runs = [run for run in document["runs"] if run["pid"] == self.process.pid]
        return runs[0] if runs else None

    def await_run(self, fits: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - a document
        """Look until the sync is as far as that."""
        run = None
        for _ in range(LOOKS):
            run = self.look()
            if run is not None and fits(run):
                return run
            assert self.process.poll() is None, self.events.read_text()[-2000:]
        raise AssertionError(run)

    def await_receiving(self) -> Any:  # noqa: ANN401 - a document
        """Look until bytes arrive."""
        return self.await_run(lambda run: run["received"] > 0)

    def await_stages(self, **stages: str) -> Any:  # noqa: ANN401 - a document
        """Look until these files, named without their ending, are in these stages."""
        return self.await_run(lambda run: stages.items() <= stages_of(run).items())

    def await_silence(self) -> None:
        """Wait until the storage answers nobody any more."""
        for _ in range(LOOKS):
            if self.shop.served.running == 0:
                return
            self.look()
        raise AssertionError(self.shop.served.running)

    def end(self) -> int:
        """Wait for the end and return the exit status."""
        return self.process.wait(60)

    @property
    def last(self) -> Any:  # noqa: ANN401 - a document
        """The last event."""
        return json.loads(self.events.read_text().splitlines()[-1])


def stages_of(run: Any) -> dict[str, str]:  # noqa: ANN401 - a document
    """The stage of each file, named without its ending."""
    return {Path(each["path"]).stem: each["stage"] for each in run["downloads"]}


@contextmanager
def syncing(shop: Shop, *words: str) -> Iterator[Running]:
    """Start `civsync sync`, and end it with the context if it still runs."""
    events = shop.project.folder / "events.jsonl"
    with events.open("wb") as out:
        process = subprocess.Popen(
            command("sync", "--json", *words),
            cwd=shop.project.folder,
            env=shop.project.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
    try:
        yield Running(shop=shop, process=process, events=events)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as shop:
        yield shop


def slow(shop: Shop, *models: Model) -> None:
    """Let the files of these models (of all without any) take more than a minute."""
    for path in [f"/{only_file(model).id}/" for model in models] or [""]:
        drip = Drip(rate=40_000, chunk=2 * KIB)
        shop.served.faults.add(Fault(does=drip, origin="storage", path=path, times=None))


# --- list and limit -----------------------------------------------------------------------


def test_a_running_sync_is_listed_while_it_runs_and_not_after(shop: Shop) -> None:
    shop.locked(*shop.offer(SIZE, SIZE + 1))
    slow(shop)
    with syncing(shop, "--jobs", "1") as running:
        run = running.await_receiving()
        assert run["root"] == str(shop.project.root.resolve())
        assert run["command"] == "civsync sync"
        assert stages_of(run) == {"m0": "running", "m1": "waiting"}
        assert [each["size"] for each in run["downloads"]] == [SIZE, SIZE + 1]
        assert 0 < run["downloads"][0]["held"] < SIZE
        assert run["downloads"][0]["connections"] > 0
        text = running.job("list").out
        assert f"process {running.process.pid}, since " in text
        assert "m0.safetensors" in text
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 130
        assert running.look() is None


def test_a_limit_holds_from_now_on_until_it_is_lifted(shop: Shop) -> None:
    (model,) = shop.offer(SIZE)
    shop.locked(model)
    release = threading.Event()
    shop.served.faults.add(Fault(does=Stall(release, after=64 * KIB), origin="storage"))
    with syncing(shop) as running:
        running.await_receiving()
        running.job("limit", "10K")
        release.set()
        # At that rate it takes five minutes; without a limit it would be over by the first look.
        runs = [running.look() for _ in range(4)]
        assert None not in runs
        assert [run["limit_rate"] for run in runs] == [10_000] * 4
        assert all(run["received"] < SIZE for run in runs)
        running.job("limit", "none")
        assert running.end() == 0
    assert len(shop.tree) == 1
    shop.nothing_wrong_under_a_name()


def test_a_limit_holds_for_the_roots_that_follow(shop: Shop) -> None:
    shop.want(*shop.offer(SIZE), head="roots: {a: {path: one}, b: {path: two}}\n")
    assert shop.project.call("lock").status == 0
    slow(shop)
    with syncing(shop, "--limit-rate", "3M") as running:
        first = running.await_receiving()
        assert (Path(first["root"]).name, first["limit_rate"]) == ("one", 3_000_000)
        running.job("limit", "1M")
        running.job("cancel", "all")
        second = running.await_run(lambda run: Path(run["root"]).name == "two")
        assert second["limit_rate"] == 1_000_000


def test_a_limit_that_was_lifted_is_listed_as_none(shop: Shop) -> None:
    shop.locked(*shop.offer(SIZE))
    slow(shop)
    with syncing(shop) as running:
        running.await_receiving()
        running.job("limit", "300K")
        assert running.look()["limit_rate"] == 300_000
        running.job("limit", "0")
        assert running.look()["limit_rate"] is None


# --- pause and resume ---------------------------------------------------------------------


def test_a_paused_run_receives_nothing_until_it_is_resumed(shop: Shop) -> None:
    shop.locked(*shop.offer(SIZE, SIZE))
    slow(shop)
    with syncing(shop, "--jobs", "1") as running:
        running.await_receiving()
        running.job("pause", "all")
        run = running.await_stages(m0="paused", m1="paused")
        running.await_silence()
        held = running.look()
        assert [each["connections"] for each in held["downloads"]] == [0, 0]
        assert running.look()["received"] == held["received"]
        assert held["downloads"][0]["held"] >= run["downloads"][0]["held"] > 0
        shop.served.faults.clear()
        running.job("resume", "all")
        assert running.end() == 0
    assert [each is not None for each in shop.ranges].count(True) >= 1
    assert len(shop.tree) == 2
    shop.nothing_wrong_under_a_name()


def test_one_paused_download_lets_the_others_go_on_and_keeps_the_run_open(shop: Shop) -> None:
    first, second = shop.offer(SIZE, SIZE)
    shop.locked(first, second)
    slow(shop, first)
    with syncing(shop, "--jobs", "1") as running:
        running.await_run(lambda run: stages_of(run)["m0"] == "running" and run["received"] > 0)
        running.job("pause", str(first.id))
        running.await_stages(m0="paused", m1="done")
        assert running.process.poll() is None
        shop.served.faults.clear()
        running.job("resume", str(first.id))
        assert running.end() == 0
    assert len(shop.tree) == 2
    shop.nothing_wrong_under_a_name()


def test_a_paused_download_that_was_killed_is_gone_on_with_by_the_next_sync(shop: Shop) -> None:
    shop.locked(*shop.offer(SIZE))
    slow(shop)
    with syncing(shop) as running:
        running.await_run(lambda run: run["received"] > 50_000)
        running.job("pause")
        running.await_stages(m0="paused")
        running.await_silence()
        running.process.kill()
        running.end()
    shop.served.faults.clear()
    shop.served.reset_counts()
    synced = shop.sync()
    assert synced.status == 0
    assert synced.end["received"] < SIZE
    assert None not in shop.ranges
    shop.nothing_wrong_under_a_name()


@pytest.mark.fault("4.4/stopped", "Ctrl-C", "SIGTERM")
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_paused_run_can_be_stopped(shop: Shop, number: signal.Signals, status: int) -> None:
    shop.locked(*shop.offer(SIZE))
    slow(shop)
    with syncing(shop) as running:
        running.await_receiving()
        running.job("pause")
        running.await_stages(m0="paused")
        running.process.send_signal(number)
        assert running.end() == status
    shop.served.faults.clear()
    assert shop.sync().status == 0


# --- cancel -------------------------------------------------------------------------------


def test_a_cancelled_download_drops_its_part_and_the_next_sync_offers_it_again(shop: Shop) -> None:
    first, second = shop.offer(SIZE, SIZE)
    shop.locked(first, second)
    slow(shop, first)
    with syncing(shop) as running:
        running.await_run(
            lambda run: (
                stages_of(run) == {"m0": "running", "m1": "done"}
                and run["downloads"][0]["held"] > 0
            )
        )
        running.job("cancel", str(first.id))
        assert running.end() == 4
        failed = {Path(each["path"]).stem: each["error"] for each in running.last["failed"]}
    assert {name: error["code"] for name, error in failed.items()} == {"m0": "cancelled"}
    assert failed["m0"]["exit"] == 4
    assert shop.parts() == []
    assert [Path(name).stem for name in shop.tree] == ["m1"]
    shop.served.faults.clear()
    synced = shop.sync()
    assert (synced.status, synced.done, synced.end["received"]) == (0, {"fetched": 1}, SIZE)
    shop.nothing_wrong_under_a_name()


@contextmanager
def one_of_each(shop: Shop) -> Iterator[Running]:
    """Of three slow downloads let m0 be paused with some bytes, m1 run, and m2 wait."""
    shop.locked(*shop.offer(SIZE, SIZE, SIZE))
    slow(shop)
    with syncing(shop, "--jobs", "1") as running:
        running.await_receiving()
        running.job("pause", "m0.safetensors")
        running.await_stages(m0="paused", m1="running", m2="waiting")
        yield running


def test_what_waits_or_is_paused_can_be_cancelled_too(shop: Shop) -> None:
    with one_of_each(shop) as running:
        running.job("cancel", "all")
        assert running.end() == 4
        codes = [each["error"]["code"] for each in running.last["failed"]]
    assert codes == ["cancelled"] * 3
    assert (shop.parts(), shop.tree) == ([], {})


def test_what_is_paused_is_dropped_at_once_although_all_places_are_taken(shop: Shop) -> None:
    with one_of_each(shop) as running:
        assert len(shop.parts()) == 2
        running.job("cancel", "m0.safetensors")
        running.await_stages(m0="cancelled", m1="running", m2="waiting")
        assert len(shop.parts()) == 1
        running.job("cancel", "m2.safetensors")
        running.await_stages(m0="cancelled", m1="running", m2="cancelled")
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 130
        told = [json.loads(line) for line in running.events.read_text().splitlines()]
    failed = [each["error"]["code"] for each in told if each["event"] == "failed"]
    assert failed == ["cancelled"] * 2


@pytest.mark.parametrize("which", [["m0.safetensors"], ["m1.safetensors"], ["all"]], ids=str)
def test_a_cancelled_download_takes_no_bytes_from_another_with_the_same_content(
    shop: Shop, which: list[str]
) -> None:
    data = safetensors("the same", SIZE)
    shop.locked(*shop.offer(bodies={"m0.safetensors": data, "m1.safetensors": data}))
    released = threading.Event()
    shop.served.faults.add(Fault(does=Stall(released, after=SIZE // 2), origin="storage"))
    with syncing(shop) as running:
        running.await_receiving()
        running.job("cancel", *which)
        released.set()
        assert running.end() == 4
        codes = {each["error"]["code"] for each in running.last["failed"]}
    assert codes == {"cancelled"}
    assert shop.parts() == []
    assert len(shop.tree) == (0 if which == ["all"] else 1)


# --- priorities ---------------------------------------------------------------------------


def test_a_priority_given_to_a_running_sync_moves_a_download_to_the_front(shop: Shop) -> None:
    models = shop.offer(SIZE, SIZE + 1, SIZE + 2)
    shop.locked(*models)
    release = threading.Event()
    shop.served.faults.add(Fault(does=Stall(release, after=64 * KIB), origin="storage", times=None))
    with syncing(shop, "--jobs", "1") as running:
        running.await_run(
            lambda run: (
                stages_of(run) == {"m0": "running", "m1": "waiting", "m2": "waiting"}
                and run["received"] > 0
            )
        )
        running.job("prioritize", str(models[2].id), "10")
        assert [each["priority"] for each in running.look()["downloads"]] == [0, 0, 10]
        shop.served.faults.clear()
        release.set()
        assert running.end() == 0
    asked = [request.path for request in shop.served.requests if request.origin == "storage"]
    first_asked = list(dict.fromkeys(path.rpartition("/")[2] for path in asked))
    assert first_asked == ["m0.safetensors", "m2.safetensors", "m1.safetensors"]


# --- keys ---------------------------------------------------------------------------------


def test_keys_pause_resume_and_quit_a_real_sync(shop: Shop) -> None:
    shop.locked(*shop.offer(SIZE))
    slow(shop)
    project = shop.project
    with watched(
        command("sync"), folder=project.folder, environment=project.environment
    ) as terminal:
        terminal.await_text("p pause, r resume, c cancel, q quit")
        terminal.await_lines(False)
        terminal.type("p")
        terminal.await_text("1 download paused")
        terminal.type("r")
        terminal.await_text("1 download resumed")
        terminal.type("q")
        assert terminal.end() == 130
        assert terminal.takes_lines
        assert "what was received is kept" in terminal.text


def test_keys_cancel_what_runs(shop: Shop) -> None:
    shop.locked(*shop.offer(SIZE))
    slow(shop)
    project = shop.project
    with watched(
        command("sync"), folder=project.folder, environment=project.environment
    ) as terminal:
        shop.served.wait_until_asked(1, origin="storage")
        terminal.await_lines(False)
        terminal.type("c")
        terminal.await_text("cancel 1 download that run just now")
        terminal.type("c")
        assert terminal.end() == 4
        assert terminal.takes_lines
    assert (shop.parts(), shop.tree) == ([], {})


def test_a_sync_with_nothing_to_download_names_no_keys(shop: Shop) -> None:
    shop.stocked(KIB)
    project = shop.project
    (path,) = shop.tree
    (project.root / path).unlink()
    ran = project.run("sync")
    assert ran.status == 0, ran.err
    with watched(
        command("sync", "--verify", "all"), folder=project.folder, environment=project.environment
    ) as terminal:
        assert terminal.end() == 0
        assert "p pause" not in terminal.text
        assert terminal.takes_lines


def test_a_sync_stopped_by_ctrl_z_leaves_the_terminal_as_it_was_and_goes_on(shop: Shop) -> None:
    shop.locked(*shop.offer(SIZE))
    slow(shop)
    project = shop.project
    words = [sys.executable, str(JOB_SHELL), *command("sync")]
    with watched(words, folder=project.folder, environment=project.environment) as terminal:
        terminal.await_text("p pause, r resume, c cancel, q quit")
        terminal.await_lines(False)
        terminal.type("\x1a")
        terminal.await_text("stopped by SIGTSTP")
        assert terminal.takes_lines
        assert not terminal.hides_cursor()
        shop.served.faults.clear()
        terminal.type("fg\n")
        assert terminal.end() == 0
        assert terminal.takes_lines
        assert not terminal.hides_cursor()
    assert len(shop.tree) == 1
    shop.nothing_wrong_under_a_name()


def test_ctrl_z_stops_a_sync_while_somebody_is_asked_for_the_key(shop: Shop) -> None:
    shop.locked(*shop.offer(KIB))
    shop.registry.tokens.add("secret-token")
    project = shop.project
    asking, answer = project.folder / "ask.sh", project.folder / "answer"
    asking.write_text(f"echo whose key >&2; cat {answer}\n")
    os.mkfifo(answer)
    environment = {**project.environment, "CIVSYNC_TOKEN_COMMAND": f"sh {asking}"}
    words = [sys.executable, str(JOB_SHELL), *command("sync")]
    with watched(words, folder=project.folder, environment=environment) as terminal:
        terminal.await_text("whose key")
        terminal.type("\x1a")
        terminal.await_text("stopped by SIGTSTP")
        terminal.type("fg\n")
        answer.write_text("secret-token\n")
        assert terminal.end() == 0
    assert len(shop.tree) == 1


def test_a_sync_that_outlives_its_terminal_does_all_its_work_and_ends_well(shop: Shop) -> None:
    """As after `trap '' HUP`, or `disown` in some shells."""
    models = shop.offer(SIZE, SIZE)
    shop.locked(*models, head="roots:\n  a: {path: a}\n  b: {path: b}\n")
    release = threading.Event()
    shop.served.faults.add(Fault(does=Stall(release, after=64 * KIB), origin="storage"))
    project = shop.project
    with watched(
        command("sync"),
        folder=project.folder,
        environment=project.environment,
        ignored=[signal.SIGHUP],
    ) as terminal:
        terminal.await_text("p pause, r resume, c cancel, q quit")
        terminal.vanish()
        release.set()
        assert terminal.process.wait(60) == 0
    assert [len(list((project.folder / root).rglob("*.safetensors"))) for root in "ab"] == [2, 2]
