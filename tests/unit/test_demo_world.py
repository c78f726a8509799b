"""The demo's world is what its table says: sizes, ids, traps, and every file to be had."""

import json
import re

from civsync.demo import world
from civsync.demo.registry import File, Model, Version
from civsync.demo.served import serve
from support.loopback import ask

MAGIC = {
    "safetensors": re.compile(rb".{8}\{", re.DOTALL),
    "gguf": re.compile(rb"GGUF\x03"),
    "pt": re.compile(rb"\x80\x02"),
    "pth": re.compile(rb"\x80\x02"),
    "zip": re.compile(rb"PK\x03\x04"),
    "yaml": re.compile(rb"model:"),
    "json": re.compile(rb"\{"),
}


def every() -> list[tuple[Model, Version, File]]:
    return list(world.demo_registry().every_file())


def test_the_world_is_small_and_the_same_every_time() -> None:
    files = every()
    sizes = [file.body.size for _, _, file in files]
    assert all(20 * world.KIB <= size <= 2048 * world.KIB for size in sizes)
    assert 8_000_000 < sum(sizes) < 13_000_000
    assert [f.sha256 for *_, f in files] == [f.sha256 for *_, f in every()]
    assert len({f.sha256 for *_, f in files}) == len({f.id for *_, f in files}) == len(files)


def test_every_id_of_the_table_exists_and_every_thing_is_in_the_table() -> None:
    table = {int(number) for number in re.findall(r"\b\d{6,7}\b", str(world.__doc__))}
    files = every()
    ids = {model.id for model, _, _ in files} | {version.id for _, version, _ in files}
    assert table == ids
    for _, version, _ in files:
        places = range(len(version.files))
        assert [f.id for f in version.files] == [version.id + 300_000 + n for n in places]


def test_every_file_begins_as_its_name_says() -> None:
    for _, _, file in every():
        begin = b"".join(bytes(piece) for piece in file.body.chunks(0, 16))
        assert MAGIC[file.name.rpartition(".")[2]].match(begin), file.name


def test_the_first_version_is_neither_the_newest_nor_the_highest_id() -> None:
    versions = world.demo_registry().models[1204385].versions
    assert versions[0] is not max(versions, key=lambda version: version.id)
    assert versions[0] is not max(versions, key=lambda version: str(version.published_at))


def test_every_version_answers_as_the_table_says() -> None:
    statuses = {}
    with serve(world.demo_registry()) as served:
        for _, version, file in served.registry.every_file():
            url = f"{served.api_url}/api/download/models/{version.id}?fileId={file.id}"
            got = ask(url)
            statuses[version.id] = got.status
            if got.status == 307:
                assert len(ask(got.headers["Location"]).body) == file.body.size
        members = f"{served.api_url}/api/download/models/1469950"
        assert ask(members, authorization=f"Bearer {world.DEMO_TOKEN}").status == 307
    refused = {number: status for number, status in statuses.items() if status != 307}
    assert refused == {449015: 410, 1608733: 403, 1469950: 401}


def test_one_batch_call_gives_all_models() -> None:
    with serve(world.demo_registry()) as served:
        ids = ",".join(map(str, served.registry.models))
        query = f"ids={ids}&limit=100&nsfw=true&archived=true"
        got = ask(f"{served.api_url}/api/v1/models?{query}", accept_encoding="gzip")
        assert {item["id"] for item in got.json["items"]} == set(served.registry.models)
        assert json.dumps(got.json).count(served.api_url) > 0
