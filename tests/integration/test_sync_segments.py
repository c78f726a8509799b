"""One big file over several connections, through the real command line and real sockets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from civsync.demo.artifacts import safetensors
from civsync.demo.faults import Answer, Cut, ExpireUrls, Fault, IgnoreRange
from civsync.demo.registry import Model
from support.shop import DOWNLOADS, Shop, open_shop

MIB = 1024 * 1024
SIZE = 40 * MIB
RATE = 5.0 * MIB
"""Bytes a second of one connection: the file takes it eight seconds, four of them two."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data() -> bytes:
    return safetensors("big", SIZE)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "project") as shop:
        shop.registry.storage_rate = RATE
        yield shop


@pytest.fixture
def model(shop: Shop, data: bytes) -> Model:
    [model] = shop.offer(bodies={"big.safetensors": data})
    shop.locked(model)
    return model


def asked_where(shop: Shop) -> int:
    return sum(DOWNLOADS in request.target for request in shop.served.requests)


def overlap(shop: Shop) -> int:
    """The most requests that ran at once for one address."""
    return shop.served.peak_parallel


def test_where_each_connection_is_limited_several_share_one_address(
    shop: Shop, model: Model, data: bytes
) -> None:
    synced = shop.sync()
    assert synced.status == 0, synced.ran.err
    assert list(shop.tree.values()) == [data]
    assert asked_where(shop) == 1
    assert 2 <= overlap(shop) <= 4
    assert synced.end["received"] == SIZE
    assert shop.parts() == []


def test_with_one_connection_allowed_there_is_one(shop: Shop, model: Model, data: bytes) -> None:
    shop.registry.storage_rate = None
    synced = shop.sync("--connections", "1")
    assert synced.status == 0, synced.ran.err
    assert list(shop.tree.values()) == [data]
    assert overlap(shop) == 1
    assert shop.ranges == ["bytes=0-"]


def test_a_host_that_refuses_more_than_two_costs_no_byte_and_no_second_address(
    shop: Shop, model: Model, data: bytes
) -> None:
    shop.registry.max_parallel_per_url = 2
    synced = shop.sync()
    assert synced.status == 0, synced.ran.err
    assert list(shop.tree.values()) == [data]
    assert asked_where(shop) == 1
    assert synced.end["received"] == SIZE
    assert synced.events("retrying") == []


def test_a_host_that_forgets_ranges_in_between_still_gives_the_file(
    shop: Shop, model: Model, data: bytes
) -> None:
    # The first request goes without a fault; those of the helpers are answered with all.
    shop.served.faults.add(Fault(does=IgnoreRange(), origin="storage", skip=1, times=2))
    synced = shop.sync()
    assert synced.status == 0, synced.ran.err
    assert list(shop.tree.values()) == [data]
    assert synced.end["received"] < 2 * SIZE


def test_after_an_address_expired_the_next_one_is_shared_as_well(
    shop: Shop, model: Model, data: bytes
) -> None:
    shop.registry.storage_rate = RATE / 2
    shop.served.faults.add(Fault(does=ExpireUrls(), origin="storage", skip=3))
    synced = shop.sync()
    assert synced.status == 0, synced.ran.err
    assert list(shop.tree.values()) == [data]
    asked = [request.target for request in shop.served.requests]
    last = max(place for place, target in enumerate(asked) if DOWNLOADS in target)
    assert last > 0
    assert len(asked) - last > 3
    assert synced.end["received"] == SIZE


def test_a_host_without_ranges_is_not_tried_with_more_connections(
    shop: Shop, model: Model, data: bytes
) -> None:
    shop.served.faults.add(Fault(does=IgnoreRange(), origin="storage", times=None))
    synced = shop.sync()
    assert synced.status == 0, synced.ran.err
    assert list(shop.tree.values()) == [data]
    assert synced.end["received"] == SIZE
    assert shop.ranges == ["bytes=0-"]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(does=Cut(MIB), origin="storage", times=6), id="cut"),
        pytest.param(Fault(does=Cut(MIB, reset=True), origin="storage", skip=1, times=4), id="rst"),
        pytest.param(Fault(does=Answer(503), origin="storage", skip=1, times=2), id="503"),
    ],
)
def test_faults_of_single_connections_cost_little(
    shop: Shop, model: Model, data: bytes, fault: Fault
) -> None:
    shop.served.faults.add(fault)
    synced = shop.sync()
    assert synced.status == 0, synced.ran.err
    assert list(shop.tree.values()) == [data]
    assert synced.end["received"] <= 1.05 * SIZE
