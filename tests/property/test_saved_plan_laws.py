"""Laws of saved plans as text: there and back, and only what civsync wrote is read."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from civsync.core.codes import Code
from civsync.core.disk import Stamp
from civsync.core.errors import UserError
from civsync.core.groups import Selection
from civsync.core.saved_plan import KINDS, Fingerprint, SavedPlan, Step, Terms
from civsync.documents.saved_plan import read_plan, write_plan
from civsync.documents.schema_files import schema_text
from support.lock_values import PATHS, SHA256S, TEXTS

SIZES = st.integers(min_value=0, max_value=2**63 - 1)
DIGESTS = SHA256S | st.just("")
GROUPS = st.lists(st.sampled_from("abc"), unique=True).map(sorted).map(tuple)
FINGERPRINTS = st.builds(
    Fingerprint,
    kind=st.sampled_from(["absent", "directory", "symlink", "special", "linked"]),
) | st.builds(
    Fingerprint,
    kind=st.just("file"),
    stamp=st.builds(Stamp, SIZES, st.integers(-(2**62), 2**62), SIZES),
    sha256=DIGESTS,
)
STEPS = st.builds(
    Step,
    action=st.sampled_from(KINDS),
    path=PATHS,
    why=TEXTS,
    bytes=st.integers(min_value=0, max_value=2**50),
    entry=TEXTS,
    sha256=DIGESTS,
    code=TEXTS,
    now=FINGERPRINTS,
    source=st.none() | PATHS,
    source_now=st.none() | FINGERPRINTS,
)
TERMS = st.builds(
    Terms,
    selection=st.builds(
        Selection, groups=st.none() | GROUPS, without=GROUPS, ungrouped=st.booleans()
    ),
    prune=st.booleans(),
    prune_first=st.booleans(),
    prune_unselected=st.booleans(),
    allow_prune=st.none() | st.integers(min_value=0, max_value=10**6),
    force_modified=st.booleans(),
    hash_all=st.booleans(),
    unprotect=st.lists(PATHS, unique=True, max_size=2).map(sorted).map(tuple),
)
PLANS = st.builds(
    SavedPlan,
    root=TEXTS,
    root_id=TEXTS,
    lock_sha256=SHA256S,
    terms=TERMS,
    steps=st.lists(STEPS, max_size=3, unique_by=lambda step: step.path).map(tuple),
)


def code_of(data: bytes) -> Code | None:
    """Return the code with which a text is refused, None for a plan."""
    try:
        read_plan(data, "plan.json")
    except UserError as error:
        return error.code
    return None


@settings(max_examples=30)
@given(PLANS)
def test_a_plan_that_was_written_is_read_as_it_was_and_fits_its_schema(plan: SavedPlan) -> None:
    text = write_plan(plan)
    assert read_plan(text, "plan.json") == plan
    found = Draft202012Validator(json.loads(schema_text("plan"))).iter_errors(json.loads(text))
    assert [error.message for error in found] == []


@settings(max_examples=60)
@given(PLANS, st.data())
def test_a_changed_byte_is_refused_or_is_another_plan(plan: SavedPlan, data: st.DataObject) -> None:
    text = write_plan(plan)
    spot = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != text[spot]))
    changed = text[:spot] + bytes([byte]) + text[spot + 1 :]
    assert code_of(changed) is Code.PLAN_INVALID or read_plan(changed, "plan.json") != plan


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_other_bytes_are_a_plan(data: bytes) -> None:
    assert code_of(data) is Code.PLAN_INVALID
