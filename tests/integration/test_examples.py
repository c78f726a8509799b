"""The examples do what their comments say, on a registry with the recorded models in them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from civsync.demo.registry import Registry
from civsync.demo.served import Served, serve
from civsync.documents.manifest import read_manifest
from support.cli import Project
from support.recorded_registry import add_files, recorded_registry

pytestmark = pytest.mark.slow  # whole processes, one after another

EXAMPLES = Path(__file__).parents[2] / "examples" / "manifests"

TREES = {
    "comfyui-workstation.yaml": {
        "models/checkpoints/dreamshaper_7.safetensors",
        "models/checkpoints/realisticVisionV30_v30Novae.safetensors",
        "models/checkpoints/sdXL_v10VAEFix.safetensors",
        "models/controlnet/controlnet11Models_canny.safetensors",
        "models/controlnet/controlnet11Models_canny.yaml",
        "models/controlnet/controlnet11Models_openpose.safetensors",
        "models/controlnet/controlnet11Models_openpose.yaml",
        "models/embeddings/easynegative.safetensors",
        "models/loras/SD 1.5/add_detail.safetensors",
        "models/vae/vae-ft-mse-840000-ema-pruned.safetensors",
    },
    "a1111-folder.yaml": {
        "embeddings/easynegative.safetensors",
        "models/ControlNet/controlnet11Models_depth.safetensors",
        "models/ControlNet/controlnet11Models_depth.yaml",
        "models/Lora/add_detail.safetensors",
        "models/Stable-diffusion/dreamshaper_7.safetensors",
        "models/Stable-diffusion/photo/realistic-vision.safetensors",
    },
    "ci-job/civsync.yaml": {
        "models/add_detail.safetensors",
        "models/dreamshaper_7.safetensors",
        "models/easynegative.safetensors",
    },
    "gpu-provisioning/civsync.yaml": {
        "models/checkpoints/dreamshaper_7.safetensors",
        "models/checkpoints/sdXL_v10VAEFix.safetensors",
        "models/controlnet/controlnet11Models_depth.safetensors",
        "models/controlnet/controlnet11Models_depth.yaml",
        "models/loras/add_detail.safetensors",
    },
    "three-programs.yaml": {
        *(
            "ComfyUI/models/checkpoints/dreamshaper_7.safetensors",
            "ComfyUI/models/embeddings/easynegative.safetensors",
            "ComfyUI/models/loras/SD 1.5/add_detail.safetensors",
        ),
        *(
            "stable-diffusion-webui-forge/embeddings/easynegative.safetensors",
            "stable-diffusion-webui-forge/models/Lora/add_detail.safetensors",
            "stable-diffusion-webui-forge/models/Stable-diffusion/dreamshaper_7.safetensors",
        ),
        *(
            "invokeai-import/embedding/easynegative.safetensors",
            "invokeai-import/lora/add_detail.safetensors",
            "invokeai-import/main/dreamshaper_7.safetensors",
        ),
    },
    "team/civsync.yaml": {
        "models/checkpoints/Lykon/dreamshaper_7.safetensors",
        "models/checkpoints/realisticVisionV51_v51VAE.safetensors",
        "models/controlnet/controlnet11Models_canny.safetensors",
        "models/controlnet/controlnet11Models_canny.yaml",
        "models/embeddings/easynegative.safetensors",
        "models/loras/detail/add_detail.safetensors",
    },
}
"""Example -> what a sync makes of it, below the folder of the manifest."""

INCLUDED = {"team/civsync.yaml": ("shared/base.yaml",)}
"""Example -> the manifests that it includes, by their paths from its folder."""


def registry() -> Registry:
    """Return a registry with every model that an example names."""
    made = recorded_registry("model-4384", "model-4201", "model-58390", "model-7808", "model-38784")
    label = {"format": "SafeTensor", "fp": "fp16", "size": "pruned"}
    fifth = made.models[4201].add_version(
        "V5.1 (VAE)", at=0, id=130072, base_model="SD 1.5", published_at="2023-07-31T12:00:00.000Z"
    )
    name = "realisticVisionV51_v51VAE.safetensors"
    record = {"id": 94641, "name": name, "type": "Model"}
    add_files(
        fifth,
        [
            {**record, "metadata": label},
            {**record, "id": 94653, "metadata": {**label, "size": "full"}},
        ],
    )
    sdxl = made.add_model("SD XL", id=101055, type="Checkpoint", creator="civitai-staff")
    fixed = sdxl.add_version("v1.0 VAE fix", id=128078, base_model="SDXL 1.0")
    name = "sdXL_v10VAEFix.safetensors"
    add_files(fixed, [{"id": 92696, "name": name, "type": "Model", "metadata": label}])
    return made


@pytest.fixture
def served() -> Iterator[Served]:
    """Serve the recorded models."""
    with serve(registry()) as served:
        yield served


@pytest.fixture
def project(tmp_path: Path, served: Served) -> Project:
    """Return an empty project against the served models."""
    return Project(tmp_path / "project", served.api_url)


def tree(folder: Path) -> set[str]:
    """Return the models below a folder, without what civsync keeps for itself."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    private = {".civsync", ".home"}
    documents = {"civsync.yaml", "civsync.lock", "models.sh", "provision.sh", "shared/base.yaml"}
    return {
        path.as_posix()
        for path in paths
        if private.isdisjoint(path.parts) and path.as_posix() not in documents
    }


def run_script(
    project: Project, script: str, env: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run a script of an example with this interpreter's civsync on the PATH."""
    bin_folder = project.folder / ".home" / "bin"
    bin_folder.mkdir(parents=True, exist_ok=True)
    shim = bin_folder / "civsync"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m civsync "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", str(project.folder / script)],
        env={**project.environment, "PATH": path, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_example_has_a_test() -> None:
    found = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.yaml")}

    included = {f"{Path(name).parent}/{each}" for name in INCLUDED for each in INCLUDED[name]}
    assert found == set(TREES) | included


@pytest.mark.parametrize("name", TREES)
def test_every_example_is_read_without_a_fault(name: str) -> None:
    place = EXAMPLES / name
    read = read_manifest(
        place.read_bytes(), name=name, load=lambda path: (place.parent / path).read_bytes()
    )
    assert (bool(read.entries), read.includes) == (True, INCLUDED.get(name, ()))


@pytest.mark.parametrize("name", TREES)
def test_an_example_locks_syncs_and_is_settled_then(
    project: Project, served: Served, name: str
) -> None:
    shutil.copy(EXAMPLES / name, project.manifest)
    for path in INCLUDED.get(name, ()):
        (project.folder / path).parent.mkdir(exist_ok=True)
        shutil.copy((EXAMPLES / name).parent / path, project.folder / path)

    locked = project.run("lock")
    synced = project.run("sync")
    served.reset_counts()
    settled = project.run("sync", "--check")

    assert (locked.status, locked.err.count("warning")) == (0, 0), locked.err
    assert synced.status == 0, synced.err
    assert tree(project.folder) == TREES[name]
    assert (settled.status, served.requests) == (0, []), settled.out


posix_shell = pytest.mark.skipif(os.name != "posix", reason="the scripts are for a POSIX shell")


@posix_shell
def test_the_ci_job_follows_the_committed_lock_and_refuses_a_stale_one(project: Project) -> None:
    shutil.copytree(EXAMPLES / "ci-job", project.folder, dirs_exist_ok=True)
    project.run("lock")

    fresh = run_script(project, "models.sh", {"CI": "true"})
    cached = run_script(project, "models.sh", {"CI": "true"})
    text = project.manifest.read_text(encoding="utf-8").replace("109123", "110021")
    project.manifest.write_text(text, encoding="utf-8")
    stale = run_script(project, "models.sh", {"CI": "true"})

    assert (fresh.returncode, cached.returncode, stale.returncode) == (0, 0, 3), stale.stderr
    assert "3 files in place, nothing to do" in cached.stderr
    assert tree(project.folder) == TREES["ci-job/civsync.yaml"]


@posix_shell
def test_the_ci_job_does_not_trust_its_cache(project: Project) -> None:
    shutil.copytree(EXAMPLES / "ci-job", project.folder, dirs_exist_ok=True)
    project.run("lock")
    run_script(project, "models.sh", {"CI": "true"})
    spoiled = project.root / "add_detail.safetensors"
    stamp = spoiled.stat()
    data = bytearray(spoiled.read_bytes())
    data[-1] ^= 1
    spoiled.write_bytes(data)
    os.utime(spoiled, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    ran = run_script(project, "models.sh", {"CI": "true"})

    assert ran.returncode == 5, ran.stderr
    assert "add_detail.safetensors" in ran.stdout


@posix_shell
def test_provisioning_brings_the_locked_models_to_the_machines_root(
    project: Project, served: Served, tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLES / "gpu-provisioning", project.folder, dirs_exist_ok=True)
    project.run("lock")
    served.reset_counts()
    root = tmp_path / "workspace" / "models"
    root.parent.mkdir()

    first = run_script(project, "provision.sh", {"MODELS_ROOT": str(root)})
    asked = {request.path.split("/")[2] for request in served.requests if request.origin == "api"}
    served.reset_counts()
    again = run_script(project, "provision.sh", {"MODELS_ROOT": str(root)})

    assert (first.returncode, again.returncode) == (0, 0), first.stderr
    assert asked == {"download"}
    assert served.requests == []
    wanted = TREES["gpu-provisioning/civsync.yaml"]
    assert {f"models/{path}" for path in tree(root)} == wanted


@posix_shell
def test_provisioning_tries_again_only_what_time_can_mend(project: Project) -> None:
    shutil.copytree(EXAMPLES / "gpu-provisioning", project.folder, dirs_exist_ok=True)
    project.run("lock")

    refused = {"MODELS_ROOT": str(project.manifest), "RETRY_SECONDS": "3600"}
    ran = run_script(project, "provision.sh", refused)

    assert ran.returncode == 8, ran.stderr
