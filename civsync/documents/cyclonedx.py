"""Write a lock as a bill of materials: CycloneDX 1.6, a machine-learning model each file.

The same lock gives the same text: there is no date in it, and its serial number is made of
the lock. What the creator allows is no license that SPDX knows, so it stands as a name.
Source: CycloneDX/specification: schema/bom-1.6.schema.json.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

from civsync.core.lock import Lock, LockedEntry, LockedFile
from civsync.documents.exports import download_url, files_by_path
from civsync.documents.lock import write_lock

PAGES: Final = "https://civitai.com/models"

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def cyclonedx_text(lock: Lock, api_url: str) -> str:
    """Return the bill of materials of `lock`, a newline at the end."""
    tool = {"type": "application", "name": "civsync"}
    head = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{_uuid(write_lock(lock))}",
        "version": 1,
        "metadata": {"tools": {"components": [tool]}},
    }
    groups = _by_reference(files_by_path(lock))
    # Text by text: as one value, the components of a large lock would take half a gigabyte.
    components = ",".join(
        f"\n{_INDENT}{_json(_component(groups[key], api_url), _INDENT)}" for key in sorted(groups)
    )
    end = "\n  ]" if components else "]"
    return f'{_json(head)[:-2]},\n  "components": [{components}{end}\n}}\n'


_INDENT: Final = " " * 4


def _json(value: object, indent: str = "") -> str:
    """Return indented JSON in ASCII that stands `indent` deep; no text in it holds a line break."""
    return json.dumps(value, indent=2).replace("\n", f"\n{indent}")


_Found = tuple[tuple[LockedEntry, ...], LockedFile]


def _by_reference(found: Iterable[_Found]) -> dict[tuple[int, int, int], list[_Found]]:
    """Put together what is one file of Civitai at several paths."""
    groups: dict[tuple[int, int, int], list[_Found]] = {}
    for entries, file in found:
        key = (file.model_id, file.version_id, file.file_id)
        groups.setdefault(key, []).append((entries, file))
    return groups


def _component(group: Sequence[_Found], api_url: str) -> dict[str, object]:
    file = group[0][1]
    page = f"{PAGES}/{file.model_id}?modelVersionId={file.version_id}"
    hashes = _hashes(file)
    download = {"type": "distribution", "url": download_url(file, api_url)}
    body: dict[str, object] = {
        "type": "machine-learning-model",
        "bom-ref": f"civitai:{file.model_id}@{file.version_id}/{file.file_id}",
        "name": file.model or f"model {file.model_id}",
        "version": file.version or str(file.version_id),
        "hashes": hashes,
        "licenses": [{"license": {"name": f"Civitai permissions: {file.license or 'none'}"}}],
        "purl": _purl(file, api_url),
        "externalReferences": [
            {"type": "website", "url": page},
            {**download, "hashes": hashes} if hashes else download,
        ],
        "properties": _properties(group),
    }
    if not hashes:
        del body["hashes"]
    if file.creator:
        body["supplier"] = {"name": file.creator}
    if file.base_model:
        body["modelCard"] = {"modelParameters": {"architectureFamily": file.base_model}}
    return body


def _hashes(file: LockedFile) -> list[dict[str, str]]:
    known = [("SHA-256", file.sha256), ("BLAKE3", (file.blake3 or "").lower())]
    return [{"alg": kind, "content": text} for kind, text in known if _DIGEST.fullmatch(text)]


def _purl(file: LockedFile, api_url: str) -> str:
    """Return a package URL; there is no type for Civitai, so it is a generic one."""
    url = quote(download_url(file, api_url), safe="")
    checksum = f"checksum=sha256:{file.sha256}&" if file.sha256 else ""
    return f"pkg:generic/civitai/{file.model_id}@{file.version_id}?{checksum}download_url={url}"


def _properties(group: Sequence[_Found]) -> list[dict[str, str]]:
    file = group[0][1]
    values = [
        ("civitai:base-model", file.base_model),
        ("civitai:file-id", str(file.file_id)),
        ("civitai:file-name", file.name),
        ("civitai:file-type", file.type),
        ("civitai:format", file.format),
        ("civitai:model-id", str(file.model_id)),
        ("civitai:model-type", file.model_type),
        ("civitai:pickle-scan", file.pickle_scan),
        ("civitai:precision", file.precision),
        ("civitai:published-at", file.published_at),
        ("civitai:quantization", file.quant),
        ("civitai:rating", file.rating),
        ("civitai:version-id", str(file.version_id)),
        ("civitai:virus-scan", file.virus_scan),
        *sorted({("civsync:entry", entry.key) for entries, _ in group for entry in entries}),
        *(("civsync:path", each.path) for _, each in group),
        ("civsync:size", str(file.size)),
    ]
    return [{"name": name, "value": value} for name, value in values if value]


def _uuid(data: bytes) -> str:
    """Return a UUID (RFC 9562, version 8) that belongs to `data`."""
    digits = bytearray(hashlib.sha256(data).digest()[:16])
    digits[6] = digits[6] & 0x0F | 0x80
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
