"""Which origin an address belongs to, and what may be done with it.

An origin is scheme, host and port together, as browsers mean it: a token that is right
for one is wrong for every other. Addresses are only read here, never looked up.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from civsync.core.codes import Code
from civsync.core.errors import UserError

DEFAULT_PORTS: Final = {"https": 443, "http": 80}

_NUMERIC_LABEL: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PRIVATE_ZONES: Final = frozenset({"local", "internal", "localdomain"})


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
        return not address.is_global
    last = name.rpartition(".")[2].lower()
    return _NUMERIC_LABEL.fullmatch(last) is not None or last in _PRIVATE_ZONES


def subject_of(url: str) -> str:
    """Return the part of a URL that may be shown: scheme, host and path without the query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _origin_of(parts: SplitResult) -> Origin | None:
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    port = parts.port if parts.port is not None else DEFAULT_PORTS[parts.scheme]
    return Origin(scheme=parts.scheme, host=parts.hostname, port=port)
