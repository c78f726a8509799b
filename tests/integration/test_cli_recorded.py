"""Every recorded answer of Civitai, resolved through the real source or refused as it deserves.

For each version the table says which file the default preferences lead to (weights in
safetensors, fp16 before others, pruned before full, then the lowest id; without any, what
stands for the model), or why there is none.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from civsync.core.codes import Code
from civsync.core.events import Event
from civsync.core.lock import Lock
from civsync.decide.resolve import Resolution, resolve
from civsync.engine.resolving import converse
from civsync.sources.civitai import CivitaiSource
from support.factories import NOW, entry, request
from support.fake_clock import FakeClock
from support.scripted_transport import ScriptedTransport, json_answer

DATA = Path(__file__).parent.parent / "data" / "civitai"
LATEST: Final = "latest"
EMPTY = json_answer({"items": [], "metadata": {}})
NOT_FOUND = json_answer(
    {"error": "Not found"}, 404, headers={"Cache-Control": "no-store, max-age=0"}
)

Outcome = tuple[int, str] | Code

EXPECTED: Final[dict[str, dict[int | str, Outcome]]] = {
    "model-11573.poses.2023-07": {
        LATEST: (12084, "zposeFightingStyles1_1_trainingData.zip"),
        13691: (12084, "zposeFightingStyles1_1_trainingData.zip"),
    },
    "model-12035.takendown.2023-07": {
        LATEST: (12403, "aerith_v1.safetensors"),
        14216: (12403, "aerith_v1.safetensors"),
        14217: (12404, "aerith.safetensors"),
    },
    "model-1231067.by-id.2025": {
        LATEST: (1289799, "pp-storybook_rank2_bf16.safetensors"),
        1387174: (1289799, "pp-storybook_rank2_bf16.safetensors"),
    },
    "model-16048.training-data-primary.2023-07": {
        LATEST: (15891, "DiscoElysiumStyle.safetensors"),
        18989: (15891, "DiscoElysiumStyle.safetensors"),
        18944: (15856, "processed.zip"),
    },
    "model-20865.versamix-archived.2023-07": {
        LATEST: Code.ARCHIVED,
        70932: Code.ARCHIVED,
        52866: Code.ARCHIVED,
        24838: Code.ARCHIVED,
    },
    "model-215485.by-id.2023-12": {
        LATEST: (187907, "sd_xl_turbo_lora_v1.safetensors"),
        242807: (187907, "sd_xl_turbo_lora_v1.safetensors"),
        243508: (188487, "sd_xl_turbo_lora_v1-64dim.safetensors"),
        245733: (190274, "sd_xl_turbo_lora_v1-16dim.safetensors"),
    },
    "model-23.arcane-diffusion.2023-07": {
        LATEST: Code.PICKLE_DENIED,
        25: Code.PICKLE_DENIED,
        24: Code.PICKLE_DENIED,
        23: Code.PICKLE_DENIED,
    },
    "model-2673.unsafe-filename.2023-07": {
        LATEST: Code.PICKLE_DENIED,
        2964: Code.PICKLE_DENIED,
    },
    "model-38784.controlnet-1-1.2023-07": {
        LATEST: (47490, "controlnet11Models_tileE.safetensors"),
        67566: (47490, "controlnet11Models_tileE.safetensors"),
        44736: (35962, "controlnet11Models_depth.safetensors"),
        44811: (33784, "controlnet11Models_openpose.safetensors"),
        44716: (33769, "controlnet11Models_canny.safetensors"),
        44795: (33788, "controlnet11Models_mlsd.safetensors"),
        44787: (33793, "controlnet11Models_scribble.safetensors"),
        44756: (33799, "controlnet11Models_softedge.safetensors"),
        44774: (33801, "controlnet11Models_normal.safetensors"),
        44815: (33806, "controlnet11Models_seg.safetensors"),
        44874: (33811, "controlnet11Models_shuffle.safetensors"),
        44873: (33813, "controlnet11Models_pix2pix.safetensors"),
        44876: (33817, "controlnet11Models_inpaint.safetensors"),
        44877: (33821, "controlnet11Models_lineart.safetensors"),
        44879: (33824, "controlnet11Models_animeline.safetensors"),
    },
    "model-41439.controlnet-sd21.2023-07": {
        LATEST: (34601, "controlnetForSD21_v10.yaml"),
        46355: (34601, "controlnetForSD21_v10.yaml"),
    },
    "model-4201.realistic-vision.2023-07": {
        LATEST: (74299, "realisticVisionV30_v30VAE.safetensors"),
        105674: (74299, "realisticVisionV30_v30VAE.safetensors"),
        105723: (74375, "realisticVisionV30_v30VAE-inpainting.safetensors"),
        106399: (74925, "realisticVisionV30_v30Novae.safetensors"),
        106412: (74938, "realisticVisionV30_v30Novae-inpainting.safetensors"),
        29460: (26639, "realisticVisionV30_v20Novae.safetensors"),
        29461: (26643, "realisticVisionV30_v20Novae-inpainting.safetensors"),
        6987: (13421, "realisticVisionV30_v13.safetensors"),
        7935: (8255, "realisticVisionV30_v13-inpainting.safetensors"),
        5196: (5298, "realisticVisionV30_v12.safetensors"),
    },
    "model-4384.dreamshaper.2023-07": {
        LATEST: (77036, "dreamshaper_7.safetensors"),
        109123: (77036, "dreamshaper_7.safetensors"),
        110021: (77716, "dreamshaper_7-inpainting.safetensors"),
        94081: (65091, "dreamshaper_631BakedVae.safetensors"),
        95087: (65884, "dreamshaper_631Inpainting.safetensors"),
        96894: (67332, "dreamshaper_631Diffusers_trainingData.zip"),
        78164: (55054, "dreamshaper_6BakedVae.safetensors"),
        88504: (66596, "dreamshaper_62BakedVae.safetensors"),
        81594: (55898, "dreamshaper_6Inpainting.safetensors"),
        80261: (58307, "dreamshaper_6NoVae.safetensors"),
        85362: (58291, "dreamshaper_6Diffusers_trainingData.zip"),
        43888: (33259, "dreamshaper_5BakedVae.safetensors"),
        60001: (42536, "dreamshaper_5PrunedNoVaeTrain.safetensors"),
        51767: (37759, "dreamshaper_5-inpainting.safetensors"),
        74772: (51645, "dreamshaper_5BakedVaeDiffusers_trainingData.zip"),
        24365: (20216, "dreamshaper_4BakedVae.safetensors"),
        25555: (21207, "dreamshaper_4-inpainting.safetensors"),
        25067: (20798, "dreamshaper_4BakedVaeFp16.safetensors"),
        24552: (20359, "dreamshaper_4NoVae.safetensors"),
        32371: (26673, "dreamshaper_4NoVaeFp16.safetensors"),
        6202: (6459, "dreamshaper_332BakedVaeClipFix.safetensors"),
        5636: (5843, "dreamshaper_331BakedVae.safetensors"),
        12332: (11232, "dreamshaper_331-inpainting.safetensors"),
        5213: (5337, "dreamshaper_33.safetensors"),
        4990: (5010, "dreamshaper_252SafetensorsFixed.safetensors"),
        4993: (5000, "dreamshaper_252Pruned.safetensors"),
        4950: Code.PICKLE_DENIED,
    },
    "model-5218.unsafe-filename-bin.2023-07": {
        LATEST: Code.PICKLE_DENIED,
        6050: Code.PICKLE_DENIED,
    },
    "model-58390.detail-tweaker.2023-07": {
        LATEST: (44319, "add_detail.safetensors"),
        62833: (44319, "add_detail.safetensors"),
    },
    "model-65283.unscanned-file.2023-07": {
        LATEST: (73802, "lolita_fasion_dress_classic_style2.safetensors"),
        105062: (73802, "lolita_fasion_dress_classic_style2.safetensors"),
        94970: (65786, "lolita_dress_classic_1_v3.safetensors"),
        86185: (58890, "lolitaFashionDress_floral_style3.safetensors"),
        81923: (77168, "lo_dress_gothic_style2_v2.safetensors"),
        75024: Code.NO_HASH,
        72984: (76566, "lo_dress_floral_style2_v2.safetensors"),
        69920: (76564, "lo_dress_floral_style1_v2.safetensors"),
    },
    "model-7808.easynegative.2023-07": {
        LATEST: (8955, "easynegative.safetensors"),
        9208: (8955, "easynegative.safetensors"),
        9536: Code.PICKLE_DENIED,
    },
    "model-7984.by-id.2024-03": {
        LATEST: (9128, "figma.safetensors"),
        9413: (9128, "figma.safetensors"),
    },
    "model-96216.no-versions.2023-07": {
        LATEST: Code.UNLOCKABLE,
    },
    "model-99832.bad-image-v2-archived.2023-07": {
        LATEST: Code.ARCHIVED,
        106848: Code.ARCHIVED,
    },
    "models-list-11821.2025-05": {
        LATEST: (91869, "VSK.safetensors"),
        127062: (91869, "VSK.safetensors"),
        13966: (12247, "VSK.safetensors"),
    },
    "version-1255556.by-id.2025-01": {
        1255556: (1160774, "pp-enchanted-whimsy.safetensors"),
    },
    "version-1387174.by-id.2025-03": {
        1387174: (1289799, "pp-storybook_rank2_bf16.safetensors"),
    },
    "version-1805971.by-id.2025": {
        1805971: (1706678, "hyphoriaIlluNAI_v001.safetensors"),
    },
    "version-242807.by-id.2023-12": {
        242807: (187907, "sd_xl_turbo_lora_v1.safetensors"),
    },
    "version-399893.by-id.2024-03": {
        399893: (322619, "fukawa_miku_pony_ver1.safetensors"),
    },
}

ROWS = [
    pytest.param(name, version, outcome, id=f"{name}@{version}")
    for name, outcomes in EXPECTED.items()
    for version, outcome in outcomes.items()
]


def recorded(name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads((DATA / f"{name}.json").read_bytes())


def model_of(name: str) -> Any:  # noqa: ANN401 - JSON
    """The one model of a recorded answer, or the version that the answer is."""
    value = recorded(name)
    return value["items"][0] if "items" in value else value


def resolved(name: str, version: int | str, *, previous: Lock | None = None) -> Resolution:
    """Resolve against a Civitai that gives this answer where it was recorded, and no other."""
    value, wire = recorded(name), ScriptedTransport()
    wire.on("/api/v1/models?", EMPTY)
    wire.on("/api/v1/models/", NOT_FOUND)
    wire.on("/api/v1/model-versions/", NOT_FOUND)
    if "items" in value:
        wire.on("/api/v1/models?", json_answer(value))
    elif "modelVersions" not in value:
        wire.on(f"/api/v1/model-versions/{value['id']}", json_answer(value))
    elif ".by-id." in name:
        wire.on(f"/api/v1/models/{value['id']}", json_answer(value))
    else:
        wire.on("/api/v1/models?", json_answer({"items": [value], "metadata": {}}))
    whole = "modelVersions" in model_of(name)
    wanted = request(model_of(name)["id"], version) if whole else request(None, version)

    async def ask() -> Resolution:
        source = CivitaiSource(
            wire, FakeClock(), api_url="https://civitai.com", token=None, report=silent
        )
        resolving = resolve([entry(wanted)], previous or Lock(), now=NOW)
        return await converse(resolving, source, silent, entries=1)

    return anyio.run(ask)


def silent(event: Event) -> None:
    """Nobody listens."""


def test_the_table_names_every_recorded_answer_and_every_version_in_it() -> None:
    files = {path.stem for path in DATA.glob("*.json")} - {"enums.2026-03"}
    assert set(EXPECTED) == files
    for name, outcomes in EXPECTED.items():
        model = model_of(name)
        versions = {each["id"] for each in model.get("modelVersions", [model])}
        assert set(outcomes) - {LATEST} == versions


@pytest.mark.parametrize(("name", "version", "expected"), ROWS)
def test_a_recorded_answer_is_resolved_or_refused(
    name: str, version: int | str, expected: Outcome
) -> None:
    resolution = resolved(name, version)
    if isinstance(expected, Code):
        ((_, error),) = resolution.failures
        assert (error.code, resolution.entries) == (expected, ())
        return
    assert resolution.failures == ()
    (locked,) = resolution.entries
    (file,) = locked.files
    assert (file.file_id, file.name) == expected
    (listed,) = (
        each
        for listed_version in model_of(name).get("modelVersions", [model_of(name)])
        for each in listed_version["files"]
        if each["id"] == file.file_id
    )
    assert file.sha256 == listed["hashes"]["SHA256"].lower()
    assert abs(file.size - listed["sizeKB"] * 1024) < 1


def test_two_recordings_of_one_version_lock_the_same_file() -> None:
    (through_model,) = resolved("model-1231067.by-id.2025", LATEST).entries
    (through_version,) = resolved("version-1387174.by-id.2025-03", 1387174).entries
    for one, other in zip(through_model.files, through_version.files, strict=True):
        assert (one.file_id, one.sha256, one.size, one.name) == (
            other.file_id,
            other.sha256,
            other.size,
            other.name,
        )


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.startswith("model")])
def test_the_order_of_files_in_an_answer_decides_nothing(name: str) -> None:
    """The recorded answers list files in every order; sorting them otherwise changes nothing."""
    value = model_of(name)
    for version in value["modelVersions"]:
        version["files"].sort(key=lambda file: hashlib.sha256(str(file["id"]).encode()).digest())
    wire = ScriptedTransport()
    wire.on("/api/v1/models/", NOT_FOUND)
    wire.on("/api/v1/model-versions/", NOT_FOUND)
    wire.on("/api/v1/models?", json_answer({"items": [value], "metadata": {}}))

    async def ask() -> Resolution:
        source = CivitaiSource(
            wire, FakeClock(), api_url="https://civitai.com", token=None, report=silent
        )
        wanted = [entry(request(value["id"], LATEST))]
        return await converse(resolve(wanted, Lock(), now=NOW), source, silent, entries=1)

    expected = resolved(name, LATEST)
    actual = anyio.run(ask)
    assert actual.entries == expected.entries
    assert [error.code for _, error in actual.failures] == [
        error.code for _, error in expected.failures
    ]
