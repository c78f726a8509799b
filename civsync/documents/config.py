"""The user's own `config.yaml`: a few texts, and some by name; read as strictly as a manifest."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from civsync.core.codes import Code
from civsync.core.problems import DocumentError, Place, Problem
from civsync.core.values import dataclass
from civsync.documents import nodes
from civsync.documents.hints import did_you_mean
from civsync.documents.nodes import Scalar
from civsync.documents.yaml_text import parse_yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The texts by key, those of the one mapping of texts, and of the one mapping of lists."""

    texts: Mapping[str, str]
    named: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]


def read_config(
    data: bytes, *, name: str, known: Collection[str], naming: str, listing: str
) -> Config:
    """Return what `data` sets: texts under `known` keys and below `naming`, lists below `listing`.

    An empty file sets nothing. Raises DocumentError with every fault: bad YAML, unknown
    keys, values that are no text.
    """
    read = parse_yaml(data, name=name)
    problems = [replace(problem, code=Code.CONFIG_INVALID) for problem in read.problems]
    values: dict[str, str] = {}
    named: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    match read.root:
        case nodes.Mapping(pairs=pairs):
            for pair in pairs:
                place = Place(document=name, line=pair.line, column=pair.column, key=pair.key)
                if pair.key == listing:
                    found = _lists(pair.value)
                    if found is None:
                        message = f"{listing} must be lists of text by root"
                        problems.append(
                            Problem(code=Code.CONFIG_INVALID, message=message, place=place)
                        )
                    else:
                        lists = found
                elif pair.key == naming:
                    texts = _texts(pair.value)
                    if texts is None:
                        message = f"{naming} must be texts by name"
                        problems.append(
                            Problem(code=Code.CONFIG_INVALID, message=message, place=place)
                        )
                    else:
                        named = texts
                elif pair.key not in known:
                    message = f"unknown key {pair.key!r}"
                    hint = did_you_mean(pair.key, (*known, naming, listing))
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
    return Config(texts=values, named=named, lists=lists)


def _texts(node: nodes.Node) -> dict[str, str] | None:
    if not isinstance(node, nodes.Mapping):
        return None
    texts: dict[str, str] = {}
    for pair in node.pairs:
        if not isinstance(pair.value, Scalar) or not isinstance(pair.value.value, str):
            return None
        texts[pair.key] = pair.value.value
    return texts


def _lists(node: nodes.Node) -> dict[str, tuple[str, ...]] | None:
    if not isinstance(node, nodes.Mapping):
        return None
    lists: dict[str, tuple[str, ...]] = {}
    for pair in node.pairs:
        if not isinstance(pair.value, nodes.Sequence):
            return None
        texts = [each.value for each in pair.value.items if isinstance(each, Scalar)]
        lists[pair.key] = tuple(each for each in texts if isinstance(each, str))
        if len(lists[pair.key]) != len(pair.value.items):
            return None
    return lists
