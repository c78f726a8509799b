"""Choose the files of a version, the same ones on every machine.

The server's own mark for "the" file (`primary`) follows the preferences of whoever asks
and may name something that is no model at all, so it is never looked at. Nothing here
judges scans or hashes; `civsync.decide.policy` does that for what was chosen.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Final

from civsync.core.catalog import RemoteFile, RemoteModel, RemoteVersion
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.request import FileSelector, Preference, Request
from civsync.core.values import dataclass
from civsync.decide.kinds import PICKLE, is_weights, known_as, main_files, type_rank

LISTED: Final = 20
"""How many files or versions an error lists before it says "and more"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The chosen files in the order of their ids, with the formats that they really have.

    `remarks` are (code, message) of what a person should know about the choice.
    """

    files: tuple[RemoteFile, ...]
    remarks: tuple[tuple[str, str], ...] = ()


def choose_files(version: RemoteVersion, model: RemoteModel, request: Request) -> Selection:
    """Choose what `request` wants of `version`: one file a selector, or the one best file.

    Raises UserError: no-matching-file, which lists what there is, or pickle-denied.
    """
    chooser = _Chooser(version, model, request)
    if not request.selectors:
        return Selection(files=(chooser.best(None),), remarks=tuple(chooser.remarks))
    chosen: dict[int, RemoteFile] = {}
    for selector in request.selectors:
        try:
            file = chooser.best(selector)
        except UserError as error:
            if not selector.optional:
                raise
            chooser.remarks.append(("optional-missing", error.message))
        else:
            chosen[file.id] = file
    return Selection(
        files=tuple(chosen[key] for key in sorted(chosen)), remarks=tuple(chooser.remarks)
    )


def matches(selector: FileSelector, file: RemoteFile) -> bool:
    """Tell whether `file`, with its true format, is what `selector` describes."""
    return (
        selector.id in (None, file.id)
        and _agrees(selector.type, file.type)
        and _agrees(selector.format, file.format)
        and _agrees(selector.precision, file.precision)
        and _agrees(selector.quant, file.quant)
        and _agrees(selector.size, file.size_class)
        and (not selector.name or _glob(selector.name).fullmatch(file.name.casefold()) is not None)
    )


def describe_file(file: RemoteFile) -> str:
    """Return one line about a file, for lists in messages."""
    facts = (file.type, file.format, file.precision, file.quant, file.size_class)
    size = "size unknown" if file.size is None else f"{file.size:,} bytes"
    return f"{file.id} {file.name} ({', '.join(filter(None, (*facts, size)))})"


def listing(lines: Sequence[str]) -> str:
    """Return `lines` as the end of a message; a very long list is cut."""
    more = [f"and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return "; ".join([*lines[:LISTED], *more])


class _Chooser:
    """The choice among the files of one version."""

    def __init__(self, version: RemoteVersion, model: RemoteModel, request: Request) -> None:
        self._version = version
        self._model = model
        self._request = request
        self._files = tuple(
            sorted((known_as(file) for file in version.files), key=lambda file: file.id)
        )
        self.remarks: list[tuple[str, str]] = []

    def best(self, selector: FileSelector | None) -> RemoteFile:
        """Return the one best file that `selector` describes (None: that the model is)."""
        candidates = self._candidates(selector)
        free = selector is not None and (bool(selector.format) or selector.id is not None)
        fitting = candidates if free else self._of_listed_formats(candidates)
        allow = self._request.policy.allow_pickle
        allowed = tuple(file for file in fitting if allow or file.format != PICKLE)
        if not allowed:
            raise self._refusal(selector, fitting or candidates)
        ranked = sorted(allowed, key=lambda file: (self._rank(file), file.id))
        equal = [file for file in ranked if self._rank(file) == self._rank(ranked[0])]
        if len(equal) > 1:
            lines = listing([describe_file(file) for file in equal])
            self.remarks.append(
                ("equal-candidates", f"the lowest id was taken of files alike: {lines}")
            )
        return ranked[0]

    def _candidates(self, selector: FileSelector | None) -> tuple[RemoteFile, ...]:
        if selector is not None and (selector.id is not None or selector.type or selector.name):
            return tuple(file for file in self._files if matches(selector, file))
        # A selector that says only "fp16" means the model in fp16, not a VAE that is fp16 too.
        files, by_rights = main_files(self._files, self._model.type)
        if selector is not None:
            return tuple(file for file in files if matches(selector, file))
        if files and not by_rights:
            remark = f"the version has no weights; {files[0].type} stands for the model"
            self.remarks.append(("no-weights", remark))
        return files

    def _of_listed_formats(self, files: Iterable[RemoteFile]) -> tuple[RemoteFile, ...]:
        listed = {text.casefold() for text in self._request.prefer.format}
        if self._request.policy.allow_pickle:
            # Allowing pickles says that one will do where nothing better is; it ranks last.
            listed.add(PICKLE.casefold())
        return tuple(
            file
            for file in files
            if file.format.casefold() in listed or not is_weights(file, self._model.type)
        )

    def _rank(self, file: RemoteFile) -> tuple[int, ...]:
        prefer: Preference = self._request.prefer
        return (
            _place_in(prefer.format, file.format),
            _place_in(prefer.precision, file.precision),
            _place_in(prefer.quant, file.quant),
            _place_in(prefer.size, file.size_class),
            type_rank(file.type),
        )

    def _refusal(self, selector: FileSelector | None, nearest: tuple[RemoteFile, ...]) -> UserError:
        where = f'version {self._version.id} "{self._version.name}" of "{self._model.name}"'
        denied = not self._request.policy.allow_pickle
        if denied and nearest and all(file.format == PICKLE for file in nearest):
            lines = listing([describe_file(file) for file in nearest])
            return UserError(
                Code.PICKLE_DENIED,
                f"{where} offers only pickles here: {lines}",
                data={"version_id": self._version.id, "file_id": nearest[0].id},
            )
        wanted = "the preferences" if selector is None else f"`{_in_words(selector)}`"
        lines = listing([describe_file(file) for file in self._files])
        return UserError(
            Code.NO_MATCHING_FILE,
            f"no file of {where} fits {wanted}; there is: {lines}",
            data={"version_id": self._version.id},
        )


def _agrees(wanted: str, actual: str) -> bool:
    return not wanted or wanted.casefold() == actual.casefold()


def _in_words(selector: FileSelector) -> str:
    values = ((field.name, getattr(selector, field.name)) for field in fields(selector))
    wishes = ((key, value) for key, value in values if key != "optional")
    return ", ".join(f"{key}: {value}" for key, value in wishes if value not in ("", None))


def _place_in(ranking: tuple[str, ...], value: str) -> int:
    folded = value.casefold()
    for place, listed in enumerate(ranking):
        if listed.casefold() == folded:
            return place
    return len(ranking)


def _glob(pattern: str) -> re.Pattern[str]:
    """Return `pattern` as an expression: "*" is any text, "?" any one character."""
    wild = {"*": ".*", "?": "."}
    simple = re.sub(r"\*+", "*", pattern.casefold())
    return re.compile("".join(wild.get(char) or re.escape(char) for char in simple), re.DOTALL)
