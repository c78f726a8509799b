"""Read manifests of a few lines, for tests that look at one value or one problem."""

import pytest

from civsync.core.problems import DocumentError, Problem
from civsync.core.request import Entry
from civsync.documents.includes import IncludeError, Load
from civsync.documents.manifest import read_manifest


def only_entry(text: str) -> Entry:
    """Return the one entry of a manifest."""
    (only,) = read_manifest(text).entries
    return only


def problems_of(text: str | bytes, *, load: Load | None = None) -> tuple[Problem, ...]:
    """Return what is wrong with a manifest; it is a failure of the test if nothing is."""
    with pytest.raises(DocumentError) as caught:
        read_manifest(text, load=load)
    return caught.value.problems


class Folder:
    """Manifests by their paths, and what was asked for."""

    def __init__(self, **texts: str) -> None:
        self.texts = {name.replace("__", "/") + ".yaml": text for name, text in texts.items()}
        self.asked: list[str] = []

    def load(self, path: str) -> bytes:
        """Return one text. Raises IncludeError."""
        self.asked.append(path)
        if path not in self.texts:
            raise IncludeError(f"there is no {path}", hint="Look again.")
        return self.texts[path].encode()
