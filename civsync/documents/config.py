"""The user's own `config.yaml`: a flat map of a few texts, read as strictly as a manifest."""

from collections.abc import Collection
from dataclasses import replace

from civsync.core.codes import Code
from civsync.core.errors import DocumentError, Place, Problem
from civsync.documents.hints import did_you_mean
from civsync.documents.nodes import Mapping, Scalar
from civsync.documents.yaml_text import parse_yaml


def read_config(data: bytes, *, name: str, known: Collection[str]) -> dict[str, str]:
    """Return the texts that `data` sets, by key.

    An empty file sets nothing. Raises DocumentError with every fault: bad YAML, unknown
    keys, values that are no text.
    """
    read = parse_yaml(data, name=name)
    problems = [replace(problem, code=Code.CONFIG_INVALID) for problem in read.problems]
    values: dict[str, str] = {}
    match read.root:
        case Mapping(pairs=pairs):
            for pair in pairs:
                place = Place(document=name, line=pair.line, column=pair.column, key=pair.key)
                if pair.key not in known:
                    message = f"unknown key {pair.key!r}"
                    hint = did_you_mean(pair.key, known)
                    problems.append(
                        Problem(code=Code.CONFIG_INVALID, message=message, place=place, hint=hint)
                    )
                elif isinstance(pair.value, Scalar) and isinstance(pair.value.value, str):
                    values[pair.key] = pair.value.value
                else:
                    message = f"{pair.key} must be text"
                    problems.append(Problem(code=Code.CONFIG_INVALID, message=message, place=place))
        case Scalar(value=None) | None:
            pass
        case _:
            place = Place(document=name, line=1, column=1)
            message = "expected a mapping of settings"
            problems.append(Problem(code=Code.CONFIG_INVALID, message=message, place=place))
    if problems:
        raise DocumentError(problems)
    return values
