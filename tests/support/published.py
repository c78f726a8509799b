"""Hold what a command printed against the JSON Schema that `civsync schema` publishes."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from civsync.documents.schema_files import schema_text


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema_text(name)))


def faults(document: Any) -> list[str]:  # noqa: ANN401 - whatever a command printed
    """Return what the schema that `document` names has against it."""
    name = document["schema"].removeprefix("civsync.")
    found = _validator(name).iter_errors(document)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]
