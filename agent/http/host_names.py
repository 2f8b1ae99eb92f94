"""Host names and addresses: as people write them, as browsers send them, as sockets report them.

Standard library only: the command line imports this before the processes part.
"""

import ipaddress
import re
from urllib.parse import urlsplit

LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
HOST_NAME = re.compile(rf"{LABEL}(\.{LABEL})*", re.ASCII)
"""A host name in lower case, as in RFC 1123, section 2.1, and with the underscores that container
names have."""


def split_netloc(netloc: str) -> tuple[str, str] | None:
    """Return (host, port) of ``host``, ``host:port``, ``[v6]`` or ``[v6]:port``.

    The host is in lower case and without a final dot; a port that is not given is empty. Return
    None for anything else.
    """
    if netloc.startswith("["):
        name, bracket, rest = netloc[1:].partition("]")
        if not bracket or not is_address(name):
            return None
        colon, port = rest[:1], rest[1:]
    else:
        name, colon, port = netloc.partition(":")
    is_port = port.isdecimal() and port.isascii()
    if colon not in ("", ":") or (port and not is_port) or not name:
        return None
    return name.lower().removesuffix("."), port


def is_address(name: str) -> bool:
    """Return whether this is an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_host_name(name: str) -> bool:
    """Return whether a browser could send this name, in lower case, in ``Host``."""
    return HOST_NAME.fullmatch(name) is not None


def is_loopback(address: str) -> bool:
    """Return whether only this machine can be at the other end of a connection from an address.

    A dual-stack socket sees the IPv4 client 127.0.0.1 as ``::ffff:127.0.0.1``. Whether Python's
    ``is_loopback`` covers that depends on its version.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback


def host_to_allow(text: str) -> str:
    """Return the host of a name, ``name:port`` or URL as a browser sends it in ``Host``.

    Raises ValueError, with a text for people, for anything that no ``Host`` could match.
    """
    if is_address(text):
        return text
    split = split_netloc(urlsplit(text).netloc if "://" in text else text)
    if split is not None:
        name = split[0] if is_address(split[0]) else _ascii(split[0])
        if is_address(name) or is_host_name(name):
            return name
    if "*" in text:
        raise ValueError(f"{text!r}: wildcards are not supported; name each host")
    raise ValueError(f"{text!r} is not a host name; give one name per option")


def host_to_bind(text: str) -> str:
    """Return the name or address to listen on. Raises ValueError, with a text for people."""
    if text in ("", "*"):
        raise ValueError("to listen on every address, use 0.0.0.0 (IPv4) or :: (IPv6)")
    if is_address(text):
        return text
    if "://" in text or "/" in text:
        raise ValueError(f"{text!r} is not an address or a name, such as 127.0.0.1 or localhost")
    split = split_netloc(text)
    if split is None or not _ascii(split[0]):
        raise ValueError(f"{text!r} is not an address or a name, such as 127.0.0.1 or localhost")
    name, port = split
    if port:
        raise ValueError(f"{text!r} names a port; give it separately: --host {name} --port {port}")
    return name


def _ascii(name: str) -> str:
    """Return a name as it is sent and looked up (IDNA); empty if it cannot be."""
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
