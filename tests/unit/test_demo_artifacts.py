"""Artifacts are valid files of exactly the asked size, and hash as Civitai says."""

import hashlib
import io
import json
import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
from blake3 import blake3

from civsync.demo import artifacts
from civsync.demo.bodies import BytesBody, LazyBody, read

MAKERS = {
    "safetensors": artifacts.safetensors,
    "gguf": artifacts.gguf,
    "pickle": artifacts.plain_pickle,
    "zip": artifacts.archive,
    "yaml": artifacts.yaml_config,
    "workflow": artifacts.json_workflow,
}


@pytest.mark.parametrize("size", [700, 1024, 4097, 100_003])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_same_seed_gives_the_same_file_of_exactly_that_size(
    make: Callable[[str, int], bytes], size: int
) -> None:
    made = make("seed", size)
    assert len(made) == size
    assert made == make("seed", size)
    assert made != make("other", size)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_size_that_the_format_cannot_have_is_refused(
    make: Callable[[str, int], bytes],
) -> None:
    with pytest.raises(ValueError, match="as small as 20 bytes"):
        make("seed", 20)


@pytest.mark.parametrize("size", [200, 1300, 99_999])
def test_safetensors_offsets_are_contiguous_and_end_with_the_file(size: int) -> None:
    made = artifacts.safetensors("seed", size)
    (length,) = struct.unpack("<Q", made[:8])
    header = json.loads(made[8 : 8 + length])
    assert header.pop("__metadata__")["format"] == "pt"
    width = {"F16": 2, "U8": 1}
    at = 0
    for tensor in header.values():
        first, last = tensor["data_offsets"]
        assert first == at
        assert last - first == tensor["shape"][0] * width[tensor["dtype"]]
        at = last
    assert length % 8 == 0
    assert 8 + length + at == size


def test_gguf_announces_one_tensor_that_fills_the_file() -> None:
    made = artifacts.gguf("seed", 5000, quant="Q4_K_M")
    magic, version, tensors, pairs = struct.unpack("<4sIQQ", made[:24])
    assert (magic, version, tensors, pairs) == (b"GGUF", 3, 1, 4)
    info = made.index(b"blk.0.weight") + len(b"blk.0.weight")
    dimensions, elements, _, offset = struct.unpack("<IQIQ", made[info : info + 24])
    assert (dimensions, offset) == (1, 0)
    start = -(-(info + 24) // 32) * 32
    assert start + elements == 5000


def test_the_pickle_names_no_global() -> None:
    made = artifacts.plain_pickle("seed", 2000)
    assert not {"GLOBAL", "REDUCE", "STACK_GLOBAL"} & {
        op.name for op, _, _ in pickletools.genops(made)
    }
    assert pickle.loads(made)["name"] == "seed"


def test_the_archive_and_the_texts_can_be_read() -> None:
    with zipfile.ZipFile(io.BytesIO(artifacts.archive("seed", 900))) as opened:
        assert opened.testzip() is None
    assert json.loads(artifacts.json_workflow("seed", 900))["version"] == 0.4
    assert artifacts.yaml_config("seed", 900).startswith(b"model:\n")


def test_published_hashes_are_those_of_the_content_in_upper_case() -> None:
    data = artifacts.safetensors("seed", 0x110000 + 5)
    header = 8 + struct.unpack("<Q", data[:8])[0]
    sha256 = hashlib.sha256(data).hexdigest()
    expected = {
        "SHA256": sha256,
        "AutoV2": sha256[:10],
        "AutoV1": hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8],
        "AutoV3": hashlib.sha256(data[header:]).hexdigest()[:12],
        "CRC32": f"{zlib.crc32(data):08x}",
        "BLAKE3": blake3(data).hexdigest(),
    }
    assert BytesBody(data).published_hashes == {k: v.upper() for k, v in expected.items()}


def test_small_files_and_other_formats_lack_the_hashes_that_do_not_apply() -> None:
    assert set(BytesBody(b"<html>").published_hashes) == {"SHA256", "AutoV2", "CRC32", "BLAKE3"}
    assert BytesBody(b"").published_hashes["CRC32"] == "00000000"


def test_any_range_of_a_lazy_body_equals_that_slice_of_the_whole() -> None:
    body = artifacts.lazy_safetensors("seed", 2_500_001)
    whole = read(body)
    assert len(whole) == body.size
    for start, stop in [
        (0, 1),
        (0, 300),
        (150, 400_000),
        (1_048_570, 2_100_000),
        (2_500_000, None),
    ]:
        assert read(body, start, stop) == whole[start:stop]
    assert body.published_hashes == BytesBody(whole).published_hashes


def test_pieces_of_a_lazy_body_never_look_alike() -> None:
    body = artifacts.lazy_safetensors("seed", 8 << 20)
    pieces = {read(body, at, at + (1 << 20)) for at in range(1 << 20, 8 << 20, 1 << 20)}
    assert len(pieces) == 7


def test_a_lazy_body_is_no_shorter_than_its_head() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        LazyBody(b"12345", seed="s", size=4)
