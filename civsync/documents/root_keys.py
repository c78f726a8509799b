"""Read the keys of a manifest that say which folders it keeps in step: `root`, or `roots`.

A manifest may come from a stranger: it cannot name a folder outside its own, and no two of
its roots share a folder or lie within one another.
"""

from typing import Final

from civsync.core.codes import Code
from civsync.core.limits import ROOTS
from civsync.core.names import UnsafePathError, collision_key, parse_path
from civsync.core.roots import DEFAULT_ROOT, Roots, is_root_name
from civsync.documents.findings import Findings, text_of
from civsync.documents.nodes import Mapping, Node, Pair

_ELSEWHERE: Final = "A root elsewhere is given by --root or CIVSYNC_ROOT."
_ELSEWHERE_BY_NAME: Final = (
    "A root elsewhere is given by --root NAME=PATH, or `roots` in your config.yaml."
)


def read_roots(node: Mapping, findings: Findings) -> Roots:
    """Return the folders that the manifest names, noting what is wrong with them."""
    pair = node.pair("roots")
    if pair is None:
        return Roots(single=_path(node.get("root"), "root", findings, _ELSEWHERE) or DEFAULT_ROOT)
    if node.pair("root") is not None:
        message = "`root` and `roots` exclude each other"
        hint = "Write the one root below `roots`, too, under a name of its own."
        findings.add(Code.MANIFEST_INVALID, message, pair, "roots", hint)
    named: dict[str, str] = {}
    roots = pair.value.pairs if isinstance(pair.value, Mapping) else ()
    if len(roots) > ROOTS:
        message = f"there are {len(roots)} roots, and one manifest has at most {ROOTS}"
        hint = "Make a manifest of its own for some of them."
        findings.add(Code.MANIFEST_INVALID, message, pair, "roots", hint)
    for root in roots:
        path = _named(root, findings)
        if path is None:
            continue
        other = next((name for name in named if _overlap(named[name], path)), None)
        if other is not None:
            message = (
                f"the roots `{other}` and `{root.key}` are one folder, or one lies in the other"
            )
            hint = "Give each root a folder of its own."
            findings.add(Code.MANIFEST_INVALID, message, root, f"roots.{root.key}", hint)
        named[root.key] = path
    return Roots(named=named)


def _named(root: Pair, findings: Findings) -> str | None:
    key = f"roots.{root.key}"
    if not is_root_name(root.key):
        message = f"a root cannot be called {root.key!r}"
        hint = "A name is up to 40 letters, digits, - and _, and begins with a letter or digit."
        findings.add(Code.MANIFEST_INVALID, message, root, key, hint)
    if not isinstance(root.value, Mapping):
        return None
    return _path(root.value.get("path"), f"{key}.path", findings, _ELSEWHERE_BY_NAME)


def _path(node: Node | None, key: str, findings: Findings, hint: str) -> str | None:
    """Return a folder as it is believed, None where there is none to believe."""
    text = text_of(node)
    if not text or node is None:
        return None
    trimmed = text.removeprefix("./").rstrip("/") if not text.startswith("/") else text
    if trimmed in ("", "."):
        return "."
    if trimmed.startswith("~") or "$" in trimmed:
        message = f"`{key}` is taken literally, and {text!r} wants to be expanded"
    else:
        try:
            return parse_path(trimmed)
        except UnsafePathError:
            message = f"`{key}` must be a folder below the manifest's own, not {text!r}"
    findings.add(Code.MANIFEST_INVALID, message, node, key, hint)
    return None


def _overlap(one: str, other: str) -> bool:
    """Tell whether two folders are one on some disk, or one lies within the other."""
    if "." in (one, other):
        return True
    first, second = (f"{collision_key(path)}/" for path in (one, other))
    return first.startswith(second) or second.startswith(first)
