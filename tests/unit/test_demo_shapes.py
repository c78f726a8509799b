"""The loopback registry's JSON has the keys of recorded answers, and sees what Civitai sees."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from civsync.demo.registry import Model, PaidAccess, Registry, Version
from civsync.demo.served import Served, serve
from support.loopback import ask

RECORDED = Path(__file__).parents[1] / "data" / "civitai"
OLD_STATS = {"favoriteCount", "ratingCount", "rating"}
SINCE_RECORDED = {"flags", "paidAccess", "vaeId", "licensingFee"}
NO_LONGER_SENT = {"earlyAccessEndsAt", "earlyAccessConfig"}


@pytest.fixture
def registry() -> Registry:
    return Registry(tokens={"good"})


@pytest.fixture
def served(registry: Registry) -> Iterator[Served]:
    with serve(registry) as running:
        yield running


def recorded(name: str) -> Any:  # noqa: ANN401  (whatever was recorded)
    return json.loads((RECORDED / name).read_text(encoding="utf-8"))


def plain(registry: Registry) -> tuple[Model, Version]:
    model = registry.add_model("Plain", tags=["style"])
    version = model.add_version(trained_words=["word"], description="<p>first</p>")
    version.add_file("plain.safetensors")
    return model, version


def test_a_single_model_has_the_keys_of_the_recorded_one(served: Served) -> None:
    model, _ = plain(served.registry)
    ours = ask(f"{served.api_url}/api/v1/models/{model.id}").json
    theirs = recorded("model-1231067.by-id.2025.json")
    assert set(ours) == set(theirs)
    assert set(theirs["stats"]) - set(ours["stats"]) == OLD_STATS
    version, expected = ours["modelVersions"][0], theirs["modelVersions"][0]
    assert set(version) - set(expected) - SINCE_RECORDED == {"description"}
    assert set(expected) - set(version) == set()
    assert set(version["files"][0]) == set(expected["files"][0]) - {"virusScanMessage"}
    assert version["files"][0]["metadata"] == expected["files"][0]["metadata"]


def test_a_listed_model_has_the_keys_of_the_recorded_list(served: Served) -> None:
    model, _ = plain(served.registry)
    ours = ask(f"{served.api_url}/api/v1/models?ids={model.id}&page=1").json
    theirs = recorded("models-list-11821.2025-05.json")
    assert ours["metadata"] == theirs["metadata"]
    assert set(ours["items"][0]) == set(theirs["items"][0]) | {"sfwOnly"}
    version = ours["items"][0]["modelVersions"][0]
    expected = theirs["items"][0]["modelVersions"][0]
    assert set(version) - SINCE_RECORDED == set(expected)
    assert set(version["files"][0]) == set(expected["files"][0])
    assert set(version["images"][0]) >= set(expected["images"][0])


def test_a_single_version_has_the_keys_of_the_recorded_one(served: Served) -> None:
    _, version = plain(served.registry)
    ours = ask(f"{served.api_url}/api/v1/model-versions/{version.id}").json
    theirs = recorded("version-1805971.by-id.2025.json")
    assert set(ours) - SINCE_RECORDED == set(theirs) - NO_LONGER_SENT
    assert set(ours["files"][0]) == set(theirs["files"][0])
    assert ours["model"].keys() == theirs["model"].keys()
    assert ours["stats"].keys() == theirs["stats"].keys()
    assert ours["files"][0]["scannedAt"] == "2025-01-02T03:04:05.06"
    assert ours["air"] == f"urn:air:sd1:lora:civitai:{ours['modelId']}@{version.id}"


def test_nulls_and_empty_lists_are_dropped_only_by_the_single_model(served: Served) -> None:
    model = served.registry.add_model()
    model.add_version().add_file(size=None)
    single = ask(f"{served.api_url}/api/v1/models/{model.id}").json["modelVersions"][0]
    listed = ask(f"{served.api_url}/api/v1/models").json["items"][0]["modelVersions"][0]
    assert "trainedWords" not in single
    assert single["files"][0]["metadata"] == {"format": "SafeTensor"}
    assert listed["trainedWords"] == []
    assert listed["files"][0]["metadata"]["size"] is None


def test_a_file_that_was_not_scanned_has_an_empty_map_of_hashes(served: Served) -> None:
    model, version = plain(served.registry)
    version.files[0].hashes = {}
    version.files[0].scanned_at = None
    file = ask(f"{served.api_url}/api/v1/models/{model.id}").json["modelVersions"][0]["files"][0]
    assert file["hashes"] == {}
    assert "scannedAt" not in file


def test_download_urls_are_pinned_on_single_answers_and_ambiguous_in_lists(
    served: Served,
) -> None:
    model, version = plain(served.registry)
    version.add_file("plain.safetensors", fp="fp16", size="full")
    route = f"{served.api_url}/api/download/models/{version.id}"
    single = ask(f"{served.api_url}/api/v1/models/{model.id}").json["modelVersions"][0]
    listed = ask(f"{served.api_url}/api/v1/models").json["items"][0]["modelVersions"][0]
    assert [file["downloadUrl"] for file in single["files"]] == [
        f"{route}?fileId={file.id}" for file in version.files
    ]
    assert [file["downloadUrl"] for file in listed["files"]] == [
        f"{route}?type=Model&format=SafeTensor",
        route,
    ]
    assert single["downloadUrl"] == listed["downloadUrl"] == route
    assert [file.get("primary") for file in listed["files"]] == [None, True]


def test_the_primary_file_may_be_a_private_one_that_is_not_listed(served: Served) -> None:
    model, version = plain(served.registry)
    version.add_file("best.safetensors", size="pruned", fp="fp16", visibility="Private")
    version.add_file("words.zip", type="Training Data")
    files = ask(f"{served.api_url}/api/v1/models/{model.id}").json["modelVersions"][0]["files"]
    assert [file["name"] for file in files] == ["plain.safetensors", "words.zip"]
    assert not any("primary" in file for file in files)


def test_an_override_name_gives_the_same_file_two_names(served: Served) -> None:
    model, version = plain(served.registry)
    file = version.files[0]
    file.override_name = "chosen.safetensors"
    base = f"{served.api_url}/api/v1"
    names = [
        ask(f"{base}/models/{model.id}").json["modelVersions"][0]["files"][0]["name"],
        ask(f"{base}/model-versions/by-hash/{file.sha256.lower()}").json["files"][0]["name"],
        ask(f"{base}/model-versions/{version.id}").json["files"][0]["name"],
    ]
    assert names == ["chosen.safetensors", "chosen.safetensors", "plain.safetensors"]


def test_a_linked_vae_is_listed_under_its_own_id_and_an_unpinned_url(served: Served) -> None:
    model, version = plain(served.registry)
    water = served.registry.add_model(type="VAE").add_version()
    vae = water.add_file("water.safetensors")
    version.vae_id = water.id
    listed = ask(f"{served.api_url}/api/v1/models?ids={model.id}").json["items"][0]
    single = ask(f"{served.api_url}/api/v1/model-versions/{version.id}").json
    assert listed["modelVersions"][0]["vaeId"] == version.vae_id
    file = single["files"][1]
    assert (file["id"], file["type"], file["primary"]) == (vae.id, "VAE", False)
    route = f"{served.api_url}/api/download/models/{version.id}"
    assert file["downloadUrl"] == f"{route}?type=VAE&format=SafeTensor"
    assert ask(f"{route}?fileId={vae.id}").status == 404
    assert ask(file["downloadUrl"]).status == 307


def test_an_archived_model_shows_versions_without_files_or_urls(served: Served) -> None:
    model, version = plain(served.registry)
    model.mode = "Archived"
    single = ask(f"{served.api_url}/api/v1/models/{model.id}").json["modelVersions"][0]
    alone = ask(f"{served.api_url}/api/v1/model-versions/{version.id}").json
    assert not {"files", "downloadUrl"} & set(single)
    assert alone["files"] == []
    assert alone["model"]["mode"] == "Archived"
    assert "downloadUrl" not in alone


def test_a_model_that_was_taken_down_keeps_its_files_and_loses_its_images(
    served: Served,
) -> None:
    model, version = plain(served.registry)
    model.mode = "TakenDown"
    alone = ask(f"{served.api_url}/api/v1/model-versions/{version.id}").json
    assert alone["images"] == []
    assert len(alone["files"]) == 1


def test_paid_access_is_shown_only_while_the_gate_is_shut(served: Served) -> None:
    _, version = plain(served.registry)
    version.paid_access = PaidAccess(ends_at="2030-01-01T00:00:00.000Z")
    url = f"{served.api_url}/api/v1/model-versions/{version.id}"
    served.registry.clock = lambda: 0.0
    assert ask(url).json["paidAccess"] == {
        "permanent": False,
        "endsAt": "2030-01-01T00:00:00.000Z",
    }
    served.registry.clock = lambda: 4e9
    assert ask(url).json["paidAccess"] is None


def drafted(model: Model) -> None:
    model.status = "Unpublished"


def drafted_version(model: Model) -> None:
    model.versions[0].status = "Draft"


def private(model: Model) -> None:
    model.availability = "Private"


def mature(model: Model) -> None:
    model.nsfw_level = 16


def unrated(model: Model) -> None:
    model.nsfw_level = 0


def forbidden_by_license(model: Model) -> None:
    model.versions[0].base_model, model.versions[0].nsfw_level = "SDXL Turbo", 16


def unsearchable_version(model: Model) -> None:
    model.versions[0].availability = "Unsearchable"


def archived(model: Model) -> None:
    model.mode = "Archived"


def real_person(model: Model) -> None:
    model.poi = True


def emptied(model: Model) -> None:
    model.versions[0].files.clear()


def hidden_file(model: Model) -> None:
    model.versions[0].files[0].visibility = "Private"


def hidden(model: Model) -> None:
    model.hidden_from_batches = True


def as_it_was(model: Model) -> None:
    pass


# What is asked for each row: a listing without and with nsfw and archived, `ids=`,
# `modelVersionIds=`, the model alone (each: V version seen, M only the model, - neither),
# and the status of the version alone and of by-hash.
VISIBILITY: list[tuple[Callable[[Model], None], str, int, int]] = [
    (as_it_was, "VVVVV", 200, 200),
    (drafted, "-----", 200, 404),
    (drafted_version, "MMM-M", 404, 404),
    (private, "-----", 200, 200),
    (mature, "-VVVV", 200, 200),
    (unrated, "-----", 404, 200),
    (forbidden_by_license, "MMM-M", 200, 200),
    (unsearchable_version, "MMV-V", 200, 200),
    (archived, "-VVVV", 200, 200),
    (real_person, "-----", 200, 200),
    (emptied, "MMM-M", 404, 404),
    (hidden_file, "MMM-M", 404, 404),
    (hidden, "----V", 200, 200),
]


@pytest.mark.parametrize(
    ("change", "seen", "version_status", "hash_status"),
    VISIBILITY,
    ids=[row[0].__name__ for row in VISIBILITY],
)
def test_each_endpoint_hides_what_it_hides(
    served: Served,
    change: Callable[[Model], None],
    seen: str,
    version_status: int,
    hash_status: int,
) -> None:
    model, version = plain(served.registry)
    sha256 = version.files[0].sha256
    change(model)
    base = f"{served.api_url}/api/v1"
    every = "nsfw=true&archived=true"
    answers = [
        ask(f"{base}/models").json["items"],
        ask(f"{base}/models?{every}").json["items"],
        ask(f"{base}/models?{every}&ids={model.id}").json["items"],
        ask(f"{base}/models?{every}&modelVersionIds={version.id}").json["items"],
    ]
    alone = ask(f"{base}/models/{model.id}")
    answers.append([alone.json] if alone.status == 200 else [])
    letters = ["-" if not found else "V" if found[0]["modelVersions"] else "M" for found in answers]
    assert "".join(letters) == seen
    assert ask(f"{base}/model-versions/{version.id}").status == version_status
    assert ask(f"{base}/model-versions/by-hash/{sha256}").status == hash_status


@pytest.mark.parametrize("size", [30_000, 250_000])
def test_padding_makes_an_answer_about_as_large_as_asked(served: Served, size: int) -> None:
    model, _ = plain(served.registry)
    served.registry.pad_bytes_per_model = size
    got = ask(f"{served.api_url}/api/v1/models?ids={model.id}")
    assert size * 0.8 < len(got.body) < size * 1.3
