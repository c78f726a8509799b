"""Which certificates are trusted, and which proxy leads to a URL: the same for every byte.

Both follow the conventions of the machine (SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY,
NO_PROXY, the settings of macOS and Windows). Nothing here can turn verification off, and
`.netrc` is never read.
"""

import os
import ssl
import sys
from dataclasses import field
from typing import Final
from urllib.parse import unquote, urlsplit

import certifi

from civsync.core.codes import Code
from civsync.core.errors import UserError, WireError
from civsync.core.values import dataclass
from civsync.decide.origins import is_loopback

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_WITH_SETTINGS: Final = ("darwin", "win32")
"""Systems on which a proxy may be set elsewhere than in the environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy; `url` is as configured and may hold a password."""

    url: str = field(repr=False)
    host: str
    port: int
    login: str | None = field(default=None, repr=False)
    """Text "user:password", decoded."""


def make_context() -> ssl.SSLContext:
    """Return a context that verifies certificates and names.

    With SSL_CERT_FILE or SSL_CERT_DIR set only those are trusted, as OpenSSL has it; else
    the store of the system together with Mozilla's list, since some systems have no store.
    Raises WireError tls-failed if the file cannot be read.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    try:
        if file or folder:
            return ssl.create_default_context(cafile=file or None, capath=folder or None)
        context = ssl.create_default_context()
        context.load_verify_locations(cafile=certifi.where())
    except OSError as error:
        raise WireError(
            Code.TLS_FAILED,
            f"the certificates of {file or folder or 'this system'} cannot be read",
            data={"reason": error.strerror or type(error).__name__},
        ) from error
    return context


def proxy_for(scheme: str, host: str, port: int) -> Proxy | None:
    """Return the proxy that the environment names for an origin, None for a direct way.

    Loopback is always reached directly: what is said to it in the clear must not leave
    the machine. Raises UserError config-invalid for a proxy that is not a plain HTTP one.
    """
    if sys.platform not in _WITH_SETTINGS and not any(
        name.lower().endswith("_proxy") for name in os.environ
    ):
        return None
    # It loads all of http.client and email: a tenth of the start of a sync.
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415

    proxies = getproxies()
    setting = proxies.get(scheme) or proxies.get("all")
    if not setting or is_loopback(host):
        return None
    if proxy_bypass(host) or proxy_bypass(f"{host}:{port}"):
        return None
    return _parse_proxy(setting if "://" in setting else f"http://{setting}")


def _parse_proxy(setting: str) -> Proxy:
    try:
        parts = urlsplit(setting)
        host, port = parts.hostname, parts.port or DEFAULT_PORTS["http"]
    except ValueError:
        raise UserError(Code.CONFIG_INVALID, "the address of the proxy is no URL") from None
    if parts.scheme != "http" or not host:
        raise UserError(
            Code.CONFIG_INVALID,
            f"the proxy is of kind {parts.scheme[:20]!r}; only http:// proxies can be used",
            hint="Correct HTTPS_PROXY or ALL_PROXY, or exclude the host with NO_PROXY.",
        )
    login = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(url=setting, host=host, port=port, login=login)
