import copy
import pickle

import pytest

from civsync.core.secrets import Token

KEY = "0123456789abcdef0123456789abcdef"


def test_a_token_shows_itself_nowhere_but_where_asked_for() -> None:
    token = Token(KEY)
    shown = [repr(token), str(token), f"{token}", f"{token!r:>40}", repr([token]), repr({1: token})]
    assert not any(KEY in text for text in shown)
    assert token.reveal() == KEY


def test_a_token_is_not_written_to_anything() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Token(KEY))
    with pytest.raises(TypeError):
        copy.deepcopy(Token(KEY))


def test_white_space_around_a_token_is_dropped() -> None:
    assert Token(f" {KEY}\r\n") == Token(KEY)
    assert hash(Token(f"{KEY}\n")) == hash(Token(KEY))
    assert Token(KEY) != Token(KEY.upper())


@pytest.mark.parametrize(
    "text",
    ["", "  \n", "two words", "line\nbreak", "header\r\nX-Evil: 1", "ключ", "nul\0", "k" * 5000],
    ids=ascii,
)
def test_what_cannot_be_a_token_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        Token(text)
    assert not text.strip() or text.strip() not in str(caught.value)


def test_a_text_that_gives_the_token_away_is_found_and_masked() -> None:
    token = Token(KEY)
    assert token.is_in(f"https://host/?token={KEY}")
    assert not token.is_in("https://host/")
    assert token.redact(f"a {KEY} b {KEY}") == "a *** b ***"
