from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError, WireError
from civsync.core.explanations import ABOUT
from civsync.core.limits import API_ATTEMPTS, BACKOFF_CAP_S, BACKOFF_FIRST_S, RETRY_AFTER_CAP_S
from civsync.decide.retry import Again, GiveUp, backoff, decide, retry_after, spell_seconds

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({}, None, id="absent"),
        pytest.param({"retry-after": "2"}, 2.0, id="seconds"),
        pytest.param({"retry-after": " 2 "}, 2.0, id="blanks around"),
        pytest.param({"retry-after": "0"}, 0.0, id="zero"),
        pytest.param({"retry-after": "-5"}, 0.0, id="negative"),
        pytest.param({"retry-after": "1.5"}, 1.5, id="fraction"),
        pytest.param({"retry-after": "86400"}, 86400.0, id="a day stays a day"),
        pytest.param({"retry-after": "9" * 5000}, 1e9, id="5,000 digits are finite"),
        pytest.param({"retry-after": "soon"}, None, id="garbage"),
        pytest.param({"retry-after": "1e3"}, None, id="exponent"),
        pytest.param({"retry-after": "nan"}, None, id="nan"),
        pytest.param({"retry-after": "\u0663"}, None, id="Arabic digit"),
        pytest.param({"retry-after": ""}, None, id="empty"),
        pytest.param(
            {"retry-after": "Wed, 21 Oct 2015 07:29:30 GMT", "date": DATE}, 90.0, id="date"
        ),
        pytest.param(
            {"retry-after": "Wed, 21 Oct 2015 07:00:00 GMT", "date": DATE}, 0.0, id="past date"
        ),
        pytest.param({"retry-after": DATE}, None, id="date without the reply's own Date"),
        pytest.param({"retry-after": DATE, "date": "now"}, None, id="date beside a broken Date"),
        pytest.param(
            {"retry-after": "Wed, 21 Oct 2015 07:28:10 -0000", "date": DATE}, None, id="no GMT"
        ),
        pytest.param({"retry-after": DATE.replace("Oct", "Foo"), "date": DATE}, None, id="Foo"),
        pytest.param({"retry-after": DATE.replace("Oct", "anF"), "date": DATE}, None, id="anF"),
        pytest.param(
            {
                "retry-after": "Fri, 01 Jan 2016 00:00:00 GMT",
                "date": "Thu, 31 Dec 2015 23:59:00 GMT",
            },
            60.0,
            id="over the year",
        ),
        pytest.param({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT", "date": DATE}, None, id="99"),
    ],
)
def test_retry_after_is_read_in_seconds_or_against_the_replys_own_date(
    headers: dict[str, str], expected: float | None
) -> None:
    assert retry_after(headers) == expected


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_header_text_breaks_the_reader(until: str, now: str) -> None:
    found = retry_after({"retry-after": until, "date": now})
    assert found is None or 0 <= found <= 1e9


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_any_two_dates_give_the_time_between_them(until: datetime, now: datetime) -> None:
    until, now = until.replace(microsecond=0), now.replace(microsecond=0)
    headers = {
        "retry-after": format_datetime(until, usegmt=True),
        "date": format_datetime(now, usegmt=True),
    }
    assert retry_after(headers) == min(max((until - now).total_seconds(), 0.0), 1e9)


@given(
    st.integers(min_value=1, max_value=10**6),
    st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_backoff_stays_between_half_and_the_whole_of_a_capped_doubling(
    attempt: int, jitter: float
) -> None:
    whole = min(BACKOFF_CAP_S, BACKOFF_FIRST_S * 2 ** min(attempt - 1, 20))
    assert whole / 2 <= backoff(attempt, jitter) <= whole


def test_backoff_doubles() -> None:
    assert [backoff(n, 0.0) for n in (1, 2, 3, 4)] == [0.25, 0.5, 1.0, 2.0]


def _wire(code: Code = Code.SERVER_ERROR, **more: object) -> WireError:
    return WireError(code, "it failed", **more)  # type: ignore[arg-type]  # keywords of WireError


@pytest.mark.parametrize("code", [c for c in Code if ABOUT[c].retry], ids=str)
def test_what_may_go_well_later_is_tried_again_until_the_tries_are_used_up(code: Code) -> None:
    error = _wire(code)
    assert all(isinstance(decide(error, n, 0.5), Again) for n in range(1, API_ATTEMPTS))
    assert decide(error, API_ATTEMPTS, 0.5) == GiveUp(error=error)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(_wire(Code.TLS_FAILED), id="TLS"),
        pytest.param(_wire(Code.BAD_REDIRECT), id="redirect"),
        pytest.param(RegistryError(Code.GONE, "gone"), id="gone"),
        pytest.param(RegistryError(Code.QUOTA, "quota"), id="quota"),
    ],
)
def test_a_permanent_failure_is_not_tried_again(error: CivsyncError) -> None:
    assert decide(error, 1, 0.5) == GiveUp(error=error)


def test_the_number_of_tries_may_be_another() -> None:
    error = _wire()
    assert isinstance(decide(error, 7, 0.5, attempts=8), Again)
    assert isinstance(decide(error, 1, 0.5, attempts=1), GiveUp)


def test_a_pause_the_server_asks_for_is_obeyed_if_it_is_longer_than_ours() -> None:
    assert decide(_wire(retry_after=60.0), 1, 0.5) == Again(delay=60.0, shared=True)
    assert decide(_wire(retry_after=0.0), 3, 0.0) == Again(delay=1.0, shared=True)


@pytest.mark.parametrize(
    ("error", "shared"),
    [
        pytest.param(_wire(Code.RATE_LIMITED), True, id="429"),
        pytest.param(_wire(Code.EDGE_REFUSED), True, id="edge"),
        pytest.param(_wire(data={"status": 503}), True, id="503"),
        pytest.param(_wire(data={"status": 500}), False, id="500 of one request"),
        pytest.param(_wire(Code.CONNECTION_LOST), False, id="connection lost"),
    ],
)
def test_a_busy_host_rests_for_all_and_a_broken_request_for_itself(
    error: WireError, shared: bool
) -> None:
    decision = decide(error, 1, 0.5)
    assert isinstance(decision, Again)
    assert decision.shared is shared


def test_a_pause_above_the_cap_ends_the_run_with_the_time() -> None:
    assert isinstance(decide(_wire(retry_after=RETRY_AFTER_CAP_S), 1, 0.5), Again)
    decision = decide(_wire(Code.RATE_LIMITED, subject="x", retry_after=7200.0), 1, 0.5)
    assert isinstance(decision, GiveUp)
    assert decision.error.code is Code.RATE_LIMITED
    assert decision.error.message == "it failed; the server asks for a pause of 2 h"
    assert decision.error.subject == "x"
    assert decision.error.data["retry_after"] == 7200.0
    assert decide(decision.error, 1, 0.5) == decision


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(45.0, "45 s"), (119.0, "119 s"), (150.0, "2 min"), (7200.0, "2 h"), (180000.0, "2 d")],
)
def test_time_spans_are_spelled_for_people(seconds: float, expected: str) -> None:
    assert spell_seconds(seconds) == expected
