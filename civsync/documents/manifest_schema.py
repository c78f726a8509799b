"""Check the shape of a manifest against its published schema, in words for people.

The one module that names jsonschema, and it imports it only when a manifest is read.
jsonschema says where and which rule; the sentence is made here, with the line and column
of the node. What the rules mean together is checked elsewhere.
"""

import json
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence as SequenceOf
from typing import TYPE_CHECKING, Any, Final

from civsync.core.codes import Code
from civsync.documents.cutoffs import CUTOFF_HINT
from civsync.documents.findings import Findings
from civsync.documents.hints import did_you_mean, listed
from civsync.documents.nodes import Mapping, Node, Refused, Scalar, Sequence, key_path
from civsync.documents.schema_files import schema_text
from civsync.documents.sizes import SIZE_HINT

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_TYPE_WORDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "array": "a list",
    "object": "a mapping",
    "boolean": "true or false",
}

_KINDS: Final[MappingOf[str | int, tuple[str, str]]] = {
    "exclude_newer": ("an age, a date or false", CUTOFF_HINT),
    "max_size": ("a size", SIZE_HINT),
}
"""Keys whose values say more than their types, with what helps."""

_SECRETS: Final = frozenset({"token", "api_key", "apikey", "api_token", "key", "password"})


def check_shape(root: Node, findings: Findings) -> None:
    """Note everything in which the document differs from the schema of the manifest."""
    import jsonschema  # noqa: PLC0415 - costs as much as starting Python; not for every command

    draft = jsonschema.Draft202012Validator
    validator = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # as its stubs are
        draft,
        type_checker=draft.TYPE_CHECKER.redefine("integer", lambda _, value: _is_integer(value)),
    )
    for error in validator(json.loads(schema_text("manifest"))).iter_errors(_plain(root)):
        path = tuple(error.absolute_path)
        node = _node_at(root, path)
        if not isinstance(node, Refused):
            _say(error, path, node, findings)


def _is_integer(value: object) -> bool:
    """Say no to 1.0, which JSON Schema takes for an integer: it is a version's name unquoted."""
    return isinstance(value, int) and not isinstance(value, bool)


def _plain(node: Node) -> Any:  # noqa: ANN401 - jsonschema takes JSON values of any shape
    match node:
        case Scalar(value=value):
            return value
        case Sequence(items=items):
            return [_plain(item) for item in items]
        case Mapping(pairs=pairs):
            return {pair.key: _plain(pair.value) for pair in pairs}
        case Refused():
            return None


def _node_at(root: Node, path: SequenceOf[str | int]) -> Node:
    node = root
    for step in path:
        if isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step]
        elif isinstance(node, Mapping) and isinstance(step, str):
            node = node.get(step) or node
    return node


def _say(
    error: "ValidationError", path: tuple[str | int, ...], node: Node, findings: Findings
) -> None:
    rule: Any = error.validator_value
    name, key, hint = _name(path), key_path(path), ""
    match error.validator:
        case "additionalProperties":
            _say_unknown_keys(error, path, node, findings)
            return
        case "type":
            if len(path) == 2 and path[0] == "models" and _is_integer(error.instance):
                return  # a bare number has its own error, with both readings
            types = [rule] if isinstance(rule, str) else list(rule)
            words = listed((_TYPE_WORDS[each] for each in types), last="or")
            words, hint = _KINDS.get(path[-1] if path else "", (words, _quoting(types, node)))
            message = f"{name} must be {words}, not {_kind(node)}"
        case "const" if _is_integer(error.instance):
            message = f"{name} is {_kind(node)}, and this civsync reads version {rule}"
            hint = "Upgrade civsync." if error.instance > rule else f"Write `version: {rule}`."
        case "enum" if isinstance(error.instance, str):
            message = f"{name} must be {listed(rule, last='or')}, not {_kind(node)}"
            hint = did_you_mean(error.instance, rule)
        case "pattern" if "propertyNames" in error.absolute_schema_path:
            return  # the reader of `roots` says it, at the key itself
        case "maxProperties":
            return  # so does it that there are too many
        case "pattern":
            message = f"{name} must be letters, digits, - and _, not {_kind(node)}"
            hint = "It names a group, and begins with a letter or digit."
        case "minimum":
            message = f"{name} must be at least {rule}, not {error.instance}"
        case "maximum":
            message = f"{name} must be at most {rule}, not {error.instance}"
        case "minLength" | "minItems" | "minProperties":
            message, hint = f"{name} is empty", "Give it a value, or remove it."
        case "required":
            present = {pair.key for pair in node.pairs} if isinstance(node, Mapping) else set()
            missing = next(each for each in rule if each not in present)
            message, hint = f"`{missing}` is missing", f"Write `{missing}: 1` at the top."
            if path:
                message, hint = f"{name} has no `{missing}`", f"Write `{missing}: FOLDER` in it."
        case "anyOf" if path == ():
            message, hint = "`models` is missing", "Write `models: []` if there are none yet."
        case "anyOf" if isinstance(node, Mapping) and any("required" in each for each in rule):
            message = f"{name} has neither `model` nor `version`"
            hint = "Write `model: ID`, with the number after /models/ in the page's address."
        case "anyOf" | "const" | "enum":
            return  # the type is wrong, and "type" has said so; or the reader of the value will
        case _:
            message = f"{name} is not allowed here"
    findings.add(Code.MANIFEST_INVALID, message, node, key, hint)


def _say_unknown_keys(
    error: "ValidationError", path: tuple[str | int, ...], node: Node, findings: Findings
) -> None:
    schema = error.schema
    known = list(schema["properties"]) if isinstance(schema, dict) else []
    for pair in node.pairs if isinstance(node, Mapping) else ():
        if pair.key in known:
            continue
        owner = "an item with `creator`" if "creator" in known else _name(path)
        message = f"`{pair.key}` is not a key of {owner}"
        hint = did_you_mean(pair.key, known)
        if pair.key == "username" and len(path) == 2 and path[0] == "models":
            hint = "Write `creator: NAME` alone, or make it an item of `searches`."
        if pair.key.casefold() in _SECRETS:
            hint = "Secrets stay out of the manifest: run `civsync auth login`."
        findings.add(Code.UNKNOWN_KEY, message, pair, key_path((*path, pair.key)), hint)


def _name(path: tuple[str | int, ...]) -> str:
    match path:
        case ():
            return "the manifest"
        case (*_, str() as key):
            return f"`{key}`"
        case (*before, int() as index):
            return f"item {index + 1} of {_name(tuple(before))}"
        case _:
            return key_path(path)


def _kind(node: Node) -> str:
    """Say what a value is, as it was written."""
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar(value=None):
            return "empty"
        case Scalar(value=bool(), text=text):
            return text
        case Scalar(value=str(), text=text):
            return f"the text {_short(text)}"
        case Scalar(text=text):
            return f"the number {_short(text)}"
        case Refused():
            return "refused"


def _quoting(types: list[str], node: Node) -> str:
    if not isinstance(node, Scalar) or node.value is None:
        return ""
    if "array" in types and "string" not in types:
        return f"Write it as a list: [{_short(node.text)}]."
    if "string" in types and node.plain:
        return f'Quote it if it is text: "{_short(node.text)}".'
    if "string" not in types and not node.plain:
        return "Write it without quotes."
    return ""


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
