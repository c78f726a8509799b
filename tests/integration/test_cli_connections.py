"""The command line behind proxies, certificates, odd addresses and clocks, and without a network.

Hosts with public names are servers on this machine that only a proxy knows.
"""

import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from civsync.core.limits import REDIRECTS
from civsync.demo.artifacts import safetensors
from civsync.demo.bodies import read
from civsync.demo.faults import Action as Misdeed
from civsync.demo.faults import Answer, Fault
from civsync.demo.registry import Model, Registry
from civsync.demo.served import serve as serve_registry
from support.cli import Project, command
from support.relay import Forward, NamingProxy
from support.shop import DOWNLOADS, Shop, Synced, only_file, open_shop
from support.wire_server import Send, WireServer, refused_port, reply, serve, server_context

KIB = 1024
TOKEN = "key-0123456789-zebra"
TEN_YEARS_S = 3650 * 86400
ANSWER = (("Content-Type", "text/html"),)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def sync(shop: Shop, *words: str) -> Synced:
    """Run `civsync sync --json` in this process: what is tested here needs none of its own."""
    return Synced(ran=shop.project.call("sync", "--json", *words))


def send(shop: Shop, model: Model, *locations: str) -> None:
    """Let the download route lead to these places, one after the other, the last for ever."""
    wanted = f"fileId={only_file(model).id}"
    for skip, location in enumerate(locations):
        times = 1 if skip < len(locations) - 1 else None
        does = Answer(307, (("Location", location),))
        shop.served.faults.add(Fault(does=does, origin="api", path=wanted, skip=skip, times=times))


def spoil(shop: Shop, model: Model, misdeed: Misdeed, times: int | None = 1) -> None:
    """Let the storage do this to requests for a model's file."""
    path = f"/{only_file(model).id}/"
    shop.served.faults.add(Fault(does=misdeed, origin="storage", path=path, times=times))


def named(shop: Shop, *names: str) -> dict[str, Model]:
    """Offer a small file for each name, and lock them all."""
    bodies = {f"{name}.safetensors": safetensors(name, KIB) for name in names}
    models = shop.offer(bodies=bodies)
    shop.locked(*models)
    return dict(zip(names, models, strict=True))


def asked_of_storage(shop: Shop, name: str) -> int:
    return sum(
        request.origin == "storage" and f"/{name}.safetensors" in request.path
        for request in shop.served.requests
    )


# --- no connection --------------------------------------------------------------------


def without_network() -> list[str]:
    """Return the words before a command that give it no network at all; skips where none do."""
    words = ["unshare", "--net", "--"]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], check=False).returncode:
        pytest.skip("network namespaces cannot be made here")
    return words


@pytest.mark.slow  # a process of its own
@pytest.mark.fault("4.1/no-connection", "unreachable")
def test_without_a_route_no_host_is_reached_by_either_way() -> None:
    script = """
import anyio
from civsync.core.errors import WireError
from civsync.core.wire import HttpRequest
from civsync.wire.transport import HttpTransport

async def main():
    transport = HttpTransport()
    url = "http://192.0.2.1/x"
    request = HttpRequest(url=url, cap=10)
    for attempt in (lambda: transport.stream(url, {}, print), lambda: transport.ask(request)):
        try:
            await attempt()
        except WireError as error:
            print(error.code, error.retry)

anyio.run(main)
"""
    words = [*without_network(), sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "unreachable True\n" * 2


@pytest.mark.slow  # all tries and the pauses between them
@pytest.mark.fault("4.1/no-connection", "DNS failure", "refused", "unreachable")
def test_a_registry_that_cannot_be_reached_is_a_failure_to_try_again_later(tmp_path: Path) -> None:
    """Side by side, since each waits for the tries after the first."""
    cases = {
        "name": ([], "https://name.invalid"),
        "port": ([], f"http://127.0.0.1:{refused_port()}"),
        "route": (without_network(), "https://192.0.2.1"),
    }
    with ExitStack() as stack:
        running = {}
        for name, (before, url) in cases.items():
            project = Project(tmp_path / name, url)
            project.write("model: 1")
            running[name] = stack.enter_context(
                subprocess.Popen(
                    [*before, *command("lock")],
                    cwd=project.folder,
                    env=project.environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        for name, process in running.items():
            _, err = process.communicate(timeout=100)
            assert process.returncode == 75, (name, err)
            assert "[unreachable]" in err, name
            assert err.count("trying again in") == 5, name
            assert not (tmp_path / name / "civsync.lock").exists()


# --- TLS ------------------------------------------------------------------------------


def expired_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    end = datetime.now(UTC) - timedelta(days=1)
    made = authority.issue_cert("127.0.0.1", not_before=end - timedelta(days=9), not_after=end)
    made.configure_cert(context)
    return context


def encrypted(folder: Path, authority: trustme.CA, context: ssl.SSLContext) -> Iterator[Shop]:
    """Open a shop whose two origins speak TLS; the project trusts `authority` alone."""
    authority.cert_pem.write_to_path(folder / "ca.pem")
    with serve_registry(Registry(), tls=context) as served:
        project = Project(folder / "project", served.api_url)
        project.environment["SSL_CERT_FILE"] = str(folder / "ca.pem")
        yield Shop(registry=served.registry, served=served, project=project)


@pytest.fixture
def safe_shop(tmp_path: Path, authority: trustme.CA) -> Iterator[Shop]:
    yield from encrypted(tmp_path, authority, server_context(authority))


@pytest.mark.fault("4.1/tls", "SSL_CERT_FILE", "unknown authority")
def test_the_authority_of_the_user_counts_for_the_api_and_for_the_bytes(safe_shop: Shop) -> None:
    safe_shop.locked(*safe_shop.offer(KIB))
    assert sync(safe_shop).done == {"fetched": 1}
    safe_shop.served.reset_counts()
    del safe_shop.project.environment["SSL_CERT_FILE"]
    (safe_shop.project.root / "loras/m0.safetensors").unlink()
    assert sync(safe_shop).codes == {"m0.safetensors": "tls-failed"}
    assert (safe_shop.served.connections("api"), safe_shop.served.requests) == (1, [])


def no_way_around(text: str) -> bool:
    return not any(word in text.lower() for word in ("insecure", "disable", "--no-verify", "skip"))


@pytest.mark.fault("4.1/tls", "unknown authority", "wrong name", "expired")
@pytest.mark.parametrize("kind", ["authority", "name", "expired"])
def test_an_api_whose_certificate_proves_nothing_is_asked_nothing(
    tmp_path: Path, authority: trustme.CA, kind: str
) -> None:
    contexts = {
        "authority": lambda: server_context(trustme.CA()),
        "name": lambda: server_context(authority, "civitai.com"),
        "expired": lambda: expired_context(authority),
    }
    for shop in encrypted(tmp_path, authority, contexts[kind]()):
        shop.want(*shop.offer(KIB))
        for words in (["lock"], ["sync"]):
            ran = shop.project.call(*words)
            assert ran.status == 75
            assert "[tls-failed]" in ran.err
            assert no_way_around(ran.err)
        assert (shop.served.connections("api"), shop.served.requests) == (2, [])
        assert not shop.project.lock.exists()


@pytest.mark.fault("4.1/tls", "unknown authority", "wrong name", "expired")
def test_a_storage_whose_certificate_proves_nothing_is_asked_once_and_the_others_go_on(
    safe_shop: Shop, authority: trustme.CA
) -> None:
    contexts = {
        "authority": server_context(trustme.CA()),
        "name": server_context(authority, "storage.test"),
        "expired": expired_context(authority),
    }
    models = named(safe_shop, *contexts, "fine")
    with ExitStack() as stack:
        storages = []
        for name, context in contexts.items():
            storages.append(stack.enter_context(serve([Send(reply())], tls=context)))
            send(safe_shop, models[name], storages[-1].url("/x"))
        ended = sync(safe_shop)
        assert ended.status == 75
        assert ended.codes == {f"{name}.safetensors": "tls-failed" for name in contexts}
        assert all(no_way_around(f"{e['message']} {e['hint']}") for e in ended.failed.values())
        assert [(each.connections, each.requests) for each in storages] == [(1, [])] * 3
    assert ended.done == {"fetched": 1}
    assert ended.events("retrying") == []


# --- hosts with public names, behind a proxy ------------------------------------------


@dataclass(frozen=True)
class Named:
    """A shop at https://civitai.test, and two hosts for bytes, all behind a proxy."""

    shop: Shop
    storage: WireServer
    cdn: WireServer
    proxy: NamingProxy


@pytest.fixture
def world(tmp_path: Path, authority: trustme.CA) -> Iterator[Named]:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with ExitStack() as stack:
        api = server_context(authority, "civitai.test")
        served = stack.enter_context(serve_registry(Registry(tokens={TOKEN}), tls=api))
        storage, cdn = (
            stack.enter_context(WireServer([Send(reply(404))], tls=server_context(authority, name)))
            for name in ("storage.test", "cdn.test")
        )
        routes = {
            "civitai.test:443": urlsplit(served.api_url).port or 0,
            "storage.test:443": storage.port,
            "cdn.test:443": cdn.port,
        }
        proxy = stack.enter_context(NamingProxy(routes))
        project = Project(tmp_path / "project", "https://civitai.test")
        project.environment |= {
            "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
            "HTTPS_PROXY": f"http://me:p%40ss@127.0.0.1:{proxy.port}",
            "CIVITAI_API_KEY": TOKEN,
        }
        shop = Shop(registry=served.registry, served=served, project=project)
        yield Named(shop=shop, storage=storage, cdn=cdn, proxy=proxy)


ALLOWED = {"host", "user-agent", "accept", "accept-encoding", "range"}


@pytest.mark.fault("4.1/surroundings", "proxy")
@pytest.mark.fault("4.1/tls", "SSL_CERT_FILE")
@pytest.mark.fault("4.2/credentials", "on redirect")
@pytest.mark.fault("4.2/quirks", "User-Agent", "GET, not HEAD", "address of the file")
def test_over_every_hop_the_token_reaches_the_api_and_nobody_else(world: Named) -> None:
    shop = world.shop
    (model,) = shop.offer(KIB)
    shop.locked(model)
    file = only_file(model)
    route = f"{DOWNLOADS}models/{model.versions[0].id}?fileId={file.id}"
    send(shop, model, f"{route}&again=1", "https://storage.test/first?signature=one")
    hop = reply(302, headers={"Location": "https://cdn.test/second", "Set-Cookie": "a=b"})
    body = read(file.body)
    world.storage.script([Send(hop)])
    world.cdn.script([Send(reply(503, headers={"Set-Cookie": "c=d"}))], [Send(reply(200, body))])
    ended = sync(shop, "--verbose")
    assert ended.done == {"fetched": 1}, ended.ran.err

    hops = [seen for host in (world.storage, world.cdn) for seen in host.requests]
    assert [seen.target for seen in hops] == ["/first?signature=one"] * 2 + ["/second"] * 2
    for seen in hops:
        lines = seen.raw.decode().splitlines()[1:-1]
        assert {line.partition(":")[0].lower() for line in lines} <= ALLOWED
    for raw in [seen.raw for seen in hops] + world.proxy.heads:
        assert TOKEN.encode() not in raw
    assert {head.count(b"Proxy-Authorization") + head.count(b"proxy-authorization")
            for head in world.proxy.heads} == {1}  # fmt: skip
    assert set(world.proxy.asked) == {"civitai.test:443", "storage.test:443", "cdn.test:443"}

    asked = shop.served.requests
    assert {request.header("authorization") for request in asked} == {f"Bearer {TOKEN}"}
    assert not any(TOKEN in request.target for request in asked)
    assert not any(request.header("proxy-authorization") for request in asked)
    downloads = [each.target for each in asked if each.path.startswith(DOWNLOADS)]
    assert downloads == [route, f"{route}&again=1"]
    agents = {request.header("user-agent") or "" for request in asked}
    agents |= {seen.header("user-agent") or "" for seen in hops}
    assert all(agent.startswith("civsync/") for agent in agents)
    assert {request.method for request in asked} | {seen.method for seen in hops} == {"GET"}


ASTRAY = {
    "http": "http://storage.test/x",
    "file": "file:///etc/passwd",
    "ftp": "ftp://storage.test/x",
    "port": "https://storage.test:8443/x",
    "userinfo": "https://me:pw@storage.test/x",
    "disguise": "https://civitai.test@storage.test/x",
    "loopback": "https://127.0.0.1/x",
    "private": "https://10.0.0.8/x",
    "metadata": "https://169.254.169.254/latest/meta-data",
    "mapped": "https://[::ffff:10.0.0.8]/x",
    "number": "https://2130706433/x",
    "page": "https://civitai.test/models/7",
    "otherapi": "https://storage.test/api/download/models/7",
    "token": f"https://storage.test/x?token={TOKEN}",
    "nowhere": "",
}


@pytest.mark.fault(
    "4.2/redirect", "loop", "more than five hops", "to http", "file:", "other port", "userinfo",
    "private address",
)  # fmt: skip
@pytest.mark.fault("4.2/credentials", "on redirect")
def test_a_download_route_that_leads_astray_is_not_followed(world: Named) -> None:
    shop = world.shop
    models = named(shop, *ASTRAY, "loop", "hops")
    for name, location in ASTRAY.items():
        send(shop, models[name], location)
    routes = {
        name: f"{DOWNLOADS}models/{models[name].versions[0].id}?fileId={only_file(models[name]).id}"
        for name in ("loop", "hops")
    }
    send(shop, models["loop"], routes["loop"])
    steps = [f"{routes['hops']}&hop={number}" for number in range(REDIRECTS + 1)]
    send(shop, models["hops"], *steps, "https://storage.test/x")
    ended = sync(shop)
    assert ended.status == 75
    assert ended.codes == {f"{name}.safetensors": "bad-redirect" for name in models}
    assert set(world.proxy.asked) == {"civitai.test:443"}
    assert (world.storage.connections, shop.tree) == (0, {})
    said = ended.ran.out + ended.ran.err
    assert TOKEN not in said
    assert "pw@" not in said
    for name, route in routes.items():
        count = sum(route in request.target for request in shop.served.requests)
        assert count == REDIRECTS + 1, name


@pytest.mark.fault("4.2/redirect", "to http", "other port", "userinfo", "private address", "loop")
def test_a_storage_host_that_leads_astray_is_not_followed(world: Named) -> None:
    shop = world.shop
    (model,) = shop.offer(KIB)
    shop.locked(model)
    send(shop, model, "https://storage.test/x?signature=one")
    astray = {"loop": "https://storage.test/x", **ASTRAY}
    for name in ("loop", "http", "file", "port", "userinfo", "private", "metadata", "loopback"):
        world.storage.requests.clear()
        world.storage.script([Send(reply(302, headers={"Location": astray[name]}))])
        ran = shop.project.call("sync")
        assert (ran.status, "[bad-redirect]" in ran.err) == (75, True), name
        assert len(world.storage.requests) == (REDIRECTS if name == "loop" else 1)
        assert set(world.proxy.asked) == {"civitai.test:443", "storage.test:443"}


@pytest.mark.fault("4.1/surroundings", "IPv6 only")
def test_hosts_that_have_an_ipv6_address_alone_are_reached(shop: Shop) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    (model,) = shop.offer(KIB)
    data = read(only_file(model).body)
    with (
        serve([Send(reply(200, data))]) as storage,
        Forward("::1", urlsplit(shop.served.api_url).port or 0) as api,
        Forward("::1", storage.port) as bytes_host,
    ):
        shop.project.environment["CIVSYNC_API_URL"] = api.origin
        send(shop, model, f"{bytes_host.origin}/x")
        shop.want(model)
        assert sync(shop).done == {"fetched": 1}
        assert {seen.header("host") for seen in storage.requests} == {f"[::1]:{bytes_host.port}"}
        hosts = {request.header("host") for request in shop.served.requests}
        assert hosts == {f"[::1]:{api.port}"}


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


# --- clocks ---------------------------------------------------------------------------


@pytest.mark.fault("4.1/surroundings", "clock ten years off")
@pytest.mark.parametrize("skew", [TEN_YEARS_S, -TEN_YEARS_S], ids=["ahead", "behind"])
def test_a_server_in_another_decade_is_as_good_as_any(shop: Shop, skew: int) -> None:
    shop.registry.clock = lambda: time.time() + skew
    shop.want(*shop.offer(KIB, KIB))
    assert sync(shop).done == {"fetched": 2}
    shop.served.reset_counts()
    assert sync(shop).done == {}
    assert shop.served.requests == []


@pytest.mark.slow  # four processes
@pytest.mark.fault("4.1/surroundings", "clock ten years off")
@pytest.mark.fault("4.1/retry-after", "date")
@pytest.mark.parametrize("skew", ["+3650d", "-3650d"])
def test_a_machine_in_another_decade_waits_as_long_as_any(shop: Shop, skew: str) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    model, _ = models = shop.offer(KIB, KIB)
    shop.locked(*models)
    dated = (
        ("Date", "Mon, 06 Jan 2025 10:00:00 GMT"),
        ("Retry-After", "Mon, 06 Jan 2025 10:00:00 GMT"),
    )
    spoil(shop, model, Answer(503, dated))
    for expected in ('"done":{"fetched":2}', '"done":{}'):
        done = subprocess.run(
            ["faketime", "-f", skew, *command("sync", "--json")],
            cwd=shop.project.folder,
            env={**shop.project.environment, "DONT_FAKE_MONOTONIC": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert expected in done.stdout.replace(" ", "")
    assert len(shop.tree) == 2
    shop.nothing_wrong_under_a_name()


# --- pauses ---------------------------------------------------------------------------

PAUSES: dict[str, tuple[Misdeed, int]] = {
    "negative": (Answer(503, (("Retry-After", "-5"), *ANSWER)), 1),
    "garbage": (Answer(503, (("Retry-After", "soon"), *ANSWER)), 1),
    "seconds": (Answer(429, (("Retry-After", "1"), *ANSWER)), 1),
    "past": (
        Answer(
            429,
            (
                ("Date", "Mon, 06 Jan 2025 10:00:00 GMT"),
                ("Retry-After", "Mon, 06 Jan 2020 10:00:00 GMT"),
            ),
        ),
        1,
    ),
    "timeout": (Answer(408, ANSWER), 1),
    "early": (Answer(425, ANSWER), 1),
    "gateway": (Answer(502, ANSWER), 1),
    "twice": (Answer(500, ANSWER), 2),
    "never": (Answer(500, ANSWER), 0),
}


@pytest.mark.slow  # real pauses
@pytest.mark.fault("4.1/retry-after", "429", "503", "seconds", "date", "negative", "garbage")
@pytest.mark.fault("4.1/server-error", "5xx", "408", "425")
def test_each_failure_of_a_server_costs_one_more_request(shop: Shop) -> None:
    models = named(shop, *PAUSES)
    for name, (misdeed, times) in PAUSES.items():
        if times:
            spoil(shop, models[name], misdeed, times)
    ended = sync(shop, "--jobs", "12")
    assert ended.done == {"fetched": len(PAUSES)}, ended.failed
    for name, (_, times) in PAUSES.items():
        assert asked_of_storage(shop, name) == 1 + times, name
    methods = {request.method for request in shop.served.requests}
    assert methods == {"GET"}


@pytest.mark.fault("4.1/retry-after", "429", "503", "huge", "date")
@pytest.mark.parametrize("status", [429, 503])
def test_a_storage_that_wants_a_day_of_rest_ends_the_run_with_the_time(
    shop: Shop, status: int
) -> None:
    models = named(shop, "seconds", "date")
    dated = (
        ("Date", "Mon, 06 Jan 2025 10:00:00 GMT"),
        ("Retry-After", "Thu, 09 Jan 2025 10:00:00 GMT"),
    )
    spoil(shop, models["seconds"], Answer(status, (("Retry-After", "259200"),)), None)
    spoil(shop, models["date"], Answer(status, dated), None)
    ended = sync(shop, "--jobs", "1")
    assert ended.status == 75
    for name in models:
        error = ended.failed[f"{name}.safetensors"]
        assert error["code"] == ("rate-limited" if status == 429 else "server-error")
        assert error["data"]["retry_after"] == 259200
        assert "again in 3 d" in error["hint"]
        assert asked_of_storage(shop, name) <= 1


@pytest.mark.slow  # a real pause
@pytest.mark.fault("4.1/retry-after", "429", "shared by the host")
def test_a_pause_that_one_file_was_told_of_holds_for_all_of_the_host(shop: Shop) -> None:
    models = shop.offer(*[KIB] * 12)
    shop.locked(*models)
    busy = Answer(429, (("Retry-After", "1"),))
    shop.served.faults.add(Fault(does=busy, origin="storage", times=1))
    ended = sync(shop, "--jobs", "2")
    assert ended.done == {"fetched": 12}
    told = [event["event"] for event in ended.ran.events]
    (paused,) = ended.events("paused")
    assert paused["seconds"] >= 1
    # Whoever is at it just then may end; nobody else begins, so that the one that was told
    # does not come last.
    after = told[told.index("paused") :]
    (waiting,) = [event["path"] for event in ended.events("retrying")]
    order = [event["path"] for event in ended.events("done")]
    assert order.index(waiting) <= 8
    assert after.count("done") >= 9
