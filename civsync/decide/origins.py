"""Which origin an address belongs to, and what may be done with it.

An origin is scheme, host and port together, as browsers mean it: a token that is right
for one is wrong for every other. Addresses are only read here, never looked up.
"""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.values import dataclass

DEFAULT_PORTS: Final = {"https": 443, "http": 80}

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address

_NUMERIC_LABEL: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PRIVATE_ZONES: Final = frozenset(
    {"arpa", "corp", "home", "internal", "lan", "local", "localdomain"}
)
"""Last labels without a public host (RFC 6762, RFC 8375, and those that ICANN holds back)."""

_V4_INSIDE: Final = tuple(
    map(ipaddress.IPv6Network, ["::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"])
)
"""IPv6 ranges whose last 32 bits are an IPv4 address: RFC 4291 section 2.5.5, RFC 7915, RFC 6052
and RFC 8215."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme ("https" or "http"), host in lower case without brackets, and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return "https://civitai.com", the port only where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def loopback(self) -> bool:
        """Whether it is this machine."""
        return is_loopback(self.host)

    @property
    def keeps_secrets(self) -> bool:
        """Whether a token may be sent there at all: over TLS, or without leaving the machine."""
        return self.scheme == "https" or self.loopback


def read_origin(url: str) -> Origin | None:
    """Return the origin of an absolute http or https address, or None for anything else."""
    try:
        return _origin_of(urlsplit(url))
    except ValueError:  # a port that is no number, brackets that do not close
        return None


def api_origin(url: str) -> Origin:
    """Return the configured API origin.

    Raises UserError config-invalid for anything but scheme, host and perhaps a port: a
    path would be lost, and a user name in it would be a secret in the wrong place.
    """
    try:
        parts = urlsplit(url)
        origin = _origin_of(parts)
    except ValueError:
        parts, origin = SplitResult("", "", "", "", ""), None
    extra = parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc
    if origin is None or extra:
        raise UserError(
            Code.CONFIG_INVALID,
            "the API address is not an origin such as https://civitai.com",
            subject="CIVSYNC_API_URL",
            hint="Set CIVSYNC_API_URL or --api-url to scheme and host alone.",
        )
    return origin


def is_loopback(host: str) -> bool:
    """Tell whether `host` names this machine, by its text alone."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_private(host: str) -> bool:
    """Tell whether `host` is, by its text alone, no place on the public internet.

    True for addresses that are not global, and for hosts that are numbers in a spelling
    that this reader does not know but a resolver may ("0x7f.1", "2130706433").
    """
    name = host.strip("[]").rstrip(".")
    if is_loopback(name) or ("." not in name and ":" not in name):
        return True
    address = _address(name)
    if address is not None:
        return not all(map(_is_public, _meanings(address)))
    last = name.rpartition(".")[2].lower()
    return _NUMERIC_LABEL.fullmatch(last) is not None or last in _PRIVATE_ZONES


def subject_of(url: str) -> str:
    """Return the part of a URL that may be shown: scheme, host and path without the query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _address(host: str) -> _IP | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _meanings(address: _IP) -> list[_IP]:
    """Return an address, or the IPv4 one that a gateway makes of it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.sixtofour is not None:
            # Versions of Python differ on what the range itself is.
            return [address.sixtofour]
        if any(address in network for network in _V4_INSIDE):
            # The range itself says nothing.
            return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return [address]


def _is_public(address: _IP) -> bool:
    local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not address.is_multicast and not local


def _origin_of(parts: SplitResult) -> Origin | None:
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    port = parts.port if parts.port is not None else DEFAULT_PORTS[parts.scheme]
    return Origin(scheme=parts.scheme, host=parts.hostname, port=port)
