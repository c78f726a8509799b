"""The name that a server offers: read as RFC 6266 and 8187 say, and harmless whatever it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.limits import NAME_BYTES
from civsync.core.names import is_safe_name, safe_name
from civsync.decide.disposition import served_name

RTL_OVERRIDE = "\u202e"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        pytest.param('attachment; filename="x.safetensors"', "x.safetensors", id="quoted"),
        pytest.param("attachment; filename=x.safetensors", "x.safetensors", id="token"),
        pytest.param("inline;filename=x.pt", "x.pt", id="inline"),
        pytest.param('ATTACHMENT; FileName="x.pt"', "x.pt", id="case"),
        pytest.param('attachment ;\tfilename = "x.pt" ', "x.pt", id="blanks"),
        pytest.param('attachment; filename="x.pt";', "x.pt", id="semicolon-at-the-end"),
        pytest.param('attachment;; filename="x.pt"', "x.pt", id="two-semicolons"),
        pytest.param('attachment; size=7; filename="x.pt"; a="b;c"', "x.pt", id="others-around"),
        pytest.param(r'attachment; filename="a\"b.pt"', "a_b.pt", id="escaped-quote"),
        pytest.param(r'attachment; filename="\a\b.pt"', "ab.pt", id="needless-escapes"),
        pytest.param('attachment; filename="a; filename=b.pt"', "a; filename=b.pt", id="inside"),
        pytest.param('attachment; filename="ü.pt"', "ü.pt", id="raw-utf-8"),
        pytest.param("attachment; filename*=UTF-8''%c3%bc.pt", "ü.pt", id="utf-8"),
        pytest.param("attachment; filename*=utf-8'de-CH'%C3%BC.pt", "ü.pt", id="language"),
        pytest.param("attachment; filename*=ISO-8859-1''%FC.pt", "ü.pt", id="latin-1"),
        pytest.param("attachment; filename*=UTF-8''a%20b.pt", "a b.pt", id="blank-encoded"),
        pytest.param(
            "attachment; filename=a.pt; filename*=UTF-8''b.pt", "b.pt", id="extended-wins"
        ),
        pytest.param(
            "attachment; filename*=UTF-8''b.pt; filename=a.pt", "b.pt", id="extended-wins-first"
        ),
        pytest.param(
            "attachment; filename*=KOI8-R''%C1.pt; filename=a.pt", "a.pt", id="unknown-charset"
        ),
        pytest.param(
            "attachment; filename*=UTF-8''%FF.pt; filename=a.pt", "a.pt", id="not-of-its-charset"
        ),
        pytest.param("attachment; filename*=UTF-8''%F; filename=a.pt", "a.pt", id="half-encoded"),
        pytest.param("attachment; filename*=b.pt; filename=a.pt", "a.pt", id="no-charset"),
        pytest.param(
            "attachment; filename*=\"UTF-8''b.pt\"; filename=a.pt", "a.pt", id="extended-quoted"
        ),
        pytest.param("attachment; filename*0=a; filename*1=b", None, id="continued"),
        pytest.param('attachment; filename="a%20b.pt"', "a%20b.pt", id="plain-is-not-decoded"),
        pytest.param("attachment; filename*=UTF-8''a%252Fb.pt", "a%2Fb.pt", id="decoded-once"),
        # Hostile ones.
        pytest.param('attachment; filename="../../x"', "x", id="upward"),
        pytest.param('attachment; filename="/etc/passwd"', "passwd", id="absolute"),
        pytest.param(r'attachment; filename="C:\\x"', "x", id="windows-path"),
        pytest.param(r'attachment; filename="C:\x"', "C_x", id="windows-path-unescaped"),
        pytest.param('attachment; filename="x.pt:stream"', "x.pt_stream", id="stream"),
        pytest.param("attachment; filename*=UTF-8''..%2F..%2Fx", "x", id="upward-encoded"),
        pytest.param("attachment; filename*=UTF-8''..%5C..%5Cx", "x", id="upward-backslashes"),
        pytest.param("attachment; filename*=UTF-8''a%252F..%252Fb", "a%2F..%2Fb", id="twice"),
        pytest.param("attachment; filename*=UTF-8''a%00b.pt", "a_b.pt", id="nul-encoded"),
        pytest.param("attachment; filename*=UTF-8''a%0D%0Ab.pt", "a__b.pt", id="lines-encoded"),
        pytest.param("attachment; filename*=UTF-8''a%1B[31mb", None, id="escape-not-encoded"),
        pytest.param("attachment; filename*=UTF-8''a%1B%5B31mb", "a_[31mb", id="escape-encoded"),
        pytest.param(f'attachment; filename="a{RTL_OVERRIDE}tp.exe"', "a_tp.exe", id="rtl"),
        pytest.param("attachment; filename*=UTF-8''a%E2%80%AEtp.exe", "a_tp.exe", id="rtl-encoded"),
        pytest.param('attachment; filename=".bashrc"', "_bashrc", id="hidden"),
        pytest.param('attachment; filename="CON.pt"', "CON_.pt", id="device"),
        pytest.param('attachment; filename="x.pt. . "', "x.pt", id="dots-and-blanks-at-the-end"),
        pytest.param('attachment; filename=".."', None, id="parent"),
        pytest.param('attachment; filename="../.."', None, id="only-upward"),
        pytest.param('attachment; filename="x/"', None, id="folder"),
        pytest.param('attachment; filename=""', None, id="empty"),
        pytest.param('attachment; filename="  "', None, id="blank"),
        pytest.param(f'attachment; filename="{"x" * 10_000}.pt"', None, id="ten-kilobytes"),
        pytest.param(f'attachment; filename="{"../" * 600}x"', "x", id="six-hundred-up"),
        # Broken ones.
        pytest.param("", None, id="nothing"),
        pytest.param("attachment", None, id="no-name"),
        pytest.param('filename="x.pt"', None, id="no-type"),
        pytest.param('; filename="x.pt"', None, id="no-type-semicolon"),
        pytest.param('attachment filename="x.pt"', None, id="no-semicolon"),
        pytest.param('attachment, attachment; filename="x.pt"', None, id="two-types"),
        pytest.param('attachment; filename="x.pt', None, id="no-closing-quote"),
        pytest.param('attachment; filename="x.pt\\"', None, id="closing-quote-escaped"),
        pytest.param('attachment; filename="x.pt"y', None, id="text-behind-the-quote"),
        pytest.param("attachment; filename=my model.pt", None, id="blank-without-quotes"),
        pytest.param("attachment; filename=", None, id="no-value"),
        pytest.param("attachment; filename", None, id="no-equals"),
        pytest.param("attachment; =x.pt", None, id="no-parameter-name"),
        pytest.param('attachment; filename="a\0b"', None, id="nul"),
        pytest.param('attachment; filename="a\r\nX: y"', None, id="line-break"),
        pytest.param("attachment; filename=a.pt; filename=b.pt", None, id="two-names"),
        pytest.param("attachment; filename=a.pt; FILENAME=a.pt", None, id="the-same-twice"),
        pytest.param(
            "attachment; filename*=UTF-8''a; filename*=UTF-8''b", None, id="two-extended-names"
        ),
        pytest.param("attachment; filename*=UTF-8''", None, id="extended-empty"),
        pytest.param("attachment; filename*=''x.pt", None, id="extended-without-charset"),
    ],
)
def test_a_header_names_one_file_or_none(header: str, name: str | None) -> None:
    assert served_name(header) == name


def test_a_name_that_is_too_long_for_a_disk_is_cut_as_everywhere() -> None:
    text = "ü" * 300 + ".safetensors"
    found = served_name(f'attachment; filename="{text}"')
    assert found == safe_name(text)
    assert len(found.encode()) <= NAME_BYTES


def test_a_long_broken_header_costs_no_more_than_its_length() -> None:
    for text in ('"' + "\\" * 60_000, ";" * 60_000, "a=b;" * 15_000 + "=", "%41" * 20_000 + "%"):
        served_name(f"attachment; filename*=UTF-8''{text}")
        served_name(f"attachment; filename={text}")


_PIECES = st.sampled_from(
    ["attachment", "; ", "filename", "filename*", "=", '"', "\\", "UTF-8''", "%2F", "%", "../",
     "\0", "x", "é", RTL_OVERRIDE, "\ud800", " ", "CON", "."]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=30).map("".join)))
def test_no_header_raises_and_every_name_is_safe(header: str) -> None:
    for text in (header, f'attachment; filename="{header}"', f"a; filename*=UTF-8''{header}"):
        found = served_name(text)
        assert found is None or is_safe_name(found)
