"""Decide where the download route, and the storage hosts behind it, may send us.

The right answer is one hop to a signed address on a storage host. A login page, a web
page, plain http, another port, or an address inside somebody's network is refused
before a byte is asked for there.
"""

from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from civsync.core.codes import Code
from civsync.core.errors import RegistryError, WireError
from civsync.core.values import dataclass
from civsync.core.wire import SignedUrl
from civsync.decide.origins import DEFAULT_PORTS, Origin, is_private, read_origin, subject_of

DOWNLOAD_ROUTE: Final = "/api/download/"
_LONGEST: Final = 8192
"""Characters of an address; signed ones have about a thousand."""

_KEPT_AS_IT_IS: Final = "!#$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """Still on the API origin: ask for `path` (with its query) there next."""

    path: str


def read_location(location: str, *, asked: str, api: Origin, token_sent: bool) -> SignedUrl | Hop:
    """Return where a redirect of the download route at `asked` leads.

    Raises RegistryError login-needed for a redirect to a login page and WireError
    bad-redirect for one that no model comes from. Neither shows the address whole: a
    signed one is a credential.
    """
    usable = location.isascii() and location.isprintable() and " " not in location
    if not location or len(location) > _LONGEST or not usable:
        raise bad_redirect("the redirect has no usable address")
    try:
        parts = urlsplit(location)
        url = location if parts.netloc and parts.scheme else urljoin(asked, location)
        parts = urlsplit(url)
    except ValueError:
        raise bad_redirect("the redirect has no usable address") from None
    target = read_origin(url)
    if target is None:
        raise bad_redirect(f"the redirect leads to {parts.scheme[:20] or 'no'} address")
    if "@" in parts.netloc:
        raise bad_redirect(f"the redirect to {target} holds a user name")
    if parts.path.rstrip("/").endswith("/login"):
        raise login_needed("Civitai sent a login page", token_sent=token_sent)
    if parts.path.startswith(DOWNLOAD_ROUTE):
        if target == api:
            return Hop(path=parts.path + (f"?{parts.query}" if parts.query else ""))
        # Only the configured origin is asked as an API, so that the token stays there.
        raise bad_redirect(
            f"the API has moved to {target}",
            hint=f"Set CIVSYNC_API_URL or --api-url to {target} if you trust it.",
        )
    if target == api:
        raise bad_redirect(f"the redirect leads to a page of {target}, not to a file")
    _check_storage(target, api)
    return SignedUrl(url=url)


def check_redirect(asked: str, location: str) -> str:
    """Return where a redirect of a storage host leads, as an absolute URL without fragment.

    Raises WireError bad-redirect for another scheme than http(s), for http after https, for
    user names in URLs, for another port than the usual one after the usual one, and for
    private or loopback hosts unless `asked` is on one itself (server-side request forgery;
    InvokeAI and apt refuse the same). Only addresses and names that are written out are
    judged: nothing is looked up.
    """
    subject = subject_of(asked)
    if not location or len(location) > _LONGEST or _has_control(location):
        raise bad_redirect("a redirect came without a usable address", subject=subject)
    try:
        url = urljoin(asked, quote(location.strip(), safe=_KEPT_AS_IT_IS))
        parts = urlsplit(url)
    except ValueError:
        raise bad_redirect(
            "a redirect leads to something that is no URL", subject=subject
        ) from None
    source, target = read_origin(asked), read_origin(url)
    if source is None or target is None:
        scheme = parts.scheme[:20] or "nameless"
        raise bad_redirect(f"a redirect leads to a {scheme} address", subject=subject)
    if source.scheme == "https" and target.scheme != "https":
        message = f"a redirect leads from https to plain http on {target.host}"
        raise bad_redirect(message, subject=subject)
    if "@" in parts.netloc:
        raise bad_redirect(f"a redirect to {target.host} carries a user name", subject=subject)
    if is_private(target.host) and not is_private(source.host):
        message = f"a redirect leads to the private address {target.host}"
        raise bad_redirect(message, subject=subject)
    if target.port != DEFAULT_PORTS[target.scheme] and source.port == DEFAULT_PORTS[source.scheme]:
        raise bad_redirect(f"a redirect leads to the odd port of {target}", subject=subject)
    return parts._replace(fragment="").geturl()


def login_needed(message: str, *, token_sent: bool) -> RegistryError:
    """Return the error for a file that wants an account, with the hint that fits."""
    hint = ""
    if token_sent:
        hint = (
            "The API key was sent and did not count: see `civsync auth status`;"
            " it may have expired, or its account may not have this file."
        )
    return RegistryError(Code.LOGIN_NEEDED, message, hint=hint, data={"token_sent": token_sent})


def bad_redirect(message: str, *, hint: str = "", subject: str = "") -> WireError:
    """Return the error for a redirect that is not followed."""
    return WireError(Code.BAD_REDIRECT, message, hint=hint, subject=subject)


def _check_storage(target: Origin, api: Origin) -> None:
    if target.scheme != "https" and not (api.scheme == "http" and api.loopback):
        raise bad_redirect(f"the redirect leads to {target}, which is not encrypted")
    if is_private(api.host):
        return
    if is_private(target.host):
        raise bad_redirect(f"the redirect leads to the private address {target}")
    if target.port != DEFAULT_PORTS[target.scheme] and api.port == DEFAULT_PORTS[api.scheme]:
        raise bad_redirect(f"the redirect leads to the odd port of {target}")


def _has_control(text: str) -> bool:
    return any(ord(char) < 0x20 or ord(char) == 0x7F for char in text)
