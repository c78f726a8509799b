"""Each way in which the loopback registry refuses a download, seen through the Civitai source."""

from collections.abc import Callable

import anyio
import pytest

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError
from civsync.core.events import Event
from civsync.core.lock import LockedFile
from civsync.core.names import SafePath
from civsync.core.secrets import Token
from civsync.core.wire import SignedUrl
from civsync.demo.faults import Answer, Fault
from civsync.demo.registry import File, Model, PaidAccess, Registry, Version
from civsync.demo.served import Served, serve
from civsync.sources.civitai import CivitaiSource
from civsync.wire.transport import HttpTransport
from support.fake_clock import FakeClock

KEY = "0123456789abcdef"
DEADLINE = "2099-01-01T00:00:00.000Z"
HTML = (("Content-Type", "text/html"),)


def _locked(model: Model, version: Version, file: File) -> LockedFile:
    return LockedFile(
        path=SafePath("loras/x.safetensors"),
        size=file.body.size,
        sha256=file.sha256.lower(),
        model_id=model.id,
        version_id=version.id,
        file_id=file.id,
        name=file.name,
        type=file.type,
    )


def _locate(served: Served, file: LockedFile, token: Token | None) -> SignedUrl:
    async def go() -> SignedUrl:
        transport = HttpTransport()
        source = CivitaiSource(
            transport, FakeClock(), api_url=served.api_url, token=token, report=_ignore
        )
        try:
            return await source.locate(file)
        finally:
            await transport.aclose()

    return anyio.run(go)


def _ignore(event: Event) -> None:
    """Nobody listens."""


def _fault(status: int) -> Callable[[Registry, Model, Version, File], None]:
    def add(registry: Registry, model: Model, version: Version, file: File) -> None:
        does = Answer(status, HTML, b"<html>no</html>")
        registry.faults.add(Fault(origin="api", path="/api/download/", does=does))

    return add


def _block_address(registry: Registry, *rest: object) -> None:
    registry.address_blocked = True


def _use_up_quota(registry: Registry, *rest: object) -> None:
    registry.download_quota = 0


def _real_person(registry: Registry, model: Model, *rest: object) -> None:
    model.poi = True


def _archive(registry: Registry, model: Model, *rest: object) -> None:
    model.mode = "Archived"


def _delete(registry: Registry, model: Model, *rest: object) -> None:
    del registry.models[model.id]


def _unpublish(registry: Registry, model: Model, version: Version, file: File) -> None:
    version.status = "Unpublished"


def _generation_only(registry: Registry, model: Model, version: Version, file: File) -> None:
    version.usage_control = "Generation"


def _want_login(registry: Registry, *rest: object) -> None:
    registry.downloads_need_login = True


def _gate(registry: Registry, model: Model, version: Version, file: File) -> None:
    version.paid_access = PaidAccess(ends_at=DEADLINE)


def _hide_file(registry: Registry, model: Model, version: Version, file: File) -> None:
    version.add_file("other.safetensors")
    file.visibility = "Private"


def _lose_file(registry: Registry, model: Model, version: Version, file: File) -> None:
    file.lookup_failures = 1


@pytest.mark.fault("4.2/upstream", "deleted", "hidden", "early access")
@pytest.mark.parametrize(
    ("spoil", "code", "token"),
    [
        pytest.param(_block_address, Code.ACCESS_DENIED, Token(KEY), id="address blocked"),
        pytest.param(_use_up_quota, Code.QUOTA, Token(KEY), id="quota"),
        pytest.param(_archive, Code.ARCHIVED, None, id="archived"),
        pytest.param(_delete, Code.GONE, None, id="deleted"),
        pytest.param(_unpublish, Code.GONE, None, id="unpublished"),
        pytest.param(_hide_file, Code.GONE, None, id="file hidden"),
        pytest.param(_generation_only, Code.DOWNLOADS_DISABLED, Token(KEY), id="disabled"),
        pytest.param(_want_login, Code.LOGIN_NEEDED, None, id="login needed"),
        pytest.param(_want_login, Code.LOGIN_NEEDED, Token("unknown"), id="token unknown"),
        pytest.param(_gate, Code.EARLY_ACCESS, Token(KEY), id="early access"),
        pytest.param(_lose_file, Code.STORAGE_MISSING, None, id="storage look-up failed"),
        pytest.param(_fault(403), Code.EDGE_REFUSED, Token(KEY), id="edge refuses"),
        pytest.param(_fault(429), Code.RATE_LIMITED, None, id="edge limits"),
        pytest.param(_fault(503), Code.SERVER_ERROR, None, id="outage"),
        pytest.param(_fault(200), Code.LOGIN_NEEDED, None, id="login page"),
        pytest.param(_fault(200), Code.NOT_JSON, Token(KEY), id="page in spite of a token"),
    ],
)
def test_each_refusal_has_its_code(
    spoil: Callable[[Registry, Model, Version, File], None], code: Code, token: Token | None
) -> None:
    registry = Registry(tokens={KEY})
    model = registry.add_model("M")
    version = model.add_version()
    file = version.add_file()
    spoil(registry, model, version, file)
    with serve(registry) as served:
        with pytest.raises(CivsyncError) as caught:
            _locate(served, _locked(model, version, file), token)
        assert caught.value.code is code
        assert served.count(origin="storage") == 0


def test_a_model_of_a_real_person_is_not_served_though_its_version_stays_listed() -> None:
    registry = Registry()
    model = registry.add_model("M")
    version = model.add_version()
    file = version.add_file()
    _real_person(registry, model)
    with serve(registry) as served, pytest.raises(CivsyncError) as caught:
        _locate(served, _locked(model, version, file), None)
    assert caught.value.code is Code.GONE


def test_a_linked_vae_without_a_known_owner_is_found() -> None:
    registry = Registry()
    vae_version = registry.add_model("V", type="VAE").add_version()
    vae = vae_version.add_file("sd.safetensors", type="VAE")
    model = registry.add_model("M")
    host = model.add_version(vae_id=vae_version.id)
    host.add_file()
    with serve(registry) as served:
        found = _locate(served, _locked(model, host, vae), None)
        assert found.url.startswith(served.storage_url)
        queries = [request.target.partition("?")[2] for request in served.requests]
    assert queries == [f"fileId={vae.id}", "type=VAE"]


@pytest.mark.fault("4.2/credentials", "on redirect")
def test_the_token_reaches_the_api_and_no_other_place() -> None:
    registry = Registry(tokens={KEY}, downloads_need_login=True)
    model = registry.add_model("M")
    version = model.add_version()
    file = version.add_file()
    with serve(registry) as served:
        found = _locate(served, _locked(model, version, file), Token(KEY))
        (request,) = served.requests
    assert request.header("authorization") == f"Bearer {KEY}"
    assert KEY not in request.target
    assert KEY not in found.url
