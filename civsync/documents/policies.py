"""Read `policy:`: what a file must be to be locked at all."""

from civsync.core.codes import Code
from civsync.core.request import EarlyAccess, Policy
from civsync.documents.findings import Findings, integer_of, text_of, texts_of
from civsync.documents.nodes import Mapping, Node, Sequence
from civsync.documents.sizes import SIZE_HINT, SizeError, parse_size
from civsync.documents.terms import distinct
from civsync.documents.vocabulary import SCANS


def read_policy(node: Node | None, findings: Findings) -> Policy:
    """Return what the manifest's `policy` says; the usual one where it says nothing."""
    if not isinstance(node, Mapping):
        return Policy()
    creators = node.get("creators")
    allow, deny = _creators(creators, findings) if isinstance(creators, Mapping) else ((), ())
    return Policy(
        allow_pickle=text_of(node.get("pickle")) == "allow",
        scans=_scans(node.get("scans")),
        license=distinct(texts_of(node.get("license"))),
        rating=text_of(node.get("nsfw")) or "",
        max_size=_size(node.get("max_size"), findings),
        allow_creators=allow,
        deny_creators=deny,
        early_access=_early_access(node.get("early_access")),
    )


def _scans(node: Node | None) -> tuple[str, ...]:
    """Return the scans that are wanted, in their own order; all without the key."""
    if not isinstance(node, Sequence):
        return SCANS
    wanted = texts_of(node)
    return tuple(scan for scan in SCANS if scan in wanted)


def _size(node: Node | None, findings: Findings) -> int | None:
    if (number := integer_of(node)) is not None:
        return number
    text = text_of(node)
    if not text or node is None:
        return None
    try:
        return parse_size(text)
    except SizeError as error:
        findings.add(Code.MANIFEST_INVALID, str(error), node, "policy.max_size", SIZE_HINT)
        return None


def _creators(node: Mapping, findings: Findings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return whom `creators` allows and whom it denies."""
    allow, deny = (distinct(texts_of(node.get(key))) for key in ("allow", "deny"))
    denied = {name.casefold() for name in deny}
    where = node.pair("deny")
    for name in allow:
        if name.casefold() in denied and where is not None:
            message = f"{name!r} is both allowed and denied"
            findings.add(Code.MANIFEST_INVALID, message, where, "policy.creators.deny", "Keep one.")
    return allow, deny


def _early_access(node: Node | None) -> EarlyAccess:
    word = text_of(node)
    return EarlyAccess(word) if word in set(EarlyAccess) else EarlyAccess.DEFER
