"""Reading a manifest: the order of keys, and of lists that rank nothing, says nothing."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from civsync.core.problems import Place
from civsync.core.request import Manifest
from civsync.documents.manifest import read_manifest
from civsync.documents.vocabulary import LICENSES, MODEL_TYPES, SORTS

unhurried = settings(deadline=None)
"""The first manifest that is read loads the schema, which takes longer than all others."""

UNRANKED = {"types", "base_models", "groups", "default_groups", "license", "deny", "tags"}

NAMES = st.sampled_from(["a", "b", "Lykon", "SD 1.5", "zoe"])
SOME_NAMES = st.lists(NAMES, min_size=1, max_size=3)
GROUPS = st.lists(st.sampled_from(["sd15", "photo", "x-1"]), max_size=3)
CUTOFFS = st.sampled_from(["7 days", "2026-05-01", "2026-05-01T12:00", False])

TERMS: dict[str, st.SearchStrategy[Any]] = {
    "files": st.just(["Model", {"type": "VAE", "optional": True}]),
    "prefer": st.just({"size": ["full"], "quant": []}),
    "directory": st.just("{type}/{creator}"),
    "groups": GROUPS,
    "priority": st.integers(-5, 5),
    "hold": st.booleans(),
    "exclude_newer": CUTOFFS,
    "allow_pickle": st.booleans(),
}
FILTERS: dict[str, st.SearchStrategy[Any]] = {
    "types": st.lists(st.sampled_from(MODEL_TYPES.known), min_size=1, max_size=3),
    "base_models": SOME_NAMES,
    "sort": st.sampled_from(SORTS),
    "nsfw": st.booleans(),
    "limit": st.integers(1, 200) | st.just("all"),
    "exclude": st.fixed_dictionaries({"models": st.just([3, 1])}, optional={"tags": SOME_NAMES}),
    "versions": st.sampled_from(["latest", "newest", "all", 2]),
}
MODEL = st.fixed_dictionaries(
    {"model": st.integers(1, 10**6), "version": st.sampled_from(["latest", "all", "newest", "v1"])},
    optional=TERMS,
)
SEARCH = st.fixed_dictionaries({"tag": NAMES}, optional={**FILTERS, **TERMS})
CREATOR = st.fixed_dictionaries({"creator": NAMES}, optional={**FILTERS, **TERMS})
POLICY = st.fixed_dictionaries(
    {},
    optional={
        "license": st.lists(st.sampled_from(LICENSES), max_size=3),
        "nsfw": st.sampled_from(["PG", "X"]),
        "max_size": st.sampled_from(["12 GB", 5]),
        "creators": st.fixed_dictionaries({"deny": SOME_NAMES}),
        "early_access": st.sampled_from(["defer", "fail"]),
    },
)
MANIFEST = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "models": st.lists(MODEL, max_size=2, unique_by=lambda each: each["model"]),
        "searches": st.lists(SEARCH, max_size=1),
    },
    optional={
        "policy": POLICY,
        "exclude_newer": CUTOFFS,
        "default_groups": GROUPS | st.just("all"),
    },
)


def read(document: object) -> Manifest:
    """Return what a document means, without the places of its entries."""
    manifest = read_manifest(json.dumps(document))
    nowhere = Place(document="")
    entries = tuple(replace(entry, place=nowhere) for entry in manifest.entries)
    return replace(manifest, entries=entries)


def mixed(value: Any, data: st.DataObject) -> Any:  # noqa: ANN401 - JSON
    """Return a document with its keys, and its lists that rank nothing, in another order."""
    if isinstance(value, list):
        return [mixed(item, data) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: data.draw(st.permutations(value[key]))
        if key in UNRANKED and isinstance(value[key], list)
        else mixed(value[key], data)
        for key in data.draw(st.permutations(list(value)))
    }


@unhurried
@given(MANIFEST, st.data())
def test_the_order_of_keys_says_nothing(document: dict[str, Any], data: st.DataObject) -> None:
    assert read(mixed(document, data)) == read(document)


@unhurried
@given(SEARCH, st.data())
def test_the_order_of_filters_does_not_change_the_key_of_a_search(
    search: dict[str, Any], data: st.DataObject
) -> None:
    first, second = (
        read({"version": 1, "searches": [each]}).entries[0].key
        for each in (search, mixed(search, data))
    )
    assert first == second


@unhurried
@given(CREATOR)
def test_a_creator_is_the_search_that_it_is_short_for(creator: dict[str, Any]) -> None:
    name = creator["creator"]
    rest = {key: value for key, value in creator.items() if key != "creator"}
    long = {"username": name, "limit": "all", **rest}
    short = read({"version": 1, "models": [creator]})
    assert short == read({"version": 1, "searches": [long]})


@unhurried
@given(st.lists(MODEL, max_size=6, unique_by=lambda each: each["model"]), st.integers(0, 6))
def test_entries_mean_the_same_wherever_they_are_written(
    models: list[dict[str, Any]], cut: int
) -> None:
    whole = read({"version": 1, "models": models})
    rest = json.dumps({"version": 1, "models": models[cut:]}).encode()
    top = {"version": 1, "models": models[:cut], "include": ["rest.yaml"]}
    parts = read_manifest(json.dumps(top), load=lambda _: rest)
    assert [entry.request for entry in parts.entries] == [e.request for e in whole.entries]
    assert [entry.groups for entry in parts.entries] == [e.groups for e in whole.entries]
