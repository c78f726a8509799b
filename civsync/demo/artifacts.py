"""Make small model files that are really valid, the same ones from the same seed.

Every function gives a file of exactly `size` bytes, and raises ValueError where
the format cannot be that small. Nothing here means anything to a model: the
tensors are noise. The pickle names no global, so loading it runs no code.
"""

import hashlib
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable

from civsync.demo.bodies import LazyBody

_GGUF_STRING = 8
_GGUF_UINT32 = 4
_GGML_I8 = 24
_GGUF_ALIGNMENT = 32
_GGUF_FILE_TYPE = {"Q8_0": 7, "Q4_K_S": 14, "Q4_K_M": 15, "Q6_K": 18}
_TWO_TENSORS_FROM = 1024


def noise(seed: str, size: int) -> bytes:
    """Give `size` bytes that depend on nothing but the seed."""
    return hashlib.shake_256(seed.encode()).digest(size)


def safetensors_head(seed: str, size: int) -> bytes:
    """Give length and header of a safetensors file of `size` bytes in all.

    The header is padded with blanks to a multiple of 8, as the reference writer
    does, and its offsets are contiguous and reach the end of the file.
    """
    # Rendered once with offsets that have at least as many digits as the final ones.
    room = -(-len(_safetensors_header(seed, size)) // 8) * 8
    data = size - 8 - room
    _refuse_negative(data, "safetensors", size)
    header = _safetensors_header(seed, data).ljust(room)
    return struct.pack("<Q", room) + header


def _safetensors_header(seed: str, data: int) -> bytes:
    cut = data // 4 * 2 if data >= _TWO_TENSORS_FROM else 0
    tensors: dict[str, object] = {"__metadata__": {"format": "pt", "seed": seed}}
    if cut:
        tensors["down.weight"] = {"dtype": "F16", "shape": [cut // 2], "data_offsets": [0, cut]}
    tensors["up.weight"] = {"dtype": "U8", "shape": [data - cut], "data_offsets": [cut, data]}
    return json.dumps(tensors, separators=(",", ":")).encode()


def safetensors(seed: str, size: int) -> bytes:
    """Make a safetensors file."""
    head = safetensors_head(seed, size)
    return head + noise(seed, size - len(head))


def lazy_safetensors(seed: str, size: int) -> LazyBody:
    """Make a safetensors file of any size that is never held in memory."""
    return LazyBody(safetensors_head(seed, size), seed=seed, size=size)


def gguf(seed: str, size: int, *, quant: str = "Q8_0") -> bytes:
    """Make a GGUF v3 file with one tensor; `quant` is only what its metadata says."""
    head = _gguf_head(seed, size, quant)
    data = size - len(head)
    _refuse_negative(data, "GGUF", size)
    head = _gguf_head(seed, data, quant)
    return head + noise(seed, data)


def _gguf_head(seed: str, data: int, quant: str) -> bytes:
    pairs = [
        _gguf_text("general.architecture") + struct.pack("<I", _GGUF_STRING) + _gguf_text("flux"),
        _gguf_text("general.name") + struct.pack("<I", _GGUF_STRING) + _gguf_text(seed),
        _gguf_text("general.alignment") + struct.pack("<II", _GGUF_UINT32, _GGUF_ALIGNMENT),
        _gguf_text("general.file_type")
        + struct.pack("<II", _GGUF_UINT32, _GGUF_FILE_TYPE.get(quant, 0)),
    ]
    tensor = _gguf_text("blk.0.weight") + struct.pack("<IQIQ", 1, data, _GGML_I8, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    return head + bytes(-len(head) % _GGUF_ALIGNMENT)


def _gguf_text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def plain_pickle(seed: str, size: int) -> bytes:
    """Make a pickle (protocol 2) of a dictionary of text and numbers."""

    def render(filling: str) -> bytes:
        return pickle.dumps({"name": seed, "step": 500, "vector": filling}, protocol=2)

    return _fill(render, seed, size, "pickle")


def archive(seed: str, size: int, *, member: str = "images/0001.txt") -> bytes:
    """Make a zip archive with one stored member."""

    def render(filling: str) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as made:
            made.writestr(zipfile.ZipInfo(member, (2025, 1, 1, 0, 0, 0)), filling)
        return out.getvalue()

    return _fill(render, seed, size, "zip archive")


def yaml_config(seed: str, size: int) -> bytes:
    """Make the YAML text that lies beside an older ControlNet or checkpoint."""

    def render(filling: str) -> bytes:
        return f"model:\n  target: cldm.ControlLDM\n  params:\n    note: '{filling}'\n".encode()

    return _fill(render, seed, size, "YAML file")


def json_workflow(seed: str, size: int) -> bytes:
    """Make a ComfyUI workflow with one note in it."""

    def render(filling: str) -> bytes:
        node = {"id": 1, "type": "Note", "widgets_values": [filling]}
        return json.dumps(
            {"last_node_id": 1, "nodes": [node], "links": [], "version": 0.4}
        ).encode()

    return _fill(render, seed, size, "workflow")


def _fill(render: Callable[[str], bytes], seed: str, size: int, kind: str) -> bytes:
    """Bring `render` to `size` with hexadecimal noise; one more digit is one more byte."""
    room = size - len(render(""))
    _refuse_negative(room, kind, size)
    return render(noise(seed, (room + 1) // 2).hex()[:room])


def _refuse_negative(room: int, kind: str, size: int) -> None:
    if room < 0:
        raise ValueError(f"a {kind} cannot be as small as {size} bytes")
