"""`civsync sync` against a Civitai and a storage host that misbehave, and against signals.

What can be mended is mended in one run, what cannot is named, and whatever happens, what
stands under a final name is whole and right, and the next run goes on from there.
"""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.core.codes import Code
from civsync.core.explanations import ABOUT
from civsync.demo.artifacts import safetensors
from civsync.demo.faults import Action as Misdeed
from civsync.demo.faults import (
    Answer,
    Cut,
    Excess,
    ExpireUrls,
    Fault,
    FlipBit,
    Gzip,
    IgnoreRange,
    Raw,
    Refuse,
    Stall,
    WrongRange,
)
from civsync.demo.registry import Model, PaidAccess
from support.published import faults
from support.shop import DOWNLOADS, Shop, Synced, listing, only_file, open_shop

KIB = 1024
SIZE = 40 * KIB
HTML = (("Content-Type", "text/html; charset=utf-8"),)
JSON = (("Content-Type", "application/json"),)
LATER = ("Retry-After", "3600")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def spoil_storage(shop: Shop, model: Model, *misdeeds: Misdeed, times: int | None = 1) -> None:
    """Let the storage do these things, one after the other, to requests for a model's file."""
    for skip, misdeed in enumerate(misdeeds):
        wanted = f"/{only_file(model).id}/"
        # Faults that bite ranged requests count these alone.
        ranged = isinstance(misdeed, IgnoreRange | WrongRange)
        shop.served.faults.add(
            Fault(
                does=misdeed,
                origin="storage",
                path=wanted,
                skip=0 if ranged else skip,
                times=times,
            )
        )


def spoil_route(shop: Shop, model: Model, misdeed: Misdeed, times: int | None = None) -> None:
    """Let the download route do this to requests for a model's file."""
    path = f"fileId={only_file(model).id}"
    shop.served.faults.add(Fault(does=misdeed, origin="api", path=path, times=times))


# --- what Civitai refuses ------------------------------------------------------------------

REFUSALS = [
    ("login", "login-needed", 6, "civsync auth login"),
    ("loginpage", "login-needed", 6, "civsync auth login"),
    ("disabled", "downloads-disabled", 6, "API key does not help"),
    ("early", "early-access", 6, "Wait for the date"),
    ("denied", "access-denied", 6, "account"),
    ("archived", "archived", 7, "Keep the copy"),
    ("deleted", "gone", 7, "civsync lock --upgrade"),
    ("unpublished", "gone", 7, "civsync lock --upgrade"),
    ("region", "region-blocked", 7, "another region"),
]


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Synced]]:
    """One sync in which every file but two is refused for another reason."""
    with open_shop(tmp_path_factory.mktemp("refused")) as shop:
        names = [row[0] for row in REFUSALS] + ["fine", "transient"]
        bodies = {f"{name}.safetensors": safetensors(name, KIB) for name in names}
        models = dict(zip(names, shop.offer(bodies=bodies), strict=True))
        shop.locked(*models.values())
        models["login"].versions[0].require_auth = True
        models["disabled"].versions[0].usage_control = "InternalGeneration"
        models["early"].versions[0].paid_access = PaidAccess(ends_at="2099-01-01T00:00:00.000Z")
        models["archived"].mode = "Archived"
        models["unpublished"].status = "Unpublished"
        del shop.registry.models[models["deleted"].id]
        only_file(models["transient"]).lookup_failures = 1
        spoil_route(shop, models["loginpage"], Answer(200, HTML, b"<html>Sign in</html>"))
        spoil_route(shop, models["denied"], Answer(403, JSON, b'{"error": "Forbidden"}'))
        spoil_route(shop, models["region"], Answer(451, JSON, b'{"error": "Not here"}'))
        yield shop, shop.sync()


@pytest.mark.fault("4.2/upstream", "deleted", "early access")
@pytest.mark.parametrize(("name", "code", "status", "hint"), REFUSALS, ids=str)
def test_each_refusal_has_its_code_its_status_and_what_helps(
    refused: tuple[Shop, Synced], name: str, code: str, status: int, hint: str
) -> None:
    error = refused[1].failed[f"{name}.safetensors"]
    assert (error["code"], error["exit"]) == (code, status)
    assert hint in error["hint"]


def test_refusals_of_several_kinds_are_partial_and_the_others_are_in_place(
    refused: tuple[Shop, Synced],
) -> None:
    shop, ended = refused
    assert ended.status == 4
    assert ended.failed["early.safetensors"]["data"]["deadline"] == "2099-01-01T00:00:00.000Z"
    assert set(shop.tree) == {"loras/fine.safetensors", "loras/transient.safetensors"}
    assert len(ended.failed) == len(REFUSALS)


@pytest.mark.fault("4.2/upstream", "early access")
def test_a_refusal_that_will_not_change_is_asked_for_once(refused: tuple[Shop, Synced]) -> None:
    shop, _ = refused
    for name in ("login", "disabled", "early", "archived", "unpublished", "region"):
        model = next(m for m in shop.registry.models.values() if m.name == name)
        asked = [r for r in shop.served.requests if f"fileId={only_file(model).id}" in r.target]
        assert len(asked) == 1, name


def test_refusals_of_one_kind_are_the_exit_status(shop: Shop) -> None:
    one, two, _ = models = shop.offer(KIB, KIB, KIB)
    shop.locked(*models)
    one.mode, two.status = "Archived", "Unpublished"
    ended = shop.sync()
    assert (ended.status, len(shop.tree)) == (7, 1)


@pytest.mark.parametrize(("jobs", "asked"), [("1", 3), ("4", 6)])
def test_a_used_up_quota_stops_all_downloads(shop: Shop, jobs: str, asked: int) -> None:
    shop.registry.download_quota = 2
    shop.locked(*shop.offer(*[KIB] * 12))
    ended = shop.sync("--jobs", jobs)
    assert (ended.status, set(ended.codes.values())) == (75, {"quota"})
    assert shop.served.count(path_prefix=DOWNLOADS) <= asked
    assert len(shop.tree) == 2
    assert "not-tried" in [event["code"] for event in ended.events("noted")]
    shop.registry.download_quota = None
    assert shop.sync().done == {"fetched": 10}


@pytest.mark.fault("4.1/retry-after", "429", "503", "huge")
@pytest.mark.parametrize(
    ("status", "code"), [(403, "edge-refused"), (429, "rate-limited"), (503, "server-error")]
)
def test_a_route_that_wants_a_long_rest_is_not_asked_for_every_file(
    shop: Shop, status: int, code: str
) -> None:
    shop.locked(*shop.offer(*[KIB] * 40))
    rest = Answer(status, (*HTML, LATER), b"<html>No</html>")
    shop.served.faults.add(Fault(does=rest, origin="api", path=DOWNLOADS, times=None))
    ended = shop.sync("--jobs", "4")
    assert (ended.status, set(ended.codes.values())) == (75, {code})
    assert len(ended.failed) == 40
    assert {"again in 60 min" in error["hint"] for error in ended.failed.values()} == {True}
    assert 1 <= shop.served.count(path_prefix=DOWNLOADS) <= 8


@pytest.mark.fault("4.1/retry-after", "huge")
@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_storage_that_wants_a_long_rest_is_not_asked_for_every_file(
    shop: Shop, status: int
) -> None:
    shop.locked(*shop.offer(*[KIB] * 40))
    rest = Answer(status, (*HTML, LATER), b"<html>No</html>")
    shop.served.faults.add(Fault(does=rest, origin="storage", times=None))
    ended = shop.sync("--jobs", "4")
    assert (ended.status, len(ended.failed)) == (75, 40)
    assert {"again in 60 min" in error["hint"] for error in ended.failed.values()} == {True}
    assert 1 <= sum(each.origin == "storage" for each in shop.served.requests) <= 8


@pytest.mark.fault("4.1/retry-after", "503", "huge")
def test_a_rest_that_is_asked_for_one_file_is_not_for_all(shop: Shop) -> None:
    """Why a file is not found is asked of another route, which may have trouble of its own."""
    models = shop.offer(KIB, *[SIZE] * 8)
    shop.locked(*models)
    spoil_route(shop, models[0], Answer(404, JSON, b'{"error": "File not found"}'))
    rest = Answer(503, (*HTML, LATER), b"<html>No</html>")
    shop.served.faults.add(
        Fault(does=rest, origin="api", path="/api/v1/model-versions/", times=None)
    )
    ended = shop.sync("--jobs", "1")
    assert (len(ended.failed), ended.done) == (1, {"fetched": 8})


@pytest.mark.fault("4.1/retry-after", "429", "503", "seconds", "date")
def test_pauses_that_servers_ask_for_are_kept_and_the_run_heals(shop: Shop) -> None:
    one, two, three = models = shop.offer(SIZE, SIZE, SIZE)
    shop.locked(*models)
    dated = (
        ("Date", "Mon, 06 Jan 2025 10:00:00 GMT"),
        ("Retry-After", "Mon, 06 Jan 2025 10:00:01 GMT"),
    )
    spoil_route(shop, one, Answer(503, (*HTML, ("Retry-After", "1")), b"<html>busy</html>"), 1)
    spoil_storage(shop, two, Answer(503, dated))
    spoil_storage(shop, three, Answer(429, (("Retry-After", "0"),)))
    ended = shop.sync()
    assert ended.done == {"fetched": 3}
    assert {event["seconds"] for event in ended.events("paused")} & {1.0}
    assert shop.served.count(path_prefix=DOWNLOADS) == 4


# --- what the storage does -------------------------------------------------------------------

MENDED: list[tuple[str, list[Misdeed]]] = [
    ("cut", [Cut(SIZE // 2)]),
    ("reset", [Cut(SIZE // 2, reset=True)]),
    ("shortbutcomplete", [Cut(SIZE // 2, declared=False)]),
    ("refused", [Refuse()]),
    ("garbage", [Raw(b"SSH-2.0-OpenSSH\r\n\r\n")]),
    ("ignorerange", [Cut(SIZE // 2), IgnoreRange()]),
    ("wrongrange", [Cut(SIZE // 2), WrongRange("bytes 0-9/10")]),
    ("norange", [Cut(SIZE // 2), WrongRange(None)]),
    ("unsatisfiable", [Cut(SIZE // 2), Answer(416)]),
    ("changed", [Cut(SIZE // 2), FlipBit(SIZE - 1)]),
    ("forbidden", [Cut(SIZE // 2), Answer(403, (("Content-Type", "application/xml"),), b"<E/>")]),
    ("server", [Answer(500)]),
]


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Synced]]:
    """One sync in which every file meets another fault that can be mended."""
    with open_shop(tmp_path_factory.mktemp("mended")) as shop:
        bodies = {f"{name}.safetensors": safetensors(name, SIZE) for name, _ in MENDED}
        models = shop.offer(bodies=bodies)
        shop.locked(*models)
        for model, (_, misdeeds) in zip(models, MENDED, strict=True):
            spoil_storage(shop, model, *misdeeds)
        yield shop, shop.sync("--jobs", "12")


@pytest.mark.fault("4.1/cut", "reset", "truncated", "empty reply")
@pytest.mark.fault("4.1/no-length", "early close")
@pytest.mark.fault("4.1/malformed", "bad status line")
@pytest.mark.fault("4.1/server-error", "5xx")
@pytest.mark.fault("4.2/200-for-range", "200")
@pytest.mark.fault("4.2/wrong-range", "another total", "no range")
@pytest.mark.fault("4.2/416", "not whole")
@pytest.mark.fault("4.2/changed", "other bytes")
@pytest.mark.fault("4.2/expired", "403")
@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        ("cut", [None, SIZE // 2]),
        ("reset", [None, ...]),
        ("shortbutcomplete", [None, SIZE // 2]),
        ("refused", [None, None]),
        ("garbage", [None, None]),
        ("ignorerange", [None, SIZE // 2]),
        ("wrongrange", [None, SIZE // 2, SIZE // 2]),
        ("norange", [None, SIZE // 2, SIZE // 2]),
        ("unsatisfiable", [None, SIZE // 2, None]),
        ("changed", [None, SIZE // 2, None]),
        ("forbidden", [None, SIZE // 2, SIZE // 2]),
        ("server", [None, None]),
    ],
)
def test_what_can_be_mended_is_mended_in_the_same_run(
    mended: tuple[Shop, Synced], name: str, ranges: list[object]
) -> None:
    shop, ended = mended
    assert ended.status == 0, ended.failed
    assert shop.tree[f"loras/{name}.safetensors"] == safetensors(name, SIZE)
    asked = [
        r.header("range")
        for r in shop.served.requests
        if r.origin == "storage" and f"/{name}.safetensors" in r.path
    ]
    if ... not in ranges:
        assert asked == [None if at is None else f"bytes={at}-" for at in ranges]


def test_a_broken_transfer_asks_the_api_for_no_second_address(mended: tuple[Shop, Synced]) -> None:
    shop, _ = mended
    # Each address counts against the quota: only the one that was refused is asked for again.
    assert shop.served.count(path_prefix=DOWNLOADS) == len(MENDED) + 1


REFUSED: list[tuple[str, Misdeed, str]] = [
    ("flipped", FlipBit(SIZE // 2), "hash-mismatch"),
    ("header", FlipBit(9), "hash-mismatch"),
    ("longer", Excess(1, length="inflated"), "size-mismatch"),
    ("endless", Excess(1 << 40), "size-mismatch"),
    (
        "shorter",
        Answer(200, (("Content-Type", "application/octet-stream"),), b"x"),
        "size-mismatch",
    ),
    ("gzip", Gzip(), "not-a-model"),
    ("page", Answer(200, HTML, b"<html>Sign in</html>"), "not-a-model"),
    ("message", Answer(200, JSON, b'{"error": "no"}'), "not-a-model"),
    ("loop", Answer(302, (("Location", "?again"),)), "bad-redirect"),
]


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Synced]]:
    """One sync in which every file but one is spoiled for good."""
    with open_shop(tmp_path_factory.mktemp("spoiled")) as shop:
        names = [row[0] for row in REFUSED] + ["fine"]
        models = shop.offer(bodies={f"{n}.safetensors": safetensors(n, SIZE) for n in names})
        shop.locked(*models)
        for model, (_, misdeed, _) in zip(models, REFUSED, strict=False):
            spoil_storage(shop, model, misdeed, times=None)
        ended = shop.sync()
        yield shop, ended


@pytest.mark.fault("4.1/too-much", "endless body", "beyond the length")
@pytest.mark.fault("4.2/page", "login page", "error JSON")
@pytest.mark.fault("4.2/coded", "gzip")
@pytest.mark.fault("4.2/redirect", "loop")
@pytest.mark.parametrize(("name", "misdeed", "code"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_body_that_is_not_the_file_is_named_and_gets_no_name(
    spoiled: tuple[Shop, Synced], name: str, misdeed: Misdeed, code: str
) -> None:
    shop, ended = spoiled
    assert ended.codes[f"{name}.safetensors"] == code
    assert f"loras/{name}.safetensors" not in shop.tree


@pytest.mark.fault("4.1/too-much", "endless body")
def test_spoiled_bytes_win_over_all_other_failures_and_the_next_run_mends_them(
    spoiled: tuple[Shop, Synced],
) -> None:
    shop, ended = spoiled
    assert ended.status == 5
    error = ended.failed["flipped.safetensors"]
    wanted = str(error["data"]["expected"])
    received = str(error["data"]["received"])
    assert wanted != received
    assert wanted in error["message"]
    assert received in error["message"]
    kept = shop.project.root / str(error["data"]["kept_at"])
    assert kept.stat().st_size == SIZE
    assert max(shop.parts(), default=0) <= SIZE
    shop.nothing_wrong_under_a_name()
    shop.served.faults.clear()
    again = shop.sync()
    assert again.status == 0, again.failed
    assert len(shop.tree) == len(REFUSED) + 1
    shop.nothing_wrong_under_a_name()


@pytest.mark.fault("4.2/expired", "403")
def test_an_address_that_expires_in_the_middle_is_asked_for_again_and_the_part_kept(
    shop: Shop,
) -> None:
    (model,) = shop.offer(SIZE)
    shop.locked(model)
    spoil_storage(shop, model, Cut(SIZE // 4), ExpireUrls())
    ended = shop.sync()
    assert ended.done == {"fetched": 1}
    assert shop.ranges == [None, f"bytes={SIZE // 4}-", f"bytes={SIZE // 4}-"]
    assert shop.served.count(path_prefix=DOWNLOADS) == 2
    assert ended.end["received"] == SIZE


def test_while_the_api_is_down_what_has_an_address_is_received_to_its_end(shop: Shop) -> None:
    [model] = shop.offer(SIZE)
    shop.locked(model)
    spoil_storage(shop, model, Cut(10_000), Cut(5_000, reset=True), Answer(503))
    shop.served.faults.add(
        Fault(does=Answer(502, HTML, b"<html>down"), origin="api", skip=1, times=None)
    )
    synced = shop.sync("--frozen")
    assert synced.status == 0, synced.ran.err
    assert len(shop.tree) == 1
    assert synced.end["received"] == SIZE
    assert sum(request.origin == "api" for request in shop.served.requests) == 1


@pytest.mark.fault("4.2/changed", "other bytes")
def test_a_part_of_another_file_costs_one_fresh_try(shop: Shop) -> None:
    (model,) = shop.stocked(SIZE)
    (shop.project.root / "loras/m0.safetensors").unlink()
    part = shop.control / "parts" / f"{only_file(model).sha256.lower()}.part"
    part.write_bytes(b"x" * 1000)
    ended = shop.sync()
    assert ended.done == {"fetched": 1}
    assert shop.ranges == ["bytes=1000-", None]
    assert [event["code"] for event in ended.events("noted")] == ["part-dropped"]
    shop.nothing_wrong_under_a_name()


@pytest.mark.fault("4.2/upstream", "hash changed")
def test_a_file_that_changed_upstream_for_good_is_an_alarm_and_the_old_one_stays(
    shop: Shop,
) -> None:
    model, _ = shop.stocked(SIZE, KIB)
    before = shop.tree
    file = model.add_version("v2", at=0, base_model="SDXL 1.0").add_file("m0.safetensors")
    shop.project.call("lock", "--upgrade")
    file.put(safetensors("something else", file.body.size))
    ended = shop.sync()
    assert (ended.status, ended.codes) == (5, {"m0.safetensors": "hash-mismatch"})
    assert shop.tree == before


# --- what fails keeps what is there ------------------------------------------------------------


@pytest.mark.fault("4.8/interrupted-upgrade", "failed download")
def test_nothing_is_retired_where_a_download_failed_unless_told_to(shop: Shop) -> None:
    one, _ = shop.stocked(KIB, KIB)
    (new,) = shop.offer(bodies={"new.safetensors": safetensors("new", KIB)})
    shop.locked(one, new)
    new.mode = "Archived"
    ended = shop.sync()
    assert (ended.status, ended.done) == (7, {})
    assert "retire-postponed" in [event["code"] for event in ended.events("noted")]
    assert len(shop.tree) == 2
    assert shop.sync("--prune-first").done == {"retired": 1}
    assert list(shop.tree) == ["loras/m0.safetensors"]


def test_fail_fast_stops_at_the_first_and_keep_going_does_not(shop: Shop) -> None:
    models = shop.offer(*[KIB] * 4)
    shop.locked(*models)
    models[0].mode = "Archived"
    ended = shop.sync("--fail-fast", "--jobs", "1")
    assert (ended.status, ended.codes) == (7, {"m0.safetensors": "archived"})
    assert shop.served.count(path_prefix=DOWNLOADS) == 1
    assert shop.sync("--keep-going", "--jobs", "1").done == {"fetched": 3}


# --- the API key -----------------------------------------------------------------------------

TOKEN = "key-0123456789-zebra"


@pytest.mark.fault("4.2/credentials", "on redirect")
def test_a_key_is_checked_once_and_goes_to_the_api_alone(shop: Shop) -> None:
    shop.registry.tokens.add(TOKEN)
    models = shop.offer(*[SIZE] * 4)
    models[0].versions[0].require_auth = True
    shop.locked(*models)
    spoil_storage(shop, models[1], Cut(100), Answer(403))
    env = {"CIVITAI_API_KEY": TOKEN, "CIVSYNC_DEBUG": "1"}
    ran = shop.project.run("sync", "--verbose", env=env)
    assert ran.status == 0, ran.err
    assert shop.served.count(path_prefix="/api/v1/me") == 1
    for request in shop.served.requests:
        told = f"{request.target} {request.headers} {request.body!r}"
        assert (TOKEN in told) == (request.origin == "api")
        assert TOKEN not in request.target
    failing = Answer(500, JSON, json.dumps({"error": f"Bearer {TOKEN}"}).encode())
    spoil_route(shop, models[2], failing, 1)
    (shop.project.root / "loras/m2.safetensors").unlink()
    again = shop.project.run("sync", "--json", "--verbose", env=env)
    assert again.status == 0
    written = [path.read_bytes() for path in shop.project.folder.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in data for data in written)
    assert TOKEN not in ran.out + ran.err + again.err


def test_a_bad_key_is_told_before_anything_is_downloaded(shop: Shop) -> None:
    shop.locked(*shop.offer(*[KIB] * 6))
    ended = shop.sync(env={"CIVITAI_API_KEY": "revoked-key"})
    assert (ended.status, set(ended.codes.values())) == (6, {"token-refused"})
    assert [request.path for request in shop.served.requests] == ["/api/v1/me"]
    assert "revoked-key" not in ended.ran.out + ended.ran.err
    assert shop.tree == {}


# --- signals, and two at once ------------------------------------------------------------------


@pytest.fixture
def stalled(shop: Shop) -> Iterator[tuple[Shop, subprocess.Popen[str]]]:
    """A sync that has received half of its file, and gets no more."""
    (model,) = shop.offer(SIZE)
    shop.locked(model)
    release = threading.Event()
    spoil_storage(shop, model, Stall(release, after=SIZE // 2))
    with shop.project.start("sync", "--json") as running:
        assert running.stdout is not None
        for line in running.stdout:
            if json.loads(line)["event"] == "progress":
                break
        yield shop, running
        release.set()


@pytest.mark.fault("4.4/stopped", "Ctrl-C", "SIGTERM")
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_keeps_the_part_and_the_next_run_goes_on(
    stalled: tuple[Shop, subprocess.Popen[str]], number: int, status: int
) -> None:
    shop, running = stalled
    running.send_signal(number)
    rest, said = running.communicate(timeout=20)
    assert running.returncode == status
    last = json.loads(rest.splitlines()[-1])
    assert last == {**last, "event": "interrupted", "exit": status}
    assert faults(last) == []
    assert "what was received is kept" in said
    assert "Traceback" not in said
    (held,) = shop.parts()
    assert 0 < held <= SIZE // 2
    assert shop.tree == {}
    shop.served.reset_counts()
    assert shop.sync().done == {"fetched": 1}
    assert shop.ranges == [f"bytes={held}-"]
    shop.nothing_wrong_under_a_name()
    assert shop.parts() == []


@pytest.mark.fault("4.4/stopped", "SIGHUP")
@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_terminal_that_goes_away_ends_the_run_and_the_next_run_goes_on(
    stalled: tuple[Shop, subprocess.Popen[str]],
) -> None:
    """SIGHUP is not waited for: what came is found as after a kill."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        pytest.skip("hangups are ignored here, as by nohup, and so by all that is started here")
    shop, running = stalled
    running.send_signal(signal.SIGHUP)
    _, said = running.communicate(timeout=20)
    assert (running.returncode, said.count("Traceback")) == (-signal.SIGHUP, 0)
    (held,) = shop.parts()
    assert 0 < held <= SIZE // 2
    assert shop.tree == {}
    shop.served.reset_counts()
    assert shop.sync().done == {"fetched": 1}
    assert shop.ranges == [f"bytes={held}-"]
    assert shop.parts() == []


@pytest.mark.fault("4.4/two-civsyncs", "while the first works")
def test_of_two_at_once_the_second_is_told_who_holds_the_root(
    stalled: tuple[Shop, subprocess.Popen[str]],
) -> None:
    shop, running = stalled
    before = listing(shop.project.root)
    second = shop.sync()
    assert (second.status, second.error["code"]) == (75, "root-busy")
    assert second.error["data"]["pid"] == running.pid
    assert set(listing(shop.project.root)) == set(before)
    running.terminate()
    running.communicate(timeout=20)


# --- any mixture --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seed",
    [pytest.param(n, marks=[pytest.mark.slow] if n >= 5 else []) for n in range(25)],
)
def test_any_mixture_of_faults_ends_in_step_or_with_a_named_error(shop: Shop, seed: int) -> None:
    shop.locked(*shop.offer(SIZE, SIZE, KIB))
    shop.registry.seeded_faults(seed, 8)
    ended = shop.sync()
    for _ in range(4):
        shop.nothing_wrong_under_a_name()
        if ended.status == 0:
            break
        assert set(ended.codes.values()) <= {str(code) for code in ABOUT}
        assert Code.DISK_FAILED not in ended.codes.values()
        ended = shop.sync()
    assert ended.status == 0
    assert len(shop.tree) == 3
    assert shop.parts() == []
