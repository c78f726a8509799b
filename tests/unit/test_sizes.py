"""Sizes mean what their units say: GB is 1000³ bytes, GiB 1024³."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.documents.sizes import RATE_HINT, SizeError, parse_rate, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1 B", 1),
        ("1 KB", 1000),
        ("1 KiB", 1024),
        ("500 MB", 500_000_000),
        ("12 GB", 12_000_000_000),
        ("12GB", 12_000_000_000),
        ("12 gb", 12_000_000_000),
        ("6.5 GiB", 6_979_321_856),
        ("0.1 KB", 100),
        ("1.000001 kb", 1000),
        ("2 TB", 2_000_000_000_000),
        ("1 TiB", 1024**4),
    ],
)
def test_a_size_is_its_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "12", "GB", "12 G", "12 Gi", "12 iB", "-1 GB", "1e3 MB", "1,5 GB", "1.GB", ".5 GB",
     "12 GB!", "12 GB 3 MB", "0 GB", "0.5 B", "1" * 13 + " B", "1 PB", "\u0661 GB", "12 GB\nx"],
)  # fmt: skip
def test_what_is_no_size_is_refused_in_a_short_sentence(text: str) -> None:
    with pytest.raises(SizeError) as caught:
        parse_size(text)
    assert len(str(caught.value)) < 100


@given(st.integers(1, 10**12 - 1), st.sampled_from(["B", "KB", "MiB", "GB", "TiB"]))
def test_every_whole_number_of_a_unit_is_a_size(number: int, unit: str) -> None:
    assert parse_size(f"{number} {unit}") == number * parse_size(f"1 {unit}")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20M", 20_000_000),
        ("500K", 500_000),
        ("500k", 500_000),
        ("1.5M", 1_500_000),
        ("1.5Mi", 1_572_864),
        ("20 MB", 20_000_000),
        ("20MiB/s", 20_971_520),
        (" 2G/s ", 2_000_000_000),
        ("1", 1),
        ("100000", 100_000),
        ("9 b", 9),
        ("0", None),
        ("0M", None),
        ("none", None),
        ("None", None),
    ],
)
def test_a_rate_is_its_bytes_a_second(text: str, rate: int | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    ["", "M", "-1M", "5 i", "5ib", "1e3", "1,5M", "20M/h", "0.5", "1P", "20 M B", "all", "1" * 60],
)
def test_what_is_no_rate_is_a_slip_of_usage_with_examples(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_rate(text)
    assert (caught.value.code, caught.value.hint) == (Code.USAGE, RATE_HINT)
    assert len(str(caught.value)) < 100
