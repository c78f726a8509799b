"""Put requests into words: the keys and facts by which the lock knows them.

Two requests are the same exactly if their facts are, so a lock can tell offline whether it
is what a manifest asks for, and a person reads which key differs.
"""

from collections.abc import Sequence
from typing import Final, assert_never
from urllib.parse import urlencode

from civsync.core.request import (
    All,
    ById,
    ByName,
    Count,
    FileSelector,
    Latest,
    Newest,
    Policy,
    Request,
    Search,
    VersionSpec,
)

SEARCH_FACTS: Final = frozenset({"limit", "exclude.models", "exclude.creators", "exclude.tags"})
"""Facts that change what a search finds; its other filters are its key."""


def entry_key(request: Request) -> str:
    """Return the one-line name of what `request` points at, stable under edits of the rest.

    Examples: "4384@latest", "4201@130072", "@128713", '58390@newest [SD 1.5]',
    '4201@"V5.1"', "4201@all", "?types=LORA&tag=style".
    """
    if request.search is not None:
        return search_key(request.search)
    model = "" if request.model_id is None else str(request.model_id)
    family = f" [{request.base_model}]" if request.base_model else ""
    return f"{model}@{spell_version(request.version)}{family}"


def search_key(search: Search) -> str:
    """Return the key of the entry that asks for `search`."""
    return f"?{_filters(search)}"


def spell_version(version: VersionSpec) -> str:
    """Return what a key says of a version: "latest", "130072", '"V5.1"', "all", "first 3"."""
    match version:
        case Latest():
            return "latest"
        case Newest():
            return "newest"
        case ById(id=number):
            return str(number)
        case ByName(name=name):
            return f'"{name}"'
        case All():
            return "all"
        case Count(count=count):
            return f"first {count}"
        case _:
            assert_never(version)


def describe_request(request: Request) -> dict[str, str]:
    """Return `request` as a flat map, key to text, sorted: what the lock records.

    What the entry's key says is not said again.
    """
    policy = request.policy
    facts = {
        "prefer.format": _listed(request.prefer.format),
        "prefer.precision": _listed(request.prefer.precision),
        "prefer.quant": _listed(request.prefer.quant),
        "prefer.size": _listed(request.prefer.size),
        "policy.pickle": "allow" if policy.allow_pickle else "deny",
        "policy.scans": _listed(policy.scans),
        **_describe_policy(policy),
    }
    if request.search is not None:
        facts |= _describe_search(request.search)
        facts["versions"] = spell_version(request.version)
    if request.selectors:
        facts["files"] = "; ".join(_describe_selector(each) for each in request.selectors)
    if request.exclude_newer:
        facts["exclude_newer"] = request.exclude_newer
    if request.allow_unverified:
        facts["allow_unverified"] = "true"
    return dict(sorted(facts.items()))


def _describe_policy(policy: Policy) -> dict[str, str]:
    """Return what is stricter or looser than what every request says."""
    facts = {
        "policy.license": _listed(policy.license),
        "policy.nsfw": policy.rating,
        "policy.max_size": "" if policy.max_size is None else str(policy.max_size),
        "policy.creators.allow": _listed(policy.allow_creators),
        "policy.creators.deny": _listed(policy.deny_creators),
        "policy.early_access": ""
        if policy.early_access is Policy().early_access
        else policy.early_access.value,
    }
    return {key: value for key, value in facts.items() if value}


def _filters(search: Search) -> str:
    """Return the filters that tell one search from another, as the query of an address."""
    pairs = [
        ("query", search.query),
        ("username", search.username),
        ("tag", search.tag),
        *(("types", each) for each in search.types),
        *(("base_models", each) for each in search.base_models),
        ("checkpoint_type", search.checkpoint_type),
        ("sort", search.sort),
        ("period", search.period),
        ("nsfw", "true" if search.nsfw else ""),
        ("favorites", "true" if search.favorites else ""),
    ]
    return urlencode([(key, value) for key, value in pairs if value])


def _describe_search(search: Search) -> dict[str, str]:
    facts = {
        "limit": "all" if search.limit is None else str(search.limit),
        "exclude.models": ", ".join(map(str, search.excluded_models)),
        "exclude.creators": _listed(search.excluded_creators),
        "exclude.tags": _listed(search.excluded_tags),
    }
    return {key: value for key, value in facts.items() if value}


def _describe_selector(selector: FileSelector) -> str:
    parts = [
        f"{key}={value}"
        for key, value in (
            ("id", "" if selector.id is None else str(selector.id)),
            ("type", selector.type),
            ("format", _plain(selector.format)),
            ("precision", _plain(selector.precision)),
            ("quant", _plain(selector.quant)),
            ("size", _plain(selector.size)),
            ("name", _plain(selector.name)),
        )
        if value
    ]
    if selector.optional:
        parts.append("optional")
    return " ".join(parts) or "any"


def _listed(words: Sequence[str]) -> str:
    """Return `words` with commas, in quotes where one could be taken for two."""
    text = ", ".join(words)
    if '"' not in text and text.count(",") < max(len(words), 1):
        return text
    return ", ".join(_quoted(word) if "," in word or '"' in word else word for word in words)


def _plain(value: str) -> str:
    """Return a value of a selector, in quotes where it could be taken for more than one."""
    return _quoted(value) if any(char in value for char in ' ";=') else value


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
