"""The API key as a value that does not show itself.

A `Token` prints as "Token(***)" wherever it turns up: in a log, a traceback, an f-string.
Only `reveal` gives the text out, and only the Authorization header has a use for it.
Where tokens are kept is not known here.
"""

from typing import Final, Never

TOKEN_CHARACTERS: Final = 4096
"""Longer than any API key, short enough for one header line."""

MASK: Final = "***"


class Token:
    """An API key. Equal keys are equal; it cannot be pickled.

    Raises ValueError for a text that cannot be one (empty, too long, blanks inside, not
    ASCII); the message does not hold the text. White space around it is dropped, because
    files and commands end in a newline.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        bare = text.strip()
        if not bare:
            raise ValueError("the API key is empty")
        if len(bare) > TOKEN_CHARACTERS:
            raise ValueError("the API key is too long to be one")
        if not all("!" <= char <= "~" for char in bare):
            # A line break in it would add headers of somebody else's choice.
            raise ValueError("the API key holds blanks or characters that no key has")
        self._text = bare

    def reveal(self) -> str:
        """Return the key itself, for the Authorization header alone."""
        return self._text

    def is_in(self, text: str) -> bool:
        """Tell whether `text` would give the key away."""
        return self._text in text

    def redact(self, text: str) -> str:
        """Return `text` with the key masked."""
        return text.replace(self._text, MASK)

    def __repr__(self) -> str:
        return f"Token({MASK})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Token, self._text))

    def __reduce__(self) -> Never:
        raise TypeError("an API key is not written to anything")
