"""Formats by first bytes, as tables; and the law that no bytes at all make them fail oddly."""

import io
import json
import pickle
import struct
import tarfile
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.codes import Code
from civsync.core.errors import IntegrityError
from civsync.decide.formats import HEAD_BYTES, Kind, check_format, sniff


def tensors(*ranges: tuple[int, int], data: int, header: bytes | None = None) -> bytes:
    """A safetensors file with tensors at these offsets, and `data` bytes behind the header."""
    if header is None:
        header = json.dumps(
            {"__metadata__": {"format": "pt"}}
            | {
                f"t{n}": {"dtype": "U8", "shape": [b - a], "data_offsets": [a, b]}
                for n, (a, b) in enumerate(ranges)
            }
        ).encode()
    return struct.pack("<Q", len(header)) + header + bytes(data)


def archive(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in names:
            made.writestr(name, b"content that speaks of data.pkl")
    return out.getvalue()


def tar(name: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as made:
        made.addfile(tarfile.TarInfo(name))
    return out.getvalue()


GOOD = tensors((0, 8), (8, 20), data=20)
PAGE = b"<!DOCTYPE html><html><title>Log in</title>"
PICKLE = pickle.dumps({"a": 1}, protocol=2)
GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)
TORCH = archive("archive/data.pkl", "archive/data/0")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(GOOD, Kind.SAFETENSORS, id="safetensors"),
        pytest.param(tensors(data=0), Kind.SAFETENSORS, id="no-tensors"),
        pytest.param(tensors((0, 0), (0, 4), data=4), Kind.SAFETENSORS, id="empty-tensor"),
        pytest.param(tensors((4, 8), (0, 4), data=8), Kind.SAFETENSORS, id="in-any-order"),
        pytest.param(GGUF, Kind.GGUF, id="gguf"),
        *(
            pytest.param(pickle.dumps([1], protocol=n), Kind.PICKLE, id=f"pickle-{n}")
            for n in (2, 3, 4, 5)
        ),
        pytest.param(TORCH, Kind.TORCH_ZIP, id="torch-zip"),
        pytest.param(archive("readme.txt", "x/data.pkl"), Kind.TORCH_ZIP, id="pickle-comes-later"),
        pytest.param(archive("images/1.png"), Kind.ZIP, id="zip"),
        pytest.param(archive(), Kind.ZIP, id="empty-zip"),
        pytest.param(tar("pickle"), Kind.TAR, id="tar"),
        pytest.param(PAGE, Kind.HTML, id="page"),
        pytest.param(b"\xef\xbb\xbf\n  <HTML lang=en>", Kind.HTML, id="page-with-bom"),
        pytest.param(b"<!-- a --> <!-- b --><head>", Kind.HTML, id="page-behind-comments"),
        pytest.param(b'<?xml version="1.0"?><html xmlns="x">', Kind.HTML, id="xhtml"),
        pytest.param(b'<?xml version="1.0"?><Error><Code>x</Code>', Kind.XML, id="xml"),
        pytest.param(b'{"nodes": []}', Kind.JSON, id="json"),
        pytest.param(b" [1, 2]", Kind.JSON, id="json-list"),
        pytest.param(b"model:\n  target: x\n", Kind.TEXT, id="yaml"),
        pytest.param(b"cat\ndog\n", Kind.TEXT, id="wildcards"),
        pytest.param("naïve ünïcode".encode(), Kind.TEXT, id="utf-8"),
        pytest.param("ab€".encode()[:-1], Kind.TEXT, id="character-cut-in-two"),
        pytest.param(b"\x1f\x8b\x08\x00", Kind.GZIP, id="gzip"),
        pytest.param(b"", Kind.TEXT, id="empty"),
        pytest.param(bytes(64), Kind.UNKNOWN, id="zeros"),
        pytest.param(b"\xff\xfe\x80\x81 abc", Kind.UNKNOWN, id="binary"),
    ],
)
def test_a_kind_is_told_by_its_first_bytes(data: bytes, kind: Kind) -> None:
    assert sniff(data[:HEAD_BYTES], len(data)) is kind


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(GOOD[:7], id="shorter-than-a-length"),
        pytest.param(struct.pack("<Q", 2**63) + b"{" + bytes(90), id="length-2^63"),
        pytest.param(struct.pack("<Q", 200) + b"{}" + bytes(90), id="header-past-the-end"),
        pytest.param(struct.pack("<Q", 0) + b"{}" + bytes(90), id="no-header"),
        pytest.param(tensors(data=9, header=b"not json {"), id="not-json"),
        pytest.param(tensors(data=9, header=b"{" * 40_000), id="deep-nonsense"),
        pytest.param(tensors(data=0, header=b'{"a":' * 40_000), id="deep"),
        pytest.param(tensors(data=0, header=b'{"a":' + b"9" * 5000 + b"}"), id="5000-digits"),
        pytest.param(tensors(data=4, header=b'{"t":{"data_offsets":[0]}}'), id="one-offset"),
        pytest.param(tensors(data=4, header=b'{"t":{"data_offsets":[0,4.0]}}'), id="fractions"),
        pytest.param(tensors(data=4, header=b'{"t":{"data_offsets":"04"}}'), id="text-offsets"),
        pytest.param(tensors(data=4, header=b'{"t":[0,4]}'), id="no-tensor"),
        pytest.param(tensors(data=4, header=b'{"t":{"data_offsets":[-4,0]}}'), id="negative"),
        pytest.param(tensors((0, 8), (4, 12), data=12), id="overlap"),
        pytest.param(tensors((0, 4), (8, 12), data=12), id="hole"),
        pytest.param(tensors((4, 12), data=12), id="starts-late"),
        pytest.param(tensors((0, 8), data=9), id="something-behind"),
        pytest.param(tensors((0, 8), data=7), id="truncated"),
        pytest.param(GOOD + TORCH, id="polyglot-with-a-zip"),
    ],
)
def test_a_broken_safetensors_file_is_none(data: bytes) -> None:
    assert sniff(data[:HEAD_BYTES], len(data)) is not Kind.SAFETENSORS


def test_a_header_longer_than_the_head_is_checked_as_far_as_it_is_there() -> None:
    header = b'{"__metadata__":{"x":"' + b"y" * (2 * HEAD_BYTES) + b'"}}'
    data = tensors(data=0, header=header)
    assert sniff(data[:HEAD_BYTES], len(data)) is Kind.SAFETENSORS
    assert sniff(data[:HEAD_BYTES], len(data) - 1) is not Kind.SAFETENSORS


@pytest.mark.parametrize(
    ("name", "declared", "data"),
    [
        ("a.safetensors", "SafeTensor", GOOD),
        ("a.sft", "", GOOD),
        ("a.bin", "SafeTensor", GOOD),
        ("a.safetensors", "Other", GOOD),
        ("A.SAFETENSORS", "", GOOD),
        ("a.gguf", "GGUF", GGUF),
        ("a.ckpt", "PickleTensor", TORCH),
        ("a.pt", "PickleTensor", PICKLE),
        ("a.pth", "Other", PICKLE),
        ("a.bin", "Other", TORCH),
        ("a.pkl", "", PICKLE),
        ("a.ckpt", "PickleTensor", tar("pickle")),
        ("a.ckpt", "PickleTensor", GOOD),
        ("a.zip", "Other", archive("1.png")),
        ("a.tar", "Other", tar("1.png")),
        ("a.yaml", "Other", b"model: x\n"),
        ("a.yaml", "SafeTensor", b"model: x\n"),
        ("a.json", "Other", b"{}"),
        ("a.html", "", PAGE),
        ("a.onnx", "ONNX", b"\x08\x07\x12\x07pytorch"),
        ("a", "", b"anything"),
    ],
)
def test_a_kept_promise_passes(name: str, declared: str, data: bytes) -> None:
    check_format(name, declared, data[:HEAD_BYTES], len(data))


@pytest.mark.parametrize(
    ("name", "declared", "data", "code"),
    [
        ("a.safetensors", "SafeTensor", PICKLE, Code.FORMAT_MISMATCH),
        ("a.safetensors", "PickleTensor", PICKLE, Code.FORMAT_MISMATCH),
        ("a.safetensors", "", TORCH, Code.FORMAT_MISMATCH),
        ("a.safetensors", "", GGUF, Code.FORMAT_MISMATCH),
        ("a.safetensors", "", GOOD[:-1], Code.FORMAT_MISMATCH),
        ("a.safetensors", "", b'{"error":"x"}', Code.FORMAT_MISMATCH),
        ("a.safetensors", "", PAGE, Code.NOT_A_MODEL),
        ("a.bin", "SafeTensor", TORCH, Code.FORMAT_MISMATCH),
        ("a", "SafeTensor", PICKLE, Code.FORMAT_MISMATCH),
        ("a.gguf", "GGUF", GOOD, Code.FORMAT_MISMATCH),
        ("a", "GGUF", GOOD, Code.FORMAT_MISMATCH),
        ("a.zip", "Other", GOOD, Code.FORMAT_MISMATCH),
        ("a.zip", "Other", TORCH, Code.FORMAT_MISMATCH),
        ("a.ckpt", "PickleTensor", PAGE, Code.NOT_A_MODEL),
        ("a.yaml", "Other", PICKLE, Code.FORMAT_MISMATCH),
        ("a.json", "Other", PAGE, Code.NOT_A_MODEL),
        ("a.txt", "", tar("pickle"), Code.FORMAT_MISMATCH),
        ("a", "", TORCH, Code.FORMAT_MISMATCH),
    ],
)
def test_a_broken_promise_is_refused(name: str, declared: str, data: bytes, code: Code) -> None:
    with pytest.raises(IntegrityError) as caught:
        check_format(name, declared, data[:HEAD_BYTES], len(data))
    assert caught.value.code is code


def test_hostile_comments_cost_no_time() -> None:
    assert sniff(b"<!---->" * (HEAD_BYTES // 7), HEAD_BYTES) is Kind.TEXT


STARTS = st.sampled_from(
    [b"", GOOD, GGUF, PAGE, PICKLE, TORCH, b"PK\x03\x04", b"<!--", b"<?xml", b"{", b"\x80\x02"]
)
NAMES = st.sampled_from(["a.safetensors", "a.gguf", "a.ckpt", "a.zip", "a.json", "a", ""])


@given(
    start=STARTS,
    cut=st.integers(0, 200),
    rest=st.binary(max_size=200),
    size=st.integers(0, 2**70),
    name=NAMES,
    declared=st.sampled_from(["SafeTensor", "GGUF", "PickleTensor", "Other", ""]),
)
def test_any_bytes_pass_or_are_refused_by_name(
    start: bytes, cut: int, rest: bytes, size: int, name: str, declared: str
) -> None:
    with suppress(IntegrityError):
        check_format(name, declared, start[: len(start) - cut] + rest, size)


@given(st.data())
def test_a_flipped_header_never_passes_for_more_than_its_file(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, 7))
    value = data.draw(st.integers(0, 255))
    mutated = bytearray(GOOD)
    mutated[at] = value
    if mutated != GOOD:
        assert sniff(bytes(mutated), len(mutated)) is not Kind.SAFETENSORS
