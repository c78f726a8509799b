"""Write a lock in forms that other programs read: addresses, checksums, comfy-lock.

The same lock gives the same text. No token stands in any of them; what is not known of a
file is left out, never made up. Sources: GNU coreutils, md5sum invocation; Comfy-Org/
comfy-cli: README.md, "format of comfy-lock.yaml".
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from civsync.core.lock import Lock, LockedEntry, LockedFile
from civsync.documents.yaml_writing import pair_text

MODELS_FOLDER: Final = "models"
"""Where comfy-lock's paths, which are relative to ComfyUI's own folder, have the models."""

_HASH_NAMES: Final = {"AUTOV1": "AutoV1", "AUTOV2": "AutoV2", "CRC32": "CRC32", "BLAKE3": "Blake3"}
"""How comfy-lock spells the hashes that it knows, but for SHA256."""

_ESCAPED: Final = {"\\": r"\\", "\n": r"\n", "\r": r"\r"}


def files_by_path(lock: Lock) -> list[tuple[tuple[LockedEntry, ...], LockedFile]]:
    """Return every file once, in the order of the paths, with the entries that want it."""
    found: dict[str, tuple[tuple[LockedEntry, ...], LockedFile]] = {}
    for entry, file in lock.files():
        entries, first = found.get(file.path, ((), file))
        found[file.path] = ((*entries, entry), first)
    return [found[path] for path in sorted(found)]


def download_url(file: LockedFile, api_url: str) -> str:
    """Return where exactly this file is downloaded from, for whoever may."""
    return f"{api_url}/api/download/models/{file.source_version_id}?fileId={file.file_id}"


def urls_text(lock: Lock, api_url: str) -> str:
    """Return one address a line, each once."""
    urls = dict.fromkeys(download_url(file, api_url) for _, file in files_by_path(lock))
    return "".join(f"{url}\n" for url in urls)


def sha256sums_text(lock: Lock) -> str:
    """Return what `sha256sum -c` checks from within the root; files without a hash are left out."""
    return "".join(_sum_line(file) for _, file in files_by_path(lock) if file.sha256)


def comfy_lock_text(lock: Lock, api_url: str) -> str:
    """Return the `models` block of a comfy-lock.yaml."""
    lines = [line for _, file in files_by_path(lock) for line in _comfy_lines(file, api_url)]
    return "\n".join(["models:", *lines]) + "\n" if lines else "models: []\n"


def _sum_line(file: LockedFile) -> str:
    """Return a line as coreutils writes it: a backslash in front says that the name is escaped."""
    name = re.sub(r"[\\\n\r]", lambda found: _ESCAPED[found[0]], file.path)
    mark = "\\" if name != file.path else ""
    return f"{mark}{file.sha256}  {name}\n"


def _comfy_lines(file: LockedFile, api_url: str) -> Iterator[str]:
    yield f"  - {pair_text('model', file.name)}"
    yield f"    {pair_text('url', download_url(file, api_url))}"
    yield "    paths:"
    yield f"      - {pair_text('path', f'{MODELS_FOLDER}/{file.path}')}"
    hashes = list(_comfy_hashes(file))
    if hashes:
        yield "    hashes:"
    for kind, digits in hashes:
        yield f"      - {pair_text('hash', digits)}"
        yield f"        {pair_text('type', kind)}"
    yield f"    {pair_text('type', file.model_type.lower())}"


def _comfy_hashes(file: LockedFile) -> Iterable[tuple[str, str]]:
    if file.sha256:
        yield "SHA256", file.sha256
    for kind, digits in sorted(file.hashes.items()):
        if kind.upper() in _HASH_NAMES:
            yield _HASH_NAMES[kind.upper()], digits
