"""A registry with the models of recorded answers: real ids, names and labels, small bodies."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from civsync.demo.artifacts import archive, plain_pickle, safetensors, yaml_config
from civsync.demo.registry import Registry, Version

_RECORDS = Path(__file__).parent.parent / "data" / "civitai"
_SIZE = 4096
_BODIES = {
    "safetensors": safetensors,
    "ckpt": plain_pickle,
    "pt": plain_pickle,
    "zip": archive,
    "yaml": yaml_config,
}


def recorded_registry(*stems: str) -> Registry:
    """Return a registry that holds the model of each record; `stems` begin the files' names.

    Names, types, labels, dates and the order of versions are as recorded. Sizes and hashes
    are those of the small bodies that are served in the place of gigabytes.
    """
    registry = Registry()
    for stem in stems:
        (path,) = _RECORDS.glob(f"{stem}.*json")
        record = json.loads(path.read_text(encoding="utf-8"))
        model = registry.add_model(
            record["name"],
            id=record["id"],
            type=record["type"],
            creator=record["creator"]["username"],
            tags=record["tags"],
        )
        for each in record["modelVersions"]:
            version = model.add_version(
                each["name"],
                id=each["id"],
                base_model=each["baseModel"],
                published_at=each["createdAt"],
                created_at=each["createdAt"],
            )
            add_files(version, each["files"])
    return registry


def add_files(version: Version, records: Iterable[dict[str, Any]]) -> None:
    """Add files with the id, name, type and metadata of their records."""
    for record in records:
        metadata = record.get("metadata", {})
        body = _BODIES[record["name"].rpartition(".")[2]]
        version.add_file(
            record["name"],
            body(f"file {record['id']}", _SIZE),
            id=record["id"],
            type=record["type"],
            format=metadata.get("format"),
            size=metadata.get("size"),
            fp=metadata.get("fp"),
        )
