"""The models of `civsync demo`: small, really valid files in realistic shapes.

    model    type              version  what it shows
    -------  ----------------  -------  -------------------------------------------------
    1204385  Checkpoint        1612004  index 0, the creator's current one; links VAE 1337020
                               1688217  a beta with a higher id and a newer date
                               1401876  the oldest
    843127   Checkpoint        1530921  full/pruned x fp16/fp32, and a VAE file of its own
    1133590  LORA              1276310  one file and its Training Data
                               1198002  the version before
    967204   LoCon             1083377  one file
    621540   TextualInversion  694870   safetensors
                               651122   the same as a pickle
    1387615  UNet              1566403  GGUF in Q8_0 and Q4_K_M
    918830   Checkpoint        1028544  two files of one name, full and pruned
    744091   Controlnet        832160   Model and Config
    1190462  VAE               1337020  one file
    588213   Upscaler          657380   a pickle (.pth)
    402977   LORA              449015   Archived
    1423008  LORA              1608733  early access until 2099
                               1544219  the free version before
    1302271  LORA              1469950  only for those who are logged in
    355418   TextualInversion  391204   a pickle under an unsafe name, `<paper-lantern>.pt`
    1279844  Workflows         1443500  a ComfyUI workflow (JSON)

The id of a file is 300,000 more than its version's id, plus its place.
"""

from civsync.demo.artifacts import (
    archive,
    gguf,
    json_workflow,
    plain_pickle,
    safetensors,
    yaml_config,
)
from civsync.demo.registry import Model, PaidAccess, Registry, Version

DEMO_TOKEN = "demo-token"  # noqa: S105  (the demo's own, good for nothing else)
"""The token that the demo registry accepts."""

KIB = 1024
_FILE_IDS_FROM = 300_000


def demo_registry() -> Registry:
    """Make the world in the table above: 15 models, 20 versions, about 10 MB of files."""
    registry = Registry(tokens={DEMO_TOKEN})
    _checkpoints(registry)
    _additions(registry)
    _parts(registry)
    _guarded(registry)
    return registry


def _version(model: Model, number: int, name: str, date: str, **facts: object) -> Version:
    published = f"{date}T09:30:00.000Z"
    return model.add_version(
        name, at=None, id=number, published_at=published, created_at=published, **facts
    )


def _file(version: Version, name: str, body: bytes, **facts: object) -> None:
    number = version.id + _FILE_IDS_FROM + len(version.files)
    version.add_file(name, body, id=number, **facts)


def _weights(version: Version, name: str, kib: int, **facts: object) -> None:
    """Add a safetensors file whose content depends on its version, name and place."""
    seed = f"{version.id}/{len(version.files)}/{name}"
    _file(version, name, safetensors(seed, kib * KIB), **facts)


def _checkpoints(registry: Registry) -> None:
    lantern = registry.add_model(
        "Lantern Mix",
        id=1204385,
        type="Checkpoint",
        tags=["photorealistic", "base model"],
        checkpoint_type="Merge",
        downloads=48210,
        thumbs_up=5120,
    )
    facts = {"base_model": "SDXL 1.0"}
    current = _version(lantern, 1612004, "v3.0", "2025-04-02", vae_id=1337020, **facts)
    _weights(current, "lanternMix_v30.safetensors", 1536, size="pruned", fp="fp16")
    beta = _version(lantern, 1688217, "v4.0 beta", "2025-06-10", **facts)
    _weights(beta, "lanternMix_v40Beta.safetensors", 1280, size="pruned", fp="fp16")
    oldest = _version(lantern, 1401876, "v2.0", "2025-01-17", **facts)
    _weights(oldest, "lanternMix_v20.safetensors", 1024, size="full", fp="fp16")

    harbor = registry.add_model(
        "Harbor Photo",
        id=843127,
        type="Checkpoint",
        tags=["photography"],
        checkpoint_type="Trained",
        allow_commercial_use=["Image"],
        downloads=30155,
        thumbs_up=2904,
    )
    fifth = _version(harbor, 1530921, "V5", "2025-03-08")
    name = "harborPhoto_v5.safetensors"
    _weights(fifth, name, 640, size="full", fp="fp32")
    _weights(fifth, name, 512, size="full", fp="fp16")
    _weights(fifth, name, 512, type="Pruned Model", size="pruned", fp="fp32")
    _weights(fifth, name, 320, type="Pruned Model", size="pruned", fp="fp16")
    _weights(fifth, "harbor-vae-ft.safetensors", 160, type="VAE", size="full", fp="fp16")

    twin = registry.add_model(
        "Twin Pines", id=918830, type="Checkpoint", tags=["landscape"], downloads=870
    )
    first = _version(twin, 1028544, "v1.0", "2024-11-05")
    _weights(first, "twinPines_v10.safetensors", 480, size="full", fp="fp16")
    _weights(first, "twinPines_v10.safetensors", 240, size="pruned", fp="fp16")


def _additions(registry: Registry) -> None:
    theatre = registry.add_model(
        "Paper Theatre Style",
        id=1133590,
        tags=["style", "paper"],
        downloads=12044,
        thumbs_up=1630,
    )
    facts = {"base_model": "SDXL 1.0", "trained_words": ["paper theatre"]}
    second = _version(theatre, 1276310, "v2.0", "2025-02-21", **facts)
    _weights(second, "paper_theatre_v2.safetensors", 384)
    _file(
        second,
        "paperTheatreStyle_v20_trainingData.zip",
        archive("paper theatre", 192 * KIB),
        type="Training Data",
    )
    first = _version(theatre, 1198002, "v1.0", "2024-12-30", **facts)
    _weights(first, "paper_theatre.safetensors", 256)

    wash = registry.add_model(
        "Ink Wash Garden", id=967204, type="LoCon", tags=["style", "ink"], downloads=3310
    )
    _weights(
        _version(wash, 1083377, "v1.0", "2024-12-01", trained_words=["ink wash"]),
        "inkwash_garden.safetensors",
        288,
    )

    hands = registry.add_model(
        "clean-hands", id=621540, type="TextualInversion", tags=["tool"], downloads=22750
    )
    words = {"trained_words": ["clean-hands"]}
    _weights(_version(hands, 694870, "v2", "2024-05-14", **words), "clean-hands.safetensors", 24)
    _file(
        _version(hands, 651122, "v1 (pt)", "2024-04-02", **words),
        "clean-hands.pt",
        plain_pickle("clean-hands", 24 * KIB),
        type="Negative",
    )

    lantern = registry.add_model(
        "Paper Lantern (embedding)",
        id=355418,
        type="TextualInversion",
        tags=["object"],
        downloads=640,
    )
    _file(
        _version(lantern, 391204, "v1", "2024-03-03", trained_words=["<paper-lantern>"]),
        "<paper-lantern>.pt",
        plain_pickle("paper lantern", 20 * KIB),
    )


def _parts(registry: Registry) -> None:
    tern = registry.add_model("Tern Flow GGUF", id=1387615, type="UNet", downloads=5490)
    only = _version(tern, 1566403, "v1.0", "2025-03-20", base_model="Flux.1 D")
    for quant, kib in (("Q8_0", 1024), ("Q4_K_M", 576)):
        name, body = f"ternFlow_v10_{quant}.gguf", gguf(f"tern {quant}", kib * KIB, quant=quant)
        _file(only, name, body, type="Diffusion Model", quant=quant)

    edges = registry.add_model("Edge Sketch ControlNet", id=744091, type="Controlnet")
    first = _version(edges, 832160, "v1.0", "2024-08-19")
    _weights(first, "edgeSketchControlnet_v10.safetensors", 448, fp="fp16")
    _file(first, "edgeSketchControlnet_v10.yaml", yaml_config("edges", 20 * KIB), type="Config")

    water = registry.add_model("Clear Water VAE", id=1190462, type="VAE", downloads=9020)
    _weights(
        _version(water, 1337020, "v1.0", "2025-01-04", base_model="SDXL 1.0"),
        "clear_water_vae.safetensors",
        320,
        fp="fp16",
    )

    gravel = registry.add_model("4x Gravel", id=588213, type="Upscaler", downloads=7777)
    _file(
        _version(gravel, 657380, "v1.0", "2024-04-11", base_model="Upscaler"),
        "4xGravel_v10.pth",
        plain_pickle("gravel", 128 * KIB),
    )

    desk = registry.add_model("Desk Workflow", id=1279844, type="Workflows", downloads=410)
    _file(
        _version(desk, 1443500, "v1.0", "2025-02-28", base_model="SDXL 1.0"),
        "deskWorkflow_v10.json",
        json_workflow("desk", 20 * KIB),
        type="Workflow",
    )


def _guarded(registry: Registry) -> None:
    mill = registry.add_model("Old Mill", id=402977, mode="Archived", downloads=1520)
    _weights(_version(mill, 449015, "v1.0", "2024-02-09"), "old_mill.safetensors", 96)

    kites = registry.add_model(
        "Paper Kites",
        id=1423008,
        tags=["style"],
        downloads=990,
        allow_commercial_use=[],
        allow_derivatives=False,
    )
    gate = PaidAccess(ends_at="2099-01-01T00:00:00.000Z")
    early = _version(kites, 1608733, "v2.0 early", "2025-05-30", paid_access=gate)
    _weights(early, "paper_kites_v2.safetensors", 160)
    _weights(_version(kites, 1544219, "v1.0", "2025-03-11"), "paper_kites.safetensors", 128)

    glass = registry.add_model("Stained Glass", id=1302271, tags=["style", "glass"], downloads=2650)
    members = _version(glass, 1469950, "v1.0", "2025-02-02", require_auth=True)
    _weights(members, "stained_glass.safetensors", 144)
