"""Two at once: the second says who holds the root, and waits for it where it is told to."""

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.faults import Fault, Stall
from civsync.disk.lockfile import hold_root
from civsync.disk.root import open_root
from support.cli import Project
from support.published import faults
from support.shop import Shop, open_shop

SIZE = 200 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """A root that a sync holds until `release` is set."""

    shop: Shop
    first: "subprocess.Popen[str]"
    release: threading.Event


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Busy]:
    with open_shop(tmp_path / "project") as shop:
        shop.locked(*shop.offer(SIZE, 1024))
        release = threading.Event()
        shop.served.faults.add(Fault(does=Stall(release, after=SIZE // 2), origin="storage"))
        with shop.project.start("sync", "--json", "--jobs", "1", "--connections", "1") as first:
            assert first.stdout is not None
            for line in first.stdout:
                if json.loads(line)["event"] == "started":
                    break
            yield Busy(shop=shop, first=first, release=release)
            release.set()
            with contextlib.suppress(ValueError):
                first.communicate(timeout=30)


def until_it_waits(second: "subprocess.Popen[str]") -> dict[str, str]:
    """Return the note that says for whom."""
    assert second.stdout is not None
    for line in second.stdout:
        event: dict[str, str] = json.loads(line)
        if event.get("code") == "waiting":
            assert faults(event) == []
            return event
    raise AssertionError(second.communicate())


@pytest.mark.fault("4.4/two-civsyncs", "with --wait")
def test_who_waits_goes_on_when_the_first_has_ended_and_finds_nothing_to_do(busy: Busy) -> None:
    with busy.shop.project.start("sync", "--json", "--wait", "60") as second:
        note = until_it_waits(second)
        assert f"`civsync sync` holds this root (process {busy.first.pid} on " in note["message"]
        assert note["message"].endswith("; waiting up to 60 seconds")
        busy.release.set()
        out, err = second.communicate(timeout=30)
        assert second.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["done"] == {}
    busy.first.communicate(timeout=30)
    assert busy.first.returncode == 0
    assert len(busy.shop.tree) == 2
    assert busy.shop.served.count(origin="storage") == 2


@pytest.mark.fault("4.4/stopped", "SIGTERM")
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_waiting_can_be_interrupted(busy: Busy) -> None:
    with busy.shop.project.start("sync", "--json", "--wait", "60") as second:
        until_it_waits(second)
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=30)
        assert second.returncode == 143
    assert busy.first.poll() is None


@pytest.mark.fault("4.4/two-civsyncs", "with --wait")
def test_who_has_waited_long_enough_gives_up_and_says_for_whom(busy: Busy) -> None:
    ran = busy.shop.project.run("sync", env={"CIVSYNC_WAIT": "1"})
    assert ran.status == 75
    assert ran.err.count("`civsync sync` holds this root (process") == 2
    assert "; waiting up to 1 second\n" in ran.err
    assert "[root-busy]" in ran.err
    ran = busy.shop.project.run("sync", "--wait", "0", env={"CIVSYNC_WAIT": "60"})
    assert (ran.status, "waiting" in ran.err) == (75, False)


@pytest.mark.parametrize("words", [("-1",), ("x",), ("999999999",)], ids=str)
def test_a_time_to_wait_that_is_none_is_a_slip(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert Project(tmp_path / "project").call("sync", "--wait", *words).status == 64


def test_a_run_with_nothing_to_do_does_not_wait(tmp_path: Path) -> None:
    """It takes no lock at all."""
    with open_shop(tmp_path / "project") as shop:
        shop.stocked(1024)
        with hold(shop):
            assert shop.project.call("sync", "--wait", "60").status == 0


@contextlib.contextmanager
def hold(shop: Shop) -> Iterator[None]:
    root = open_root(shop.project.root, state_dir=shop.project.folder / ".home" / "civsync")
    with hold_root(root):
        yield


def test_lock_waits_as_well_where_it_must_hold_the_root(tmp_path: Path) -> None:
    """It downloads what has no published hash, and takes the root for that."""
    with open_shop(tmp_path / "project") as shop:
        (model,) = shop.stocked(1024)
        version = model.add_version("v2", at=0, base_model="SDXL 1.0")
        version.add_file("unhashed.safetensors", safetensors("unhashed", 1024)).hashes = {}
        shop.want(model, allow_unverified="true")
        with hold(shop):
            ran = shop.project.call("lock", "--upgrade", "--wait", "1")
        assert (ran.status, "waiting up to 1 second" in ran.err) == (75, True), ran.err
        assert shop.project.call("lock", "--upgrade", "--wait", "1").status == 0


def test_who_takes_a_file_out_of_trash_waits_as_well(tmp_path: Path) -> None:
    with open_shop(tmp_path / "project") as shop:
        one, _ = shop.stocked(1024, 1024)
        shop.want(one)
        assert shop.project.call("sync").status == 0
        words = ("trash", "restore", "loras/m1.safetensors", "--wait", "1")
        with hold(shop):
            ran = shop.project.call(*words)
        assert (ran.status, "waiting up to 1 second" in ran.err) == (75, True), ran.err
        assert shop.project.call(*words).status == 0
